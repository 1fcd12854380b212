//! containerd, through its own API.
//!
//! In: its socket. Out: its containers in all its namespaces but Docker's, and what happens to them. Never
//! here: pods by themselves, which are the CRI's; what containerd notes of a pod in its containers is read.
//!
//! Docker's containers are in the namespace `moby`: containerd has nothing of them but ids, and Docker
//! tells all.

mod container;

mod event;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use containerd_client::{
    services::v1::{
        Container, GetContainerRequest, GetRequest, ListContainersRequest, ListContainersResponse,
        ListNamespacesRequest, ListNamespacesResponse, ListTasksRequest, ListTasksResponse,
        SubscribeRequest, containers_client::ContainersClient, events_client::EventsClient,
        tasks_client::TasksClient, version_client::VersionClient,
    },
    types::v1::Process,
};
use tokio::time::{Instant, timeout_at};
use tonic::{Request, metadata::AsciiMetadataValue, transport::Channel};

use super::{
    ANSWER_TIME, CONNECT_TIME, CallError, Connector, ContainerRef, Endpoint, EventStream, Listed,
    NotConnected, RuntimeClient,
    containerd::container::{apply_task, join_sandbox, join_sandboxes, understand},
    containerd::event::{ContainerdEvents, filters, is_dockers},
    grpc::stream::{StillThere, Subscription},
    grpc::{GrpcServer, MAX_EVENT, MAX_ONE, has_room, is_unimplemented, request, unavailable},
};
use crate::catalog::{LabelSelection, Runtime, RuntimeContainer, runtime_container::told_text};

/// The most namespaces that are looked into. Kubernetes needs one, and a user of `ctr` few.
const MAX_NAMESPACES: usize = 256;

/// Connects to containerd.
#[derive(Clone, Debug)]
pub struct ContainerdConnector {
    endpoint: Endpoint,
    labels: Arc<LabelSelection>,
}

impl ContainerdConnector {
    /// At a socket, and with the labels that are kept.
    #[must_use]
    pub const fn new(endpoint: Endpoint, labels: Arc<LabelSelection>) -> Self {
        Self { endpoint, labels }
    }
}

#[async_trait]
impl Connector for ContainerdConnector {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, NotConnected> {
        let client = async {
            let server = GrpcServer::connect(&self.endpoint).await?;
            let mut version = VersionClient::new(server.channel.clone());
            let told = server
                .answer("Version", CONNECT_TIME, version.version(()))
                .await?;
            Ok(ContainerdClient {
                server,
                labels: Arc::clone(&self.labels),
                version: told_text(&told.version),
            })
        };
        let client = client
            .await
            .map_err(|error: CallError| unavailable(&error))?;
        Ok(Arc::new(client))
    }
}

/// containerd, connected to.
#[derive(Debug)]
struct ContainerdClient {
    server: GrpcServer,
    labels: Arc<LabelSelection>,
    version: String,
}

#[async_trait]
impl RuntimeClient for ContainerdClient {
    fn runtime(&self) -> Runtime {
        Runtime::Containerd
    }

    fn version(&self) -> &str {
        &self.version
    }

    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        let mut events =
            EventsClient::new(self.server.channel.clone()).max_decoding_message_size(MAX_EVENT);
        let opening = Box::pin(async move {
            let filters = filters();
            events.subscribe(SubscribeRequest { filters }).await
        });
        let server = self.server.clone();
        let still_there: StillThere = Box::new(move || {
            let server = server.clone();
            Box::pin(async move {
                let mut version = VersionClient::new(server.channel.clone());
                server
                    .answer("Version", ANSWER_TIME, version.version(request(())))
                    .await
                    .map(drop)
            })
        });
        let opened =
            Subscription::open(self.server.clone(), "Subscribe", opening, still_there).await?;
        Ok(opened.map(|stream| {
            Box::new(ContainerdEvents::new(stream, Arc::clone(&self.labels)))
                as Box<dyn EventStream>
        }))
    }

    async fn list(&self) -> Result<Listed, CallError> {
        // One time for all calls: namespaces must not multiply it.
        let until = Instant::now() + 2 * ANSWER_TIME;
        let mut listed = Listed::default();
        let namespaces = self.namespaces().await?;
        listed.left_out += namespaces.len().saturating_sub(MAX_NAMESPACES) as u64;
        for namespace in namespaces.iter().take(MAX_NAMESPACES) {
            timeout_at(until, self.list_namespace(namespace, &mut listed))
                .await
                .map_err(|_elapsed| self.server.timeout("list", 2 * ANSWER_TIME))??;
        }
        Ok(listed)
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        let namespaces = if of.id_namespace.is_empty() {
            self.namespaces().await?
        } else {
            Vec::from_iter(Namespace::named(&of.id_namespace))
        };
        for namespace in namespaces.iter().take(MAX_NAMESPACES) {
            let Some(told) = self.container(namespace, &of.id).await? else {
                continue;
            };
            let Some(mut container) = understand(&told, &namespace.name, &self.labels) else {
                return Ok(None);
            };
            if let Some(task) = self.task(namespace, &of.id).await? {
                apply_task(&mut container, &task);
            }
            if !container.sandbox.is_empty()
                && let Some(told) = self.container(namespace, &container.sandbox).await?
                && let Some(sandbox) = understand(&told, &namespace.name, &self.labels)
            {
                join_sandbox(&mut container, &sandbox);
            }
            return Ok(Some(container));
        }
        Ok(None)
    }
}

