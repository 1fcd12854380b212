//! Which tests failed, of all that ran, and what each said.

use std::collections::BTreeMap;

/// What cargo and libtest say of failures.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    tests: BTreeMap<String, Vec<String>>,
    /// Of a binary that has not said yet how it ended.
    names: Vec<String>,
    said: BTreeMap<String, Vec<String>>,
    /// Whose output is being shown.
    shown: Option<String>,
    /// How many binaries failed, and how many of these said which of their tests did.
    binaries: usize,
    explained: usize,
}

/// How much of what a test said is kept, from its panic on.
const MOST_LINES: usize = 6;

impl Failures {
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if line == "failures:" {
            // The list comes twice: with what each said, and then with the names alone.
            self.names.clear();
            self.shown = None;
        } else if line.starts_with("test result: ") {
            if line.starts_with("test result: FAILED") {
                self.explained += 1;
                for name in self.names.drain(..) {
                    let said = self.said.remove(&name).unwrap_or_default();
                    self.tests.insert(name, said);
                }
            }
            self.names.clear();
            self.said.clear();
        } else if line.starts_with("error: test failed")
            || line.starts_with("error: doctest failed")
        {
            self.binaries += 1;
        } else if let Some(name) = section(line) {
            self.shown = Some(name.to_owned());
        } else if let Some(name) = &self.shown {
            let said = self.said.entry(name.clone()).or_default();
            let is_worth_it = !said.is_empty() || line.contains("panicked at");
            if is_worth_it && said.len() < MOST_LINES && !line.is_empty() {
                said.push(line.to_owned());
            }
        } else if let Some(name) = line.strip_prefix("    ") {
            self.names.push(name.to_owned());
        }
    }

    /// Each by its name, and what it said.
    pub(crate) fn tests(&self) -> &BTreeMap<String, Vec<String>> {
        &self.tests
    }

    /// The names, when that is all that failed: not a binary that died, and no documentation test, which cannot
    /// be asked for by its name.
    pub(crate) fn named(&self) -> Option<Vec<&str>> {
        let names: Vec<&str> = self.tests.keys().map(String::as_str).collect();
        let are_names = names.iter().all(|name| !name.contains(char::is_whitespace));
        (are_names && !names.is_empty() && self.binaries == self.explained).then_some(names)
    }
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
";

    fn failures(output: &str) -> Failures {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.line(line));
        failures
    }

    #[test]
    fn a_test_that_failed_is_named_with_what_it_said() {
        let failures = failures(OUTPUT);
        assert_eq!(failures.named(), Some(vec!["loss::a"]));
        let said = &failures.tests()["loss::a"];
        assert_eq!(
            *said,
            [
                "thread 'loss::a' panicked at kernel/loss.rs:1:5:",
                "    3, not 4"
            ]
        );
    }

    #[test]
    fn a_binary_that_died_is_not_made_up_for_by_others_that_named_their_failures() {
        let died = "error: test failed, to rerun pass `-p collector --lib`\n\nCaused by:\n  \
            process didn't exit successfully: (signal: 6, SIGABRT: process abort signal)\n";
        assert_eq!(failures(&format!("{OUTPUT}{died}")).named(), None);
        assert_eq!(failures(died).named(), None);
    }

    #[test]
    fn a_documentation_test_cannot_be_asked_for_by_its_name() {
        let output = OUTPUT.replace("    loss::a", "    collector/src/lib.rs - clock (line 5)");
        assert_eq!(failures(&output).named(), None);
    }
}
