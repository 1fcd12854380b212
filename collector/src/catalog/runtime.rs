//! Container runtimes by name.

use std::fmt;

/// A container runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd, through its own API or the CRI.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman.
    Podman,
    /// Garden, of Cloud Foundry.
    Garden,
    /// Amazon's ECS on Fargate.
    EcsFargate,
    /// A container whose runtime is not known: its path does not tell (Kubernetes with the cgroupfs
    /// driver), and no runtime has told of it.
    #[default]
    Unknown,
}

impl Runtime {
    /// Every one that is known.
    pub const KNOWN: [Self; 6] = [
        Self::Docker,
        Self::Containerd,
        Self::CriO,
        Self::Podman,
        Self::Garden,
        Self::EcsFargate,
    ];

    /// The name in labels; empty for the unknown one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Garden => "garden",
            Self::EcsFargate => "ecsfargate",
            Self::Unknown => "",
        }
    }
}

/// What a runtime's containers run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flavor {
    /// Processes of this host.
    #[default]
    Default,
    /// Kata Containers: a virtual machine for each sandbox. What runs in it, this host's kernel does not
    /// see.
    Kata,
}

impl Flavor {
    /// The name in labels; empty for the default.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Kata => "kata",
        }
    }
}

/// A runtime and its flavor: containers of one runtime can be of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuntimeMetadata {
    /// The runtime.
    pub runtime: Runtime,
    /// Its flavor.
    pub flavor: Flavor,
}

impl RuntimeMetadata {
    /// Of the default flavor.
    #[must_use]
    pub const fn of(runtime: Runtime) -> Self {
        Self {
            runtime,
            flavor: Flavor::Default,
        }
    }
}

/// `containerd`, or `containerd (kata)`; `unknown` for one that is not known.
impl fmt::Display for RuntimeMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runtime, flavor } = self;
        f.write_str(match runtime {
            Runtime::Unknown => "unknown",
            known => known.name(),
        })?;
        match flavor {
            Flavor::Default => Ok(()),
            Flavor::Kata => write!(f, " ({})", flavor.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flavor_is_shown_only_when_it_is_not_the_default() {
        let of = |runtime, flavor| RuntimeMetadata { runtime, flavor }.to_string();
        assert_eq!(of(Runtime::CriO, Flavor::Default), "cri-o");
        assert_eq!(of(Runtime::Containerd, Flavor::Kata), "containerd (kata)");
        assert_eq!(of(Runtime::Unknown, Flavor::Kata), "unknown (kata)");
    }
}
