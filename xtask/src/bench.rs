//! What cgscope costs.

use crate::{
    build,
    setup::{self, Scope},
    workspace,
};

/// The cost of a context switch, rung by rung and beside a peer; then what our own code takes.
pub(crate) fn all(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(Scope::Tests)?;
    build::release()?;
    let mut ladder = workspace::cargo("run");
    ladder
        .args(["--quiet", "--release", "--package", "collector-tests"])
        .args(["--bin", "ladder", "--"])
        .arg(workspace::binary()?);
    workspace::run(&mut ladder)?;
    let mut command = workspace::cargo("bench");
    command
        .args(["--package", "collector", "--benches", "--"])
        .args(arguments);
    workspace::run(&mut command)
}
