//! Docker, through its Engine API.
//!
//! In: the daemon's socket. Out: its containers and what happens to them; pods, where cri-dockerd made
//! them. Never here: Podman, which answers to the same words.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CallError, Connector, ContainerRef, Endpoint, EventStream, Listed, NotConnected, RuntimeClient,
    RuntimeEvent,
    details::{Details, TellsDetails, add_details, inspect},
    engine::Engine,
    http::{CallLimits, HttpClient, ObjectStream},
    told_json::{Labels, first_text, is_id, read_list, told_epoch, told_time},
};
use crate::catalog::{
    Flavor, LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    provider::Unavailable, runtime_container::told_text,
};

/// The version of the API that is spoken, unless the daemon has only older or newer ones: what is read
/// here is the same in all.
const API: [u32; 2] = [1, 41];

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

    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, NotConnected> {
        let http = HttpClient::new(&self.endpoint.address, self.limits)?;
        let engine = Engine::ask(&http).await?;
        let address = http.address();
        if engine.podman_api().is_some() {
            return Err(Unavailable::not_yet(format!(
                "{address} is Podman's socket, and not Docker's: it is read as Podman"
            ))
            .into());
        }
        let api = engine.api.nearest(&API).ok_or_else(|| {
            Unavailable::not_yet(format!(
                "{address} does not tell which versions of Docker's API it has"
            ))
        })?;
        Ok(Arc::new(DockerClient {
            version: told_text(&engine.version),
            inner: Arc::new(Inner {
                one: http.with_limits(CallLimits {
                    bytes: MAX_INSPECTION.min(self.limits.bytes),
                    ..self.limits
                }),
                http,
                base: format!("/v{api}"),
                labels: Arc::clone(&self.labels),
                details: Details::default(),
            }),
        }))
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
    details: Details,
}

impl TellsDetails for Inner {
    fn details(&self) -> &Details {
        &self.details
    }

    async fn ask(&self, id: &str) -> Result<Option<RuntimeContainer>, CallError> {
        let call = format!("{}/containers/{id}/json", self.base);
        let Some(text) = self.one.get(&call).await? else {
            return Ok(None);
        };
        serde_json::from_str::<Inspected<'_>>(&text)
            .and_then(|inspected| inspected.into_container(&self.labels))
            .map(Some)
            .map_err(|error| self.one.malformed(&call, error.to_string()))
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
        let call = events_call(&format!("{}/events?", inner.base), &ACTIONS);
        let objects = inner.http.objects(&call).await?;
        Ok(Some(Box::new(DockerEvents {
            number: inner.details.begin_stream(),
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
        add_details(inner, &mut listed, inner.http.limits().answer).await;
        Ok(listed)
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        if !is_id(&of.id) {
            return Ok(None);
        }
        inspect(&*self.inner, &of.id).await
    }
}

/// The call for what happens to containers from now on. `since` is for what happens between the daemon's
/// answer and when it listens: it answers first.
pub(super) fn events_call(path: &str, actions: &[&str]) -> String {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let filters = serde_json::json!({"type": ["container"], "event": actions}).to_string();
    let mut call = format!(
        "{path}since={}.{:09}&filters=",
        since.as_secs(),
        since.subsec_nanos()
    );
    for character in filters.chars() {
        match character {
            '{' => call.push_str("%7B"),
            '}' => call.push_str("%7D"),
            '[' => call.push_str("%5B"),
            ']' => call.push_str("%5D"),
            '"' => call.push_str("%22"),
            plain => call.push(plain),
        }
    }
    call
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
        self.inner.details.end_stream(self.number);
    }
}

#[async_trait]
impl EventStream for DockerEvents {
    async fn next(&mut self) -> Result<RuntimeEvent, CallError> {
        let next = self.next_or_error().await;
        if next.is_err() {
            self.inner.details.end_stream(self.number);
        }
        next
    }
}

impl DockerEvents {
    async fn next_or_error(&mut self) -> Result<RuntimeEvent, CallError> {
        loop {
            let text = self.objects.next().await?;
            let event = serde_json::from_str::<Event<'_>>(&text)
                .and_then(|event| event.into_event(&self.inner.labels))
                .map_err(|error| self.inner.http.malformed(&self.call, error.to_string()))?;
            if let Some(event) = event {
                let of = event.of();
                self.inner.details.changed(&of.id);
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

pub(super) fn state_of(text: &str) -> RuntimeState {
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
pub(super) fn has_host_network(mode: &str) -> Option<bool> {
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
    #[serde(borrow)]
    names: Option<&'a RawValue>,
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
        // Links have a slash more (`/other/alias`).
        let name = first_text(self.names, |name| {
            !name.trim_start_matches('/').contains('/')
        });
        Ok(RuntimeContainer {
            state: state_of(&self.state),
            host_network: has_host_network(&self.host_config.network_mode),
            ..container(self.id, &name, &self.image, &labels, chosen)
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
        let state = state_of(&self.state.status);
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
