//! Are the events and the kernel's own counters of one mind?
//!
//! For each container that has no cgroups below it, what its events add up to is held against what the
//! kernel counted for it meanwhile. The two are compared and not merged: where they differ, one of them
//! is wrong, or something explains it. Explained differences are taken off:
//!
//! * a slice that is still running, or a sample in a CPU's batch, is in the sums already ([`InFlight`]);
//! * slices have the time that a hypervisor or interrupts took from them, the kernel's CPU time may not:
//!   four times this container's share of what was taken from the whole host may be missing there;
//! * when a woken task preempts, the scheduler does not update its clock, and the end of the wait is CPU
//!   time to it: as much as that was may be missing in the slices;
//! * the kernel counts block I/O as it was asked for, events as the disk was given it: as many requests as
//!   were merged on the disks may be missing. Bytes are not touched by that;
//! * disks that have no requests of their own (device mapper, RAID) are in the kernel's counters alone,
//!   and are left out, as is the root, to which cgroup v1 charges what it cannot charge to others.
//!
//! A cgroup with others below it is left out: the kernel's counters have those, too.
//!
//! [`InFlight`]: crate::drain::InFlight

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use collector_common::signal::Signal;

use crate::{
    catalog::{Identity, OwnerId},
    host::{
        cgroupfs::{
            CgroupStatistics, CgroupVersion,
            io::{ByOperation, DeviceIo},
            parse::DeviceNumber,
        },
        clock::Ktime,
        host_counters::HostCounters,
    },
    window::{BlockSums, EventSums, Operation},
};

/// What the events of an owner add up to at one moment.
#[derive(Clone, Debug)]
pub struct OwnerSums {
    /// Whose.
    pub owner: OwnerId,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Whether it is gone.
    pub exited: bool,
    /// Of its latest life; slices that are still running have their part.
    pub sums: EventSums,
    /// How many of them are.
    pub running: u32,
}

/// What the events of all owners add up to at one moment.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// When.
    pub at: Ktime,
    /// Them.
    pub owners: Vec<OwnerSums>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriftQuantity {
    /// Slices, against `cpu.stat` or `cpuacct.usage`.
    CpuTime,
    /// Bytes of requests, against `io.stat` or `blkio.throttle.io_service_bytes_recursive`.
    Bytes,
    /// Requests, against the same.
    Operations,
    /// Victims, against `memory.events` or `memory.oom_control`.
    OomKills,
}

/// How far events and counters differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DriftRatio {
    /// In what.
    pub quantity: DriftQuantity,
    /// Of the container where they differ most: the unexplained difference, as a share of the larger
    /// side.
    pub worst: f64,
    /// Of all containers: differences and larger sides added up.
    pub total: f64,
}

/// Compares again and again.
#[derive(Debug, Default)]
pub struct Drift {
    containers: HashMap<OwnerId, Container>,
    host: HostCounters,
    /// Those of the pass before.
    host_before: HostCounters,
    /// Disks that have requests.
    disks: HashSet<DeviceNumber>,
    pass: u64,
}

#[derive(Debug)]
struct Container {
    generation: u32,
    /// CPU time of its events at the last look.
    cpu_ns: u64,
    windows: [Window; DriftQuantity::ALL.len()],
}

/// The time since the last comparison of one quantity.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    base: Option<Sides>,
    /// As they were at the last look.
    seen: Option<Sides>,
    compared: Option<Compared>,
}

/// Both counters, and what explains that they differ.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    events: u64,
    kernel: u64,
    /// Explains events that are more: of all of the host.
    more: u64,
    /// What that was taken from, in the same unit.
    more_of: u64,
    /// Explains events that are fewer.
    fewer: u64,
}

#[derive(Clone, Copy, Debug)]
struct Compared {
    /// What is not explained.
    difference: u64,
    /// Whether the events are more.
    is_more: bool,
    size: u64,
    pass: u64,
}

/// A comparison is told for so many passes: a container that has become quiet has no drift any more. That
/// of OOM kills, which is of all since the beginning, is told as long as the container is there.
const TOLD_FOR: u64 = 6;

impl DriftQuantity {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::CpuTime, Self::Bytes, Self::Operations, Self::OomKills];

    /// The signal whose events are compared.
    #[must_use]
    pub const fn signal(self) -> Signal {
        match self {
            Self::CpuTime => Signal::Sched,
            Self::Bytes | Self::Operations => Signal::BlockIo,
            Self::OomKills => Signal::Oom,
        }
    }

    /// The name in the label `quantity`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuTime => "cpu_time",
            Self::Bytes => "bytes",
            Self::Operations => "operations",
            Self::OomKills => "kills",
        }
    }

    /// Less than this is not compared, but added to what comes next. The kernel's CPU time is up to a tick
    /// old, and a few requests are on their way: beside these amounts that is nothing.
    const fn least(self) -> u64 {
        match self {
            Self::CpuTime => 500_000_000,
            Self::Bytes => 8 << 20,
            Self::Operations => 256,
            Self::OomKills => 1,
        }
    }
}

