//! Docker, through its Engine API.
//!
//! In: the daemon's socket. Out: its containers and what happens to them; pods, where cri-dockerd made
//! them. Never here: Podman, which answers to the same words.

pub(super) mod container;

use std::sync::Arc;

use async_trait::async_trait;

use self::container::{Inspected, Item, container, key};
use super::{
    CallError, Connector, Endpoint, NotConnected, RuntimeClient,
    details::{Details, TellsDetails},
    engine::{
        Engine,
        client::{Dialect, EngineApi, EngineClient},
    },
    http::{CallLimits, HttpClient, ObjectStream},
    told_json::Labels,
};
use crate::catalog::{
    LabelSelection, Runtime, RuntimeContainer, provider::Unavailable, runtime_container::told_text,
};

/// The version of the API that is spoken, unless the daemon has only older or newer ones: what is read
/// here is the same in all.
const API: [u32; 2] = [1, 41];

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
        let labels = Arc::clone(&self.labels);
        Ok(Arc::new(EngineClient {
            version: told_text(&engine.version),
            dialect: Arc::new(DockerDialect {
                api: EngineApi::new(http, format!("/v{api}"), labels),
            }),
        }))
    }
}

/// Docker's own words.
#[derive(Debug)]
struct DockerDialect {
    api: EngineApi,
}

impl TellsDetails for DockerDialect {
    fn details(&self) -> &Details {
        &self.api.details
    }

    async fn ask(&self, id: &str) -> Result<Option<RuntimeContainer>, CallError> {
        let EngineApi { one, labels, .. } = &self.api;
        let call = format!("{}/containers/{id}/json", self.api.base);
        let Some(text) = one.get(&call).await? else {
            return Ok(None);
        };
        serde_json::from_str::<Inspected<'_>>(&text)
            .and_then(|inspected| inspected.into_container(labels))
            .map(Some)
            .map_err(|error| one.malformed(&call, error.to_string()))
    }
}

impl Dialect for DockerDialect {
    const RUNTIME: Runtime = Runtime::Docker;
    const LIST: &'static str = "/containers/json?all=1";
    const EVENTS: &'static str = "/events?";
    const ACTIONS: &'static [&'static str] = &ACTIONS;
    const EVENT_KEYS: &'static [&'static str] = &key::ALL;
    const EXIT_CODE: &'static str = key::EVENT_EXIT_CODE;

    fn api(&self) -> &EngineApi {
        &self.api
    }

    async fn open_events(&self, call: &str) -> Result<ObjectStream, CallError> {
        self.api.http.objects(call).await
    }

    fn read_item(&self, item: &str) -> serde_json::Result<RuntimeContainer> {
        serde_json::from_str::<Item<'_>>(item)?.into_container(&self.api.labels)
    }

    fn told_by_event(&self, id: &str, attributes: &Labels) -> RuntimeContainer {
        container(
            id.to_owned(),
            &attributes.text(key::EVENT_NAME),
            &attributes.text(key::EVENT_IMAGE),
            attributes,
            &self.api.labels,
        )
    }
}
