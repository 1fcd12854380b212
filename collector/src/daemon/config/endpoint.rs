//! Where a container runtime is, as people write it.

use std::{path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use crate::catalog::runtimes::{Endpoint, Protocol};

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
}
