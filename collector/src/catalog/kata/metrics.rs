//! The metrics that a shim of Kata tells, as numbers.
//!
//! In: Prometheus's text format. Out: families whose names begin with `kata_`, with their samples. Never
//! here: what they mean.

use crate::catalog::runtime_container::told_text;

/// The beginning of the names that are kept.
const PREFIX: &str = "kata_";

/// The longest name of a metric or a label.
const MAX_NAME: usize = 128;

/// The most labels of a sample.
const MAX_LABELS: usize = 16;

/// The most samples of a shim. It has some 500, more with each disk and network device.
const MAX_SAMPLES: usize = 4096;

/// The most families. It has some 60.
const MAX_FAMILIES: usize = 512;

/// What a shim tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShimMetrics {
    /// In the order in which it tells them.
    pub families: Vec<Family>,
    /// Lines of `kata_` metrics that were not understood, or were too many.
    pub left_out: u64,
}

/// A metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What it is, in the shim's words.
    pub help: String,
    /// Its values.
    pub samples: Vec<Sample>,
}

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Has samples with the suffixes `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Has quantiles, and samples with the suffixes `_sum` and `_count`.
    Summary,
    /// The shim does not tell.
    #[default]
    Untyped,
}

impl Kind {
    /// The name in the text format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }

    /// Of a counter whose name ends as `OpenMetrics` wants it, what is before that end.
    #[must_use]
    pub fn open_metrics_stem(self, name: &str) -> Option<&str> {
        name.strip_suffix("_total")
            .filter(|_| self == Self::Counter)
    }
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// What is behind the metric's name in the sample's: empty, or a suffix of [`Kind::Histogram`] or
    /// [`Kind::Summary`].
    pub suffix: String,
    /// The labels.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

impl ShimMetrics {
    /// Reads them. A line that is not understood costs no other.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut metrics = Self::default();
        let mut room = MAX_SAMPLES;
        for line in text.lines() {
            let line = line.trim();
            let is_taken = if let Some(comment) = line.strip_prefix('#') {
                metrics.take_comment(comment)
            } else if line.starts_with(PREFIX) {
                let is_taken = room > 0 && metrics.take_sample(line).is_some();
                room -= usize::from(is_taken);
                is_taken
            } else {
                true
            };
            metrics.left_out += u64::from(!is_taken);
        }
        metrics.families.retain(|family| !family.samples.is_empty());
        metrics
    }

    /// Reads `HELP` and `TYPE`; false for one that is not understood.
    fn take_comment(&mut self, comment: &str) -> bool {
        let mut words = comment.trim_start().splitn(3, ' ');
        let (Some(word), Some(name)) = (words.next(), words.next()) else {
            return true;
        };
        if !matches!(word, "HELP" | "TYPE") || !name.starts_with(PREFIX) {
            return true;
        }
        let rest = words.next().unwrap_or_default();
        let Some(family) = self.family(name) else {
            return false;
        };
        if word == "HELP" {
            family.help = told_text(&unescaped(rest));
            return true;
        }
        family.kind = match rest.trim() {
            "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            "summary" => Kind::Summary,
            "untyped" => Kind::Untyped,
            _ => return false,
        };
        true
    }

    /// The family of a name, made if it is new; `None` for a name that is none, or one too many.
    fn family(&mut self, name: &str) -> Option<&mut Family> {
        if !is_name(name) {
            return None;
        }
        // Families are told one behind the other.
        let at = self.families.iter().rposition(|family| family.name == name);
        let at = match at {
            Some(at) => at,
            None if self.families.len() < MAX_FAMILIES => {
                self.families.push(Family {
                    name: name.to_owned(),
                    ..Family::default()
                });
                self.families.len() - 1
            }
            None => return None,
        };
        self.families.get_mut(at)
    }

    /// Reads a sample.
    fn take_sample(&mut self, line: &str) -> Option<()> {
        let end = line.find(['{', ' ', '\t'])?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inside) => labels(inside)?,
            None => (Vec::new(), rest),
        };
        // What is behind the value is the time, which a shim does not tell.
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        let (name, suffix) = self.split_suffix(name);
        let sample = Sample {
            suffix: suffix.to_owned(),
            labels,
            value,
        };
        self.family(name)?.samples.push(sample);
        Some(())
    }

    /// Splits a sample's name, if it is one of a histogram or a summary.
    fn split_suffix<'a>(&self, name: &'a str) -> (&'a str, &'static str) {
        let is_of = |family: &str, suffix: &str| {
            self.families.iter().any(|of| {
                let has = match of.kind {
                    Kind::Histogram => true,
                    Kind::Summary => suffix != "_bucket",
                    Kind::Counter | Kind::Gauge | Kind::Untyped => false,
                };
                has && of.name == family
            })
        };
        ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|suffix| {
                let family = name.strip_suffix(suffix)?;
                is_of(family, suffix).then_some((family, suffix))
            })
            .unwrap_or((name, ""))
    }
}

/// Reads labels up to the closing brace, and tells what is behind it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, value) = rest.split_once("=\"")?;
        let end = closing_quote(value)?;
        if !is_name(name) || labels.len() == MAX_LABELS {
            return None;
        }
        labels.push((name.to_owned(), told_text(&unescaped(&value[..end]))));
        rest = &value[end + 1..];
    }
}

/// Where the quote is that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(escaped) => escaped,
                None => '\\',
            },
            plain => plain,
        });
    }
    plain
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn families_are_read_as_the_shim_tells_them() {
        let text = "\
# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 17
# HELP kata_guest_cpu_time Guest CPU statistics.
# TYPE kata_guest_cpu_time gauge
kata_guest_cpu_time{cpu=\"0\",item=\"user\"} 12
kata_guest_cpu_time{cpu=\"0\",item=\"a \\\"b\\\\}\\\"\"} 1.5e3
# TYPE kata_shim_rpc_durations_histogram_milliseconds histogram
kata_shim_rpc_durations_histogram_milliseconds_bucket{action=\"create\",le=\"1\"} 0
kata_shim_rpc_durations_histogram_milliseconds_bucket{action=\"create\",le=\"+Inf\"} 1
kata_shim_rpc_durations_histogram_milliseconds_sum{action=\"create\"} 900
kata_shim_rpc_durations_histogram_milliseconds_count{action=\"create\"} 1
# TYPE kata_shim_count counter
kata_shim_count 4 1700000000000
";
        let metrics = ShimMetrics::read(text);
        assert_eq!(metrics.left_out, 0);
        let names: Vec<_> = metrics
            .families
            .iter()
            .map(|family| (family.name.as_str(), family.kind, family.samples.len()))
            .collect();
        assert_eq!(
            names,
            [
                ("kata_guest_cpu_time", Kind::Gauge, 2),
                (
                    "kata_shim_rpc_durations_histogram_milliseconds",
                    Kind::Histogram,
                    4
                ),
                ("kata_shim_count", Kind::Counter, 1),
            ]
        );
        let [cpu, rpc, _] = &metrics.families[..] else {
            panic!()
        };
        assert_eq!(cpu.help, "Guest CPU statistics.");
        assert_eq!(
            cpu.samples[1],
            Sample {
                suffix: String::new(),
                labels: vec![
                    ("cpu".to_owned(), "0".to_owned()),
                    ("item".to_owned(), "a \"b\\}\"".to_owned())
                ],
                value: 1500.0,
            }
        );
        assert_eq!(rpc.samples[1].suffix, "_bucket");
        assert_eq!(rpc.samples[2].suffix, "_sum");
    }

    #[test]
    fn what_is_not_understood_or_too_much_is_left_out_and_counted() {
        for line in [
            "kata_x{a=\"1\" 1",
            "kata_x{a=1} 1",
            "kata_x{a-b=\"1\"} 1",
            "kata_x one",
            "kata_x",
            "kata_é 1",
            "# TYPE kata_x flower",
        ] {
            let metrics = ShimMetrics::read(line);
            assert_eq!((metrics.families.len(), metrics.left_out), (0, 1), "{line}");
        }
        let many: String = (0..5000)
            .flat_map(|n| [format!("kata_x{{n=\"{n}\"}} 1\n")])
            .collect();
        let metrics = ShimMetrics::read(&many);
        assert_eq!(metrics.families[0].samples.len(), MAX_SAMPLES);
        assert_eq!(metrics.left_out, 5000 - MAX_SAMPLES as u64);
    }

    proptest! {
        #[test]
        fn any_text_is_read_in_bounds(text in "(kata_[a-z{}=\",\\\\ 0-9]{0,40}\n){0,50}") {
            let metrics = ShimMetrics::read(&text);
            let samples: usize = metrics.families.iter().map(|of| of.samples.len()).sum();
            prop_assert!(samples <= 50);
        }
    }
}
