//! This host, as `run` and `doctor` both find it, and what can be attached on it.

use collector_common::signal::Signal;

use super::config::Config;
use crate::{
    attach::{
        AttachPlan, Attached, LoadError, LoadSettings, ProgramState, SignalState, TaskHierarchy,
    },
    error_chain,
    host::{
        cgroup_mounts::{CgroupMounts, MountsError},
        support::KernelSupport,
    },
};

/// Size of the events ring: room for some 10,000 cgroups made at once.
const EVENTS_RING_BYTES: u32 = 1 << 20;

/// What was found.
#[derive(Debug)]
pub struct Host {
    /// The kernel.
    pub support: KernelSupport,
    /// Its cgroup hierarchies.
    pub mounts: Result<CgroupMounts, MountsError>,
    /// What is to be attached.
    pub plan: AttachPlan,
}

impl Host {
    /// Looks.
    #[must_use]
    pub fn probe(config: &Config) -> Self {
        let support = KernelSupport::probe(&config.btf);
        let mounts = CgroupMounts::read(&config.host_root, &config.cgroup_root);
        let tasks = mounts.as_ref().ok().and_then(task_hierarchy);
        let plan = AttachPlan::from_support(&support, tasks, &config.signals);
        Self {
            support,
            mounts,
            plan,
        }
    }

    /// Loads and attaches what the plan says.
    pub fn attach(&self, config: &Config) -> Result<Attached, LoadError> {
        let settings = LoadSettings {
            samples_ring_bytes: config.samples_ring.bytes(),
            events_ring_bytes: EVENTS_RING_BYTES,
            log: tracing::enabled!(tracing::Level::DEBUG),
        };
        Attached::new(&self.plan, settings)
    }

    /// As [`attach`](Self::attach), and detaches again: what would become of each signal.
    #[must_use]
    pub fn try_attach(&self, config: &Config) -> (Vec<(Signal, SignalState)>, Vec<ProgramState>) {
        let all_off = |reason: &str, remedy: &str| {
            let off = SignalState::Off {
                reason: reason.to_owned(),
                remedy: remedy.to_owned(),
            };
            Signal::ALL
                .into_iter()
                .map(|signal| (signal, off.clone()))
                .collect()
        };
        if let Err(error) = &self.mounts {
            return (
                all_off(&error_chain(error), "mount a cgroup file system"),
                Vec::new(),
            );
        }
        if !self.plan.anything_on() {
            return (self.plan.states_when_nothing_is_on(), Vec::new());
        }
        match self.attach(config) {
            Ok(attached) => (attached.signals.clone(), attached.programs.clone()),
            Err(error) => (all_off(&error_chain(&error), ""), Vec::new()),
        }
    }

    /// The cgroup mode, for people.
    #[must_use]
    pub fn mode_in_words(&self) -> String {
        match &self.mounts {
            Ok(mounts) => mounts.mode().to_string(),
            Err(_) => "none".to_owned(),
        }
    }

    /// The hierarchy in which tasks are attributed, for people.
    #[must_use]
    pub fn task_hierarchy_in_words(&self) -> Option<String> {
        let tasks = task_hierarchy(self.mounts.as_ref().ok()?)?;
        Some(match tasks {
            TaskHierarchy::V2 => "the v2 hierarchy".to_owned(),
            TaskHierarchy::V1Cpu => "the v1 cpu hierarchy".to_owned(),
        })
    }
}

/// Where tasks are attributed: in the hierarchy of the `cpu` controller.
fn task_hierarchy(mounts: &CgroupMounts) -> Option<TaskHierarchy> {
    let hierarchy = mounts.task_hierarchy()?;
    Some(if hierarchy.is_v2() {
        TaskHierarchy::V2
    } else {
        TaskHierarchy::V1Cpu
    })
}
