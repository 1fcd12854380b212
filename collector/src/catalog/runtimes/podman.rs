//! Podman, through its own API (libpod).
//!
//! In: the socket of `podman system service`. Out: its containers and pods, and what happens to them.
//! Never here: the words that it shares with Docker, which do not tell of pods.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CallError, Connector, ContainerRef, Endpoint, EventStream, Listed, MAX_CONTAINERS,
    NotConnected, RuntimeClient, RuntimeEvent,
    details::{Details, TellsDetails, add_details, inspect},
    docker::{events_call, has_host_network, state_of},
    engine::Engine,
    http::{CallLimits, HttpClient, ObjectStream},
    told_json::{Labels, first_text, is_id, read_list, told_epoch, told_time},
};
use crate::catalog::{
    Flavor, LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    provider::Unavailable, runtime_container::told_text,
};

/// The version of the API that is spoken, unless Podman has only newer ones.
const API: [u32; 3] = [4, 0, 0];

/// The most bytes of what is told of one container, or pod.
const MAX_INSPECTION: usize = 4 << 20;

/// The cause of a refusal for a container that is gone.
const NO_SUCH_CONTAINER: &str = "\"cause\":\"no such container\"";

/// What happens to containers and is told of. Two of them have other names in other versions of Podman.
const ACTIONS: [&str; 12] = [
    "create", "init", "start", "restart", "died", "die", "pause", "unpause", "rename", "update",
    "remove", "destroy",
];

/// Keys of an event's attributes, beside the container's labels.
mod key {
    pub(super) const NAME: &str = "name";
    pub(super) const IMAGE: &str = "image";
    pub(super) const EXIT_CODE: &str = "containerExitCode";
    pub(super) const POD: &str = "podId";

    pub(super) const ALL: [&str; 4] = [NAME, IMAGE, EXIT_CODE, POD];
}

/// Connects to Podman.
#[derive(Clone, Debug)]
pub struct PodmanConnector {
    endpoint: Endpoint,
    labels: Arc<LabelSelection>,
    limits: CallLimits,
}

impl PodmanConnector {
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
impl Connector for PodmanConnector {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, NotConnected> {
        let http = HttpClient::new(&self.endpoint.address, self.limits)?;
        let engine = Engine::ask(&http).await?;
        let address = http.address();
        let range = engine
            .podman_api()
            .ok_or_else(|| Unavailable::not_yet(format!("{address} is not Podman's socket")))?;
        let api = range.nearest(&API).ok_or_else(|| {
            Unavailable::not_yet(format!(
                "{address} does not tell which versions of Podman's API it has"
            ))
        })?;
        Ok(Arc::new(PodmanClient {
            version: told_text(&engine.version),
            inner: Arc::new(Inner {
                one: http.with_limits(CallLimits {
                    bytes: MAX_INSPECTION.min(self.limits.bytes),
                    ..self.limits
                }),
                http,
                base: format!("/v{api}/libpod"),
                labels: Arc::clone(&self.labels),
                details: Details::default(),
                pods: Mutex::default(),
            }),
        }))
    }
}

#[derive(Debug)]
struct PodmanClient {
    version: String,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: HttpClient,
    /// For calls about one container, or pod.
    one: HttpClient,
    base: String,
    labels: Arc<LabelSelection>,
    details: Details,
    /// Pods by their ids. None of this changes while a pod is there, and no other gets its id.
    pods: Mutex<HashMap<String, Pod>>,
}

#[derive(Clone, Debug)]
struct Pod {
    name: String,
    infra: String,
    labels: Vec<(String, String)>,
}

impl Inner {
    fn known_pod(&self, id: &str) -> Option<Pod> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(id).cloned()
    }

    async fn pod(&self, id: &str) -> Result<Option<Pod>, CallError> {
        if !is_id(id) {
            return Ok(None);
        }
        if let Some(pod) = self.known_pod(id) {
            return Ok(Some(pod));
        }
        let call = format!("{}/pods/{id}/json", self.base);
        let Some(text) = self.one.get(&call).await? else {
            return Ok(None);
        };
        let malformed = |error: serde_json::Error| self.one.malformed(&call, error.to_string());
        let told: InspectedPod<'_> = serde_json::from_str(&text).map_err(malformed)?;
        let labels = Labels::read(told.labels, &[], &self.labels).map_err(malformed)?;
        let pod = Pod {
            name: told_text(&told.name),
            infra: told
                .infra_container_id
                .filter(|id| is_id(id))
                .unwrap_or_default(),
            labels: self.labels.of_pod(|key| labels.get(key)),
        };
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if pods.len() >= MAX_CONTAINERS {
            // Those that are gone cannot be told from the others; the others are asked for again.
            pods.clear();
        }
        pods.insert(id.to_owned(), pod.clone());
        Ok(Some(pod))
    }
}

