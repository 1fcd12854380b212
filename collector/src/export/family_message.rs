//! A metric family as a message of protobuf, made from parts of it.
//!
//! In: parts of one family, as the encoder builds them, with marks in the place of a cgroup's labels. Out:
//! the bytes of the family. Each label that the encoder builds takes two strings and an allocation, and a
//! cgroup has the same six on some hundred series: they are encoded once, and put where the mark is.

use std::{fmt, mem};

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    Metric, MetricFamily,
};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

use super::{
    cgroup_labels::CgroupLabels,
    pieces::{Pieces, Unwanted},
};

/// The bytes of one family, without its length.
#[derive(Debug, Default)]
pub(super) struct FamilyMessage {
    bytes: Vec<u8>,
}

/// The number of the field `metric` in `MetricFamily`.
const METRIC: u32 = 4;

/// Bytes that are handed on in one go: a family can have more than a piece.
const SLICE_BYTES: usize = 4 << 10;

impl FamilyMessage {
    /// Adds a part. Only the head of the first one is kept: it is the same in all.
    pub(super) fn add(&mut self, mut part: MetricFamily, labels: &[CgroupLabels]) -> fmt::Result {
        let metrics = mem::take(&mut part.metric);
        // The only error is a buffer without room, and this one grows.
        if self.bytes.is_empty() {
            part.encode(&mut self.bytes).map_err(|_full| fmt::Error)?;
        }
        metrics
            .into_iter()
            .try_for_each(|metric| self.add_metric(metric, labels))
    }

    fn add_metric(&mut self, mut metric: Metric, labels: &[CgroupLabels]) -> fmt::Result {
        let marked = metric.label.first().filter(|label| label.name.is_empty());
        let of_cgroup: &[u8] = match marked {
            Some(mark) => {
                let position: usize = mark.value.parse().map_err(|_no_mark| fmt::Error)?;
                metric.label.remove(0);
                labels.get(position).ok_or(fmt::Error)?.bytes()
            }
            None => &[],
        };
        let length = of_cgroup.len() + metric.encoded_len();
        encode_key(METRIC, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(length as u64, &mut self.bytes);
        // Fields come in any order, and the labels of a list stay in theirs.
        self.bytes.extend_from_slice(of_cgroup);
        metric.encode(&mut self.bytes).map_err(|_full| fmt::Error)
    }

    /// Writes the family behind its length, and begins the next one. One without a head is none.
    pub(super) fn finish<T: FnMut(Vec<u8>) -> bool>(
        &mut self,
        out: &mut Pieces<T>,
    ) -> Result<(), Unwanted> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let mut length = Vec::new();
        encode_varint(self.bytes.len() as u64, &mut length);
        out.push(&length)?;
        for slice in self.bytes.chunks(SLICE_BYTES) {
            out.push(slice)?;
        }
        self.bytes.clear();
        Ok(())
    }
}
