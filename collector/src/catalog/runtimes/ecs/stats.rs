//! What containers have used, as ECS tells it in Docker's words.
//!
//! In: the JSON of `/task/stats`. Out: numbers of each container. Never here: a zero for what is not told.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::catalog::runtime_container::told_text;
use crate::catalog::runtimes::told_json::{each_entry, each_item, is_id, told_time};

/// The most containers, devices and interfaces that are kept, each: a task has 10 containers.
const MOST: usize = 256;

/// What a container has used since it was started. What is not told is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EcsStats {
    /// When it was read.
    pub read_at: Option<SystemTime>,
    /// CPU.
    pub cpu: EcsCpu,
    /// Memory.
    pub memory: EcsMemory,
    /// Block I/O, by device.
    pub devices: Vec<EcsDevice>,
    /// The network, by interface.
    pub interfaces: Vec<EcsInterface>,
    /// How many tasks it has now.
    pub tasks: Option<u64>,
}

/// CPU, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcsCpu {
    /// In all.
    pub total: Option<u64>,
    /// In programs.
    pub user: Option<u64>,
    /// In the kernel.
    pub system: Option<u64>,
    /// How many CPUs there are.
    pub online: Option<u64>,
    /// Periods of the quota.
    pub periods: Option<u64>,
    /// Those in which it was used up.
    pub throttled_periods: Option<u64>,
    /// How long it could not run for that.
    pub throttled: Option<u64>,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcsMemory {
    /// In all, with the page cache.
    pub usage: Option<u64>,
    /// The most that it was.
    pub max: Option<u64>,
    /// The most that it may be.
    pub limit: Option<u64>,
    /// Page cache.
    pub cache: Option<u64>,
    /// Anonymous memory.
    pub rss: Option<u64>,
    /// Page cache that was not used lately.
    pub inactive_file: Option<u64>,
}

/// Block I/O of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcsDevice {
    /// Its major and minor number.
    pub device: (u32, u32),
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub written_bytes: Option<u64>,
    /// Reads.
    pub reads: Option<u64>,
    /// Writes.
    pub writes: Option<u64>,
}

/// What went through one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EcsInterface {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// Received.
    pub rx_bytes: Option<u64>,
    /// Received.
    pub rx_packets: Option<u64>,
    /// Received with an error.
    pub rx_errors: Option<u64>,
    /// Received and dropped.
    pub rx_dropped: Option<u64>,
    /// Sent.
    pub tx_bytes: Option<u64>,
    /// Sent.
    pub tx_packets: Option<u64>,
    /// Not sent for an error.
    pub tx_errors: Option<u64>,
    /// Not sent, but dropped.
    pub tx_dropped: Option<u64>,
}

