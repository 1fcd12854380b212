//! The tests on other kernels, and on other arrangements of cgroups, in virtual machines.
//!
//! In: names of kernels and cgroup modes. Out: one table of what passed where. Nothing is installed, and
//! nothing that runs here is measured.
//!
//! Each machine is QEMU in software emulation with a stock Debian kernel and a file system in memory,
//! which holds cgscope, its tests as they are, and what these need. The maintained harnesses do not fit:
//! `vmtest` mounts this machine's root in the guest over 9p, which Debian's cloud kernels leave out, and takes
//! KVM wherever it finds it; `virtme-ng` takes virtiofs with a daemon that Debian 12 does not have, or else
//! 9p too.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum, builder::PossibleValuesParser};

use self::{
    boots::Boots,
    console::TestName,
    emulator::Emulator,
    initramfs::UserSpace,
    kernels::{KERNELS, Kernel},
    programs::{Programs, Suite},
    table::{Row, Table},
};
use crate::setup::{self, Scope};

mod kernels;

mod cache;

mod programs;

mod cpio;
mod initramfs;
mod modules;

mod boots;
mod console;
mod death;
mod emulator;
mod machine;

mod table;

/// Which machines.
#[derive(Debug, Clone, Args)]
pub(crate) struct Choice {
    /// Kernels to boot, by series
    #[arg(
        long = "kernel",
        value_name = "SERIES",
        value_delimiter = ',',
        default_value = ALL,
        value_parser = PossibleValuesParser::new(KERNELS.iter().map(|kernel| kernel.series).chain([ALL])),
    )]
    kernels: Vec<String>,
    /// Which cgroup hierarchies are mounted [default: each in turn]
    #[arg(long = "cgroup", value_name = "MODE", value_delimiter = ',')]
    modes: Vec<Mode>,
    /// One kernel in every mode, and the newest with v2: what `cargo xtask ci` runs
    #[arg(long, conflicts_with_all = ["kernels", "modes"])]
    short: bool,
}

/// The kernels of the short choice: the one that most hosts run, in every mode, and the one that is
/// the likeliest to have changed something.
const EVERY_MODE: &str = "6.1";
const V2_ALONE: &str = "7.2";

/// Tests of what the daemon makes of cgroups' files and of their end, which differs with the hierarchies that
/// are mounted: they run on the kernel that has every mode in the short choice, and there in each. What other
/// kernels have in these files is looked at by the kernel's own suite.
const OF_MODES: [&str; 2] = ["drift::", "short_lived::"];

/// Which cgroup hierarchies a host mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// v2 alone
    V2,
    /// v1 with every controller that has it, and v2 beside it
    Hybrid,
    /// v1 alone
    V1,
}

const ALL: &str = "all";

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
            Self::V1 => "v1",
        }
    }
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            kernels: vec![ALL.to_owned()],
            modes: Vec::new(),
            short: false,
        }
    }
}

impl Choice {
    fn kernels(&self) -> Vec<&'static Kernel> {
        let chosen = |kernel: &&Kernel| {
            if self.short {
                return [EVERY_MODE, V2_ALONE].contains(&kernel.series);
            }
            self.kernels
                .iter()
                .any(|name| name == ALL || name == kernel.series)
        };
        KERNELS.iter().filter(chosen).collect()
    }

    /// What continuous integration has the time for.
    pub(crate) fn short() -> Self {
        Self {
            short: true,
            ..Self::default()
        }
    }

    fn modes(&self, kernel: &Kernel) -> Vec<Mode> {
        if self.short && kernel.series != EVERY_MODE {
            vec![Mode::V2]
        } else if self.modes.is_empty() {
            Mode::value_variants().to_vec()
        } else {
            self.modes.clone()
        }
    }
}

/// The command.
pub(crate) fn all(choice: &Choice, arguments: &[String]) -> anyhow::Result<()> {
    let table = matrix(choice, arguments)?;
    println!("{}", table.tally());
    verdict(&table)
}

/// Fails when the table does not prove what it is there to prove.
pub(crate) fn verdict(table: &Table) -> anyhow::Result<()> {
    let problems = table.problems();
    if !problems.is_empty() {
        bail!("on other kernels:\n  {}", problems.join("\n  "));
    }
    let failed = table.tally().failed;
    if failed > 0 {
        bail!("{failed} tests failed on other kernels, see above");
    }
    Ok(())
}

/// Boots every chosen machine, one after the other, and shows the table of them all.
pub(crate) fn matrix(choice: &Choice, arguments: &[String]) -> anyhow::Result<Table> {
    setup::ensure(Scope::Machines)?;
    let emulator = Emulator::ensure()?;
    let programs = Programs::build(arguments)?;
    for suite in &programs.suites {
        println!("vm: {}: {} tests", suite.name, suite.tests.len());
        for left_out in suite.without {
            println!(
                "vm: {}: left out: {} {}",
                suite.name, left_out.module, left_out.why
            );
        }
    }
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let user_space = UserSpace::read(&programs, scratch.path())?;
    let mut boots = Boots {
        emulator: &emulator,
        user_space: &user_space,
        scratch: scratch.path(),
        spare: boots::SPARE,
    };
    let mut table = Table::default();
    // One kernel's failure is one row's: the others are run all the same.
    for kernel in choice.kernels() {
        let suites = suites_for(kernel, &programs.suites, arguments);
        let prepared = boots.prepare(kernel);
        for mode in choice.modes(kernel) {
            let life = match &prepared {
                Ok(prepared) => boots.run(prepared, mode, &suites),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            table.rows.push(Row {
                kernel: kernel.series,
                mode,
                expected: expected(&suites),
                life: life.map_err(|error| format!("{error:#}")),
            });
        }
    }
    println!("\n{}", table.render());
    Ok(table)
}

/// Who asks for tests gets them.
fn suites_for(kernel: &Kernel, suites: &[Suite], arguments: &[String]) -> Vec<Suite> {
    let without: &[&str] = if kernel.series == EVERY_MODE || !arguments.is_empty() {
        &[]
    } else {
        &OF_MODES
    };
    suites.iter().map(|suite| suite.without(without)).collect()
}

fn expected(suites: &[Suite]) -> Vec<TestName> {
    suites
        .iter()
        .flat_map(|suite| {
            suite.tests.iter().map(|name| TestName {
                suite: suite.name.to_owned(),
                name: name.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_kernel_can_be_named_and_all_is_all_of_them() {
        for kernel in &KERNELS {
            let choice = Choice {
                kernels: vec![kernel.series.to_owned()],
                modes: vec![Mode::V1],
                short: false,
            };
            assert_eq!(choice.kernels(), [kernel]);
            assert_eq!(choice.modes(kernel), [Mode::V1]);
        }
        let all = Choice::default();
        assert_eq!(all.kernels().len(), KERNELS.len());
        assert_eq!(all.modes(&KERNELS[0]).len(), 3);
    }

    #[test]
    fn the_short_choice_has_every_mode_and_the_newest_kernel() {
        let short = Choice::short();
        let kernels = short.kernels();
        assert_eq!(kernels.len(), 2);
        let newest = KERNELS.last().expect("some kernel");
        assert!(kernels.contains(&newest));
        let modes: Vec<_> = kernels.iter().map(|kernel| short.modes(kernel)).collect();
        assert!(modes.iter().any(|modes| modes.len() == 3), "{modes:?}");
    }
}
