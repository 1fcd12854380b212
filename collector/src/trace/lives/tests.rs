use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span},
};

use super::{
    Ending, Figures, LifeKey, Lives, LivesSettings, LivesView, Now, Rate, attributes::unix_nanos,
};
use crate::{
    catalog::{Container, Identity, Names, OwnerId, RuntimeContainer, RuntimeState},
    export::otlp::OwnResource,
    host::{
        CgroupKey, HierarchyId,
        clock::{Ktime, TimeAnchor},
    },
    reconcile::{
        Life, Scrape,
        moments::{LifeLoss, Moment, Moments, OomKill, OomLimit, Standing},
        slow::SlowSample,
        snapshot::{
            CgroupCounts, CgroupStats, ExemplarOf, KernelReading, LastReading, LifeEvents,
            SchedSums,
        },
    },
    window::{Device, OomTotals, Operation},
};

const ID: &str = "c0ffee";

const OWNER: OwnerId = OwnerId::of_test(7);

const KEY: LifeKey = (OWNER, 1);

const SETTINGS: LivesSettings = LivesSettings {
    stall: 0.2,
    throttled: 0.25,
    checkpoint: Duration::from_mins(5),
    trace: Duration::from_hours(1),
    container: Rate {
        per_second: 1.0,
        burst: 3.0,
    },
    total: Rate {
        per_second: 10.0,
        burst: 100.0,
    },
};

/// Containers' lives, and whoever is told of them.
struct Told {
    lives: Lives,
    view: Arc<LivesView>,
    sent: Arc<Mutex<Vec<ResourceSpans>>>,
    has_room: Arc<Mutex<bool>>,
    clocks: TimeAnchor,
    begin: Ktime,
}

