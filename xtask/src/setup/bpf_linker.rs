//! The linker of the kernel programs, built against the LLVM of the distribution.

use std::{path::Path, process::Command};

use super::{apt::Apt, cargo_install::CargoInstall, step::Step};
use crate::toolchain::find_linker;

/// It links what the compiler writes, so its LLVM is at least as new as the compiler's.
const BPF_LINKER: CargoInstall = CargoInstall {
    package: "bpf-linker",
    version: "0.13.0",
    arguments: &["--no-default-features", "--features", "llvm-22"],
    variables: &[("LLVM_PREFIX", LLVM_PREFIX)],
};
const LLVM_PACKAGE: &str = "llvm-22-dev";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

#[derive(Debug)]
pub(crate) struct BpfLinker<'a> {
    apt: &'a Apt,
}

impl<'a> BpfLinker<'a> {
    pub(crate) fn new(apt: &'a Apt) -> Self {
        Self { apt }
    }
}

impl Step for BpfLinker<'_> {
    fn name(&self) -> &'static str {
        "bpf-linker"
    }

    fn look(&self) -> Result<String, String> {
        let linker = find_linker().ok_or("bpf-linker is neither in PATH nor in cargo's folder")?;
        let output = Command::new(&linker)
            .arg("--version")
            .output()
            .map_err(|error| format!("cannot run {}: {error}", linker.display()))?;
        if !output.status.success() {
            // Most likely its LLVM library has gone.
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "{} does not run: {}",
                linker.display(),
                said.trim()
            ));
        }
        let version = String::from_utf8_lossy(&output.stdout);
        Ok(format!("{}, {}", version.trim(), linker.display()))
    }

    fn install(&self) -> anyhow::Result<()> {
        if !Path::new(LLVM_PREFIX).join("bin/llvm-config").exists() {
            self.apt.install(&[LLVM_PACKAGE])?;
        }
        BPF_LINKER.install()
    }

    fn remedy(&self) -> String {
        if self.apt.platform().is_debian_12() {
            format!(
                "{}, then: {}",
                self.apt.remedy(&[LLVM_PACKAGE]),
                BPF_LINKER.remedy()
            )
        } else {
            format!(
                "install bpf-linker {} or later from your distribution or its project's \
                 releases, with an LLVM at least as new as that of `rustc +nightly -vV`",
                BPF_LINKER.version
            )
        }
    }
}
