//! All tests, and one closing line that counts them.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Write as _},
    process::Command,
};

use anyhow::{Context as _, bail};
use nix::unistd::Uid;

use crate::{
    build,
    setup::{self, Scope},
    workspace::{self, HOST_PACKAGES},
};

/// The outcome of all test binaries together.
///
/// No test skips itself at run time: what this machine lacks fails the test that needs it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) fn all(arguments: &[String]) -> anyhow::Result<()> {
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
        .env("CGSCOPE_BIN", workspace::binary()?);
    if !arguments.is_empty() {
        // Arguments for libtest would confuse documentation tests and benches.
        command
            .args(["--lib", "--bins", "--tests", "--"])
            .args(arguments);
    }
    let (tally, succeeded) = run_and_count(command)?;
    println!("{tally}");
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

impl Tally {
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let counts = result.split_once(". ").map_or("", |(_, counts)| counts);
        for count in counts.split(';') {
            let Some((number, what)) = count.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            ignored,
        } = self;
        write!(
            f,
            "tests: {passed} passed, {failed} failed, {ignored} skipped"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.count(line));
        tally
    }

    #[test]
    fn results_of_several_binaries_add_up() {
        let output = "running 4 tests\n\
            test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.02s\n\
            test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        assert_eq!(
            tally(output).to_string(),
            "tests: 6 passed, 3 failed, 1 skipped"
        );
    }

    #[test]
    fn other_lines_count_for_nothing() {
        assert_eq!(
            tally("test a ... ok\ntest result\n12 passed\n"),
            Tally::default()
        );
    }
}
