//! `cgscope doctor`: what works on this host, why not, and what to do about it.

use std::process::ExitCode;

use serde::Serialize;

use super::{config::Config, host_view::Host};
use crate::attach::SignalState;

/// All on.
const ALL_ON: u8 = 0;
/// Some off.
const SOME_OFF: u8 = 1;
/// None on.
const NONE_ON: u8 = 2;

/// What is printed. The form of `--json`, which other programs read.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    kernel: String,
    cgroup_mode: String,
    task_hierarchy: Option<String>,
    signals: Vec<SignalReport>,
    programs: Vec<ProgramReport>,
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
#[must_use]
#[expect(clippy::print_stdout, reason = "this command's output")]
pub fn doctor(config: &Config, json: bool) -> ExitCode {
    let report = examine(config);
    let on = report.signals.iter().filter(|signal| signal.on).count();
    if json {
        // Strings and booleans cannot fail to serialize.
        println!(
            "{}",
            serde_json::to_string_pretty(&report).unwrap_or_default()
        );
    } else {
        print!("{}", in_words(&report));
    }
    ExitCode::from(match on {
        0 => NONE_ON,
        on if on == report.signals.len() => ALL_ON,
        _ => SOME_OFF,
    })
}

fn examine(config: &Config) -> Report {
    let host = Host::probe(config);
    let (signals, programs) = host.try_attach(config);
    Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: host.support.release.clone(),
        cgroup_mode: host.mode_in_words(),
        task_hierarchy: host.task_hierarchy_in_words(),
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
    }
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
        String::new(),
    ];
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
    lines.join("\n") + "\n"
}
