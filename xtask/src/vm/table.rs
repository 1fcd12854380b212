//! What ran on which kernel, in one table.
//!
//! In: the tests that had to run, and what each machine said. Out: text, a tally, and whether all of
//! it proves something. A test that no machine reported counts as failed.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    Mode,
    console::{Outcome, TestName},
    death::{Cause, Death},
    machine::Life,
};
use crate::tally::Tally;

/// One machine.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kernel: &'static str,
    pub(crate) mode: Mode,
    /// The tests that it had to run.
    pub(crate) expected: Vec<TestName>,
    /// Its life, or why it had none.
    pub(crate) life: Result<Life, String>,
}

/// All machines.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

/// The order of the columns; areas that are not named here come after these.
const AREAS: [&str; 8] = [
    "sched",
    "block_io",
    "oom",
    "cgroup_life",
    "throttle",
    "loss",
    "identity",
    "daemon",
];

/// How much of a failure's output is repeated below the table.
const MOST_LINES: usize = 4;

impl TestName {
    /// What it is about: the module of a kernel test, or the daemon as a whole.
    fn area(&self) -> &str {
        if self.suite == "kernel" {
            self.name.split("::").next().unwrap_or(&self.name)
        } else {
            "daemon"
        }
    }
}

impl Row {
    fn title(&self) -> String {
        format!("{} {}", self.kernel, self.mode.name())
    }

    fn outcome(&self, test: &TestName) -> Outcome {
        let life = self.life.as_ref().ok();
        life.and_then(|life| life.console.outcomes.get(test).copied())
            .unwrap_or(Outcome::Failed)
    }

    fn tally(&self, of: impl Fn(&TestName) -> bool) -> Tally {
        let mut tally = Tally::default();
        for test in self.expected.iter().filter(|test| of(test)) {
            match self.outcome(test) {
                Outcome::Passed => tally.passed += 1,
                Outcome::Failed => tally.failed += 1,
                Outcome::Skipped => tally.ignored += 1,
            }
        }
        tally
    }

    fn seconds(&self) -> String {
        self.life
            .as_ref()
            .map_or_else(|_| "-".to_owned(), |life| life.seconds.to_string())
    }

    /// It did not end, as the machine did before; or else it has not even begun.
    fn was_interrupted(&self, test: &TestName) -> bool {
        let life = self.life.as_ref();
        let running = life.ok().and_then(|life| life.console.interrupted());
        running == Some(test.name.as_str())
    }

    fn has_run(&self, test: &TestName) -> bool {
        let life = self.life.as_ref();
        life.is_ok_and(|life| life.console.outcomes.contains_key(test))
    }

    /// What a test said, or why it said nothing.
    fn reason(&self, test: &TestName) -> Vec<String> {
        let life = self.life.as_ref();
        let said = life.ok().and_then(|life| life.console.reasons.get(test));
        if let Some(said) = said {
            // The first line of a panic tells where, the others what.
            return said.iter().take(MOST_LINES).cloned().collect();
        }
        let interrupted = !self.has_run(test) && self.was_interrupted(test);
        interrupted
            .then(|| "did not end".to_owned())
            .into_iter()
            .collect()
    }
}

