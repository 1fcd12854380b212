//! One machine's tests, over as many boots as they take.
//!
//! In: a kernel, a cgroup mode, suites. Out: how each test ended, and every death on the way.
//!
//! An emulated machine depends on its host: where that stands still for long, the kernel inside finds a CPU
//! locked up, its timer broken or its clock wrong, and dies of it or measures nonsense to its end. It is booted
//! again with the tests that have not passed. What fails for a reason of its own fails each time; a kernel that
//! dies of itself need not, and so is a problem of the machine whatever another boot shows ([`Cause`]).
//!
//! [`Cause`]: super::death::Cause

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    Mode,
    cache::{self, Unpacked},
    console::{Outcome, TestName},
    cpio::Archive,
    emulator::Emulator,
    initramfs::{UserSpace, with_suites},
    kernels::Kernel,
    machine::{self, Life},
    programs::Suite,
};
use crate::workspace;

/// What every machine of a matrix is made of, and how often one may be booted again.
#[derive(Debug)]
pub(crate) struct Boots<'a> {
    pub(crate) emulator: &'a Emulator,
    pub(crate) user_space: &'a UserSpace,
    pub(crate) scratch: &'a Path,
    /// For all machines together.
    pub(crate) spare: usize,
}

/// More than these in one matrix are not told apart from a fault, and cost too much time.
pub(crate) const SPARE: usize = 4;

/// How often one machine is booted again.
const MOST_AGAIN: usize = 2;

/// A kernel, and all that its machines have but for what they are to run.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    kernel: &'a Kernel,
    unpacked: Unpacked,
    archive: Archive,
}

impl Boots<'_> {
    /// Once for all machines of a kernel: its modules are unpacked for that.
    pub(crate) fn prepare<'a>(&self, kernel: &'a Kernel) -> anyhow::Result<Prepared<'a>> {
        let unpacked = cache::ensure(kernel)?;
        let archive = self.user_space.with_modules(&unpacked)?;
        Ok(Prepared {
            kernel,
            unpacked,
            archive,
        })
    }

    /// Runs all tests of these suites on this kernel.
    pub(crate) fn run(
        &mut self,
        prepared: &Prepared<'_>,
        mode: Mode,
        suites: &[Suite],
    ) -> anyhow::Result<Life> {
        let mut life = self.boot(prepared, mode, suites, 0)?;
        for again in 1..=MOST_AGAIN {
            let left = left_of(suites, &life);
            if left.is_empty() || self.spare == 0 {
                break;
            }
            self.spare -= 1;
            life.continue_with(self.boot(prepared, mode, &left, again)?);
        }
        Ok(life)
    }

    fn boot(
        &self,
        Prepared {
            kernel,
            unpacked,
            archive,
        }: &Prepared<'_>,
        mode: Mode,
        suites: &[Suite],
        again: usize,
    ) -> anyhow::Result<Life> {
        let title = format!("{} {}", kernel.series, mode.name());
        println!(
            "vm: booting {} with cgroups {}{}",
            unpacked.release,
            mode.name(),
            if again > 0 { ", again" } else { "" }
        );
        let initramfs = self.scratch.join("initramfs");
        fs::write(&initramfs, with_suites(archive, suites))
            .context("cannot write the initramfs")?;
        let log = log_of(kernel, mode, again)?;
        let life = machine::run(
            self.emulator,
            unpacked,
            &initramfs,
            mode,
            self.scratch,
            &title,
            &log,
        )?;
        if let Some(death) = &life.cut_short {
            println!("[{title}] vm: did not finish: {}", death.why);
        }
        println!(
            "[{title}] vm: {} s, all it said is in {}",
            life.seconds,
            log.display()
        );
        Ok(life)
    }
}

/// The tests that have not shown yet what they are to show; all, where the machine died and it was none of them
/// that killed it.
fn left_of(suites: &[Suite], life: &Life) -> Vec<Suite> {
    let is_left = |suite: &Suite, name: &str| {
        let test = TestName {
            suite: suite.name.to_owned(),
            name: name.to_owned(),
        };
        let outcome = life.console.outcomes.get(&test);
        matches!(outcome, None | Some(Outcome::Failed))
    };
    let left = suites
        .iter()
        .map(|suite| suite.only(|name| is_left(suite, name)));
    let left: Vec<Suite> = left.filter(|suite| !suite.tests.is_empty()).collect();
    if left.is_empty() && life.cut_short.is_some() {
        return suites.to_vec();
    }
    left
}

/// What each machine said the last time.
fn log_of(kernel: &Kernel, mode: Mode, again: usize) -> anyhow::Result<PathBuf> {
    let folder = workspace::target_dir()?.join("vm");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let boot = if again > 0 {
        format!("-again-{again}")
    } else {
        String::new()
    };
    Ok(folder.join(format!("{}-{}{boot}.log", kernel.series, mode.name())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::death::{Cause, Death};

    fn suite(tests: &[&str]) -> Suite {
        Suite {
            name: "kernel",
            binary: PathBuf::new(),
            arguments: vec!["--skip".into(), "x".into()],
            tests: tests.iter().map(|&test| test.into()).collect(),
            without: &[],
        }
    }

    fn life(said: &str) -> Life {
        let mut life = Life::default();
        said.lines().for_each(|line| life.console.line(line));
        life
    }

    #[test]
    fn a_machine_is_booted_again_with_what_has_not_passed() {
        let suites = [suite(&["a::ok", "a::bad", "a::hangs", "a::never"])];
        let life = life(
            "vm: begin kernel\ntest a::ok ... ok\ntest a::bad ... FAILED\ntest a::hangs ... \n",
        );
        let left = left_of(&suites, &life);
        assert_eq!(left[0].tests, ["a::bad", "a::hangs", "a::never"]);
        assert_eq!(
            left[0].arguments,
            [
                "--exact",
                "--include-ignored",
                "a::bad",
                "a::hangs",
                "a::never"
            ]
        );
    }

    #[test]
    fn one_that_dies_after_its_last_test_runs_them_all_again_and_one_that_ends_runs_none() {
        let suites = [suite(&["a::ok"])];
        let mut life = life("vm: begin kernel\ntest a::ok ... ok\nvm: done\n");
        assert!(left_of(&suites, &life).is_empty());
        life.cut_short = Some(Death {
            why: "Kernel panic".to_owned(),
            cause: Cause::Kernel,
            last_lines: Vec::new(),
        });
        let left = left_of(&suites, &life);
        assert_eq!(left[0].tests, ["a::ok"]);
        assert_eq!(left[0].arguments, suites[0].arguments);
    }
}
