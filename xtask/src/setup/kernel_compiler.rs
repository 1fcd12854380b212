//! The Rust compiler that builds the kernel programs.

use super::{apt::Apt, step::Step};
use crate::{
    toolchain::{Compiler, find_compiler},
    workspace,
};

const PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

#[derive(Debug)]
pub(crate) struct KernelCompiler<'a> {
    apt: &'a Apt,
}

impl<'a> KernelCompiler<'a> {
    pub(crate) fn new(apt: &'a Apt) -> Self {
        Self { apt }
    }
}

impl Step for KernelCompiler<'_> {
    fn name(&self) -> &'static str {
        "Rust compiler for the kernel programs"
    }

    fn look(&self) -> Result<String, String> {
        match find_compiler(workspace::machine().target()) {
            Some(Compiler::Distribution { rustc }) => Ok(rustc.display().to_string()),
            Some(Compiler::RustupNightly { sysroot }) => Ok(sysroot.display().to_string()),
            None => Err("no compiler has a core library for BPF".into()),
        }
    }

    fn install(&self) -> anyhow::Result<()> {
        self.apt.install(&PACKAGES)
    }

    fn remedy(&self) -> String {
        if self.apt.platform().is_debian_12() {
            self.apt.remedy(&PACKAGES)
        } else {
            "rustup toolchain install nightly --component rust-src --component clippy".into()
        }
    }
}
