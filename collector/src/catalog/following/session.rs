//! One runtime that answers, followed until it does not.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use opentelemetry::KeyValue;

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Audience, RetryPolicy, Tally,
    listed::ListedWork,
    looks::{Due, Looks, MAX_QUEUE, Origin, forgotten},
    objects,
};
use crate::{
    catalog::{
        ContainerRef, Informant, News, RuntimeContainer,
        runtimes::{Call, CallError, EventStream, Listed, RuntimeClient, RuntimeEvent},
    },
    trace::own::{
        Action, Beginning, LoopTracer, Object, Processing, Step, Steps,
        names::{key, span},
    },
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
    /// How often a look that failed is tried again.
    pub retries: RetryPolicy,
    /// Who traces what is done.
    pub tracer: LoopTracer,
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

    /// As it is on the root spans of the loop, its configuration.
    #[must_use]
    pub fn attributes(&self, retries: &RetryPolicy) -> Vec<KeyValue> {
        let Self {
            relist,
            poll,
            settle,
        } = self;
        let RetryPolicy { most, delays } = retries;
        let workers = i64::try_from(MAX_LOOKS).unwrap_or(i64::MAX);
        vec![
            KeyValue::new(key::CONTROLLER_RELIST, relist.as_secs_f64()),
            KeyValue::new(key::CONTROLLER_POLL, poll.as_secs_f64()),
            KeyValue::new(key::CONTROLLER_SETTLE, settle.as_secs_f64()),
            KeyValue::new(key::CONTROLLER_WORKERS, workers),
            KeyValue::new(key::CONTROLLER_MAX_RETRIES, i64::from(*most)),
            KeyValue::new(key::CONTROLLER_RETRY_DELAY, delays.first.as_secs_f64()),
        ]
    }
}

/// The longest that a list which failed is waited for until the next.
const MAX_RELIST: Duration = Duration::from_mins(10);

/// Between two lists at least, when more happens than can be looked at.
const LIST_AGAIN: Duration = Duration::from_secs(5);

/// Looks at single containers at the same time.
const MAX_LOOKS: usize = 4;

/// What came of a call.
enum Done {
    Listed(Result<Listed, CallError>),
    Looked(Box<Looked>),
}

/// What came of a look.
struct Looked {
    due: Due,
    answer: Result<Option<RuntimeContainer>, CallError>,
    processing: Processing,
    step: Step,
}

/// What is under way.
struct Work {
    calls: JoinSet<Done>,
    looking: usize,
    is_listing: bool,
    /// Of which events came since the list that is under way was asked for.
    newer: HashSet<ContainerRef>,
    /// Whom to look at.
    looks: Looks,
    /// Those that are being looked at, and what happened to them meanwhile.
    looked_at: HashMap<ContainerRef, Meanwhile>,
}