impl Table {
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for row in &self.rows {
            tally.add(row.tally(|_| true));
        }
        tally
    }

    /// What keeps this from being a proof, beside tests that failed.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.repeated_faults();
        for row in &self.rows {
            let title = row.title();
            match &row.life {
                Err(why) => problems.push(format!("{title}: {why}")),
                Ok(life) => {
                    for (suite, how) in life.console.odd_ends() {
                        problems.push(format!("{title}: {suite}: {how}"));
                    }
                    if let Some(death) = &life.cut_short {
                        problems.push(format!("{title}: did not finish: {}", death.why));
                        continue;
                    }
                    for (area, tally) in self.cells(row) {
                        if tally.passed == 0 {
                            problems.push(format!("{title}: nothing of {area} has passed"));
                        }
                    }
                }
            }
        }
        problems
    }

    /// Kernels that died of themselves, though a later boot passed: our programs may be why. One alone is told and is no
    /// problem, as the emulator has faults of its own.
    fn repeated_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in &self.rows {
            let deaths = row.life.iter().flat_map(|life| &life.earlier);
            for death in deaths.filter(|death| death.is_of_the_kernel()) {
                faults.push(format!("{}: its kernel died: {}", row.title(), death.why));
            }
        }
        if faults.len() > 1 { faults } else { Vec::new() }
    }

    pub(crate) fn render(&self) -> String {
        let mut lines = vec![self.header()];
        lines.extend(self.rows.iter().map(|row| self.cells_of(row)));
        let mut text = aligned(&lines);
        for row in &self.rows {
            Self::append_details(&mut text, row);
        }
        text
    }

    fn areas(&self) -> Vec<&str> {
        let tests = self.rows.iter().flat_map(|row| &row.expected);
        let mut areas: Vec<&str> = tests.map(TestName::area).collect();
        let place = |area: &str| AREAS.iter().position(|known| *known == area);
        areas.sort_by_key(|&area| (place(area).unwrap_or(AREAS.len()), area.to_owned()));
        areas.dedup();
        areas
    }

    fn cells(&self, row: &Row) -> BTreeMap<&str, Tally> {
        let of = |area| row.tally(|test| test.area() == area);
        self.areas()
            .into_iter()
            .map(|area| (area, of(area)))
            .collect()
    }

    fn header(&self) -> Vec<String> {
        let areas = self.areas();
        let names = ["kernel", "cgroups"].into_iter().chain(areas);
        names.chain(["seconds"]).map(str::to_owned).collect()
    }

    fn cells_of(&self, row: &Row) -> Vec<String> {
        let tallies = self.cells(row);
        let mut cells = vec![row.kernel.to_owned(), row.mode.name().to_owned()];
        cells.extend(self.areas().iter().map(|area| cell(tallies[area])));
        cells.push(row.seconds());
        cells
    }

    fn append_details(text: &mut String, row: &Row) {
        let title = row.title();
        let life = match &row.life {
            Ok(life) => life,
            Err(why) => {
                writeln!(text, "\n{title}: {why}").expect("a String takes all");
                return;
            }
        };
        for death in &life.earlier {
            let what = if death.is_of_the_kernel() {
                "its kernel died, and it was booted again"
            } else {
                "booted again, as it did not finish"
            };
            death.append(text, &format!("{title}: {what}"));
        }
        if let Some(death) = &life.cut_short {
            death.append(text, &format!("{title}: did not finish"));
        }
        for (suite, how) in life.console.odd_ends() {
            writeln!(text, "\n{title}: FAILED {suite}: {how}").expect("a String takes all");
        }
        for note in &life.console.notes {
            writeln!(text, "\n{title}: note: {note}").expect("a String takes all");
        }
        let is_absent = |test: &&TestName| !row.has_run(test) && !row.was_interrupted(test);
        let absent = row.expected.iter().filter(is_absent).count();
        if absent > 0 {
            writeln!(text, "\n{title}: FAILED {absent} tests that did not run")
                .expect("a String takes all");
        }
        let again = |test: &TestName| life.console.tried_again.contains(test);
        for (wanted, word) in [
            (Outcome::Failed, "FAILED"),
            (Outcome::Skipped, "skipped"),
            (Outcome::Passed, "passed when tried again"),
        ] {
            for test in &row.expected {
                if row.outcome(test) != wanted
                    || is_absent(&test)
                    || (wanted == Outcome::Passed && !again(test))
                {
                    continue;
                }
                let name = format!("{}::{}", test.suite, test.name);
                writeln!(text, "\n{title}: {word} {name}").expect("a String takes all");
                for line in row.reason(test) {
                    writeln!(text, "    {line}").expect("a String takes all");
                }
            }
        }
    }
}

impl Death {
    fn is_of_the_kernel(&self) -> bool {
        self.cause == Cause::Kernel
    }

    fn append(&self, text: &mut String, what: &str) {
        writeln!(text, "\n{what}: {}", self.why).expect("a String takes all");
        for line in &self.last_lines {
            writeln!(text, "    {line}").expect("a String takes all");
        }
    }
}

fn cell(tally: Tally) -> String {
    let Tally {
        passed,
        failed,
        ignored,
    } = tally;
    let mut text = format!("{passed}/{}", passed + failed + ignored);
    for (number, what) in [(failed, "failed"), (ignored, "skipped")] {
        if number > 0 {
            write!(text, " {number} {what}").expect("a String takes all");
        }
    }
    text
}

