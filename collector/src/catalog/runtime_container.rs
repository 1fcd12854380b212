//! A container as its runtime tells of it.
//!
//! All text in it is the runtime's and its users': [`told_text`] has made it bounded and fit for a label.

use std::time::SystemTime;

use super::{Flavor, Names, Runtime, RuntimeMetadata};
use crate::text_within;

/// A container, or a pod's sandbox, as its runtime tells of it. What the runtime does not tell is empty or
/// absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeContainer {
    /// The runtime's id of it, as it is in cgroups' paths: for most 64 hexadecimal digits.
    pub id: String,
    /// The runtime's namespace of ids, for one that has such: containerd.
    pub id_namespace: String,
    /// The runtime that runs it, and the flavor.
    pub runtime: RuntimeMetadata,
    /// What it is.
    pub role: Role,
    /// The five labels.
    pub names: Names,
    /// The UID of its pod.
    pub pod_uid: String,
    /// The id of the sandbox that it is in.
    pub sandbox: String,
    /// Labels of the container that the user chose, by key.
    pub labels: Vec<(String, String)>,
    /// Labels of its pod that the user chose, by key.
    pub pod_labels: Vec<(String, String)>,
    /// What it does.
    pub state: RuntimeState,
    /// Its first process, in the host's PID namespace; absent when it has none.
    pub pid: Option<u32>,
    /// The cgroup that it was given, where the runtime tells: a path from the root of the hierarchies.
    pub cgroup_path: Option<String>,
    /// When its first process was started, the last time.
    pub started: Option<SystemTime>,
    /// When it ended, the last time.
    pub finished: Option<SystemTime>,
    /// The exit code of its first process.
    pub exit_code: Option<i32>,
    /// How often it has been started again: as the runtime counts, or Kubernetes by the attempt.
    pub restarts: Option<u32>,
    /// Whether it has the host's network.
    pub host_network: Option<bool>,
}

impl RuntimeContainer {
    /// Takes from another telling of the same container what this one leaves out.
    pub fn complete(&mut self, other: &Self) {
        let Self {
            id: _,
            id_namespace,
            runtime,
            role: _,
            names,
            pod_uid,
            sandbox,
            labels,
            pod_labels,
            state,
            pid,
            cgroup_path,
            started,
            finished,
            exit_code,
            restarts,
            host_network,
        } = self;
        text(id_namespace, &other.id_namespace);
        text(&mut names.name, &other.names.name);
        text(&mut names.image, &other.names.image);
        text(&mut names.namespace, &other.names.namespace);
        text(&mut names.pod, &other.names.pod);
        text(&mut names.container, &other.names.container);
        text(pod_uid, &other.pod_uid);
        text(sandbox, &other.sandbox);
        list(labels, &other.labels);
        list(pod_labels, &other.pod_labels);
        value(cgroup_path, other.cgroup_path.as_ref());
        value(started, other.started.as_ref());
        value(finished, other.finished.as_ref());
        value(exit_code, other.exit_code.as_ref());
        value(restarts, other.restarts.as_ref());
        value(host_network, other.host_network.as_ref());
        if runtime.runtime == Runtime::Unknown {
            runtime.runtime = other.runtime.runtime;
        }
        if runtime.flavor == Flavor::Default {
            runtime.flavor = other.runtime.flavor;
        }
        if *state == RuntimeState::Unknown {
            *state = other.state;
        }
        if *state != RuntimeState::Exited {
            value(pid, other.pid.as_ref());
        }
    }
}

fn text(own: &mut String, other: &str) {
    if own.is_empty() {
        other.clone_into(own);
    }
}

fn value<T: Clone>(own: &mut Option<T>, other: Option<&T>) {
    if own.is_none() {
        *own = other.cloned();
    }
}

fn list(own: &mut Vec<(String, String)>, other: &[(String, String)]) {
    if own.is_empty() {
        other.clone_into(own);
    }
}

/// What a [`RuntimeContainer`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// A container.
    #[default]
    Container,
    /// What holds a pod's namespaces, or its virtual machine.
    Sandbox,
}

/// What a container does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuntimeState {
    /// It has not been started.
    Created,
    /// Its processes run.
    Running,
    /// Its processes are stopped for a while.
    Paused,
    /// It has ended.
    Exited,
    /// The runtime does not tell.
    #[default]
    Unknown,
}

impl RuntimeState {
    /// The name in the catalog; empty when it is not known.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Unknown => "",
        }
    }
}

/// Which labels of containers and pods are kept, by their exact keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelection {
    /// Of containers.
    pub container: Vec<String>,
    /// Of pods.
    pub pod: Vec<String>,
}

impl LabelSelection {
    /// The most keys of each kind: every one is a label on each container's `info`.
    pub const MAX: usize = 32;

    /// The chosen ones of a container's labels, in the order in which they were chosen.
    pub fn of_container<'a>(
        &self,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Vec<(String, String)> {
        choose(&self.container, value)
    }

    /// The chosen ones of a pod's labels, in the order in which they were chosen.
    pub fn of_pod<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> Vec<(String, String)> {
        choose(&self.pod, value)
    }
}

fn choose<'a>(keys: &[String], value: impl Fn(&str) -> Option<&'a str>) -> Vec<(String, String)> {
    keys.iter()
        .filter_map(|key| Some((key.clone(), told_text(value(key)?))))
        .collect()
}

/// The most bytes of a text that a runtime tells: more than names of pods (253) and images have.
pub const MAX_TEXT: usize = 512;

/// A text that a runtime tells, bounded, and without what cannot be seen.
#[must_use]
pub fn told_text(text: &str) -> String {
    text_within(text.as_bytes(), MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chosen_labels_are_kept_and_their_values_are_bounded() {
        let selection = LabelSelection {
            container: vec!["team".to_owned(), "absent".to_owned(), "long".to_owned()],
            pod: vec!["app".to_owned()],
        };
        let long = "x".repeat(1 << 20);
        let told = [
            ("secret", "s"),
            ("team", "a\u{202e}b"),
            ("long", &long),
            ("app", "web"),
        ];
        let value = |key: &str| {
            told.iter()
                .find(|(of, _)| *of == key)
                .map(|(_, value)| *value)
        };
        let chosen = selection.of_container(value);
        let keys: Vec<_> = chosen.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["team", "long"]);
        assert!(chosen[0].1.starts_with("a\\xe2\\x80\\xaeb"), "{chosen:?}");
        assert!(chosen[1].1.len() <= MAX_TEXT);
        assert_eq!(
            selection.of_pod(value),
            [("app".to_owned(), "web".to_owned())]
        );
    }
}
