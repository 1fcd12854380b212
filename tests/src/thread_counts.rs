//! What the kernel itself counts of a thread: the ground truth for the scheduler.

use std::{fs, process::Child, time::Duration};

use nix::{
    sys::wait::{Id, WaitPidFlag, waitid},
    unistd::Pid,
};

/// What the kernel counts of a thread, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadCounts {
    /// Time on a CPU, ns (`schedstat`, first field).
    pub run_ns: u64,
    /// Time on a run queue, ns (second field).
    pub wait_ns: u64,
    /// How often it got a CPU (third field).
    pub arrivals: u64,
    /// `voluntary_ctxt_switches`.
    pub voluntary: u64,
    /// `nonvoluntary_ctxt_switches`.
    pub involuntary: u64,
}

/// Reads the calling thread's.
#[must_use]
pub fn read_own_thread() -> ThreadCounts {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let mut fields = schedstat
        .split_whitespace()
        .map(|field| field.parse().expect("a number"));
    let status = fs::read_to_string("/proc/thread-self/status").expect("status");
    let line = |name: &str| {
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(':')?
                    .trim()
                    .parse()
                    .ok()
            })
            .expect("a counter of switches")
    };
    let mut next = || fields.next().expect("three fields");
    ThreadCounts {
        run_ns: next(),
        wait_ns: next(),
        arrivals: next(),
        voluntary: line("voluntary_ctxt_switches"),
        involuntary: line("nonvoluntary_ctxt_switches"),
    }
}

/// Waits for the end of a process, and leaves it there. The CPU time of its one thread, its end included.
#[must_use]
pub fn cpu_time_to_the_end(child: &Child) -> Duration {
    let pid = child.id();
    let of = Id::Pid(Pid::from_raw(pid.try_into().expect("a pid")));
    waitid(of, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("a child of ours");
    let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("schedstat");
    let ran = schedstat.split_whitespace().next().expect("three fields");
    Duration::from_nanos(ran.parse().expect("a number"))
}

impl ThreadCounts {
    /// What came since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            run_ns: self.run_ns - before.run_ns,
            wait_ns: self.wait_ns - before.wait_ns,
            arrivals: self.arrivals - before.arrivals,
            voluntary: self.voluntary - before.voluntary,
            involuntary: self.involuntary - before.involuntary,
        }
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: &Self) {
        let Self {
            run_ns,
            wait_ns,
            arrivals,
            voluntary,
            involuntary,
        } = other;
        self.run_ns += run_ns;
        self.wait_ns += wait_ns;
        self.arrivals += arrivals;
        self.voluntary += voluntary;
        self.involuntary += involuntary;
    }

    /// As one line.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let Self {
            run_ns,
            wait_ns,
            arrivals,
            voluntary,
            involuntary,
        } = self;
        serde_json::json!({
            "run_ns": run_ns, "wait_ns": wait_ns, "arrivals": arrivals,
            "voluntary": voluntary, "involuntary": involuntary,
        })
    }

    /// From such a line.
    #[must_use]
    pub fn from_json(line: &str) -> Self {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let field = |name: &str| value[name].as_u64().expect("a number");
        Self {
            run_ns: field("run_ns"),
            wait_ns: field("wait_ns"),
            arrivals: field("arrivals"),
            voluntary: field("voluntary"),
            involuntary: field("involuntary"),
        }
    }
}
