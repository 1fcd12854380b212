//! The container runtimes, as `doctor` finds them.
//!
//! In: where runtimes may be, and where a daemon is that follows them. Out: who answers there and since
//! when, or why nobody does and what to do about it. Never here: what a runtime has, and a wait for one
//! that hangs: all are asked at the same time, and none has longer than [`PATIENCE`].

use std::{
    collections::{HashMap, HashSet},
    io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use tokio::{net::UnixStream, task::JoinSet, time::timeout};

use crate::{
    catalog::{
        LabelSelection, Runtime,
        path_text::path_text,
        runtimes::{CONNECT_TIME, Endpoint, connector, ecs, places},
    },
    daemon::{catalog::ask, config::Config, runtime_thread::MAX_FOLLOWED},
    error_chain,
    export::listing::{CatalogDocument, RuntimeEntry},
};

/// What is told of the runtimes. The keys of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Inventory {
    /// Each place at which one is, or should be.
    pub(super) runtimes: Vec<RuntimeReport>,
    /// Who knows since when.
    pub(super) daemon: DaemonReport,
    /// The places that were looked at, when nothing was there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) runtime_places: Vec<String>,
}

/// A place.
#[derive(Debug, Serialize)]
pub(super) struct RuntimeReport {
    /// How it is spoken to.
    pub(super) protocol: String,
    pub(super) address: String,
    /// How it is known of.
    pub(super) found: Found,
    /// Who answers; absent when nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) runtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
    /// Whether the daemon knows of it; absent without a daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) followed: Option<bool>,
    /// Since when it answers the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since_seconds: Option<f64>,
    /// The daemon's last trouble with it, which may be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_error_time_seconds: Option<f64>,
}

/// How a place is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    /// `--runtime-endpoint` names it.
    Configured,
    /// The environment does, as ECS sets it.
    Environment,
    /// It is where such runtimes are.
    KnownPlace,
    /// The daemon told: it has another configuration than `doctor`.
    Daemon,
}

/// The daemon.
#[derive(Debug, Serialize)]
pub(super) struct DaemonReport {
    pub(super) address: String,
    pub(super) answers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// Where to look.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) places: Vec<(Endpoint, Found)>,
    /// Whether the known places were looked at.
    pub(super) discovery: bool,
    /// Where the daemon serves.
    pub(super) listen: SocketAddr,
}

/// What a runtime that answers has, from the first byte to the last. A little more than the time in which
/// a runtime's own client gives up, which can say better what it waited for.
const PATIENCE: Duration = CONNECT_TIME.saturating_add(Duration::from_millis(250));

/// What the daemon has: the largest catalog takes a second or two.
const DAEMON_PATIENCE: Duration = Duration::from_secs(5);

impl Search {
    /// At the places that the daemon would look at.
    pub(super) fn of(config: &Config) -> Self {
        let configured = config.catalog.endpoints.iter().cloned();
        let mut places: Vec<_> = configured.map(|of| (of, Found::Configured)).collect();
        if config.catalog.discovery {
            let told = ecs::endpoint_in(|name| std::env::var(name).ok());
            places.extend(told.map(|of| (of, Found::Environment)));
            let host_root = &config.host_root;
            let known = [
                places::found_of_host(host_root),
                places::found_of_users(host_root),
            ];
            let known = known.concat();
            places.extend(known.into_iter().map(|of| (of.endpoint, Found::KnownPlace)));
        }
        let mut seen = HashSet::new();
        places.retain(|(endpoint, _)| seen.insert(endpoint.clone()));
        places.truncate(MAX_FOLLOWED);
        Self {
            places,
            discovery: config.catalog.discovery,
            listen: config.listen,
        }
    }

    /// Asks everyone, at the same time.
    pub(super) fn run(self) -> io::Result<Inventory> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (asked, daemon) = runtime.block_on(async {
            let daemon = tokio::spawn(ask_daemon(self.listen));
            (ask_all(&self.places).await, daemon.await)
        });
        // Who hangs is not waited for.
        runtime.shutdown_background();
        let daemon = daemon.map_err(io::Error::other)?;
        let mut runtimes: Vec<_> = self
            .places
            .iter()
            .zip(asked)
            .map(|((endpoint, found), answer)| RuntimeReport::of(endpoint, *found, answer))
            .collect();
        let daemon = match daemon {
            Ok(document) => {
                join(&mut runtimes, document.runtimes);
                DaemonReport {
                    address: self.listen.to_string(),
                    answers: true,
                    reason: None,
                }
            }
            Err(reason) => DaemonReport {
                address: self.listen.to_string(),
                answers: false,
                reason: Some(reason),
            },
        };
        let looked_at = || places::looked_at().collect();
        Ok(Inventory {
            runtime_places: if runtimes.is_empty() && self.discovery {
                looked_at()
            } else {
                Vec::new()
            },
            runtimes,
            daemon,
        })
    }
}

