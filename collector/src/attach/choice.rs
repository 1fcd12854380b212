//! Which way to have each part of a signal, on this kernel.
//!
//! In: the [table of requirements](super::requirements), and the facts that it is held against. Out: the
//! best way that they allow for each part, or what stands in its way. Pure.

use super::requirements::{
    Hook, Need, Part, ProgramAt, Requirements, TASK_CGROUP, TASK_CGROUP_V1, TASK_CGROUP_V2, Way,
};
use crate::{
    host::{
        btf::{Missing, Prototype},
        support::KernelTypes,
    },
    window::Operation,
};

/// Where a task's cgroup is looked up. Containers live where the `cpu` controller is, and it can be
/// in one hierarchy only: v1's if that is mounted, else v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskHierarchy {
    /// The unified hierarchy.
    V2,
    /// The v1 hierarchy of the `cpu` controller.
    V1Cpu,
}

/// What the table is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// What the kernel's types say.
    pub(super) types: &'a KernelTypes,
    /// Where tasks are attributed.
    pub(super) tasks: Option<TaskHierarchy>,
    /// Whether the kernel has types of its own, so that typed programs can be attached.
    pub(super) has_own_types: bool,
}

/// What becomes of a part.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) part: &'static Part,
    /// The way taken, or why there is none.
    pub(super) way: Result<&'static Way, Why>,
}

/// Why something cannot be had, in words.
type Why = String;

/// Why a way cannot be taken.
struct Obstacle {
    why: Why,
    /// Whether its program would fit where it goes: then it is the way that was meant for this kernel.
    fits: bool,
}

impl Choice {
    /// The globals that the way taken sets.
    pub(super) fn globals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.way
            .iter()
            .flat_map(|way| way.sets.iter().map(|symbol| (*symbol, 1)))
    }
}

impl Facts<'_> {
    /// A choice for each part of a signal, or why one that it must have cannot be had.
    pub(super) fn choose_all(self, of: &'static Requirements) -> Result<Vec<Choice>, Why> {
        self.know_all(of.needs)?;
        of.parts
            .iter()
            .map(|part| match self.choose(part) {
                Err(why) if !part.optional => Err(why),
                way => Ok(Choice { part, way }),
            })
            .collect()
    }

    fn choose(self, part: &'static Part) -> Result<&'static Way, Why> {
        let mut nearest: Option<Obstacle> = None;
        for way in part.ways {
            let Err(obstacle) = self.check(way) else {
                return Ok(way);
            };
            // The best of those that would fit is the one to be told about.
            if nearest
                .as_ref()
                .is_none_or(|known| obstacle.fits && !known.fits)
            {
                nearest = Some(obstacle);
            }
        }
        Err(nearest.map_or_else(|| "there is no way to have it".to_owned(), |of| of.why))
    }

    fn check(self, way: &Way) -> Result<(), Obstacle> {
        let check_hook = way
            .program
            .map_or(Ok(()), |program| self.check_hook(&program));
        check_hook.map_err(|why| Obstacle { why, fits: false })?;
        self.know_all(way.needs)
            .map_err(|why| Obstacle { why, fits: true })
    }

    fn check_hook(self, program: &ProgramAt) -> Result<(), Why> {
        let (name, passed) = match program.hook {
            Hook::Tracepoint(name) => (name, self.types.tracepoint(name)),
            Hook::FunctionEntry(_) if !self.has_own_types => {
                return Err("fentry needs type information of the kernel's own".to_owned());
            }
            Hook::FunctionEntry(name) => (name, self.types.function(name)),
        };
        let passed = passed.map_err(in_words)?;
        if takes(program.arguments, passed) {
            return Ok(());
        }
        Err(format!(
            "this kernel's {name} passes ({}), which no program here expects",
            passed.join(", ")
        ))
    }

    fn know_all(self, needs: &[Need]) -> Result<(), Why> {
        needs.iter().try_for_each(|need| match need {
            Need::Field(symbol) => self.know_fields(&[symbol]),
            Need::TaskCgroup => self.know_task_cgroup(),
            Need::BlockOperations if self.operations().is_empty() => {
                Err("this kernel's request operations have unknown names".to_owned())
            }
            Need::BlockOperations => Ok(()),
        })
    }

    fn know_fields(self, symbols: &[&'static str]) -> Result<(), Why> {
        symbols
            .iter()
            .try_for_each(|symbol| self.types.layout.offset(symbol).map(drop))
            .map_err(in_words)
    }

    fn know_task_cgroup(self) -> Result<(), Why> {
        self.know_fields(&TASK_CGROUP)?;
        match self.tasks {
            None => Err("no cgroup hierarchy is mounted that holds tasks".to_owned()),
            Some(TaskHierarchy::V2) => self.know_fields(&TASK_CGROUP_V2),
            Some(TaskHierarchy::V1Cpu) => {
                self.know_fields(&TASK_CGROUP_V1)?;
                self.types
                    .cpu_controller
                    .map(drop)
                    .ok_or_else(|| "this kernel does not number the cpu controller".to_owned())
            }
        }
    }

    /// The globals that do not depend on a choice: every known offset, and where tasks are attributed.
    pub(super) fn globals(self) -> Vec<(&'static str, u64)> {
        const CONTROLLERS: &str = TASK_CGROUP_V1[0];
        let layout = &self.types.layout;
        let mut globals: Vec<_> = layout
            .known()
            .filter(|(symbol, _)| *symbol != CONTROLLERS)
            .collect();
        if let (Ok(controllers), Some(cpu)) =
            (layout.offset(CONTROLLERS), self.types.cpu_controller)
        {
            let pointer = size_of::<usize>() as u64;
            globals.push(("OFF_CSS_SET_CPU", controllers + cpu * pointer));
        }
        let is_v1 = self.tasks == Some(TaskHierarchy::V1Cpu);
        globals.push(("HAS_V1_TASK_HIERARCHY", u64::from(is_v1)));
        globals
    }

    /// How this kernel numbers the block operations.
    pub(super) fn operations(self) -> Vec<(u32, Operation)> {
        self.types
            .request_operations
            .iter()
            .filter_map(|(name, code)| {
                let operation = match *name {
                    "REQ_OP_READ" => Operation::Read,
                    "REQ_OP_WRITE" | "REQ_OP_WRITE_ZEROES" | "REQ_OP_ZONE_APPEND" => {
                        Operation::Write
                    }
                    "REQ_OP_FLUSH" => Operation::Flush,
                    "REQ_OP_DISCARD" | "REQ_OP_SECURE_ERASE" => Operation::Discard,
                    _ => return None,
                };
                Some((u32::try_from(*code).ok()?, operation))
            })
            .collect()
    }
}

/// Whether a program that takes `expected` can be given `passed`; what is passed beyond is not read.
fn takes(expected: &[&str], passed: &Prototype) -> bool {
    passed.len() >= expected.len()
        && expected
            .iter()
            .zip(passed)
            .all(|(types, passed)| types.split('|').any(|of| of == passed))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "given to map_err, which passes it on"
)]
fn in_words(missing: Missing) -> Why {
    missing.to_string()
}
