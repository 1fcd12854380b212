//! Docker, through its Engine API.
//!
//! In: the daemon's socket. Out: its containers and what happens to them; pods, where cri-dockerd made
//! them. Never here: Podman, which answers to the same words.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{task::JoinSet, time::timeout};

use super::{
    CallError, Connector, ContainerRef, Endpoint, EventStream, Listed, RuntimeClient, RuntimeEvent,
    http::{CallLimits, HttpClient, ObjectStream, not_there},
    told_json::{Labels, is_id, read_list, told_epoch, told_time},
};
use crate::catalog::{
    Flavor, LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    provider::Unavailable, runtime_container::told_text,
};

/// The version of the API that is spoken, unless the daemon has only older or newer ones: what is read
/// here is the same in all.
const API: ApiVersion = ApiVersion(1, 41);

/// How many containers are looked at at once.
const CALLS_AT_ONCE: usize = 4;

/// The most bytes of what is told of one container.
const MAX_INSPECTION: usize = 4 << 20;

/// What happens to containers and is told of; not what happens in them, which is told thousands of times
/// (`exec_start`, `health_status`).
const ACTIONS: [&str; 10] = [
    "create", "start", "restart", "die", "oom", "pause", "unpause", "rename", "update", "destroy",
];

/// Keys of labels that cri-dockerd gives.
mod key {
    pub(super) const POD: &str = "io.kubernetes.pod.name";
    pub(super) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub(super) const UID: &str = "io.kubernetes.pod.uid";
    pub(super) const CONTAINER: &str = "io.kubernetes.container.name";
    pub(super) const KIND: &str = "io.kubernetes.docker.type";
    pub(super) const SANDBOX: &str = "io.kubernetes.sandbox.id";
    pub(super) const RESTARTS: &str = "annotation.io.kubernetes.container.restartCount";
    /// Attributes of an event, beside the container's labels.
    pub(super) const EVENT_NAME: &str = "name";
    pub(super) const EVENT_IMAGE: &str = "image";
    pub(super) const EVENT_EXIT_CODE: &str = "exitCode";

    pub(super) const ALL: [&str; 10] = [
        POD,
        NAMESPACE,
        UID,
        CONTAINER,
        KIND,
        SANDBOX,
        RESTARTS,
        EVENT_NAME,
        EVENT_IMAGE,
        EVENT_EXIT_CODE,
    ];
}

/// Connects to Docker.
#[derive(Clone, Debug)]
pub struct DockerConnector {
    endpoint: Endpoint,
    labels: Arc<LabelSelection>,
    limits: CallLimits,
}

impl DockerConnector {
    /// At an address, with the labels to keep.
    #[must_use]
    pub fn new(endpoint: Endpoint, labels: Arc<LabelSelection>) -> Self {
        Self::with_limits(endpoint, labels, CallLimits::default())
    }

    /// The same with other limits.
    #[must_use]
    pub const fn with_limits(
        endpoint: Endpoint,
        labels: Arc<LabelSelection>,
        limits: CallLimits,
    ) -> Self {
        Self {
            endpoint,
            labels,
            limits,
        }
    }
}

#[async_trait]
impl Connector for DockerConnector {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, Unavailable> {
        let http = HttpClient::new(&self.endpoint.address, self.limits)?;
        let who = ask_version(&http).await?;
        if who.is_podman() {
            return Err(Unavailable::not_yet(format!(
                "{} is Podman's socket, and not Docker's: it is read as Podman",
                http.address()
            )));
        }
        let api = who.api().ok_or_else(|| {
            Unavailable::not_yet(format!(
                "{} does not tell which versions of Docker's API it has",
                http.address()
            ))
        })?;
        Ok(Arc::new(DockerClient {
            version: told_text(&who.version),
            inner: Arc::new(Inner {
                one: http.with_limits(CallLimits {
                    bytes: MAX_INSPECTION.min(self.limits.bytes),
                    ..self.limits
                }),
                http,
                base: format!("/v{}.{}", api.0, api.1),
                labels: Arc::clone(&self.labels),
                known: Mutex::default(),
            }),
        }))
    }
}

