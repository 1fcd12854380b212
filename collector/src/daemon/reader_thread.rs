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

/// So long cgroups are read before anything else is looked after. On a host with more of them than can be
/// read in time, what is compared, told and counted still is.
const TIME_PER_PASS: Duration = Duration::from_millis(100);

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
        let mut all_told = None;
        while !self.state.is_stopping() {
            if all_told.is_none() && self.state.is_told_of_all() {
                all_told = Some(Ktime::now());
            }
            self.read_due();
            // Of all that was told of by then the first reading was due by then.
            if let Some(told) = all_told
                && self.state.readings.next_at().is_none_or(|next| next > told)
            {
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

    /// Reads those whose turn it is, those first that have waited longest.
    fn read_due(&mut self) {
        let plan = self.plan;
        let began = Instant::now();
        while !self.state.is_stopping()
            && began.elapsed() < TIME_PER_PASS
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
