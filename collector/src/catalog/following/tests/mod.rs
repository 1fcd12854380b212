//! Sessions with a runtime that does what a test says.

mod retries;

mod traces;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::mpsc, time::sleep};

use super::{Audience, RetryPolicy, Session, SessionTimes, Tally, Unnamed};
use crate::{
    catalog::{
        ContainerRef, Informant, Names, News, Runtime, RuntimeContainer,
        provider::retry::Delays,
        runtimes::{
            CallError, Endpoint, EventStream, Listed, Protocol, RuntimeClient, RuntimeEvent,
        },
    },
    trace::own::{LoopTracer, Steps, names::span},
};

const INFORMANT: Informant = Informant {
    rank: 0,
    number: 0,
    user: None,
};
const TIMES: SessionTimes = SessionTimes {
    relist: Duration::from_mins(1),
    poll: Duration::from_secs(10),
    settle: Duration::from_millis(50),
};

const RETRIES: RetryPolicy = RetryPolicy {
    most: 2,
    delays: Delays {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
    },
};

/// A runtime that lists and tells what it was given.
#[derive(Debug, Default)]
struct Scripted {
    has: Mutex<HashMap<String, String>>,
    /// What becomes of each list after the other; a list that is not here is good.
    lists: Mutex<VecDeque<ListFate>>,
    /// What becomes of each look at a container after the other.
    looks: Mutex<HashMap<String, VecDeque<LookFate>>>,
    events: Mutex<Option<mpsc::Receiver<RuntimeEvent>>>,
    calls: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
enum ListFate {
    /// What there is at its beginning comes after so long.
    Late(Duration),
    TooLarge,
    Unreachable,
}

#[derive(Clone, Copy, Debug)]
enum LookFate {
    Refused,
    /// The same, after so long.
    RefusedLate(Duration),
    TooLarge,
    TimedOut,
    /// Good, after so long.
    Late(Duration),
}

/// Remembers what it was told.
#[derive(Debug, Default)]
struct Notes {
    told: Mutex<Vec<News>>,
    /// What is known of containers.
    known: Mutex<HashMap<String, Arc<RuntimeContainer>>>,
}

impl Audience for Notes {
    fn tell(
        &self,
        informant: Informant,
        news: News,
        steps: Steps<'_, ContainerRef>,
    ) -> Vec<Arc<RuntimeContainer>> {
        assert_eq!(informant, INFORMANT);
        // As the pipeline does: a span for each that is about it.
        let _telling = steps.children(span::TELL_PIPELINE);
        let mut known = self.known.lock().unwrap();
        let mut gone = Vec::new();
        match &news {
            News::Told { of, .. } => {
                known.insert(of.id.clone(), Arc::new((**of).clone()));
            }
            News::Exited { .. } => {}
            News::Removed { of } => {
                known.remove(&of.id);
            }
            News::All { containers, newer } => {
                let is_there = |id: &String| containers.iter().any(|of| of.id == *id);
                let left = known.extract_if(|id, _| !is_there(id));
                gone = left.map(|(_, of)| of).collect();
                let is_older = |of: &&RuntimeContainer| !newer.contains(&of.key());
                for of in containers.iter().filter(is_older) {
                    known.insert(of.id.clone(), Arc::new(of.clone()));
                }
            }
        }
        drop(known);
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(news);
        gone
    }

    fn names_of(&self, key: &ContainerRef) -> Option<Names> {
        let known = self.known.lock().unwrap();
        known.get(&key.id).map(|of| of.names.clone())
    }

    fn unnamed(&self, _: usize) -> Vec<Unnamed> {
        Vec::new()
    }
}

impl Notes {
    fn in_words(&self) -> Vec<String> {
        let notes = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().map(in_words).collect()
    }
}

fn in_words(news: &News) -> String {
    match news {
        News::Told { of, is_whole } => {
            let how = if *is_whole { "told" } else { "hint" };
            format!("{how} {}={}", of.id, of.names.name)
        }
        News::Exited { of, code, .. } => format!("exited {} {code:?}", of.id),
        News::Removed { of } => format!("removed {}", of.id),
        News::All { containers, newer } => {
            let mut ids: Vec<_> = containers.iter().map(|of| of.id.as_str()).collect();
            ids.sort_unstable();
            let mut newer: Vec<_> = newer.iter().map(|of| of.id.as_str()).collect();
            newer.sort_unstable();
            format!("all {} but {}", ids.join(","), newer.join(","))
        }
    }
}

fn container(id: &str, name: &str) -> RuntimeContainer {
    RuntimeContainer {
        id: id.to_owned(),
        names: Names {
            name: name.to_owned(),
            ..Names::default()
        },
        ..RuntimeContainer::default()
    }
}

fn of(id: &str) -> ContainerRef {
    ContainerRef {
        id_namespace: String::new(),
        id: id.to_owned(),
    }
}

fn changed(id: &str) -> RuntimeEvent {
    RuntimeEvent::Changed {
        of: of(id),
        told: None,
    }
}

impl Scripted {
    fn with(containers: &[(&str, &str)]) -> Self {
        let scripted = Self::default();
        for (id, name) in containers {
            scripted.set(id, Some(name));
        }
        scripted
    }

