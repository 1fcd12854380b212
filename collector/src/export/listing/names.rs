//! Names in the catalog's document.

use serde::{Deserialize, Serialize};

use super::values::known;
use crate::catalog::Names;

/// Names, as the metrics' labels have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesEntry {
    /// The container's name in its runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The Kubernetes namespace, or the runtime's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The Kubernetes pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The container's name in its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

pub(super) fn names_entry(names: &Names) -> Option<NamesEntry> {
    let Names {
        name,
        image,
        namespace,
        pod,
        container,
    } = names;
    let entry = NamesEntry {
        name: known(name),
        image: known(image),
        namespace: known(namespace),
        pod: known(pod),
        container: known(container),
    };
    (entry != NamesEntry::default()).then_some(entry)
}
