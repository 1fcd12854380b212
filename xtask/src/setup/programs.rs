//! Programs that tests and checks drive, from Debian's packages.

use std::{env, path::PathBuf};

use super::{apt::Apt, step::Step};

/// A program, or a file by its path, and the package that has it.
type Wanted = (&'static str, &'static str);

/// What other kernels are fetched, unpacked and booted with.
const MACHINES: [Wanted; 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("mke2fs", "e2fsprogs"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// What the parts that are written in C are compiled with for another machine.
const OTHER_ARCHITECTURE: [Wanted; 2] = [
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    (
        "/usr/aarch64-linux-gnu/include/stdint.h",
        "libc6-dev-arm64-cross",
    ),
];

const TESTS: [Wanted; 17] = [
    // Runtimes whose containers cgscope must see, and what they start.
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("podman", "podman"),
    ("conmon", "conmon"),
    ("busybox", "busybox-static"),
    // Peers that cgscope is compared with.
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("runqlat", "libbpf-tools"),
    // A disk whose latency is set.
    ("nbdfuse", "libnbd-bin"),
    ("nbdkit", "nbdkit"),
    ("losetup", "mount"),
    // What the tests look at the machine with.
    ("ip", "iproute2"),
    ("ps", "procps"),
];

/// Where Debian puts programs for administrators, which a person's PATH may lack.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

#[derive(Debug)]
pub(crate) struct Programs<'a> {
    apt: &'a Apt,
    name: &'static str,
    wanted: &'static [Wanted],
}

impl<'a> Programs<'a> {
    pub(crate) fn for_tests(apt: &'a Apt) -> Self {
        Self {
            apt,
            name: "runtimes and peers for the tests",
            wanted: &TESTS,
        }
    }

    pub(crate) fn for_machines(apt: &'a Apt) -> Self {
        Self {
            apt,
            name: "virtual machines",
            wanted: &MACHINES,
        }
    }

    pub(crate) fn for_other_architecture(apt: &'a Apt) -> Self {
        Self {
            apt,
            name: "C compiler for aarch64",
            wanted: &OTHER_ARCHITECTURE,
        }
    }

    fn missing(&self) -> Vec<Wanted> {
        self.wanted
            .iter()
            .copied()
            .filter(|(program, _)| find(program).is_none())
            .collect()
    }

    fn missing_packages(&self) -> Vec<&'static str> {
        let mut packages: Vec<_> = self.missing().iter().map(|&(_, package)| package).collect();
        packages.dedup();
        packages
    }
}

impl Step for Programs<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn look(&self) -> Result<String, String> {
        let names = |wanted: &[Wanted]| {
            wanted
                .iter()
                .map(|&(program, _)| program)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let missing = self.missing();
        if missing.is_empty() {
            Ok(names(self.wanted))
        } else {
            Err(format!("missing: {}", names(&missing)))
        }
    }

    fn install(&self) -> anyhow::Result<()> {
        self.apt.install(&self.missing_packages())
    }

    fn remedy(&self) -> String {
        self.apt.remedy(&self.missing_packages())
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        // A path from the root stays what it is.
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
