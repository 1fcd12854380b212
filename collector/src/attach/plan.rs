//! What to load, decided from facts alone.
//!
//! In: what the kernel offers, the [table of requirements](super::requirements), what is wanted. Out: a
//! plan that can be printed. The same facts give the same plan: nothing here asks the kernel.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use collector_common::signal::Signal;

use super::{
    choice::{Choice, Facts, TaskHierarchy},
    requirements::{HAS_THROTTLING, Hook, REQUIREMENTS, Requirements},
    signal_state::SignalState,
};
use crate::{
    error_chain,
    host::{btf::BtfError, support::KernelSupport},
    window::Operation,
};

/// Which entry of the tracepoint programs is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The one whose arguments have types: kernel structs are read by plain loads.
    Typed,
    /// The one for kernels without types of their own: each load is a call of a helper.
    Raw,
}

/// A program of the object, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Where it goes.
    pub hook: Hook,
    /// What it gives, if its signal does without it when it cannot be attached.
    pub optional: Option<Extra>,
}

/// What a signal has beyond what it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    /// What.
    pub gives: &'static str,
    /// From where.
    pub from: &'static str,
}

/// What becomes of one signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalPlan {
    /// These programs are to be attached.
    On {
        /// The programs.
        programs: Vec<Program>,
        /// What it has beyond what it must have, without a program of its own.
        with: Vec<String>,
        /// What this kernel does not give, though the signal works without it.
        without: Vec<String>,
    },
    /// It cannot, or shall not, work here.
    Off {
        /// Why.
        reason: String,
        /// What would change that; empty when nothing would.
        remedy: String,
    },
}

/// Everything that is to be loaded.
#[derive(Clone, Debug)]
pub struct AttachPlan {
    /// One entry for each signal.
    pub signals: Vec<(Signal, SignalPlan)>,
    /// How the programs on tracepoints are entered.
    pub entry: Entry,
    /// The file that the types are from, when it is not the kernel's own: to be checked first.
    pub external_btf: Option<PathBuf>,
    /// Where tasks are attributed.
    pub tasks: Option<TaskHierarchy>,
    /// Globals of the object, and their values.
    pub globals: Vec<(&'static str, u64)>,
    /// How this kernel numbers the block operations.
    pub operations: Vec<(u32, Operation)>,
}

impl AttachPlan {
    /// Decides.
    #[must_use]
    pub fn from_support(
        support: &KernelSupport,
        tasks: Option<TaskHierarchy>,
        wanted: &BTreeSet<Signal>,
    ) -> Self {
        let types = match &support.types {
            Ok(types) => types,
            Err(why) => return Self::all_off(&error_chain(why), types_remedy(support, why)),
        };
        if let (Some(file), Some(difference)) = (&support.external_btf, &support.contradiction) {
            let why = format!(
                "{} does not describe the running kernel: {difference}",
                file.display()
            );
            return Self::all_off(&why, REMEDY_FOR_TYPES_OF_ANOTHER);
        }
        let missing = support.privileges.missing_for_tracing();
        if !missing.is_empty() {
            let why = format!(
                "not permitted: this process lacks {}",
                missing.join(" and ")
            );
            return Self::all_off(&why, "run as root, or with these capabilities");
        }
        let facts = Facts {
            types,
            tasks,
            has_own_types: support.has_own_types,
        };
        let mut globals = facts.globals();
        let signals = REQUIREMENTS
            .iter()
            .map(|requirements| {
                let signal = requirements.signal;
                if !wanted.contains(&signal) {
                    let reason = "not asked for".to_owned();
                    let remedy = format!("add {} to --signals", signal.name());
                    return (signal, SignalPlan::Off { reason, remedy });
                }
                let plan = facts.choose_all(requirements).map_or_else(
                    |why| SignalPlan::Off {
                        reason: match &support.external_btf {
                            Some(file) => format!("{why}, says {}", file.display()),
                            None => why,
                        },
                        remedy: kernel_that_has_it(requirements),
                    },
                    |choices| {
                        globals.extend(choices.iter().flat_map(Choice::globals));
                        SignalPlan::of(&choices)
                    },
                );
                (signal, plan)
            })
            .collect();
        Self {
            signals,
            entry: if support.has_own_types {
                Entry::Typed
            } else {
                Entry::Raw
            },
            external_btf: support.external_btf.clone(),
            tasks,
            globals,
            operations: facts.operations(),
        }
    }

