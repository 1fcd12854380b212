//! The fuzzer: `cargo fuzz`, and the compiler of the runtime that it links.

use std::process::Command;

use super::{apt::Apt, cargo_install::CargoInstall, step::Step};

const CARGO_FUZZ: CargoInstall = CargoInstall {
    package: "cargo-fuzz",
    version: "0.13.2",
    arguments: &[],
    variables: &[],
};

/// libFuzzer comes as C++, which the build of its crate compiles.
const COMPILER: &str = "c++";
const COMPILER_PACKAGE: &str = "g++";

#[derive(Debug)]
pub(crate) struct CargoFuzz<'a> {
    apt: &'a Apt,
}

impl<'a> CargoFuzz<'a> {
    pub(crate) fn new(apt: &'a Apt) -> Self {
        Self { apt }
    }
}

impl Step for CargoFuzz<'_> {
    fn name(&self) -> &'static str {
        "fuzzer"
    }

    fn look(&self) -> Result<String, String> {
        version(COMPILER, &["--version"])?;
        version("cargo", &["fuzz", "--version"])
    }

    fn install(&self) -> anyhow::Result<()> {
        if version(COMPILER, &["--version"]).is_err() {
            self.apt.install(&[COMPILER_PACKAGE])?;
        }
        if version("cargo", &["fuzz", "--version"]).is_err() {
            CARGO_FUZZ.install()?;
        }
        Ok(())
    }

    fn remedy(&self) -> String {
        format!(
            "{}, then: {}",
            self.apt.remedy(&[COMPILER_PACKAGE]),
            CARGO_FUZZ.remedy()
        )
    }
}

/// The first line that a program says of its version.
fn version(program: &str, arguments: &[&str]) -> Result<String, String> {
    let shown = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` fails ({})", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().to_owned())
}
