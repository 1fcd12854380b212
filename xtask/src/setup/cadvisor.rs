//! `cAdvisor`, which the tests compare cgscope with.

use std::path::PathBuf;

use super::step::Step;
use crate::{archive::Suite, foreign_package::ForeignPackage};

/// The last release of Debian that had it, in its version 0.38: a program that needs no more than the C
/// library.
const PACKAGE: ForeignPackage = ForeignPackage {
    cache: "cadvisor",
    suite: Suite::main("bullseye"),
    package: "cadvisor",
    with: &[],
};

#[derive(Debug)]
pub(crate) struct Cadvisor;

impl Cadvisor {
    /// Where it is once the set-up has run.
    pub(crate) fn program() -> anyhow::Result<PathBuf> {
        Ok(PACKAGE.root()?.join("usr/bin/cadvisor"))
    }
}

impl Step for Cadvisor {
    fn name(&self) -> &'static str {
        "cAdvisor for the tests"
    }

    fn look(&self) -> Result<String, String> {
        let program = Self::program().map_err(|error| format!("{error:#}"))?;
        if program.exists() {
            Ok(program.display().to_string())
        } else {
            Err(format!("missing: {}", program.display()))
        }
    }

    fn install(&self) -> anyhow::Result<()> {
        PACKAGE.fetch()
    }

    fn remedy(&self) -> String {
        "`cargo xtask setup --tests` unpacks it from Debian's archive".to_owned()
    }
}
