//! How many series one cgroup can have of a metric under the names of others, and what becomes of the rest.
//!
//! In: the figures of a cgroup's CPUs, disks and interfaces. Out: the first so many as they are, and the
//! rest added up in one series, `~other`, so that a sum over series stays what it is.

use std::fmt;

use super::{
    figure::Emit,
    place::{Operation, Place},
    row::shown_interfaces,
};
use crate::{host::cgroupfs::parse::DeviceNumber, reconcile::snapshot::CgroupStats};

/// The series of a cgroup that are told apart: as many CPUs as the largest servers have, and more disks and
/// interfaces than a container has a use for.
pub(super) const MAX_CPUS: usize = 512;
pub(super) const MAX_DISKS: usize = 64;
pub(super) const MAX_INTERFACES: usize = 64;

/// What stands for the rest.
pub(super) const OTHER: &str = "~other";

/// No disk has this number.
const OTHER_DISKS: DeviceNumber = DeviceNumber { major: 0, minor: 0 };

/// How many CPUs, disks and interfaces of all cgroups are not told apart.
pub(in crate::export) fn over_bound(cgroups: &[CgroupStats]) -> [(&'static str, u64); 3] {
    let (mut cpus, mut disks, mut interfaces) = (0, 0, 0);
    for kernel in cgroups.iter().map(|cgroup| &cgroup.kernel) {
        if let Some(statistics) = &kernel.statistics {
            let of_cpus = statistics
                .cpu
                .as_ref()
                .map_or(0, |cpu| cpu.per_cpu_usage_ns.len());
            let of_disks = statistics.io.as_ref().map_or(0, |io| io.devices.len());
            cpus += of_cpus.saturating_sub(MAX_CPUS);
            disks += of_disks.saturating_sub(MAX_DISKS);
        }
        if let Some(network) = &kernel.network {
            interfaces += shown_interfaces(network)
                .count()
                .saturating_sub(MAX_INTERFACES);
        }
    }
    [
        ("cpu", cpus as u64),
        ("disk", disks as u64),
        ("interface", interfaces as u64),
    ]
}

/// Emits each value by itself up to a bound, and the sum of the rest in another place.
pub(super) fn bounded<'p>(
    values: impl Iterator<Item = (Place<'p>, u64)>,
    bound: usize,
    other: Place<'p>,
    emit: &mut Emit<'_>,
) -> fmt::Result {
    let mut rest = None;
    for (index, (place, value)) in values.enumerate() {
        if index < bound {
            emit(place, value)?;
        } else {
            rest = Some(rest.unwrap_or(0_u64).saturating_add(value));
        }
    }
    rest.map_or(Ok(()), |rest| emit(other, rest))
}

/// The values of disks that are not told apart, by operation.
#[derive(Debug, Default)]
pub(super) struct OtherDisks(Vec<(OtherDisk, u64)>);

/// A place without its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OtherDisk {
    DeviceNumber,
    Device,
    Op(&'static str),
    Operation(&'static str),
}

impl OtherDisks {
    /// Adds a value of one of them.
    pub(super) fn add(&mut self, place: Place<'_>, value: u64) {
        let other = match place {
            Place::DeviceNumber(_) => OtherDisk::DeviceNumber,
            Place::Device(_) => OtherDisk::Device,
            Place::Op(operation) => OtherDisk::Op(operation.name),
            Place::Operation(operation) => OtherDisk::Operation(operation.name),
            // Not of a disk.
            _ => return,
        };
        match self.0.iter_mut().find(|(known, _)| *known == other) {
            Some((_, sum)) => *sum = sum.saturating_add(value),
            None => self.0.push((other, value)),
        }
    }

    /// Emits the sums.
    pub(super) fn emit(&self, emit: &mut Emit<'_>) -> fmt::Result {
        let operation = |name| Operation {
            name,
            number: OTHER_DISKS,
            device: OTHER,
        };
        self.0.iter().try_for_each(|&(other, sum)| {
            let place = match other {
                OtherDisk::DeviceNumber => Place::DeviceNumber(OTHER_DISKS),
                OtherDisk::Device => Place::Device(OTHER),
                OtherDisk::Op(name) => Place::Op(operation(name)),
                OtherDisk::Operation(name) => Place::Operation(operation(name)),
            };
            emit(place, sum)
        })
    }
}