impl ContainerdClient {
    fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.server.channel.clone()).max_decoding_message_size(MAX_ONE)
    }

    fn tasks(&self) -> TasksClient<Channel> {
        TasksClient::new(self.server.channel.clone()).max_decoding_message_size(MAX_ONE)
    }

    /// All but Docker's.
    async fn namespaces(&self) -> Result<Vec<Namespace>, CallError> {
        let all = request(ListNamespacesRequest::default());
        let path = "/containerd.services.namespaces.v1.Namespaces/List";
        let listed: ListNamespacesResponse = self.server.list("Namespaces.List", path, all).await?;
        let named = listed
            .namespaces
            .iter()
            .filter_map(|of| Namespace::named(&of.name));
        Ok(named.collect())
    }

    async fn list_namespace(
        &self,
        namespace: &Namespace,
        into: &mut Listed,
    ) -> Result<(), CallError> {
        let tasks = namespace.request(ListTasksRequest::default());
        let path = "/containerd.services.tasks.v1.Tasks/List";
        let tasks = self.server.list("Tasks.List", path, tasks);
        // Names are worth having without what the containers do now: a shim that hangs must not cost them.
        let tasks = match tasks.await {
            Ok(ListTasksResponse { tasks }) => tasks,
            Err(error @ CallError::Unreachable { .. }) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, namespace.name, "no states of containers");
                Vec::new()
            }
        };
        // Some versions tell the id only as that of the first process, which is the same.
        let tasks: HashMap<String, Process> = tasks
            .into_iter()
            .map(|task| match task.container_id.as_str() {
                "" => (task.id.clone(), task),
                _ => (task.container_id.clone(), task),
            })
            .collect();

        let first = into.containers.len();
        let mut seen = HashSet::new();
        let mut take = |told: Option<Container>, into: &mut Listed| {
            let understood = told
                .filter(|_| has_room(into.containers.len()))
                .and_then(|told| understand(&told, &namespace.name, &self.labels))
                .filter(|container| seen.insert(container.id.clone()));
            let Some(mut container) = understood else {
                into.left_out += 1;
                return;
            };
            if let Some(task) = tasks.get(&container.id) {
                apply_task(&mut container, task);
            }
            into.containers.push(container);
        };
        // One by one: a container's specification can be long, and all at once more than a message may have.
        match self.stream(namespace, |told| take(told, into)).await {
            Err(error) if is_unimplemented(&error) => {
                for told in self.all(namespace).await? {
                    take(Some(told), into);
                }
            }
            streamed => streamed?,
        }
        join_sandboxes(&mut into.containers[first..]);
        Ok(())
    }

    /// The containers, one by one.
    async fn stream(
        &self,
        namespace: &Namespace,
        mut take: impl FnMut(Option<Container>) + Send,
    ) -> Result<(), CallError> {
        let call = "Containers.ListStream";
        let mut client = self.containers();
        let opened = client.list_stream(namespace.request(ListContainersRequest::default()));
        let mut stream = self.server.answer(call, ANSWER_TIME, opened).await?;
        while let Some(message) = self.server.next(call, &mut stream).await? {
            take(message.container);
        }
        Ok(())
    }

    /// The containers, at once.
    async fn all(&self, namespace: &Namespace) -> Result<Vec<Container>, CallError> {
        let all = namespace.request(ListContainersRequest::default());
        let path = "/containerd.services.containers.v1.Containers/List";
        let listed = self.server.list("Containers.List", path, all).await?;
        let ListContainersResponse { containers } = listed;
        Ok(containers)
    }

    async fn container(
        &self,
        namespace: &Namespace,
        id: &str,
    ) -> Result<Option<Container>, CallError> {
        let mut client = self.containers();
        let of = namespace.request(GetContainerRequest { id: id.to_owned() });
        let answer = self.server.answer_about("Containers.Get", client.get(of));
        Ok(answer.await?.and_then(|answer| answer.container))
    }

    async fn task(&self, namespace: &Namespace, id: &str) -> Result<Option<Process>, CallError> {
        let mut client = self.tasks();
        let of = namespace.request(GetRequest {
            container_id: id.to_owned(),
            exec_id: String::new(),
        });
        let answer = self.server.answer_about("Tasks.Get", client.get(of));
        Ok(answer.await?.and_then(|answer| answer.process))
    }
}

/// A namespace of containerd, but none of Docker's.
#[derive(Debug)]
struct Namespace {
    name: String,
    header: AsciiMetadataValue,
}

impl Namespace {
    /// `None` for Docker's, and for a name that none can have.
    fn named(name: &str) -> Option<Self> {
        let header = name.parse().ok().filter(|_| !is_dockers(name))?;
        let name = name.to_owned();
        Some(Self { name, header })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = request(message);
        request
            .metadata_mut()
            .insert("containerd-namespace", self.header.clone());
        request
    }
}