    fn set(&self, id: &str, name: Option<&str>) {
        let mut has = self.has.lock().unwrap();
        match name {
            Some(name) => has.insert(id.to_owned(), name.to_owned()),
            None => has.remove(id),
        };
    }

    fn call(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn count(&self, call: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|of| *of == call).count()
    }
}

#[async_trait]
impl RuntimeClient for Scripted {
    fn runtime(&self) -> Runtime {
        Runtime::Docker
    }

    fn version(&self) -> &'static str {
        "1"
    }

    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        self.call("events".to_owned());
        let events = self.events.lock().unwrap().take();
        Ok(events.map(|events| Box::new(Events(events)) as Box<dyn EventStream>))
    }

    async fn list(&self) -> Result<Listed, CallError> {
        self.call("list".to_owned());
        let has = self.has.lock().unwrap().clone();
        let fate = self.lists.lock().unwrap().pop_front();
        let address = "test".to_owned();
        match fate {
            Some(ListFate::Late(after)) => sleep(after).await,
            Some(ListFate::TooLarge) => {
                let (call, limit) = ("list".to_owned(), 1);
                return Err(CallError::TooLarge {
                    address,
                    call,
                    limit,
                });
            }
            Some(ListFate::Unreachable) => {
                let source = "gone".into();
                return Err(CallError::Unreachable { address, source });
            }
            None => {}
        }
        Ok(Listed {
            containers: has.iter().map(|(id, name)| container(id, name)).collect(),
            left_out: 2,
        })
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        self.call(format!("inspect {}", of.id));
        let fate = {
            let mut looks = self.looks.lock().unwrap();
            looks.get_mut(&of.id).and_then(VecDeque::pop_front)
        };
        let (address, call) = ("test".to_owned(), "inspect".to_owned());
        if let Some(LookFate::Late(after) | LookFate::RefusedLate(after)) = fate {
            sleep(after).await;
        }
        match fate {
            None | Some(LookFate::Late(_)) => {}
            Some(LookFate::Refused | LookFate::RefusedLate(_)) => {
                let answer = "busy".to_owned();
                return Err(CallError::Refused {
                    address,
                    call,
                    answer,
                });
            }
            Some(LookFate::TooLarge) => {
                let limit = 1;
                return Err(CallError::TooLarge {
                    address,
                    call,
                    limit,
                });
            }
            Some(LookFate::TimedOut) => {
                let limit = Duration::from_secs(10);
                return Err(CallError::Timeout {
                    address,
                    call,
                    limit,
                });
            }
        }
        let has = self.has.lock().unwrap();
        Ok(has.get(&of.id).map(|name| container(&of.id, name)))
    }
}

#[derive(Debug)]
struct Events(mpsc::Receiver<RuntimeEvent>);

#[async_trait]
impl EventStream for Events {
    async fn next(&mut self) -> Result<RuntimeEvent, CallError> {
        let ended = || CallError::Ended {
            address: "test".to_owned(),
        };
        self.0.recv().await.ok_or_else(ended)
    }
}

/// Follows a runtime for a while; what was told, and why it ended, if it did.
async fn follow(
    client: Arc<Scripted>,
    tally: &Tally,
    asks: &[&str],
    time: Duration,
) -> (Vec<String>, Option<&'static str>) {
    follow_traced(client, tally, asks, time, LoopTracer::default()).await
}

/// The same, traced.
async fn follow_traced(
    client: Arc<Scripted>,
    tally: &Tally,
    asks: &[&str],
    time: Duration,
    tracer: LoopTracer,
) -> (Vec<String>, Option<&'static str>) {
    let notes = Notes::default();
    let (sender, mut receiver) = mpsc::channel(8);
    for id in asks {
        sender.try_send(of(id)).unwrap();
    }
    let session = Session {
        client,
        informant: INFORMANT,
        audience: &notes,
        tally,
        asks: &mut receiver,
        times: TIMES,
        retries: RETRIES,
        tracer,
    };
    let ended = tokio::time::timeout(time, session.run()).await.ok();
    (notes.in_words(), ended.map(|error| error.name()))
}

fn with_events(client: &Scripted) -> mpsc::Sender<RuntimeEvent> {
    let (sender, receiver) = mpsc::channel(8);
    *client.events.lock().unwrap() = Some(receiver);
    sender
}

#[tokio::test(start_paused = true)]
async fn events_are_subscribed_to_before_the_list_and_the_list_comes_again_each_minute() {
    let client = Arc::new(Scripted::with(&[("a", "web")]));
    let _sender = with_events(&client);
    let tally = Tally::default();
    let time = Duration::from_secs(125);
    let (notes, ended) = follow(Arc::clone(&client), &tally, &[], time).await;
    assert_eq!((notes, ended), (vec!["all a but ".to_owned(); 3], None));
    assert_eq!(
        *client.calls.lock().unwrap(),
        ["events", "list", "list", "list"]
    );
    assert_eq!(
        tally
            .status(&Endpoint {
                protocol: Protocol::Docker,
                address: String::new(),
            })
            .left_out,
        6
    );
}

