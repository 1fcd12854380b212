//! A figure of a cgroup: the field that it is read from, and the series that it makes.

use std::fmt;

use prometheus_client::encoding::{
    CounterValueEncoder, EncodeCounterValue, EncodeGaugeValue, GaugeValueEncoder,
};

use super::{
    Figures,
    bounds::{MAX_CPUS, MAX_DISKS, MAX_INTERFACES, OTHER, OtherDisks, bounded},
    place::{self, OPERATIONS, Operation, Place},
    row::Row,
};
use crate::{
    export::{family::Unit, labels::Label},
    host::{
        cgroupfs::{
            CgroupVersion, Limit, MemoryKey, Reading,
            cpu::CpuStatistics,
            io::{ByOperation, DeviceIo},
            memory::MemoryStatistics,
            statistics::{BoundedUse, PidsStatistics, PressureStatistics},
        },
        network::Interface,
        process_files::ProcessTotals,
    },
    reconcile::snapshot::SchedSums,
};

/// The field that a figure is read from. Times are nanoseconds, sizes are bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Figure {
    Cpu(fn(&CpuStatistics) -> Option<u64>),
    AllCpus(fn(&CpuStatistics) -> Option<u64>),
    PerCpu(fn(&CpuStatistics) -> &[u64]),
    Memory(fn(&MemoryStatistics) -> Option<u64>),
    /// A key of `memory.stat`, as it is printed.
    Stat(MemoryKey),
    /// A key of v1's `memory.stat`, with the cgroups below.
    StatTotal(MemoryKey),
    /// A key of `memory.stat` with the cgroups below.
    StatHierarchical(MemoryKey),
    /// Page faults by kind and scope.
    Faults,
    Pids(fn(&PidsStatistics) -> Option<u64>),
    Pressure(fn(&PressureStatistics) -> Option<u64>),
    PerDeviceNumber(fn(&DeviceIo) -> Option<u64>),
    PerDevice(fn(&DeviceIo) -> Option<u64>),
    PerOp(fn(&DeviceIo) -> Option<ByOperation>),
    PerOpOfAll(fn(&DeviceIo) -> Option<u64>),
    PerOperation(fn(&DeviceIo) -> Option<ByOperation>),
    PerPage(fn(&BoundedUse) -> Option<u64>),
    PerPageSize(fn(&BoundedUse) -> Option<u64>),
    PerInterface(fn(&Interface) -> u64),
    Processes(fn(&ProcessTotals) -> Option<u64>),
    Sched(fn(&SchedSums) -> u64),
    /// What is known of the cgroup besides its files.
    Row(fn(&Row<'_>) -> Option<u64>),
}

/// What takes the values.
pub(super) type Emit<'e> = dyn FnMut(Place<'_>, u64) -> fmt::Result + 'e;

impl Figures {
    pub(super) fn each(&self, row: &Row<'_>, emit: &mut Emit<'_>) -> fmt::Result {
        match self {
            Self::Any(figure) => figure.each(row, None, emit),
            Self::V1(figure) => figure.each(row, Some(CgroupVersion::V1), emit),
            Self::V2(figure) => figure.each(row, Some(CgroupVersion::V2), emit),
            Self::Each { v1, v2 } => {
                v1.each(row, Some(CgroupVersion::V1), emit)?;
                v2.each(row, Some(CgroupVersion::V2), emit)
            }
        }
    }
}

