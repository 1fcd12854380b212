//! cgscope's build, test and bench commands.
//!
//! `cargo xtask COMMAND`, from anywhere in the repository. Each command is a file of that name; what
//! continuous integration runs is `cargo xtask ci` and nothing else.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks to people"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod workspace;

mod setup;

mod build;
mod run;

mod archive;
mod foreign_package;

mod lines;
mod outcomes;
mod tally;
mod test;
mod vm;

mod fuzz;

mod cross;

mod bench;

mod docs;

mod ci;

/// Where the build script of the daemon and `setup` agree on the tools for the kernel programs.
#[path = "../../collector/build/toolchain.rs"]
mod toolchain;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "cgscope's build, test and bench commands"
)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what building cgscope needs, or say what is missing
    Setup {
        /// And what its tests need: container runtimes, peers to compare with
        #[arg(long)]
        tests: bool,
    },
    /// Build the release binary, target/release/cgscope
    Build,
    /// Set up, build, and run the daemon (as root)
    Run {
        /// Passed on to `cgscope run`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Set up, then run all tests: units, real kernel, real runtimes, real peers (as root)
    Test {
        /// And on every supported kernel, in virtual machines
        #[arg(long)]
        vm: bool,
        /// Passed on to the test binaries: name filters and libtest's own options
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run the tests on other kernels and cgroup modes, in virtual machines
    Vm {
        #[command(flatten)]
        choice: vm::Choice,
        /// Passed on to the test binaries: name filters and libtest's own options
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Fuzz every parser of foreign bytes for a while, or one of them
    Fuzz {
        /// Which, of the files in `fuzz/fuzz_targets` [default: all]
        target: Option<String>,
        /// For how long each
        #[arg(long, default_value_t = fuzz::SECONDS)]
        seconds: u32,
    },
    /// Check that everything compiles for aarch64
    Cross,
    /// Measure what cgscope costs
    Bench {
        /// Passed on to criterion
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Generate docs/metrics.md and docs/kernels.md from the tables in the daemon
    Docs {
        /// Write nothing; fail when a file is not what would be written
        #[arg(long)]
        check: bool,
    },
    /// Everything that must pass before a change lands: format, lints, documents, tests
    Ci,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Task::Setup { tests: false } => setup::ensure(setup::Scope::Build),
        Task::Setup { tests: true } => setup::ensure(setup::Scope::Tests),
        Task::Build => build::release(),
        Task::Run { arguments } => run::daemon(&arguments),
        Task::Test { vm, arguments } => {
            let machines = vm.then(vm::Choice::default);
            test::all(&arguments, machines.as_ref())
        }
        Task::Vm { choice, arguments } => vm::all(&choice, &arguments),
        Task::Cross => cross::check(),
        Task::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Task::Bench { arguments } => bench::all(&arguments),
        Task::Docs { check: false } => docs::generate(),
        Task::Docs { check: true } => docs::check(),
        Task::Ci => ci::all(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