/// Reads them, by the containers' ids. One that has none yet, or that cannot be read, is left out.
pub(super) fn read_stats(text: &str) -> Result<Vec<(String, EcsStats)>, serde_json::Error> {
    let mut all: Vec<(String, EcsStats)> = Vec::new();
    each_entry(text, |id, stats| {
        let is_new = || all.iter().all(|(of, _)| of != id);
        if all.len() < MOST
            && is_id(id)
            && is_new()
            && let Ok(Some(told)) = serde_json::from_str::<Option<Told<'_>>>(stats.get())
            && let Ok(stats) = told.into_stats()
        {
            all.push((id.to_owned(), stats));
        }
    })?;
    Ok(all)
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(default)]
    read: String,
    #[serde(default)]
    cpu_stats: ToldCpu,
    #[serde(default)]
    memory_stats: ToldMemory,
    #[serde(borrow, default)]
    blkio_stats: ToldBlockIo<'a>,
    #[serde(borrow)]
    networks: Option<&'a RawValue>,
    #[serde(default)]
    pids_stats: ToldTasks,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldCpu {
    cpu_usage: ToldUsage,
    online_cpus: Option<u64>,
    throttling_data: ToldThrottling,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldUsage {
    total_usage: Option<u64>,
    usage_in_usermode: Option<u64>,
    usage_in_kernelmode: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldThrottling {
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_time: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldMemory {
    usage: Option<u64>,
    max_usage: Option<u64>,
    limit: Option<u64>,
    stats: ToldMemoryStats,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldMemoryStats {
    cache: Option<u64>,
    rss: Option<u64>,
    /// In cgroup v2 these two have other names.
    file: Option<u64>,
    anon: Option<u64>,
    inactive_file: Option<u64>,
    total_inactive_file: Option<u64>,
}

#[derive(Default, Deserialize)]
struct ToldBlockIo<'a> {
    #[serde(borrow)]
    io_service_bytes_recursive: Option<&'a RawValue>,
    #[serde(borrow)]
    io_serviced_recursive: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToldOperation {
    major: u32,
    minor: u32,
    op: String,
    value: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldTasks {
    current: Option<u64>,
}

impl Told<'_> {
    fn into_stats(self) -> Result<EcsStats, serde_json::Error> {
        let cpu = self.cpu_stats;
        let memory = self.memory_stats;
        let mut devices = Vec::new();
        let blocks = self.blkio_stats;
        add_operations(blocks.io_service_bytes_recursive, &mut devices, |of| {
            (&mut of.read_bytes, &mut of.written_bytes)
        })?;
        add_operations(blocks.io_serviced_recursive, &mut devices, |of| {
            (&mut of.reads, &mut of.writes)
        })?;
        Ok(EcsStats {
            read_at: told_time(&self.read),
            cpu: EcsCpu {
                total: cpu.cpu_usage.total_usage,
                user: cpu.cpu_usage.usage_in_usermode,
                system: cpu.cpu_usage.usage_in_kernelmode,
                online: cpu.online_cpus,
                periods: cpu.throttling_data.periods,
                throttled_periods: cpu.throttling_data.throttled_periods,
                throttled: cpu.throttling_data.throttled_time,
            },
            memory: EcsMemory {
                usage: memory.usage,
                max: memory.max_usage,
                limit: memory.limit,
                cache: memory.stats.cache.or(memory.stats.file),
                rss: memory.stats.rss.or(memory.stats.anon),
                inactive_file: memory
                    .stats
                    .total_inactive_file
                    .or(memory.stats.inactive_file),
            },
            devices,
            interfaces: interfaces(self.networks)?,
            tasks: self.pids_stats.current,
        })
    }
}

/// Puts reads and writes of each device where `places` says.
fn add_operations(
    list: Option<&RawValue>,
    devices: &mut Vec<EcsDevice>,
    places: impl Fn(&mut EcsDevice) -> (&mut Option<u64>, &mut Option<u64>),
) -> Result<(), serde_json::Error> {
    let Some(list) = list else {
        return Ok(());
    };
    each_item(list.get(), |item| {
        let Ok(told) = serde_json::from_str::<ToldOperation>(item.get()) else {
            return;
        };
        let number = (told.major, told.minor);
        let at = devices.iter().position(|of| of.device == number);
        let at = match at {
            Some(at) => at,
            None if devices.len() < MOST => {
                devices.push(EcsDevice {
                    device: number,
                    ..EcsDevice::default()
                });
                devices.len() - 1
            }
            None => return,
        };
        let (reads, writes) = places(&mut devices[at]);
        // `Total`, `Sync` and the like tell the same again.
        if told.op.eq_ignore_ascii_case("read") {
            *reads = Some(told.value);
        } else if told.op.eq_ignore_ascii_case("write") {
            *writes = Some(told.value);
        }
    })
}

fn interfaces(networks: Option<&RawValue>) -> Result<Vec<EcsInterface>, serde_json::Error> {
    let mut interfaces: Vec<EcsInterface> = Vec::new();
    if let Some(networks) = networks {
        each_entry(networks.get(), |name, told| {
            let name = told_text(name);
            if interfaces.len() < MOST
                && interfaces.iter().all(|of| of.name != name)
                && let Ok(told) = serde_json::from_str::<EcsInterface>(told.get())
            {
                interfaces.push(EcsInterface { name, ..told });
            }
        })?;
    }
    Ok(interfaces)
}
