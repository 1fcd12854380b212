//! The Container Runtime Interface, version 1: pods, as containerd and CRI-O tell them to a kubelet.
//!
//! In: a runtime's socket. Out: its sandboxes and containers, joined. Never here: a status of each container
//! with every list, which would be 500 calls for 500 containers: what one has told once is kept for as long
//! as the container's state is the same.

mod container;

mod event;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use k8s_cri::v1::{
    Container, ContainerFilter, ContainerStatusRequest, GetEventsRequest, ListContainersRequest,
    ListContainersResponse, ListPodSandboxRequest, ListPodSandboxResponse, PodSandbox,
    PodSandboxFilter, PodSandboxStatusRequest, VersionRequest,
    runtime_service_client::RuntimeServiceClient,
};
use tonic::transport::Channel;

use super::{
    ANSWER_TIME, CONNECT_TIME, CallError, Connector, ContainerRef, Endpoint, EventStream, Listed,
    NotConnected, RuntimeClient,
    cri::container::{Status, of_container, of_sandbox, of_sandbox_status, of_status},
    cri::event::CriEvents,
    grpc::stream::{StillThere, Subscription},
    grpc::{GrpcServer, MAX_EVENT, MAX_ONE, has_room, request, unavailable},
};
use crate::catalog::{
    LabelSelection, Role, Runtime, RuntimeContainer, provider::Unavailable,
    runtime_container::told_text,
};

/// The version of the interface that is asked for.
const VERSION: &str = "0.1.0";

/// Connects to a runtime that speaks the interface.
#[derive(Clone, Debug)]
pub struct CriConnector {
    endpoint: Endpoint,
    labels: Arc<LabelSelection>,
}

impl CriConnector {
    /// At a socket, and with the labels that are kept.
    #[must_use]
    pub const fn new(endpoint: Endpoint, labels: Arc<LabelSelection>) -> Self {
        Self { endpoint, labels }
    }
}

#[async_trait]
impl Connector for CriConnector {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, NotConnected> {
        let told = async {
            let server = GrpcServer::connect(&self.endpoint).await?;
            let version = version(&server, CONNECT_TIME).await?;
            Ok((server, version))
        };
        let (server, told) = told.await.map_err(|error: CallError| unavailable(&error))?;
        let runtime = match told.runtime_name.as_str() {
            "containerd" => Runtime::Containerd,
            "cri-o" => Runtime::CriO,
            "docker" => {
                return Err(Unavailable::never(format!(
                    "{} speaks for Docker, which tells of its containers itself",
                    self.endpoint.address
                ))
                .into());
            }
            _ => Runtime::Unknown,
        };
        Ok(Arc::new(CriClient {
            server,
            runtime,
            version: told_text(&told.runtime_version),
            labels: Arc::clone(&self.labels),
            statuses: Mutex::default(),
        }))
    }
}

async fn version(
    server: &GrpcServer,
    limit: std::time::Duration,
) -> Result<k8s_cri::v1::VersionResponse, CallError> {
    let mut client = RuntimeServiceClient::new(server.channel.clone());
    let version = VERSION.to_owned();
    let answer = client.version(request(VersionRequest { version }));
    server.answer("Version", limit, answer).await
}

/// A runtime that speaks the interface, connected to.
#[derive(Debug)]
struct CriClient {
    server: GrpcServer,
    runtime: Runtime,
    version: String,
    labels: Arc<LabelSelection>,
    /// What those told that were asked, by id; of those alone that the last list had.
    statuses: Mutex<HashMap<String, Status>>,
}

#[async_trait]
impl RuntimeClient for CriClient {
    fn runtime(&self) -> Runtime {
        self.runtime
    }

    fn version(&self) -> &str {
        &self.version
    }

