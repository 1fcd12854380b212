//! All tests, and one closing line that counts them.
//!
//! What a host lacks fails the tests that need it. Those alone that no set-up could run on a host of its
//! kind say so and end (`collector_tests::skipped`): the virtual machines have the other kinds.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead as _, BufReader, Write as _},
    process::Command,
};

use anyhow::{Context as _, bail};
use nix::unistd::Uid;

use crate::{
    build,
    outcomes::Outcomes,
    setup::{
        self, Scope,
        foreign_program::{CADVISOR, VICTORIA_METRICS},
        rotel::Rotel,
    },
    tally::Tally,
    vm,
    workspace::{self, HOST_PACKAGES},
};

/// With `machines`, the same tests then run on these too.
pub(crate) fn all(arguments: &[String], machines: Option<&vm::Choice>) -> anyhow::Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "the tests load programs into the kernel and start container runtimes, as root; \
             `cargo test -p collector` runs those that need no root"
        );
    }
    setup::ensure(Scope::Tests)?;
    // The tests start the daemon that users start, so that its losses and costs are the real ones.
    build::release()?;

    let here = on_this_host(arguments)?;
    let mut tally = here.tally;
    let elsewhere = machines
        .map(|choice| vm::matrix(choice, arguments))
        .transpose()?;
    if let Some(table) = &elsewhere {
        tally.add(table.tally());
    }
    println!("{tally}");
    here.tell();
    if let Some(table) = &elsewhere {
        vm::verdict(table)?;
    }
    if !here.succeeded || tally.failed > 0 {
        bail!("tests failed, see above");
    }
    if tally.passed == 0 {
        bail!("no test has run");
    }
    Ok(())
}

/// All tests of this host, and again those that failed: they compare times, and the CPUs of a virtual
/// machine can stand still in the middle of that. What fails for another reason fails each time.
fn on_this_host(arguments: &[String]) -> anyhow::Result<Here> {
    let mut command = cargo_test()?;
    if !arguments.is_empty() {
        command.args(NAMED_TESTS).args(arguments);
    }
    let Run {
        mut tally,
        mut outcomes,
        mut succeeded,
    } = run_and_count(command)?;
    let failed = outcomes.failed.clone();
    let mut mended = BTreeSet::new();
    for _ in 0..MOST_TRIES {
        let few = |names: &Vec<&str>| names.len() <= MOST_AGAIN;
        let Some(names) = outcomes.named().filter(few) else {
            break;
        };
        println!("tests: {} failed, and are tried once more", names.len());
        let mut command = cargo_test()?;
        command
            .args(NAMED_TESTS)
            .args(["--exact", "--include-ignored", "--test-threads=1"])
            .args(["--show-output", "--color=never"])
            .args(names);
        let again = run_and_count(command)?;
        outcomes = again.outcomes;
        let has_passed = |name: &&String| {
            outcomes.passed.contains(*name) && !outcomes.failed.contains_key(*name)
        };
        mended.extend(failed.keys().filter(has_passed).cloned());
        let left = failed.len() - mended.len();
        succeeded = again.succeeded && left == 0;
        let left = u64::try_from(left)?;
        tally.passed += tally.failed.saturating_sub(left);
        tally.failed = left;
    }
    Ok(Here {
        tally,
        succeeded,
        failed,
        mended,
    })
}

/// More than these do not fail for want of time.
const MOST_AGAIN: usize = 10;

/// How often what failed is tried again.
const MOST_TRIES: usize = 2;

/// How the tests of this host ended.
struct Here {
    tally: Tally,
    succeeded: bool,
    /// At the first try, with what they said.
    failed: BTreeMap<String, Vec<String>>,
    /// Of these, what passed later.
    mended: BTreeSet<String>,
}

impl Here {
    /// What failed, for those who look at the end alone.
    fn tell(&self) {
        for (name, said) in &self.failed {
            let word = if self.mended.contains(name) {
                "passed when tried again"
            } else {
                "FAILED"
            };
            println!("{word}: {name}");
            for line in said {
                println!("    {line}");
            }
        }
    }
}

/// What passes names of tests and options of libtest on to those binaries alone that understand them, which
/// documentation tests and benches do not.
const NAMED_TESTS: [&str; 4] = ["--lib", "--bins", "--tests", "--"];

/// All tests, with what they are told of their surroundings.
fn cargo_test() -> anyhow::Result<Command> {
    let mut command = workspace::cargo("test");
    command
        .args(HOST_PACKAGES)
        .arg("--no-fail-fast")
        .env("CGSCOPE_BIN", workspace::binary()?)
        .env("CGSCOPE_TEST_CADVISOR", CADVISOR.program()?)
        .env("CGSCOPE_TEST_VICTORIA_METRICS", VICTORIA_METRICS.program()?)
        .env("CGSCOPE_TEST_ROTEL", Rotel::program()?);
    Ok(command)
}

struct Run {
    tally: Tally,
    outcomes: Outcomes,
    succeeded: bool,
}

/// Passes the output on as it comes. Both streams go through one pipe, which keeps their order.
fn run_and_count(mut command: Command) -> anyhow::Result<Run> {
    let shown = workspace::show(&command);
    println!("$ {shown}");
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let also_writer = writer.try_clone().context("cannot clone a pipe")?;
    let mut child = command
        .stdout(writer)
        .stderr(also_writer)
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    // The command keeps our ends of the pipe open: the loop below would wait for ever.
    drop(command);

    let mut tally = Tally::default();
    let mut outcomes = Outcomes::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .context("cannot read from the tests")?
        > 0
    {
        io::stdout()
            .write_all(&line)
            .context("cannot write to stdout")?;
        let text = String::from_utf8_lossy(&line);
        tally.count(&text);
        outcomes.line(&text);
        line.clear();
    }
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for `{shown}`"))?;
    Ok(Run {
        tally,
        outcomes,
        succeeded: status.success(),
    })
}
