//! Programs that the tests compare with or send to, and that this machine's Debian does not have.

use std::path::PathBuf;

use super::step::Step;
use crate::{archive::Suite, foreign_package::ForeignPackage};

/// A program of a package that is unpacked and not installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForeignProgram {
    name: &'static str,
    package: ForeignPackage,
    /// Where it is in the package.
    path: &'static str,
}

/// `cAdvisor`, which the tests compare cgscope with: of the last release of Debian that had it, in its version
/// 0.38. It needs no more than the C library.
pub(crate) const CADVISOR: ForeignProgram = ForeignProgram {
    name: "cAdvisor for the tests",
    package: ForeignPackage {
        cache: "cadvisor",
        suite: Suite::main("bullseye"),
        package: "cadvisor",
        with: &[],
    },
    path: "usr/bin/cadvisor",
};

/// `VictoriaMetrics`, a database that speaks Prometheus' query language and takes OTLP, which the tests send to.
/// Debian builds Prometheus without the part that takes OTLP, also version 3. It needs no more than the C
/// library and libzstd, which apt itself needs.
pub(crate) const VICTORIA_METRICS: ForeignProgram = ForeignProgram {
    name: "VictoriaMetrics for the tests",
    package: ForeignPackage {
        cache: "victoria-metrics",
        suite: Suite::main("sid"),
        package: "victoria-metrics",
        with: &[],
    },
    path: "usr/bin/victoria-metrics",
};

impl ForeignProgram {
    /// Where it is once the set-up has run.
    pub(crate) fn program(&self) -> anyhow::Result<PathBuf> {
        Ok(self.package.root()?.join(self.path))
    }
}

impl Step for ForeignProgram {
    fn name(&self) -> &'static str {
        self.name
    }

    fn look(&self) -> Result<String, String> {
        let program = self.program().map_err(|error| format!("{error:#}"))?;
        if program.exists() {
            Ok(program.display().to_string())
        } else {
            Err(format!("missing: {}", program.display()))
        }
    }

    fn install(&self) -> anyhow::Result<()> {
        self.package.fetch()
    }

    fn remedy(&self) -> String {
        "`cargo xtask setup --tests` unpacks it from Debian's archive".to_owned()
    }
}
