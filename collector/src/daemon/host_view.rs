//! This host, as `run` and `doctor` both find it, and what can be attached on it.

use collector_common::signal::Signal;

use super::{config::Config, exit::Failure};
use crate::{
    attach::{
        AttachPlan, Attached, LoadError, LoadSettings, ProgramState, SignalState, TaskHierarchy,
    },
    error_chain,
    host::{
        cgroup_mounts::{CgroupMounts, MountsError},
        process::own_cgroup,
        support::{KernelSupport, Privileges},
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

/// What would become of everything.
#[derive(Debug)]
pub struct Trial {
    /// Of each signal.
    pub signals: Vec<(Signal, SignalState)>,
    /// Of each program of the plan.
    pub programs: Vec<ProgramState>,
    /// Whether `run` would start.
    pub would_run: bool,
}

impl Host {
    /// Looks.
    #[must_use]
    pub fn probe(config: &Config) -> Self {
        let support = KernelSupport::probe(config.btf.as_deref());
        let mounts = CgroupMounts::read(&config.host_root, &config.cgroup_root);
        let tasks = mounts.as_ref().ok().and_then(task_hierarchy);
        let plan = AttachPlan::from_support(&support, tasks, &config.signals);
        Self {
            support,
            mounts,
            plan,
        }
    }

    /// Why `run` cannot start here, whatever becomes of the signals.
    #[must_use]
    pub fn obstacle(&self) -> Option<Failure> {
        if let Err(failure) = require_privileges(self.support.privileges) {
            return Some(failure);
        }
        if let Err(error) = &self.mounts {
            return Some(Failure::Unavailable(error_chain(error)));
        }
        // A file that was asked for is a mistake; that the kernel has no types is not.
        match (&self.support.external_btf, &self.support.types) {
            (Some(_), Err(error)) => Some(Failure::Unavailable(format!(
                "{}; give --btf raw BTF of the kernel that runs, or leave it out",
                error_chain(error)
            ))),
            _ => None,
        }
    }

    /// Loads and attaches what the plan says; `None` when it says nothing.
    pub fn attach(&self, config: &Config) -> Result<Option<Attached>, LoadError> {
        if !self.plan.anything_on() {
            return Ok(None);
        }
        let settings = LoadSettings {
            samples_ring_bytes: config.samples_ring.bytes(),
            events_ring_bytes: EVENTS_RING_BYTES,
            log: tracing::enabled!(tracing::Level::DEBUG),
            own_cgroup: self.mounts.as_ref().ok().and_then(own_cgroup),
        };
        Attached::new(&self.plan, settings).map(Some)
    }

    /// As [`attach`](Self::attach), and detaches again.
    #[must_use]
    pub fn try_attach(&self, config: &Config) -> Trial {
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
            return Trial {
                signals: all_off(&error_chain(error), "mount a cgroup file system"),
                programs: Vec::new(),
                would_run: false,
            };
        }
        let would_run = self.obstacle().is_none();
        match self.attach(config) {
            Ok(Some(attached)) => Trial {
                signals: attached.signals.clone(),
                programs: attached.programs.clone(),
                would_run,
            },
            Ok(None) => Trial {
                signals: self.plan.states_when_nothing_is_on(),
                programs: Vec::new(),
                would_run,
            },
            Err(error) => Trial {
                signals: all_off(&error_chain(&error), ""),
                programs: Vec::new(),
                would_run: false,
            },
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

/// Whether this process may load programs at all.
pub fn require_privileges(privileges: Privileges) -> Result<(), Failure> {
    let missing = privileges.missing_for_tracing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::NotPermitted(format!(
        "not permitted to load kernel programs: this process lacks {}; run as root, or with these \
         capabilities",
        missing.join(" and ")
    )))
}

/// Fewer open files would stop the daemon in the middle of its work: programs, rings, threads and
/// connections take some 150, and cgroups are read with what is left.
const LEAST_OPEN_FILES: u64 = 256;

/// Whether this process may have as many files open as it cannot do without. No `limit` is enough.
pub fn require_open_files(limit: Option<u64>) -> Result<(), Failure> {
    match limit {
        Some(limit) if limit < LEAST_OPEN_FILES => Err(Failure::Unavailable(format!(
            "this process may have {limit} files open, and needs {LEAST_OPEN_FILES} at least: raise the \
             limit (`ulimit -n`, or LimitNOFILE= of its systemd service)"
        ))),
        _ => Ok(()),
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