impl Told {
    fn new() -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let has_room = Arc::new(Mutex::new(true));
        let view = Arc::new(LivesView::default());
        let begin = Ktime::now();
        let (into, room) = (Arc::clone(&sent), Arc::clone(&has_room));
        let take = move |spans| {
            let has_room = *room.lock().unwrap_or_else(PoisonError::into_inner);
            if has_room {
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(spans);
            }
            has_room
        };
        let lives = Lives::new(
            SETTINGS,
            Arc::new(OwnResource::default()),
            "boot".to_owned(),
            Arc::clone(&view),
            Box::new(take),
            begin,
        );
        Self {
            lives,
            view,
            sent,
            has_room,
            clocks: TimeAnchor::now(),
            begin,
        }
    }

    fn ktime(&self, ms: u64) -> Ktime {
        Ktime(self.begin.0 + Duration::from_millis(ms))
    }

    fn wall(&self, ms: u64) -> SystemTime {
        self.clocks.wall(self.ktime(ms))
    }

    fn now(&self, ms: u64) -> Now {
        Now::new(self.clocks, self.ktime(ms))
    }

    fn nanos(&self, ms: u64) -> u64 {
        unix_nanos(self.wall(ms))
    }

    fn identity(
        &self,
        generation: u32,
        began: u64,
        told: Option<RuntimeContainer>,
    ) -> Arc<Identity> {
        Arc::new(Identity {
            path: format!("/docker/{ID}"),
            names: Names {
                name: told.as_ref().map_or("", |_| "web").to_owned(),
                ..Names::default()
            },
            container: Some(Container {
                id: ID.to_owned(),
                ..Container::default()
            }),
            told: told.map(Arc::new),
            cgroup_version: 2,
            generation,
            started: self.wall(began),
        })
    }

    /// Something happens, and is heard of at once.
    fn happens(&mut self, ms: u64, moment: Moment) {
        let now = self.now(ms);
        let moments = Moments {
            of: vec![moment],
            missed: 0,
        };
        self.lives.take(moments, &now);
    }

    /// Its cgroup is made.
    fn begins(&mut self, ms: u64, generation: u32, is_new: bool) {
        let identity = self.identity(generation, ms, None);
        let there = Moment::There {
            owner: OWNER,
            identity,
            is_new,
        };
        self.happens(ms, there);
        self.happens(ms, Moment::Filled { owner: OWNER });
    }

    fn ends(&mut self, ms: u64) {
        let at = self.ktime(ms);
        self.happens(ms, Moment::Emptied { owner: OWNER, at });
        let at = self.wall(ms + 5);
        self.happens(ms + 5, Moment::Removed { owner: OWNER, at });
    }

    fn exits(&mut self, ms: u64, code: i32) {
        let exit = Moment::ToldExit {
            container: Container {
                id: ID.to_owned(),
                ..Container::default()
            }
            .key()
            .unwrap_or_default(),
            code: Some(code),
            finished: Some(self.wall(ms)),
        };
        self.happens(ms + 20, exit);
    }

    /// A look at all that is awaited, in which its runtime has told of it or not.
    fn look(&mut self, ms: u64, generation: u32, began: u64, told: Option<RuntimeContainer>) {
        let now = self.now(ms);
        let identity = self.identity(generation, began, told);
        for key in self.lives.awaited(&now) {
            let standing = (key.1 == generation).then(|| Standing {
                identity: Arc::clone(&identity),
                key: Some(CgroupKey::new(HierarchyId::V2, 40 + u64::from(generation))),
                removed: None,
            });
            self.lives.stand(key, standing.as_ref(), &now);
        }
        // Of one at whose place another has begun nothing can be looked up.
        for key in self.lives.ending(&now) {
            if key.1 == generation {
                self.lives.keep(key, self.ending());
            }
        }
        for key in self.lives.over(&now) {
            self.lives.close(key, &now);
        }
        self.lives.tell_due(&now);
    }

    fn ending(&self) -> Ending {
        Ending {
            figures: Some(Figures {
                at: self.ktime(2_000),
                cpu_ns: Some(1_500_000_000),
                periods: Some(20),
                throttled_periods: Some(10),
                throttled_ns: Some(700_000_000),
                ..Figures::default()
            }),
            how: LastReading::Final,
            sched: (
                SchedSums {
                    ran_ns: 1,
                    waited_ns: 2_000_000,
                    waits: 3,
                },
                Duration::from_millis(1),
            ),
            wait_p99: Some(Duration::from_millis(2)),
        }
    }

    fn oom(&mut self, ms: u64) {
        let identity = self.identity(1, 0, None);
        let kill = OomKill {
            victim: Some((OWNER, Arc::clone(&identity))),
            pid: 99,
            comm: "hog".to_owned(),
            limit: OomLimit::Cgroup(identity),
            at: self.ktime(ms),
        };
        self.happens(ms, Moment::OomKill(Box::new(kill)));
    }

    fn slow(&mut self, ms: u64, took: u64) {
        let sample = SlowSample {
            owner: OWNER,
            generation: 1,
            of: ExemplarOf::RunqueueLatency,
            took: Duration::from_millis(took),
            throttled: Duration::ZERO,
            ended: self.ktime(ms),
            within: Duration::ZERO,
            meanwhile: Some(self.identity(1, 0, None)),
        };
        let now = self.now(ms);
        self.lives.slow(sample, OWNER, None, |_| None, &now);
    }

    fn spans(&self) -> Vec<Span> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes = sent.iter().flat_map(|of| &of.scope_spans);
        scopes.flat_map(|of| &of.spans).cloned().collect()
    }

    fn named(&self, name: &str) -> Vec<Span> {
        let spans = self.spans();
        spans.into_iter().filter(|of| of.name == name).collect()
    }

    fn names(&self) -> Vec<String> {
        self.spans().into_iter().map(|of| of.name).collect()
    }

    fn lost(&self, loss: LifeLoss) -> u64 {
        self.view.losses()[loss as usize]
    }

    fn exemplars(&self) -> usize {
        let mut scrape = Scrape {
            cgroups: vec![CgroupStats {
                identity: self.identity(1, 0, None),
                exited: None,
                sched: None,
                block: Vec::new(),
                oom: OomTotals::default(),
                life: LifeEvents::default(),
                quantiles: Vec::new(),
                kernel: KernelReading::default(),
                exemplars: Vec::new(),
            }],
            lives: vec![Some(Life {
                owner: OWNER,
                generation: 1,
                sums: None,
            })],
            counts: CgroupCounts::default(),
            events_overflowed: 0,
        };
        self.view.fill(&mut scrape, self.wall(20_000));
        let spans: HashSet<_> = self.spans().into_iter().map(|of| of.span_id).collect();
        let exemplars = &scrape.cgroups[0].exemplars;
        for exemplar in exemplars {
            assert!(spans.contains(&exemplar.span.span_id[..]), "{exemplar:?}");
        }
        exemplars.len()
    }
}

