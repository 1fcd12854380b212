//! Programs that the tests drive, from Debian's packages.

use std::{env, path::PathBuf};

use super::{apt::Apt, step::Step};

/// A program, and the package that has it.
type Wanted = (&'static str, &'static str);

const WANTED: [Wanted; 14] = [
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
    // What the tests look at the machine with.
    ("ip", "iproute2"),
    ("ps", "procps"),
];

/// Where Debian puts programs for administrators, which a person's PATH may lack.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

#[derive(Debug)]
pub(crate) struct Programs<'a> {
    apt: &'a Apt,
}

impl<'a> Programs<'a> {
    pub(crate) fn new(apt: &'a Apt) -> Self {
        Self { apt }
    }

    fn missing() -> Vec<Wanted> {
        WANTED
            .into_iter()
            .filter(|(program, _)| find(program).is_none())
            .collect()
    }

    fn missing_packages() -> Vec<&'static str> {
        let mut packages: Vec<_> = Self::missing()
            .iter()
            .map(|&(_, package)| package)
            .collect();
        packages.dedup();
        packages
    }
}

impl Step for Programs<'_> {
    fn name(&self) -> &'static str {
        "runtimes and peers for the tests"
    }

    fn look(&self) -> Result<String, String> {
        let names = |wanted: &[Wanted]| {
            wanted
                .iter()
                .map(|&(program, _)| program)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let missing = Self::missing();
        if missing.is_empty() {
            Ok(names(&WANTED))
        } else {
            Err(format!("missing: {}", names(&missing)))
        }
    }

    fn install(&self) -> anyhow::Result<()> {
        self.apt.install(&Self::missing_packages())
    }

    fn remedy(&self) -> String {
        self.apt.remedy(&Self::missing_packages())
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