impl Figure {
    /// The labels of its series, behind the cgroup's own.
    pub(super) const fn labels(&self) -> &'static [Label] {
        match self {
            Self::Cpu(_)
            | Self::Memory(_)
            | Self::Stat(_)
            | Self::StatTotal(_)
            | Self::StatHierarchical(_)
            | Self::Pids(_)
            | Self::Pressure(_)
            | Self::Processes(_)
            | Self::Sched(_)
            | Self::Row(_) => &[],
            Self::AllCpus(_) => place::OF_ALL_CPUS,
            Self::PerCpu(_) => place::OF_CPU,
            Self::Faults => place::OF_FAULT,
            Self::PerDeviceNumber(_) => place::OF_DEVICE_NUMBER,
            Self::PerDevice(_) => place::OF_DEVICE,
            Self::PerOp(_) | Self::PerOpOfAll(_) => place::OF_OP,
            Self::PerOperation(_) => place::OF_OPERATION,
            Self::PerPage(_) => place::OF_PAGE,
            Self::PerPageSize(_) => place::OF_PAGE_SIZE,
            Self::PerInterface(_) => place::OF_INTERFACE,
        }
    }

    /// Gives each value that is known to `emit`, if it is of the wanted version.
    fn each(
        &self,
        row: &Row<'_>,
        wanted: Option<CgroupVersion>,
        emit: &mut Emit<'_>,
    ) -> fmt::Result {
        let statistics = row.statistics;
        let cpu = || of_version(statistics.cpu.as_ref(), wanted);
        let memory = || of_version(statistics.memory.as_ref(), wanted);
        let mut whole = |value: Option<u64>| match value {
            Some(value) => emit(Place::Whole, value),
            None => Ok(()),
        };
        match *self {
            Self::Cpu(of) => whole(cpu().and_then(of)),
            Self::Memory(of) => whole(memory().and_then(of)),
            Self::Stat(key) => whole(memory().and_then(|memory| memory.stat.value(key))),
            Self::StatTotal(key) => whole(memory().and_then(|memory| memory.stat.total(key))),
            Self::StatHierarchical(key) => {
                whole(memory().and_then(|memory| memory.stat.hierarchical(key)))
            }
            Self::Pids(of) => whole(of_version(statistics.pids.as_ref(), wanted).and_then(of)),
            Self::Pressure(of) => {
                whole(of_version(statistics.pressure.as_ref(), wanted).and_then(of))
            }
            Self::Processes(of) => whole(row.processes.and_then(of)),
            Self::Sched(of) => whole(row.sched.map(of)),
            Self::Row(of) => whole(of(row)),
            Self::AllCpus(of) => match cpu().and_then(of) {
                Some(value) => emit(Place::AllCpus, value),
                None => Ok(()),
            },
            Self::PerCpu(of) => {
                let values = cpu().map(of).unwrap_or_default().iter().enumerate();
                bounded(
                    values.map(|(number, value)| (Place::Cpu(number), *value)),
                    MAX_CPUS,
                    Place::OtherCpus,
                    emit,
                )
            }
            Self::Faults => memory().map_or(Ok(()), |memory| faults(memory, emit)),
            Self::PerDeviceNumber(_)
            | Self::PerDevice(_)
            | Self::PerOp(_)
            | Self::PerOpOfAll(_)
            | Self::PerOperation(_) => {
                let devices =
                    of_version(statistics.io.as_ref(), wanted).map_or(&[][..], |io| &io.devices);
                let (apart, rest) = devices.split_at(devices.len().min(MAX_DISKS));
                for device in apart {
                    self.each_of_device(row, device, emit)?;
                }
                let mut other = OtherDisks::default();
                for device in rest {
                    self.each_of_device(row, device, &mut |place, value| {
                        other.add(place, value);
                        Ok(())
                    })?;
                }
                other.emit(emit)
            }
            Self::PerPage(of) => each_page_size(row, wanted, |size, used| match of(used) {
                Some(value) => emit(Place::Page(size), value),
                None => Ok(()),
            }),
            Self::PerPageSize(of) => each_page_size(row, wanted, |size, used| match of(used) {
                Some(value) => emit(Place::PageSize(size), value),
                None => Ok(()),
            }),
            Self::PerInterface(of) => bounded(
                row.interfaces()
                    .map(|interface| (Place::Interface(interface.name.as_str()), of(interface))),
                MAX_INTERFACES,
                Place::Interface(OTHER),
                emit,
            ),
        }
    }

    fn each_of_device(&self, row: &Row<'_>, device: &DeviceIo, emit: &mut Emit<'_>) -> fmt::Result {
        let number = device.device;
        let operation = |name| Operation {
            name,
            number,
            device: row.device_file(number),
        };
        let value = |place: Place<'_>, value: Option<u64>, emit: &mut Emit<'_>| match value {
            Some(value) => emit(place, value),
            None => Ok(()),
        };
        match *self {
            Self::PerDeviceNumber(of) => value(Place::DeviceNumber(number), of(device), emit),
            Self::PerDevice(of) => value(Place::Device(row.device_label(number)), of(device), emit),
            Self::PerOpOfAll(of) => value(Place::Op(operation("")), of(device), emit),
            Self::PerOp(of) => by_operation(of(device), |name, count| {
                emit(Place::Op(operation(name)), count)
            }),
            Self::PerOperation(of) => by_operation(of(device), |name, count| {
                emit(Place::Operation(operation(name)), count)
            }),
            _ => Ok(()),
        }
    }
}

