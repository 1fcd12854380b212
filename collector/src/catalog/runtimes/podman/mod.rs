//! Podman, through its own API (libpod).
//!
//! In: the socket of `podman system service`. Out: its containers and pods, and what happens to them.
//! Never here: the words that it shares with Docker, which do not tell of pods.

mod container;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use self::container::{Inspected, InspectedPod, Item, key};
use super::{
    CallError, Connector, Endpoint, MAX_CONTAINERS, NotConnected, RuntimeClient,
    details::{Details, TellsDetails},
    engine::{
        Engine,
        client::{Dialect, EngineApi, EngineClient},
    },
    http::{CallLimits, HttpClient, ObjectStream},
    told_json::{Labels, is_id},
};
use crate::catalog::{
    LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, provider::Unavailable,
    runtime_container::told_text,
};

/// The version of the API that is spoken, unless Podman has only newer ones.
const API: [u32; 3] = [4, 0, 0];

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
        let labels = Arc::clone(&self.labels);
        Ok(Arc::new(EngineClient {
            version: told_text(&engine.version),
            dialect: Arc::new(PodmanDialect {
                api: EngineApi::new(http, format!("/v{api}/libpod"), labels),
                pods: Mutex::default(),
            }),
        }))
    }
}

/// Podman's own words, and its pods.
#[derive(Debug)]
struct PodmanDialect {
    api: EngineApi,
    /// Pods by their ids. None of this changes while a pod is there, and no other gets its id.
    pods: Mutex<HashMap<String, Pod>>,
}

#[derive(Clone, Debug)]
struct Pod {
    name: String,
    infra: String,
    labels: Vec<(String, String)>,
}

impl PodmanDialect {
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
        let call = format!("{}/pods/{id}/json", self.api.base);
        let Some(text) = self.api.one.get(&call).await? else {
            return Ok(None);
        };
        let malformed = |error: serde_json::Error| self.api.one.malformed(&call, error.to_string());
        let told: InspectedPod<'_> = serde_json::from_str(&text).map_err(malformed)?;
        let labels = Labels::read(told.labels, &[], &self.api.labels).map_err(malformed)?;
        let pod = Pod {
            name: told_text(&told.name),
            infra: told
                .infra_container_id
                .filter(|id| is_id(id))
                .unwrap_or_default(),
            labels: self.api.labels.of_pod(|key| labels.get(key)),
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

impl TellsDetails for PodmanDialect {
    fn details(&self) -> &Details {
        &self.api.details
    }

    async fn ask(&self, id: &str) -> Result<Option<RuntimeContainer>, CallError> {
        let call = format!("{}/containers/{id}/json", self.api.base);
        let text = match self.api.one.get(&call).await {
            // So it says of one that goes while it looks.
            Err(CallError::Refused { answer, .. }) if answer.contains(NO_SUCH_CONTAINER) => None,
            answer => answer?,
        };
        let Some(text) = text else {
            return Ok(None);
        };
        let malformed = |error: serde_json::Error| self.api.one.malformed(&call, error.to_string());
        let inspected: Inspected<'_> = serde_json::from_str(&text).map_err(malformed)?;
        let pod = inspected.pod.clone().unwrap_or_default();
        let mut container = inspected
            .into_container(&self.api.labels)
            .map_err(malformed)?;
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

impl Dialect for PodmanDialect {
    const RUNTIME: Runtime = Runtime::Podman;
    const LIST: &'static str = "/containers/json?all=true";
    const EVENTS: &'static str = "/events?stream=true&";
    const ACTIONS: &'static [&'static str] = &ACTIONS;
    const EVENT_KEYS: &'static [&'static str] = &key::ALL;
    const EXIT_CODE: &'static str = key::EXIT_CODE;

    fn api(&self) -> &EngineApi {
        &self.api
    }

    async fn open_events(&self, call: &str) -> Result<ObjectStream, CallError> {
        // It answers only when something happens.
        self.api.http.objects_later(call).await
    }

    fn read_item(&self, item: &str) -> serde_json::Result<RuntimeContainer> {
        serde_json::from_str::<Item<'_>>(item)?.into_container(&self.api.labels)
    }

    fn told_by_event(&self, id: &str, attributes: &Labels) -> RuntimeContainer {
        let mut told = RuntimeContainer {
            id: id.to_owned(),
            runtime: RuntimeMetadata::of(Runtime::Podman),
            names: Names {
                name: attributes.text(key::NAME),
                image: attributes.text(key::IMAGE),
                ..Names::default()
            },
            labels: self.api.labels.of_container(|key| attributes.get(key)),
            ..RuntimeContainer::default()
        };
        if let Some(pod) = attributes.get(key::POD).and_then(|pod| self.known_pod(pod)) {
            if pod.infra == told.id {
                told.role = Role::Sandbox;
            }
            put_into_pod(&mut told, pod);
        }
        told
    }
}
