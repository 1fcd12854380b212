//! The QEMU that emulates the machines.
//!
//! In: what is installed. Out: a program that emulates two CPUs that change each other's code: the
//! installed one if it does, else Debian's backport of a newer one, unpacked outside the repository. The
//! installed one is asked for all the same, for the libraries and the firmware that both need.
//!
//! Linux patches its own code as programs are attached. Before 8.1 (commit deba78709ae8) QEMU could
//! translate code that another CPU was just changing, and keep the translation: the kernel then ran
//! into its own breakpoint for ever, or died of it ("Oops: int3").

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, bail};

use crate::{
    archive::{Suite, checked},
    foreign_package::ForeignPackage,
};

/// The first that locks a page of code while it translates it.
const WANTED: Version = Version { major: 8, minor: 1 };

const PROGRAM: &str = "qemu-system-x86_64";

/// Debian 12's backport: of the releases that the set-up knows, it alone has an older one.
const BACKPORT: ForeignPackage = ForeignPackage {
    cache: "qemu",
    suite: Suite::main("bookworm-backports"),
    package: "qemu-system-x86",
    with: &["qemu-system-data"],
};

/// Where Debian's packages of firmware put it.
const FIRMWARE: &str = "/usr/share/seabios";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
}

/// A program, and where its data is if that is not where it was built to look.
#[derive(Debug)]
pub(crate) struct Emulator {
    program: PathBuf,
    data: Vec<PathBuf>,
}

impl Emulator {
    /// The installed one, or one from the cache, or one that is fetched into it.
    pub(crate) fn ensure() -> anyhow::Result<Self> {
        let installed = Self {
            program: PROGRAM.into(),
            data: Vec::new(),
        };
        if installed.version()? >= WANTED {
            return Ok(installed);
        }
        let root = BACKPORT.root()?;
        let unpacked = Self {
            program: root.join("usr/bin").join(PROGRAM),
            data: vec![root.join("usr/share/qemu"), FIRMWARE.into()],
        };
        if !unpacked.program.exists()
            && let Err(error) = BACKPORT.fetch()
        {
            println!(
                "vm: {error:#}: going on with the installed QEMU, whose machines stand still now and \
                 then; one of {}.{} or newer does not, installed or unpacked into {}",
                WANTED.major,
                WANTED.minor,
                root.display()
            );
            return Ok(installed);
        }
        if unpacked.version()? < WANTED {
            bail!(
                "the QEMU in {} is too old: remove that folder, a newer one will be fetched",
                root.display()
            );
        }
        Ok(unpacked)
    }

    /// A command that runs it, and that ends with us even when nobody is left to end it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program);
        for folder in &self.data {
            command.arg("-L").arg(folder);
        }
        command
    }

    fn version(&self) -> anyhow::Result<Version> {
        let said = checked(Command::new(&self.program).arg("--version"))?;
        let version = said.lines().next().and_then(Version::parse);
        version.with_context(|| {
            format!(
                "cannot tell the version of {}: {said}",
                self.program.display()
            )
        })
    }
}

impl Version {
    /// That of `QEMU emulator version 10.0.2 (Debian …)`.
    fn parse(line: &str) -> Option<Self> {
        let (_, after) = line.split_once("version ")?;
        let mut numbers = after.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self {
            major: next()?,
            minor: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_new_enough_or_not() {
        let parse = |line| Version::parse(line).expect("a version");
        let debian_12 = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)";
        assert!(parse(debian_12) < WANTED);
        assert!(parse("QEMU emulator version 8.0.4") < WANTED);
        assert!(parse("QEMU emulator version 8.1.0") >= WANTED);
        assert!(parse("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)") >= WANTED);
        assert_eq!(Version::parse("QEMU"), None);
    }
}
