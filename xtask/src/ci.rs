//! Everything that must pass before a change lands, cheapest first.

use anyhow::Context as _;

use crate::{
    cross, docs, fuzz,
    setup::{self, Scope},
    test,
    toolchain::{Compiler, Toolchain},
    vm,
    workspace::{self, HOST_PACKAGES},
};

pub(crate) fn all() -> anyhow::Result<()> {
    setup::ensure(Scope::Tests)?;
    format()?;
    kernel_lints()?;
    host_lints()?;
    docs::check()?;
    cross::check()?;
    fuzz::run(None, fuzz::SECONDS)?;
    test::all(&[], Some(&vm::Choice::short()))
}

fn format() -> anyhow::Result<()> {
    // The fuzz targets are a workspace of their own.
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut command = std::process::Command::new("cargo");
        command
            .args(["fmt", "--all", "--check", "--manifest-path", manifest])
            .current_dir(workspace::root());
        workspace::run(&mut command)?;
    }
    Ok(())
}

fn host_lints() -> anyhow::Result<()> {
    let mut command = workspace::cargo("clippy");
    command
        .args(HOST_PACKAGES)
        .args(["--all-targets", "--", "--deny", "warnings"]);
    workspace::run(&mut command)
}

/// Lints the kernel programs with the clippy that belongs to their own compiler.
fn kernel_lints() -> anyhow::Result<()> {
    let machine = workspace::machine();
    let toolchain = Toolchain::find(machine.target())
        .map_err(|missing| anyhow::anyhow!("{missing}"))
        .context("cannot lint the kernel programs")?;
    let target_dir = workspace::target_dir()?.join("kernel-lints");
    let mut command = match &toolchain.compiler {
        Compiler::Distribution { rustc } => {
            // What `cargo clippy` does, but with that compiler's driver and not our own.
            let mut command = toolchain.cargo("check", &machine, &target_dir);
            command
                .env(
                    "RUSTC_WORKSPACE_WRAPPER",
                    rustc.with_file_name("clippy-driver"),
                )
                .env(
                    "CLIPPY_ARGS",
                    "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__",
                );
            command
        }
        Compiler::RustupNightly { .. } => {
            let mut command = toolchain.cargo("clippy", &machine, &target_dir);
            command.args(["--", "--deny", "warnings"]);
            command
        }
    };
    workspace::run(command.current_dir(workspace::root()))
}
