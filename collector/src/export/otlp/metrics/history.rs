//! What was exported before of a cgroup, or of cgscope: since when each of its series counts, what a difference
//! is taken from, and of which series it must be said that there is none any more.
//!
//! In: series with their values since the start. Out: data points. Bounded by what the last export had; where points
//! are differences, by a number besides.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use foldhash::fast::RandomState;
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value},
    metrics::v1::{
        DataPointFlags, Exemplar, ExponentialHistogramDataPoint, Metric, NumberDataPoint,
        metric::Data, number_data_point,
    },
};

use super::{Shape, Stream, TemporalityPreference, Value, histogram};
use crate::export::otlp::attributes::text;

/// Whose series were exported before.
#[derive(Debug, Default)]
pub(super) struct Entity {
    /// By their [keys](write_key).
    series: HashMap<Box<str>, Series, RandomState>,
    /// Of the export that there was last.
    round: u64,
    /// When that was.
    exported: u64,
    /// When what is counted all along was first counted.
    began: Option<u64>,
    /// Where points are differences: what is counted since a start that nobody knows, as it was told, and in which
    /// export it was first.
    unknown: Vec<(&'static str, Since, u64)>,
    /// The spans of the exemplars of the last export, where points are differences: each is of one of these.
    exemplars: HashSet<Vec<u8>>,
}

/// A series that was exported.
#[derive(Debug)]
struct Series {
    /// Of its metric.
    name: &'static str,
    /// The last export that it was in.
    round: u64,
    /// Since when it counts.
    start: u64,
    /// As it was told: another is another life.
    told: Since,
    /// Whether its points are differences.
    is_difference: bool,
    last: Last,
}

/// What a series said last.
#[derive(Debug)]
enum Last {
    /// That does not matter.
    Any,
    /// The value, or the count of a histogram.
    Number(f64),
    /// All of it: a difference is needed.
    Histogram(Box<ExponentialHistogramDataPoint>),
}

/// Since when a series counts, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    start: u64,
    /// Of which life of the path alone. Where the calendar was set back, `start` is still as it was told, later than
    /// now: it tells lives apart too, whose path was forgotten in between.
    life: Option<u32>,
}

impl Since {
    /// Since `start` or, where it was exported before, since what was said then.
    pub(super) const fn all_along(start: u64) -> Self {
        Self { start, life: None }
    }

    /// Since `start`, of one life: the values of another have nothing to do with these. 0 is not known: then the first
    /// value is no difference to anything.
    pub(super) const fn of_life(life: u32, start: u64) -> Self {
        Self {
            start,
            life: Some(life),
        }
    }

    /// Since a start that nobody knows, through all lives of the path: the first value is no difference to anything.
    pub(super) const fn unknown() -> Self {
        // The first life is 1.
        Self::of_life(0, 0)
    }

    /// Whether nobody knows.
    const fn is_unknown(self) -> bool {
        self.start == 0 && self.life.is_some()
    }
}

#[cfg(test)]
impl Entity {
    /// How many series are remembered.
    pub(super) fn series_kept(&self) -> usize {
        self.series.len()
    }
}

/// Takes all series of an export.
#[derive(Debug)]
pub(super) struct Points<'a> {
    entity: &'a mut Entity,
    temporality: TemporalityPreference,
    time: u64,
    metrics: Vec<Metric>,
    /// The spans of this export's exemplars, where points are differences.
    exemplars: HashSet<Vec<u8>>,
    /// The key that was looked for last: few are new.
    key: String,
}

impl<'a> Points<'a> {
    /// Of the next export, at `time`.
    pub(super) fn new(
        entity: &'a mut Entity,
        temporality: TemporalityPreference,
        time: u64,
    ) -> Self {
        entity.round += 1;
        Self {
            entity,
            temporality,
            time,
            metrics: Vec::new(),
            exemplars: HashSet::new(),
            key: String::new(),
        }
    }

    /// Adds a series with its value since the start.
    pub(super) fn add(
        &mut self,
        stream: &Stream,
        attributes: Vec<KeyValue>,
        value: Value,
        since: Since,
        exemplars: Vec<Exemplar>,
    ) {
        let (start, value) = if stream.shape == Shape::Gauge {
            self.see(stream, &attributes);
            (0, value)
        } else {
            match self.counted(stream, &attributes, value, since) {
                Some(counted) => counted,
                None => return,
            }
        };
        let mut point = Point {
            attributes,
            start,
            time: self.time,
            flags: 0,
            value: Some(value),
            exemplars,
        };
        if stream.shape != Shape::Histogram {
            point.exemplars.clear();
        } else if stream.temporality(self.temporality) == TemporalityPreference::Delta {
            let spans = point.exemplars.iter();
            self.exemplars
                .extend(spans.map(|exemplar| exemplar.span_id.clone()));
            let before = &self.entity.exemplars;
            point
                .exemplars
                .retain(|exemplar| !before.contains(&exemplar.span_id));
        }
        self.push(stream, point);
    }

