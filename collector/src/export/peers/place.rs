//! What a series is of, within its cgroup: the labels behind the cgroup's own.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use super::bounds::OTHER;
use crate::{
    export::{
        label_sets::encode_label,
        labels::{Label, closed, open},
    },
    host::cgroupfs::parse::DeviceNumber,
};

/// What a series is of.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) enum Place<'a> {
    /// The cgroup.
    Whole,
    /// One CPU.
    Cpu(usize),
    /// The CPUs that are too many to tell apart.
    OtherCpus,
    /// All CPUs together.
    AllCpus,
    /// A disk, by its number.
    DeviceNumber(DeviceNumber),
    /// A disk, by its file.
    Device(&'a str),
    /// An operation on a disk, as containerd labels it.
    Op(Operation<'a>),
    /// An operation on a disk, as cAdvisor labels it.
    Operation(Operation<'a>),
    /// Huge pages of a size, as containerd labels it.
    Page(&'a str),
    /// Huge pages of a size, as cAdvisor labels it.
    PageSize(&'a str),
    /// A network interface.
    Interface(&'a str),
    /// A kind of page fault, and whether of cgroups below too.
    Fault {
        kind: &'static str,
        scope: &'static str,
    },
}

/// An operation on a disk.
#[derive(Clone, Copy, Debug)]
pub(in crate::export) struct Operation<'a> {
    /// As cgroup v1 names it; empty for a figure of all.
    pub(super) name: &'static str,
    pub(super) number: DeviceNumber,
    /// The disk's file; empty when it is gone.
    pub(super) device: &'a str,
}

/// The operations of cgroup v1's tables.
pub(super) const OPERATIONS: [&str; 6] = ["Read", "Write", "Discard", "Sync", "Async", "Total"];

const CPU: Label = open(
    "cpu",
    "the CPU's number; `~other` for those that are too many",
);
const ALL_CPUS: Label = closed("cpu", &["total"]);
const DEVICE_ALONE: Label = open(
    "device",
    "the disk's file, such as `/dev/sda`; `major:minor` when the disk is gone; `~other` for those that are \
     too many",
);
const DEVICE: Label = open(
    "device",
    "the disk's file, such as `/dev/sda`; empty when the disk is gone; `~other` for those that are too many",
);
const MAJOR: Label = open(
    "major",
    "the disk's major number; 0 for those that are too many",
);
const MINOR: Label = open(
    "minor",
    "the disk's minor number; 0 for those that are too many",
);
const OP: Label = closed(
    "op",
    &["Read", "Write", "Discard", "Sync", "Async", "Total", ""],
);
const OPERATION: Label = closed("operation", &OPERATIONS);
const PAGE: Label = open("page", "the size of the huge pages, such as `2MB`");
const PAGE_SIZE: Label = open("pagesize", "the size of the huge pages, such as `2MB`");
const INTERFACE: Label = open(
    "interface",
    "the network interface; `~other` for those that are too many",
);
const FAILURE_TYPE: Label = closed("failure_type", &["pgfault", "pgmajfault"]);
const SCOPE: Label = closed("scope", &["container", "hierarchy"]);

/// The labels of each kind of place, for the tables.
pub(super) const OF_CPU: &[Label] = &[CPU];
pub(super) const OF_ALL_CPUS: &[Label] = &[ALL_CPUS];
pub(super) const OF_DEVICE_NUMBER: &[Label] = &[MAJOR, MINOR];
pub(super) const OF_DEVICE: &[Label] = &[DEVICE_ALONE];
pub(super) const OF_OP: &[Label] = &[OP, DEVICE, MAJOR, MINOR];
pub(super) const OF_OPERATION: &[Label] = &[DEVICE, MAJOR, MINOR, OPERATION];
pub(super) const OF_PAGE: &[Label] = &[PAGE];
pub(super) const OF_PAGE_SIZE: &[Label] = &[PAGE_SIZE];
pub(super) const OF_INTERFACE: &[Label] = &[INTERFACE];
pub(super) const OF_FAULT: &[Label] = &[FAILURE_TYPE, SCOPE];

impl EncodeLabelSet for Place<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        match *self {
            Self::Whole => Ok(()),
            Self::Cpu(number) => encode_label(encoder, &CPU, &(number as u64)),
            Self::OtherCpus => encode_label(encoder, &CPU, &OTHER),
            Self::AllCpus => encode_label(encoder, &ALL_CPUS, &"total"),
            Self::DeviceNumber(number) => numbers(encoder, number),
            Self::Device(device) => encode_label(encoder, &DEVICE_ALONE, &device),
            Self::Op(operation) => {
                encode_label(encoder, &OP, &operation.name)?;
                encode_label(encoder, &DEVICE, &operation.device)?;
                numbers(encoder, operation.number)
            }
            Self::Operation(operation) => {
                encode_label(encoder, &DEVICE, &operation.device)?;
                numbers(encoder, operation.number)?;
                encode_label(encoder, &OPERATION, &operation.name)
            }
            Self::Page(size) => encode_label(encoder, &PAGE, &size),
            Self::PageSize(size) => encode_label(encoder, &PAGE_SIZE, &size),
            Self::Interface(name) => encode_label(encoder, &INTERFACE, &name),
            Self::Fault { kind, scope } => {
                encode_label(encoder, &FAILURE_TYPE, &kind)?;
                encode_label(encoder, &SCOPE, &scope)
            }
        }
    }
}

fn numbers(encoder: &mut LabelSetEncoder<'_>, number: DeviceNumber) -> fmt::Result {
    encode_label(encoder, &MAJOR, &number.major)?;
    encode_label(encoder, &MINOR, &number.minor)
}
