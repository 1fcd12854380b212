//! Garden, which runs Cloud Foundry's containers.
//!
//! In: the server's socket. Out: its containers, with the applications that run in them. Never here: what
//! happens to them, which Garden does not tell.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{
    CallError, Connector, ContainerRef, Endpoint, EventStream, Listed, NotConnected, RuntimeClient,
    http::{CallLimits, HttpClient, not_there},
    told_json::{Labels, each_entry, is_id, read_list},
};
use crate::catalog::{
    LabelSelection, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    provider::Unavailable, runtime_container::told_text,
};

/// How many containers one call asks for: their handles are in its path.
const HANDLES_AT_ONCE: usize = 100;

/// A whole listing may take as long as this many answers.
const ANSWERS: u32 = 3;

/// Keys of properties, and of the tags in one of them, that Cloud Foundry gives.
mod key {
    pub(super) const APP: &str = "network.app_id";
    pub(super) const SPACE: &str = "network.space_id";
    pub(super) const PROPERTIES: [&str; 2] = [APP, SPACE];

    pub(super) const TAG_APP: &str = "app_name";
    pub(super) const TAG_SPACE: &str = "space_name";
    pub(super) const TAGS: [&str; 2] = [TAG_APP, TAG_SPACE];
}

/// Connects to Garden.
#[derive(Clone, Debug)]
pub struct GardenConnector {
    endpoint: Endpoint,
    labels: Arc<LabelSelection>,
    limits: CallLimits,
}

impl GardenConnector {
    /// At an address, with the properties and tags to keep as labels.
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
impl Connector for GardenConnector {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, NotConnected> {
        let http = HttpClient::new(&self.endpoint.address, self.limits)?;
        let hasty = http.with_limits(CallLimits {
            answer: self.limits.connect,
            ..self.limits
        });
        let answer = hasty
            .get("/ping")
            .await
            .map_err(|error| not_there(&error))?;
        if answer.is_none() {
            let address = http.address();
            return Err(Unavailable::not_yet(format!("{address} is not Garden's")).into());
        }
        Ok(Arc::new(GardenClient {
            http,
            labels: Arc::clone(&self.labels),
        }))
    }
}

#[derive(Debug)]
struct GardenClient {
    http: HttpClient,
    labels: Arc<LabelSelection>,
}

impl GardenClient {
    async fn handles(&self) -> Result<Listed, CallError> {
        const CALL: &str = "/containers";
        let malformed = |error: serde_json::Error| self.http.malformed(CALL, error.to_string());
        let text = self.http.get(CALL).await?;
        let text = text.ok_or_else(|| self.http.malformed(CALL, "there is no such list"))?;
        let handles: Handles<'_> = serde_json::from_str(&text).map_err(malformed)?;
        let Some(handles) = handles.handles else {
            return Ok(Listed::default());
        };
        let named_only = |handle: &RawValue| {
            let handle: String = serde_json::from_str(handle.get()).ok()?;
            Some(named(handle))
        };
        read_list(handles.get(), named_only).map_err(malformed)
    }

    async fn add_details(&self, listed: &mut Listed) -> Result<(), CallError> {
        for containers in listed.containers.chunks_mut(HANDLES_AT_ONCE) {
            let handles: Vec<_> = containers.iter().map(|of| of.id.as_str()).collect();
            let call = format!("/containers/bulk_info?handles={}", handles.join("%2C"));
            let text = self.http.get(&call).await?;
            let text = text.ok_or_else(|| self.http.malformed(&call, "there is no such list"))?;
            let mut by_handle: HashMap<_, _> = containers
                .iter_mut()
                .map(|container| (container.id.clone(), container))
                .collect();
            each_entry(&text, |handle, entry| {
                // Of one that is in an error, or that nobody asked for, nothing is known.
                let entry = serde_json::from_str::<Entry<'_>>(entry.get()).ok();
                let info = entry.and_then(|entry| entry.info);
                if let (Some(info), Some(container)) = (info, by_handle.get_mut(handle))
                    && let Ok(told) = info.into_container(handle, &self.labels)
                {
                    **container = told;
                }
            })
            .map_err(|error| self.http.malformed(&call, error.to_string()))?;
        }
        Ok(())
    }
}

#[async_trait]
impl RuntimeClient for GardenClient {
    fn runtime(&self) -> Runtime {
        Runtime::Garden
    }

    /// Garden does not tell.
    fn version(&self) -> &'static str {
        ""
    }

    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        Ok(None)
    }

    async fn list(&self) -> Result<Listed, CallError> {
        let mut listed = self.handles().await?;
        let limit = self.http.limits().answer * ANSWERS;
        // Who has no details when the time is over has a handle at least.
        match timeout(limit, self.add_details(&mut listed)).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(listed),
        }
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        if !is_id(&of.id) {
            return Ok(None);
        }
        let call = format!("/containers/{}/info", of.id);
        let Some(text) = self.http.get(&call).await? else {
            return Ok(None);
        };
        serde_json::from_str::<Info<'_>>(&text)
            .and_then(|info| info.into_container(&of.id, &self.labels))
            .map(Some)
            .map_err(|error| self.http.malformed(&call, error.to_string()))
    }
}

fn named(handle: String) -> RuntimeContainer {
    let mut container = RuntimeContainer {
        runtime: RuntimeMetadata::of(Runtime::Garden),
        ..RuntimeContainer::default()
    };
    container.names.name.clone_from(&handle);
    container.id = handle;
    container
}

#[derive(Deserialize)]
struct Handles<'a> {
    #[serde(borrow, rename = "Handles")]
    handles: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "Info")]
    info: Option<Info<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info<'a> {
    #[serde(default)]
    state: String,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

/// The one property that is JSON itself.
#[derive(Deserialize)]
struct WithLogConfig<'a> {
    #[serde(borrow, default)]
    log_config: Cow<'a, str>,
}

/// How an application's output is marked: `[APP/PROC/WEB/0]`.
#[derive(Default, Deserialize)]
struct LogConfig<'a> {
    #[serde(default)]
    source_name: String,
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

impl Info<'_> {
    fn into_container(
        self,
        handle: &str,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let properties = Labels::read(self.properties, &key::PROPERTIES, chosen)?;
        let log_config = self
            .properties
            .and_then(|all| serde_json::from_str::<WithLogConfig<'_>>(all.get()).ok())
            .map_or(Cow::Borrowed(""), |all| all.log_config);
        // An executor that is not Cloud Foundry's may put anything there.
        let log: LogConfig<'_> = serde_json::from_str(&log_config).unwrap_or_default();
        let tags = Labels::read(log.tags, &key::TAGS, chosen).unwrap_or_default();
        let name_or_id = |tag: &str, property: &str| {
            let name = tags.get(tag).filter(|name| !name.is_empty());
            name.map_or_else(|| properties.text(property), str::to_owned)
        };
        let mut told = named(handle.to_owned());
        told.names.namespace = name_or_id(key::TAG_SPACE, key::SPACE);
        told.names.pod = name_or_id(key::TAG_APP, key::APP);
        if !log.source_name.is_empty() {
            let name = format!("{}/{}", log.source_name, log.index);
            told.names.container = told_text(&name);
        }
        told.labels = chosen.of_container(|key| properties.get(key).or_else(|| tags.get(key)));
        told.state = match self.state.as_str() {
            "active" => RuntimeState::Running,
            "stopped" => RuntimeState::Exited,
            _ => RuntimeState::Unknown,
        };
        Ok(told)
    }
}
