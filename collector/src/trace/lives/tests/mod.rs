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
    Ending, Figures, LifeKey, Lives, LivesSettings, LivesView, Now, ParcelTaker, Rate,
    attributes::unix_nanos,
};
use crate::{
    catalog::{Container, Identity, Names, OwnerId, RuntimeContainer},
    export::otlp::OwnResource,
    host::{
        CgroupKey, HierarchyId,
        clock::{Ktime, TimeAnchor},
    },
    reconcile::{
        Life, Scrape,
        moments::{LifeLoss, Moment, Moments, OomKill, OomLimit, Standing},
        slow::{Meanwhile, SlowSample},
        snapshot::{
            CgroupCounts, CgroupStats, Exemplar, ExemplarOf, KernelReading, LastReading,
            LifeEvents, SchedSums,
        },
    },
    window::OomTotals,
};

mod ends;

mod events;

mod room;

mod samples;

mod traces;

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

/// Where spans are put.
struct Place {
    sent: Arc<Mutex<Vec<ResourceSpans>>>,
    has_room: Arc<Mutex<bool>>,
}

impl ParcelTaker for Place {
    fn put(&self, spans: ResourceSpans) -> bool {
        let has_room = *self.has_room.lock().unwrap_or_else(PoisonError::into_inner);
        if has_room {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push(spans);
        }
        has_room
    }

    fn try_put(&self, spans: ResourceSpans) -> bool {
        self.put(spans)
    }
}

impl Told {
    fn new() -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let has_room = Arc::new(Mutex::new(true));
        let view = Arc::new(LivesView::default());
        let begin = Ktime::now();
        let lives = Lives::new(
            SETTINGS,
            Arc::new(OwnResource::default()),
            "boot".to_owned(),
            Arc::clone(&view),
            Box::new(Place {
                sent: Arc::clone(&sent),
                has_room: Arc::clone(&has_room),
            }),
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
            is_found: false,
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
            sched: SchedSums {
                ran_ns: 1,
                waited_ns: 2_000_000,
                waits: 3,
                throttled_ns: 1_000_000,
            },
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
            meanwhile: Some(Meanwhile {
                who: self.identity(1, 0, None),
                had: Duration::from_millis(took),
            }),
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

    /// One life from 0 to 100 ms that ended well, and that has been told.
    fn of_one_that_ended_well() -> Self {
        let mut told = Self::new();
        told.begins(0, 1, true);
        told.look(50, 1, 0, Some(named()));
        told.ends(100);
        told.exits(101, 0);
        told.look(1_900, 1, 0, Some(named()));
        told
    }

    /// The calendar is set back.
    fn set_back(&mut self, by: Duration) {
        self.clocks = TimeAnchor::of_test(self.begin, self.wall(0) - by);
    }

    fn exemplars(&self) -> usize {
        self.exemplars_at(20_000).len()
    }

    /// Those that a scrape shows.
    fn exemplars_at(&self, ms: u64) -> Vec<Exemplar> {
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
        self.view.fill(&mut scrape, self.ktime(ms));
        let spans: HashSet<_> = self.spans().into_iter().map(|of| of.span_id).collect();
        let exemplars = scrape.cgroups.remove(0).exemplars;
        for exemplar in &exemplars {
            assert!(spans.contains(&exemplar.span.span_id[..]), "{exemplar:?}");
        }
        exemplars
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