fn named() -> RuntimeContainer {
    RuntimeContainer {
        id: ID.to_owned(),
        ..RuntimeContainer::default()
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().find(|of| of.key == key)?;
    found.value.as_ref()?.value.clone()
}

#[test]
fn a_short_life_is_one_whole_trace_with_its_own_beginning_and_end() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, None);
    told.ends(100);
    told.exits(101, 3);
    let runtime = RuntimeContainer {
        started: Some(told.wall(40)),
        restarts: Some(2),
        ..named()
    };
    told.look(200, 1, 0, Some(runtime.clone()));
    assert_eq!(told.spans(), [], "what is told of it may change yet");
    told.look(1_900, 1, 0, Some(runtime));
    let spans = told.spans();
    let [root, life] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(root.name, "container started");
    assert_eq!(root.parent_span_id, Vec::<u8>::new());
    let root_times = (root.start_time_unix_nano, root.end_time_unix_nano);
    assert_eq!(root_times, (told.nanos(0), told.nanos(40)));
    assert_eq!(life.name, "container");
    assert_eq!(
        (&life.trace_id, &life.parent_span_id),
        (&root.trace_id, &root.span_id)
    );
    let life_times = (life.start_time_unix_nano, life.end_time_unix_nano);
    assert_eq!(life_times, (told.nanos(0), told.nanos(100)));
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("process.exit.code"), Some(Value::IntValue(3)));
    assert_eq!(of_life("cgscope.restarts"), Some(Value::IntValue(2)));
    assert_eq!(of_life("cgscope.cpu.time"), Some(Value::DoubleValue(1.5)));
    assert_eq!(
        of_life("cgscope.last_reading"),
        Some(Value::StringValue("final".to_owned()))
    );
    let status = life.status.clone().unwrap_or_default();
    assert_eq!((status.code, status.message.as_str()), (2, "exit code 3"));
    let events = life.events.iter();
    let events: Vec<_> = events
        .map(|of| (of.name.as_str(), of.time_unix_nano))
        .collect();
    assert_eq!(
        events,
        [
            ("cgscope.throttled", told.nanos(0)),
            ("cgscope.runtime.started", told.nanos(40)),
            ("cgscope.runtime.finished", told.nanos(101)),
        ]
    );
    told.look(2_000, 1, 0, None);
    assert_eq!(told.spans().len(), 2, "it is told once");
}

#[test]
fn a_good_end_is_no_error_and_an_end_that_nobody_tells_of_is_told_without_a_code() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    told.ends(100);
    told.exits(101, 0);
    told.look(1_900, 1, 0, Some(named()));
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    assert_eq!(life.status, None);
    told.begins(10_000, 2, true);
    told.look(10_050, 2, 10_000, Some(named()));
    told.ends(10_100);
    told.look(12_000, 2, 10_000, Some(named()));
    assert_eq!(told.named("container").len(), 1, "it is waited for");
    told.look(13_200, 2, 10_000, Some(named()));
    let lives = told.named("container");
    assert_eq!(lives.len(), 2);
    assert_eq!(attribute(&lives[1].attributes, "process.exit.code"), None);
    assert_eq!(lives[1].status, None);
    assert_ne!(lives[0].trace_id, lives[1].trace_id, "another life");
}

