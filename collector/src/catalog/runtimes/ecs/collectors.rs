//! What ECS tells besides names, as collectors: what the containers of the task have used, and which of them
//! this is.
//!
//! In: ECS's answers. Out: the provider's figures. Never here: a zero for what is not told; more than one
//! call in a second, which tells of all containers of the task at once.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use tokio::{sync::Mutex, time::Instant};

use crate::catalog::runtimes::{
    ContainerRef,
    ecs::EcsClient,
    ecs::stats::{EcsDevice, EcsInterface, EcsStats},
};
use crate::{
    catalog::provider::{
        capability::{
            Answer, CollectError, ContainerStatsCollector, NetworkStatsCollector,
            OwnContainerLookup,
        },
        figures::Figures,
        statistics::{ContainerStats, NetworkStats},
    },
    host::{
        DeviceNumber, block_devices,
        cgroupfs::{
            OtherKeys,
            io::{ByOperation, DeviceIo, IoCost},
        },
        network::{Interface, InterfaceName, Traffic},
    },
};

/// How long an answer is one for other containers of the task too.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// From here on a limit of memory is none: cgroup v1 has no other word for that.
const NO_LIMIT: u64 = 1 << 62;

/// The loopback, which is not counted.
const LOOPBACK: &str = "lo";

/// The last answer, held while another is waited for, so that all who ask meanwhile have it too. An error is
/// an answer.
#[derive(Debug, Default)]
pub(super) struct LastStats(Mutex<Option<LastAnswer>>);

/// An answer, and since when it is one.
type LastAnswer = (Instant, Result<Arc<TaskStats>, CollectError>);

/// What the containers of the task have used.
#[derive(Debug)]
struct TaskStats {
    told: SystemTime,
    containers: Vec<(String, EcsStats)>,
}

impl EcsClient {
    async fn shared_stats(&self) -> Result<Arc<TaskStats>, CollectError> {
        let mut last = self.answers.0.lock().await;
        if let Some((at, answer)) = last.as_ref()
            && at.elapsed() < SHARED_FOR
        {
            return answer.clone();
        }
        let answer = match self.stats().await {
            Ok(containers) => Ok(Arc::new(TaskStats {
                told: SystemTime::now(),
                containers,
            })),
            Err(error) => Err(CollectError::new(error)),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

impl TaskStats {
    /// Of one container, and when.
    fn of(&self, of: &ContainerRef) -> Option<(SystemTime, &EcsStats)> {
        let (_, stats) = self.containers.iter().find(|(id, _)| *id == of.id)?;
        Some((stats.read_at.unwrap_or(self.told), stats))
    }
}

#[async_trait]
impl ContainerStatsCollector for EcsClient {
    async fn container_stats(&self, of: &ContainerRef) -> Answer<ContainerStats> {
        let stats = self.shared_stats().await?;
        Ok(stats.of(of).map(|(at, stats)| ContainerStats {
            at,
            figures: figures(stats, &block_devices::stacked()),
            devices: stats.devices.iter().map(device).collect(),
        }))
    }
}

#[async_trait]
impl NetworkStatsCollector for EcsClient {
    async fn network_stats(&self, of: &ContainerRef) -> Answer<NetworkStats> {
        let stats = self.shared_stats().await?;
        // Of a task without a network of its own nothing is told, which is not nothing.
        let told = stats
            .of(of)
            .filter(|(_, stats)| !stats.interfaces.is_empty());
        Ok(told.map(|(at, stats)| NetworkStats {
            at,
            figures: network_figures(&stats.interfaces),
            interfaces: stats.interfaces.iter().filter_map(interface).collect(),
        }))
    }
}

#[async_trait]
impl OwnContainerLookup for EcsClient {
    async fn own_container(&self) -> Answer<ContainerRef> {
        let id = self.own_id().await.map_err(CollectError::new)?;
        let own = ContainerRef {
            id_namespace: String::new(),
            id,
        };
        Ok((!own.id.is_empty()).then(|| own.key()))
    }
}

fn figures(stats: &EcsStats, stacked: &HashSet<DeviceNumber>) -> Figures {
    let EcsStats {
        read_at: _,
        cpu,
        memory,
        devices,
        interfaces: _,
        tasks,
    } = stats;
    let disks = || devices.iter().filter(|of| !stacked.contains(&number(of)));
    let working_set = memory
        .usage
        .zip(memory.inactive_file)
        .map(|(usage, inactive)| usage.saturating_sub(inactive));
    Figures {
        cpu_ns: cpu.total,
        cpu_user_ns: cpu.user,
        cpu_system_ns: cpu.system,
        cpu_periods: cpu.periods,
        cpu_throttled_periods: cpu.throttled_periods,
        cpu_throttled_ns: cpu.throttled,
        memory_usage_bytes: memory.usage,
        memory_peak_bytes: memory.max,
        memory_limit_bytes: memory.limit.filter(|limit| *limit < NO_LIMIT),
        memory_working_set_bytes: working_set,
        memory_rss_bytes: memory.rss,
        memory_cache_bytes: memory.cache,
        io_read_bytes: sum(disks().map(|of| of.read_bytes)),
        io_written_bytes: sum(disks().map(|of| of.written_bytes)),
        io_reads: sum(disks().map(|of| of.reads)),
        io_writes: sum(disks().map(|of| of.writes)),
        threads: *tasks,
        ..Figures::default()
    }
}

fn network_figures(interfaces: &[EcsInterface]) -> Figures {
    let counted = || interfaces.iter().filter(|of| of.name != LOOPBACK);
    Figures {
        network_received_bytes: sum(counted().map(|of| of.rx_bytes)),
        network_sent_bytes: sum(counted().map(|of| of.tx_bytes)),
        network_received_packets: sum(counted().map(|of| of.rx_packets)),
        network_sent_packets: sum(counted().map(|of| of.tx_packets)),
        ..Figures::default()
    }
}

/// The sum of what is told; absent when nothing is.
fn sum(figures: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    figures.flatten().reduce(u64::saturating_add)
}

const fn number(of: &EcsDevice) -> DeviceNumber {
    let (major, minor) = of.device;
    DeviceNumber { major, minor }
}

fn device(of: &EcsDevice) -> DeviceIo {
    DeviceIo {
        device: number(of),
        bytes: ByOperation {
            read: of.read_bytes,
            write: of.written_bytes,
            ..ByOperation::default()
        },
        operations: ByOperation {
            read: of.reads,
            write: of.writes,
            ..ByOperation::default()
        },
        cost: IoCost::default(),
        scheduler: None,
        other: OtherKeys::default(),
    }
}

/// One of which everything is told.
fn interface(of: &EcsInterface) -> Option<Interface> {
    Some(Interface {
        name: InterfaceName::new(of.name.as_bytes())?,
        received: Traffic {
            bytes: of.rx_bytes?,
            packets: of.rx_packets?,
            errors: of.rx_errors?,
            dropped: of.rx_dropped?,
        },
        sent: Traffic {
            bytes: of.tx_bytes?,
            packets: of.tx_packets?,
            errors: of.tx_errors?,
            dropped: of.tx_dropped?,
        },
    })
}
