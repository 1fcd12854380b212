//! Which tests failed, of all that ran, and what each said; of tests whose output is shown, which passed.

use std::collections::{BTreeMap, BTreeSet};

/// What cargo and libtest say of tests by their names.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) failed: BTreeMap<String, Vec<String>>,
    pub(crate) passed: BTreeSet<String>,
    /// Of a binary that has not said yet how it ended.
    names: BTreeMap<List, Vec<String>>,
    list: List,
    said: BTreeMap<String, Vec<String>>,
    /// Whose output is being shown.
    shown: Option<String>,
    /// How many binaries failed, and how many of these said which of their tests did.
    binaries: usize,
    explained: usize,
    /// How many cargo says at its end.
    all: Option<usize>,
}

/// A list of names at the end of a binary's output.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    Passed,
    #[default]
    Failed,
}

/// What cargo says of a binary that failed. One that died has not ended its last line.
const ENDS: [&str; 2] = [
    "error: test failed, to rerun",
    "error: doctest failed, to rerun",
];

/// How much of what a test said is kept: from its panic on, or else the end.
const MOST_LINES: usize = 6;

/// How much of a line is kept.
const MOST_CHARS: usize = 500;

impl Outcomes {
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        match line {
            "failures:" => self.begin(List::Failed),
            "successes:" => self.begin(List::Passed),
            _ if line.starts_with("test result: ") => self.end_binary(line),
            _ if ENDS.iter().any(|end| line.contains(end)) => self.binaries += 1,
            _ => match closing(line) {
                Some(all) => self.all = Some(all),
                None => self.listed(line),
            },
        }
    }

    /// By name, when that is all that failed and cargo came to its end: not a binary that died, and no documentation
    /// test, which cannot be asked for by its name.
    pub(crate) fn named(&self) -> Option<Vec<&str>> {
        let names: Vec<&str> = self.failed.keys().map(String::as_str).collect();
        let are_names = names.iter().all(|name| !name.contains(char::is_whitespace));
        let is_all = self.binaries == self.explained && self.all == Some(self.binaries);
        (are_names && !names.is_empty() && is_all).then_some(names)
    }

    /// A list comes twice: with what each test said, and then with the names alone.
    fn begin(&mut self, list: List) {
        self.list = list;
        self.names.remove(&list);
        self.shown = None;
    }

    fn listed(&mut self, line: &str) {
        if let Some(name) = section(line) {
            self.shown = Some(name.to_owned());
        } else if let Some(name) = &self.shown {
            let said = self.said.entry(name.clone()).or_default();
            let is_panic = |line: &str| line.contains("panicked at");
            let has_panicked = said.first().is_some_and(|first| is_panic(first));
            if line.is_empty() || (has_panicked && said.len() >= MOST_LINES) {
                return;
            }
            if !has_panicked && is_panic(line) {
                said.clear();
            } else if said.len() >= MOST_LINES {
                said.remove(0);
            }
            said.push(shortened(line));
        } else if let Some(name) = line.strip_prefix("    ") {
            self.names
                .entry(self.list)
                .or_default()
                .push(name.to_owned());
        }
    }

    fn end_binary(&mut self, result: &str) {
        let mut names = std::mem::take(&mut self.names);
        let mut said = std::mem::take(&mut self.said);
        let mut of = |list| names.remove(&list).unwrap_or_default();
        self.passed.extend(of(List::Passed));
        if result.starts_with("test result: FAILED") {
            self.explained += 1;
            for name in of(List::Failed) {
                let said = said.remove(&name).unwrap_or_default();
                self.failed.insert(name, said);
            }
        }
        self.list = List::default();
        self.shown = None;
    }
}

/// An assertion can show all that it compared.
pub(crate) fn shortened(line: &str) -> String {
    line.chars().take(MOST_CHARS).collect()
}

/// How many binaries failed, of `error: 2 targets failed:`.
fn closing(line: &str) -> Option<usize> {
    let (all, what) = line.strip_prefix("error: ")?.split_once(' ')?;
    matches!(what, "target failed:" | "targets failed:").then(|| all.parse().ok())?
}

/// `NAME` of libtest's `---- NAME stdout ----`.
pub(crate) fn section(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 2 tests
test loss::a ... FAILED
test sched::b ... ok

failures:

---- loss::a stdout ----
note: nothing of interest

thread 'loss::a' panicked at kernel/loss.rs:1:5:
    3, not 4

failures:
    loss::a

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s

error: test failed, to rerun pass `-p collector-tests --test kernel`
error: 1 target failed:
    `-p collector-tests --test kernel`
";

    fn outcomes(output: &str) -> Outcomes {
        let mut outcomes = Outcomes::default();
        output.lines().for_each(|line| outcomes.line(line));
        outcomes
    }

    #[test]
    fn a_test_that_failed_is_named_with_what_it_said() {
        let outcomes = outcomes(OUTPUT);
        assert_eq!(outcomes.named(), Some(vec!["loss::a"]));
        let said = &outcomes.failed["loss::a"];
        assert_eq!(
            *said,
            [
                "thread 'loss::a' panicked at kernel/loss.rs:1:5:",
                "    3, not 4"
            ]
        );
    }

    #[test]
    fn a_binary_that_died_is_not_made_up_for_by_others_that_named_their_outcomes() {
        let died = "error: test failed, to rerun pass `-p collector --lib`\n\nCaused by:\n  \
            process didn't exit successfully: (signal: 6, SIGABRT: process abort signal)\n";
        assert_eq!(outcomes(&format!("{OUTPUT}{died}")).named(), None);
        assert_eq!(outcomes(died).named(), None);
        let died = died.to_owned() + "error: 2 targets failed:\n";
        assert_eq!(outcomes(&format!("{OUTPUT}{died}")).named(), None);
        let in_its_line = format!("{OUTPUT}test drift::c ... {died}");
        assert_eq!(outcomes(&in_its_line).named(), None);
    }

    #[test]
    fn a_test_that_returns_an_error_is_named_with_that() {
        let output = OUTPUT.replace(
            "thread 'loss::a' panicked at kernel/loss.rs:1:5:",
            "Error: \"no\"",
        );
        let said = &outcomes(&output).failed["loss::a"];
        assert!(said.contains(&"Error: \"no\"".to_owned()), "{said:?}");
    }

    #[test]
    fn one_that_passes_is_named_where_its_output_is_shown() {
        let shown = OUTPUT.replacen(
            "failures:",
            "successes:\n\n---- sched::b stdout ----\n    indented\n\nsuccesses:\n    sched::b\n\nfailures:",
            1,
        );
        let outcomes = outcomes(&shown);
        assert_eq!(outcomes.named(), Some(vec!["loss::a"]));
        assert!(outcomes.passed.iter().eq(["sched::b"]));
    }

    #[test]
    fn where_cargo_itself_did_not_end_nothing_is_known_of_the_rest() {
        let output = OUTPUT.split_once("error: 1 target failed:").unwrap().0;
        assert_eq!(outcomes(output).failed.len(), 1);
        assert_eq!(outcomes(output).named(), None);
    }

    #[test]
    fn a_documentation_test_cannot_be_asked_for_by_its_name() {
        let output = OUTPUT.replace("    loss::a", "    collector/src/lib.rs - clock (line 5)");
        assert_eq!(outcomes(&output).named(), None);
    }
}
