//! What is configured of traces of the lives of containers.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

use crate::{
    daemon::{
        cli::RunArgs,
        config::{
            ConfigError,
            value::{duration, parse_duration},
        },
    },
    reconcile::slow::{SlowAbove, SlowThresholds},
    trace::lives::{LivesSettings, Rate},
};

/// As in the file.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    enable_tracing: Option<bool>,
    runqueue_latency: Option<Threshold>,
    block_io: Option<Threshold>,
    stall_percent: Option<u8>,
    throttled_percent: Option<u8>,
    #[serde(default, deserialize_with = "duration")]
    checkpoint: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    max_trace: Option<Duration>,
    container_per_second: Option<u32>,
    total_per_second: Option<u32>,
}

/// Decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerTraceConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// From when on a wait for a CPU has a span.
    pub runqueue_latency: Threshold,
    /// From when on block I/O has one.
    pub block_io: Threshold,
    /// From which share of time on a stall is told; 1 to 100.
    pub stall_percent: u8,
    /// From which share of its periods on it is told that a container was throttled; 1 to 100.
    pub throttled_percent: u8,
    /// How often it is told how a container that runs is doing.
    pub checkpoint: Duration,
    /// How long one trace of a life is at most.
    pub max_trace: Duration,
    /// Slow samples of one container, in a second.
    pub container_per_second: u32,
    /// Those of all.
    pub total_per_second: u32,
}

/// From when on something is slow: `50ms`, `p99.9`, `p99.9 above 5ms` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// Never.
    Off,
    /// Above a time.
    Time(Duration),
    /// Above a quantile of the container's own latest values, and above a time.
    Quantile {
        /// In thousandths of a percent, below 100 percent.
        thousandths: u32,
        /// Nothing below is slow.
        least: Duration,
    },
}

/// What is no threshold.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is not a threshold; write a time above 0 like 50ms, a quantile like p99.9, both like \
     `p99.9 above 5ms`, or off"
)]
pub struct BadThreshold {
    text: String,
}

/// A quantile has no meaning for what is as short as this: everything is.
const LEAST: Duration = Duration::from_millis(1);

/// A hundred percent.
const ALL: u32 = 100_000;

impl FromStr for Threshold {
    type Err = BadThreshold;

    fn from_str(text: &str) -> Result<Self, BadThreshold> {
        let bad = || BadThreshold {
            text: text.to_owned(),
        };
        // Above 0 everything is slow, and who writes it may have meant nothing.
        let time = |text: &str| {
            let time = parse_duration(text.trim()).ok();
            time.filter(|time| !time.is_zero()).ok_or_else(bad)
        };
        let Some(quantile) = text.strip_prefix('p') else {
            return Ok(match text {
                "off" => Self::Off,
                _ => Self::Time(time(text)?),
            });
        };
        let (percent, least) = match quantile.split_once(" above ") {
            Some((percent, least)) => (percent, time(least)?),
            None => (quantile, LEAST),
        };
        let thousandths = thousandths(percent).ok_or_else(bad)?;
        Ok(Self::Quantile { thousandths, least })
    }
}

