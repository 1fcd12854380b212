//! All tests, and one closing line that counts them.
//!
//! What a host lacks fails the tests that need it. Those alone that no set-up could run on a host of its
//! kind say so and end (`collector_tests::skipped`): the virtual machines have the other kinds.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    process::Command,
};

use anyhow::{Context as _, bail};
use nix::unistd::Uid;

use crate::{
    build,
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

    let mut command = workspace::cargo("test");
    command
        .args(HOST_PACKAGES)
        .arg("--no-fail-fast")
        .env("CGSCOPE_BIN", workspace::binary()?)
        .env("CGSCOPE_TEST_CADVISOR", CADVISOR.program()?)
        .env("CGSCOPE_TEST_VICTORIA_METRICS", VICTORIA_METRICS.program()?)
        .env("CGSCOPE_TEST_ROTEL", Rotel::program()?);
    if !arguments.is_empty() {
        // Arguments for libtest would confuse documentation tests and benches.
        command
            .args(["--lib", "--bins", "--tests", "--"])
            .args(arguments);
    }
    let (mut tally, succeeded) = run_and_count(command)?;
    let elsewhere = machines
        .map(|choice| vm::matrix(choice, arguments))
        .transpose()?;
    if let Some(table) = &elsewhere {
        tally.add(table.tally());
    }
    println!("{tally}");
    if let Some(table) = &elsewhere {
        vm::verdict(table)?;
    }
    if !succeeded || tally.failed > 0 {
        bail!("tests failed, see above");
    }
    if tally.passed == 0 {
        bail!("no test has run");
    }
    Ok(())
}

/// Passes the output on as it comes. Both streams go through one pipe, which keeps their order.
fn run_and_count(mut command: Command) -> anyhow::Result<(Tally, bool)> {
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
        tally.count(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child
        .wait()
        .with_context(|| format!("cannot wait for `{shown}`"))?;
    Ok((tally, status.success()))
}
