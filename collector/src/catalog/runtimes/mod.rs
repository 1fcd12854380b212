//! Container runtimes, spoken to.
//!
//! In: a runtime's socket. Out: its containers, as [`RuntimeContainer`]s, and what happens to them. Never
//! here: a call that could change one. One file for each runtime; they differ in protocol and in words,
//! not in what is made of it.
//!
//! What a runtime answers is not trusted: an answer has a most bytes ([`MAX_ANSWER`]) and a time by which
//! it must be there ([`ANSWER_TIME`]), and one that cannot be used is one [`CallError`].

pub mod places;

pub mod docker;

pub mod podman;

pub mod containerd;

pub mod cri;

pub mod garden;

pub mod ecs;

mod details;
mod engine;

pub mod http;

mod grpc;

pub mod json_objects;
pub mod oci_spec;
pub mod told_json;

#[cfg(test)]
mod grpc_tests;
#[cfg(test)]
mod http_tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{
    ContainerRef, LabelSelection, Runtime, RuntimeContainer,
    provider::{Unavailable, collectors::Collectors},
};

/// The most bytes of one answer. A list of 5,000 containers of Docker has some 10 MB.
pub const MAX_ANSWER: usize = 16 << 20;

/// From a call to the last byte of its answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// To connect, and to learn who answers.
pub const CONNECT_TIME: Duration = Duration::from_secs(2);

/// The most containers of one runtime that are kept.
pub const MAX_CONTAINERS: usize = 16_384;

/// Where a runtime may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The protocol that is spoken there, by the runtime that it is named for.
    pub protocol: Protocol,
    /// The address: the path of a socket on this host, or a URL.
    pub address: String,
}

/// How a runtime is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Docker's Engine API.
    Docker,
    /// Podman's API.
    Podman,
    /// containerd's own API.
    Containerd,
    /// The Container Runtime Interface, version 1: of containerd and CRI-O.
    Cri,
    /// Garden's API.
    Garden,
    /// The task metadata endpoint of ECS, version 4.
    Ecs,
}

impl Protocol {
    /// Every one, the better told first: of two that know a container, the earlier is believed. Who runs a
    /// container knows more of it than what that one is built on.
    pub const ALL: [Self; 6] = [
        Self::Docker,
        Self::Podman,
        Self::Ecs,
        Self::Garden,
        Self::Cri,
        Self::Containerd,
    ];

    /// The name in flags and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Cri => "cri",
            Self::Garden => "garden",
            Self::Ecs => "ecs",
        }
    }
}

/// `docker=/run/docker.sock`, as it is configured.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, address } = self;
        write!(f, "{}={address}", protocol.name())
    }
}

/// What a runtime is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Who answers.
    Connect,
    /// What happens.
    Events,
    /// What there is.
    List,
    /// One container.
    Inspect,
}

impl Call {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Events, Self::List, Self::Inspect];

    /// The name in the label `call`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Events => "events",
            Self::List => "list",
            Self::Inspect => "inspect",
        }
    }
}

/// Brings about a connection to a runtime.
#[async_trait]
pub trait Connector: fmt::Debug + Send + Sync {
    /// To where.
    fn endpoint(&self) -> &Endpoint;

    /// Connects, and learns who answers.
    async fn connect(&self) -> Result<Arc<dyn RuntimeClient>, NotConnected>;
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotConnected {
    /// Why, and whether it may come.
    pub why: Unavailable,
    /// The [name](CallError::name) of the error, where a call failed; absent where somebody answers who is
    /// not meant.
    pub error: Option<&'static str>,
}

impl From<Unavailable> for NotConnected {
    fn from(why: Unavailable) -> Self {
        Self { why, error: None }
    }
}

/// A runtime that answers. All calls only read.
#[async_trait]
pub trait RuntimeClient: fmt::Debug + Send + Sync {
    /// Who answered: CRI is spoken by more than one.
    fn runtime(&self) -> Runtime;

    /// Its version, as it says.
    fn version(&self) -> &str;

    /// What it can tell besides: figures that this host does not have.
    fn collectors(self: Arc<Self>, _priority: u8) -> Collectors {
        Collectors::default()
    }