/// Columns as wide as what is in them.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().map(|line| line[column].len()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::console::Console;

    fn tests(names: &[(&str, &str)]) -> Vec<TestName> {
        names
            .iter()
            .map(|&(suite, name)| TestName {
                suite: suite.into(),
                name: name.into(),
            })
            .collect()
    }

    fn table(said: &str) -> Table {
        let mut console = Console::default();
        said.lines().for_each(|line| console.line(line));
        let cut_short = (!console.done).then(|| Death {
            why: "Kernel panic".to_owned(),
            cause: Cause::Kernel,
            last_lines: vec!["9 s: not syncing".to_owned()],
        });
        Table {
            rows: vec![Row {
                kernel: "6.1",
                mode: Mode::V2,
                expected: tests(&[
                    ("pipeline", "life::starts"),
                    ("kernel", "oom::kills"),
                    ("kernel", "sched::counts"),
                    ("kernel", "sched::waits"),
                ]),
                life: Ok(Life {
                    console,
                    seconds: 61,
                    cut_short,
                    earlier: Vec::new(),
                }),
            }],
        }
    }

    const GOOD: &str = "vm: begin kernel\ntest oom::kills ... ok\ntest sched::counts ... ok\n\
        test sched::waits ... ok\nvm: end kernel 0\n\
        vm: begin pipeline\ntest life::starts ... ok\nvm: end pipeline 0\nvm: done\n";

    #[test]
    fn a_row_counts_every_test_in_its_area() {
        let table = table(GOOD);
        assert_eq!(
            table.render(),
            "kernel  cgroups  sched  oom  daemon  seconds\n\
             6.1     v2       2/2    1/1  1/1     61\n"
        );
        assert_eq!(table.problems(), [""; 0]);
        assert_eq!(
            table.tally().to_string(),
            "tests: 4 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn what_fails_or_is_skipped_is_named_with_its_reason() {
        let said = GOOD
            .replace("test sched::waits ... ok", "test sched::waits ... FAILED\n\nfailures:\n\n---- sched::waits stdout ----\n3, not 4\n\nfailures:")
            .replace("test life::starts ... ok", "test life::starts ... ok\n\nsuccesses:\n\n---- life::starts stdout ----\nskipped: no disk\n\nsuccesses:");
        let table = table(&said);
        let text = table.render();
        assert!(text.contains("1/2 1 failed  1/1  0/1 1 skipped"), "{text}");
        assert!(
            text.contains("6.1 v2: FAILED kernel::sched::waits\n    3, not 4\n"),
            "{text}"
        );
        assert!(
            text.contains("6.1 v2: skipped pipeline::life::starts\n    no disk\n"),
            "{text}"
        );
        assert_eq!(table.problems(), ["6.1 v2: nothing of daemon has passed"]);
    }

    #[test]
    fn a_machine_that_dies_fails_what_it_did_not_run() {
        let table = table("vm: begin kernel\ntest oom::kills ... ok\ntest sched::counts ... \n");
        let text = table.render();
        assert!(
            text.contains("FAILED kernel::sched::counts\n    did not end"),
            "{text}"
        );
        assert!(
            text.contains("6.1 v2: FAILED 2 tests that did not run\n"),
            "{text}"
        );
        assert!(!text.contains("sched::waits"), "{text}");
        let death = "6.1 v2: did not finish: Kernel panic\n    9 s: not syncing\n";
        assert!(text.contains(death), "{text}");
        assert_eq!(table.tally().failed, 3);
        assert_eq!(table.problems()[0], "6.1 v2: did not finish: Kernel panic");
    }

    #[test]
    fn one_that_was_booted_again_says_how_it_died_and_passes() {
        let mut table = table(GOOD);
        let life = table.rows[0].life.as_mut().expect("a life");
        life.earlier.push(Death {
            why: "soft lockup".to_owned(),
            cause: Cause::Host,
            last_lines: vec!["99 s: stuck".to_owned()],
        });
        let text = table.render();
        let death = "6.1 v2: booted again, as it did not finish: soft lockup\n    99 s: stuck\n";
        assert!(text.contains(death), "{text}");
        assert_eq!(table.problems(), [""; 0]);
    }

    #[test]
    fn kernels_that_die_of_themselves_are_a_problem_though_the_next_boot_passes_and_one_is_told() {
        let mut table = table(GOOD);
        let oops = || Death {
            why: "Oops: 0002".to_owned(),
            cause: Cause::Kernel,
            last_lines: Vec::new(),
        };
        let died = |table: &mut Table| {
            let life = table.rows[0].life.as_mut().expect("a life");
            life.earlier.push(oops());
        };
        died(&mut table);
        let text = table.render();
        let death = "6.1 v2: its kernel died, and it was booted again: Oops: 0002\n";
        assert!(text.contains(death), "{text}");
        assert_eq!(table.problems(), [""; 0]);
        died(&mut table);
        assert_eq!(table.problems(), ["6.1 v2: its kernel died: Oops: 0002"; 2]);
        assert_eq!(table.tally().failed, 0, "its tests have passed");
    }

    #[test]
    fn a_binary_that_died_is_a_problem_though_its_tests_have_passed() {
        let table = table(&GOOD.replace("vm: end kernel 0", "vm: end kernel 139"));
        let odd = "6.1 v2: kernel: it ended with status 139, whatever its tests say";
        assert_eq!(table.problems(), [odd]);
        let text = table.render();
        assert!(
            text.contains("6.1 v2: FAILED kernel: it ended with status 139"),
            "{text}"
        );
        assert_eq!(table.tally().failed, 0);
    }

    #[test]
    fn a_machine_that_never_was_fails_everything() {
        let mut table = table(GOOD);
        table.rows[0].life = Err("no kernel".into());
        assert_eq!(table.tally().failed, 4);
        assert_eq!(table.problems(), ["6.1 v2: no kernel"]);
        assert!(table.render().contains("\n6.1 v2: no kernel\n"));
    }
}
