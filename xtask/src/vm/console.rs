//! What a virtual machine says, understood line by line.
//!
//! In: lines of its console. Out: how each test and each binary ended and why, and whether the machine lives.
//! Never here: a process, a clock.

use std::collections::{BTreeMap, BTreeSet};

use super::death::{Cause, Fatal};
use crate::outcomes::{section, shortened};

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It said itself that this kernel cannot do what it proves, or libtest left it out.
    Skipped,
}

/// A test by its binary and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestName {
    pub(crate) suite: String,
    pub(crate) name: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Console {
    /// Every test that ended.
    pub(crate) outcomes: BTreeMap<TestName, Outcome>,
    /// What a failed or skipped test said about it.
    pub(crate) reasons: BTreeMap<TestName, Vec<String>>,
    /// Those that failed at first, and were tried again.
    pub(crate) tried_again: BTreeSet<TestName>,
    /// What was said about the machine.
    pub(crate) notes: Vec<String>,
    /// Why the machine must be given up.
    pub(crate) fatal: Option<Fatal>,
    /// The same, in what a test is said to have printed: if the machine goes off then, it was the kernel's own word.
    pub(crate) quoted: Option<Fatal>,
    /// Everything has run.
    pub(crate) done: bool,
    /// How each binary ended that ended, the last time that it ran; `None` where its status is what its tests say.
    ends: BTreeMap<String, Option<String>>,
    suite: Option<String>,
    is_another_try: bool,
    /// How many tests of this try have failed.
    failed_now: usize,
    /// What tests said that passed is being shown.
    shows_successes: bool,
    /// A test that has begun; its end can stand on a later line, after what others wrote.
    running: Option<String>,
    /// Whose output is being shown.
    shown: Option<TestName>,
}

/// How a test says that it proves nothing here.
const SKIPPED: &str = "skipped:";

/// What follows every panic and says nothing of it.
const ADVICE: &str = "note: run with `RUST_BACKTRACE=1`";

/// A failed test's output can be long, and the whole console has been seen before.
const MOST_REASON_LINES: usize = 12;

