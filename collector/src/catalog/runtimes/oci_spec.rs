//! The few things of a container's OCI specification that tell who it is.
//!
//! In: the specification as JSON, as containerd keeps it. Out: annotations, the cgroup's path, the network.
//! Never here: the rest of it, like the environment, where secrets are.

use serde::Deserialize;

/// A longer one is not read: Kubernetes bounds what goes in at 1.5 MiB.
const MAX_SPEC: usize = 4 << 20;

/// The longest path of a cgroup that the kernel takes.
const MAX_PATH: usize = 4096;

/// The end of a slice's name.
const SLICE: &str = ".slice";

/// What is read of it. What is missing, or is not as it should be, is empty.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Spec {
    pub(super) annotations: Annotations,
    linux: Option<Linux>,
}

/// What containerd's CRI notes of a container.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Annotations {
    #[serde(rename = "io.kubernetes.cri.container-type")]
    pub(super) kind: String,
    #[serde(rename = "io.kubernetes.cri.container-name")]
    pub(super) container: String,
    #[serde(rename = "io.kubernetes.cri.image-name")]
    pub(super) image: String,
    #[serde(rename = "io.kubernetes.cri.sandbox-id")]
    pub(super) sandbox: String,
    #[serde(rename = "io.kubernetes.cri.sandbox-name")]
    pub(super) pod: String,
    #[serde(rename = "io.kubernetes.cri.sandbox-namespace")]
    pub(super) namespace: String,
    #[serde(rename = "io.kubernetes.cri.sandbox-uid")]
    pub(super) pod_uid: String,
    #[serde(rename = "io.kubernetes.container.restartCount")]
    pub(super) restarts: String,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Linux {
    #[serde(rename = "cgroupsPath")]
    cgroups_path: String,
    namespaces: Vec<Namespace>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

impl Spec {
    /// Reads one; empty when it cannot be read, since the container has its labels too.
    #[must_use]
    pub fn read(json: &[u8]) -> Self {
        if json.len() > MAX_SPEC {
            return Self::default();
        }
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// Whether it has the host's network: it does when it has no network of its own, and one that it
    /// joins by a path can be anyone's.
    #[must_use]
    pub fn host_network(&self) -> Option<bool> {
        let namespaces = &self.linux.as_ref()?.namespaces;
        match namespaces.iter().find(|of| of.kind == "network") {
            None => Some(true),
            Some(of) => of.path.is_empty().then_some(false),
        }
    }

    /// The cgroup's path from the root. One that is relative is so to a cgroup that is not told.
    #[must_use]
    pub fn cgroup_path(&self) -> Option<String> {
        let path = self.linux.as_ref()?.cgroups_path.as_str();
        let path = match path.split(':').collect::<Vec<_>>()[..] {
            [slice, prefix, name] if slice.is_empty() || slice.strip_suffix(SLICE).is_some() => {
                systemd_path(slice, prefix, name)?
            }
            _ => path.to_owned(),
        };
        let is_plain = path.starts_with('/')
            && path.len() <= MAX_PATH
            && !path.split('/').any(|component| component == "..");
        is_plain.then(|| path.trim_end_matches('/').to_owned())
    }
}

/// The path of a scope in a slice: the slice's name repeats those of all slices above it.
fn systemd_path(slice: &str, prefix: &str, name: &str) -> Option<String> {
    let slice = match slice {
        "" => "system",
        "-.slice" => "",
        slice => slice.strip_suffix(SLICE)?,
    };
    if slice.contains('/') || name.contains('/') || prefix.contains('/') {
        return None;
    }
    let mut path = String::new();
    let ends = slice.match_indices('-').map(|(at, _)| at);
    for end in ends.chain((!slice.is_empty()).then_some(slice.len())) {
        path.extend(["/", &slice[..end], SLICE]);
        if path.len() > MAX_PATH {
            return None;
        }
    }
    let unit = match (prefix, name) {
        (_, slice) if slice.strip_suffix(SLICE).is_some() => slice.to_owned(),
        ("", name) => format!("{name}.scope"),
        (prefix, name) => format!("{prefix}-{name}.scope"),
    };
    Some(format!("{path}/{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(of: &str) -> Option<String> {
        let spec = serde_json::json!({"linux": {"cgroupsPath": of}});
        Spec::read(spec.to_string().as_bytes()).cgroup_path()
    }

    #[test]
    fn the_cgroups_path_is_told_for_both_drivers() {
        for (told, is) in [
            ("/default/busy", Some("/default/busy")),
            ("/kubepods/pod1/abc/", Some("/kubepods/pod1/abc")),
            (
                "kubepods-burstable-pod1_2.slice:cri-containerd:abc",
                Some(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/\
                     cri-containerd-abc.scope",
                ),
            ),
            (":nerdctl:abc", Some("/system.slice/nerdctl-abc.scope")),
            ("-.slice:ctr:abc", Some("/ctr-abc.scope")),
            ("user.slice::abc", Some("/user.slice/abc.scope")),
            ("relative/abc", None),
            ("/a/../../b", None),
            ("a/b.slice:x:y", None),
            ("", None),
        ] {
            assert_eq!(path(told).as_deref(), is, "{told}");
        }
        let slices = format!("{}.slice:x:y", "a-".repeat(100_000));
        assert_eq!(path(&slices), None);
    }

    #[test]
    fn only_a_missing_network_is_the_hosts() {
        let of = |json: &str| Spec::read(json.as_bytes()).host_network();
        assert_eq!(
            of(r#"{"linux":{"namespaces":[{"type":"pid"}]}}"#),
            Some(true)
        );
        assert_eq!(
            of(r#"{"linux":{"namespaces":[{"type":"network"}]}}"#),
            Some(false)
        );
        let joined = r#"{"linux":{"namespaces":[{"type":"network","path":"/proc/9/ns/net"}]}}"#;
        assert_eq!(of(joined), None);
        assert_eq!(of("{}"), None);
    }

    #[test]
    fn what_is_not_a_specification_is_empty() {
        let deep = "[".repeat(100_000);
        for json in ["", "null", "{\"linux\": 5}", &deep] {
            assert_eq!(Spec::read(json.as_bytes()), Spec::default());
        }
        let large = format!("{{\"annotations\":{{\"x\":\"{}\"}}}}", "y".repeat(MAX_SPEC));
        assert_eq!(Spec::read(large.as_bytes()), Spec::default());
    }
}