/// Who answers at a place.
type Answered = Result<(Runtime, String), Trouble>;

/// Why nobody does.
#[derive(Debug)]
struct Trouble {
    reason: String,
    remedy: &'static str,
}

/// In their order.
async fn ask_all(places: &[(Endpoint, Found)]) -> Vec<Answered> {
    let mut asking = JoinSet::new();
    for (number, (endpoint, _)) in places.iter().enumerate() {
        let endpoint = endpoint.clone();
        asking.spawn(async move { (number, ask_runtime(&endpoint).await) });
    }
    let mut answers: HashMap<usize, Answered> = asking.join_all().await.into_iter().collect();
    let in_order = (0..places.len()).filter_map(|number| answers.remove(&number));
    in_order.collect()
}

async fn ask_runtime(endpoint: &Endpoint) -> Answered {
    let connector = connector(endpoint, &Arc::new(LabelSelection::default()));
    match timeout(PATIENCE, connector.connect()).await {
        Ok(Ok(client)) if client.runtime() == Runtime::Unknown => Err(Trouble {
            reason: "it answers, and does not say which runtime it is".to_owned(),
            remedy: "name the protocol that is spoken there with --runtime-endpoint",
        }),
        Ok(Ok(client)) => Ok((client.runtime(), client.version().to_owned())),
        Ok(Err(why)) => Err(Trouble {
            reason: why.to_string(),
            remedy: remedy(endpoint).await,
        }),
        Err(_elapsed) => Err(Trouble {
            reason: format!("it does not say who it is within {PATIENCE:?}"),
            remedy: HANGS,
        }),
    }
}

const HANGS: &str =
    "see the runtime's log, and restart it if it hangs; cgscope tries it again by itself";

/// What can be done, by what comes of connecting to the socket.
async fn remedy(endpoint: &Endpoint) -> &'static str {
    if !Path::new(&endpoint.address).is_absolute() {
        return "see whether the address is right, and whether it can be reached from here";
    }
    match timeout(CONNECT_TIME, UnixStream::connect(&endpoint.address)).await {
        Err(_elapsed) => HANGS,
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::NotFound => {
                "start the runtime, or correct the address (--runtime-endpoint); in a container, mount \
                 the folder of the socket"
            }
            io::ErrorKind::PermissionDenied => {
                "run this as root, or as a member of the socket's group"
            }
            io::ErrorKind::ConnectionRefused => {
                "start the runtime: its socket is left over, and nobody listens there"
            }
            _ => HANGS,
        },
        Ok(Ok(_connected)) => {
            "nothing, if the runtime is listed by another protocol too; else see its log, and whether this \
             protocol is spoken there (--runtime-endpoint names another)"
        }
    }
}

async fn ask_daemon(listen: SocketAddr) -> Result<CatalogDocument, String> {
    let asked = tokio::task::spawn_blocking(move || ask(listen));
    match timeout(DAEMON_PATIENCE, asked).await {
        Ok(Ok(Ok((document, _)))) => Ok(document),
        Ok(Ok(Err(error))) => Err(error_chain(&error)),
        Ok(Err(error)) => Err(error_chain(&error)),
        Err(_elapsed) => Err(format!(
            "the daemon at {listen} does not answer within {DAEMON_PATIENCE:?}"
        )),
    }
}

impl RuntimeReport {
    fn of(endpoint: &Endpoint, found: Found, answer: Answered) -> Self {
        let (answered, trouble) = match answer {
            Ok(answered) => (Some(answered), None),
            Err(trouble) => (None, Some(trouble)),
        };
        let (runtime, version) = answered.unzip();
        Self {
            protocol: endpoint.protocol.name().to_owned(),
            address: endpoint.address.clone(),
            found,
            runtime: runtime.map(|of| of.name().to_owned()),
            version,
            remedy: trouble.as_ref().map(|of| of.remedy.to_owned()),
            reason: trouble.map(|of| of.reason),
            followed: None,
            since_seconds: None,
            last_error: None,
            last_error_time_seconds: None,
        }
    }

