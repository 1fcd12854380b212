//! The metrics of one shim as series that a Prometheus accepts.
//!
//! In: the samples that a shim tells. Out: points, each with labels of its own, histograms and summaries put
//! together. Never here: two points with the same labels, or one that contradicts itself.

use std::collections::HashMap;

use super::metrics::{Family, Kind, Sample, ShimMetrics};

/// A metric of one shim.
#[derive(Clone, Debug, PartialEq)]
pub struct PointFamily {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What it is, in the shim's words.
    pub help: String,
    /// Its series; one at least.
    pub points: Vec<Point>,
}

/// A series, with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The labels, by their names; those of a bucket or a quantile are not among them.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: Value,
}

/// What a point says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter, a gauge, or what the shim does not tell.
    Number(f64),
    /// Of a histogram.
    Histogram {
        /// How many values there were.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Bounds, rising, and how many values were not above each. The last one, which has all, is left out.
        buckets: Vec<(f64, u64)>,
    },
    /// Of a summary.
    Summary {
        /// How many values there were.
        count: u64,
        /// Their sum.
        sum: f64,
        /// Shares, rising, and the value below which so many were.
        quantiles: Vec<(f64, f64)>,
    },
}

/// The labels that the exposition puts before a shim's own.
pub const SANDBOX_LABELS: [&str; 4] = ["sandbox_id", "cri_uid", "cri_name", "cri_namespace"];

/// What a label of a shim is renamed with that has the name of one of those, as a Prometheus would.
const RENAMED: &str = "exported_";

/// The label of a bucket, and that of a quantile.
const LE: &str = "le";
const QUANTILE: &str = "quantile";

impl PointFamily {
    /// How much of the room for all points its own take.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.points.iter().map(Point::weight).sum()
    }
}

impl Point {
    /// How much of the room for all points it takes: one for each line and for each 512 bytes of labels.
    #[must_use]
    pub fn weight(&self) -> usize {
        const PER_LABEL: usize = 64;
        let lines = match &self.value {
            Value::Number(_) => 1,
            Value::Histogram { buckets, .. } => buckets.len() + 3,
            Value::Summary { quantiles, .. } => quantiles.len() + 2,
        };
        let text = self
            .labels
            .iter()
            .map(|(name, value)| name.len() + value.len());
        lines + (text.sum::<usize>() + PER_LABEL * self.labels.len()) / 512
    }
}

/// Puts a shim's samples together, and tells how many lines had to be left out.
#[must_use]
pub fn points(metrics: ShimMetrics) -> (Vec<PointFamily>, u64) {
    let ShimMetrics {
        families,
        mut left_out,
    } = metrics;
    let families = families
        .into_iter()
        .map(|family| family_of(family, &mut left_out))
        .filter(|family| !family.points.is_empty())
        .collect();
    (families, left_out)
}

fn family_of(family: Family, left_out: &mut u64) -> PointFamily {
    let Family {
        name,
        kind,
        help,
        samples,
    } = family;
    let mut parts: Vec<Parts> = Vec::new();
    let mut places = HashMap::new();
    for sample in samples {
        let Some((labels, part)) = Part::of(kind, sample) else {
            *left_out += 1;
            continue;
        };
        let at = *places.entry(labels).or_insert_with(|| {
            parts.push(Parts::default());
            parts.len() - 1
        });
        *left_out += u64::from(!parts[at].add(part));
    }
    let mut by_place: Vec<_> = places.into_iter().collect();
    by_place.sort_unstable_by_key(|(_, at)| *at);
    let points = by_place
        .into_iter()
        .zip(parts)
        .filter_map(|((labels, _), parts)| {
            let lines = parts.lines;
            let value = parts.value(kind);
            if value.is_none() {
                *left_out += lines;
            }
            value.map(|value| Point { labels, value })
        });
    let points = points.collect();
    PointFamily {
        name,
        kind,
        help,
        points,
    }
}

/// What one line says of a point.
#[derive(Clone, Copy, Debug)]
enum Part {
    Number(f64),
    Count(u64),
    Sum(f64),
    Bucket(f64, u64),
    Quantile(f64, f64),
}