#[test]
fn one_that_runs_has_its_root_at_once_and_then_what_happens_to_it() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(100, 1, 0, None);
    told.slow(300, 20);
    assert_eq!(told.spans(), [], "its name is waited for");
    assert_eq!(told.exemplars(), 0);
    told.look(900, 1, 0, Some(named()));
    assert_eq!(told.names(), ["container started", "runqueue wait"]);
    assert_eq!(told.exemplars(), 1);
    told.oom(1_000);
    told.look(5_000, 1, 0, Some(named()));
    assert_eq!(
        told.names().len(),
        2,
        "what else happens may be told with it"
    );
    told.slow(6_000, 200);
    told.look(11_100, 1, 0, Some(named()));
    let names = [
        "container started",
        "runqueue wait",
        "runqueue wait",
        "container checkpoint",
    ];
    assert_eq!(told.names(), names);
    let spans = told.spans();
    for span in &spans[1..] {
        let place = (&span.trace_id, &span.parent_span_id);
        assert_eq!(place, (&spans[0].trace_id, &spans[0].span_id));
    }
    let wait = &spans[2];
    let times = (wait.start_time_unix_nano, wait.end_time_unix_nano);
    assert_eq!(times, (told.nanos(5_800), told.nanos(6_000)));
    assert_eq!(
        attribute(&wait.attributes, "cgscope.meanwhile.container.id"),
        Some(Value::StringValue(ID.to_owned()))
    );
    let checkpoint = &spans[3];
    let [oom] = &checkpoint.events[..] else {
        panic!("{checkpoint:?}");
    };
    assert_eq!(oom.time_unix_nano, told.nanos(1_000));
    assert_eq!(
        attribute(&oom.attributes, "process.pid"),
        Some(Value::IntValue(99))
    );
    assert_eq!(
        attribute(&oom.attributes, "process.executable.name"),
        Some(Value::StringValue("hog".to_owned()))
    );
    let status = checkpoint.status.clone().unwrap_or_default();
    assert_eq!(status.message, "the OOM killer killed process 99 (hog)");
    assert_eq!(checkpoint.end_time_unix_nano, told.nanos(11_100));
    // Nothing happens, and it is told once in five minutes.
    told.look(300_000, 1, 0, Some(named()));
    assert_eq!(told.names().len(), 4);
    told.look(312_000, 1, 0, Some(named()));
    let checkpoints = told.named("container checkpoint");
    assert_eq!(checkpoints.len(), 2);
    assert_eq!(checkpoints[1].start_time_unix_nano, told.nanos(11_100));
}

#[test]
fn a_name_that_does_not_come_is_not_waited_for_for_ever() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(1_900, 1, 0, None);
    assert_eq!(told.spans(), []);
    told.look(2_100, 1, 0, None);
    assert_eq!(told.names(), ["container started"]);
}

#[test]
fn a_long_life_is_several_traces_each_linked_to_the_one_before() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    for hour in 1..=2_u64 {
        told.look(hour * 3_601_000, 1, 0, Some(named()));
    }
    let roots: Vec<_> = told
        .spans()
        .into_iter()
        .filter(|span| span.parent_span_id.is_empty())
        .collect();
    let names: Vec<_> = roots.iter().map(|root| root.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "container started",
            "container goes on",
            "container goes on"
        ]
    );
    let traces: HashSet<_> = roots.iter().map(|root| &root.trace_id).collect();
    assert_eq!(traces.len(), 3);
    let links =
        |root: &Span| -> Vec<_> { root.links.iter().map(|of| of.span_id.clone()).collect() };
    assert_eq!(links(&roots[1]), [roots[0].span_id.clone()]);
    assert_eq!(
        links(&roots[2]),
        [roots[1].span_id.clone(), roots[0].span_id.clone()]
    );
    for checkpoint in told.named("container checkpoint") {
        let root = roots
            .iter()
            .find(|root| root.trace_id == checkpoint.trace_id);
        assert_eq!(
            root.map(|root| &root.span_id),
            Some(&checkpoint.parent_span_id)
        );
    }
}

