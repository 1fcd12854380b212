//! Follows the container runtimes of this host, so that containers have names.
//!
//! One thread with a runtime of its own: a container runtime that hangs, or tells too much, takes nothing
//! from those who read, drain or serve.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    config::{CatalogConfig, Config, OwnTraceConfig},
    container_query::{Question, answer_all},
    own_container::find_own_container,
    state::State,
    work_tracer::work_tracer,
};
use crate::{
    catalog::{
        ContainerRef, LabelSelection,
        following::{
            Asking, Audience as _, EndpointFactory, Followed, MAX_ASKS, RosterLookups, Session,
            SessionTimes, Tally, Told, informant,
        },
        kata::reading::ShimReadings,
        provider::{
            answers::{COLLECTION_INTERVAL, Provider},
            discovery::{self, Discovery, Standing},
            registry::Registry,
        },
        runtimes::{
            Endpoint, connector, ecs,
            places::{self, Found},
        },
        system::SystemFactory,
    },
    error_chain,
    trace::own::WorkTracer,
};

/// The thread.
#[derive(Debug)]
pub struct RuntimeThread {
    state: Arc<State>,
    config: CatalogConfig,
    host_root: PathBuf,
    cgroup_root: PathBuf,
    /// A runtime that tells no events is asked as often.
    interval: Duration,
    /// About single containers.
    questions: mpsc::Receiver<Question>,
    tracer: WorkTracer,
}

/// The most places that are followed.
pub(super) const MAX_FOLLOWED: usize = 256;

/// How often containers without names are looked for, while there are such.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// The most containers without names that are looked at.
const MAX_UNNAMED: usize = 4_096;

/// How long a look for users' sockets is waited for before what else there is gets its turn.
const QUICK: Duration = Duration::from_millis(200);

impl RuntimeThread {
    /// With what is configured; tells `state`, and answers questions.
    #[must_use]
    pub fn new(config: &Config, state: Arc<State>, questions: mpsc::Receiver<Question>) -> Self {
        let OwnTraceConfig { enabled, ratio } = &config.trace.own;
        let tracer = if *enabled {
            work_tracer(ratio.get(), &state.otlp)
        } else {
            WorkTracer::off()
        };
        Self {
            state,
            config: config.catalog.clone(),
            host_root: config.host_root.clone(),
            cgroup_root: config.cgroup_root.clone(),
            interval: config.interval,
            questions,
            tracer,
        }
    }

