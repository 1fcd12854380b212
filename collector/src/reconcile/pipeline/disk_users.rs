//! Whose requests a disk worked on while another request was on its way.
//!
//! In: completions of every disk, batch by batch. Out: the cgroup whose requests were in the disk longest during a span
//! of time. Never here: a name, or a request that is not complete.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use collector_common::sample::BlockSample;
use foldhash::fast::RandomState;

use crate::{
    drain::{Batch, SampleTimes, Samples},
    host::clock::Ktime,
};

/// The latest requests of every disk.
#[derive(Debug, Default)]
pub(super) struct DiskUsers {
    disks: HashMap<u32, VecDeque<Request>, RandomState>,
    /// How long the requests of each cgroup were in the disk meanwhile.
    had: HashMap<u64, Duration, RandomState>,
}

/// A request while it was in its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    disk: u32,
    /// Its owner, in the block hierarchy.
    cgroup: u64,
    pub(super) issued: Ktime,
    complete: Ktime,
}

/// Used a disk more than any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiskUser {
    /// Its cgroup, in the block hierarchy.
    pub(super) cgroup: u64,
    /// How long its requests were in the disk: those of one time are added up.
    pub(super) had: Duration,
}

/// Requests of a disk that are kept: some 12 KiB.
const KEPT: usize = 256;

/// Disks of which they are kept: of further ones nobody is named.
const MAX_DISKS: usize = 64;

impl DiskUsers {
    /// Keeps a batch's requests.
    pub(super) fn keep(&mut self, batch: &Batch<'_>, times: &SampleTimes) {
        let Samples::BlockIo(samples) = batch.samples else {
            return;
        };
        // What is known of these is not how long they were in the disk.
        let other = BlockSample::FLAG_PARTIAL | BlockSample::FLAG_EMPTY_FLUSH;
        let whole = samples.iter().enumerate();
        for (position, _) in whole.filter(|(_, sample)| sample.flags & other == 0) {
            let Some(request) = Request::of(batch, position, times) else {
                continue;
            };
            if self.disks.len() >= MAX_DISKS && !self.disks.contains_key(&request.disk) {
                continue;
            }
            let kept = self.disks.entry(request.disk).or_default();
            if kept.len() >= KEPT {
                kept.pop_front();
            }
            // All that is ever kept, at once.
            kept.reserve_exact(KEPT - kept.len());
            kept.push_back(request);
        }
    }

    /// Who used the disk of a request most in the time of `took` that ended then, of what is complete and kept by now:
    /// `None` if nobody beside the request itself.
    pub(super) fn longest(
        &mut self,
        of: Request,
        ended: Ktime,
        took: Duration,
    ) -> Option<DiskUser> {
        let began = Ktime(ended.0.saturating_sub(took));
        self.had.clear();
        let mut longest = DiskUser {
            cgroup: of.cgroup,
            had: Duration::ZERO,
        };
        let others = self.disks.get(&of.disk)?.iter();
        for other in others.filter(|other| **other != of) {
            let both_began = other.issued.max(began);
            let both = other.complete.min(ended).0.saturating_sub(both_began.0);
            if both.is_zero() {
                continue;
            }
            let had = self.had.entry(other.cgroup).or_default();
            *had += both;
            if *had > longest.had {
                longest = DiskUser {
                    cgroup: other.cgroup,
                    had: *had,
                };
            }
        }
        (!longest.had.is_zero()).then_some(longest)
    }
}

impl Request {
    /// That of a batch that `times` has noted last; `None` where it is no request.
    pub(super) fn of(batch: &Batch<'_>, position: usize, times: &SampleTimes) -> Option<Self> {
        let Samples::BlockIo(samples) = batch.samples else {
            return None;
        };
        let sample = samples.get(position)?;
        let complete = times.of(batch, position).at;
        let in_disk = Duration::from_nanos(sample.device_ns);
        Some(Self {
            disk: sample.device,
            cgroup: sample.cgroup,
            issued: Ktime(complete.0.saturating_sub(in_disk)),
            complete,
        })
    }
}