#[test]
fn one_that_was_found_has_a_trace_of_its_own_that_leads_to_the_one_from_its_beginning() {
    let mut from_beginning = Told::new();
    from_beginning.begins(0, 1, true);
    from_beginning.look(900, 1, 0, Some(named()));
    let mut later = Told::new();
    later.begins(0, 1, false);
    let runtime = RuntimeContainer {
        started: Some(SystemTime::UNIX_EPOCH),
        ..named()
    };
    later.look(900, 1, 0, Some(runtime));
    let first = &from_beginning.spans()[0];
    let found = &later.spans()[0];
    assert_eq!(found.name, "container found");
    assert_ne!(found.trace_id, first.trace_id);
    let links: Vec<_> = found
        .links
        .iter()
        .map(|of| (&of.trace_id, &of.span_id))
        .collect();
    assert_eq!(links, [(&first.trace_id, &first.span_id)]);
    let life = |span: &Span| attribute(&span.attributes, "cgscope.life");
    assert!(life(first).is_some());
    assert_eq!(life(found), life(first));
    assert_eq!(
        attribute(&found.attributes, "cgscope.runtime.started"),
        Some(Value::IntValue(0))
    );
}

#[test]
fn an_exit_is_of_the_life_that_it_ended_also_when_the_next_one_has_begun() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    told.ends(100);
    told.exits(102, 1);
    told.begins(250, 2, true);
    let running = RuntimeContainer {
        state: RuntimeState::Running,
        ..named()
    };
    told.look(800, 2, 250, Some(running.clone()));
    told.ends(900);
    told.exits(902, 2);
    told.look(1_800, 2, 250, Some(running.clone()));
    told.look(2_700, 2, 250, Some(running));
    let lives = told.named("container");
    let codes: Vec<_> = lives
        .iter()
        .map(|life| attribute(&life.attributes, "process.exit.code"))
        .collect();
    assert_eq!(codes, [Some(Value::IntValue(1)), Some(Value::IntValue(2))]);
    let ends: Vec<_> = lives.iter().map(|life| life.end_time_unix_nano).collect();
    assert_eq!(ends, [told.nanos(100), told.nanos(900)]);
    assert_ne!(lives[0].trace_id, lives[1].trace_id);
}

#[test]
fn how_one_ended_is_known_also_when_another_began_at_its_place_before_that_was_told() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    told.ends(100);
    told.exits(102, 0);
    told.look(600, 1, 0, Some(named()));
    assert!(told.named("container").is_empty());
    told.begins(700, 2, true);
    told.look(2_000, 2, 700, Some(named()));
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("cgscope.cpu.time"), Some(Value::DoubleValue(1.5)));
    assert_eq!(of_life("cgscope.runqueue.waits"), Some(Value::IntValue(3)));
}

#[test]
fn what_a_silent_cpu_kept_until_after_the_end_is_told_and_what_comes_later_is_counted() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    told.ends(1_000);
    told.exits(1_002, 0);
    told.look(1_900, 1, 0, Some(named()));
    told.slow(2_000, 20);
    assert!(told.named("container").is_empty(), "there may be more");
    told.look(3_000, 1, 0, Some(named()));
    let lives = told.named("container");
    assert_eq!(lives.len(), 1);
    let samples = attribute(&lives[0].attributes, "cgscope.slow_samples");
    assert_eq!(samples, Some(Value::IntValue(1)));
    assert_eq!(told.named("runqueue wait").len(), 1);
    told.slow(3_100, 20);
    assert_eq!(told.named("runqueue wait").len(), 1);
    assert_eq!(told.lost(LifeLoss::Late), 1);
    assert_eq!(told.lost(LifeLoss::Containers), 0);
}

#[test]
fn what_is_above_the_rate_or_finds_no_room_is_counted_and_is_no_exemplar() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    // One for each bucket that these are in.
    for (sample, took) in [1, 20, 300, 4_000].into_iter().enumerate() {
        told.slow(1_000 + sample as u64, took);
    }
    assert_eq!(told.named("runqueue wait").len(), 3);
    assert_eq!(told.lost(LifeLoss::ContainerRate), 1);
    assert_eq!(told.exemplars(), 3);
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = false;
    told.slow(2_500, 20_000);
    assert_eq!(told.lost(LifeLoss::QueueFull), 1);
    assert_eq!(told.exemplars(), 3, "nobody can look at it");
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = true;
    told.slow(3_700, 21);
    assert_eq!(told.exemplars(), 3, "it took another's place");
    told.happens(3_800, Moment::Forgotten { owner: OWNER });
    assert_eq!(told.exemplars(), 0);
}

