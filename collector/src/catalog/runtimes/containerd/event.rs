//! What containerd's events tell.
//!
//! In: its stream of envelopes. Out: [`RuntimeEvent`]s, in containerd's order. Never here: a question back.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use containerd_client::{
    events::{
        ContainerCreate, ContainerDelete, ContainerUpdate, TaskDelete, TaskExit, TaskOom,
        TaskPaused, TaskResumed, TaskStart,
    },
    types::Envelope,
};
use prost::Message as _;

use crate::catalog::runtimes::{
    CallError, ContainerRef, EventStream, RuntimeEvent, containerd::container::of_event,
    grpc::stream::Subscription, grpc::told_time,
};
use crate::catalog::{LabelSelection, RuntimeContainer};

/// Docker's namespaces: of containers, and of plug-ins.
pub(super) const DOCKERS: [&str; 2] = ["moby", "plugins.moby"];

/// Whether a namespace is Docker's.
pub(super) fn is_dockers(namespace: &str) -> bool {
    DOCKERS.contains(&namespace)
}

/// The topics that are read.
const TOPICS: [&str; 9] = [
    "/containers/create",
    "/containers/update",
    "/containers/delete",
    "/tasks/start",
    "/tasks/exit",
    "/tasks/delete",
    "/tasks/oom",
    "/tasks/paused",
    "/tasks/resumed",
];

/// containerd's filters for [`TOPICS`] outside Docker's namespaces: an event passes by any of them.
pub(super) fn filters() -> Vec<String> {
    let [containers, plugins] = DOCKERS;
    TOPICS
        .iter()
        .map(|topic| format!("topic=={topic:?},namespace!={containers:?},namespace!={plugins:?}"))
        .collect()
}

/// The stream.
#[derive(Debug)]
pub(super) struct ContainerdEvents {
    stream: Subscription<Envelope>,
    labels: Arc<LabelSelection>,
}

impl ContainerdEvents {
    pub(super) const fn new(stream: Subscription<Envelope>, labels: Arc<LabelSelection>) -> Self {
        Self { stream, labels }
    }
}

#[async_trait]
impl EventStream for ContainerdEvents {
    async fn next(&mut self) -> Result<RuntimeEvent, CallError> {
        loop {
            let envelope = self.stream.next().await?;
            if let Some(event) = understand(&envelope, &self.labels) {
                return Ok(event);
            }
        }
    }
}

