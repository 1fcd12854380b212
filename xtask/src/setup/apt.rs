//! Debian's packages: installed without recommendations, without questions, without services.

use std::{cell::Cell, process::Command};

use anyhow::{Context as _, bail};

use super::{platform::Platform, service_policy::ServicePolicy};

#[derive(Debug)]
pub(crate) struct Apt {
    platform: Platform,
    /// The package lists are read once per run, and only when something is to be installed.
    updated: Cell<bool>,
}

impl Apt {
    pub(crate) fn new(platform: Platform) -> Self {
        Self {
            platform,
            updated: Cell::new(false),
        }
    }

    pub(crate) fn platform(&self) -> &Platform {
        &self.platform
    }

    pub(crate) fn install(&self, packages: &[&str]) -> anyhow::Result<()> {
        if !self.platform.is_debian_12() {
            bail!(
                "packages are installed on Debian 12 only, and this is {}",
                self.platform.name()
            );
        }
        if !self.platform.is_root() {
            bail!("installing packages takes root");
        }
        if !self.updated.replace(true)
            && let Err(error) = apt_get(&["update"])
        {
            // One unreachable archive of several does no harm when the packages are in the others.
            println!("setup: warning: {error:#}");
        }
        let _no_services = ServicePolicy::forbid()?;
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(packages);
        apt_get(&arguments)
    }

    /// The command that a person would type.
    pub(crate) fn remedy(&self, packages: &[&str]) -> String {
        let packages = packages.join(" ");
        if self.platform.is_debian_12() {
            format!("as root: apt-get update && apt-get install --no-install-recommends {packages}")
        } else {
            format!("install what Debian 12 has in its packages {packages}")
        }
    }
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("apt-get")
        .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("cannot start apt-get")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        bail!(
            "apt-get {} failed ({})\n{}",
            arguments.join(" "),
            output.status,
            said.trim_end()
        );
    }
    Ok(())
}
