//! What Podman tells of a container, as it is written.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::name_in_pod;
use crate::catalog::{
    Flavor, LabelSelection, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    runtime_container::told_text,
    runtimes::docker::container::{has_host_network, state_of},
    runtimes::told_json::{Labels, first_text, told_epoch, told_time},
};

/// Keys of an event's attributes, beside the container's labels.
pub(super) mod key {
    pub(in super::super) const NAME: &str = "name";
    pub(in super::super) const IMAGE: &str = "image";
    pub(in super::super) const EXIT_CODE: &str = "containerExitCode";
    pub(in super::super) const POD: &str = "podId";

    pub(in super::super) const ALL: [&str; 4] = [NAME, IMAGE, EXIT_CODE, POD];
}

pub(super) const fn role(is_infra: bool) -> Role {
    if is_infra {
        Role::Sandbox
    } else {
        Role::Container
    }
}

/// A state's name; Podman has two more than Docker.
pub(super) fn state(text: &str) -> RuntimeState {
    match text {
        "configured" | "initialized" => RuntimeState::Created,
        "stopped" => RuntimeState::Exited,
        "stopping" => RuntimeState::Running,
        of_docker => state_of(of_docker),
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
    pid: i64,
    #[serde(default)]
    pod_name: String,
    #[serde(default)]
    is_infra: bool,
    #[serde(default)]
    started_at: i64,
    #[serde(default)]
    exited_at: i64,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    restarts: Option<u32>,
}

impl Item<'_> {
    pub(super) fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.labels, &[], chosen)?;
        let state = state(&self.state);
        let role = role(self.is_infra);
        let mut names = Names {
            name: first_text(self.names, |_| true),
            image: told_text(&self.image),
            pod: told_text(&self.pod_name),
            ..Names::default()
        };
        if !names.pod.is_empty() && role == Role::Container {
            let pod = names.pod.clone();
            name_in_pod(&mut names, &pod);
        }
        Ok(RuntimeContainer {
            id: self.id,
            runtime: RuntimeMetadata::of(Runtime::Podman),
            role,
            names,
            labels: chosen.of_container(|key| labels.get(key)),
            state,
            pid: self.pid.try_into().ok().filter(|pid| *pid > 0),
            started: told_epoch(self.started_at, None),
            finished: told_epoch(self.exited_at, None),
            exit_code: self.exit_code.filter(|_| state == RuntimeState::Exited),
            restarts: self.restarts,
            ..RuntimeContainer::default()
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
    image_name: String,
    #[serde(default)]
    pub(super) pod: Option<String>,
    #[serde(default)]
    is_infra: bool,
    #[serde(default)]
    restart_count: Option<u32>,
    #[serde(default, rename = "OCIRuntime")]
    oci_runtime: String,
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
    #[serde(default)]
    cgroup_path: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    #[serde(default)]
    network_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config<'a> {
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedPod<'a> {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, rename = "InfraContainerID")]
    pub(super) infra_container_id: Option<String>,
    #[serde(borrow)]
    pub(super) labels: Option<&'a RawValue>,
}

impl Inspected<'_> {
    pub(super) fn into_container(
        self,
        chosen: &LabelSelection,
    ) -> Result<RuntimeContainer, serde_json::Error> {
        let labels = Labels::read(self.config.labels, &[], chosen)?;
        let state = state(&self.state.status);
        // The name of the program, or its path.
        let program = self.oci_runtime.rsplit('/').next().unwrap_or_default();
        let flavor = if program.starts_with("kata") {
            Flavor::Kata
        } else {
            Flavor::Default
        };
        let cgroup = told_text(&self.state.cgroup_path);
        Ok(RuntimeContainer {
            id: self.id,
            runtime: RuntimeMetadata {
                runtime: Runtime::Podman,
                flavor,
            },
            role: role(self.is_infra),
            names: Names {
                name: told_text(&self.name),
                image: told_text(&self.image_name),
                ..Names::default()
            },
            labels: chosen.of_container(|key| labels.get(key)),
            state,
            pid: self.state.pid.try_into().ok().filter(|pid| *pid > 0),
            cgroup_path: Some(cgroup).filter(|path| path.starts_with('/')),
            started: told_time(&self.state.started_at),
            finished: told_time(&self.state.finished_at),
            exit_code: self
                .state
                .exit_code
                .filter(|_| state == RuntimeState::Exited),
            restarts: self.restart_count,
            host_network: has_host_network(&self.host_config.network_mode),
            ..RuntimeContainer::default()
        })
    }
}
