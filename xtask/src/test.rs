//! All tests, and one closing line that counts them.
//!
//! What a host lacks fails the tests that need it. Those alone that no set-up could run on a host of its
//! kind say so and end (`collector_tests::skipped`): the virtual machines have the other kinds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, Uid},
};

use crate::{
    build,
    lines::lines_of,
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
    let deadline = Instant::now() + TIME_LIMIT;
    let skipped = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    let mut command = cargo_test()?;
    command.env("CGSCOPE_TEST_SKIPPED", skipped.path());
    if !arguments.is_empty() {
        command.args(NAMED_TESTS).args(arguments);
    }
    let Run {
        mut tally,
        mut outcomes,
        mut succeeded,
    } = run_and_count(command, deadline, &mut io::stdout())?;
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
        let again = run_and_count(command, deadline, &mut io::stdout())?;
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
    let skipped = fs::read_to_string(skipped.path()).context("cannot read who skipped")?;
    let skipped: Vec<String> = skipped.lines().map(str::to_owned).collect();
    // To libtest they have passed.
    tally.passed = tally.passed.saturating_sub(skipped.len() as u64);
    tally.ignored += skipped.len() as u64;
    Ok(Here {
        tally,
        skipped,
        succeeded,
        failed,
        mended,
    })
}

/// For all tests of this host, what is built for them, and what is tried again: several times what these take. A
/// test that waits for ever fails by it, and does not keep who runs the tests waiting too.
const TIME_LIMIT: Duration = Duration::from_mins(45);

/// More than these do not fail for want of time.
const MOST_AGAIN: usize = 10;

/// How often what failed is tried again.
const MOST_TRIES: usize = 2;

/// How the tests of this host ended.
struct Here {
    tally: Tally,
    /// Those that say of themselves that they prove nothing on such a host, and why.
    skipped: Vec<String>,
    succeeded: bool,
    /// At the first try, with what they said.
    failed: BTreeMap<String, Vec<String>>,
    /// Of these, what passed later.
    mended: BTreeSet<String>,
}

impl Here {
    /// What failed and what did not prove anything, for those who look at the end alone.
    fn tell(&self) {
        for skipped in &self.skipped {
            println!("skipped: {skipped}");
        }
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

/// Passes the output on as it comes. Both streams go through one pipe, which keeps their order. What has not ended
/// by the deadline is ended, and fails.
fn run_and_count(
    mut command: Command,
    deadline: Instant,
    output: &mut impl io::Write,
) -> anyhow::Result<Run> {
    let shown = workspace::show(&command);
    println!("$ {shown}");
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let also_writer = writer.try_clone().context("cannot clone a pipe")?;
    let mut child = command
        // A group of its own has the test binaries too, and can be ended as a whole. It may not read from a terminal,
        // and is not interrupted by one: then it ends as soon as it writes, when we are gone.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(also_writer)
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    // The command keeps our ends of the pipe open: the loop below would wait for ever.
    drop(command);

    let mut tally = Tally::default();
    let mut outcomes = Outcomes::default();
    let mut last_test = None;
    let lines = lines_of(reader);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = match lines.recv_timeout(left) {
            Ok(line) => line.context("cannot read from the tests")?,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                end_group(&mut child)?;
                let last = last_test.as_deref().unwrap_or("nothing of any test");
                bail!("`{shown}` did not end in time, and was killed; it said last: {last}");
            }
        };
        output
            .write_all(&line)
            .context("cannot pass on what the tests say")?;
        let text = String::from_utf8_lossy(&line);
        tally.count(&text);
        outcomes.line(&text);
        if text.starts_with("test ") {
            last_test = Some(text.trim_end().to_owned());
        }
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

/// Kills a command and what it started, as far as that has not left its group.
fn end_group(child: &mut Child) -> anyhow::Result<()> {
    let group = Pid::from_raw(child.id().try_into()?);
    killpg(group, Signal::SIGKILL).context("cannot kill the tests")?;
    child.wait().context("cannot wait for the tests")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, thread};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn lives(pid: &str) -> bool {
        // Who waits for it may not have done so yet.
        let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn tests_that_never_end_are_killed_with_what_they_started_and_the_last_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!(
            "echo 'test a::ok ... ok'; echo 'test b::hangs has been running for over 60 seconds'; echo other; \
             sleep 600 & echo $! >{}; wait",
            pid.display()
        );
        let start = Instant::now();
        let ended = run_and_count(
            shell(&script),
            start + Duration::from_secs(2),
            &mut io::sink(),
        );
        let why = ended.err().expect("it does not end").to_string();
        assert!(
            why.contains("it said last: test b::hangs has been"),
            "{why}"
        );
        assert!(start.elapsed() < Duration::from_mins(1));
        let pid = fs::read_to_string(pid).unwrap();
        while lives(pid.trim()) {
            assert!(start.elapsed() < Duration::from_mins(1), "it goes on");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn tests_that_end_in_time_are_counted_to_their_last_line() {
        let script = "echo 'test result: ok. 2 passed; 1 failed; 0 ignored; 0 measured'; printf 'no end'; exit 1";
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut output = Vec::new();
        let run = run_and_count(shell(script), deadline, &mut output).unwrap();
        assert!(output.ends_with(b"0 measured\nno end"));
        assert_eq!((run.tally.passed, run.tally.failed), (2, 1));
        assert!(!run.succeeded);
    }
}
