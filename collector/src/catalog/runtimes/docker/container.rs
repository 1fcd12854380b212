//! What Docker tells of a container, as it is written.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::catalog::{
    Flavor, LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    runtime_container::told_text,
    runtimes::told_json::{Labels, first_text, told_time},
};

/// Keys of labels that cri-dockerd gives.
pub(super) mod key {
    pub(in super::super) const POD: &str = "io.kubernetes.pod.name";
    pub(in super::super) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub(in super::super) const UID: &str = "io.kubernetes.pod.uid";
    pub(in super::super) const CONTAINER: &str = "io.kubernetes.container.name";
    pub(in super::super) const KIND: &str = "io.kubernetes.docker.type";
    pub(in super::super) const SANDBOX: &str = "io.kubernetes.sandbox.id";
    pub(in super::super) const RESTARTS: &str = "annotation.io.kubernetes.container.restartCount";
    /// Attributes of an event, beside the container's labels.
    pub(in super::super) const EVENT_NAME: &str = "name";
    pub(in super::super) const EVENT_IMAGE: &str = "image";
    pub(in super::super) const EVENT_EXIT_CODE: &str = "exitCode";

    pub(in super::super) const ALL: [&str; 10] = [
        POD,
        NAMESPACE,
        UID,
        CONTAINER,
        KIND,
        SANDBOX,
        RESTARTS,
        EVENT_NAME,
        EVENT_IMAGE,
        EVENT_EXIT_CODE,
    ];
}

/// A container, as far as its names and labels tell.
pub(super) fn container(
    id: String,
    name: &str,
    image: &str,
    labels: &Labels,
    chosen: &LabelSelection,
) -> RuntimeContainer {
    let role = match labels.get(key::KIND) {
        Some("podsandbox") => Role::Sandbox,
        _ => Role::Container,
    };
    let is_sandbox = role == Role::Sandbox;
    let value = |key: &str| labels.get(key);
    RuntimeContainer {
        id,
        runtime: RuntimeMetadata::of(Runtime::Docker),
        role,
        names: Names {
            name: told_text(name.trim_start_matches('/')),
            image: told_text(image),
            namespace: labels.text(key::NAMESPACE),
            pod: labels.text(key::POD),
            container: if is_sandbox {
                String::new()
            } else {
                labels.text(key::CONTAINER)
            },
        },
        pod_uid: labels.text(key::UID),
        sandbox: labels.text(key::SANDBOX),
        labels: chosen.of_container(value),
        pod_labels: if is_sandbox {
            chosen.of_pod(value)
        } else {
            Vec::new()
        },
        restarts: labels
            .get(key::RESTARTS)
            .and_then(|count| count.parse().ok()),
        ..RuntimeContainer::default()
    }
}

pub(in crate::catalog::runtimes) fn state_of(text: &str) -> RuntimeState {
    match text {
        "created" => RuntimeState::Created,
        "running" => RuntimeState::Running,
        "paused" => RuntimeState::Paused,
        // One that is restarted has no process until it runs again.
        "exited" | "dead" | "removing" | "restarting" => RuntimeState::Exited,
        _ => RuntimeState::Unknown,
    }
}

/// Whether a container has the host's network. One that has another container's may.
pub(in crate::catalog::runtimes) fn has_host_network(mode: &str) -> Option<bool> {
    match mode {
        "" => None,
        "host" => Some(true),
        of_another if of_another.starts_with("container:") => None,
        _ => Some(false),
    }
}

/// A container as a list tells of it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item<'a> {
    id: String,
    #[serde(borrow)]
    names: Option<&'a RawValue>,
    #[serde(default)]
    image: String,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    host_config: HostConfig,
}

impl Item<'_> {
    pub(super) fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.labels, &key::ALL, chosen)?;
        // Links have a slash more (`/other/alias`).
        let name = first_text(self.names, |name| {
            !name.trim_start_matches('/').contains('/')
        });
        Ok(RuntimeContainer {
            state: state_of(&self.state),
            host_network: has_host_network(&self.host_config.network_mode),
            ..container(self.id, &name, &self.image, &labels, chosen)
        })
    }
}

/// A container as it is told of alone.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected<'a> {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    restart_count: Option<u32>,
    state: InspectedState,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(borrow)]
    config: Config<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedState {
    #[serde(default)]
    status: String,
    #[serde(default)]
    pid: i64,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    #[serde(default)]
    network_mode: String,
    #[serde(default)]
    runtime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config<'a> {
    #[serde(default)]
    image: String,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
}

impl Inspected<'_> {
    pub(super) fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.config.labels, &key::ALL, chosen)?;
        let told = container(self.id, &self.name, &self.config.image, &labels, chosen);
        let state = state_of(&self.state.status);
        let runtime = &self.host_config.runtime;
        let is_kata = runtime.starts_with("kata") || runtime.starts_with("io.containerd.kata");
        Ok(RuntimeContainer {
            runtime: RuntimeMetadata {
                flavor: if is_kata {
                    Flavor::Kata
                } else {
                    Flavor::Default
                },
                ..told.runtime
            },
            state,
            pid: self.state.pid.try_into().ok().filter(|pid| *pid > 0),
            started: told_time(&self.state.started_at),
            finished: told_time(&self.state.finished_at),
            exit_code: self
                .state
                .exit_code
                .filter(|_| state == RuntimeState::Exited),
            restarts: told.restarts.or(self.restart_count),
            host_network: has_host_network(&self.host_config.network_mode),
            ..told
        })
    }
}
