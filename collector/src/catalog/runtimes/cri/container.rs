//! What the Container Runtime Interface tells of a container and its pod.
//!
//! In: its messages. Out: [`RuntimeContainer`]s. Never here: a call.

use std::{collections::HashMap, time::SystemTime};

use k8s_cri::v1::{
    Container, ContainerMetadata, ContainerState, ContainerStatus, ImageSpec, NamespaceMode,
    PodSandbox, PodSandboxMetadata, PodSandboxState, PodSandboxStatus,
};

use crate::catalog::{
    Flavor, LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    runtime_container::told_text,
};
use crate::catalog::{kata, runtimes::grpc::told_time};

/// containerd's namespace of what it runs by this interface, so that its ids are the same as by its own.
const CONTAINERDS_NAMESPACE: &str = "k8s.io";

/// CRI-O's name of a container, where it tells.
const CRI_O_NAME: &str = "io.kubernetes.cri-o.Name";

type Texts = HashMap<String, String>;

/// A sandbox of the list.
pub(super) fn of_sandbox(
    told: &PodSandbox,
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let mut sandbox = sandbox(
        &told.id,
        told.metadata.as_ref(),
        (&told.labels, &told.annotations),
        &told.runtime_handler,
        runtime,
        labels,
    )?;
    sandbox.state = sandbox_state(told.state);
    Some(sandbox)
}

/// A sandbox that was asked for.
pub(super) fn of_sandbox_status(
    told: &PodSandboxStatus,
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let mut sandbox = sandbox(
        &told.id,
        told.metadata.as_ref(),
        (&told.labels, &told.annotations),
        &told.runtime_handler,
        runtime,
        labels,
    )?;
    sandbox.state = sandbox_state(told.state);
    sandbox.host_network = told
        .linux
        .as_ref()
        .and_then(|linux| linux.namespaces.as_ref()?.options.as_ref())
        .map(|of| of.network() == NamespaceMode::Node);
    Some(sandbox)
}

fn sandbox_state(state: i32) -> RuntimeState {
    match PodSandboxState::try_from(state) {
        Ok(PodSandboxState::SandboxReady) => RuntimeState::Running,
        Ok(PodSandboxState::SandboxNotready) => RuntimeState::Exited,
        Err(_unknown) => RuntimeState::Unknown,
    }
}

fn sandbox(
    id: &str,
    metadata: Option<&PodSandboxMetadata>,
    (told, annotations): (&Texts, &Texts),
    handler: &str,
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let mut sandbox = container(id, runtime, annotations)?;
    sandbox.role = Role::Sandbox;
    if let Some(of) = metadata {
        sandbox.names.pod = told_text(&of.name);
        sandbox.names.namespace = told_text(&of.namespace);
        sandbox.pod_uid = told_text(&of.uid);
    }
    sandbox.pod_labels = labels.of_pod(|key| told.get(key).map(String::as_str));
    if kata::of_handler(handler) == Flavor::Kata {
        sandbox.runtime.flavor = Flavor::Kata;
    }
    Some(sandbox)
}

/// What both have.
fn container(id: &str, runtime: Runtime, annotations: &Texts) -> Option<RuntimeContainer> {
    // An id that had to be changed to be shown would be another's.
    if id.is_empty() || told_text(id) != id {
        return None;
    }
    let is_kata = annotations
        .keys()
        .any(|key| kata::of_annotation(key) == Flavor::Kata);
    let name = match annotations.get(CRI_O_NAME) {
        Some(name) if runtime == Runtime::CriO => told_text(name),
        _ => id.to_owned(),
    };
    Some(RuntimeContainer {
        id: id.to_owned(),
        id_namespace: match runtime {
            Runtime::Containerd => CONTAINERDS_NAMESPACE.to_owned(),
            _ => String::new(),
        },
        runtime: RuntimeMetadata {
            runtime,
            flavor: if is_kata {
                Flavor::Kata
            } else {
                Flavor::Default
            },
        },
        names: Names {
            name,
            ..Names::default()
        },
        ..RuntimeContainer::default()
    })
}

/// A container of the list, in its sandbox.
pub(super) fn of_container(
    told: &Container,
    sandbox: Option<&RuntimeContainer>,
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let mut of = in_pod(
        &told.id,
        told.metadata.as_ref(),
        (&told.labels, &told.annotations),
        runtime,
        labels,
    )?;
    of.names.image = image(told.image.as_ref(), &told.image_ref);
    of.state = container_state(told.state);
    of.sandbox = told_text(&told.pod_sandbox_id);
    if let Some(sandbox) = sandbox {
        join(&mut of, sandbox);
    }
    Some(of)
}