impl Part {
    /// Of a line, with the labels of its point; `None` for one that makes no sense.
    fn of(kind: Kind, sample: Sample) -> Option<(Vec<(String, String)>, Self)> {
        let Sample {
            suffix,
            labels,
            value,
        } = sample;
        let mut bound = None;
        let mut quantile = None;
        let mut own = Vec::with_capacity(labels.len());
        for (name, text) in labels {
            match name.as_str() {
                LE => bound = Some(text.parse::<f64>().ok()?),
                QUANTILE => quantile = Some(text.parse::<f64>().ok()?),
                reserved if reserved.starts_with("__") => return None,
                // The same as one that is not there.
                _ if text.is_empty() => {}
                taken if SANDBOX_LABELS.contains(&taken) => {
                    own.push((format!("{RENAMED}{taken}"), text));
                }
                _ => own.push((name, text)),
            }
        }
        own.sort_unstable();
        if own.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        let part = match (kind, suffix.as_str(), bound, quantile) {
            (Kind::Gauge | Kind::Untyped, "", None, None) => Self::Number(value),
            (Kind::Counter, "", None, None) if value >= 0.0 && value.is_finite() => {
                Self::Number(value)
            }
            (Kind::Histogram | Kind::Summary, "_sum", None, None) => Self::Sum(value),
            (Kind::Histogram | Kind::Summary, "_count", None, None) => Self::Count(whole(value)?),
            (Kind::Histogram, "_bucket", Some(bound), None) if !bound.is_nan() => {
                Self::Bucket(bound, whole(value)?)
            }
            (Kind::Summary, "", None, Some(quantile)) if (0.0..=1.0).contains(&quantile) => {
                Self::Quantile(quantile, value)
            }
            _ => return None,
        };
        Some((own, part))
    }
}

