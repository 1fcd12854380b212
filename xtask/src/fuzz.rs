//! Every parser of foreign bytes under libFuzzer, for a bounded time.
//!
//! In: the targets, seeds and dictionaries of `fuzz/`. Out: how many inputs were tried, or one that
//! broke a promise and the command that shows it again. What a run learns is kept in the target folder
//! and used by the next; nothing is written into the tree.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{
    setup::{self, Scope},
    workspace,
};

/// How long each target runs unless told otherwise: enough for a slip, and a lint's price.
pub(crate) const SECONDS: u32 = 10;

/// What one input may take before it counts as a finding. The longest takes milliseconds.
const MAX_LENGTH_BYTES: u32 = 8_192;
const MAX_SECONDS: u32 = 10;
const MAX_MEMORY_MIB: u32 = 1_024;

/// What a run said, in lines of libFuzzer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    inputs: u64,
    /// Places in the code that inputs have led to.
    covered: u64,
    /// The input that broke a promise.
    finding: Option<PathBuf>,
}

/// Runs all targets, or one. Every target is run, so that one run names all that is found.
pub(crate) fn run(only: Option<&str>, seconds: u32) -> anyhow::Result<()> {
    setup::ensure(Scope::Fuzz)?;
    let targets = targets(only)?;
    let built = build()?;
    let mut failed = Vec::new();
    let mut inputs = 0;
    for target in &targets {
        let (report, succeeded) = fuzz(&built.join(target), target, seconds)?;
        inputs += report.inputs;
        if !succeeded || report.inputs == 0 {
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!(
            "the fuzzer found something in, or could not run, {}",
            failed.join(", ")
        );
    }
    println!("fuzz: {inputs} inputs, no finding");
    Ok(())
}

/// The names of the targets.
fn targets(only: Option<&str>) -> anyhow::Result<Vec<String>> {
    let output = Command::new("cargo")
        .args(["fuzz", "list"])
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `cargo fuzz list`")?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let mut targets: Vec<String> = listed.lines().map(|name| name.trim().to_owned()).collect();
    if !output.status.success() || targets.is_empty() {
        bail!("`cargo fuzz list` names no targets ({})", output.status);
    }
    if let Some(only) = only {
        if !targets.iter().any(|target| target == only) {
            bail!(
                "there is no fuzz target {only}; there are {}",
                targets.join(", ")
            );
        }
        targets.retain(|target| target == only);
    }
    Ok(targets)
}

/// Builds all targets, and says in which folder they are.
fn build() -> anyhow::Result<PathBuf> {
    // `cargo fuzz` would put the lock file right in silence.
    let mut fetch = workspace::cargo("fetch");
    workspace::run(fetch.args(["--manifest-path", "fuzz/Cargo.toml"])).context(
        "fuzz/Cargo.lock may be behind: `cargo update --workspace --manifest-path fuzz/Cargo.toml`, \
         and commit it",
    )?;
    let target_dir = workspace::target_dir()?;
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let mut command = Command::new("cargo");
    command
        .args(["fuzz", "build", "--target", &triple])
        // The code is safe Rust, which a sanitizer has little to say about; one would take an unstable
        // compiler and twice the time.
        .args(["--sanitizer", "none"])
        // One unit, the default, compiles for minutes.
        .args(["--codegen-units", "16"])
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(workspace::root());
    workspace::run(&mut command)?;
    Ok(target_dir.join(triple).join("release"))
}

/// Runs one target. Whether it ended well.
fn fuzz(binary: &Path, target: &str, seconds: u32) -> anyhow::Result<(Report, bool)> {
    let inputs = workspace::root().join("fuzz");
    let seeds = inputs.join("seeds").join(target);
    if !seeds.is_dir() {
        bail!(
            "{target} has nothing to begin with: add {}",
            seeds.display()
        );
    }
    let learned = workspace::target_dir()?.join("fuzz").join(target);
    let (corpus, findings) = (learned.join("corpus"), learned.join("findings"));
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = Command::new(binary);
    command
        .args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={MAX_LENGTH_BYTES}"),
            format!("-timeout={MAX_SECONDS}"),
            format!("-rss_limit_mb={MAX_MEMORY_MIB}"),
            // It is put before a file's name as it is.
            format!("-artifact_prefix={}/", findings.display()),
            "-print_final_stats=1".to_owned(),
        ])
        .stdout(Stdio::null());
    let dictionary = inputs.join("dictionaries").join(format!("{target}.dict"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    // New inputs go into the first folder.
    let output = command
        .args([&corpus, &seeds])
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report = Report::read(&said);
    let succeeded = output.status.success();
    if succeeded {
        let Report {
            inputs, covered, ..
        } = report;
        println!("fuzz: {target}: {inputs} inputs, {covered} places covered");
    } else {
        println!("{}", tail(&said));
        println!("fuzz: {target}: FAILED ({})", output.status);
        if let Some(finding) = &report.finding {
            println!(
                "fuzz: {target}: to see it again: {} {}",
                binary.display(),
                finding.display()
            );
        }
    }
    Ok((report, succeeded))
}

/// The end of what a failed run said: the panic and its trace.
fn tail(said: &str) -> String {
    const LINES: usize = 80;
    let lines: Vec<&str> = said
        .lines()
        // One for each input that led somewhere new.
        .filter(|line| !line.starts_with('#'))
        .collect();
    let from = lines.len().saturating_sub(LINES);
    lines[from..].join("\n")
}

impl Report {
    fn read(said: &str) -> Self {
        let mut report = Self::default();
        for line in said.lines() {
            if let Some(inputs) = line.strip_prefix("stat::number_of_executed_units:") {
                report.inputs = inputs.trim().parse().unwrap_or(0);
            } else if let Some((_, path)) = line.split_once("Test unit written to ") {
                report.finding = Some(path.into());
            } else if line.starts_with('#')
                && let Some((_, covered)) = line.split_once(" cov: ")
            {
                let covered = covered.split(' ').next().unwrap_or_default();
                report.covered = covered.parse().unwrap_or(report.covered);
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_how_far_it_came() {
        let said = "INFO: seed corpus: files: 4\n\
            #2\tINITED cov: 40 ft: 41 corp: 1/1b exec/s: 0 rss: 26Mb\n\
            #256426\tDONE   cov: 612 ft: 3028 corp: 301/245Kb lim: 4513 exec/s: 12210 rss: 29Mb\n\
            Done 256426 runs in 21 second(s)\n\
            stat::number_of_executed_units: 256426\n\
            stat::average_exec_per_sec:     12210\n";
        let expected = Report {
            inputs: 256_426,
            covered: 612,
            finding: None,
        };
        assert_eq!(Report::read(said), expected);
    }

    #[test]
    fn a_finding_is_named_and_its_trace_is_the_end() {
        let said = "#7\tNEW    cov: 9 ft: 9 corp: 2/2b\n\
            thread '<unnamed>' panicked at fuzz_targets/config.rs:30:5:\n\
            artifact_prefix='/t/'; Test unit written to /t/crash-12\n";
        let report = Report::read(said);
        assert_eq!(
            (report.covered, report.finding),
            (9, Some("/t/crash-12".into()))
        );
        assert!(tail(said).starts_with("thread"), "{}", tail(said));
    }
}
