//! The Container Runtime Interface, version 1, served over a UNIX socket.
//!
//! The runtime is what a test says that it has; how it answers is in the service beside.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use k8s_cri::v1::{
    ContainerEventResponse, ContainerEventType, ContainerStatus, PodSandboxStatus,
    runtime_service_server::RuntimeServiceServer,
};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Status, transport};

use super::cri_service::Service;

/// A sandbox, with what it says when it is asked for more.
#[derive(Clone, Default)]
pub(crate) struct Sandbox {
    pub(crate) status: PodSandboxStatus,
    pub(crate) info: HashMap<String, String>,
}

/// A container of a sandbox, with what it says when it is asked for more.
#[derive(Clone, Default)]
pub(crate) struct InSandbox {
    pub(crate) sandbox: String,
    pub(crate) status: ContainerStatus,
    pub(crate) info: HashMap<String, String>,
}

/// What the runtime has.
#[derive(Default)]
pub(crate) struct Has {
    pub(crate) sandboxes: Vec<Sandbox>,
    pub(crate) containers: Vec<InSandbox>,
    pub(super) listeners: Vec<mpsc::Sender<Result<ContainerEventResponse, Status>>>,
    pub(super) calls: Vec<String>,
}

/// A runtime, until it is dropped.
pub(crate) struct CriServer {
    has: Arc<Mutex<Has>>,
    socket: PathBuf,
    _folder: tempfile::TempDir,
    _end: oneshot::Sender<()>,
}

impl CriServer {
    /// Of a name and a version.
    pub(crate) fn start(name: &'static str, version: &'static str, has: Has) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("cri.sock");
        let has = Arc::new(Mutex::new(has));
        let service = Service {
            name,
            version,
            has: Arc::clone(&has),
        };
        let (end, ended) = oneshot::channel();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let incoming = UnixListenerStream::new(UnixListener::from_std(listener).unwrap());
                let serve = transport::Server::builder()
                    .add_service(RuntimeServiceServer::new(service))
                    .serve_with_incoming(incoming);
                tokio::select! {
                    served = serve => served.unwrap(),
                    _ended = ended => {}
                }
            });
        });
        Self {
            has,
            socket,
            _folder: folder,
            _end: end,
        }
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> String {
        format!("cri={}", self.socket.display())
    }

    /// All calls so far, by their names.
    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.has).calls.clone()
    }

    /// Adds a container and tells who listens.
    pub(crate) fn add(&self, container: InSandbox) {
        let mut has = lock(&self.has);
        let sandbox = has
            .sandboxes
            .iter()
            .find(|sandbox| sandbox.status.id == container.sandbox);
        let sandbox = sandbox.map(|sandbox| sandbox.status.clone());
        let event = |kind: ContainerEventType| ContainerEventResponse {
            container_id: container.status.id.clone(),
            container_event_type: kind.into(),
            created_at: container.status.created_at,
            pod_sandbox_status: sandbox.clone(),
            containers_statuses: vec![container.status.clone()],
        };
        let events = [
            ContainerEventType::ContainerCreatedEvent,
            ContainerEventType::ContainerStartedEvent,
        ]
        .map(event);
        has.containers.push(container);
        has.listeners.retain(|listener| {
            events
                .iter()
                .all(|event| listener.try_send(Ok(event.clone())).is_ok())
        });
    }
}

pub(super) fn lock(has: &Mutex<Has>) -> MutexGuard<'_, Has> {
    has.lock().unwrap_or_else(PoisonError::into_inner)
}
