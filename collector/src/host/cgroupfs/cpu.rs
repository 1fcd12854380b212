//! CPU time of a cgroup, and what holds it back.

use super::{OtherKeys, parse::Limit};

/// CPU statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuStatistics {
    /// All CPU time.
    pub usage_ns: Option<u64>,
    /// Of it in user space. In v1 in steps of 10 ms, and by older kernels only where timer ticks found
    /// it, so that user and system may not add up to all.
    pub user_ns: Option<u64>,
    /// Of it in the kernel; as above.
    pub system_ns: Option<u64>,
    /// Of it at a low priority.
    pub nice_ns: Option<u64>,
    /// v1: user time by timer ticks alone.
    pub ticked_user_ns: Option<u64>,
    /// v1: kernel time by timer ticks alone.
    pub ticked_system_ns: Option<u64>,
    /// Time that a CPU was kept idle for core scheduling.
    pub forced_idle_ns: Option<u64>,
    /// All CPU time, by CPU. Empty when not asked for, and in v2.
    pub per_cpu_usage_ns: Vec<u64>,
    /// User time by CPU; as above.
    pub per_cpu_user_ns: Vec<u64>,
    /// Kernel time by CPU; as above.
    pub per_cpu_system_ns: Vec<u64>,
    /// Periods of the bandwidth limit in which it ran.
    pub periods: Option<u64>,
    /// Of them, those in which it used up its quota.
    pub throttled_periods: Option<u64>,
    /// How long its CPUs were throttled, added up.
    pub throttled_ns: Option<u64>,
    /// The same, without the limits of the cgroups above.
    pub throttled_here_ns: Option<u64>,
    /// Periods in which it ran longer than its quota.
    pub bursts: Option<u64>,
    /// How much longer.
    pub burst_ns: Option<u64>,
    /// CPU time in each period.
    pub quota_ns: Option<Limit>,
    /// The length of a period.
    pub period_ns: Option<u64>,
    /// How much of unused quota can be used later.
    pub burst_limit_ns: Option<u64>,
    /// v1's weight, 1024 by default.
    pub shares: Option<u64>,
    /// v2's weight, 100 by default.
    pub weight: Option<u64>,
    /// v2's weight as a nice value.
    pub weight_nice: Option<i64>,
    /// Whether it gets only what nobody else wants.
    pub idle: Option<bool>,
    /// What else `cpu.stat` says, as it says it.
    pub other: OtherKeys,
}

impl CpuStatistics {
    /// How many CPUs it can use, by its bandwidth limit: `None` if there is none or it is unknown.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio shown with a few digits"
    )]
    pub fn limit_cores(&self) -> Option<f64> {
        let quota = self.quota_ns?.bound()?;
        let period = self.period_ns.filter(|period| *period > 0)?;
        Some(quota as f64 / period as f64)
    }
}
