//! What runtimes tell of containers one by one, kept for as long as it is known to hold.
//!
//! In: a list without details, and how to ask for one container's. Out: the list with them. Never here: a
//! call for what is known; more than a few calls at once.
//!
//! Lists lack PIDs, times or restarts, and to ask for each container in each listing would cost the
//! runtime a call for each. So details are kept while a stream of events tells when they change, and for
//! no longer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use super::{CallError, Listed};
use crate::catalog::{RuntimeContainer, RuntimeState};

/// How many containers are asked for at once.
const CALLS_AT_ONCE: usize = 4;

/// A runtime that tells of containers one by one.
pub(super) trait TellsDetails: Send + Sync + 'static {
    /// What is kept of them.
    fn details(&self) -> &Details;

    /// Asks the runtime for one; `None` when it has none of that id.
    fn ask(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<Option<RuntimeContainer>, CallError>> + Send;
}

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Details(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Which stream tells of changes; none when it has ended.
    stream: Option<u64>,
    streams: u64,
    asked: u64,
    containers: HashMap<String, Knowledge>,
}

#[derive(Debug)]
enum Knowledge {
    /// It is asked for now. What comes counts only if nothing has happened meanwhile.
    Asked(u64),
    Told(Box<RuntimeContainer>),
}

impl Details {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a stream tells of changes; what was told before does not count any more.
    pub(super) fn begin_stream(&self) -> u64 {
        let mut kept = self.kept();
        kept.streams += 1;
        kept.stream = Some(kept.streams);
        kept.containers = HashMap::new();
        kept.streams
    }

    /// That stream has ended.
    pub(super) fn end_stream(&self, stream: u64) {
        let mut kept = self.kept();
        if kept.stream == Some(stream) {
            kept.stream = None;
            kept.containers = HashMap::new();
        }
    }

    /// Something happened to a container.
    pub(super) fn changed(&self, id: &str) {
        self.kept().containers.remove(id);
    }

    fn will_ask(&self, id: &str) -> u64 {
        let mut kept = self.kept();
        kept.asked += 1;
        let ticket = kept.asked;
        if kept.stream.is_some() {
            kept.containers
                .insert(id.to_owned(), Knowledge::Asked(ticket));
        }
        ticket
    }

    fn was_told(&self, id: &str, ticket: u64, told: Option<&RuntimeContainer>) {
        let mut kept = self.kept();
        let is_current = matches!(
            kept.containers.get(id),
            Some(Knowledge::Asked(asked)) if *asked == ticket
        );
        match told {
            Some(told) if is_current => {
                let told = Knowledge::Told(Box::new(told.clone()));
                kept.containers.insert(id.to_owned(), told);
            }
            None if is_current => drop(kept.containers.remove(id)),
            _ => {}
        }
    }

    /// Puts what is known into a list, and forgets who is not in it. Who is still to be asked for: the
    /// place in the list and the id, those that run first.
    fn put_into(&self, listed: &mut Listed) -> Vec<(usize, String)> {
        let mut kept = self.kept();
        let mut before = std::mem::take(&mut kept.containers);
        let mut wanted = Vec::new();
        for (place, container) in listed.containers.iter_mut().enumerate() {
            match before.remove(&container.id) {
                Some(Knowledge::Told(told)) if still_holds(&told, container) => {
                    container.clone_from(&told);
                    kept.containers
                        .insert(container.id.clone(), Knowledge::Told(told));
                }
                _ => wanted.push((place, container.id.clone())),
            }
        }
        drop(kept);
        wanted.sort_by_key(|(place, _)| match listed.containers[*place].state {
            RuntimeState::Running => 0,
            RuntimeState::Paused => 1,
            _ => 2,
        });
        wanted
    }
}

/// Whether what was told of a container is not belied by a newer list.
fn still_holds(told: &RuntimeContainer, listed: &RuntimeContainer) -> bool {
    told.state == listed.state && (listed.pid.is_none() || listed.pid == told.pid)
}

/// Asks for one, and keeps what is told.
pub(super) async fn inspect<R: TellsDetails>(
    runtime: &R,
    id: &str,
) -> Result<Option<RuntimeContainer>, CallError> {
    let ticket = runtime.details().will_ask(id);
    let told = runtime.ask(id).await;
    let container = told.as_ref().ok().and_then(Option::as_ref);
    runtime.details().was_told(id, ticket, container);
    told
}

/// Puts what is told of each container into a list of them, as far as there is time for it: who has no
/// details now is asked for again with the next list.
pub(super) async fn add_details<R: TellsDetails>(
    runtime: &Arc<R>,
    listed: &mut Listed,
    limit: Duration,
) {
    let mut wanted = runtime.details().put_into(listed).into_iter();
    let mut calls = JoinSet::new();
    let ask_all = async {
        loop {
            while calls.len() < CALLS_AT_ONCE
                && let Some((place, id)) = wanted.next()
            {
                let runtime = Arc::clone(runtime);
                calls.spawn(async move { (place, inspect(&*runtime, &id).await) });
            }
            let Some(Ok((place, told))) = calls.join_next().await else {
                return;
            };
            let of = &mut listed.containers[place];
            match told {
                Ok(Some(told)) if told.id == of.id => *of = told,
                // It is gone, or cannot be read: what the list tells of it stays.
                Ok(_)
                | Err(
                    CallError::Refused { .. }
                    | CallError::Malformed { .. }
                    | CallError::TooLarge { .. },
                ) => {}
                // The runtime does not answer: the others would each wait too.
                Err(
                    CallError::Unreachable { .. }
                    | CallError::Timeout { .. }
                    | CallError::Ended { .. },
                ) => return,
            }
        }
    };
    // Those that are asked for still are ended with `calls`.
    let _in_time = timeout(limit, ask_all).await;
}
