//! Kata Containers, recognized.
//!
//! In: names of runtimes, handlers, annotations and cgroups. Out: whether they are Kata's, and of
//! which sandbox. Never here: a look into a virtual machine.

pub mod merged;

pub mod metrics;

pub mod points;

pub mod reading;

pub mod shim;

use crate::catalog::Flavor;

/// The beginning of the keys of annotations that only Kata reads.
pub const ANNOTATION: &str = "io.katacontainers.";

/// The beginning of the name of a sandbox's cgroup, in its pod's: the shim and the virtual machine.
pub const CGROUP_PREFIX: &str = "kata_";

/// Below the root, where the shim puts what shall not count for the pod when `sandbox_cgroup_only` is off:
/// `/kata_overhead/<sandbox>` by the shim in Go, `/kata_overhead/<the sandbox's path>` by the one in Rust.
pub const OVERHEAD_CGROUP: &str = "kata_overhead";

/// The flavor by the name of a runtime of containerd: `io.containerd.kata.v2`, `io.containerd.kata-qemu.v2`,
/// or the path of the shim's program.
#[must_use]
pub fn of_runtime_name(name: &str) -> Flavor {
    of(name.starts_with("io.containerd.kata") || is_shim(name))
}

/// Whether a cgroup has what Kata keeps out of a pod's: the sandbox's cgroup is another.
#[must_use]
pub fn is_overhead(path: &str) -> bool {
    path.split('/')
        .any(|component| component == OVERHEAD_CGROUP)
}

/// Whether a program is the one that stands for a sandbox on the host: `containerd-shim-kata-v2`, at any
/// path, in Go or Rust.
fn is_shim(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    name.starts_with("containerd-shim-kata")
}

/// The flavor by the name of a handler, as a `RuntimeClass` has it: `kata`, `kata-qemu`, `kata-clh`, ….
#[must_use]
pub fn of_handler(handler: &str) -> Flavor {
    of(handler == "kata" || handler.starts_with("kata-"))
}

/// The flavor by the key of an annotation.
#[must_use]
pub fn of_annotation(key: &str) -> Flavor {
    of(key.starts_with(ANNOTATION))
}

const fn of(is_kata: bool) -> Flavor {
    if is_kata {
        Flavor::Kata
    } else {
        Flavor::Default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kata_is_known_by_its_names_and_nothing_else_is() {
        for name in [
            "io.containerd.kata.v2",
            "io.containerd.kata-qemu.v2",
            "io.containerd.kata-clh.v2",
            "/opt/kata/bin/containerd-shim-kata-v2",
        ] {
            assert_eq!(of_runtime_name(name), Flavor::Kata, "{name}");
        }
        for name in [
            "io.containerd.runc.v2",
            "",
            "io.containerd.runsc.v1",
            "kata",
        ] {
            assert_eq!(of_runtime_name(name), Flavor::Default, "{name}");
        }
        for handler in ["kata", "kata-qemu", "kata-fc"] {
            assert_eq!(of_handler(handler), Flavor::Kata, "{handler}");
        }
        for handler in ["", "runc", "katakomb"] {
            assert_eq!(of_handler(handler), Flavor::Default, "{handler}");
        }
        assert_eq!(
            of_annotation("io.katacontainers.config.hypervisor.default_memory"),
            Flavor::Kata
        );
        assert_eq!(of_annotation("io.kubernetes.pod.name"), Flavor::Default);
    }
}