/// Who answers, within the time that connecting may take.
async fn ask_version(http: &HttpClient) -> Result<Who, Unavailable> {
    const CALL: &str = "/version";
    let limits = CallLimits {
        answer: http.limits().connect,
        bytes: 1 << 20,
        ..*http.limits()
    };
    let text = http.with_limits(limits).get(CALL).await;
    let text = text.map_err(|error| not_there(&error))?.ok_or_else(|| {
        Unavailable::not_yet(format!(
            "{} is not Docker's: it has no {CALL}",
            http.address()
        ))
    })?;
    serde_json::from_str(&text).map_err(|error| not_there(&http.malformed(CALL, error.to_string())))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Who {
    #[serde(default)]
    version: String,
    #[serde(default)]
    api_version: String,
    #[serde(default, rename = "MinAPIVersion")]
    min_api_version: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    #[serde(default)]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion(u32, u32);

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl Who {
    fn is_podman(&self) -> bool {
        self.components
            .iter()
            .any(|component| component.name == "Podman Engine")
    }

    /// The version of the API to speak.
    fn api(&self) -> Option<ApiVersion> {
        let newest = ApiVersion::parse(&self.api_version)?;
        let oldest = ApiVersion::parse(&self.min_api_version).unwrap_or(API);
        Some(API.max(oldest).min(newest))
    }
}

#[derive(Debug)]
struct DockerClient {
    version: String,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: HttpClient,
    /// For calls about one container.
    one: HttpClient,
    base: String,
    labels: Arc<LabelSelection>,
    known: Mutex<Known>,
}

/// What was told of containers one by one. A list does not have it all (no PID, no time), and to ask for
/// each container in each listing would cost the daemon a call for each: so it is kept for as long as a
/// stream of events tells when it changes.
#[derive(Debug, Default)]
struct Known {
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

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn will_ask(&self, id: &str) -> u64 {
        let mut known = self.known();
        known.asked += 1;
        let ticket = known.asked;
        if known.stream.is_some() {
            known
                .containers
                .insert(id.to_owned(), Knowledge::Asked(ticket));
        }
        ticket
    }

    fn was_told(&self, id: &str, ticket: u64, told: Option<&RuntimeContainer>) {
        let mut known = self.known();
        let is_current = matches!(
            known.containers.get(id),
            Some(Knowledge::Asked(asked)) if *asked == ticket
        );
        match told {
            Some(told) if is_current => {
                let told = Knowledge::Told(Box::new(told.clone()));
                known.containers.insert(id.to_owned(), told);
            }
            None if is_current => drop(known.containers.remove(id)),
            _ => {}
        }
    }

    async fn inspect(&self, id: &str) -> Result<Option<RuntimeContainer>, CallError> {
        if !is_id(id) {
            return Ok(None);
        }
        let ticket = self.will_ask(id);
        let call = format!("{}/containers/{id}/json", self.base);
        let told = match self.one.get(&call).await {
            Ok(Some(text)) => serde_json::from_str::<Inspected<'_>>(&text)
                .and_then(|inspected| inspected.into_container(&self.labels))
                .map(Some)
                .map_err(|error| self.one.malformed(&call, error.to_string())),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.was_told(id, ticket, told.as_ref().ok().and_then(Option::as_ref));
        told
    }

    /// Puts what is told of each running container into a list of them, as far as there is time for it:
    /// what has no details now is asked for again with the next list.
    async fn add_details(self: Arc<Self>, listed: &mut Listed) {
        let mut places = HashMap::new();
        let mut wanted = Vec::new();
        {
            let mut known = self.known();
            known
                .containers
                .retain(|_, knowledge| matches!(knowledge, Knowledge::Told(_)));
            let mut kept = HashMap::new();
            for (place, container) in listed.containers.iter_mut().enumerate() {
                match known.containers.remove(&container.id) {
                    Some(Knowledge::Told(told)) if told.state == container.state => {
                        container.clone_from(&told);
                        kept.insert(container.id.clone(), Knowledge::Told(told));
                    }
                    _ => {
                        places.insert(container.id.clone(), place);
                        wanted.push((container.state, container.id.clone()));
                    }
                }
            }
            known.containers = kept;
        }
        // Those that run first: they have a process to be named by.
        wanted.sort_by_key(|(state, _)| match state {
            RuntimeState::Running => 0,
            RuntimeState::Paused => 1,
            _ => 2,
        });
        let mut wanted = wanted.into_iter().map(|(_, id)| id);
        let mut calls = JoinSet::new();
        let ask_all = async {
            loop {
                while calls.len() < CALLS_AT_ONCE
                    && let Some(id) = wanted.next()
                {
                    let inner = Arc::clone(&self);
                    calls.spawn(async move { (inner.inspect(&id).await, id) });
                }
                let Some(told) = calls.join_next().await else {
                    return;
                };
                match told {
                    Ok((Ok(Some(container)), id)) if container.id == id => {
                        listed.containers[places[&id]] = container;
                    }
                    // It is gone, or cannot be read: what the list tells of it stays, and whoever asks
                    // for it is told why.
                    Ok((
                        Ok(_)
                        | Err(
                            CallError::Refused { .. }
                            | CallError::Malformed { .. }
                            | CallError::TooLarge { .. },
                        ),
                        _,
                    )) => {}
                    // The daemon does not answer: the others would each wait too.
                    Ok((Err(_), _)) | Err(_) => return,
                }
            }
        };
        // Those that are still asked for are ended with `calls`.
        let _in_time = timeout(self.http.limits().answer, ask_all).await;
    }
}

#[async_trait]
impl RuntimeClient for DockerClient {
    fn runtime(&self) -> Runtime {
        Runtime::Docker
    }

    fn version(&self) -> &str {
        &self.version
    }

    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        let inner = &self.inner;
        // The daemon answers before it listens: what happens in between is told for the sake of `since`.
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let actions = ACTIONS.map(|action| format!("%22{action}%22")).join(",");
        let call = format!(
            "{}/events?since={}.{:09}&filters={{%22type%22:[%22container%22],%22event%22:[{actions}]}}",
            inner.base,
            since.as_secs(),
            since.subsec_nanos(),
        )
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('[', "%5B")
        .replace(']', "%5D");
        let objects = inner.http.objects(&call).await?;
        let mut known = inner.known();
        known.streams += 1;
        known.stream = Some(known.streams);
        known.containers.clear();
        Ok(Some(Box::new(DockerEvents {
            number: known.streams,
            inner: Arc::clone(inner),
            objects,
            call,
        })))
    }

    async fn list(&self) -> Result<Listed, CallError> {
        let inner = &self.inner;
        let call = format!("{}/containers/json?all=1", inner.base);
        let text = inner.http.get(&call).await?;
        let text = text.ok_or_else(|| inner.http.malformed(&call, "there is no such list"))?;
        let mut listed = read_list(&text, |item| {
            serde_json::from_str::<Item<'_>>(item.get())
                .and_then(|item| item.into_container(&inner.labels))
                .ok()
        })
        .map_err(|error| inner.http.malformed(&call, error.to_string()))?;
        drop(text);
        Arc::clone(inner).add_details(&mut listed).await;
        Ok(listed)
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        self.inner.inspect(&of.id).await
    }
}

#[derive(Debug)]
struct DockerEvents {
    number: u64,
    inner: Arc<Inner>,
    objects: ObjectStream,
    call: String,
}

impl Drop for DockerEvents {
    fn drop(&mut self) {
        let mut known = self.inner.known();
        if known.stream == Some(self.number) {
            known.stream = None;
            known.containers = HashMap::new();
        }
    }
}

#[async_trait]
impl EventStream for DockerEvents {
    async fn next(&mut self) -> Result<RuntimeEvent, CallError> {
        loop {
            let text = self.objects.next().await?;
            let event = serde_json::from_str::<Event<'_>>(&text)
                .and_then(|event| event.into_event(&self.inner.labels))
                .map_err(|error| self.inner.http.malformed(&self.call, error.to_string()))?;
            if let Some(event) = event {
                let (RuntimeEvent::Changed { of, .. }
                | RuntimeEvent::Exited { of, .. }
                | RuntimeEvent::Removed { of }) = &event;
                self.inner.known().containers.remove(&of.id);
                return Ok(event);
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    action: String,
    #[serde(borrow)]
    actor: Actor<'a>,
    #[serde(default, rename = "time")]
    time: i64,
    #[serde(default, rename = "timeNano")]
    time_nano: u64,
}

#[derive(Deserialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: String,
    #[serde(borrow, rename = "Attributes")]
    attributes: Option<&'a RawValue>,
}

impl Event<'_> {
    fn into_event(
        self,
        chosen: &LabelSelection,
    ) -> Result<Option<RuntimeEvent>, serde_json::Error> {
        if self.r#type != "container" || !is_id(&self.actor.id) {
            return Ok(None);
        }
        let of = ContainerRef {
            id_namespace: String::new(),
            id: self.actor.id,
        };
        let at = told_epoch(self.time, Some(self.time_nano));
        let labels = Labels::read(self.actor.attributes, &key::ALL, chosen)?;
        let state = match self.action.as_str() {
            "die" => {
                let code = labels
                    .get(key::EVENT_EXIT_CODE)
                    .and_then(|code| code.parse().ok());
                return Ok(Some(RuntimeEvent::Exited { of, code, at }));
            }
            "destroy" => return Ok(Some(RuntimeEvent::Removed { of })),
            "create" => RuntimeState::Created,
            "start" | "restart" | "unpause" => RuntimeState::Running,
            "pause" => RuntimeState::Paused,
            action if ACTIONS.contains(&action) => RuntimeState::Unknown,
            _ => return Ok(None),
        };
        let mut told = container(
            of.id.clone(),
            &labels.text(key::EVENT_NAME),
            &labels.text(key::EVENT_IMAGE),
            &labels,
            chosen,
        );
        told.state = state;
        if self.action == "start" {
            told.started = at;
        }
        let told = Some(Box::new(told));
        Ok(Some(RuntimeEvent::Changed { of, told }))
    }
}

/// A container, as far as its names and labels tell.
fn container(
    id: String,
    name: &str,
    image: &str,
    labels: &Labels,
    chosen: &LabelSelection,
) -> RuntimeContainer {
    let role = match labels.get(key::KIND) {
        Some("podsandbox") => Role::Sandbox,
        _ => Role::Container,
    };
    let is_sandbox = role == Role::Sandbox;
    let value = |key: &str| labels.get(key);
    RuntimeContainer {
        id,
        runtime: RuntimeMetadata::of(Runtime::Docker),
        role,
        names: Names {
            name: told_text(name.trim_start_matches('/')),
            image: told_text(image),
            namespace: labels.text(key::NAMESPACE),
            pod: labels.text(key::POD),
            container: if is_sandbox {
                String::new()
            } else {
                labels.text(key::CONTAINER)
            },
        },
        pod_uid: labels.text(key::UID),
        sandbox: labels.text(key::SANDBOX),
        labels: chosen.of_container(value),
        pod_labels: if is_sandbox {
            chosen.of_pod(value)
        } else {
            Vec::new()
        },
        restarts: labels
            .get(key::RESTARTS)
            .and_then(|count| count.parse().ok()),
        ..RuntimeContainer::default()
    }
}

fn state(text: &str) -> RuntimeState {
    match text {
        "created" => RuntimeState::Created,
        "running" => RuntimeState::Running,
        "paused" => RuntimeState::Paused,
        // One that is restarted has no process until it runs again.
        "exited" | "dead" | "removing" | "restarting" => RuntimeState::Exited,
        _ => RuntimeState::Unknown,
    }
}

/// Whether a container has the host's network. One that has another container's may.
fn has_host_network(mode: &str) -> Option<bool> {
    match mode {
        "" => None,
        "host" => Some(true),
        of_another if of_another.starts_with("container:") => None,
        _ => Some(false),
    }
}

/// A container as a list tells of it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item<'a> {
    id: String,
    names: Option<Vec<String>>,
    #[serde(default)]
    image: String,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    host_config: HostConfig,
}

impl Item<'_> {
    fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.labels, &key::ALL, chosen)?;
        let names = self.names.unwrap_or_default();
        // Links have a slash more (`/other/alias`).
        let name = names
            .iter()
            .find(|name| name.trim_start_matches('/').find('/').is_none())
            .map_or("", String::as_str);
        Ok(RuntimeContainer {
            state: state(&self.state),
            host_network: has_host_network(&self.host_config.network_mode),
            ..container(self.id, name, &self.image, &labels, chosen)
        })
    }
}

