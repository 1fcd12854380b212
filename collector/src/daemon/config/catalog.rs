//! What is configured of the catalog of containers.

use serde::Deserialize;

use super::{ConfigError, endpoint::EndpointValue};
use crate::{
    catalog::{LabelSelection, runtimes::Endpoint},
    export::chosen_labels_clash,
};

/// The part of the file that is about the catalog.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogFileConfig {
    pub(super) runtime_endpoints: Option<Vec<EndpointValue>>,
    pub(super) runtime_discovery: Option<bool>,
    pub(super) container_labels: Option<Vec<String>>,
    pub(super) pod_labels: Option<Vec<String>>,
    pub(super) count_own_preemptions: Option<bool>,
}

/// The catalog, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogConfig {
    /// Where runtimes are, besides the known places.
    pub endpoints: Vec<Endpoint>,
    /// Whether the known places are looked at.
    pub discovery: bool,
    /// Which labels of containers and pods are kept.
    pub labels: LabelSelection,
    /// Whether others' preemptions by cgscope itself are counted.
    pub own_preemptions: bool,
}

/// More endpoints than any host has.
const MAX_ENDPOINTS: usize = 32;

/// A key of a label has at most so many bytes: Kubernetes' have 317.
const MAX_KEY: usize = 317;

impl CatalogConfig {
    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.endpoints.len() > MAX_ENDPOINTS {
            return Err(ConfigError::OutOfRange {
                name: "runtime_endpoints",
                value: format!("{} endpoints", self.endpoints.len()),
                range: "at most 32",
            });
        }
        for (name, keys) in [
            ("container_labels", &self.labels.container),
            ("pod_labels", &self.labels.pod),
        ] {
            let bad = |value: String, range| ConfigError::OutOfRange { name, value, range };
            if keys.len() > LabelSelection::MAX {
                return Err(bad(format!("{} labels", keys.len()), "at most 32"));
            }
            let is_key = |key: &&String| {
                !key.is_empty()
                    && key.len() <= MAX_KEY
                    && key.chars().all(|of| of.is_ascii_graphic())
            };
            if let Some(key) = keys.iter().find(|key| !is_key(key)) {
                return Err(bad(
                    format!("{key:?}"),
                    "keys of labels, of 1 to 317 characters without spaces",
                ));
            }
            if let Some((one, other)) = chosen_labels_clash(keys) {
                return Err(bad(
                    format!("{one:?} and {other:?}"),
                    "keys that stay different when all but letters and digits is an underscore",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_cannot_be_are_refused_by_name() {
        let with = |keys: &[&str]| CatalogConfig {
            endpoints: Vec::new(),
            discovery: true,
            labels: LabelSelection {
                container: keys.iter().map(|key| (*key).to_owned()).collect(),
                pod: Vec::new(),
            },
            own_preemptions: true,
        };
        assert!(with(&["team", "app.kubernetes.io/name"]).check().is_ok());
        let many: Vec<String> = (0..33).map(|number| format!("k{number}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for (keys, part) in [
            (&["a.b", "a/b"][..], "\"a.b\" and \"a/b\""),
            (&[""], "keys of labels"),
            (&["a b"], "keys of labels"),
            (&many, "33 labels"),
        ] {
            let error = with(keys).check().unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} not in {error:?}");
            assert!(error.contains("container_labels"), "{error}");
        }
    }
}
