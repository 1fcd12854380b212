//! ECS, through its task metadata endpoint, version 4.
//!
//! In: the address that ECS gives each container in a variable. Out: the containers of the task that
//! cgscope itself is in, and what they have used. Never here: other tasks, which it does not tell of; what
//! happens to the containers.

mod collectors;

pub mod stats;

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CallError, Connector, ContainerRef, Endpoint, EventStream, Listed, NotConnected, Protocol,
    RuntimeClient,
    ecs::collectors::LastStats,
    ecs::stats::{EcsStats, read_stats},
    http::{CallLimits, HttpClient, not_there},
    told_json::{Labels, each_item, read_list, told_time},
};
use crate::catalog::{
    LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    provider::collectors::{Collectors, Ranked},
    runtime_container::told_text,
};

/// Tells which kind of machine ECS, or Lambda, runs this on.
const KIND: &str = "AWS_EXECUTION_ENV";
const FARGATE: &str = "AWS_ECS_FARGATE";
/// Has the endpoint's address.
const ADDRESS: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// The endpoint that the environment tells of, if this is Fargate, of a platform version that has one
/// (1.4.0 and newer).
#[must_use]
pub fn endpoint_in(variable: impl Fn(&str) -> Option<String>) -> Option<Endpoint> {
    (variable(KIND)? == FARGATE).then(|| {
        Some(Endpoint {
            protocol: Protocol::Ecs,
            address: variable(ADDRESS)?,
        })
    })?
}

/// Connects to the endpoint.
#[derive(Clone, Debug)]
pub struct EcsConnector {
    endpoint: Endpoint,
    labels: Arc<LabelSelection>,
    limits: CallLimits,
}

impl EcsConnector {
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

    /// The same as [`Connector::connect`], for who wants statistics too.
    pub async fn connect_for_stats(&self) -> Result<Arc<EcsClient>, NotConnected> {
        let http = HttpClient::new(&self.endpoint.address, self.limits)?;
        let client = EcsClient {
            http: http.with_limits(CallLimits {
                answer: self.limits.connect,
                ..self.limits
            }),
            labels: Arc::clone(&self.labels),
            answers: LastStats::default(),
        };
        client.list().await.map_err(|error| not_there(&error))?;
        Ok(Arc::new(EcsClient { http, ..client }))
    }
}

#[async_trait]
impl Connector for EcsConnector {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, NotConnected> {
        Ok(self.connect_for_stats().await?)
    }
}

/// The endpoint, which answers.
#[derive(Debug)]
pub struct EcsClient {
    http: HttpClient,
    labels: Arc<LabelSelection>,
    /// What it told last of what containers have used.
    answers: LastStats,
}

impl EcsClient {
    /// What each container of the task has used, by its id.
    pub async fn stats(&self) -> Result<Vec<(String, EcsStats)>, CallError> {
        const CALL: &str = "/task/stats";
        let text = self.text(CALL).await?;
        read_stats(&text).map_err(|error| self.http.malformed(CALL, error.to_string()))
    }

    /// The id of the container that cgscope is in.
    pub async fn own_id(&self) -> Result<String, CallError> {
        // The address itself.
        const CALL: &str = "";
        let text = self.text(CALL).await?;
        serde_json::from_str::<Item<'_>>(&text)
            .map(|own| told_text(&own.docker_id))
            .map_err(|error| self.http.malformed(CALL, error.to_string()))
    }

    async fn text(&self, call: &str) -> Result<String, CallError> {
        let text = self.http.get(call).await?;
        text.ok_or_else(|| self.http.malformed(call, "there is no such metadata"))
    }
}

#[async_trait]
impl RuntimeClient for EcsClient {
    fn runtime(&self) -> Runtime {
        Runtime::EcsFargate
    }

    /// The version of the endpoint, which is in its address; of the agent it does not tell.
    fn version(&self) -> &'static str {
        "4"
    }

    fn collectors(self: Arc<Self>, priority: u8) -> Collectors {
        Collectors {
            container_stats: Some(Ranked::new(priority, Arc::<Self>::clone(&self))),
            network_stats: Some(Ranked::new(priority, Arc::<Self>::clone(&self))),
            own_container: Some(Ranked::new(priority, self)),
            ..Collectors::default()
        }
    }

    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        Ok(None)
    }

    async fn list(&self) -> Result<Listed, CallError> {
        const CALL: &str = "/task";
        let text = self.text(CALL).await?;
        let malformed = |error: serde_json::Error| self.http.malformed(CALL, error.to_string());
        let task: Task<'_> = serde_json::from_str(&text).map_err(malformed)?;
        let containers = task.containers.map_or("null", RawValue::get);
        read_list(containers, |item| {
            serde_json::from_str::<Item<'_>>(item.get())
                .and_then(|item| item.into_container(&task, &self.labels))
                .ok()
        })
        .map_err(malformed)
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        let listed = self.list().await?;
        let mut containers = listed.containers.into_iter();
        Ok(containers.find(|container| container.id == of.id))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task<'a> {
    #[serde(default)]
    cluster: String,
    #[serde(rename = "TaskARN")]
    arn: String,
    #[serde(default)]
    launch_type: String,
    #[serde(borrow)]
    containers: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item<'a> {
    docker_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    docker_name: String,
    #[serde(default)]
    image: String,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(default)]
    known_status: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    restart_count: Option<u32>,
    #[serde(borrow)]
    networks: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    network_mode: String,
}

/// The last part of an ARN, or of a name that is none.
fn short_name(arn: &str) -> String {
    told_text(arn.rsplit('/').next().unwrap_or_default())
}

impl Item<'_> {
    fn into_container(
        self,
        task: &Task<'_>,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.labels, &[], chosen)?;
        let value = |key: &str| labels.get(key);
        let is_pause = self.r#type == "CNI_PAUSE";
        let state = match self.known_status.as_str() {
            "NONE" | "MANIFEST_PULLED" | "PULLED" | "CREATED" => RuntimeState::Created,
            "RUNNING" | "RESOURCES_PROVISIONED" => RuntimeState::Running,
            "STOPPED" => RuntimeState::Exited,
            _ => RuntimeState::Unknown,
        };
        let mut host_network = None;
        if let Some(networks) = self.networks {
            each_item(networks.get(), |network| {
                if let Ok(network) = serde_json::from_str::<Network>(network.get()) {
                    host_network = Some(network.network_mode == "host");
                }
            })?;
        }
        Ok(RuntimeContainer {
            id: self.docker_id,
            runtime: RuntimeMetadata::of(match task.launch_type.as_str() {
                // There it is Docker that ECS runs containers with.
                "EC2" | "EXTERNAL" => Runtime::Docker,
                _ => Runtime::EcsFargate,
            }),
            role: if is_pause {
                Role::Sandbox
            } else {
                Role::Container
            },
            names: Names {
                name: told_text(&self.docker_name),
                image: told_text(&self.image),
                namespace: short_name(&task.cluster),
                pod: short_name(&task.arn),
                container: if is_pause {
                    String::new()
                } else {
                    told_text(&self.name)
                },
            },
            labels: chosen.of_container(value),
            state,
            started: told_time(&self.started_at),
            finished: told_time(&self.finished_at),
            exit_code: self.exit_code.filter(|_| state == RuntimeState::Exited),
            restarts: self.restart_count,
            host_network,
            ..RuntimeContainer::default()
        })
    }
}
