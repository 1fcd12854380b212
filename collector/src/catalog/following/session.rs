//! One runtime that answers, followed until it does not.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Audience, Tally};
use crate::catalog::{
    ContainerRef, Informant, News, RuntimeContainer,
    runtimes::{Call, CallError, EventStream, Listed, RuntimeClient, RuntimeEvent},
};

/// One runtime that answers.
#[expect(missing_debug_implementations, reason = "who is told is not for show")]
pub struct Session<'a> {
    /// It.
    pub client: Arc<dyn RuntimeClient>,
    /// As whom it tells.
    pub informant: Informant,
    /// Who is told.
    pub audience: &'a dyn Audience,
    /// Counts the calls.
    pub tally: &'a Tally,
    /// Questions about single containers.
    pub asks: &'a mut mpsc::Receiver<ContainerRef>,
    /// How often what is done.
    pub times: SessionTimes,
}

/// How often what is done.
#[derive(Clone, Copy, Debug)]
pub struct SessionTimes {
    /// Everything is asked for, of a runtime that tells what happens.
    pub relist: Duration,
    /// Everything is asked for, of one that does not.
    pub poll: Duration,
    /// How long after an event a container is looked at: the events of a start come together.
    pub settle: Duration,
}

impl SessionTimes {
    /// With windows of `interval`.
    #[must_use]
    pub fn of_interval(interval: Duration) -> Self {
        Self {
            relist: super::RELIST,
            poll: interval,
            settle: Duration::from_millis(50),
        }
    }
}

/// The longest that a list which failed is waited for until the next.
const MAX_RELIST: Duration = Duration::from_mins(10);

/// Between two lists at least, when more happens than can be looked at.
const LIST_AGAIN: Duration = Duration::from_secs(5);

/// Containers that wait to be looked at. When there are more, everything is asked for instead.
const MAX_QUEUE: usize = 4_096;

/// Looks at single containers at the same time.
const MAX_LOOKS: usize = 4;

/// What came of a call.
enum Done {
    Listed(Result<Listed, CallError>),
    Looked(
        ContainerRef,
        Box<Result<Option<RuntimeContainer>, CallError>>,
    ),
}

/// What is under way.
#[derive(Default)]
struct Work {
    calls: JoinSet<Done>,
    looks: usize,
    is_listing: bool,
    /// Of which events came since the list that is under way was asked for.
    newer: HashSet<ContainerRef>,
    /// To be looked at, and from when on; the earliest first.
    queue: VecDeque<(Instant, ContainerRef)>,
    queued: HashSet<ContainerRef>,
    /// Those that are being looked at, and whether something happened to them meanwhile.
    looked_at: HashMap<ContainerRef, bool>,
}