/// A container as it is told of alone.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected<'a> {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    restart_count: Option<u32>,
    state: InspectedState,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(borrow)]
    config: Config<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    #[serde(default)]
    status: String,
    #[serde(default)]
    pid: i64,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    network_mode: String,
    #[serde(default)]
    runtime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config<'a> {
    #[serde(default)]
    image: String,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
}

impl Inspected<'_> {
    fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.config.labels, &key::ALL, chosen)?;
        let told = container(self.id, &self.name, &self.config.image, &labels, chosen);
        let state = state(&self.state.status);
        let runtime = &self.host_config.runtime;
        let is_kata = runtime.starts_with("kata") || runtime.starts_with("io.containerd.kata");
        Ok(RuntimeContainer {
            runtime: RuntimeMetadata {
                flavor: if is_kata {
                    Flavor::Kata
                } else {
                    Flavor::Default
                },
                ..told.runtime
            },
            state,
            pid: self.state.pid.try_into().ok().filter(|pid| *pid > 0),
            started: told_time(&self.state.started_at),
            finished: told_time(&self.state.finished_at),
            exit_code: self
                .state
                .exit_code
                .filter(|_| state == RuntimeState::Exited),
            restarts: told.restarts.or(self.restart_count),
            host_network: has_host_network(&self.host_config.network_mode),
            ..told
        })
    }
}
