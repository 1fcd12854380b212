//! The clippy that belongs to the compiler of the kernel programs.

use super::{apt::Apt, step::Step};
use crate::{
    toolchain::{Compiler, find_compiler},
    workspace,
};

const PACKAGES: [&str; 1] = ["rust-web-clippy"];

#[derive(Debug)]
pub(crate) struct KernelLints<'a> {
    apt: &'a Apt,
}

impl<'a> KernelLints<'a> {
    pub(crate) fn new(apt: &'a Apt) -> Self {
        Self { apt }
    }
}

impl Step for KernelLints<'_> {
    fn name(&self) -> &'static str {
        "lints for the kernel programs"
    }

    fn look(&self) -> Result<String, String> {
        let driver = match find_compiler(workspace::machine().target()) {
            Some(Compiler::Distribution { rustc }) => rustc.with_file_name("clippy-driver"),
            Some(Compiler::RustupNightly { sysroot }) => sysroot.join("bin/clippy-driver"),
            None => return Err("no compiler to lint with".into()),
        };
        if driver.is_file() {
            Ok(driver.display().to_string())
        } else {
            Err(format!("no {}", driver.display()))
        }
    }

    fn install(&self) -> anyhow::Result<()> {
        self.apt.install(&PACKAGES)
    }

    fn remedy(&self) -> String {
        if self.apt.platform().is_debian_12() {
            self.apt.remedy(&PACKAGES)
        } else {
            "rustup component add clippy --toolchain nightly".into()
        }
    }
}
