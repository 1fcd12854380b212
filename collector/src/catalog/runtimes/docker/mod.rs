//! Docker, through its Engine API.
//!
//! In: the daemon's socket. Out: its containers and what happens to them; pods, where cri-dockerd made
//! them. Never here: Podman, which answers to the same words.

pub(super) mod container;

mod event;

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;

use self::{
    container::{Inspected, Item},
    event::Event,
};
use super::{
    CallError, Connector, ContainerRef, Endpoint, EventStream, Listed, NotConnected, RuntimeClient,
    RuntimeEvent,
    details::{Details, TellsDetails, add_details, inspect},
    engine::Engine,
    http::{CallLimits, HttpClient, ObjectStream},
    told_json::{is_id, read_list},
};
use crate::catalog::{
    LabelSelection, Runtime, RuntimeContainer, provider::Unavailable, runtime_container::told_text,
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