    /// Works until the daemon stops.
    pub fn run(mut self) {
        let registry = Arc::new(Registry::default());
        let provider = Provider::new(Arc::clone(&registry), COLLECTION_INTERVAL);
        let discovery = Arc::new(Discovery::new(registry));
        let (_, nothing) = mpsc::channel(1);
        let questions = std::mem::replace(&mut self.questions, nothing);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::warn!(
                    "containers have no names: cannot start what follows runtimes: {error}"
                );
                // The daemon goes on without them, and would end with this.
                self.state.wait_for_stop();
                return;
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = discovery.run() => {}
                () = self.find(&discovery) => {}
                () = self.ask() => {}
                () = answer_all(questions, &provider, &self.state) => {}
                () = find_own_container(&provider, &self.state) => {}
                () = self.read_shims() => {}
                () = self.state.stopped() => {}
            }
        });
        // A call that hangs is not waited for.
        runtime.shutdown_background();
    }

    /// Looks for runtimes at the known places, again and again.
    async fn find(&self, discovery: &Arc<Discovery>) {
        let system = SystemFactory {
            host_root: self.host_root.clone(),
            cgroup_root: self.cgroup_root.clone(),
            places: Arc::<State>::clone(&self.state),
        };
        if let Err(error) = discovery.register(Arc::new(system)) {
            tracing::debug!("{error}");
        }
        let mut known = HashSet::new();
        let labels = Arc::new(self.config.labels.clone());
        for endpoint in &self.config.endpoints {
            let user = places::user_of(&self.host_root, &endpoint.address);
            self.follow(endpoint, user, &labels, discovery, &mut known);
        }
        if self.config.discovery
            && let Some(endpoint) = ecs::endpoint_in(|name| std::env::var(name).ok())
        {
            self.follow(&endpoint, None, &labels, discovery, &mut known);
        }
        let mut dropped = HashSet::new();
        let mut users: Option<JoinHandle<Vec<Found>>> = None;
        let mut ticks = interval(discovery::INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for of in discovery.standings() {
                if let Standing::Dropped { reason } = of.standing
                    && dropped.insert(of.id.clone())
                {
                    tracing::warn!("{}: {reason}; it is not tried again", of.id);
                }
            }
            if !self.config.discovery {
                continue;
            }
            let mut found = places::found_of_host(&self.host_root);
            let looking = users.get_or_insert_with(|| {
                let host_root = self.host_root.clone();
                spawn_blocking(move || places::found_of_users(&host_root))
            });
            // Homes can be where nobody answers.
            if let Ok(looked) = timeout(QUICK, looking).await {
                users = None;
                found.extend(looked.unwrap_or_default());
            }
            for Found { endpoint, user } in found {
                self.follow(&endpoint, user, &labels, discovery, &mut known);
            }
        }
    }

    /// Reads the metrics of Kata's shims, once per interval.
    async fn read_shims(&self) {
        let mut readings = ShimReadings::default();
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            readings.read(&self.host_root, self.interval).await;
            *self.state.kata() = readings.known();
        }
    }

    /// Makes a place one that is followed, if it is not already.
    fn follow(
        &self,
        endpoint: &Endpoint,
        user: Option<u32>,
        labels: &Arc<LabelSelection>,
        discovery: &Arc<Discovery>,
        known: &mut HashSet<Endpoint>,
    ) {
        if known.contains(endpoint) {
            return;
        }
        if known.len() >= MAX_FOLLOWED {
            // Said once for each, and not for all that anyone makes.
            if known.len() < 2 * MAX_FOLLOWED && known.insert(endpoint.clone()) {
                tracing::warn!("{endpoint}: not followed, as {MAX_FOLLOWED} places are already");
            }
            return;
        }
        let number = known.len();
        known.insert(endpoint.clone());
        let tally = Arc::new(Tally::default());
        let (asks, mut asked) = mpsc::channel(MAX_ASKS);
        let (hand_over, mut clients) = mpsc::channel(1);
        let factory = EndpointFactory::new(
            connector(endpoint, labels),
            Arc::clone(&tally),
            hand_over,
            RosterLookups::new(Arc::clone(&self.state) as Arc<dyn Told>),
        );
        let id = endpoint.to_string();
        if let Err(error) = discovery.register(Arc::new(factory)) {
            tracing::debug!("{error}");
            return;
        }
        let followed = Followed {
            endpoint: endpoint.clone(),
            informant: informant(endpoint, number, user),
            tally: Arc::clone(&tally),
            asks,
        };
        let informant = followed.informant;
        self.state.followed().push(followed);
        let state = Arc::clone(&self.state);
        let discovery = Arc::clone(discovery);
        let times = SessionTimes::of_interval(self.interval);
        let retries = self.config.retries;
        let tracer = self
            .tracer
            .of_loop(|| id.clone(), || times.attributes(&retries));
        tokio::spawn(async move {
            let mut told = String::new();
            while let Some(client) = clients.recv().await {
                tally.connected(client.as_ref());
                let answers = format!("{} {} answers", client.runtime().name(), client.version());
                if told.is_empty() {
                    tracing::info!("{id}: {answers}");
                } else {
                    tracing::debug!("{id}: {answers} again");
                }
                let session = Session {
                    client,
                    informant,
                    audience: &*state,
                    tally: &tally,
                    asks: &mut asked,
                    times,
                    retries,
                    tracer: tracer.clone(),
                };
                let error = session.run().await;
                tally.fail(&error);
                tally.lost();
                let error = error_chain(&error);
                // One that comes and goes is told once, until it goes for another reason.
                if error == told {
                    tracing::debug!("{id}: {error}");
                } else {
                    tracing::warn!(
                        "{id}: {error}; its containers keep their names, and it is looked for again"
                    );
                }
                discovery.vanished(&id, &error);
                told = error;
            }
        });
    }

    /// Asks about containers of which nobody tells.
    async fn ask(&self) {
        let mut asking = Asking::default();
        loop {
            if asking.is_done() {
                self.state.wait_for_missed_names().await;
            }
            tokio::time::sleep(ASK_EVERY).await;
            let unnamed = self.state.unnamed(MAX_UNNAMED);
            for container in asking.due(unnamed, Instant::now()) {
                for followed in self.state.followed().iter() {
                    let is_users = followed.informant.user.map(ContainerRef::namespace_of_user);
                    if container.of.users_namespace() == is_users
                        && container.may_be_known_to(followed.endpoint.protocol)
                    {
                        // One that has too many to answer is asked again.
                        drop(followed.asks.try_send(container.of.clone()));
                    }
                }
            }
        }
    }
}
