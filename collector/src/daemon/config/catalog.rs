//! What is configured of the catalog of containers.

use std::{path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use super::ConfigError;
use crate::{
    catalog::{
        LabelSelection,
        runtimes::{Endpoint, Protocol},
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

/// Where a runtime is, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointValue(pub Endpoint);

/// It is not written like that.
#[derive(Debug, thiserror::Error)]
pub enum BadEndpoint {
    /// No protocol.
    #[error(
        "{text:?} is not an endpoint; write PROTOCOL=ADDRESS, like docker=/run/docker.sock; protocols are \
         docker, podman, containerd, cri, garden and ecs"
    )]
    NoProtocol {
        /// What was written.
        text: String,
    },
    /// An address that it cannot be at.
    #[error("{address:?} is no address for {protocol}: it is {wanted}")]
    BadAddress {
        /// What was written.
        address: String,
        /// For what.
        protocol: &'static str,
        /// What it can be.
        wanted: &'static str,
    },
}

impl FromStr for EndpointValue {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let no_protocol = || BadEndpoint::NoProtocol {
            text: text.to_owned(),
        };
        let (name, address) = text.trim().split_once('=').ok_or_else(no_protocol)?;
        let protocol = Protocol::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or_else(no_protocol)?;
        let address = address.strip_prefix("unix://").unwrap_or(address);
        let is_path = Path::new(address).is_absolute();
        let is_url = address.starts_with("http://") && address.len() > "http://".len();
        let (is_good, wanted) = match protocol {
            Protocol::Containerd | Protocol::Cri => (is_path, "the absolute path of a socket"),
            Protocol::Ecs => (is_url, "a URL that begins with http://"),
            Protocol::Docker | Protocol::Podman | Protocol::Garden => (
                is_path || is_url,
                "the absolute path of a socket, or a URL that begins with http://",
            ),
        };
        if !is_good {
            return Err(BadEndpoint::BadAddress {
                address: address.to_owned(),
                protocol: protocol.name(),
                wanted,
            });
        }
        Ok(Self(Endpoint {
            protocol,
            address: address.to_owned(),
        }))
    }
}

impl<'de> Deserialize<'de> for EndpointValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_protocol_and_where_it_is_spoken() {
        for (text, protocol, address) in [
            (
                "docker=/run/docker.sock",
                Protocol::Docker,
                "/run/docker.sock",
            ),
            (
                "cri=unix:///run/crio/crio.sock",
                Protocol::Cri,
                "/run/crio/crio.sock",
            ),
            (
                "ecs=http://169.254.170.2/v4/x",
                Protocol::Ecs,
                "http://169.254.170.2/v4/x",
            ),
            (
                "docker=http://127.0.0.1:2375",
                Protocol::Docker,
                "http://127.0.0.1:2375",
            ),
        ] {
            let EndpointValue(endpoint) = text.parse().unwrap();
            assert_eq!(
                (endpoint.protocol, endpoint.address.as_str()),
                (protocol, address)
            );
        }
        for (text, part) in [
            ("/run/docker.sock", "PROTOCOL=ADDRESS"),
            ("rkt=/run/rkt.sock", "protocols are"),
            ("docker=run/docker.sock", "absolute"),
            ("containerd=http://host", "absolute path of a socket"),
            ("ecs=/run/ecs.sock", "http://"),
            ("docker=https://host", "http://"),
        ] {
            let error = text.parse::<EndpointValue>().unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
    }

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