    /// Whether the two are of one place.
    fn is_at(&self, told: &RuntimeEntry) -> bool {
        self.protocol == told.protocol && self.address == told.address
    }

    fn lines(&self, daemon: &DaemonReport, lines: &mut Vec<String>) {
        let clean = |text: &String| path_text(text.as_bytes());
        let who = match (&self.runtime, &self.version) {
            (Some(runtime), Some(version)) => {
                format!("{} {} answers", clean(runtime), clean(version))
            }
            (Some(runtime), None) => format!("{} answers", clean(runtime)),
            (None, _) => "nobody answers".to_owned(),
        };
        lines.push(format!("{:<12} {who}", clean(&self.protocol)));
        let mut more = |line: String| lines.push(format!("{:12}   {line}", ""));
        let found = match self.found {
            Found::Configured => "as configured",
            Found::Environment => "as the environment tells",
            Found::KnownPlace => "a known place",
            Found::Daemon => "as the daemon tells, which alone asked there",
        };
        more(format!("at {}, {found}", clean(&self.address)));
        if let Some(reason) = &self.reason {
            more(format!("because {}", clean(reason)));
        }
        if let Some(remedy) = &self.remedy {
            more(format!("to fix: {remedy}"));
        }
        match (self.followed, self.since_seconds.and_then(date)) {
            (Some(true), Some(since)) => more(format!("answers the daemon since {since}")),
            (Some(true), None) => more("does not answer the daemon".to_owned()),
            (Some(false), _) => more(format!(
                "not followed by the daemon at {}, which is configured otherwise",
                daemon.address
            )),
            (None, _) => {}
        }
        if let Some(error) = &self.last_error {
            let when = self.last_error_time_seconds.and_then(date);
            let when = when.map_or_else(String::new, |when| format!(" at {when}"));
            more(format!("the daemon's last error{when}: {}", clean(error)));
        }
    }
}

/// Adds what the daemon tells: to the places that are known, and places of its own.
fn join(runtimes: &mut Vec<RuntimeReport>, told: Vec<RuntimeEntry>) {
    for report in &mut *runtimes {
        report.followed = Some(false);
    }
    for entry in told.into_iter().take(MAX_FOLLOWED) {
        match runtimes.iter_mut().find(|report| report.is_at(&entry)) {
            Some(report) => {
                report.followed = Some(true);
                report.since_seconds = entry.since_seconds;
                report.last_error = entry.last_error;
                report.last_error_time_seconds = entry.last_error_time_seconds;
            }
            None => runtimes.push(RuntimeReport {
                protocol: entry.protocol,
                address: entry.address,
                found: Found::Daemon,
                runtime: entry.runtime,
                version: entry.version,
                reason: None,
                remedy: None,
                followed: Some(true),
                since_seconds: entry.since_seconds,
                last_error: entry.last_error,
                last_error_time_seconds: entry.last_error_time_seconds,
            }),
        }
    }
}

impl Inventory {
    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.runtimes.is_empty() {
            let looked = if self.runtime_places.is_empty() {
                "the known places were not looked at (--runtime-discovery)".to_owned()
            } else {
                format!("looked at {}", self.runtime_places.join(", "))
            };
            lines.push(format!(
                "no container runtime found: {looked}; --runtime-endpoint names others"
            ));
        }
        for report in &self.runtimes {
            report.lines(&self.daemon, &mut lines);
        }
        if let Some(reason) = &self.daemon.reason {
            lines.push(format!(
                "{}; only a daemon knows since when a runtime answers",
                path_text(reason.as_bytes())
            ));
        }
        lines
    }
}

/// A calendar's; `None` for what is in none: a daemon's document is not trusted.
fn date(seconds: f64) -> Option<String> {
    const END_OF_9999: Duration = Duration::from_secs(253_402_300_799);
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    let at = SystemTime::UNIX_EPOCH.checked_add(since)?;
    (since < END_OF_9999).then(|| humantime::format_rfc3339_seconds(at).to_string())
}
