//! Programs in the kernel: loaded, attached, and gone when this is dropped.

use std::{
    borrow::Cow,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Btf, Ebpf, EbpfLoader, RawTracePointRunOptions, TestRun as _,
    maps::{MapData, PerCpuArray, RingBuf},
    programs::{BtfTracePoint, FEntry, ProgramError, RawTracePoint},
};
use aya_log::EbpfLogger;
use collector_common::{cpu::CpuState, signal::Signal};

use super::{
    plan::{AttachPlan, Entry, Program, SignalPlan},
    requirements::Hook,
    signal_state::SignalState,
    type_check,
};
use crate::{error_chain, host::CgroupKey};

/// The object that `build.rs` makes of `collector-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/cgscope-ebpf.o"));

/// The program that empties a CPU's batches; run on demand, attached to nothing.
const FLUSH_CPU: &str = "flush_cpu";

/// How the programs are loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadSettings {
    /// Size of the samples ring; a power of two of at least a page.
    pub samples_ring_bytes: u32,
    /// Size of the events ring; likewise.
    pub events_ring_bytes: u32,
    /// Whether the programs log (to the daemon's log, at debug level).
    pub log: bool,
    /// The cgroup of this process where tasks are attributed, if it is known: one of the facts that
    /// types from elsewhere are checked against.
    pub own_cgroup: Option<CgroupKey>,
}

/// Nothing could be loaded at all. A single program that cannot be is not an error: its signal is
/// off.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The object or its maps.
    #[error("cannot load the kernel programs")]
    Object(#[source] Box<aya::EbpfError>),
    /// The kernel's types, for the loader.
    #[error("cannot read the kernel's types for the loader")]
    Btf(#[source] aya::BtfError),
    /// A map that the object should have.
    #[error("the kernel programs' map {name} cannot be used")]
    Map {
        /// Its name.
        name: &'static str,
        /// Why not.
        #[source]
        source: Box<aya::maps::MapError>,
    },
    /// The object is not the one that this was built with.
    #[error("the kernel programs' object has no {name}")]
    NoSuchPart {
        /// The map or program.
        name: &'static str,
    },
}

/// A program of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramState {
    /// Its name.
    pub name: &'static str,
    /// The signal that it serves.
    pub signal: Signal,
    /// Whether it runs.
    pub attached: bool,
}

/// Programs in the kernel. Dropping it detaches and unloads all of them.
#[derive(Debug)]
pub struct Attached {
    ebpf: Ebpf,
    /// Whether the programs log.
    logs: bool,
    /// Which of its entries a program on a tracepoint has.
    entry: Entry,
    /// What became of each signal.
    pub signals: Vec<(Signal, SignalState)>,
    /// Each program of the plan.
    pub programs: Vec<ProgramState>,
}

/// The maps that `drain` reads.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Rings {
    /// Batches of samples.
    pub samples: RingBuf<MapData>,
    /// Events.
    pub events: RingBuf<MapData>,
    /// Counters of each CPU.
    pub cpu_state: PerCpuArray<MapData, CpuState>,
}

impl Attached {
    /// Loads and attaches what the plan says.
    pub fn new(plan: &AttachPlan, settings: LoadSettings) -> Result<Self, LoadError> {
        let kernel_types = match plan.entry {
            Entry::Typed => Some(Btf::from_sys_fs().map_err(LoadError::Btf)?),
            Entry::Raw => None,
        };
        let log_level = if settings.log {
            aya_log::Level::Debug as u8
        } else {
            0
        };
        let mut loader = EbpfLoader::new();
        // The object has no relocation against the kernel's types.
        loader.btf(None);
        for (symbol, value) in &plan.globals {
            loader.override_global(symbol, value, true);
        }
        loader
            .override_global(aya_log::LEVEL, &log_level, true)
            .map_max_entries("SAMPLES", settings.samples_ring_bytes)
            .map_max_entries("EVENTS", settings.events_ring_bytes);
        let ebpf = loader
            .load(OBJECT)
            .map_err(|error| LoadError::Object(Box::new(error)))?;
        let mut attached = Self {
            ebpf,
            logs: settings.log,
            entry: plan.entry,
            signals: Vec::new(),
            programs: Vec::new(),
        };
        attached.load_flush()?;
        let distrust = type_check::distrust(&mut attached.ebpf, plan, settings.own_cgroup);
        for (signal, signal_plan) in &plan.signals {
            let state = match (signal_plan, &distrust) {
                (SignalPlan::On { .. }, Some(off)) => off.clone(),
                _ => attached.bring_up(*signal, signal_plan, kernel_types.as_ref()),
            };
            attached.signals.push((*signal, state));
        }
        Ok(attached)
    }

    fn load_flush(&mut self) -> Result<(), LoadError> {
        let program = self
            .ebpf
            .program_mut(FLUSH_CPU)
            .ok_or(LoadError::NoSuchPart { name: FLUSH_CPU })?;
        <&mut RawTracePoint>::try_from(program)
            .and_then(RawTracePoint::load)
            .map_err(|error| LoadError::Object(Box::new(aya::EbpfError::ProgramError(error))))
    }