    /// No signal, for one reason.
    fn all_off(reason: &str, remedy: &str) -> Self {
        let off = SignalPlan::Off {
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        };
        Self {
            signals: Signal::ALL
                .into_iter()
                .map(|signal| (signal, off.clone()))
                .collect(),
            entry: Entry::Typed,
            external_btf: None,
            tasks: None,
            globals: Vec::new(),
            operations: Vec::new(),
        }
    }

    /// What becomes of the signals when none is to be loaded.
    #[must_use]
    pub fn states_when_nothing_is_on(&self) -> Vec<(Signal, SignalState)> {
        let state = |plan: &SignalPlan| match plan {
            SignalPlan::On { with, without, .. } => SignalState::On {
                with: with.clone(),
                without: without.clone(),
            },
            SignalPlan::Off { reason, remedy } => SignalState::Off {
                reason: reason.clone(),
                remedy: remedy.clone(),
            },
        };
        self.signals
            .iter()
            .map(|(signal, plan)| (*signal, state(plan)))
            .collect()
    }

    /// Whether anything is to be loaded.
    #[must_use]
    pub fn anything_on(&self) -> bool {
        self.signals
            .iter()
            .any(|(_, plan)| matches!(plan, SignalPlan::On { .. }))
    }

    /// Whether a wait's own bandwidth limit is told apart from contention.
    #[must_use]
    pub fn throttling_known(&self) -> bool {
        self.globals.contains(&(HAS_THROTTLING, 1))
    }
}

impl SignalPlan {
    fn of(choices: &[Choice]) -> Self {
        let mut programs = Vec::new();
        let mut with = Vec::new();
        let mut without = Vec::new();
        for Choice { part, way } in choices {
            let way = match way {
                Ok(way) => way,
                Err(why) => {
                    without.push(format!("{} ({why})", part.gives));
                    continue;
                }
            };
            without.extend(way.lacks.map(str::to_owned));
            let extra = part.optional.then_some(Extra {
                gives: part.gives,
                from: way.from,
            });
            match way.program {
                Some(program) => programs.push(Program {
                    name: program.name,
                    hook: program.hook,
                    optional: extra,
                }),
                None => with.extend(extra.map(|extra| extra.to_string())),
            }
        }
        Self::On {
            programs,
            with,
            without,
        }
    }
}

impl fmt::Display for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.gives, self.from)
    }
}

/// What to do about a kernel that lacks something.
fn kernel_that_has_it(requirements: &Requirements) -> String {
    let cgscope = "a cgscope that knows this kernel";
    if requirements.built_with.is_empty() {
        return cgscope.to_owned();
    }
    let options = requirements.built_with.join(" and ");
    format!("a kernel built with {options}, or {cgscope}")
}

/// What to do about types that are not this kernel's.
pub(super) const REMEDY_FOR_TYPES_OF_ANOTHER: &str =
    "give --btf the BTF of this very kernel, or leave it out";

/// What to do about types that cannot be had.
fn types_remedy(support: &KernelSupport, why: &BtfError) -> &'static str {
    match why {
        _ if support.external_btf.is_some() => {
            "give --btf raw BTF of the kernel that runs, or leave it out"
        }
        BtfError::Absent { .. } => {
            "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, or give --btf a file with the BTF of this very \
             kernel, made from its vmlinux with `pahole --btf_encode_detached FILE vmlinux` or taken \
             from an archive such as BTFHub"
        }
        _ => "give --btf a file with the BTF of this very kernel",
    }
}
