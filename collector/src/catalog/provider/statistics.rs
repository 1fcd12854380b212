//! What collectors tell of a container at one moment.
//!
//! All figures are optional, and an absent one is not zero: a runtime tells fewer than the kernel, and of
//! what runs in a virtual machine the host's kernel sees little. Every one of these carries its time.
//! Windows has other figures, and is not served.

use std::time::SystemTime;

use super::figures::Figures;
use crate::host::{cgroupfs::io::DeviceIo, network::Interface};

/// CPU, memory, block I/O and threads of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStats {
    /// When they were so.
    pub at: SystemTime,
    /// The figures; those of the network and of open files are absent here.
    pub figures: Figures,
    /// Block I/O by device, disks that are made of others too.
    pub devices: Vec<DeviceIo>,
}

/// What went over a container's network.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkStats {
    /// When it was so.
    pub at: SystemTime,
    /// The figures; only those of the network are present here. Containers with the same
    /// [`network_namespace`](Figures::network_namespace) share these: they are not to be added up.
    pub figures: Figures,
    /// By interface, the loopback too.
    pub interfaces: Vec<Interface>,
}

/// Open files of a container's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// When they were counted.
    pub at: SystemTime,
    /// How many, counted once for each process that has one open.
    pub count: u64,
    /// Whether these are all: not every process may be looked at, and of too many not all are.
    pub is_complete: bool,
}

/// A container's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pids {
    /// When they were listed.
    pub at: SystemTime,
    /// They, in the host's PID namespace, in no order.
    pub pids: Vec<u32>,
    /// Whether these are all.
    pub is_complete: bool,
}
