//! The binary that users run.

use crate::workspace;

pub(crate) fn release() -> anyhow::Result<()> {
    workspace::run(workspace::cargo("build").args(["--release", "--package", "collector"]))?;
    println!("built {}", workspace::binary()?.display());
    Ok(())
}