impl Console {
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(said) = line.strip_prefix("vm: ") {
            self.machine(said);
        } else if let Some(mut fatal) = Fatal::told(line) {
            // None of our programs has run: at most it is the emulator's fault.
            if self.suite.is_none() && self.ends.is_empty() {
                fatal.cause = Cause::Host;
            }
            // What a test prints about the kernel is not the kernel's own word.
            if self.shown.is_none() {
                self.die(fatal);
            } else {
                self.quoted.get_or_insert(fatal);
            }
        } else if let Some(suite) = self.suite.clone() {
            self.test_output(&suite, line);
        }
    }

    /// Binaries whose status is not what their tests say of them, and how they ended.
    pub(crate) fn odd_ends(&self) -> impl Iterator<Item = (&str, &str)> {
        let ends = self.ends.iter();
        ends.filter_map(|(suite, odd)| Some((suite.as_str(), odd.as_deref()?)))
    }

    /// The test that was running when the machine stopped.
    pub(crate) fn interrupted(&self) -> Option<&str> {
        self.running.as_deref()
    }

    /// What was just said is of no interest while all is well: the output of a test that passed.
    pub(crate) fn is_aside(&self) -> bool {
        self.shows_successes && self.fatal.is_none()
    }

    /// Takes on what the machine said after it was booted again.
    pub(crate) fn continue_with(&mut self, later: Self) {
        let interrupted = self.suite.clone().zip(self.running.take());
        let interrupted = interrupted.map(|(suite, name)| TestName { suite, name });
        for test in later.outcomes.keys() {
            if self.outcomes.get(test) == Some(&Outcome::Failed)
                || interrupted.as_ref() == Some(test)
            {
                self.tried_again.insert(test.clone());
            }
        }
        self.outcomes.extend(later.outcomes);
        self.reasons.extend(later.reasons);
        self.tried_again.extend(later.tried_again);
        self.ends.extend(later.ends);
        for note in later.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        (self.suite, self.running) = (later.suite, later.running);
        (self.fatal, self.done) = (later.fatal, later.done);
    }

    fn machine(&mut self, said: &str) {
        let (what, rest) = said.split_once(' ').unwrap_or((said, ""));
        match what {
            "begin" | "again" => {
                self.suite = Some(rest.to_owned());
                self.is_another_try = what == "again";
                self.failed_now = 0;
            }
            "end" => {
                let (suite, status) = rest.split_once(' ').unwrap_or((rest, "?"));
                let odd = odd_end(status, self.failed_now);
                self.ends.insert(suite.to_owned(), odd);
                self.suite = None;
                self.running = None;
                self.shown = None;
                self.quoted = None;
                self.shows_successes = false;
            }
            "done" => self.done = true,
            "note:" => self.notes.push(rest.to_owned()),
            "broken:" => self.die(Fatal {
                why: format!("the machine could not do `{rest}`"),
                // None of our programs has run.
                cause: Cause::Host,
            }),
            _ => {}
        }
    }

    /// The first that is told is why, but for a fault behind a stall.
    fn die(&mut self, fatal: Fatal) {
        let known = self.fatal.as_ref().map(|known| known.cause);
        if known.is_none() || known == Some(Cause::Host) && fatal.cause == Cause::Kernel {
            self.fatal = Some(fatal);
        }
    }

    fn test_output(&mut self, suite: &str, line: &str) {
        if let Some(shown) = section(line) {
            self.shown = Some(TestName {
                suite: suite.to_owned(),
                name: shown.to_owned(),
            });
            return;
        }
        if matches!(line, "failures:" | "successes:") || line.starts_with("test result: ") {
            self.shown = None;
            self.shows_successes = line == "successes:";
            return;
        }
        if let Some(test) = self.shown.clone() {
            self.shown_line(test, line);
            return;
        }
        let ended = match self.running.take() {
            None => match beginning(line) {
                Some((name, rest)) => (name.to_owned(), rest),
                None => return,
            },
            Some(name) => match beginning(line) {
                // One that never said how it ended, and the next.
                Some((next, rest)) if next != name => (next.to_owned(), rest),
                Some((_, rest)) => (name, rest),
                None => (name, line),
            },
        };
        let (name, rest) = ended;
        match outcome(rest) {
            Some(outcome) => {
                let test = TestName {
                    suite: suite.to_owned(),
                    name,
                };
                if let Some(reason) = rest.strip_prefix("ignored, ") {
                    self.reasons
                        .insert(test.clone(), vec![reason.trim().to_owned()]);
                }
                if self.is_another_try {
                    self.tried_again.insert(test.clone());
                }
                self.failed_now += usize::from(outcome == Outcome::Failed);
                self.outcomes.insert(test, outcome);
            }
            None => self.running = Some(name),
        }
    }

    fn shown_line(&mut self, test: TestName, line: &str) {
        let skipped = line.trim_start().strip_prefix(SKIPPED);
        match self.outcomes.get(&test) {
            Some(Outcome::Failed) if !line.trim().is_empty() && !line.starts_with(ADVICE) => {
                let reason = self.reasons.entry(test).or_default();
                if reason.len() < MOST_REASON_LINES {
                    reason.push(shortened(line));
                }
            }
            Some(Outcome::Passed | Outcome::Skipped) => {
                if let Some(reason) = skipped {
                    self.outcomes.insert(test.clone(), Outcome::Skipped);
                    let reasons = self.reasons.entry(test).or_default();
                    reasons.push(reason.trim().to_owned());
                }
            }
            _ => {}
        }
    }
}

/// What is odd about how a binary of tests ended: libtest ends with 0, or with 101 when a test has failed.
fn odd_end(status: &str, failed: usize) -> Option<String> {
    match status.trim() {
        "0" => None,
        "101" if failed > 0 => None,
        "101" => Some("it ended with status 101, and none of its tests has failed".to_owned()),
        other => Some(format!(
            "it ended with status {other}, whatever its tests say"
        )),
    }
}

/// Name and rest of `test NAME ... REST`.
fn beginning(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ...")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    (!name.contains(' ')).then_some((name, rest.trim()))
}