/// Reads an envelope; `None` when it tells nothing of a container: another program's topic, a process that
/// was only executed in a container, or a payload that is not what the topic says. The next list tells
/// what is missed by that.
fn understand(envelope: &Envelope, labels: &LabelSelection) -> Option<RuntimeEvent> {
    let namespace = envelope.namespace.as_str();
    if is_dockers(namespace) {
        return None;
    }
    let payload = envelope.event.as_ref()?.value.as_slice();
    let reference = |id: String| {
        (!id.is_empty()).then(|| ContainerRef {
            id_namespace: namespace.to_owned(),
            id,
        })
    };
    let changed = |id: String, told: Option<RuntimeContainer>| {
        Some(RuntimeEvent::Changed {
            of: reference(id)?,
            told: told.map(Box::new),
        })
    };
    let exited = |id: String, status: u32, at: Option<(i64, i32)>| {
        Some(RuntimeEvent::Exited {
            of: reference(id)?,
            code: i32::try_from(status).ok(),
            at: at.and_then(|(seconds, nanoseconds)| told_time(seconds, nanoseconds.into())),
        })
    };
    match envelope.topic.as_str() {
        "/containers/create" => {
            let of = ContainerCreate::decode(payload).ok()?;
            let runtime = of.runtime.as_ref().map_or("", |of| of.name.as_str());
            let told = of_event(
                &of.id,
                &of.image,
                runtime,
                namespace,
                &HashMap::new(),
                labels,
            );
            changed(of.id, told)
        }
        // Names no runtime, which the container's own record does.
        "/containers/update" => changed(ContainerUpdate::decode(payload).ok()?.id, None),
        "/containers/delete" => Some(RuntimeEvent::Removed {
            of: reference(ContainerDelete::decode(payload).ok()?.id)?,
        }),
        "/tasks/start" => changed(TaskStart::decode(payload).ok()?.container_id, None),
        "/tasks/oom" => changed(TaskOom::decode(payload).ok()?.container_id, None),
        "/tasks/paused" => changed(TaskPaused::decode(payload).ok()?.container_id, None),
        "/tasks/resumed" => changed(TaskResumed::decode(payload).ok()?.container_id, None),
        "/tasks/exit" => {
            let of = TaskExit::decode(payload).ok()?;
            let at = of.exited_at.map(|at| (at.seconds, at.nanos));
            (of.id == of.container_id).then(|| exited(of.container_id, of.exit_status, at))?
        }
        // Tells the exit once more, to who missed it.
        "/tasks/delete" => {
            let of = TaskDelete::decode(payload).ok()?;
            let at = of.exited_at.map(|at| (at.seconds, at.nanos));
            let is_first = of.id.is_empty() || of.id == of.container_id;
            is_first.then(|| exited(of.container_id, of.exit_status, at))?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An envelope of another program's making has any bytes.
    fn told(namespace: &str, topic: &str, payload: Vec<u8>) -> Option<RuntimeEvent> {
        let mut envelope = Envelope {
            namespace: namespace.to_owned(),
            topic: topic.to_owned(),
            ..Envelope::default()
        };
        envelope.event.get_or_insert_default().value = payload;
        understand(&envelope, &LabelSelection::default())
    }

    fn exit(id: &str) -> Vec<u8> {
        TaskExit {
            container_id: "web".to_owned(),
            id: id.to_owned(),
            exit_status: 137,
            ..TaskExit::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn a_create_tells_image_and_flavor_for_one_that_is_gone_before_a_look() {
        let mut create = ContainerCreate {
            id: "web".to_owned(),
            image: "docker.io/local/web:1".to_owned(),
            ..ContainerCreate::default()
        };
        create.runtime.get_or_insert_default().name = "io.containerd.kata.v2".to_owned();
        let event = told("shop", "/containers/create", create.encode_to_vec());
        let Some(RuntimeEvent::Changed {
            of,
            told: Some(told),
        }) = event
        else {
            panic!("{event:?}");
        };
        assert_eq!((of.id_namespace.as_str(), of.id.as_str()), ("shop", "web"));
        assert_eq!(told.names.image, "docker.io/local/web:1");
        assert_eq!(told.names.namespace, "shop");
        assert_eq!(told.runtime.to_string(), "containerd (kata)");
    }

    #[test]
    fn only_the_first_process_ends_a_container() {
        let event = told("shop", "/tasks/exit", exit("web"));
        assert!(
            matches!(
                event,
                Some(RuntimeEvent::Exited {
                    code: Some(137),
                    at: None,
                    ..
                })
            ),
            "{event:?}"
        );
        assert_eq!(told("shop", "/tasks/exit", exit("a-shell-in-it")), None);
    }

    #[test]
    fn what_is_dockers_unknown_or_broken_tells_nothing() {
        assert_eq!(told("moby", "/tasks/exit", exit("web")), None);
        assert_eq!(told("shop", "/tasks/checkpointed", exit("web")), None);
        for topic in TOPICS {
            assert_eq!(told("shop", topic, Vec::new()), None, "{topic}");
            // A text of bytes that are no UTF-8, and one that ends too early.
            assert_eq!(
                told("shop", topic, vec![0x0a, 2, 0xff, 0xfe]),
                None,
                "{topic}"
            );
            assert_eq!(told("shop", topic, vec![0x0a, 200]), None, "{topic}");
        }
    }
}
