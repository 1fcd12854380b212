//! What a virtual machine dies of.
//!
//! In: lines that its kernel writes. Out: whether one is about its end, and whose fault that is.

/// Why a machine is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fatal {
    pub(crate) why: String,
    pub(crate) cause: Cause,
}

/// What a machine can die of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its host, which stood still for too long or could not make it: another boot tells what it does otherwise.
    Host,
    /// Its kernel, and maybe our programs in it.
    Kernel,
}

/// The kernel's ways to say that something takes too long. When it is told to, it panics then, and says so again.
const STALLS: [&str; 9] = [
    "soft lockup",
    "softlockup:",
    "hard LOCKUP",
    "Hard LOCKUP",
    "detected stall",
    "RCU Stall",
    "blocked for more than",
    "hung_task:",
    // Of the IO-APIC: its check counts interrupts in a loop of set length.
    "timer doesn't work",
];

/// The kernel's ways to say that it dies. One that stalled says so too, of its stall.
const FAULTS: [&str; 2] = ["Kernel panic", "Oops:"];

/// That a machine did not come to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) why: String,
    pub(crate) cause: Cause,
    /// What it said last.
    pub(crate) last_lines: Vec<String>,
}

impl Fatal {
    /// What the kernel says of its end, if it does.
    pub(super) fn told(line: &str) -> Option<Self> {
        let sign_of =
            |signs: &[&'static str]| signs.iter().find(|sign| line.contains(**sign)).copied();
        let stall = sign_of(&STALLS).map(|sign| (sign, Cause::Host));
        let (sign, cause) = stall.or_else(|| Some((sign_of(&FAULTS)?, Cause::Kernel)))?;
        Some(Self {
            why: format!("{sign}: {}", line.trim_start()),
            cause,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::console::Console;

    fn console(text: &str) -> Console {
        let mut console = Console::default();
        text.lines().for_each(|line| console.line(line));
        console
    }

    fn cause(said: &str) -> Option<Cause> {
        console(said).fatal.map(|fatal| fatal.cause)
    }

    #[test]
    fn a_kernel_that_stalls_dies_of_its_host() {
        for said in [
            "watchdog: BUG: soft lockup - CPU#0 stuck for 91s! [kernel:123]\n\
             Kernel panic - not syncing: softlockup: hung tasks",
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0\nKernel panic - not syncing: Hard LOCKUP",
            "rcu: INFO: rcu_preempt self-detected stall on CPU\nKernel panic - not syncing: RCU Stall",
            "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:\nKernel panic - not syncing: RCU Stall",
            "INFO: task jbd2/vda-8:94 blocked for more than 120 seconds.\n\
             Kernel panic - not syncing: hung_task: blocked tasks",
            "Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug",
            "vm: broken: mount -t ext4 /dev/vda /var/tmp",
        ] {
            assert_eq!(cause(said), Some(Cause::Host), "{said}");
        }
    }

    #[test]
    fn a_kernel_that_fails_before_anything_runs_does_not_fail_of_what_is_tested() {
        assert_eq!(cause("Oops: int3: 0000 [#1] SMP"), Some(Cause::Host));
    }

    #[test]
    fn a_kernel_that_fails_dies_of_itself_before_and_behind_a_stall_too() {
        let stall = "watchdog: BUG: soft lockup - CPU#0 stuck for 91s!";
        for fault in [
            "Oops: 0002 [#1] PREEMPT SMP NOPTI",
            "Oops: int3: 0000 [#1] SMP",
            "Kernel panic - not syncing: Fatal exception in interrupt",
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
        ] {
            for said in [
                fault.to_owned(),
                format!("{fault}\n{stall}"),
                format!("{stall}\n{fault}"),
            ] {
                let said = format!("vm: begin kernel\n{said}");
                assert_eq!(cause(&said), Some(Cause::Kernel), "{said}");
            }
        }
    }
}
