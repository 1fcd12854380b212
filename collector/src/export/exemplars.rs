//! Exemplars: samples of a histogram that have spans, in the formats that can say so.
//!
//! In: the exemplars of a cgroup. Out: at most one, the latest, for each classic bucket, behind its line in
//! `OpenMetrics`, in the bucket and in the native histogram's own list in protobuf. Never here: one in the format
//! of Prometheus' text, which has none.
//!
//! The encoder of `prometheus_client` takes no exemplars from outside. So they wait here while it writes the
//! histogram, and are added to what it has written: to a line before it ends, to a message before it is encoded.

use std::{
    fmt::{self, Write},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    self as message, LabelPair, MetricFamily,
};

use super::histogram::{CLASSIC_BUCKETS, seconds};
use crate::{
    reconcile::snapshot::{Exemplar, ExemplarOf},
    window::Cumulative,
};

/// Exemplars that wait for the histogram that they are of to be written.
#[derive(Debug, Default)]
pub(super) struct WaitingExemplars {
    /// Asked for each word that is written.
    are_there: AtomicBool,
    list: Mutex<Vec<Waiting>>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Text: how many lines come before its own. Protobuf: the position of its series in the family.
    position: usize,
    bucket: usize,
    exemplar: Exemplar,
}

/// A histogram has its sum and its count before its buckets.
const LINES_BEFORE_BUCKETS: usize = 2;

impl WaitingExemplars {
    /// For the histogram whose lines come next.
    pub(super) fn for_lines(&self, exemplars: &[Exemplar], of: ExemplarOf) {
        self.add(exemplars, of, |bucket| LINES_BEFORE_BUCKETS + bucket);
    }

    /// For the series at this position in the message of its family.
    pub(super) fn for_series(&self, position: usize, exemplars: &[Exemplar], of: ExemplarOf) {
        self.add(exemplars, of, |_| position);
    }

    fn add(&self, exemplars: &[Exemplar], of: ExemplarOf, position: impl Fn(usize) -> usize) {
        let mut latest: [Option<Exemplar>; CLASSIC_BUCKETS] = [None; CLASSIC_BUCKETS];
        for exemplar in exemplars.iter().filter(|exemplar| exemplar.of == of) {
            let place = &mut latest[bucket_of(exemplar.value_ns)];
            if place.is_none_or(|other| other.at <= exemplar.at) {
                *place = Some(*exemplar);
            }
        }
        let of_buckets = latest.into_iter().enumerate();
        let waiting = of_buckets.filter_map(|(bucket, exemplar)| {
            Some(Waiting {
                position: position(bucket),
                bucket,
                exemplar: exemplar?,
            })
        });
        let mut list = self.list();
        list.extend(waiting);
        self.are_there.store(!list.is_empty(), Ordering::Relaxed);
    }

    /// Adds those that wait to the series of a family.
    pub(super) fn put_into(&self, family: &mut MetricFamily) {
        for waiting in self.list().drain(..) {
            let metric = family.metric.get_mut(waiting.position);
            let Some(histogram) = metric.and_then(|metric| metric.histogram.as_mut()) else {
                continue;
            };
            let exemplar = as_message(&waiting.exemplar);
            histogram.exemplars.push(exemplar.clone());
            if let Some(bucket) = histogram.bucket.get_mut(waiting.bucket) {
                bucket.exemplar = Some(exemplar);
            }
        }
        self.are_there.store(false, Ordering::Relaxed);
    }

    /// The exemplar of the line that ends now, if it has one.
    #[cold]
    fn of_line(&self) -> Option<Exemplar> {
        let mut list = self.list();
        let own = list.iter().position(|waiting| waiting.position == 0);
        let own = own.map(|position| list.remove(position).exemplar);
        for waiting in list.iter_mut() {
            waiting.position -= 1;
        }
        self.are_there.store(!list.is_empty(), Ordering::Relaxed);
        own
    }

    fn list(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to `out` what an encoder of text writes, and the exemplars that wait.
#[derive(Debug)]
pub(super) struct ExemplarText<'a, W> {
    pub(super) out: &'a mut W,
    pub(super) waiting: &'a WaitingExemplars,
}

impl<W: Write> Write for ExemplarText<'_, W> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The encoder ends each line of a histogram by itself; within one a newline is escaped.
        if self.waiting.are_there.load(Ordering::Relaxed)
            && text == "\n"
            && let Some(exemplar) = self.waiting.of_line()
        {
            write_line_end(self.out, &exemplar)?;
        }
        self.out.write_str(text)
    }
}

fn write_line_end(out: &mut impl Write, exemplar: &Exemplar) -> fmt::Result {
    let mut separator = " # {";
    for (name, value) in labels(exemplar) {
        write!(out, "{separator}{name}=\"{value}\"")?;
        separator = ",";
    }
    let at = since_epoch(exemplar.at);
    let value = seconds(exemplar.value_ns);
    write!(out, "}} {value} {}.{:03}", at.as_secs(), at.subsec_millis())
}

fn as_message(exemplar: &Exemplar) -> message::Exemplar {
    let label = |(name, value): (&str, String)| LabelPair {
        name: name.to_owned(),
        value,
    };
    message::Exemplar {
        label: labels(exemplar).map(label).into(),
        value: seconds(exemplar.value_ns),
        timestamp: Some((UNIX_EPOCH + since_epoch(exemplar.at)).into()),
    }
}

/// 63 characters; `OpenMetrics` allows 128.
fn labels(exemplar: &Exemplar) -> [(&'static str, String); 2] {
    [
        ("trace_id", in_hexadecimal(&exemplar.span.trace_id)),
        ("span_id", in_hexadecimal(&exemplar.span.span_id)),
    ]
}

fn in_hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 0xf)];
    bytes.iter().flat_map(digits).collect()
}

/// Of a host whose calendar is not set, its beginning.
fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The classic bucket of a value.
fn bucket_of(ns: u64) -> usize {
    Cumulative::CLASSIC_BOUNDS_NS.partition_point(|bound| *bound < ns)
}
