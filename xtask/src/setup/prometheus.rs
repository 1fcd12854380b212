//! A `Prometheus` that takes OTLP, which the tests send to.

use std::path::PathBuf;

use super::step::Step;
use crate::{archive::Suite, foreign_package::ForeignPackage};

/// Debian's releases have version 2, which does not take exponential histograms by OTLP; the one in
/// preparation has version 3: a program that needs no more than the C library, and one as old as
/// Debian 12's.
const PACKAGE: ForeignPackage = ForeignPackage {
    cache: "prometheus",
    suite: Suite::main("sid"),
    package: "prometheus",
    with: &[],
};

#[derive(Debug)]
pub(crate) struct Prometheus;

impl Prometheus {
    /// Where it is once the set-up has run.
    pub(crate) fn program() -> anyhow::Result<PathBuf> {
        Ok(PACKAGE.root()?.join("usr/bin/prometheus"))
    }
}

impl Step for Prometheus {
    fn name(&self) -> &'static str {
        "Prometheus 3 for the tests"
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
