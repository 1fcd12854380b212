//! Whose requests a disk worked on while another request was on its way.
//!
//! In: completed requests, as they are drained. Out: the cgroup whose requests were in the disk longest during a span of
//! time. Never here: a name, or a request that is not complete.

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

/// A part of a request's way, and who used its disk meanwhile.
#[derive(Debug)]
pub(super) struct DiskWait {
    of: Request,
    began: Ktime,
    ended: Ktime,
    users: [DiskUser; MAX_USERS],
}

/// Used a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DiskUser {
    /// Its cgroup, in the block hierarchy.
    pub(super) cgroup: u64,
    /// How long its requests were in the disk: those that were in it at the same time are added up.
    pub(super) had: Duration,
}

/// Requests of a disk that are kept: 48 KiB.
const KEPT: usize = 1_024;

/// Disks of which they are kept.
const MAX_DISKS: usize = 64;

/// Cgroups that are told apart in one wait: a further one takes the place of that with the least.
const MAX_USERS: usize = 16;

impl DiskUsers {
    /// Keeps a request, for those that are found slow later.
    pub(super) fn keep(&mut self, request: Request) {
        let Some(kept) = self.disks.get_mut(&request.disk) else {
            let mut place = self.place();
            // All that is ever kept, at once.
            place.reserve_exact(KEPT);
            place.push_back(request);
            self.disks.insert(request.disk, place);
            return;
        };
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(request);
    }

    /// What took so long of a request, with those in its disk meanwhile that were kept.
    pub(super) fn wait(&self, of: Request, ended: Ktime, took: Duration) -> DiskWait {
        let mut wait = DiskWait {
            of,
            began: Ktime(ended.0.saturating_sub(took)),
            ended,
            users: [DiskUser::default(); MAX_USERS],
        };
        for other in self.disks.get(&of.disk).into_iter().flatten() {
            wait.meet(other);
        }
        wait
    }

    /// For a new disk: where there is none left, that of the one that has completed nothing for longest, which
    /// may be gone.
    #[cold]
    fn place(&mut self) -> VecDeque<Request> {
        if self.disks.len() < MAX_DISKS {
            return VecDeque::new();
        }
        let latest = |(disk, kept): (&u32, &VecDeque<Request>)| {
            (kept.back().map(|last| last.complete), *disk)
        };
        let oldest = self.disks.iter().map(latest).min();
        let place = oldest.and_then(|(_, disk)| self.disks.remove(&disk));
        let mut place = place.unwrap_or_default();
        place.clear();
        place
    }
}

impl DiskWait {
    /// Takes another request, if it was there meanwhile.
    pub(super) fn meet(&mut self, other: &Request) {
        if other.disk != self.of.disk || *other == self.of {
            return;
        }
        let began = other.issued.max(self.began);
        let had = other.complete.min(self.ended).0.saturating_sub(began.0);
        if had.is_zero() {
            return;
        }
        let users = &mut self.users;
        let is_known = |user: &&mut DiskUser| user.cgroup == other.cgroup && !user.had.is_zero();
        if let Some(user) = users.iter_mut().find(is_known) {
            user.had += had;
        } else if let Some(least) = users.iter_mut().min_by_key(|user| user.had) {
            let cgroup = other.cgroup;
            *least = DiskUser { cgroup, had };
        }
    }

    /// Who used the disk most; `None` if nobody did beside the request itself.
    pub(super) fn longest(&self) -> Option<DiskUser> {
        let longest = self.users.iter().copied().max_by_key(|user| user.had);
        longest.filter(|user| !user.had.is_zero())
    }
}

impl Request {
    /// Those of a batch that `times` has noted last of which it is known how long they were in their disks.
    pub(super) fn all(batch: &Batch<'_>, times: &SampleTimes) -> impl Iterator<Item = Self> {
        let samples = match batch.samples {
            Samples::BlockIo(samples) => samples,
            Samples::Sched(_) => &[],
        };
        let other = BlockSample::FLAG_PARTIAL | BlockSample::FLAG_EMPTY_FLUSH;
        let whole = samples
            .iter()
            .enumerate()
            .filter(move |(_, sample)| sample.flags & other == 0);
        whole.filter_map(move |(position, _)| Self::of(batch, position, times))
    }

    /// One of such a batch; `None` where it is no request.
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