fn outcome(text: &str) -> Option<Outcome> {
    match text.trim() {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed),
        text if text == "ignored" || text.starts_with("ignored, ") => Some(Outcome::Skipped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_passes_at_the_second_try_has_passed_and_is_named() {
        let mut console = Console::default();
        for line in [
            "vm: begin kernel",
            "test sched::a ... FAILED",
            "test sched::b ... FAILED",
            "failures:",
            "---- sched::a stdout ----",
            "too late",
            "failures:",
            "    sched::a",
            "test result: FAILED. 0 passed; 2 failed",
            "vm: end kernel 101",
            "vm: again kernel",
            "test sched::a ... ok",
            "test sched::b ... FAILED",
            "vm: end kernel 101",
        ] {
            console.line(line);
        }
        let test = |name: &str| TestName {
            suite: "kernel".to_owned(),
            name: name.to_owned(),
        };
        assert_eq!(console.outcomes[&test("sched::a")], Outcome::Passed);
        assert_eq!(console.outcomes[&test("sched::b")], Outcome::Failed);
        assert_eq!(console.tried_again.len(), 2);
        assert_eq!(console.reasons[&test("sched::a")], ["too late"]);
    }

    #[test]
    fn a_machine_that_is_booted_again_goes_on_where_it_died() {
        let mut console = console(
            "vm: note: no memory\nvm: begin kernel\ntest a::ok ... ok\ntest a::bad ... FAILED\n\
             test a::hangs ... \nKernel panic\n",
        );
        assert!(console.fatal.is_some());
        console.continue_with(self::console(
            "vm: note: no memory\nvm: begin kernel\ntest a::bad ... ok\ntest a::hangs ... ok\n\
             test a::never ... ok\nvm: end kernel 0\nvm: done\n",
        ));
        assert!(console.done && console.fatal.is_none());
        assert_eq!(console.interrupted(), None);
        assert_eq!(console.notes, ["no memory"]);
        let passed = |name: &str| console.outcomes[&test(name)] == Outcome::Passed;
        assert!(
            ["a::ok", "a::bad", "a::hangs", "a::never"]
                .into_iter()
                .all(passed)
        );
        assert!(
            console
                .tried_again
                .iter()
                .eq(&[test("a::bad"), test("a::hangs")])
        );
    }

    fn console(text: &str) -> Console {
        let mut console = Console::default();
        text.lines().for_each(|line| console.line(line));
        console
    }

    fn test(name: &str) -> TestName {
        TestName {
            suite: "kernel".into(),
            name: name.into(),
        }
    }

    const RUN: &str = "\
vm: note: no cgroup v1 hierarchy of memory on this kernel
vm: begin kernel

running 5 tests
test sched::a ... ok
test sched::b ... the workload says something
ok
test oom::c ... test oom::c has been running for over 60 seconds
FAILED
test oom::d ... ok
test loss::e ... ignored, needs two disks

successes:

---- sched::a stdout ----
all is well

---- oom::d stdout ----
skipped: no memory controller

successes:
    sched::a

failures:

---- oom::c stdout ----

thread 'oom::c' panicked at tests/kernel/oom.rs:12:5:
3, not 4

failures:
    oom::c

test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 9.00s
vm: end kernel 101
vm: done
";

    #[test]
    fn every_test_ends_once_whatever_is_written_in_between() {
        let console = console(RUN);
        let of = |name: &str| console.outcomes.get(&test(name)).copied();
        assert_eq!(console.outcomes.len(), 5);
        assert_eq!(of("sched::a"), Some(Outcome::Passed));
        assert_eq!(of("sched::b"), Some(Outcome::Passed));
        assert_eq!(of("oom::c"), Some(Outcome::Failed));
        assert!(console.done && console.fatal.is_none());
    }

    #[test]
    fn who_skips_itself_or_fails_says_why() {
        let console = console(RUN);
        assert_eq!(console.outcomes[&test("oom::d")], Outcome::Skipped);
        assert_eq!(console.reasons[&test("oom::d")], ["no memory controller"]);
        assert_eq!(console.outcomes[&test("loss::e")], Outcome::Skipped);
        assert_eq!(console.reasons[&test("loss::e")], ["needs two disks"]);
        let why = &console.reasons[&test("oom::c")];
        assert_eq!(why.last().map(String::as_str), Some("3, not 4"));
        assert!(!console.reasons.contains_key(&test("sched::a")));
    }

    #[test]
    fn only_what_a_test_said_that_passed_is_aside() {
        let mut console = Console::default();
        let aside: Vec<&str> = RUN
            .lines()
            .filter(|line| {
                console.line(line);
                console.is_aside() && !line.is_empty()
            })
            .collect();
        assert_eq!(
            aside,
            [
                "successes:",
                "---- sched::a stdout ----",
                "all is well",
                "---- oom::d stdout ----",
                "skipped: no memory controller",
                "successes:",
                "    sched::a",
            ]
        );
        assert!(!console.is_aside());
    }

    #[test]
    fn a_test_without_an_end_is_no_result_and_is_named() {
        let console = console("vm: begin kernel\ntest a::b ... ok\ntest c::d ... \n");
        assert_eq!(console.outcomes.len(), 1);
        assert_eq!(console.interrupted(), Some("c::d"));
        assert!(!console.done);
    }

    #[test]
    fn a_dying_kernel_is_noticed_and_a_test_that_quotes_one_is_not() {
        let dying = console("vm: begin kernel\n[   9.1] Kernel panic - not syncing: out of it\n");
        assert!(dying.fatal.is_some_and(|of| of.why.contains("out of it")));
        let quoting = console(
            "vm: begin kernel\ntest a ... ok\n\nsuccesses:\n\n---- a stdout ----\nKernel panic\n\
             vm: end kernel 0\n",
        );
        assert_eq!((quoting.fatal, quoting.quoted), (None, None));
    }

    #[test]
    fn a_machine_that_could_not_be_made_says_what_failed() {
        let console = console("vm: broken: mount -t ext4 /dev/vda /var/tmp\n");
        assert!(console.fatal.is_some_and(|of| of.why.contains("ext4")));
    }

    fn odd_ends(said: &str) -> Vec<(String, String)> {
        let console = console(said);
        let owned = |(suite, how): (&str, &str)| (suite.to_owned(), how.to_owned());
        console.odd_ends().map(owned).collect()
    }

    #[test]
    fn a_binary_that_dies_when_all_its_tests_have_passed_is_told_of() {
        const PASSES: &str = "vm: begin kernel\ntest a::ok ... ok\n";
        const FAILS: &str = "vm: begin kernel\ntest a::ok ... FAILED\n";
        for status in ["139", "134", "1", ""] {
            for tests in [PASSES, FAILS] {
                let odd = odd_ends(&format!("{tests}vm: end kernel {status}"));
                assert_eq!(odd.len(), 1, "{tests}{status}");
                assert_eq!(odd[0].0, "kernel");
                assert!(odd[0].1.contains(status));
            }
        }
        assert_eq!(odd_ends(&format!("{PASSES}vm: end kernel 101")).len(), 1);
        assert_eq!(odd_ends(&format!("{FAILS}vm: end kernel 101")), []);
        assert_eq!(odd_ends(&format!("{PASSES}vm: end kernel 0")), []);
    }

    #[test]
    fn how_a_binary_ended_is_how_it_ended_last() {
        let first = "vm: begin kernel\ntest a::ok ... FAILED\nvm: end kernel 139\n";
        let passes = "test a::ok ... ok\nvm: end kernel 0";
        assert_eq!(odd_ends(&format!("{first}vm: again kernel\n{passes}")), []);
        // That a test failed in the try before explains nothing of this one.
        let dies = format!("{first}vm: again kernel\ntest a::ok ... ok\nvm: end kernel 101");
        assert_eq!(odd_ends(&dies).len(), 1);
        let mut booted = console(first);
        booted.continue_with(console("vm: begin pipeline\nvm: end pipeline 0"));
        assert_eq!(booted.odd_ends().count(), 1, "another binary ended well");
        booted.continue_with(console(&format!("vm: begin kernel\n{passes}")));
        assert_eq!(booted.odd_ends().count(), 0);
    }
}
