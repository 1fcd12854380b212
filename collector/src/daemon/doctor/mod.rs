//! `cgscope doctor`: what works on this host, why not, and what to do about it.
//!
//! The exit code is about the signals alone: without a container runtime everything is measured all the
//! same, and only names are missing. An OpenTelemetry collector can come later.

mod otlp;
mod runtimes;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use serde::Serialize;

use self::{
    otlp::OtlpReport,
    runtimes::{Inventory, Search},
};
use super::{
    config::Config,
    exit::Failure,
    host_view::{Host, Trial},
};
use crate::attach::{Entry, SignalState};

/// All signals are on.
const ALL_ON: u8 = 0;
/// Some are off, or all; `run` starts all the same.
const SOME_OFF: u8 = 1;
/// `run` does not start.
const CANNOT_RUN: u8 = 2;

/// What is printed. The form of `--json`, which other programs read.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    kernel: String,
    cgroup_mode: String,
    task_hierarchy: Option<String>,
    /// The file that the kernel's types are from; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<String>,
    /// Whether programs are entered as for a kernel without types of its own.
    raw_tracepoints: bool,
    signals: Vec<SignalReport>,
    programs: Vec<ProgramReport>,
    #[serde(flatten)]
    runtimes: Inventory,
    /// Absent when nothing is sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    otlp: Vec<OtlpReport>,
}

#[derive(Debug, Serialize)]
struct SignalReport {
    name: &'static str,
    on: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    with: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Serialize)]
struct ProgramReport {
    name: &'static str,
    attached: bool,
}

/// Tries everything that `run` would, prints what came of it, and undoes it.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub fn doctor(config: &Config, json: bool) -> Result<ExitCode, Failure> {
    let (report, would_run) = examine(config)?;
    let all_on = report.signals.iter().all(|signal| signal.on);
    if json {
        // Strings and booleans cannot fail to serialize.
        println!(
            "{}",
            serde_json::to_string_pretty(&report).unwrap_or_default()
        );
    } else {
        print!("{}", in_words(&report));
    }
    Ok(ExitCode::from(match (would_run, all_on) {
        (false, _) => CANNOT_RUN,
        (true, true) => ALL_ON,
        (true, false) => SOME_OFF,
    }))
}

/// What is to be printed, and whether `run` would start.
fn examine(config: &Config) -> Result<(Report, bool), Failure> {
    let host = Host::probe(config);
    let Trial {
        signals,
        programs,
        would_run,
    } = host.try_attach(config);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: host.support.release.clone(),
        cgroup_mode: host.mode_in_words(),
        task_hierarchy: host.task_hierarchy_in_words(),
        types: host.support.types_in_words(),
        raw_tracepoints: host.plan.entry == Entry::Raw,
        signals: signals
            .into_iter()
            .map(|(signal, state)| match state {
                SignalState::On { with, without } => SignalReport {
                    name: signal.name(),
                    on: true,
                    with,
                    without,
                    reason: None,
                    remedy: None,
                },
                SignalState::Off { reason, remedy } => SignalReport {
                    name: signal.name(),
                    on: false,
                    with: Vec::new(),
                    without: Vec::new(),
                    reason: Some(reason),
                    remedy: Some(remedy).filter(|remedy| !remedy.is_empty()),
                },
            })
            .collect(),
        programs: programs
            .into_iter()
            .map(|program| ProgramReport {
                name: program.name,
                attached: program.attached,
            })
            .collect(),
        runtimes: Search::of(config)
            .run()
            .map_err(|error| Failure::internal(&error))?,
        otlp: otlp::probe(&config.otlp).map_err(|error| Failure::internal(&error))?,
    };
    Ok((report, would_run))
}

fn in_words(report: &Report) -> String {
    let mut lines = vec![
        format!("cgscope {} on Linux {}", report.version, report.kernel),
        format!(
            "cgroups: {}; tasks are attributed by {}",
            report.cgroup_mode,
            report
                .task_hierarchy
                .as_deref()
                .unwrap_or("nothing: no hierarchy holds them")
        ),
    ];
    if let Some(types) = &report.types {
        let entry = if report.raw_tracepoints {
            "; raw tracepoints, as the kernel has no types of its own"
        } else {
            ""
        };
        lines.push(format!("types: {types}{entry}"));
    }
    lines.push(String::new());
    for signal in &report.signals {
        let state = if signal.on { "on" } else { "off" };
        lines.push(format!("{:<12} {state}", signal.name));
        let with = signal.with.iter().map(|what| format!("with {what}"));
        let without = signal.without.iter().map(|what| format!("without {what}"));
        let reason = signal
            .reason
            .iter()
            .map(|reason| format!("because {reason}"));
        let remedy = signal
            .remedy
            .iter()
            .map(|remedy| format!("to fix: {remedy}"));
        lines.extend(
            with.chain(without)
                .chain(reason)
                .chain(remedy)
                .map(|line| format!("{:12}   {line}", "")),
        );
    }
    lines.push(String::new());
    lines.extend(report.runtimes.lines());
    if !report.otlp.is_empty() {
        lines.push(String::new());
        lines.extend(otlp::lines(&report.otlp));
    }
    lines.join("\n") + "\n"
}
