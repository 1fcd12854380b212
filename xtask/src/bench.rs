//! What cgscope costs.

use crate::{
    setup::{self, Scope},
    workspace,
};

pub(crate) fn all(arguments: &[String]) -> anyhow::Result<()> {
    setup::ensure(Scope::Build)?;
    let mut command = workspace::cargo("bench");
    command
        .args(["--package", "collector", "--benches", "--"])
        .args(arguments);
    workspace::run(&mut command)
}