/// What happened to a container while it was looked at, the last that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// What the look tells is so.
    Nothing,
    /// It may be so no more.
    Changed,
    /// It is over: an event told so, which is all there is to tell.
    Removed,
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
        let mut work = Work {
            calls: JoinSet::new(),
            looking: 0,
            is_listing: false,
            newer: HashSet::new(),
            looks: Looks::new(self.retries),
            looked_at: HashMap::new(),
        };
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
            let next_look = work.looks.next().filter(|_| work.looking < MAX_LOOKS);
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
                        match self.take_list(listed, newer, &mut work) {
                            Ok(()) => failures = 0,
                            Err(error) if is_over(&error) => return error,
                            Err(_) => {
                                failures = (failures + 1).min(10);
                                next_list = Instant::now() + (every * (1 << failures)).min(MAX_RELIST);
                            }
                        }
                    }
                    Ok(Done::Looked(looked)) => {
                        if let Err(error) = self.take_look(*looked, &mut work) {
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
                    work.looks.add(of, Origin::Question, Instant::now());
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
        while work.looking < MAX_LOOKS
            && let Some(due) = work.looks.take(Instant::now())
        {
            self.tally.count(Call::Inspect);
            let client = Arc::clone(&self.client);
            work.looking += 1;
            work.looked_at.insert(due.of.clone(), Meanwhile::Nothing);
            let beginning = Beginning {
                failures: due.failures,
                ..Beginning::now(due.origin.name())
            };
            let processing = self.tracer.begin(beginning, || self.object(&due.of));
            let step = processing.step(Action::AddUpdate);
            work.calls.spawn(async move {
                let call = step.call(span::INSPECT);
                let answer = client.inspect(&due.of).await;
                if let Err(error) = &answer {
                    call.fail(error.name(), error);
                }
                drop(call);
                Done::Looked(Box::new(Looked {
                    due,
                    answer,
                    processing,
                    step,
                }))
            });
        }
    }

    /// Passes an event on. Whether everything it calls for could be noted.
    fn take_event(&self, event: RuntimeEvent, work: &mut Work) -> bool {
        let of = event.of().clone();
        if let Some(meanwhile) = work.looked_at.get_mut(&of) {
            *meanwhile = match event {
                RuntimeEvent::Removed { .. } => Meanwhile::Removed,
                RuntimeEvent::Changed { .. } | RuntimeEvent::Exited { .. } => Meanwhile::Changed,
            };
        }
        if work.is_listing && work.newer.len() < MAX_QUEUE {
            work.newer.insert(of.clone().key());
        }
        match event {
            RuntimeEvent::Changed { of, told } => {
                // For one that is gone before its turn; it is processed when that comes.
                if let Some(told) = told {
                    let news = News::Told {
                        of: told,
                        is_whole: false,
                    };
                    self.audience.tell(self.informant, news, Steps::None);
                }
                let at = Instant::now() + self.times.settle;
                return work.looks.add(of, Origin::Event, at);
            }
            RuntimeEvent::Exited { of, code, at } => {
                let look_at = of.clone();
                let processing = self.begin_event(&of);
                let step = processing.step(Action::AddUpdate);
                let news = News::Exited { of, code, at };
                self.audience.tell(self.informant, news, Steps::one(&step));
                drop(step);
                processing.succeed();
                // The event's own time is of the telling; when it ended is told by a look.
                let at = Instant::now() + self.times.settle;
                return work.looks.add(look_at, Origin::Event, at);
            }
            RuntimeEvent::Removed { of } => {
                work.looks.gone(&of);
                let processing = self.begin_event(&of);
                let step = processing.step(Action::Delete);
                let news = News::Removed { of };
                self.audience.tell(self.informant, news, Steps::one(&step));
                drop(step);
                processing.succeed();
            }
        }
        true
    }

    fn take_list(
        &self,
        listed: Result<Listed, CallError>,
        newer: HashSet<ContainerRef>,
        work: &mut Work,
    ) -> Result<(), CallError> {
        let Listed {
            containers,
            left_out,
        } = listed.inspect_err(|error| self.count(error))?;
        self.tally.leave_out(left_out);
        if work.looks.has_failures() {
            let there: HashSet<_> = containers.iter().map(RuntimeContainer::key).collect();
            let may_be_there = |key: ContainerRef| there.contains(&key) || newer.contains(&key);
            work.looks.keep(|of| may_be_there(of.clone().key()));
        }
        let listed = ListedWork::begin(&self.tracer, self.informant, &containers, &newer);
        let news = News::All { containers, newer };
        let gone = self.audience.tell(self.informant, news, listed.steps());
        listed.end(&self.tracer, &gone);
        Ok(())
    }

    /// Passes on what a look told. Why nothing more can be expected of the runtime, if it is so.
    fn take_look(&self, looked: Looked, work: &mut Work) -> Result<(), CallError> {
        let Looked {
            due,
            answer,
            mut processing,
            step,
        } = looked;
        work.looking -= 1;
        let meanwhile = work.looked_at.remove(&due.of);
        let is_gone = meanwhile == Some(Meanwhile::Removed);
        let told = match answer {
            Ok(told) => told,
            Err(error) if is_over(&error) => {
                step.fail(error.name(), &error);
                drop(step);
                processing.fail(error.name(), &error, None);
                return Err(error);
            }
            Err(error) => {
                self.tally.fail(&error);
                step.fail(error.name(), &error);
                drop(step);
                let id = due.of.id.clone();
                let forgotten = if is_gone {
                    Some(forgotten::GONE)
                } else if may_differ(&error) {
                    work.looks.failed(due, Instant::now())
                } else {
                    Some(work.looks.failed_for_good(&due.of))
                };
                if let Some(why) = forgotten {
                    tracing::debug!(id, "not looked at again: {why}: {error}");
                }
                processing.fail(error.name(), &error, forgotten);
                return Ok(());
            }
        };
        work.looks.succeeded(&due.of);
        if matches!(meanwhile, Some(Meanwhile::Changed | Meanwhile::Removed)) {
            if !is_gone {
                work.looks.add(due.of, Origin::Event, Instant::now());
            }
            drop(step);
            processing.outdated();
            processing.succeed();
            return Ok(());
        }
        step.say(|| KeyValue::new(key::OBJECT_FOUND, told.is_some()));
        if let Some(told) = told {
            processing.known_as(|| objects::object_name(&told.names));
            let news = News::Told {
                of: Box::new(told),
                is_whole: true,
            };
            self.audience.tell(self.informant, news, Steps::one(&step));
        } else {
            // It can be gone since, which an event tells, or never have been its own.
            tracing::debug!(id = due.of.id, "a runtime does not know a container");
        }
        drop(step);
        processing.succeed();
        Ok(())
    }

    /// The processing of what an event tells begins.
    fn begin_event(&self, of: &ContainerRef) -> Processing {
        let beginning = Beginning::now(Origin::Event.name());
        self.tracer.begin(beginning, || self.object(of))
    }

    /// Who a container is, for its spans.
    fn object(&self, of: &ContainerRef) -> Object {
        let names = self.audience.names_of(&self.informant.key_of(of));
        objects::object(of, names.as_ref())
    }
}

/// Whether after this error nothing more can be expected of the connection.
const fn is_over(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Unreachable { .. } | CallError::Timeout { .. } | CallError::Ended { .. }
    )
}

/// Whether another try may be answered otherwise: an answer that is too long stays so.
const fn may_differ(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Refused { .. } | CallError::Malformed { .. }
    )
}

/// The next event; never, of a runtime that tells none.
async fn next_event(events: &mut Option<Box<dyn EventStream>>) -> Result<RuntimeEvent, CallError> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}