#[test]
fn a_root_that_finds_no_room_is_sent_later_and_nothing_is_sent_before_it() {
    let mut told = Told::new();
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = false;
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    told.slow(1_000, 20);
    *told.has_room.lock().unwrap_or_else(PoisonError::into_inner) = true;
    assert_eq!(told.spans(), []);
    told.look(1_950, 1, 0, Some(named()));
    assert_eq!(told.names(), ["container started", "runqueue wait"]);
}

#[test]
fn events_are_bounded_and_those_without_room_are_counted() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    for kill in 0..130 {
        told.oom(1_000 + kill);
    }
    told.look(12_000, 1, 0, Some(named()));
    let checkpoint = &told.named("container checkpoint")[0];
    assert_eq!(checkpoint.events.len(), 128);
    assert_eq!(checkpoint.dropped_events_count, 2);
    assert_eq!(told.lost(LifeLoss::SpanFull), 2);
}

#[test]
fn stalls_and_throttling_that_follow_each_other_are_one_episode() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    let mut figures = Figures {
        at: told.ktime(0),
        periods: Some(0),
        throttled_periods: Some(0),
        throttled_ns: Some(0),
        stalled_ns: [(None, None), (None, None), (Some(0), Some(0))],
        ..Figures::default()
    };
    // In each second: of ten periods so many were throttled, and so long it was stalled for block I/O.
    for (second, throttled, stalled_ms) in [(1, 0, 0), (2, 9, 0), (3, 10, 500), (4, 1, 0)] {
        figures.at = told.ktime(second * 1_000);
        figures.periods = figures.periods.map(|of| of + 10);
        figures.throttled_periods = figures.throttled_periods.map(|of| of + throttled);
        figures.throttled_ns = figures.throttled_ns.map(|of| of + throttled * 50_000_000);
        let (some, full) = figures.stalled_ns[2];
        figures.stalled_ns[2] = (some.map(|of| of + stalled_ms * 1_000_000), full);
        let now = told.now(second * 1_000);
        told.lives.read(KEY, &figures, &now);
    }
    told.look(15_000, 1, 0, Some(named()));
    let checkpoint = &told.named("container checkpoint")[0];
    let events: Vec<_> = checkpoint
        .events
        .iter()
        .map(|event| {
            let value = |key| attribute(&event.attributes, key);
            (
                event.name.as_str(),
                event.time_unix_nano,
                value("cgscope.duration"),
            )
        })
        .collect();
    let seconds = |of| Some(Value::DoubleValue(of));
    assert_eq!(
        events,
        [
            ("cgscope.throttled", told.nanos(1_000), seconds(2.0)),
            ("cgscope.stalled", told.nanos(2_000), seconds(1.0)),
        ]
    );
    let throttled = &checkpoint.events[0].attributes;
    assert_eq!(
        attribute(throttled, "cgscope.cpu.throttled_time"),
        seconds(0.95)
    );
    assert_eq!(
        attribute(throttled, "cgscope.cpu.throttled_periods"),
        Some(Value::IntValue(19))
    );
}

#[test]
fn what_never_had_a_process_and_that_no_runtime_knows_was_no_life() {
    let mut told = Told::new();
    let identity = told.identity(1, 0, None);
    told.happens(
        0,
        Moment::There {
            owner: OWNER,
            identity,
            is_new: true,
        },
    );
    told.look(10, 1, 0, None);
    let at = told.wall(20);
    told.happens(20, Moment::Removed { owner: OWNER, at });
    told.look(1_000, 1, 0, None);
    told.look(4_000, 1, 0, None);
    assert_eq!(told.spans(), []);
}

