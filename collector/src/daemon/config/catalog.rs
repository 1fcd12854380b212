//! What is configured of the catalog of containers.

use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, endpoint::EndpointValue, value::duration};
use crate::{
    catalog::{
        LabelSelection, following::RetryPolicy, provider::retry::Delays, runtimes::Endpoint,
    },
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
    pub(super) max_retries: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    pub(super) retry_delay: Option<Duration>,
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
    /// How often a container is asked about again when its runtime could not tell of it.
    pub retries: RetryPolicy,
}

/// More often in vain than anything that passes needs.
const MAX_RETRIES: u32 = 20;

/// Sooner would be hammering, and later the next list has it.
const RETRY_DELAYS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_mins(1);

/// How often a container is asked about again, of what the file says.
pub(super) fn retries(most: Option<u32>, first: Option<Duration>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let first = first.unwrap_or(default.delays.first);
    RetryPolicy {
        most: most.unwrap_or(default.most),
        delays: Delays {
            first,
            longest: default.delays.longest.max(first),
        },
    }
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
        if self.retries.most > MAX_RETRIES {
            return Err(ConfigError::OutOfRange {
                name: "max_retries",
                value: self.retries.most.to_string(),
                range: "0 to 20",
            });
        }
        if !RETRY_DELAYS.contains(&self.retries.delays.first) {
            return Err(ConfigError::OutOfRange {
                name: "retry_delay",
                value: humantime::format_duration(self.retries.delays.first).to_string(),
                range: "100ms to 1m",
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
            retries: RetryPolicy::default(),
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

    #[test]
    fn retries_are_bounded_and_none_at_all_are_allowed() {
        let with = |most, seconds| CatalogConfig {
            endpoints: Vec::new(),
            discovery: true,
            labels: LabelSelection::default(),
            own_preemptions: true,
            retries: retries(most, seconds),
        };
        assert!(with(None, None).check().is_ok());
        let none = with(Some(0), Some(Duration::from_mins(1)));
        assert!(none.check().is_ok());
        assert_eq!(none.retries.delays.longest, Duration::from_mins(1));
        for (bad, part) in [
            (with(Some(21), None), "max_retries is 21"),
            (with(None, Some(Duration::ZERO)), "retry_delay is 0s"),
            (with(None, Some(Duration::from_hours(1))), "100ms to 1m"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
    }
}
