//! Brings a machine to where cgscope builds, and where its tests run.
//!
//! In: what the machine has. Out: what was missing is installed, or named with its remedy. Running
//! it again does nothing. Services of installed packages are never started, and nothing that is
//! already there is changed.

use anyhow::bail;

use self::{
    apt::Apt,
    bpf_linker::BpfLinker,
    cargo_fuzz::CargoFuzz,
    foreign_program::{CADVISOR, VICTORIA_METRICS},
    host_compiler::HostCompiler,
    kernel_compiler::KernelCompiler,
    kernel_lints::KernelLints,
    platform::Platform,
    programs::Programs,
    protocol_compiler::ProtocolCompiler,
    rotel::Rotel,
    step::Step,
};

mod step;

pub(crate) mod platform;

mod apt;
mod cargo_install;
mod service_policy;

mod bpf_linker;
mod cargo_fuzz;
pub(crate) mod foreign_program;
mod host_compiler;
mod kernel_compiler;
mod kernel_lints;
mod programs;
mod protocol_compiler;
pub(crate) mod rotel;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What building and running the daemon needs.
    Build,
    /// The same, and what tests in virtual machines need.
    Machines,
    /// What building needs, and what checking for the other architecture does.
    OtherArchitecture,
    /// All that, and what lints, tests and the fuzzer need.
    Tests,
    /// What the fuzzer needs, and nothing else: it loads no kernel programs.
    Fuzz,
}

pub(crate) fn ensure(scope: Scope) -> anyhow::Result<()> {
    let apt = Apt::new(Platform::read()?);
    let mut steps: Vec<Box<dyn Step>> = vec![
        Box::new(HostCompiler),
        // The daemon's library speaks the runtimes' interfaces, and all build it: the fuzzer too.
        Box::new(ProtocolCompiler::new(&apt)),
    ];
    if scope != Scope::Fuzz {
        steps.push(Box::new(KernelCompiler::new(&apt)));
        steps.push(Box::new(BpfLinker::new(&apt)));
    }
    if matches!(scope, Scope::Machines | Scope::Tests) {
        steps.push(Box::new(Programs::for_machines(&apt)));
    }
    if matches!(scope, Scope::OtherArchitecture | Scope::Tests) {
        steps.push(Box::new(Programs::for_other_architecture(&apt)));
    }
    if scope == Scope::Tests {
        steps.push(Box::new(KernelLints::new(&apt)));
        steps.push(Box::new(Programs::for_tests(&apt)));
        steps.push(Box::new(CADVISOR));
        steps.push(Box::new(VICTORIA_METRICS));
        steps.push(Box::new(Rotel::new(&apt)));
    }
    if matches!(scope, Scope::Fuzz | Scope::Tests) {
        steps.push(Box::new(CargoFuzz::new(&apt)));
    }
    // Every step is tried, so that one run names everything that is missing.
    let failed = steps
        .iter()
        .filter(|step| !step::run(step.as_ref()))
        .count();
    if failed > 0 {
        bail!(
            "set-up is not complete: {failed} of {} steps failed, see above",
            steps.len()
        );
    }
    Ok(())
}