#[test]
fn block_io_names_its_disk_and_its_operation() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(900, 1, 0, Some(named()));
    let sample = SlowSample {
        owner: OwnerId::of_test(8),
        generation: 4,
        of: ExemplarOf::BlockIoDevice {
            device: Device { major: 8, minor: 0 },
            operation: Operation::Write,
        },
        took: Duration::from_millis(30),
        throttled: Duration::ZERO,
        ended: told.ktime(1_000),
        within: Duration::from_millis(1),
        meanwhile: None,
    };
    let inside = Arc::new(Identity {
        path: format!("/docker/{ID}/below"),
        ..Identity::clone(&told.identity(4, 0, None))
    });
    let now = told.now(1_010);
    told.lives.slow(
        sample,
        OWNER,
        Some(inside),
        |_| Some("sda".to_owned()),
        &now,
    );
    let [span] = &told.named("block i/o in device")[..] else {
        panic!("{:?}", told.names());
    };
    let text = |value: &str| Some(Value::StringValue(value.to_owned()));
    let of_span = |key| attribute(&span.attributes, key);
    assert_eq!(of_span("system.device"), text("sda"));
    assert_eq!(of_span("cgscope.operation"), text("write"));
    assert_eq!(of_span("cgscope.inside"), text("/docker/c0ffee/below"));
}

#[test]
fn a_cgroup_that_is_filled_after_its_life_was_told_goes_on_in_a_linked_trace() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    let at = told.ktime(100);
    told.happens(100, Moment::Emptied { owner: OWNER, at });
    told.look(4_000, 1, 0, Some(named()));
    assert_eq!(told.names(), ["container started", "container"]);
    told.happens(9_000, Moment::Filled { owner: OWNER });
    told.look(9_100, 1, 0, Some(named()));
    let at = told.ktime(9_500);
    told.happens(9_500, Moment::Emptied { owner: OWNER, at });
    told.exits(9_510, 4);
    told.look(11_300, 1, 0, Some(named()));
    let names = [
        "container started",
        "container",
        "container goes on",
        "container",
    ];
    assert_eq!(told.names(), names);
    let [first, _, root, life] = &told.spans()[..] else {
        panic!("{:?}", told.names());
    };
    assert_eq!(root.links[0].span_id, first.span_id);
    assert_ne!(root.trace_id, first.trace_id);
    assert_eq!(life.parent_span_id, root.span_id);
    let times = (life.start_time_unix_nano, life.end_time_unix_nano);
    assert_eq!(times, (told.nanos(9_000), told.nanos(9_500)));
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("process.exit.code"), Some(Value::IntValue(4)));
    assert_eq!(of_life("cgscope.life.part"), Some(Value::IntValue(1)));
    // Once it is forgotten, nothing is left to go on.
    told.happens(11_000, Moment::Forgotten { owner: OWNER });
    told.happens(12_000, Moment::Filled { owner: OWNER });
    told.look(16_000, 1, 0, Some(named()));
    assert_eq!(told.names(), names);
}

#[test]
fn an_end_that_the_next_life_came_before_has_the_figures_that_were_seen_and_no_others() {
    let mut told = Told::new();
    told.begins(0, 1, true);
    told.look(50, 1, 0, Some(named()));
    let figures = Figures {
        at: told.ktime(60),
        cpu_ns: Some(250_000_000),
        ..Figures::default()
    };
    let now = told.now(90);
    told.lives.read(KEY, &figures, &now);
    told.ends(100);
    told.begins(250, 2, true);
    told.look(4_000, 2, 250, Some(named()));
    let [life] = &told.named("container")[..] else {
        panic!("{:?}", told.names());
    };
    assert_eq!(life.start_time_unix_nano, told.nanos(0));
    let of_life = |key| attribute(&life.attributes, key);
    assert_eq!(of_life("cgscope.cpu.time"), Some(Value::DoubleValue(0.25)));
    let earlier = Some(Value::StringValue("earlier".to_owned()));
    assert_eq!(of_life("cgscope.last_reading"), earlier);
    assert_eq!(of_life("cgscope.runqueue.waits"), None, "it is not known");
}
