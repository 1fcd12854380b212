//! What containerd's record of a container tells.
//!
//! In: the record, with its labels, its runtime's name and its specification, and the task. Out: a
//! [`RuntimeContainer`]. Never here: a call.

use std::collections::HashMap;

use containerd_client::{
    services::v1::Container,
    types::v1::{Process, Status as TaskStatus},
};
use serde::Deserialize;

use crate::catalog::{
    Flavor, LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    runtime_container::told_text,
};
use crate::catalog::{
    kata,
    runtimes::{grpc::told_time, oci_spec::Spec},
};

/// The namespace of containerd's CRI. The namespace that is shown is Kubernetes's there.
const KUBERNETES: &str = "k8s.io";

/// What containerd's CRI notes for itself, under these keys, with the attempt in it.
const CRI_NOTES: [&str; 2] = [
    "io.cri-containerd.container.metadata",
    "io.cri-containerd.sandbox.metadata",
];

/// A longer one is not read.
const MAX_NOTE: usize = 1 << 20;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct CriNote {
    metadata: CriMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct CriMetadata {
    config: CriConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CriConfig {
    metadata: CriName,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CriName {
    attempt: u32,
}

/// Reads a record; `None` for one whose id cannot be one.
pub(super) fn understand(
    told: &Container,
    namespace: &str,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let runtime = told.runtime.as_ref().map_or("", |of| of.name.as_str());
    let mut container = of_event(
        &told.id,
        &told.image,
        runtime,
        namespace,
        &told.labels,
        labels,
    )?;
    let spec = told
        .spec
        .as_ref()
        .map(|spec| Spec::read(&spec.value))
        .unwrap_or_default();
    container.cgroup_path = spec.cgroup_path();
    container.host_network = spec.host_network();
    if namespace == KUBERNETES {
        apply_annotations(&mut container, &spec);
        let attempt = CRI_NOTES
            .iter()
            .find_map(|key| told.extensions.get(*key))
            .and_then(|note| attempt(&note.value));
        container.restarts = attempt.or_else(|| spec.annotations.restarts.parse().ok());
        if container.role == Role::Sandbox {
            container.restarts = None;
        }
    }
    if container.sandbox.is_empty() && container.role == Role::Container {
        container.sandbox = told_text(&told.sandbox);
    }
    Some(container)
}

/// What an event tells: no specification.
pub(super) fn of_event(
    id: &str,
    image: &str,
    runtime: &str,
    namespace: &str,
    told: &HashMap<String, String>,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    // An id that had to be changed to be shown would be another's.
    if id.is_empty() || told_text(id) != id || told_text(namespace) != namespace {
        return None;
    }
    let value = |key: &str| told.get(key).map(String::as_str);
    let text = |key| value(key).map(told_text).unwrap_or_default();
    let is_kubernetes = namespace == KUBERNETES;
    let mut names = Names {
        name: id.to_owned(),
        image: told_text(image),
        ..Names::default()
    };
    if is_kubernetes {
        names.namespace = text("io.kubernetes.pod.namespace");
        names.pod = text("io.kubernetes.pod.name");
        names.container = text("io.kubernetes.container.name");
    } else {
        namespace.clone_into(&mut names.namespace);
        if let Some(name) = value("nerdctl/name").filter(|name| !name.is_empty()) {
            names.name = told_text(name);
        }
    }
    let role = if is_kubernetes && value("io.cri-containerd.kind") == Some("sandbox") {
        Role::Sandbox
    } else {
        Role::Container
    };
    Some(RuntimeContainer {
        id: id.to_owned(),
        id_namespace: namespace.to_owned(),
        runtime: RuntimeMetadata {
            runtime: Runtime::Containerd,
            flavor: kata::of_runtime_name(runtime),
        },
        role,
        names,
        pod_uid: if is_kubernetes {
            text("io.kubernetes.pod.uid")
        } else {
            String::new()
        },
        labels: match role {
            Role::Container => labels.of_container(value),
            Role::Sandbox => Vec::new(),
        },
        // A sandbox's labels are its pod's.
        pod_labels: match role {
            Role::Container => Vec::new(),
            Role::Sandbox => labels.of_pod(value),
        },
        ..RuntimeContainer::default()
    })
}

/// What the CRI wrote into the specification, for pods whose labels do not tell: the kubelet sets them,
/// others need not.
fn apply_annotations(container: &mut RuntimeContainer, spec: &Spec) {
    let of = &spec.annotations;
    if of.kind == "sandbox" {
        container.role = Role::Sandbox;
    }
    let names = &mut container.names;
    for (name, told) in [
        (&mut names.pod, &of.pod),
        (&mut names.namespace, &of.namespace),
        (&mut names.container, &of.container),
        (&mut container.pod_uid, &of.pod_uid),
    ] {
        if name.is_empty() {
            *name = told_text(told);
        }
    }
    // The record has the image by its digest, where the user named it otherwise.
    if !of.image.is_empty() {
        names.image = told_text(&of.image);
    }
    if container.role == Role::Container {
        container.sandbox = told_text(&of.sandbox);
    }
}

/// What a sandbox tells of the containers in it.
pub(super) fn join_sandbox(container: &mut RuntimeContainer, sandbox: &RuntimeContainer) {
    container.pod_labels.clone_from(&sandbox.pod_labels);
    if sandbox.runtime.flavor == Flavor::Kata {
        container.runtime.flavor = Flavor::Kata;
    }
    if container.host_network.is_none() {
        container.host_network = sandbox.host_network;
    }
    for (name, told) in [
        (&mut container.names.pod, &sandbox.names.pod),
        (&mut container.names.namespace, &sandbox.names.namespace),
        (&mut container.pod_uid, &sandbox.pod_uid),
    ] {
        if name.is_empty() {
            name.clone_from(told);
        }
    }
}

fn attempt(note: &[u8]) -> Option<u32> {
    if note.len() > MAX_NOTE {
        return None;
    }
    let note: CriNote = serde_json::from_slice(note).ok()?;
    Some(note.metadata.config.metadata.attempt)
}

/// What the container's first process does.
pub(super) fn apply_task(container: &mut RuntimeContainer, task: &Process) {
    container.state = match task.status() {
        TaskStatus::Created => RuntimeState::Created,
        TaskStatus::Running => RuntimeState::Running,
        TaskStatus::Stopped => RuntimeState::Exited,
        TaskStatus::Paused | TaskStatus::Pausing => RuntimeState::Paused,
        TaskStatus::Unknown => RuntimeState::Unknown,
    };
    if container.state == RuntimeState::Exited {
        container.exit_code = i32::try_from(task.exit_status).ok();
        container.finished = task
            .exited_at
            .as_ref()
            .and_then(|at| told_time(at.seconds, at.nanos.into()));
    } else {
        container.pid = Some(task.pid).filter(|pid| *pid != 0);
    }
}

/// Gives the containers of pods what their sandboxes tell.
pub(super) fn join_sandboxes(containers: &mut [RuntimeContainer]) {
    let of_id: HashMap<_, _> = containers
        .iter()
        .enumerate()
        .map(|(index, of)| (of.id.clone(), index))
        .collect();
    for index in 0..containers.len() {
        if let Some(&sandbox) = of_id.get(&containers[index].sandbox)
            && let Ok([container, sandbox]) = containers.get_disjoint_mut([index, sandbox])
        {
            join_sandbox(container, sandbox);
        }
    }
}
