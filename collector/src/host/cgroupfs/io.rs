//! Block I/O of a cgroup, by device.
//!
//! Newer kernels keep v1's tables only for disks that have a throttling rule: without one the files
//! are there and empty, and the numbers absent.

use super::{
    OtherKeys,
    parse::{DeviceNumber, Limit},
};

/// Block I/O statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IoStatistics {
    /// What was done, by device. A device without I/O may be missing.
    pub devices: Vec<DeviceIo>,
    /// What may be done, by device. A device without a limit may be missing.
    pub limits: Vec<DeviceLimits>,
    /// v2: its weight on devices that have none of their own, 100 by default.
    pub weight: Option<u64>,
}

/// A cgroup's use of more devices than this is not kept: more than any container has, and each costs
/// its row in memory and in every export.
pub const MAX_DEVICES: usize = 256;

/// I/O on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceIo {
    /// The device.
    pub device: DeviceNumber,
    /// How much.
    pub bytes: ByOperation,
    /// How often.
    pub operations: ByOperation,
    /// v2: what the cost model made of it.
    pub cost: IoCost,
    /// v1: what the BFQ scheduler says, where the kernel was built to.
    pub scheduler: Option<Box<SchedulerIo>>,
    /// What else `io.stat` says, as it says it.
    pub other: OtherKeys,
}

/// A number for each kind of operation. Sync and async, and the total, are v1's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByOperation {
    /// Reads.
    pub read: Option<u64>,
    /// Writes.
    pub write: Option<u64>,
    /// Discards.
    pub discard: Option<u64>,
    /// Those that somebody waited for.
    pub sync: Option<u64>,
    /// The others.
    pub asynchronous: Option<u64>,
    /// All.
    pub total: Option<u64>,
}

/// Device time as `blk-iocost` reckons it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCost {
    /// Used.
    pub usage_ns: Option<u64>,
    /// Spent waiting for more of it.
    pub wait_ns: Option<u64>,
    /// Used in advance.
    pub debt_ns: Option<u64>,
    /// Delayed for it.
    pub debt_delay_ns: Option<u64>,
}

/// v1's statistics of the BFQ scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedulerIo {
    /// From the device to the end.
    pub service_time_ns: ByOperation,
    /// In the queues.
    pub wait_time_ns: ByOperation,
    /// Merged with others.
    pub merged: ByOperation,
    /// In the queues now.
    pub queued: ByOperation,
    /// The device's time that was given to it.
    pub device_time_ns: Option<u64>,
    /// Sectors of 512 bytes.
    pub sectors: Option<u64>,
}

/// What may be done on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceLimits {
    /// The device.
    pub device: DeviceNumber,
    /// Bytes read a second.
    pub read_bytes: Option<Limit>,
    /// Bytes written a second.
    pub write_bytes: Option<Limit>,
    /// Reads a second.
    pub read_operations: Option<Limit>,
    /// Writes a second.
    pub write_operations: Option<Limit>,
    /// v2: the weight on this device.
    pub weight: Option<u64>,
}

impl IoStatistics {
    /// Of all devices; `None` when no device says.
    #[must_use]
    pub fn sum(&self, of: impl Fn(&DeviceIo) -> Option<u64>) -> Option<u64> {
        self.devices
            .iter()
            .filter_map(of)
            .reduce(u64::saturating_add)
    }

    /// The row of a device, made if need be. `None` at [`MAX_DEVICES`].
    pub(crate) fn device(&mut self, device: DeviceNumber) -> Option<&mut DeviceIo> {
        let place = row(&self.devices, |known| known.device == device)?;
        if place == self.devices.len() {
            self.devices.push(DeviceIo {
                device,
                bytes: ByOperation::default(),
                operations: ByOperation::default(),
                cost: IoCost::default(),
                scheduler: None,
                other: OtherKeys::default(),
            });
        }
        self.devices.get_mut(place)
    }

    /// The limits of a device, made if need be. `None` at [`MAX_DEVICES`].
    pub(super) fn limits_of(&mut self, device: DeviceNumber) -> Option<&mut DeviceLimits> {
        let place = row(&self.limits, |known| known.device == device)?;
        if place == self.limits.len() {
            self.limits.push(DeviceLimits {
                device,
                read_bytes: None,
                write_bytes: None,
                read_operations: None,
                write_operations: None,
                weight: None,
            });
        }
        self.limits.get_mut(place)
    }

    /// Lets go of devices that have no limit any more.
    pub(super) fn drop_unlimited(&mut self) {
        self.limits.retain(|limits| {
            let DeviceLimits {
                device: _,
                read_bytes,
                write_bytes,
                read_operations,
                write_operations,
                weight: _,
            } = limits;
            [read_bytes, write_bytes, read_operations, write_operations]
                .into_iter()
                .any(Option::is_some)
        });
    }

    /// Lets go of devices that the last reading said nothing of.
    pub(super) fn drop_silent(&mut self) {
        self.devices.retain(|device| {
            let DeviceIo {
                device: _,
                bytes,
                operations,
                cost,
                scheduler,
                other,
            } = device;
            *bytes != ByOperation::default()
                || *operations != ByOperation::default()
                || *cost != IoCost::default()
                || scheduler
                    .as_deref()
                    .is_some_and(|of| *of != SchedulerIo::default())
                || !other.is_empty()
        });
    }
}

impl ByOperation {
    /// The place of an operation as v1 names it.
    pub(super) fn place(&mut self, operation: &[u8]) -> Option<&mut Option<u64>> {
        Some(match operation {
            b"Read" => &mut self.read,
            b"Write" => &mut self.write,
            b"Discard" => &mut self.discard,
            b"Sync" => &mut self.sync,
            b"Async" => &mut self.asynchronous,
            b"Total" => &mut self.total,
            _ => return None,
        })
    }
}

/// Where a row is, or would be.
fn row<T>(rows: &[T], is: impl Fn(&T) -> bool) -> Option<usize> {
    let place = rows.iter().position(is).unwrap_or(rows.len());
    (place < MAX_DEVICES).then_some(place)
}
