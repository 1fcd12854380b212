//! `VictoriaMetrics`, a database that speaks Prometheus' query language and takes OTLP, which the tests send to.

use std::path::PathBuf;

use super::step::Step;
use crate::{archive::Suite, foreign_package::ForeignPackage};

/// Debian builds Prometheus without the part that takes OTLP, also version 3; Debian 12 has no
/// `VictoriaMetrics`. It needs no more than the C library and libzstd, which apt itself needs.
const PACKAGE: ForeignPackage = ForeignPackage {
    cache: "victoria-metrics",
    suite: Suite::main("sid"),
    package: "victoria-metrics",
    with: &[],
};

#[derive(Debug)]
pub(crate) struct VictoriaMetrics;

impl VictoriaMetrics {
    /// Where it is once the set-up has run.
    pub(crate) fn program() -> anyhow::Result<PathBuf> {
        Ok(PACKAGE.root()?.join("usr/bin/victoria-metrics"))
    }
}

impl Step for VictoriaMetrics {
    fn name(&self) -> &'static str {
        "VictoriaMetrics for the tests"
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
