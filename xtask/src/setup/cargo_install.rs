//! Programs that come from crates.io.

use std::{env, process::Command};

use anyhow::{Context as _, bail};

/// A program at a version, as `cargo install` knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CargoInstall {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// Further arguments.
    pub(crate) arguments: &'static [&'static str],
    /// Variables that its build reads.
    pub(crate) variables: &'static [(&'static str, &'static str)],
}

impl CargoInstall {
    /// Installs it, over another version where there is one.
    pub(crate) fn install(&self) -> anyhow::Result<()> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let status = command
            .args(self.words())
            .arg("--force")
            .envs(self.variables.iter().copied())
            .env_remove("CARGO_TARGET_DIR")
            .status()
            .context("cannot start cargo install")?;
        if !status.success() {
            bail!("cargo install {} failed ({status})", self.package);
        }
        Ok(())
    }

    /// The command that a person would type.
    pub(crate) fn remedy(&self) -> String {
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| format!("{name}={value}"));
        let words = self.words().map(str::to_owned);
        let all: Vec<_> = variables.chain(["cargo".to_owned()]).chain(words).collect();
        all.join(" ")
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        [
            "install",
            self.package,
            "--version",
            self.version,
            "--locked",
        ]
        .into_iter()
        .chain(self.arguments.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_what_would_be_run() {
        let program = CargoInstall {
            package: "some-tool",
            version: "1.2.3",
            arguments: &["--no-default-features"],
            variables: &[("PREFIX", "/usr")],
        };
        assert_eq!(
            program.remedy(),
            "PREFIX=/usr cargo install some-tool --version 1.2.3 --locked --no-default-features"
        );
    }
}