#[tokio::test(start_paused = true)]
async fn a_runtime_without_events_is_asked_every_interval() {
    let client = Arc::new(Scripted::with(&[("a", "web")]));
    let time = Duration::from_secs(35);
    let (notes, _) = follow(Arc::clone(&client), &Tally::default(), &[], time).await;
    assert_eq!(notes.len(), 4, "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_start_make_one_look_and_what_an_event_tells_comes_first() {
    let client = Arc::new(Scripted::with(&[]));
    let sender = with_events(&client);
    client.set("new", Some("web"));
    let hint = RuntimeEvent::Changed {
        of: of("new"),
        told: Some(Box::new(container("new", "hinted"))),
    };
    for event in [hint, changed("new"), changed("new")] {
        sender.send(event).await.unwrap();
    }
    sender
        .send(RuntimeEvent::Exited {
            of: of("new"),
            code: Some(3),
            at: None,
        })
        .await
        .unwrap();
    let (notes, _) = follow(
        Arc::clone(&client),
        &Tally::default(),
        &[],
        Duration::from_secs(1),
    )
    .await;
    assert_eq!(client.count("inspect new"), 1);
    let without_list: Vec<_> = notes
        .iter()
        .filter(|note| !note.starts_with("all"))
        .collect();
    assert_eq!(
        without_list,
        ["hint new=hinted", "exited new Some(3)", "told new=web"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_before_or_while_it_is_looked_at_is_not_looked_at_again() {
    let client = Arc::new(Scripted::with(&[
        ("waits", "x"),
        ("looked", "y"),
        ("refused", "z"),
    ]));
    client.fail("looked", &[LookFate::Late(Duration::from_secs(1))]);
    client.fail("refused", &[LookFate::RefusedLate(Duration::from_secs(1))]);
    let sender = with_events(&client);
    tokio::spawn(async move {
        for id in ["looked", "refused"] {
            sender.send(changed(id)).await.unwrap();
        }
        sleep(Duration::from_millis(500)).await;
        sender.send(changed("waits")).await.unwrap();
        for id in ["waits", "looked", "refused"] {
            let removed = RuntimeEvent::Removed { of: of(id) };
            sender.send(removed).await.unwrap();
        }
        sleep(Duration::from_mins(1)).await;
    });
    let time = Duration::from_secs(30);
    let (notes, _) = follow(Arc::clone(&client), &Tally::default(), &[], time).await;
    assert_eq!(
        notes[1..],
        ["removed waits", "removed looked", "removed refused"]
    );
    for (id, times) in [("waits", 0), ("looked", 1), ("refused", 1)] {
        assert_eq!(client.count(&format!("inspect {id}")), times, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_while_a_list_is_under_way_is_newer_than_the_list() {
    let client = Arc::new(Scripted::with(&[("old", "x"), ("going", "y")]));
    client
        .lists
        .lock()
        .unwrap()
        .push_back(ListFate::Late(Duration::from_secs(2)));
    let sender = with_events(&client);
    tokio::spawn({
        let client = Arc::clone(&client);
        async move {
            sleep(Duration::from_secs(1)).await;
            client.set("going", None);
            sender
                .send(RuntimeEvent::Removed { of: of("going") })
                .await
                .unwrap();
            sleep(Duration::from_mins(1)).await;
        }
    });
    let (notes, _) = follow(
        Arc::clone(&client),
        &Tally::default(),
        &[],
        Duration::from_secs(3),
    )
    .await;
    assert_eq!(notes, ["removed going", "all going,old but going"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_list_single_containers_are_asked_about_and_the_list_is_tried_later() {
    let client = Arc::new(Scripted::with(&[("a", "web"), ("b", "db")]));
    client
        .lists
        .lock()
        .unwrap()
        .extend([ListFate::TooLarge, ListFate::TooLarge]);
    let _sender = with_events(&client);
    let tally = Tally::default();
    let time = Duration::from_secs(400);
    let (notes, ended) = follow(Arc::clone(&client), &tally, &["b", "unknown"], time).await;
    assert_eq!(ended, None);
    // A minute doubles with each that fails.
    assert_eq!(notes, ["told b=db", "all a,b but "]);
    assert_eq!(client.count("list"), 3);
    assert_eq!(client.count("inspect unknown"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_nobody_answers_or_the_events_end() {
    let client = Arc::new(Scripted::with(&[]));
    client
        .lists
        .lock()
        .unwrap()
        .push_back(ListFate::Unreachable);
    let _sender = with_events(&client);
    let hour = Duration::from_hours(1);
    let (_, ended) = follow(client, &Tally::default(), &[], hour).await;
    assert_eq!(ended, Some("unreachable"));

    let client = Arc::new(Scripted::with(&[]));
    drop(with_events(&client));
    let (_, ended) = follow(client, &Tally::default(), &[], hour).await;
    assert_eq!(ended, Some("ended"));
}
