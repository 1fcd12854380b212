//! What the running kernel offers to the programs: asked, not guessed from its version.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    btf::{BtfError, KERNEL_BTF, KernelBtf, Missing, Prototype},
    layout::Layout,
};

/// Tracepoints that a program can be on.
pub const TRACEPOINTS: [&str; 7] = [
    "sched_switch",
    "block_rq_complete",
    "mark_victim",
    "cgroup_mkdir",
    "cgroup_rmdir",
    "cgroup_rename",
    "cgroup_notify_populated",
];

/// Functions that a program can be on.
pub const FUNCTIONS: [&str; 1] = ["oom_kill_process"];

/// `enum req_op`, called `req_opf` before 6.0 (commit ff07a02e9e8e).
const REQUEST_OPERATION_ENUMS: [&str; 2] = ["req_op", "req_opf"];

/// The request operations that carry a container's data. Others are a driver's own commands.
const REQUEST_OPERATIONS: [&str; 7] = [
    "REQ_OP_READ",
    "REQ_OP_WRITE",
    "REQ_OP_FLUSH",
    "REQ_OP_DISCARD",
    "REQ_OP_SECURE_ERASE",
    "REQ_OP_WRITE_ZEROES",
    "REQ_OP_ZONE_APPEND",
];

/// What is to be known before a plan can be made. Facts only; the rules are in `attach::plan`.
#[derive(Debug)]
pub struct KernelSupport {
    /// The kernel's release, for people.
    pub release: String,
    /// What its types say, or why they cannot be had.
    pub types: Result<KernelTypes, BtfError>,
    /// The file that the types are from, when it is not the kernel's own.
    pub external_btf: Option<PathBuf>,
    /// Whether the kernel has types of its own: without them it takes no typed programs.
    pub has_own_types: bool,
    /// Where `external_btf` differs from the kernel's own types, when there are both.
    pub contradiction: Option<String>,
    /// What this process may do.
    pub privileges: Privileges,
}

/// What BTF says of all that the programs touch.
#[derive(Clone, Debug, Default)]
pub struct KernelTypes {
    /// Offsets of fields.
    pub layout: Layout,
    /// Prototypes of [`TRACEPOINTS`].
    pub tracepoints: BTreeMap<&'static str, Result<Prototype, Missing>>,
    /// Prototypes of [`FUNCTIONS`].
    pub functions: BTreeMap<&'static str, Result<Prototype, Missing>>,
    /// The index of the `cpu` controller in a task's set of controllers.
    pub cpu_controller: Option<u64>,
    /// The request operations that this kernel knows, by name.
    pub request_operations: Vec<(&'static str, u64)>,
}

/// What this process may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Privileges {
    /// Effective capabilities, by bit.
    pub effective: u64,
}

impl Privileges {
    const SYS_ADMIN: u32 = 21;
    const PERFMON: u32 = 38;
    const BPF: u32 = 39;

    /// Of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let effective = procfs::process::Process::myself()
            .and_then(|process| process.status())
            .map_or(0, |status| status.capeff);
        Self { effective }
    }

    /// The capabilities that are missing to load and attach tracing programs: none with
    /// `CAP_SYS_ADMIN`, else `CAP_BPF` and `CAP_PERFMON` (since 5.8, commit a17b53c4a4b5).
    #[must_use]
    pub fn missing_for_tracing(self) -> Vec<&'static str> {
        let has = |bit: u32| self.effective >> bit & 1 == 1;
        if has(Self::SYS_ADMIN) {
            return Vec::new();
        }
        [(Self::BPF, "CAP_BPF"), (Self::PERFMON, "CAP_PERFMON")]
            .into_iter()
            .filter(|(bit, _)| !has(*bit))
            .map(|(_, name)| name)
            .collect()
    }
}

impl KernelSupport {
    /// Asks the kernel that runs, its types from `external_btf` if that is given.
    #[must_use]
    pub fn probe(external_btf: Option<&Path>) -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(
            |_| "unknown".to_owned(),
            |release| release.trim().to_owned(),
        );
        let own = Path::new(KERNEL_BTF);
        let types = KernelBtf::load(external_btf.unwrap_or(own)).map(|btf| KernelTypes::ask(&btf));
        let contradiction = external_btf.and_then(|_| {
            let own = KernelBtf::load(own).ok()?;
            let external = types.as_ref().ok()?;
            external.layout.difference(&Layout::resolve(&own))
        });
        Self {
            release,
            types,
            contradiction,
            external_btf: external_btf.map(Path::to_owned),
            has_own_types: own.exists(),
            privileges: Privileges::of_this_process(),
        }
    }
}

impl KernelSupport {
    /// The file that the types are from, if there are any, for people.
    #[must_use]
    pub fn types_in_words(&self) -> Option<String> {
        let file = self
            .external_btf
            .as_deref()
            .unwrap_or_else(|| Path::new(KERNEL_BTF));
        self.types.as_ref().ok().map(|_| file.display().to_string())
    }
}

impl KernelTypes {
    /// Asks BTF for all of it.
    #[must_use]
    pub fn ask(btf: &KernelBtf) -> Self {
        Self {
            layout: Layout::resolve(btf),
            tracepoints: TRACEPOINTS
                .iter()
                .map(|name| (*name, btf.tracepoint(name)))
                .collect(),
            functions: FUNCTIONS
                .iter()
                .map(|name| (*name, btf.function(name)))
                .collect(),
            cpu_controller: btf.enumerator(&["cgroup_subsys_id"], "cpu_cgrp_id").ok(),
            request_operations: REQUEST_OPERATIONS
                .iter()
                .filter_map(|name| {
                    Some((*name, btf.enumerator(&REQUEST_OPERATION_ENUMS, name).ok()?))
                })
                .collect(),
        }
    }

    /// What a tracepoint passes.
    pub fn tracepoint(&self, name: &str) -> Result<&Prototype, Missing> {
        known(&self.tracepoints, name)
    }

    /// What a function takes.
    pub fn function(&self, name: &str) -> Result<&Prototype, Missing> {
        known(&self.functions, name)
    }
}

fn known<'a>(
    prototypes: &'a BTreeMap<&'static str, Result<Prototype, Missing>>,
    name: &str,
) -> Result<&'a Prototype, Missing> {
    match prototypes.get(name) {
        Some(Ok(prototype)) => Ok(prototype),
        Some(Err(missing)) => Err(missing.clone()),
        None => Err(Missing::field_not_asked_for(name)),
    }
}
