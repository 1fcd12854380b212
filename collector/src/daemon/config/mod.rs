//! What was typed, and what it means.
//!
//! Two steps: flags, environment and file as they stand ([`RunArgs`], [`FileConfig`]), then one
//! [`Config`] in which everything is decided. Each stage is given its part of it; nobody keeps the
//! whole.

mod catalog;
pub mod endpoint;
mod file;
pub mod otlp;
mod trace;
pub mod value;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use collector_common::signal::Signal;

use self::otlp::Around;
use self::value::{ByteSize, SignalSet};
pub use self::{
    catalog::CatalogConfig,
    endpoint::EndpointValue,
    file::{ConfigError, FileConfig},
    otlp::{OtelEnvironment, OtlpConfig, OtlpOptions},
    trace::{ContainerTraceConfig, ForwarderConfig, OwnTraceConfig, Ratio, TraceConfig},
};
use super::cli::RunArgs;
use crate::{catalog::LabelSelection, export::NameSets};

/// Everything decided. Where a default is given, it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address to serve on.
    pub listen: SocketAddr,
    /// Where the cgroup file systems are mounted.
    pub cgroup_root: PathBuf,
    /// Where the host's `/` is.
    pub host_root: PathBuf,
    /// Rotation of windows, and reconciliation.
    pub interval: Duration,
    /// What is measured.
    pub signals: BTreeSet<Signal>,
    /// The log filter.
    pub log: String,
    /// The kernel's types, when they are not to be its own.
    pub btf: Option<PathBuf>,
    /// Size of the samples ring.
    pub samples_ring: ByteSize,
    /// How long a tombstone stays.
    pub retention: Duration,
    /// How many cgroups get numbers of their own.
    pub max_cgroups: usize,
    /// Held while the daemon runs.
    pub lock_file: PathBuf,
    /// Which sets of names are exported besides our own.
    pub names: NameSets,
    /// How containers get their names.
    pub catalog: CatalogConfig,
    /// What is sent to an OpenTelemetry collector, and how.
    pub otlp: OtlpConfig,
    /// What is traced.
    pub trace: TraceConfig,
}

/// Intervals outside are refused: windows of less than a second have too few samples to tell
/// anything, and of more than an hour nobody waits for.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(1);

/// Bounds of `max_cgroups`: each costs up to some 40 KiB when it is busy.
const MAX_CGROUPS: std::ops::RangeInclusive<usize> = 1..=1_000_000;

impl Config {
    /// Reads the file that the flags name, if they name one, and decides.
    pub fn load(args: &RunArgs) -> Result<Self, ConfigError> {
        let file = match &args.config {
            Some(path) => FileConfig::read(path)?,
            None => FileConfig::default(),
        };
        Self::decide_in(args.clone(), file, &OtelEnvironment::of_this_process())
    }

    /// Decides: a flag or variable goes before the file, and that before the default.
    pub fn decide(args: RunArgs, file: FileConfig) -> Result<Self, ConfigError> {
        Self::decide_in(args, file, &OtelEnvironment::default())
    }

