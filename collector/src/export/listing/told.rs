//! What the container runtimes tell, in the catalog's document.

use std::{collections::BTreeMap, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::{
    names::{NamesEntry, names_entry},
    values::{known, seconds},
};
use crate::{
    catalog::{Role, Runtime, RuntimeContainer, following::RuntimeStatus},
    reconcile::listing::OwnContainer,
};

/// What its runtime tells of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToldEntry {
    /// The runtime's namespace of ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_namespace: Option<String>,
    /// Whether it is not a container but a pod's sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<bool>,
    /// What it does: `created`, `running`, `paused` or `exited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_state: Option<String>,
    /// Its first process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When its first process was started, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_start_time_seconds: Option<f64>,
    /// When it ended, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_exit_time_seconds: Option<f64>,
    /// With which exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How often it was started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// Whether it has the host's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// Labels of the container that were chosen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Labels of its pod that were chosen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
}

/// A container that has no cgroup here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElsewhereEntry {
    /// The runtime's id of it.
    pub id: String,
    /// The runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// What it runs in, if that is not this host: `kata`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// The UID of its Kubernetes pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<NamesEntry>,
    /// What else is told.
    #[serde(flatten)]
    pub told: ToldEntry,
}

/// The container that the daemon runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnContainerEntry {
    /// The runtime's id of it.
    pub id: String,
    /// What it is called, once its runtime tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<NamesEntry>,
}

/// A container runtime that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuntimeEntry {
    /// How it is spoken to.
    pub protocol: String,
    /// Where.
    pub address: String,
    /// Who answers; absent while nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Since when it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<f64>,
    /// The last trouble with it, which may be over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_time_seconds: Option<f64>,
}

impl ToldEntry {
    pub(super) fn of(told: &RuntimeContainer) -> Self {
        let labels = |of: &[(String, String)]| of.iter().cloned().collect();
        Self {
            runtime_namespace: known(&told.id_namespace),
            sandbox: (told.role == Role::Sandbox).then_some(true),
            runtime_state: known(told.state.name()),
            pid: told.pid,
            process_start_time_seconds: told.started.map(seconds),
            process_exit_time_seconds: told.finished.map(seconds),
            exit_code: told.exit_code,
            restarts: told.restarts,
            host_network: told.host_network,
            labels: labels(&told.labels),
            pod_labels: labels(&told.pod_labels),
        }
    }
}

impl ElsewhereEntry {
    pub(super) fn of(told: &RuntimeContainer) -> Self {
        Self {
            id: told.id.clone(),
            runtime: known(told.runtime.runtime.name()),
            flavor: known(told.runtime.flavor.name()),
            pod_uid: known(&told.pod_uid),
            names: names_entry(&told.names),
            told: ToldEntry::of(told),
        }
    }
}

impl OwnContainerEntry {
    pub(super) fn of(own: &OwnContainer) -> Self {
        let told = own.told.as_ref();
        Self {
            id: own.of.id.clone(),
            names: told.and_then(|told| names_entry(&told.names)),
        }
    }
}

impl RuntimeEntry {
    pub(super) fn of(status: &RuntimeStatus) -> Self {
        let RuntimeStatus {
            endpoint,
            runtime,
            version,
            since,
            last_error,
            calls: _,
            errors: _,
            left_out: _,
        } = status;
        let last_error: Option<&(SystemTime, String)> = last_error.as_ref();
        Self {
            protocol: endpoint.protocol.name().to_owned(),
            address: endpoint.address.clone(),
            runtime: runtime.map(|of: Runtime| of.name().to_owned()),
            version: version.clone(),
            since_seconds: since.map(seconds),
            last_error: last_error.map(|(_, error)| error.clone()),
            last_error_time_seconds: last_error.map(|(at, _)| seconds(*at)),
        }
    }
}
