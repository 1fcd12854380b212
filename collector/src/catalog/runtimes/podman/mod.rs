//! Podman, through its own API (libpod).
//!
//! In: the socket of `podman system service`. Out: its containers and pods, and what happens to them.
//! Never here: the words that it shares with Docker, which do not tell of pods.

mod container;

mod event;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use self::{
    container::{Inspected, InspectedPod, Item},
    event::Event,
};
use super::{
    CallError, Connector, ContainerRef, Endpoint, EventStream, Listed, MAX_CONTAINERS,
    NotConnected, RuntimeClient, RuntimeEvent,
    details::{Details, TellsDetails, add_details, inspect},
    docker::events_call,
    engine::Engine,
    http::{CallLimits, HttpClient, ObjectStream},
    told_json::{Labels, is_id, read_list},
};
use crate::catalog::{
    LabelSelection, Names, Role, Runtime, RuntimeContainer, provider::Unavailable,
    runtime_container::told_text,
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