    /// What happens from now on; `None` for a runtime that does not tell.
    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError>;

    /// All its containers, and sandboxes, those that have ended too.
    async fn list(&self) -> Result<Listed, CallError>;

    /// One of them; `None` when it has none of that id.
    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError>;
}

/// What a runtime has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// At most [`MAX_CONTAINERS`].
    pub containers: Vec<RuntimeContainer>,
    /// Those that could not be understood, or were too many.
    pub left_out: u64,
}

/// Tells what happens to a runtime's containers.
#[async_trait]
pub trait EventStream: fmt::Debug + Send {
    /// The next event; an error ends the stream. May be dropped while it waits, without a loss.
    async fn next(&mut self) -> Result<RuntimeEvent, CallError>;
}

/// Something happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// It is there, or has changed (started, renamed, …): it is worth another look.
    Changed {
        /// Which.
        of: ContainerRef,
        /// What the event itself tells of it, for one that is gone before it is looked at.
        told: Option<Box<RuntimeContainer>>,
    },
    /// Its first process ended.
    Exited {
        /// Which.
        of: ContainerRef,
        /// The exit code.
        code: Option<i32>,
        /// When.
        at: Option<SystemTime>,
    },
    /// It was removed.
    Removed {
        /// Which.
        of: ContainerRef,
    },
}

impl RuntimeEvent {
    /// To which it happened.
    #[must_use]
    pub const fn of(&self) -> &ContainerRef {
        match self {
            Self::Changed { of, .. } | Self::Exited { of, .. } | Self::Removed { of } => of,
        }
    }
}

/// A call to a runtime failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer did not come in time.
    #[error("no answer from {address} to {call} within {limit:?}")]
    Timeout {
        /// From where.
        address: String,
        /// To what.
        call: String,
        /// The time that it had.
        limit: Duration,
    },
    /// The answer is that it will not.
    #[error("{address} refuses {call}: {answer}")]
    Refused {
        /// Who.
        address: String,
        /// What.
        call: String,
        /// What it said, bounded.
        answer: String,
    },
    /// The answer is longer than any should be.
    #[error("the answer of {address} to {call} has more than {limit} bytes")]
    TooLarge {
        /// Whose.
        address: String,
        /// To what.
        call: String,
        /// The most that it may have.
        limit: usize,
    },
    /// The answer is not understood.
    #[error("the answer of {address} to {call} is not understood: {reason}")]
    Malformed {
        /// Whose.
        address: String,
        /// To what.
        call: String,
        /// Why.
        reason: String,
    },
    /// It tells no more events.
    #[error("{address} ended the stream of events")]
    Ended {
        /// Who.
        address: String,
    },
}

impl CallError {
    /// The names in the label `error`.
    pub const NAMES: [&'static str; 6] = [
        "unreachable",
        "timeout",
        "refused",
        "too_large",
        "malformed",
        "ended",
    ];

    /// The name in the label `error`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::Unreachable { .. } => 0,
            Self::Timeout { .. } => 1,
            Self::Refused { .. } => 2,
            Self::TooLarge { .. } => 3,
            Self::Malformed { .. } => 4,
            Self::Ended { .. } => 5,
        }]
    }
}

/// What connects to an endpoint, and keeps these labels.
#[must_use]
pub fn connector(endpoint: &Endpoint, labels: &Arc<LabelSelection>) -> Arc<dyn Connector> {
    let (endpoint, labels) = (endpoint.clone(), Arc::clone(labels));
    match endpoint.protocol {
        Protocol::Docker => Arc::new(docker::DockerConnector::new(endpoint, labels)),
        Protocol::Podman => Arc::new(podman::PodmanConnector::new(endpoint, labels)),
        Protocol::Containerd => Arc::new(containerd::ContainerdConnector::new(endpoint, labels)),
        Protocol::Cri => Arc::new(cri::CriConnector::new(endpoint, labels)),
        Protocol::Garden => Arc::new(garden::GardenConnector::new(endpoint, labels)),
        Protocol::Ecs => Arc::new(ecs::EcsConnector::new(endpoint, labels)),
    }
}
