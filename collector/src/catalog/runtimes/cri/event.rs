//! What CRI-O's events tell.
//!
//! In: the stream that the Container Runtime Interface has for kubelets. Out: [`RuntimeEvent`]s. Never here:
//! a question back: each event brings the status of the pod and all its containers.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_cri::v1::{ContainerEventResponse, ContainerEventType};

use crate::catalog::runtimes::{
    CallError, ContainerRef, EventStream, RuntimeEvent,
    cri::container::{join, of_sandbox_status, of_status},
    grpc::stream::Subscription,
};
use crate::catalog::{LabelSelection, Runtime, RuntimeContainer};

/// The stream.
#[derive(Debug)]
pub(super) struct CriEvents {
    stream: Subscription<ContainerEventResponse>,
    runtime: Runtime,
    labels: Arc<LabelSelection>,
}

impl CriEvents {
    pub(super) const fn new(
        stream: Subscription<ContainerEventResponse>,
        runtime: Runtime,
        labels: Arc<LabelSelection>,
    ) -> Self {
        Self {
            stream,
            runtime,
            labels,
        }
    }
}

#[async_trait]
impl EventStream for CriEvents {
    async fn next(&mut self) -> Result<RuntimeEvent, CallError> {
        loop {
            let event = self.stream.next().await?;
            if let Some(event) = understand(&event, self.runtime, &self.labels) {
                return Ok(event);
            }
        }
    }
}

/// Reads an event; `None` for one of a kind that is not known.
fn understand(
    event: &ContainerEventResponse,
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeEvent> {
    let kind = ContainerEventType::try_from(event.container_event_type).ok()?;
    if event.container_id.is_empty() {
        return None;
    }
    let of = ContainerRef {
        id_namespace: String::new(),
        id: event.container_id.clone(),
    };
    let told = told(event, runtime, labels);
    Some(match kind {
        ContainerEventType::ContainerCreatedEvent | ContainerEventType::ContainerStartedEvent => {
            RuntimeEvent::Changed {
                of,
                told: told.map(Box::new),
            }
        }
        ContainerEventType::ContainerStoppedEvent => RuntimeEvent::Exited {
            of,
            code: told.as_ref().and_then(|told| told.exit_code),
            at: told.as_ref().and_then(|told| told.finished),
        },
        ContainerEventType::ContainerDeletedEvent => RuntimeEvent::Removed { of },
    })
}

/// The container, or the sandbox, that the event is about.
fn told(
    event: &ContainerEventResponse,
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let sandbox = event
        .pod_sandbox_status
        .as_ref()
        .and_then(|told| of_sandbox_status(told, runtime, labels));
    let container = event
        .containers_statuses
        .iter()
        .find(|told| told.id == event.container_id)
        .and_then(|told| of_status(told, runtime, labels));
    match (container, sandbox) {
        (Some(mut container), Some(sandbox)) => {
            join(&mut container, &sandbox);
            Some(container)
        }
        (Some(container), None) => Some(container),
        (None, sandbox) => sandbox.filter(|sandbox| sandbox.id == event.container_id),
    }
}