impl TellsDetails for Inner {
    fn details(&self) -> &Details {
        &self.details
    }

    async fn ask(&self, id: &str) -> Result<Option<RuntimeContainer>, CallError> {
        let call = format!("{}/containers/{id}/json", self.base);
        let text = match self.one.get(&call).await {
            // So it says of one that goes while it looks.
            Err(CallError::Refused { answer, .. }) if answer.contains(NO_SUCH_CONTAINER) => None,
            answer => answer?,
        };
        let Some(text) = text else {
            return Ok(None);
        };
        let malformed = |error: serde_json::Error| self.one.malformed(&call, error.to_string());
        let inspected: Inspected<'_> = serde_json::from_str(&text).map_err(malformed)?;
        let pod = inspected.pod.clone().unwrap_or_default();
        let mut container = inspected.into_container(&self.labels).map_err(malformed)?;
        drop(text);
        if let Some(pod) = self.pod(&pod).await? {
            put_into_pod(&mut container, pod);
        }
        Ok(Some(container))
    }
}

fn put_into_pod(container: &mut RuntimeContainer, pod: Pod) {
    if container.role == Role::Sandbox {
        container.names.container.clear();
    } else {
        container.sandbox = pod.infra;
        name_in_pod(&mut container.names, &pod.name);
    }
    container.names.pod = pod.name;
    container.pod_labels = pod.labels;
}

/// `podman kube play` names a container by its pod and its name in there.
fn name_in_pod(names: &mut Names, pod: &str) {
    let name = names.name.strip_prefix(pod);
    let name = name.and_then(|name| name.strip_prefix('-'));
    names.container = name.unwrap_or(&names.name).to_owned();
}

#[async_trait]
impl RuntimeClient for PodmanClient {
    fn runtime(&self) -> Runtime {
        Runtime::Podman
    }

