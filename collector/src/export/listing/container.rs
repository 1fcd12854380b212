//! The form of `/container.json`: one container, looked at now.

use std::{collections::BTreeMap, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::{
    document::{ReadingEntry, SCHEMA, reading_entry},
    told::ElsewhereEntry,
    values::{known, seconds},
};
use crate::{
    catalog::{
        RuntimeContainer,
        details::{Details, Known},
        provider::capability::{Answer, Capability, CollectError},
    },
    error_chain,
    host::network::Interface,
    reconcile::{
        listing::{Figures, ListedReading},
        snapshot::LastReading,
    },
};

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerDocument {
    /// Counts up when a key goes or changes its meaning.
    pub schema: u32,
    /// When it was put together, since the epoch, as all times here.
    pub taken_seconds: f64,
    /// Who it is.
    pub container: ElsewhereEntry,
    /// What its cgroups, or its runtime, say of it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingEntry>,
    /// What went over its network, by interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceEntry>,
    /// Its processes, in the host's PID namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Vec<u32>>,
    /// What could not be told, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceEntry {
    /// Its name.
    pub name: String,
    /// What came in.
    pub received_bytes: u64,
    /// What went out.
    pub sent_bytes: u64,
    /// Packets that came in.
    pub received_packets: u64,
    /// Packets that went out.
    pub sent_packets: u64,
}

impl ContainerDocument {
    /// Makes it.
    #[must_use]
    pub fn of(details: &Details) -> Self {
        let Details {
            of,
            stats,
            network,
            open_files,
            pids,
        } = details;
        let mut errors = BTreeMap::new();
        let stats = told(stats, Capability::ContainerStats, &mut errors);
        let network = told(network, Capability::NetworkStats, &mut errors);
        let open_files = told(open_files, Capability::OpenFiles, &mut errors);
        let pids = told(pids, Capability::Pids, &mut errors);
        let of_network = network.map(|network| network.figures).unwrap_or_default();
        let figures = Figures {
            open_files: open_files.map(|of| of.count),
            network_namespace: of_network.network_namespace,
            network_is_host: of_network.network_is_host,
            network_received_bytes: of_network.network_received_bytes,
            network_sent_bytes: of_network.network_sent_bytes,
            network_received_packets: of_network.network_received_packets,
            network_sent_packets: of_network.network_sent_packets,
            ..stats.map(|stats| stats.figures).unwrap_or_default()
        };
        let is_read = stats.is_some() || network.is_some() || open_files.is_some();
        let reading = ListedReading {
            how: LastReading::Running,
            at: stats.map(|stats| stats.at),
            network_at: network.map(|network| network.at),
            processes_at: open_files.map(|of| of.at),
            figures,
        };
        let interfaces = network.map_or(&[][..], |network| &network.interfaces);
        Self {
            schema: SCHEMA,
            taken_seconds: seconds(SystemTime::now()),
            container: container_entry(of),
            reading: is_read.then(|| reading_entry(&reading)),
            interfaces: interfaces.iter().map(interface_entry).collect(),
            pids: pids.map(|of| of.pids.clone()),
            errors,
        }
    }

    /// As JSON, in one line.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// What was told; an error is noted.
fn told<'a, T>(
    answer: &'a Answer<T>,
    of: Capability,
    errors: &mut BTreeMap<String, String>,
) -> Option<&'a T> {
    let mut note = |error: &CollectError| {
        errors.insert(of.name().to_owned(), error_chain(error));
    };
    answer
        .as_ref()
        .inspect_err(|error| note(error))
        .ok()?
        .as_ref()
}

fn container_entry(Known { key, runtime, told }: &Known) -> ElsewhereEntry {
    let untold = RuntimeContainer::default();
    let told = told.as_deref().unwrap_or(&untold);
    ElsewhereEntry {
        id: key.id.clone(),
        runtime: known(runtime.runtime.name()),
        ..ElsewhereEntry::of(told)
    }
}

fn interface_entry(interface: &Interface) -> InterfaceEntry {
    InterfaceEntry {
        name: interface.name.as_str().to_owned(),
        received_bytes: interface.received.bytes,
        sent_bytes: interface.sent.bytes,
        received_packets: interface.received.packets,
        sent_packets: interface.sent.packets,
    }
}