    /// Only CRI-O's: containerd 1.7 gives each event to only one of those who listen, and it must be the
    /// kubelet. containerd's own API tells the same.
    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        if self.runtime == Runtime::Containerd {
            return Ok(None);
        }
        let mut client = self.client().max_decoding_message_size(MAX_EVENT);
        let opening =
            Box::pin(async move { client.get_container_events(GetEventsRequest {}).await });
        let server = self.server.clone();
        let still_there: StillThere = Box::new(move || {
            let server = server.clone();
            Box::pin(async move { version(&server, ANSWER_TIME).await.map(drop) })
        });
        let call = "GetContainerEvents";
        match Subscription::open(self.server.clone(), call, opening, still_there).await {
            Ok(opened) => Ok(opened.map(|stream| {
                Box::new(CriEvents::new(
                    stream,
                    self.runtime,
                    Arc::clone(&self.labels),
                )) as Box<dyn EventStream>
            })),
            // CRI-O has them switched off unless its configuration says otherwise.
            Err(CallError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Listed, CallError> {
        let sandboxes = self.sandboxes(None).await?;
        let containers = self.containers(None).await?;
        let mut listed = Listed::default();
        let mut seen = HashSet::new();
        let mut take = |container: Option<RuntimeContainer>, listed: &mut Listed| {
            let fits = container
                .filter(|_| has_room(listed.containers.len()))
                .filter(|container| seen.insert(container.id.clone()));
            match fits {
                Some(container) => listed.containers.push(container),
                None => listed.left_out += 1,
            }
        };
        let mut of_id: HashMap<String, RuntimeContainer> = HashMap::new();
        for told in &sandboxes {
            let sandbox = of_sandbox(told, self.runtime, &self.labels);
            if let Some(sandbox) = &sandbox {
                of_id
                    .entry(sandbox.id.clone())
                    .or_insert_with(|| sandbox.clone());
            }
            take(sandbox, &mut listed);
        }
        for told in &containers {
            let sandbox = of_id.get(&told.pod_sandbox_id);
            let container = of_container(told, sandbox, self.runtime, &self.labels);
            take(container, &mut listed);
        }
        self.apply_known(&mut listed.containers);
        Ok(listed)
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        // First the list, which has the sandbox that a status has not; and who asks for the status of what
        // is not there writes an error into the runtime's log.
        let id = of.id.clone();
        let filter = ContainerFilter {
            id,
            ..ContainerFilter::default()
        };
        let containers = self.containers(Some(filter)).await?;
        let Some(told) = containers.into_iter().find(|told| told.id == of.id) else {
            return self.sandbox(&of.id).await;
        };
        let sandbox = self.sandbox(&told.pod_sandbox_id).await?;
        let container = of_container(&told, sandbox.as_ref(), self.runtime, &self.labels);
        let Some(mut container) = container else {
            return Ok(None);
        };
        if let Some(status) = self.status(&of.id).await? {
            status.apply(&mut container);
            self.remember(&container);
        }
        Ok(Some(container))
    }
}

impl CriClient {
    fn client(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.server.channel.clone()).max_decoding_message_size(MAX_ONE)
    }

    async fn containers(
        &self,
        filter: Option<ContainerFilter>,
    ) -> Result<Vec<Container>, CallError> {
        let path = "/runtime.v1.RuntimeService/ListContainers";
        let of = request(ListContainersRequest { filter });
        let listed = self.server.list("ListContainers", path, of).await?;
        let ListContainersResponse { containers } = listed;
        Ok(containers)
    }

    async fn sandboxes(
        &self,
        filter: Option<PodSandboxFilter>,
    ) -> Result<Vec<PodSandbox>, CallError> {
        let path = "/runtime.v1.RuntimeService/ListPodSandbox";
        let of = request(ListPodSandboxRequest { filter });
        let listed = self.server.list("ListPodSandbox", path, of).await?;
        let ListPodSandboxResponse { items } = listed;
        Ok(items)
    }

    /// What a container tells only when it is asked for.
    async fn status(&self, id: &str) -> Result<Option<Status>, CallError> {
        let mut client = self.client();
        let of = ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        let answer = client.container_status(request(of));
        let answer = self.server.answer_about("ContainerStatus", answer).await?;
        Ok(answer
            .and_then(|answer| answer.status)
            .and_then(|told| of_status(&told, self.runtime, &self.labels))
            .map(|told| Status::of(&told)))
    }

    /// One sandbox.
    async fn sandbox(&self, id: &str) -> Result<Option<RuntimeContainer>, CallError> {
        let filter = PodSandboxFilter {
            id: id.to_owned(),
            ..PodSandboxFilter::default()
        };
        let listed = self.sandboxes(Some(filter)).await?;
        if id.is_empty() || !listed.iter().any(|told| told.id == id) {
            return Ok(None);
        }
        let mut client = self.client();
        let of = PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: false,
        };
        let answer = client.pod_sandbox_status(request(of));
        let answer = self.server.answer_about("PodSandboxStatus", answer).await?;
        let sandbox = answer
            .and_then(|answer| answer.status)
            .and_then(|told| of_sandbox_status(&told, self.runtime, &self.labels));
        if let Some(sandbox) = &sandbox {
            self.remember(sandbox);
        }
        Ok(sandbox)
    }

    fn remember(&self, container: &RuntimeContainer) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        if has_room(statuses.len()) {
            statuses.insert(container.id.clone(), Status::of(container));
        }
    }

    /// Completes a list by what was told before, and forgets those that are gone.
    fn apply_known(&self, containers: &mut [RuntimeContainer]) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = HashMap::with_capacity(statuses.len());
        let mut host_networks = HashMap::new();
        for container in containers.iter_mut() {
            if let Some((id, status)) = statuses.remove_entry(&container.id)
                && status.is_of(container.state)
            {
                status.apply(container);
                kept.insert(id, status);
            }
            if container.role == Role::Sandbox {
                host_networks.insert(container.id.clone(), container.host_network);
            }
        }
        for container in containers {
            if let Some(known) = host_networks.get(&container.sandbox) {
                container.host_network = *known;
            }
        }
        *statuses = kept;
    }
}