    fn version(&self) -> &str {
        &self.version
    }

    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        let inner = &self.inner;
        let call = events_call(&format!("{}/events?stream=true&", inner.base), &ACTIONS);
        // It answers only when something happens.
        let objects = inner.http.objects_later(&call).await?;
        Ok(Some(Box::new(PodmanEvents {
            number: inner.details.begin_stream(),
            inner: Arc::clone(inner),
            objects,
            call,
        })))
    }

    async fn list(&self) -> Result<Listed, CallError> {
        let inner = &self.inner;
        let call = format!("{}/containers/json?all=true", inner.base);
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

#[derive(Debug)]
struct PodmanEvents {
    number: u64,
    inner: Arc<Inner>,
    objects: ObjectStream,
    call: String,
}

impl Drop for PodmanEvents {
    fn drop(&mut self) {
        self.inner.details.end_stream(self.number);
    }
}

#[async_trait]
impl EventStream for PodmanEvents {
    async fn next(&mut self) -> Result<RuntimeEvent, CallError> {
        let next = self.next_or_error().await;
        if next.is_err() {
            self.inner.details.end_stream(self.number);
        }
        next
    }
}

impl PodmanEvents {
    async fn next_or_error(&mut self) -> Result<RuntimeEvent, CallError> {
        loop {
            let text = self.objects.next().await?;
            let event = serde_json::from_str::<Event<'_>>(&text)
                .and_then(|event| event.into_event(&self.inner))
                .map_err(|error| self.inner.http.malformed(&self.call, error.to_string()))?;
            if let Some(event) = event {
                self.inner.details.changed(&event.of().id);
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
    fn into_event(self, inner: &Inner) -> Result<Option<RuntimeEvent>, serde_json::Error> {
        if self.r#type != "container" || !is_id(&self.actor.id) {
            return Ok(None);
        }
        let of = ContainerRef {
            id_namespace: String::new(),
            id: self.actor.id,
        };
        let at = told_epoch(self.time, Some(self.time_nano));
        let labels = Labels::read(self.actor.attributes, &key::ALL, &inner.labels)?;
        let state = match self.action.as_str() {
            "died" | "die" => {
                let code = labels.get(key::EXIT_CODE);
                let code = code.and_then(|code| code.parse().ok());
                return Ok(Some(RuntimeEvent::Exited { of, code, at }));
            }
            "remove" | "destroy" => return Ok(Some(RuntimeEvent::Removed { of })),
            "create" => RuntimeState::Created,
            "start" | "restart" | "unpause" => RuntimeState::Running,
            "pause" => RuntimeState::Paused,
            action if ACTIONS.contains(&action) => RuntimeState::Unknown,
            _ => return Ok(None),
        };
        let mut told = RuntimeContainer {
            id: of.id.clone(),
            runtime: RuntimeMetadata::of(Runtime::Podman),
            names: Names {
                name: labels.text(key::NAME),
                image: labels.text(key::IMAGE),
                ..Names::default()
            },
            labels: inner.labels.of_container(|key| labels.get(key)),
            state,
            started: at.filter(|_| self.action == "start"),
            ..RuntimeContainer::default()
        };
        if let Some(pod) = labels.get(key::POD).and_then(|pod| inner.known_pod(pod)) {
            if pod.infra == told.id {
                told.role = Role::Sandbox;
            }
            put_into_pod(&mut told, pod);
        }
        let told = Some(Box::new(told));
        Ok(Some(RuntimeEvent::Changed { of, told }))
    }
}

const fn role(is_infra: bool) -> Role {
    if is_infra {
        Role::Sandbox
    } else {
        Role::Container
    }
}

/// A state's name; Podman has two more than Docker.
fn state(text: &str) -> RuntimeState {
    match text {
        "configured" | "initialized" => RuntimeState::Created,
        "stopped" => RuntimeState::Exited,
        "stopping" => RuntimeState::Running,
        of_docker => state_of(of_docker),
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
    pid: i64,
    #[serde(default)]
    pod_name: String,
    #[serde(default)]
    is_infra: bool,
    #[serde(default)]
    started_at: i64,
    #[serde(default)]
    exited_at: i64,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    restarts: Option<u32>,
}

impl Item<'_> {
    fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.labels, &[], chosen)?;
        let state = state(&self.state);
        let role = role(self.is_infra);
        let mut names = Names {
            name: first_text(self.names, |_| true),
            image: told_text(&self.image),
            pod: told_text(&self.pod_name),
            ..Names::default()
        };
        if !names.pod.is_empty() && role == Role::Container {
            let pod = names.pod.clone();
            name_in_pod(&mut names, &pod);
        }
        Ok(RuntimeContainer {
            id: self.id,
            runtime: RuntimeMetadata::of(Runtime::Podman),
            role,
            names,
            labels: chosen.of_container(|key| labels.get(key)),
            state,
            pid: self.pid.try_into().ok().filter(|pid| *pid > 0),
            started: told_epoch(self.started_at, None),
            finished: told_epoch(self.exited_at, None),
            exit_code: self.exit_code.filter(|_| state == RuntimeState::Exited),
            restarts: self.restarts,
            ..RuntimeContainer::default()
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
    image_name: String,
    #[serde(default)]
    pod: Option<String>,
    #[serde(default)]
    is_infra: bool,
    #[serde(default)]
    restart_count: Option<u32>,
    #[serde(default, rename = "OCIRuntime")]
    oci_runtime: String,
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
    #[serde(default)]
    cgroup_path: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    network_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config<'a> {
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedPod<'a> {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "InfraContainerID")]
    infra_container_id: Option<String>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
}

impl Inspected<'_> {
    fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.config.labels, &[], chosen)?;
        let state = state(&self.state.status);
        // The name of the program, or its path.
        let program = self.oci_runtime.rsplit('/').next().unwrap_or_default();
        let flavor = if program.starts_with("kata") {
            Flavor::Kata
        } else {
            Flavor::Default
        };
        let cgroup = told_text(&self.state.cgroup_path);
        Ok(RuntimeContainer {
            id: self.id,
            runtime: RuntimeMetadata {
                runtime: Runtime::Podman,
                flavor,
            },
            role: role(self.is_infra),
            names: Names {
                name: told_text(&self.name),
                image: told_text(&self.image_name),
                ..Names::default()
            },
            labels: chosen.of_container(|key| labels.get(key)),
            state,
            pid: self.state.pid.try_into().ok().filter(|pid| *pid > 0),
            cgroup_path: Some(cgroup).filter(|path| path.starts_with('/')),
            started: told_time(&self.state.started_at),
            finished: told_time(&self.state.finished_at),
            exit_code: self
                .state
                .exit_code
                .filter(|_| state == RuntimeState::Exited),
            restarts: self.restart_count,
            host_network: has_host_network(&self.host_config.network_mode),
            ..RuntimeContainer::default()
        })
    }
}
