//! The repository and the cargo that builds it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::toolchain::Machine;

/// Every package that runs on the machine itself: all but the kernel programs, which the daemon's
/// build script compiles for a target of their own.
pub(crate) const HOST_PACKAGES: [&str; 3] = ["--workspace", "--exclude", "collector-ebpf"];

pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .map_or_else(|| manifest.to_owned(), Path::to_owned)
}

/// The folder that cargo builds into, whoever has chosen it: it is where this program lies.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program lies")?;
    let folder = program
        .ancestors()
        .nth(2)
        .context("this program lies in no target folder")?;
    Ok(folder.to_owned())
}

/// The release binary, once [`crate::build::release`] has been there.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    Ok(target_dir()?.join("release/cgscope"))
}

/// The machine that everything here is built for.
pub(crate) fn machine() -> Machine {
    Machine {
        arch: env::consts::ARCH.to_owned(),
        big_endian: cfg!(target_endian = "big"),
    }
}

/// A `cargo SUBCOMMAND` in the repository, with the lock file as it is.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).arg("--locked").current_dir(root());
    command
}

/// Shows the command, runs it, and fails when it does.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    println!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// The command as one would type it, without the folders of its program.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(name).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