    /// Notes a gauge.
    fn see(&mut self, stream: &Stream, attributes: &[KeyValue]) {
        write_key(&mut self.key, stream.name, attributes);
        let Entity { series, round, .. } = &mut *self.entity;
        let fresh = || Series::fresh(stream.name, Since::all_along(0), false);
        with_series(series, &self.key, fresh, |known| known.round = *round);
    }

    /// Since when a sum or histogram counts, and what; `None` where nothing can be said yet.
    fn counted(
        &mut self,
        stream: &Stream,
        attributes: &[KeyValue],
        value: Value,
        since: Since,
    ) -> Option<(u64, Value)> {
        write_key(&mut self.key, stream.name, attributes);
        let Entity {
            series,
            round,
            exported,
            began,
            unknown,
            ..
        } = &mut *self.entity;
        let told = match since {
            Since { life: Some(_), .. } => since,
            Since { life: None, start } => {
                Since::all_along(*began.get_or_insert(start.min(self.time)))
            }
        };
        let temporality = stream.temporality(self.temporality);
        let is_difference = temporality == TemporalityPreference::Delta;
        let is_unknown = is_difference && told.is_unknown();
        let is_baseline = is_unknown && first_seen(unknown, stream.name, told, *round);
        let fresh = || {
            let mut series = Series::fresh(stream.name, told, is_difference);
            if is_unknown && !is_baseline {
                // What comes to a metric later was not there before.
                series.start = *exported;
            }
            series
        };
        with_series(series, &self.key, fresh, |known| {
            if known.told != told {
                *known = fresh();
            }
            let is_monotonic = !matches!(
                stream.shape,
                Shape::Sum {
                    is_monotonic: false
                }
            );
            let difference = known.last.difference(&value);
            if is_monotonic && matches!(difference, Difference::Fell) {
                // It fell: what it counts now began after the export before.
                known.start = (*exported).max(told.start);
            }
            // A calendar that was set back says that it began, or was exported, later than now. It is said once and
            // kept: a start that moves on would be a new beginning each time.
            known.start = known.start.min(self.time);
            known.round = *round;
            known.last = Last::of(&value, temporality);
            let start = known.start;
            match temporality {
                TemporalityPreference::Cumulative => Some((start, value)),
                TemporalityPreference::Delta => {
                    known.start = self.time;
                    match difference {
                        Difference::Unknown if is_baseline => None,
                        Difference::Rose(by) => Some((start, by)),
                        Difference::Fell | Difference::Unknown => Some((start, value)),
                    }
                }
            }
        })
    }

    fn push(&mut self, stream: &Stream, point: Point) {
        let is_last = matches!(self.metrics.last(), Some(last) if last.name == stream.name);
        if !is_last {
            self.metrics.push(stream.metric(self.temporality));
        }
        if let Some(metric) = self.metrics.last_mut() {
            point.add_to(metric);
        }
    }

    /// All that is to be sent. A series that was there before and is not now has a last point without a value,
    /// except where points are differences: no difference needs no end.
    pub(super) fn finish(mut self) -> Vec<Metric> {
        let round = self.entity.round;
        let series = &mut self.entity.series;
        let mut ended: Vec<_> = series
            .extract_if(|_, series| series.round != round && !series.is_difference)
            .collect();
        forget_longest_absent(series, round);
        // All points of a metric are in one message of it.
        ended.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (key, series) in ended {
            let Some(stream) = Stream::named(series.name) else {
                continue;
            };
            let point = Point {
                attributes: attributes_of(&key),
                start: series.start.min(self.time),
                time: self.time,
                flags: DataPointFlags::NoRecordedValueMask as u32,
                value: None,
                exemplars: Vec::new(),
            };
            let same = |metric: &&mut Metric| metric.name == stream.name;
            match self.metrics.iter_mut().find(same) {
                Some(metric) => point.add_to(metric),
                None => self.push(&stream, point),
            }
        }
        self.entity.exported = self.time;
        self.entity.exemplars = mem::take(&mut self.exemplars);
        self.metrics
    }
}

/// Stands between the parts of a key, and is in no name.
const SEPARATOR: char = '\0';

/// Writes what names a series: its metric, and its attributes.
fn write_key(key: &mut String, name: &str, attributes: &[KeyValue]) {
    key.clear();
    key.push_str(name);
    for attribute in attributes {
        key.push(SEPARATOR);
        key.push_str(&attribute.key);
        key.push(SEPARATOR);
        let value = attribute.value.as_ref().and_then(|of| of.value.as_ref());
        if let Some(any_value::Value::StringValue(value)) = value {
            key.push_str(value);
        }
    }
}

/// The attributes in a key.
fn attributes_of(key: &str) -> Vec<KeyValue> {
    let mut parts = key.split(SEPARATOR).skip(1);
    let mut attributes = Vec::new();
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        attributes.push(text(key, value));
    }
    attributes
}

