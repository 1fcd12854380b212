//! What the kernel says of a loaded program: `/proc/self/fdinfo` of its file descriptor.

use std::collections::HashMap;

/// What the kernel counts of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramCounters {
    /// How often it ran, and how long, ns; counted only while `kernel.bpf_stats_enabled` is on.
    pub runs: u64,
    /// Time spent in it, ns.
    pub run_time_ns: u64,
    /// How often it was not run because it was running on that CPU already (since 5.12, commit
    /// 9ed9e9ba2337).
    pub misses: u64,
}

/// Reads the counters of a program of ours.
#[must_use]
pub fn read_program_counters(fd: i32) -> Option<ProgramCounters> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    Some(ProgramCounters::parse(&text))
}

/// Whether the kernel measures its programs.
#[must_use]
pub fn are_programs_measured() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|on| on.trim() == "1")
}

impl ProgramCounters {
    /// Reads the lines of the file, of which others pass. What is not there is 0.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let fields: HashMap<&str, u64> = text
            .lines()
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name, value.trim().parse().ok()?))
            })
            .collect();
        let field = |name| fields.get(name).copied().unwrap_or(0);
        Self {
            runs: field("run_cnt"),
            run_time_ns: field("run_time_ns"),
            misses: field("recursion_misses"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_among_other_lines() {
        let text = "pos:\t0\nprog_tag:\t80990867de7cb73d\nrun_time_ns:\t120\nrun_cnt:\t3\n\
                    recursion_misses:\t1\n";
        assert_eq!(
            ProgramCounters::parse(text),
            ProgramCounters {
                runs: 3,
                run_time_ns: 120,
                misses: 1
            }
        );
        assert_eq!(
            ProgramCounters::parse("pos: 0\n"),
            ProgramCounters::default()
        );
    }
}