    /// Decides, where variables of OpenTelemetry are set: they go before the default, and after the file.
    pub fn decide_in(
        args: RunArgs,
        file: FileConfig,
        environment: &OtelEnvironment,
    ) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let trace = TraceConfig::decide(&args, file.trace, environment, &mut warnings)?;
        let interval = args
            .interval
            .or(file.interval)
            .unwrap_or(Duration::from_secs(10));
        let around = Around {
            metrics: args.export_otlp,
            is_traced: trace.is_any(),
            interval,
            environment,
        };
        let mut otlp = OtlpConfig::decide(file.export.otlp, around)?;
        otlp.warnings.append(&mut warnings);
        let config = Self {
            otlp,
            trace,
            interval,
            listen: args
                .listen
                .or(file.listen)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9464))),
            cgroup_root: args
                .cgroup_root
                .or(file.cgroup_root)
                .unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup")),
            host_root: args
                .host_root
                .or(file.host_root)
                .unwrap_or_else(|| PathBuf::from("/")),
            signals: args
                .signals
                .or(file.signals)
                .unwrap_or_else(SignalSet::all)
                .0,
            log: args.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            btf: args.btf.or(file.btf),
            samples_ring: args
                .samples_ring
                .or(file.samples_ring)
                .unwrap_or(ByteSize::MIB_4),
            retention: args
                .retention
                .or(file.retention)
                .unwrap_or(Duration::from_mins(5)),
            max_cgroups: args.max_cgroups.or(file.max_cgroups).unwrap_or(16_384),
            lock_file: args
                .lock_file
                .or(file.lock_file)
                .unwrap_or_else(|| PathBuf::from("/run/cgscope.lock")),
            names: NameSets {
                containerd: args
                    .export_containerd
                    .or(file.export.containerd.enabled)
                    .unwrap_or(false),
                cadvisor: args
                    .export_cadvisor
                    .or(file.export.cadvisor.enabled)
                    .unwrap_or(false),
            },
            catalog: CatalogConfig {
                endpoints: args
                    .runtime_endpoints
                    .or(file.catalog.runtime_endpoints)
                    .unwrap_or_default()
                    .into_iter()
                    .map(|EndpointValue(endpoint)| endpoint)
                    .collect(),
                discovery: args
                    .runtime_discovery
                    .or(file.catalog.runtime_discovery)
                    .unwrap_or(true),
                labels: LabelSelection {
                    container: args
                        .container_labels
                        .or(file.catalog.container_labels)
                        .unwrap_or_default(),
                    pod: args
                        .pod_labels
                        .or(file.catalog.pod_labels)
                        .unwrap_or_default(),
                },
                own_preemptions: args
                    .count_own_preemptions
                    .or(file.catalog.count_own_preemptions)
                    .unwrap_or(true),
                retries: catalog::retries(file.catalog.max_retries, file.catalog.retry_delay),
            },
        };
        config.check()
    }

    fn check(self) -> Result<Self, ConfigError> {
        if !INTERVALS.contains(&self.interval) {
            return Err(ConfigError::OutOfRange {
                name: "interval",
                value: humantime::format_duration(self.interval).to_string(),
                range: "1s to 1h",
            });
        }
        if !MAX_CGROUPS.contains(&self.max_cgroups) {
            return Err(ConfigError::OutOfRange {
                name: "max_cgroups",
                value: self.max_cgroups.to_string(),
                range: "1 to 1000000",
            });
        }
        // As a flag or variable it is refused already.
        for (name, path) in [
            ("cgroup_root", Some(&self.cgroup_root)),
            ("host_root", Some(&self.host_root)),
            ("btf", self.btf.as_ref()),
            ("lock_file", Some(&self.lock_file)),
        ] {
            if path.is_some_and(|path| path.as_os_str().is_empty()) {
                return Err(ConfigError::OutOfRange {
                    name,
                    value: "empty".to_owned(),
                    range: "a path",
                });
            }
        }
        if self.signals.is_empty() {
            return Err(ConfigError::OutOfRange {
                name: "signals",
                value: "nothing".to_owned(),
                range: "at least one of sched, block_io, oom, cgroup_life",
            });
        }
        self.catalog.check()?;
        self.trace.check()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(args: RunArgs, file: &str) -> Result<Config, ConfigError> {
        let path = std::path::Path::new("cgscope.toml");
        Config::decide(args, FileConfig::parse(path, file)?)
    }

    #[test]
    fn a_flag_goes_before_the_file_and_that_before_the_default() {
        let args = RunArgs {
            interval: Some(Duration::from_secs(2)),
            ..RunArgs::default()
        };
        let config = decide(args, "interval = '5s'\nlisten = '[::1]:1234'").unwrap();
        assert_eq!(config.interval, Duration::from_secs(2));
        assert_eq!(config.listen, "[::1]:1234".parse().unwrap());
        assert_eq!(config.retention, Duration::from_mins(5));
        assert_eq!(config.signals.len(), 4);
    }

    #[test]
    fn the_names_of_others_are_off_until_a_flag_or_the_file_wants_them() {
        let names = |flag: Option<bool>, file: &str| {
            let args = RunArgs {
                export_cadvisor: flag,
                ..RunArgs::default()
            };
            decide(args, file).unwrap().names
        };
        let wanted = "[export.cadvisor]\nenabled = true";
        for (flag, file, cadvisor) in [
            (None, "", false),
            (None, wanted, true),
            (None, "[export.cadvisor]", false),
            (Some(true), "", true),
            (Some(false), wanted, false),
        ] {
            assert_eq!(names(flag, file).cadvisor, cadvisor, "{flag:?} {file}");
            assert!(!names(flag, file).containerd);
        }
        let both = "export = { containerd = { enabled = true }, cadvisor = { enabled = true } }";
        assert!(names(None, both).containerd && names(None, both).cadvisor);
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        for (file, expected) in [
            (
                "interval = '10s'\nintervall = 1",
                &["line 2", "intervall"][..],
            ),
            ("\n\nlisten = 'nowhere'", &["line 3", "nowhere"]),
            ("interval = 'ten'", &["line 1", "ten", "10s"]),
            (
                "signals = ['sched', 'disk']",
                &["line 1", "disk", "block_io"],
            ),
            ("samples_ring = '3MiB'", &["line 1", "power of two"]),
            ("listen = ", &["line 1"]),
            ("max_cgroups = -1", &["line 1"]),
            (
                "[export.cadvisor]\nenabled = 'yes'",
                &["line 2", "enabled", "boolean"],
            ),
            (
                "\n[export.cadviser]\nenabled = true",
                &["line 2", "cadviser", "cadvisor", "containerd"],
            ),
            (
                "[export.containerd]\nenable = true",
                &["line 2", "enable", "enabled"],
            ),
        ] {
            let message = crate::error_chain(&decide(RunArgs::default(), file).unwrap_err());
            for part in expected {
                assert!(message.contains(part), "{part:?} not in {message:?}");
            }
            assert!(message.contains("cgscope.toml"), "{message}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused_whatever_they_came_from() {
        for file in [
            "interval = '10ms'",
            "interval = '2h'",
            "max_cgroups = 0",
            "signals = []",
            "cgroup_root = ''",
            "host_root = ''",
            "btf = ''",
            "lock_file = ''",
        ] {
            let error = decide(RunArgs::default(), file).unwrap_err();
            assert!(
                matches!(error, ConfigError::OutOfRange { .. }),
                "{file}: {error}"
            );
        }
    }
}
