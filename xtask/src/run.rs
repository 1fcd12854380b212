//! From a fresh machine to a running daemon in one command.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, bail};
use nix::unistd::Uid;

use crate::{
    build,
    setup::{self, Scope},
    workspace,
};

/// Becomes the daemon, so that signals and the exit code are its own.
pub(crate) fn daemon(arguments: &[String]) -> anyhow::Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "the daemon loads programs into the kernel and must run as root: \
             `cargo xtask build`, then `sudo {} run`",
            workspace::binary()?.display()
        );
    }
    setup::ensure(Scope::Build)?;
    build::release()?;
    let binary = workspace::binary()?;
    let error = Command::new(&binary).arg("run").args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", binary.display()))
}