impl Checkpoint {
    /// The containers to compare: those that are there, have a path, are not the root and have no
    /// cgroups below.
    pub fn leaves(&self) -> impl Iterator<Item = &OwnerSums> {
        let mut parents = HashSet::new();
        for of in &self.owners {
            if let Some((parent, _)) = of.identity.path.rsplit_once('/') {
                parents.insert(parent);
            }
        }
        self.owners.iter().filter(move |of| {
            let path = of.identity.path.as_str();
            !of.exited && path.len() > 1 && path.starts_with('/') && !parents.contains(path)
        })
    }
}

impl OwnerSums {
    /// CPU time until `now`, if those that run go on.
    #[must_use]
    pub fn at(&self, checkpoint: Ktime, now: Ktime) -> EventSums {
        let since = now.0.saturating_sub(checkpoint.0) * self.running;
        let mut sums = self.sums.clone();
        sums.cpu_ns += u64::try_from(since.as_nanos()).unwrap_or(0);
        sums
    }
}

impl Drift {
    /// Begins a pass over the leaves of a checkpoint.
    pub fn begin(&mut self, checkpoint: &Checkpoint) {
        self.pass += 1;
        let block = checkpoint.owners.iter().flat_map(|of| &of.sums.block);
        self.disks.extend(block.map(|sums| DeviceNumber {
            major: sums.device.major,
            minor: sums.device.minor,
        }));
    }

    /// Takes over the host's counters, before anything is compared. They are best read after the other
    /// side: time that is taken from a task shows there first.
    pub fn take_host(&mut self, host: HostCounters) {
        self.host_before = mem::replace(&mut self.host, host);
    }

    /// Whether nothing that concerns it has changed since the last comparison, as far as its events and
    /// an earlier reading tell: then there is nothing to read for.
    #[must_use]
    pub fn is_quiet(&self, owner: &OwnerSums, earlier: &CgroupStatistics) -> bool {
        let Some(container) = self
            .containers
            .get(&owner.owner)
            .filter(|of| of.generation == owner.identity.generation)
            .filter(|of| of.cpu_ns == owner.sums.cpu_ns && owner.running == 0)
        else {
            return false;
        };
        DriftQuantity::ALL.into_iter().all(|quantity| {
            let seen = container.windows[quantity as usize].seen;
            match (seen, self.sides(quantity, &owner.sums, earlier)) {
                (Some(seen), Some(now)) => seen.events == now.events && seen.kernel >= now.kernel,
                (None, None) => true,
                _ => false,
            }
        })
    }

    /// Compares one container. `is_new` says that both sides have counted since its beginning.
    pub fn compare(
        &mut self,
        owner: &OwnerSums,
        is_new: bool,
        events: &EventSums,
        kernel: &CgroupStatistics,
    ) {
        let sides = DriftQuantity::ALL.map(|quantity| self.sides(quantity, events, kernel));
        let pass = self.pass;
        let generation = owner.identity.generation;
        // A new one began after the pass before.
        let first = DriftQuantity::ALL.map(|quantity| Window {
            base: is_new.then(|| self.beginning(quantity)),
            seen: None,
            compared: None,
        });
        let new = || Container {
            generation,
            cpu_ns: 0,
            windows: first,
        };
        let container = self.containers.entry(owner.owner).or_insert_with(new);
        if container.generation != generation {
            *container = new();
        }
        container.cpu_ns = owner.sums.cpu_ns;
        for (quantity, now) in DriftQuantity::ALL.into_iter().zip(sides) {
            let window = &mut container.windows[quantity as usize];
            if let Some(compared) = window.compare(quantity, now, pass)
                && compared.difference * 50 > compared.size
            {
                tracing::debug!(
                    cgroup = owner.identity.path,
                    quantity = quantity.name(),
                    events_have_more = compared.is_more,
                    difference = compared.difference,
                    of = compared.size,
                    "events and the kernel's counters differ"
                );
            }
        }
    }

    /// Ends a pass.
    #[must_use]
    pub fn finish(&mut self, checkpoint: &Checkpoint) -> Vec<DriftRatio> {
        let there: HashSet<OwnerId> = checkpoint.leaves().map(|of| of.owner).collect();
        self.containers.retain(|owner, _| there.contains(owner));
        DriftQuantity::ALL
            .into_iter()
            .filter_map(|quantity| self.ratio(quantity))
            .collect()
    }

    fn ratio(&self, quantity: DriftQuantity) -> Option<DriftRatio> {
        let is_told = |compared: &Compared| {
            quantity == DriftQuantity::OomKills || compared.pass + TOLD_FOR > self.pass
        };
        let compared = self
            .containers
            .values()
            .filter_map(|container| container.windows[quantity as usize].compared)
            .filter(is_told);
        let (mut worst, mut difference, mut size) = (0.0_f64, 0, 0);
        for of in compared {
            worst = worst.max(share(of.difference, of.size));
            difference += of.difference;
            size += of.size;
        }
        (size > 0).then(|| DriftRatio {
            quantity,
            worst,
            total: share(difference, size),
        })
    }