impl Session<'_> {
    /// Follows it until it fails. Why it did.
    pub async fn run(self) -> CallError {
        self.tally.count(Call::Events);
        let mut events = match self.client.events().await {
            Ok(events) => events,
            Err(error) => return error,
        };
        let every = if events.is_some() {
            self.times.relist
        } else {
            self.times.poll
        };
        let mut work = Work::default();
        let mut failures = 0;
        let mut next_list = Instant::now();
        let mut listed = next_list;
        loop {
            if Instant::now() >= next_list && !work.is_listing {
                self.list(&mut work);
                listed = Instant::now();
                next_list = listed + every;
            }
            self.look(&mut work);
            let next_look = work.queue.front().filter(|_| work.looks < MAX_LOOKS);
            let next_look = next_look.map(|(at, _)| *at);
            let next_list_at = (!work.is_listing).then_some(next_list);
            let wake = next_look.into_iter().chain(next_list_at).min();
            tokio::select! {
                event = next_event(&mut events) => match event {
                    Ok(event) => {
                        if !self.take_event(event, &mut work) {
                            next_list = next_list.min(listed + LIST_AGAIN);
                        }
                    }
                    Err(error) => return error,
                },
                Some(done) = work.calls.join_next(), if !work.calls.is_empty() => match done {
                    Ok(Done::Listed(listed)) => {
                        work.is_listing = false;
                        let newer = std::mem::take(&mut work.newer);
                        match self.take_list(listed, newer) {
                            Ok(()) => failures = 0,
                            Err(error) if is_over(&error) => return error,
                            Err(_) => {
                                failures = (failures + 1).min(10);
                                next_list = Instant::now() + (every * (1 << failures)).min(MAX_RELIST);
                            }
                        }
                    }
                    Ok(Done::Looked(of, looked)) => {
                        work.looks -= 1;
                        let is_outdated = work.looked_at.remove(&of).unwrap_or(false);
                        if is_outdated && looked.is_ok() {
                            work.enqueue(of, Instant::now());
                        } else if let Err(error) = self.take_look(&of, *looked)
                            && is_over(&error)
                        {
                            return error;
                        }
                    }
                    // A call that panicked: as one whose answer is not understood.
                    Err(error) => return CallError::Malformed {
                        address: format!("{:?}", self.client.runtime()),
                        call: "a call".to_owned(),
                        reason: error.to_string(),
                    },
                },
                Some(of) = self.asks.recv() => {
                    work.enqueue(of, Instant::now());
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// Counts an error, but for one that ends the session: that is counted by who is told why it ended.
    fn count(&self, error: &CallError) {
        if !is_over(error) {
            self.tally.fail(error);
        }
    }

    fn list(&self, work: &mut Work) {
        self.tally.count(Call::List);
        let client = Arc::clone(&self.client);
        work.is_listing = true;
        work.newer.clear();
        work.calls
            .spawn(async move { Done::Listed(client.list().await) });
    }

    /// Looks at containers whose time has come.
    fn look(&self, work: &mut Work) {
        while work.looks < MAX_LOOKS
            && work
                .queue
                .front()
                .is_some_and(|(at, _)| *at <= Instant::now())
            && let Some((_, of)) = work.queue.pop_front()
        {
            work.queued.remove(&of);
            self.tally.count(Call::Inspect);
            let client = Arc::clone(&self.client);
            work.looks += 1;
            work.looked_at.insert(of.clone(), false);
            work.calls.spawn(async move {
                let looked = client.inspect(&of).await;
                Done::Looked(of, Box::new(looked))
            });
        }
    }

    /// Passes an event on. Whether everything it calls for could be noted.
    fn take_event(&self, event: RuntimeEvent, work: &mut Work) -> bool {
        let of = match &event {
            RuntimeEvent::Changed { of, .. }
            | RuntimeEvent::Exited { of, .. }
            | RuntimeEvent::Removed { of } => of.clone(),
        };
        if let Some(is_outdated) = work.looked_at.get_mut(&of) {
            *is_outdated = true;
        }
        if work.is_listing && work.newer.len() < MAX_QUEUE {
            work.newer.insert(of.clone().key());
        }
        match event {
            RuntimeEvent::Changed { of, told } => {
                if let Some(told) = told {
                    let news = News::Told {
                        of: told,
                        is_whole: false,
                    };
                    self.audience.tell(self.informant, news);
                }
                return work.enqueue(of, Instant::now() + self.times.settle);
            }
            RuntimeEvent::Exited { of, code, at } => {
                let look_at = of.clone();
                self.audience
                    .tell(self.informant, News::Exited { of, code, at });
                // The event's own time is of the telling; when it ended is told by a look.
                return work.enqueue(look_at, Instant::now() + self.times.settle);
            }
            RuntimeEvent::Removed { of } => {
                self.audience.tell(self.informant, News::Removed { of });
            }
        }
        true
    }

    fn take_list(
        &self,
        listed: Result<Listed, CallError>,
        newer: HashSet<ContainerRef>,
    ) -> Result<(), CallError> {
        let Listed {
            containers,
            left_out,
        } = listed.inspect_err(|error| self.count(error))?;
        self.tally.leave_out(left_out);
        let news = News::All { containers, newer };
        self.audience.tell(self.informant, news);
        Ok(())
    }

    fn take_look(
        &self,
        of: &ContainerRef,
        looked: Result<Option<RuntimeContainer>, CallError>,
    ) -> Result<(), CallError> {
        let looked = looked.inspect_err(|error| self.count(error))?;
        // It can be gone since, which an event tells, or never have been its own.
        let Some(told) = looked else {
            tracing::debug!(id = of.id, "a runtime does not know a container");
            return Ok(());
        };
        let news = News::Told {
            of: Box::new(told),
            is_whole: true,
        };
        self.audience.tell(self.informant, news);
        Ok(())
    }
}

impl Work {
    /// Notes that a container is to be looked at. Whether there was room.
    fn enqueue(&mut self, of: ContainerRef, at: Instant) -> bool {
        if self.queued.contains(&of) {
            return true;
        }
        let has_room = self.queue.len() < MAX_QUEUE;
        if has_room {
            let before = self.queue.partition_point(|(other, _)| *other <= at);
            self.queue.insert(before, (at, of.clone()));
            self.queued.insert(of);
        }
        has_room
    }
}

/// Whether after this error nothing more can be expected of the connection.
const fn is_over(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Unreachable { .. } | CallError::Timeout { .. } | CallError::Ended { .. }
    )
}

/// The next event; never, of a runtime that tells none.
async fn next_event(events: &mut Option<Box<dyn EventStream>>) -> Result<RuntimeEvent, CallError> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}