    fn bring_up(
        &mut self,
        signal: Signal,
        plan: &SignalPlan,
        kernel_types: Option<&Btf>,
    ) -> SignalState {
        let (programs, mut with, mut without) = match plan {
            SignalPlan::Off { reason, remedy } => {
                return SignalState::Off {
                    reason: reason.clone(),
                    remedy: remedy.clone(),
                };
            }
            SignalPlan::On {
                programs,
                with,
                without,
            } => (programs, with.clone(), without.clone()),
        };
        let first = self.programs.len();
        let mut failure = None;
        for program in programs {
            let outcome = self.attach(program, kernel_types);
            self.programs.push(ProgramState {
                name: program.name,
                signal,
                attached: outcome.is_ok(),
            });
            match (outcome, program.optional) {
                (Ok(()), extra) => {
                    tracing::debug!(program = program.name, "attached");
                    with.extend(extra.map(|extra| extra.to_string()));
                }
                (Err(why), Some(extra)) => {
                    without.push(format!("{} ({}: {why})", extra.gives, program.name));
                }
                (Err(why), None) => {
                    failure = Some(format!("{} cannot be attached: {why}", program.name));
                    break;
                }
            }
        }
        let Some(reason) = failure else {
            return SignalState::On { with, without };
        };
        // A signal with half its programs would give half its numbers.
        for program in &mut self.programs[first..] {
            program.attached = false;
            let unloaded = match self
                .ebpf
                .program_mut(&object_name(program.name, self.entry))
            {
                Some(aya::programs::Program::BtfTracePoint(loaded)) => loaded.unload(),
                Some(aya::programs::Program::RawTracePoint(loaded)) => loaded.unload(),
                Some(aya::programs::Program::FEntry(loaded)) => loaded.unload(),
                _ => Ok(()),
            };
            if let Err(error) = unloaded {
                tracing::debug!(program = program.name, %error, "was not loaded");
            }
        }
        let remedy = "see the log at debug level for what the kernel's verifier said".to_owned();
        SignalState::Off { reason, remedy }
    }

    fn attach(&mut self, program: &Program, kernel_types: Option<&Btf>) -> Result<(), String> {
        let loaded = self
            .ebpf
            .program_mut(&object_name(program.name, self.entry))
            .ok_or_else(|| "the object does not have it".to_owned())?;
        let outcome = match (program.hook, kernel_types) {
            (Hook::Tracepoint(tracepoint), Some(types)) => <&mut BtfTracePoint>::try_from(loaded)
                .and_then(|typed| {
                    typed.load(tracepoint, types)?;
                    typed.attach().map(drop)
                }),
            (Hook::Tracepoint(tracepoint), None) => <&mut RawTracePoint>::try_from(loaded)
                .and_then(|raw| {
                    raw.load()?;
                    raw.attach(tracepoint).map(drop)
                }),
            (Hook::FunctionEntry(function), Some(types)) => <&mut FEntry>::try_from(loaded)
                .and_then(|typed| {
                    typed.load(function, types)?;
                    typed.attach().map(drop)
                }),
            (Hook::FunctionEntry(_), None) => {
                return Err("the kernel has no types of its own".to_owned());
            }
        };
        outcome.map_err(|error| explain(program, &error))
    }

    /// Takes the maps, for whoever drains them. They can be taken once.
    pub fn take_rings(&mut self) -> Result<Rings, LoadError> {
        let map_error = |name| {
            move |source| LoadError::Map {
                name,
                source: Box::new(source),
            }
        };
        Ok(Rings {
            samples: RingBuf::try_from(self.take("SAMPLES")?).map_err(map_error("SAMPLES"))?,
            events: RingBuf::try_from(self.take("EVENTS")?).map_err(map_error("EVENTS"))?,
            cpu_state: PerCpuArray::try_from(self.take("CPU_STATE")?)
                .map_err(map_error("CPU_STATE"))?,
        })
    }

    fn take(&mut self, name: &'static str) -> Result<aya::maps::Map, LoadError> {
        self.ebpf
            .take_map(name)
            .ok_or(LoadError::NoSuchPart { name })
    }

    /// Takes what the programs log, if they do, to be passed on to the daemon's log now and then.
    pub fn take_logger(&mut self) -> Option<EbpfLogger<&'static dyn log::Log>> {
        if !self.logs {
            return None;
        }
        EbpfLogger::init(&mut self.ebpf)
            .inspect_err(|error| tracing::warn!(%error, "the programs' log cannot be read"))
            .ok()
    }

    /// Makes a CPU submit what it has in its batches.
    pub fn flush_cpu(&self, cpu: u32) -> Result<(), ProgramError> {
        let Some(program) = self.ebpf.program(FLUSH_CPU) else {
            return Ok(());
        };
        let program: &RawTracePoint = program.try_into()?;
        let options = RawTracePointRunOptions {
            cpu: Some(cpu),
            ..Default::default()
        };
        program.test_run(options).map(drop)
    }

    /// The file descriptor of an attached program.
    #[must_use]
    pub fn program_fd(&self, name: &str) -> Option<i32> {
        let fd = self
            .ebpf
            .program(&object_name(name, self.entry))?
            .fd()
            .ok()?;
        Some(fd.as_fd().as_raw_fd())
    }
}

/// What the object calls the entry of a program that is to be loaded.
fn object_name(name: &str, entry: Entry) -> Cow<'_, str> {
    match entry {
        Entry::Typed => name.into(),
        Entry::Raw => format!("{name}_raw").into(),
    }
}

/// A short reason for people; the verifier's own, often long, goes to the log.
fn explain(program: &Program, error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            tracing::debug!(program = program.name, %io_error, "verifier: {verifier_log}");
            match io_error.raw_os_error() {
                Some(libc::EPERM) => format!("the kernel refuses to load it ({io_error})"),
                _ => format!("the kernel's verifier rejects it ({io_error})"),
            }
        }
        ProgramError::SyscallError(error) => {
            format!("{} failed: {}", error.call, error.io_error)
        }
        other => error_chain(other),
    }
}
