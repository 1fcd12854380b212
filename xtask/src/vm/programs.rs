//! The programs that run inside: cgscope, its tests, and what they start.
//!
//! In: the repository. Out: built files, and the names of the tests that have to run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{archive::checked, build, workspace};

/// One test binary.
#[derive(Debug, Clone)]
pub(crate) struct Suite {
    /// As in `tests/Cargo.toml`.
    pub(crate) name: &'static str,
    pub(crate) binary: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The tests that these arguments select.
    pub(crate) tests: Vec<String>,
    /// What is left out of this suite, and why.
    pub(crate) without: &'static [LeftOut],
}

#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) suites: Vec<Suite>,
    pub(crate) workload: PathBuf,
    pub(crate) cgscope: PathBuf,
}

/// Tests of a suite that do not run in a virtual machine.
#[derive(Debug)]
pub(crate) struct LeftOut {
    /// What their names begin with.
    pub(crate) module: &'static str,
    pub(crate) why: &'static str,
}

/// Suites that run in a virtual machine, and what of them does not.
const SUITES: [(&str, &[LeftOut]); 2] = [
    ("kernel", &[]),
    (
        "pipeline",
        &[
            LeftOut {
                module: "prometheus::",
                why: "compares with a Prometheus that is installed here alone",
            },
            LeftOut {
                module: "exemplars::",
                why: "gives them to a Prometheus that is installed here alone",
            },
            LeftOut {
                module: "witness::",
                why: "compares with a runqlat that is installed here alone",
            },
            LeftOut {
                module: "bad_input::",
                why: "is about what people write, and not about a kernel",
            },
            LeftOut {
                module: "catalog::",
                why: "is about a listing, and not about a kernel",
            },
            LeftOut {
                module: "life::pages",
                why: "is about pages, and not about a kernel",
            },
            LeftOut {
                module: "stopping::",
                why: "is about what the daemon makes of signals, and not about a kernel",
            },
            LeftOut {
                module: "own_preemptions::",
                why: "is about who is counted, and not about a kernel",
            },
            LeftOut {
                module: "peers::",
                why: "is about names; that what they name is read is shown by the kernel's suite",
            },
            LeftOut {
                module: "drift::samples_that_are_lost",
                why: "shows on any kernel that a loss is told, and takes long",
            },
        ],
    ),
];

impl Suite {
    /// The same without the tests of some modules.
    pub(crate) fn without(&self, modules: &[&str]) -> Self {
        let mut suite = self.clone();
        for module in modules {
            suite.tests.retain(|test| !test.starts_with(module));
            suite
                .arguments
                .extend(["--skip".to_owned(), (*module).to_owned()]);
        }
        suite
    }

    /// The same with those of its tests alone that `is_wanted`.
    pub(crate) fn only(&self, is_wanted: impl Fn(&str) -> bool) -> Self {
        let mut suite = self.clone();
        suite.tests.retain(|test| is_wanted(test));
        let fixed = ["--exact", "--include-ignored"].map(str::to_owned);
        suite.arguments = fixed.into_iter().chain(suite.tests.clone()).collect();
        suite
    }
}

impl Programs {
    /// Builds all of them. `arguments` are the user's own for libtest.
    pub(crate) fn build(arguments: &[String]) -> anyhow::Result<Self> {
        build::release()?;
        let mut executables = executables()?;
        let mut take = |name: &str| {
            executables
                .remove(name)
                .with_context(|| format!("cargo built no `{name}`"))
        };
        let workload = take("workload")?;
        let mut suites = Vec::new();
        for (name, without) in SUITES {
            let binary = take(name)?;
            let mut all = vec!["--include-ignored".to_owned()];
            all.extend_from_slice(arguments);
            for left_out in without {
                all.extend(["--skip".to_owned(), left_out.module.to_owned()]);
            }
            suites.push(Suite {
                name,
                tests: list(&binary, &all)?,
                binary,
                arguments: all,
                without,
            });
        }
        if suites.iter().all(|suite| suite.tests.is_empty()) {
            bail!("these arguments select no test");
        }
        Ok(Self {
            suites,
            workload,
            cgscope: workspace::binary()?,
        })
    }
}

/// What cargo says it built for the tests, by name.
fn executables() -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut command = workspace::cargo("test");
    // Optimized, as the machines are slow: what a debug build takes its time for on a real CPU, such as
    // draining the rings, would be all that is measured.
    command.args(["--package", "collector-tests", "--no-run", "--release"]);
    for (name, _) in SUITES {
        command.args(["--test", name]);
    }
    command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let shown = workspace::show(&command);
    println!("$ {shown}");
    let output = command
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    Ok(parse_executables(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_executables(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            let executable = message["executable"].as_str()?;
            Some((name, executable.into()))
        })
        .collect()
}

fn list(binary: &Path, arguments: &[String]) -> anyhow::Result<Vec<String>> {
    let listed = checked(
        Command::new(binary)
            .args(["--list", "--format", "terse"])
            .args(arguments),
    )?;
    Ok(parse_list(&listed))
}

fn parse_list(listed: &str) -> Vec<String> {
    listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"collector\"},\"executable\":null}\n\
            not json\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"kernel\"},\"executable\":\"/t/kernel-1\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let found = parse_executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(found["kernel"], PathBuf::from("/t/kernel-1"));
    }

    #[test]
    fn tests_are_listed_and_benches_are_not() {
        assert_eq!(parse_list("a::b: test\nc: benchmark\n\n"), ["a::b"]);
    }
}