fn of_version<T>(reading: Option<&Reading<T>>, wanted: Option<CgroupVersion>) -> Option<&T> {
    reading
        .filter(|reading| wanted.is_none_or(|wanted| reading.version == wanted))
        .map(|reading| &reading.of)
}

fn by_operation(
    counts: Option<ByOperation>,
    mut emit: impl FnMut(&'static str, u64) -> fmt::Result,
) -> fmt::Result {
    let Some(counts) = counts else { return Ok(()) };
    let ByOperation {
        read,
        write,
        discard,
        sync,
        asynchronous,
        total,
    } = counts;
    OPERATIONS
        .into_iter()
        .zip([read, write, discard, sync, asynchronous, total])
        .try_for_each(|(name, count)| count.map_or(Ok(()), |count| emit(name, count)))
}

fn each_page_size(
    row: &Row<'_>,
    wanted: Option<CgroupVersion>,
    mut emit: impl FnMut(&str, &BoundedUse) -> fmt::Result,
) -> fmt::Result {
    of_version(row.statistics.hugetlb.as_ref(), wanted)
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .try_for_each(|size| emit(&size.page_size, &size.used))
}

/// v2 prints no number without the cgroups below. There cAdvisor gives the one with them as both, and
/// of a container, which mostly has none below, that is right.
fn faults(memory: &MemoryStatistics, emit: &mut Emit<'_>) -> fmt::Result {
    for (scope, of) in [
        ("container", memory.stat.value(MemoryKey::Pgfault)),
        ("hierarchy", memory.page_faults()),
    ] {
        let kind = "pgfault";
        of.map_or(Ok(()), |faults| emit(Place::Fault { kind, scope }, faults))?;
    }
    for (scope, of) in [
        ("container", memory.stat.value(MemoryKey::Pgmajfault)),
        ("hierarchy", memory.major_page_faults()),
    ] {
        let kind = "pgmajfault";
        of.map_or(Ok(()), |faults| emit(Place::Fault { kind, scope }, faults))?;
    }
    Ok(())
}

/// As the others print a limit that there is not.
pub(super) const fn or_zero(limit: Limit) -> u64 {
    match limit {
        Limit::At(limit) => limit,
        Limit::Unlimited => 0,
    }
}

/// A value in the unit of its metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Amount {
    Whole(u64),
    Real(f64),
}

impl Amount {
    /// Of nanoseconds where the unit is one of time, else of what it is.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the wire's numbers are floats: exact to 104 days, and to 16 digits above"
    )]
    pub(super) fn of(value: u64, unit: Option<Unit>) -> Self {
        match unit {
            Some(Unit::Seconds) => Self::Real(value as f64 / 1e9),
            Some(Unit::Milliseconds) => Self::Whole(value / 1_000_000),
            Some(Unit::Microseconds) => Self::Whole(value / 1_000),
            Some(Unit::Nanoseconds | Unit::Bytes | Unit::Ratio) | None => Self::Whole(value),
        }
    }
}

impl EncodeGaugeValue for Amount {
    #[expect(
        clippy::cast_precision_loss,
        reason = "what does not fit a signed number is an unlimited limit"
    )]
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match *self {
            Self::Whole(value) => match i64::try_from(value) {
                Ok(value) => EncodeGaugeValue::encode(&value, encoder),
                Err(_) => EncodeGaugeValue::encode(&(value as f64), encoder),
            },
            Self::Real(value) => EncodeGaugeValue::encode(&value, encoder),
        }
    }
}

impl EncodeCounterValue for Amount {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => EncodeCounterValue::encode(value, encoder),
            Self::Real(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}