/// A number of values.
fn whole(value: f64) -> Option<u64> {
    /// Above it not every whole number is a float.
    const MOST: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, and within bounds"
    )]
    ((0.0..=MOST).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

/// What has come of a point.
#[derive(Debug, Default)]
struct Parts {
    number: Option<f64>,
    count: Option<u64>,
    sum: Option<f64>,
    buckets: Vec<(f64, u64)>,
    quantiles: Vec<(f64, f64)>,
    lines: u64,
}

impl Parts {
    /// Whether it was not there before.
    fn add(&mut self, part: Part) -> bool {
        let is_new = match part {
            Part::Number(value) => set(&mut self.number, value),
            Part::Count(count) => set(&mut self.count, count),
            Part::Sum(sum) => set(&mut self.sum, sum),
            Part::Bucket(bound, count) => {
                self.buckets.push((bound, count));
                true
            }
            Part::Quantile(quantile, value) => {
                self.quantiles.push((quantile, value));
                true
            }
        };
        self.lines += u64::from(is_new);
        is_new
    }

    /// Put together; `None` where something is missing, or contradicts the rest.
    fn value(self, kind: Kind) -> Option<Value> {
        match kind {
            Kind::Counter | Kind::Gauge | Kind::Untyped => self.number.map(Value::Number),
            Kind::Histogram => {
                let (count, sum) = (self.count?, self.sum?);
                let mut buckets = self.buckets;
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                let rises = is_rising(&buckets) && buckets.windows(2).all(|of| of[0].1 <= of[1].1);
                let last = buckets.pop_if(|(bound, _)| *bound == f64::INFINITY);
                let has_all = last.is_none_or(|(_, all)| all == count)
                    && buckets.last().is_none_or(|(_, below)| *below <= count);
                (rises && has_all).then_some(Value::Histogram {
                    count,
                    sum,
                    buckets,
                })
            }
            Kind::Summary => {
                let (count, sum) = (self.count?, self.sum?);
                let mut quantiles = self.quantiles;
                quantiles.sort_by(|one, other| one.0.total_cmp(&other.0));
                is_rising(&quantiles).then_some(Value::Summary {
                    count,
                    sum,
                    quantiles,
                })
            }
        }
    }
}

/// Sets what was not set. Whether it was not.
fn set<T>(place: &mut Option<T>, value: T) -> bool {
    let is_new = place.is_none();
    place.get_or_insert(value);
    is_new
}

fn is_rising<T>(list: &[(f64, T)]) -> bool {
    list.windows(2).all(|pair| pair[0].0 < pair[1].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<PointFamily>, u64) {
        points(ShimMetrics::read(text))
    }

    fn label(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn histograms_and_summaries_are_put_together_by_their_labels() {
        let (families, left_out) = read(
            "\
# TYPE kata_rpc histogram
kata_rpc_bucket{action=\"create\",le=\"1\"} 2
kata_rpc_bucket{action=\"create\",le=\"+Inf\"} 3
kata_rpc_bucket{le=\"1\",action=\"start\"} 0
kata_rpc_sum{action=\"create\"} 900.5
kata_rpc_count{action=\"create\"} 3
kata_rpc_sum{action=\"start\"} 0
kata_rpc_count{action=\"start\"} 0
# TYPE kata_gc summary
kata_gc{quantile=\"0.5\"} NaN
kata_gc{quantile=\"0\"} 1e-05
kata_gc_sum 2
kata_gc_count 7
",
        );
        assert_eq!(left_out, 0);
        let [rpc, gc] = &families[..] else {
            panic!("{families:?}")
        };
        let histogram = |count, sum, buckets: &[_]| Value::Histogram {
            count,
            sum,
            buckets: buckets.to_vec(),
        };
        assert_eq!(
            rpc.points,
            [
                Point {
                    labels: vec![label("action", "create")],
                    value: histogram(3, 900.5, &[(1.0, 2)]),
                },
                Point {
                    labels: vec![label("action", "start")],
                    value: histogram(0, 0.0, &[(1.0, 0)]),
                },
            ]
        );
        let Value::Summary {
            count: 7,
            quantiles,
            ..
        } = &gc.points[0].value
        else {
            panic!("{gc:?}")
        };
        assert_eq!(quantiles[0], (0.0, 1e-5));
        assert!(quantiles[1].1.is_nan(), "no value, and so no quantile");
    }

    #[test]
    fn a_shim_cannot_claim_the_labels_that_say_whose_it_is() {
        let (families, _) = read("kata_x{sandbox_id=\"other\",cri_name=\"web\",a=\"\"} 1\n");
        let expected = [
            label("exported_cri_name", "web"),
            label("exported_sandbox_id", "other"),
        ];
        assert_eq!(families[0].points[0].labels, expected);
        // Nor twice one label, nor those of a scraper.
        for text in [
            "kata_x{sandbox_id=\"a\",exported_sandbox_id=\"b\"} 1",
            "kata_x{a=\"1\",a=\"2\"} 1",
            "kata_x{__name__=\"up\"} 1",
        ] {
            assert_eq!(read(text), (Vec::new(), 1), "{text}");
        }
    }

    #[test]
    fn what_contradicts_itself_or_is_there_twice_is_left_out_and_counted() {
        let histogram = |lines: &str| format!("# TYPE kata_h histogram\n{lines}");
        for (text, left_out) in [
            (
                "# TYPE kata_c counter\nkata_c -1\nkata_c NaN\nkata_c +Inf\n".to_owned(),
                3,
            ),
            ("kata_x{le=\"1\"} 1\n".to_owned(), 1),
            // More in the smaller bucket.
            (
                histogram(
                    "kata_h_bucket{le=\"1\"} 2\nkata_h_bucket{le=\"2\"} 1\nkata_h_sum 1\nkata_h_count 2\n",
                ),
                4,
            ),
            // More than all.
            (
                histogram("kata_h_bucket{le=\"1\"} 3\nkata_h_sum 1\nkata_h_count 2\n"),
                3,
            ),
            (
                histogram("kata_h_bucket{le=\"+Inf\"} 3\nkata_h_sum 1\nkata_h_count 2\n"),
                3,
            ),
            // One bucket twice, none at all, part of a value.
            (
                histogram(
                    "kata_h_bucket{le=\"1\"} 1\nkata_h_bucket{le=\"1.0\"} 1\nkata_h_sum 1\nkata_h_count 2\n",
                ),
                4,
            ),
            (
                histogram("kata_h_bucket 1\nkata_h_bucket{le=\"1\"} 0.5\nkata_h_sum 1\n"),
                3,
            ),
            (
                "# TYPE kata_s summary\nkata_s{quantile=\"2\"} 1\n".to_owned(),
                1,
            ),
        ] {
            assert_eq!(read(&text), (Vec::new(), left_out), "{text}");
        }
        let (families, left_out) =
            read("kata_x{a=\"1\",b=\"2\"} 1\nkata_x{b=\"2\",a=\"1\"} 5\nkata_x NaN\n");
        assert_eq!(left_out, 1);
        assert_eq!(families[0].points[0].value, Value::Number(1.0));
        assert!(matches!(families[0].points[1].value, Value::Number(value) if value.is_nan()));
    }
}
