//! Tests of the store of cgroups: samples in, totals and windows out.

mod block;

mod cgroups;

mod conservation;

mod memory;

mod sched;

mod slow;

use std::num::NonZeroU32;

use collector_common::sample::{BlockSample, SchedSample};

use super::{
    CgroupWindows, Class, Cumulative, Device, Operation, OperationCodes, WindowSettings,
    WindowedHistogram,
};
use crate::host::{CgroupKey, HierarchyId};

/// Below what a sample can hold, above what a histogram does.
const TOO_LONG: u64 = WindowedHistogram::REACH + 1;

const DISK: Device = Device {
    major: 8,
    minor: 16,
};

fn windows() -> CgroupWindows {
    CgroupWindows::new(WindowSettings::default())
}

fn key(id: u64) -> CgroupKey {
    CgroupKey::new(HierarchyId::V2, id)
}

fn container(number: u32) -> Class {
    Class::Container(NonZeroU32::new(number).unwrap())
}

/// A switch from `prev` to `next`, who waited and ran so long.
fn switch(prev: u64, next: u64, slice: u64, wait: u64, flags: u64) -> SchedSample {
    assert!(wait < 1 << SchedSample::WAIT_BITS && slice < 1 << SchedSample::SLICE_BITS);
    SchedSample {
        next_cgroup: next,
        prev_cgroup: prev,
        wait_and_flags: wait | flags,
        slice_and_share: slice,
    }
}

/// A completion of 4 KiB.
fn completion(cgroup: u64, operation: u16, flags: u16) -> BlockSample {
    BlockSample {
        cgroup,
        queue_ns: 1_000,
        device_ns: 200_000,
        bytes: 4_096,
        device: (DISK.major << 20) | DISK.minor,
        operation,
        flags,
        since_opened_us: 0,
    }
}

/// The codes of a current kernel.
fn codes() -> OperationCodes {
    OperationCodes::new([
        (0, Operation::Read),
        (1, Operation::Write),
        (2, Operation::Flush),
        (3, Operation::Discard),
        (5, Operation::Discard),
        (9, Operation::Write),
    ])
}

fn count_and_sum(cumulative: &Cumulative) -> (u64, u64) {
    (cumulative.count(), cumulative.sum_ns())
}