/// A container that was asked for; its sandbox is not told.
pub(super) fn of_status(
    told: &ContainerStatus,
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let mut of = in_pod(
        &told.id,
        told.metadata.as_ref(),
        (&told.labels, &told.annotations),
        runtime,
        labels,
    )?;
    of.names.image = image(told.image.as_ref(), &told.image_ref);
    of.state = container_state(told.state);
    of.started = time(told.started_at);
    if of.state == RuntimeState::Exited {
        of.finished = time(told.finished_at);
        of.exit_code = Some(told.exit_code);
    }
    Some(of)
}

/// A container, as it is told with its sandbox.
pub(super) fn join(container: &mut RuntimeContainer, sandbox: &RuntimeContainer) {
    container.sandbox.clone_from(&sandbox.id);
    container.names.pod.clone_from(&sandbox.names.pod);
    container
        .names
        .namespace
        .clone_from(&sandbox.names.namespace);
    container.pod_uid.clone_from(&sandbox.pod_uid);
    container.pod_labels.clone_from(&sandbox.pod_labels);
    container.host_network = sandbox.host_network;
    if sandbox.runtime.flavor == Flavor::Kata {
        container.runtime.flavor = Flavor::Kata;
    }
}

/// What a container tells without its sandbox: a kubelet puts the pod's names into its labels.
fn in_pod(
    id: &str,
    metadata: Option<&ContainerMetadata>,
    (told, annotations): (&Texts, &Texts),
    runtime: Runtime,
    labels: &LabelSelection,
) -> Option<RuntimeContainer> {
    let mut of = container(id, runtime, annotations)?;
    let text = |key| {
        told.get(key)
            .map(|text| told_text(text))
            .unwrap_or_default()
    };
    of.names.pod = text("io.kubernetes.pod.name");
    of.names.namespace = text("io.kubernetes.pod.namespace");
    of.pod_uid = text("io.kubernetes.pod.uid");
    if let Some(metadata) = metadata {
        of.names.container = told_text(&metadata.name);
        of.restarts = Some(metadata.attempt);
    }
    of.labels = labels.of_container(|key| told.get(key).map(String::as_str));
    Some(of)
}

fn container_state(state: i32) -> RuntimeState {
    match ContainerState::try_from(state) {
        Ok(ContainerState::ContainerCreated) => RuntimeState::Created,
        Ok(ContainerState::ContainerRunning) => RuntimeState::Running,
        Ok(ContainerState::ContainerExited) => RuntimeState::Exited,
        Ok(ContainerState::ContainerUnknown) | Err(_) => RuntimeState::Unknown,
    }
}

/// The image as the user named it, if it is told: a kubelet gives the runtime only the digest.
fn image(spec: Option<&ImageSpec>, reference: &str) -> String {
    let told = spec.map_or(["", ""], |spec| {
        [spec.user_specified_image.as_str(), spec.image.as_str()]
    });
    let [user, image] = told;
    let named = [user, image, reference]
        .into_iter()
        .find(|text| !text.is_empty() && !is_digest(text));
    let digest = || {
        [user, image, reference]
            .into_iter()
            .find(|text| !text.is_empty())
    };
    named.or_else(digest).map(told_text).unwrap_or_default()
}

fn is_digest(image: &str) -> bool {
    let digits = image.strip_prefix("sha256:").unwrap_or(image);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn time(nanoseconds: i64) -> Option<SystemTime> {
    const SECOND: i64 = 1_000_000_000;
    told_time(nanoseconds / SECOND, nanoseconds % SECOND)
}

/// What only a status tells, and a list does not.
#[derive(Clone, Debug)]
pub(super) struct Status {
    state: RuntimeState,
    image: String,
    started: Option<SystemTime>,
    finished: Option<SystemTime>,
    exit_code: Option<i32>,
    host_network: Option<bool>,
}

impl Status {
    /// That of a container, or a sandbox.
    pub(super) fn of(container: &RuntimeContainer) -> Self {
        Self {
            state: container.state,
            image: container.names.image.clone(),
            started: container.started,
            finished: container.finished,
            exit_code: container.exit_code,
            host_network: container.host_network,
        }
    }

    /// Whether it still holds.
    pub(super) fn is_of(&self, state: RuntimeState) -> bool {
        self.state == state
    }

    /// Completes what a list tells.
    pub(super) fn apply(&self, container: &mut RuntimeContainer) {
        container.state = self.state;
        if !self.image.is_empty() {
            container.names.image.clone_from(&self.image);
        }
        container.started = self.started;
        container.finished = self.finished;
        container.exit_code = self.exit_code;
        container.host_network = container.host_network.or(self.host_network);
    }
}
