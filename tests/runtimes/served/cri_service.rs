//! How the Container Runtime Interface, version 1, is answered.
//!
//! What it is asked, it answers from what the runtime has, as `api.proto` of k8s.io/cri-api says. A call
//! that changes something is refused, and all calls are noted.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use k8s_cri::v1::{
    self as cri, Container, ContainerEventResponse, PodSandbox,
    runtime_service_server::RuntimeService,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::cri::{Has, InSandbox, lock};

/// What answers.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) has: Arc<Mutex<Has>>,
}

impl Service {
    fn note(&self, call: &str) -> MutexGuard<'_, Has> {
        let mut has = lock(&self.has);
        has.calls.push(call.to_owned());
        has
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// Calls that no client here may make, as the trait has them.
macro_rules! refused {
    ($($call:ident: $request:ident -> $response:ident,)*) => {
        $(
            fn $call<'a, 'b>(&'a self, _: Request<cri::$request>) -> Pin<Box<dyn Future<Output = Result<Response<cri::$response>, Status>> + Send + 'b>>
            where
                'a: 'b,
                Self: 'b,
            {
                drop(self.note(stringify!($call)));
                let answer: Answer<cri::$response> = Box::pin(async {
                    Err(Status::unimplemented("not by what only reads"))
                });
                answer
            }
        )*
    };
}

#[tonic::async_trait]
impl RuntimeService for Service {
    type GetContainerEventsStream = ReceiverStream<Result<ContainerEventResponse, Status>>;

    async fn version(
        &self,
        _: Request<cri::VersionRequest>,
    ) -> Result<Response<cri::VersionResponse>, Status> {
        drop(self.note("Version"));
        Ok(Response::new(cri::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: self.name.to_owned(),
            runtime_version: self.version.to_owned(),
            runtime_api_version: "v1".to_owned(),
        }))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<cri::ListPodSandboxRequest>,
    ) -> Result<Response<cri::ListPodSandboxResponse>, Status> {
        let wanted = request.into_inner().filter.map(|filter| filter.id);
        let wanted = wanted.unwrap_or_default();
        let has = self.note("ListPodSandbox");
        let items = has
            .sandboxes
            .iter()
            .map(|sandbox| sandbox.status.clone())
            .filter(|status| wanted.is_empty() || status.id == wanted)
            .map(|status| PodSandbox {
                id: status.id,
                metadata: status.metadata,
                state: status.state,
                created_at: status.created_at,
                labels: status.labels,
                annotations: status.annotations,
                runtime_handler: status.runtime_handler,
            })
            .collect();
        Ok(Response::new(cri::ListPodSandboxResponse { items }))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<cri::PodSandboxStatusRequest>,
    ) -> Result<Response<cri::PodSandboxStatusResponse>, Status> {
        let request = request.into_inner();
        let has = self.note("PodSandboxStatus");
        let found = has
            .sandboxes
            .iter()
            .find(|sandbox| sandbox.status.id == request.pod_sandbox_id)
            .ok_or_else(|| Status::not_found("no such sandbox"))?;
        Ok(Response::new(cri::PodSandboxStatusResponse {
            status: Some(found.status.clone()),
            info: if request.verbose {
                found.info.clone()
            } else {
                HashMap::new()
            },
            ..cri::PodSandboxStatusResponse::default()
        }))
    }

    async fn list_containers(
        &self,
        request: Request<cri::ListContainersRequest>,
    ) -> Result<Response<cri::ListContainersResponse>, Status> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let has = self.note("ListContainers");
        let is_wanted = |container: &&InSandbox| {
            (filter.id.is_empty() || filter.id == container.status.id)
                && (filter.pod_sandbox_id.is_empty() || filter.pod_sandbox_id == container.sandbox)
        };
        let containers = has
            .containers
            .iter()
            .filter(is_wanted)
            .map(
                |InSandbox {
                     sandbox, status, ..
                 }| Container {
                    id: status.id.clone(),
                    pod_sandbox_id: sandbox.clone(),
                    metadata: status.metadata.clone(),
                    image: status.image.clone(),
                    image_ref: status.image_ref.clone(),
                    state: status.state,
                    created_at: status.created_at,
                    labels: status.labels.clone(),
                    annotations: status.annotations.clone(),
                    ..Container::default()
                },
            )
            .collect();
        Ok(Response::new(cri::ListContainersResponse { containers }))
    }

    async fn container_status(
        &self,
        request: Request<cri::ContainerStatusRequest>,
    ) -> Result<Response<cri::ContainerStatusResponse>, Status> {
        let request = request.into_inner();
        let has = self.note("ContainerStatus");
        let found = has
            .containers
            .iter()
            .find(|container| container.status.id == request.container_id)
            .ok_or_else(|| Status::not_found("no such container"))?;
        Ok(Response::new(cri::ContainerStatusResponse {
            status: Some(found.status.clone()),
            info: if request.verbose {
                found.info.clone()
            } else {
                HashMap::new()
            },
        }))
    }

    async fn get_container_events(
        &self,
        _: Request<cri::GetEventsRequest>,
    ) -> Result<Response<Self::GetContainerEventsStream>, Status> {
        let (sender, receiver) = mpsc::channel(64);
        self.note("GetContainerEvents").listeners.push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn status(
        &self,
        _: Request<cri::StatusRequest>,
    ) -> Result<Response<cri::StatusResponse>, Status> {
        drop(self.note("Status"));
        Ok(Response::new(cri::StatusResponse::default()))
    }

    refused! {
        run_pod_sandbox: RunPodSandboxRequest -> RunPodSandboxResponse,
        stop_pod_sandbox: StopPodSandboxRequest -> StopPodSandboxResponse,
        remove_pod_sandbox: RemovePodSandboxRequest -> RemovePodSandboxResponse,
        create_container: CreateContainerRequest -> CreateContainerResponse,
        start_container: StartContainerRequest -> StartContainerResponse,
        stop_container: StopContainerRequest -> StopContainerResponse,
        remove_container: RemoveContainerRequest -> RemoveContainerResponse,
        update_container_resources: UpdateContainerResourcesRequest -> UpdateContainerResourcesResponse,
        reopen_container_log: ReopenContainerLogRequest -> ReopenContainerLogResponse,
        exec_sync: ExecSyncRequest -> ExecSyncResponse,
        exec: ExecRequest -> ExecResponse,
        attach: AttachRequest -> AttachResponse,
        port_forward: PortForwardRequest -> PortForwardResponse,
        container_stats: ContainerStatsRequest -> ContainerStatsResponse,
        list_container_stats: ListContainerStatsRequest -> ListContainerStatsResponse,
        pod_sandbox_stats: PodSandboxStatsRequest -> PodSandboxStatsResponse,
        list_pod_sandbox_stats: ListPodSandboxStatsRequest -> ListPodSandboxStatsResponse,
        update_runtime_config: UpdateRuntimeConfigRequest -> UpdateRuntimeConfigResponse,
        checkpoint_container: CheckpointContainerRequest -> CheckpointContainerResponse,
        list_metric_descriptors: ListMetricDescriptorsRequest -> ListMetricDescriptorsResponse,
        list_pod_sandbox_metrics: ListPodSandboxMetricsRequest -> ListPodSandboxMetricsResponse,
        runtime_config: RuntimeConfigRequest -> RuntimeConfigResponse,
    }
}
