//! Recognition that may look at this host: is it containerd's?
//!
//! containerd keeps a directory for each running task, named by namespace and id. Its existence is
//! what tells `ctr`'s `/<namespace>/<id>` from any other cgroup two levels deep. The names come from a
//! cgroup's path, which anyone may have made: they are checked before they become part of a path here.

use std::path::{Path, PathBuf};

use super::{
    Container, Runtime,
    cgroup_path::{Candidate, is_plain_name, recognize},
};

/// Where containerd and what embeds it keep their tasks, below the host's `/`.
const TASK_DIRECTORIES: [&str; 6] = [
    "run/containerd/io.containerd.runtime.v2.task",
    "run/k3s/containerd/io.containerd.runtime.v2.task",
    "run/k0s/containerd/io.containerd.runtime.v2.task",
    "run/docker/containerd/daemon/io.containerd.runtime.v2.task",
    "var/snap/k8s/common/run/containerd/io.containerd.runtime.v2.task",
    "var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
];

/// Recognizes containers.
#[derive(Clone, Debug)]
pub struct Recognizer {
    task_directories: Vec<PathBuf>,
}

impl Recognizer {
    /// On the host whose `/` is at `host_root`.
    #[must_use]
    pub fn new(host_root: &Path) -> Self {
        let task_directories = TASK_DIRECTORIES
            .iter()
            .map(|directory| host_root.join(directory))
            .collect();
        Self { task_directories }
    }

    /// The container that the cgroup at `path` belongs to.
    #[must_use]
    pub fn container(&self, path: &[u8]) -> Option<Container> {
        let recognition = recognize(path);
        match (recognition.container, recognition.candidate) {
            (Some(container), Some(candidate)) if self.is_containerds(&candidate) => {
                Some(Container {
                    runtime: Runtime::Containerd,
                    ..container
                })
            }
            (None, Some(candidate)) if self.is_containerds(&candidate) => Some(Container {
                id: candidate.id,
                id_namespace: candidate.namespace,
                runtime: Runtime::Containerd,
                flavor: candidate.flavor,
                ..Container::default()
            }),
            (container, _) => container,
        }
    }

    fn is_containerds(&self, Candidate { namespace, id, .. }: &Candidate) -> bool {
        is_plain_name(namespace)
            && is_plain_name(id)
            && self
                .task_directories
                .iter()
                .any(|tasks| tasks.join(namespace).join(id).is_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_containerd_is_told_from_other_cgroups() {
        let host = tempfile::tempdir().unwrap();
        let task = host
            .path()
            .join(TASK_DIRECTORIES[0])
            .join("default/my-task");
        std::fs::create_dir_all(task).unwrap();
        let recognizer = Recognizer::new(host.path());
        let found = recognizer.container(b"/default/my-task").unwrap();
        assert_eq!(
            (found.id.as_str(), found.runtime),
            ("my-task", Runtime::Containerd)
        );
        for other in [
            "/default/other",
            "/default",
            "/default/..",
            "/../default",
            "/./my-task",
        ] {
            assert_eq!(recognizer.container(other.as_bytes()), None, "{other}");
        }
    }
}