/// Does something with the series of a key, which is made if there is none.
fn with_series<T>(
    series: &mut HashMap<Box<str>, Series, RandomState>,
    key: &str,
    fresh: impl FnOnce() -> Series,
    what: impl FnOnce(&mut Series) -> T,
) -> T {
    if let Some(known) = series.get_mut(key) {
        return what(known);
    }
    let mut new = fresh();
    let done = what(&mut new);
    series.insert(key.into(), new);
    done
}

/// Whether a metric with an unknown start is in an export of a life for the first time.
fn first_seen(
    known: &mut Vec<(&'static str, Since, u64)>,
    name: &'static str,
    since: Since,
    round: u64,
) -> bool {
    match known.iter_mut().find(|(of, ..)| *of == name) {
        Some((_, told, first)) if *told == since => *first == round,
        Some(other) => {
            *other = (name, since, round);
            true
        }
        None => {
            known.push((name, since, round));
            true
        }
    }
}

/// How many differences that are absent are kept for each cgroup: they may come back, and go on from where they were.
const MAX_ABSENT: usize = 256;

/// Forgets those that are too many.
fn forget_longest_absent(series: &mut HashMap<Box<str>, Series, RandomState>, round: u64) {
    let absent = series.values().filter(|series| series.round != round);
    let mut rounds: Vec<_> = absent.map(|series| series.round).collect();
    let Some(excess) = rounds.len().checked_sub(MAX_ABSENT + 1) else {
        return;
    };
    rounds.sort_unstable();
    let oldest = rounds[excess];
    series.retain(|_, series| series.round > oldest);
}

impl Series {
    const fn fresh(name: &'static str, told: Since, is_difference: bool) -> Self {
        Self {
            name,
            round: 0,
            start: told.start,
            told,
            is_difference,
            last: Last::Any,
        }
    }
}

impl Last {
    /// What has to be kept of a value.
    fn of(value: &Value, temporality: TemporalityPreference) -> Self {
        match (value, temporality) {
            (Value::Histogram(of), TemporalityPreference::Delta) => Self::Histogram(of.clone()),
            (value, _) => Self::Number(number_of(value)),
        }
    }

    /// What has come since.
    fn difference(&self, now: &Value) -> Difference {
        match (self, now) {
            (Self::Any, _) => Difference::Unknown,
            (Self::Histogram(before), Value::Histogram(now)) => histogram::between(before, now)
                .map_or(Difference::Fell, |between| {
                    Difference::Rose(Value::Histogram(between))
                }),
            (Self::Histogram(_), Value::Number(_)) => Difference::Fell,
            (Self::Number(before), now) => {
                let between = number_of(now) - before;
                if between < 0.0 {
                    return Difference::Fell;
                }
                match now {
                    Value::Number(number_data_point::Value::AsDouble(_)) => {
                        Difference::Rose(Value::Number(number_data_point::Value::AsDouble(between)))
                    }
                    Value::Number(number_data_point::Value::AsInt(_)) => {
                        #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
                        let between = between as i64;
                        Difference::Rose(Value::Number(number_data_point::Value::AsInt(between)))
                    }
                    Value::Histogram(_) => Difference::Unknown,
                }
            }
        }
    }
}

/// What came to a value.
#[derive(Debug)]
enum Difference {
    /// There is nothing to go by.
    Unknown,
    /// Less than nothing: it has begun anew.
    Fell,
    /// So much.
    Rose(Value),
}

#[expect(clippy::cast_precision_loss, reason = "as precise as a scrape")]
fn number_of(value: &Value) -> f64 {
    match value {
        Value::Number(number_data_point::Value::AsDouble(value)) => *value,
        Value::Number(number_data_point::Value::AsInt(value)) => *value as f64,
        Value::Histogram(of) => of.count as f64,
    }
}

/// A data point of any shape.
#[derive(Debug)]
struct Point {
    attributes: Vec<KeyValue>,
    start: u64,
    time: u64,
    flags: u32,
    value: Option<Value>,
    exemplars: Vec<Exemplar>,
}

impl Point {
    fn add_to(self, metric: &mut Metric) {
        let Self {
            attributes,
            start,
            time,
            flags,
            value,
            exemplars,
        } = self;
        let number = |value: Option<Value>, attributes| NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            flags,
            value: match value {
                Some(Value::Number(value)) => Some(value),
                Some(Value::Histogram(_)) | None => None,
            },
            exemplars: Vec::new(),
        };
        match &mut metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.push(number(value, attributes)),
            Some(Data::Sum(sum)) => sum.data_points.push(number(value, attributes)),
            Some(Data::ExponentialHistogram(histogram)) => {
                let point = match value {
                    Some(Value::Histogram(point)) => *point,
                    Some(Value::Number(_)) | None => ExponentialHistogramDataPoint::default(),
                };
                histogram.data_points.push(ExponentialHistogramDataPoint {
                    attributes,
                    start_time_unix_nano: start,
                    time_unix_nano: time,
                    flags,
                    exemplars,
                    ..point
                });
            }
            Some(Data::Histogram(_) | Data::Summary(_)) | None => {}
        }
    }
}