    /// Both sides of a quantity; `None` when the kernel does not say.
    fn sides(
        &self,
        quantity: DriftQuantity,
        events: &EventSums,
        kernel: &CgroupStatistics,
    ) -> Option<Sides> {
        let block = |of_device: fn(&DeviceIo) -> &ByOperation, of_events: fn(&BlockSums) -> u64| {
            self.block_sides(events, kernel, of_device, of_events)
        };
        Some(match quantity {
            DriftQuantity::CpuTime => Sides {
                events: events.cpu_ns,
                kernel: kernel.cpu.as_ref()?.usage_ns?,
                more: self.host.taken_ns,
                more_of: self.host.busy_ns,
                fewer: events.skipped_ns,
            },
            DriftQuantity::Bytes => block(|of| &of.bytes, |of| of.bytes)?,
            DriftQuantity::Operations => Sides {
                fewer: self.merges(&self.host),
                ..block(|of| &of.operations, |of| of.operations)?
            },
            DriftQuantity::OomKills => Sides {
                events: events.oom_victims,
                kernel: kernel.memory.as_ref()?.events.oom_kill?,
                ..Sides::default()
            },
        })
    }

    /// Both sides of a cgroup that was made since the pass before, at its beginning.
    fn beginning(&self, quantity: DriftQuantity) -> Sides {
        let before = &self.host_before;
        match quantity {
            DriftQuantity::CpuTime => Sides {
                more: before.taken_ns,
                more_of: before.busy_ns,
                ..Sides::default()
            },
            DriftQuantity::Operations => Sides {
                fewer: self.merges(before),
                ..Sides::default()
            },
            DriftQuantity::Bytes | DriftQuantity::OomKills => Sides::default(),
        }
    }

    /// Requests that were merged with others, on the disks that have requests.
    fn merges(&self, host: &HostCounters) -> u64 {
        host.merges_on(|disk| self.disks.contains(&disk))
    }

    /// What events and the kernel say of the disks that both know.
    fn block_sides(
        &self,
        events: &EventSums,
        kernel: &CgroupStatistics,
        of_device: impl Fn(&DeviceIo) -> &ByOperation,
        of_events: impl Fn(&BlockSums) -> u64,
    ) -> Option<Sides> {
        let io = kernel.io.as_ref()?;
        let mut counted = HashSet::new();
        let mut kernel_sum = 0;
        for device in io
            .devices
            .iter()
            .filter(|of| self.disks.contains(&of.device))
        {
            let by = of_device(device);
            let figures = [by.read, by.write, by.discard];
            if figures.iter().any(Option::is_some) {
                counted.insert(device.device);
                kernel_sum += figures.into_iter().flatten().sum::<u64>();
            }
        }
        // Of a disk that v2 does not list, it has counted nothing; newer v1 counts only on disks that
        // have a rule.
        let all_count = io.version == CgroupVersion::V2;
        if counted.is_empty() && !all_count {
            return None;
        }
        let events_sum = events
            .block
            .iter()
            .filter(|sums| sums.operation != Operation::Flush)
            .filter(|sums| {
                let device = DeviceNumber {
                    major: sums.device.major,
                    minor: sums.device.minor,
                };
                all_count || counted.contains(&device)
            })
            .map(of_events)
            .sum();
        Some(Sides {
            events: events_sum,
            kernel: kernel_sum,
            ..Sides::default()
        })
    }
}

impl Window {
    /// Compares what came since the base, once it is enough, and makes `now` the base.
    fn compare(
        &mut self,
        quantity: DriftQuantity,
        now: Option<Sides>,
        pass: u64,
    ) -> Option<Compared> {
        self.seen = now;
        let (Some(base), Some(now)) = (self.base, now) else {
            self.base = now;
            return None;
        };
        let (Some(events), Some(kernel)) = (
            now.events.checked_sub(base.events),
            now.kernel.checked_sub(base.kernel),
        ) else {
            // One of them began anew.
            self.base = Some(now);
            return None;
        };
        let size = events.max(kernel);
        if size < quantity.least() {
            return None;
        }
        let explained = if events > kernel {
            let all = now.more.saturating_sub(base.more);
            all.min(fair_share(
                all,
                events,
                now.more_of.saturating_sub(base.more_of),
            ))
        } else {
            now.fewer.saturating_sub(base.fewer)
        };
        let compared = Compared {
            difference: events.abs_diff(kernel).saturating_sub(explained),
            is_more: events > kernel,
            size,
            pass,
        };
        self.compared = Some(compared);
        // OOM kills are so few that all since the beginning are compared.
        if quantity != DriftQuantity::OomKills {
            self.base = Some(now);
        }
        Some(compared)
    }
}

/// What a part can have had of `all` that was taken from `whole`. It need not be its very share, but it is
/// not much more.
fn fair_share(all: u64, part: u64, whole: u64) -> u64 {
    /// Such times are told in steps of this, ns.
    const STEP: u64 = 10_000_000;
    let share = u128::from(all) * u128::from(part) * 4 / u128::from(whole.max(1));
    u64::try_from(share)
        .unwrap_or(u64::MAX)
        .saturating_add(STEP)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio, shown with a few digits"
)]
fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}