/// `99.9` in thousandths.
fn thousandths(percent: &str) -> Option<u32> {
    let (whole, part) = percent.split_once('.').unwrap_or((percent, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 2
        || part.len() > 3
        || !is_number(whole)
        || !is_number(part)
    {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    Some(whole * 1_000 + part)
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl From<Threshold> for SlowAbove {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Off => Self::Off,
            Threshold::Time(time) => Self::Time(time),
            Threshold::Quantile { thousandths, least } => Self::Quantile {
                quantile: f64::from(thousandths) / f64::from(ALL),
                least,
            },
        }
    }
}

impl ContainerTraceConfig {
    pub(super) fn decide(args: &RunArgs, file: &FileConfig) -> Self {
        let enabled = args
            .trace_containers
            .or(file.enable_tracing)
            .unwrap_or(false);
        let time = |ms| Threshold::Time(Duration::from_millis(ms));
        Self {
            enabled,
            runqueue_latency: file.runqueue_latency.unwrap_or_else(|| time(100)),
            block_io: file.block_io.unwrap_or_else(|| time(500)),
            stall_percent: file.stall_percent.unwrap_or(20),
            throttled_percent: file.throttled_percent.unwrap_or(25),
            checkpoint: file.checkpoint.unwrap_or(Duration::from_mins(5)),
            max_trace: file.max_trace.unwrap_or(Duration::from_hours(6)),
            container_per_second: file.container_per_second.unwrap_or(2),
            total_per_second: file.total_per_second.unwrap_or(50),
        }
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let percents = [
            ("trace.containers.stall_percent", self.stall_percent),
            ("trace.containers.throttled_percent", self.throttled_percent),
        ];
        for (name, percent) in percents {
            if !(1..=100).contains(&percent) {
                return Err(out_of_range(name, percent.to_string(), "from 1 to 100"));
            }
        }
        let times = [
            ("trace.containers.checkpoint", self.checkpoint, 1),
            ("trace.containers.max_trace", self.max_trace, 60),
        ];
        for (name, time, least) in times {
            if time < Duration::from_secs(least) || time > Duration::from_hours(24 * 7) {
                let shown = humantime::format_duration(time).to_string();
                let range = if least == 1 {
                    "from 1s to 7days"
                } else {
                    "from 1min to 7days"
                };
                return Err(out_of_range(name, shown, range));
            }
        }
        let rates = [
            (
                "trace.containers.container_per_second",
                self.container_per_second,
            ),
            ("trace.containers.total_per_second", self.total_per_second),
        ];
        for (name, rate) in rates {
            if !(1..=10_000).contains(&rate) {
                return Err(out_of_range(name, rate.to_string(), "from 1 to 10000"));
            }
        }
        Ok(())
    }

    /// What is slow; nothing where nothing is traced.
    #[must_use]
    pub fn slow(&self) -> SlowThresholds {
        SlowThresholds {
            runqueue: self.runqueue_latency.into(),
            block_io: self.block_io.into(),
        }
    }

    /// How much is told.
    #[must_use]
    pub fn settings(&self) -> LivesSettings {
        let share = |percent: u8| f64::from(percent) / 100.0;
        // What comes in a burst is of one cause, and is worth seeing together.
        let rate = |per_second: u32| Rate {
            per_second: f64::from(per_second),
            burst: f64::from(per_second) * 10.0,
        };
        LivesSettings {
            stall: share(self.stall_percent),
            throttled: share(self.throttled_percent),
            checkpoint: self.checkpoint,
            trace: self.max_trace,
            container: rate(self.container_per_second),
            total: rate(self.total_per_second),
        }
    }
}

fn out_of_range(name: &'static str, value: String, range: &'static str) -> ConfigError {
    ConfigError::OutOfRange { name, value, range }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_time_a_quantile_both_or_off() {
        let quantile = |thousandths, ms| Threshold::Quantile {
            thousandths,
            least: Duration::from_millis(ms),
        };
        for (text, meant) in [
            ("off", Threshold::Off),
            ("50ms", Threshold::Time(Duration::from_millis(50))),
            ("p99.9", quantile(99_900, 1)),
            ("p50", quantile(50_000, 1)),
            ("p99.999 above 5ms", quantile(99_999, 5)),
        ] {
            assert_eq!(text.parse::<Threshold>().ok(), Some(meant), "{text}");
        }
        for bad in [
            "",
            "50",
            "p",
            "p100",
            "p99.9999",
            "p-1",
            "p99 above",
            "p99.x",
            "P99",
            "p+9",
            "0s",
            "p99 above 0ms",
        ] {
            assert!(bad.parse::<Threshold>().is_err(), "{bad}");
        }
        let above = SlowAbove::from(quantile(99_900, 5));
        assert_eq!(
            above,
            SlowAbove::Quantile {
                quantile: 0.999,
                least: Duration::from_millis(5)
            }
        );
    }
}
