//! Reads every cgroup's files once in an interval, spread over it.

use std::time::{Duration, Instant};

use super::{
    cgroup_files::{CgroupFiles, ReadPlan},
    comparison::Comparison,
    state::{State, Teller},
};
use crate::{host::clock::Ktime, reconcile::readings::Why};

/// The thread looks up at least this often, in case there is something else to do.
const LOOK_UP: Duration = Duration::from_millis(500);

/// How often what went wrong is told.
const TELL: Duration = Duration::from_secs(1);

/// What the thread is given.
#[derive(Debug)]
pub struct ReaderThread<'a> {
    /// What it reads with.
    pub files: CgroupFiles,
    /// What it reads.
    pub plan: ReadPlan,
    /// What it compares.
    pub comparison: Comparison,
    /// What it shares.
    pub state: &'a State,
}

impl ReaderThread<'_> {
    /// Works until the daemon stops.
    pub fn run(mut self) {
        let mut told = Instant::now();
        while !self.state.is_stopping() {
            // In this order: what was told of before now is due by now.
            let all_told = self.state.is_told_of_all();
            self.read_due();
            if all_told {
                self.state.set_ready();
            }
            self.comparison
                .go_on(self.plan, &mut self.files, self.state);
            if told.elapsed() >= TELL {
                told = Instant::now();
                self.state.tell_errors(Teller::Reader, self.files.errors());
            }
            self.state.readings.wait(Ktime(Ktime::now().0 + LOOK_UP));
        }
    }

    /// Reads all whose turn it is.
    fn read_due(&mut self) {
        let plan = self.plan;
        while !self.state.is_stopping()
            && let Ok(due) = self.state.readings.next_due(Ktime::now())
        {
            match due.why {
                Why::Turn => self
                    .files
                    .read(&due, |turns, rests| plan.of_turn(turns, rests)),
                Why::Settled | Why::Compared => {
                    let last = due.entry.last_wanted();
                    self.files.read(&due, |_, _| Some(last))
                }
            };
            self.state.readings.taken(&due, Ktime::now());
        }
    }
}
