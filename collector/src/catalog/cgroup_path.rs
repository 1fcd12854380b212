//! A container, recognized from its cgroup's path.
//!
//! Every runtime writes the container's id into the path, in one of a few ways: as a component of its
//! own (the cgroupfs driver), or in a scope's name (the systemd driver). The outermost container wins:
//! what runs in a container that runs containers is, to this host, the outer one's.

use super::{Container, Flavor, Qos, Runtime, kata};

/// What a path tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recognition {
    /// The container, or pod, that the cgroup belongs to.
    pub container: Option<Container>,
    /// What containerd would call the container, if it is one of its: to be looked up.
    pub candidate: Option<Candidate>,
}

/// A container that containerd may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// containerd's namespace.
    pub namespace: String,
    /// The id there.
    pub id: String,
    /// What the path tells of the flavor.
    pub flavor: Flavor,
}

/// Names of scopes, and the runtime that makes them.
const SCOPES: [(&str, Runtime); 5] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("libpod-", Runtime::Podman),
];

/// containerd's namespace for Kubernetes.
const KUBERNETES_NAMESPACE: &str = "k8s.io";

/// A pod, on the way down a path.
#[derive(Clone, Debug, Default)]
struct Pod {
    in_kubepods: bool,
    uid: String,
    qos: Option<Qos>,
}

/// Recognizes the container in a path. Pure: a [`Candidate`] is confirmed elsewhere.
#[must_use]
pub fn recognize(path: &[u8]) -> Recognition {
    // No runtime writes an id that is not ASCII.
    let Ok(path) = std::str::from_utf8(path) else {
        return Recognition::default();
    };
    let mut pod = Pod::default();
    let mut above = Above::default();
    for component in path.split('/').filter(|component| !component.is_empty()) {
        if let Some((id, runtime, flavor)) = container_id(component, &above) {
            let found = Container {
                id: id.to_owned(),
                runtime,
                flavor,
                pod_uid: pod.uid.clone(),
                qos: pod.qos(),
                ..Container::default()
            };
            let namespace = if pod.in_kubepods {
                KUBERNETES_NAMESPACE
            } else {
                above.parent
            };
            let candidate =
                (runtime == Runtime::Unknown && !namespace.is_empty()).then(|| Candidate {
                    namespace: namespace.to_owned(),
                    id: id.to_owned(),
                    flavor,
                });
            return Recognition {
                container: Some(found),
                candidate,
            };
        }
        pod.descend(component);
        above.descend(component);
    }
    if !pod.uid.is_empty() {
        let container = Container {
            pod_uid: pod.uid.clone(),
            qos: pod.qos(),
            ..Container::default()
        };
        return Recognition {
            container: Some(container),
            candidate: None,
        };
    }
    Recognition {
        container: None,
        candidate: two_levels(path),
    }
}

/// What is above a component.
#[derive(Clone, Copy, Debug, Default)]
struct Above<'a> {
    /// Right above it.
    parent: &'a str,
    /// Above that.
    grandparent: &'a str,
    /// Whether it is below what Kata has for what it keeps out of pods' cgroups.
    in_kata_overhead: bool,
}

impl<'a> Above<'a> {
    fn descend(&mut self, component: &'a str) {
        self.in_kata_overhead |= component == kata::OVERHEAD_CGROUP;
        self.grandparent = std::mem::replace(&mut self.parent, component);
    }
}

/// The id in a component, whose it is, and of which flavor.
fn container_id<'a>(component: &'a str, above: &Above<'_>) -> Option<(&'a str, Runtime, Flavor)> {
    if let Some(component) = component.strip_prefix(kata::CGROUP_PREFIX)
        && let Some((id, runtime)) = id_of_runtime(component, above)
    {
        return Some((id, runtime, Flavor::Kata));
    }
    let (id, runtime) = if is_fargates(component, above) {
        (component, Runtime::EcsFargate)
    } else if is_gardens(component, above) {
        (component, Runtime::Garden)
    } else {
        id_of_runtime(component, above)?
    };
    let flavor = if above.in_kata_overhead {
        Flavor::Kata
    } else {
        Flavor::Default
    };
    Some((id, runtime, flavor))
}

/// The id in a component, and whose it is.
fn id_of_runtime<'a>(component: &'a str, above: &Above<'_>) -> Option<(&'a str, Runtime)> {
    if is_id(component) {
        let runtime = match (above.grandparent, above.parent) {
            // ECS gives Docker a parent for each task.
            (_, "docker") | ("ecs", _) => Runtime::Docker,
            _ => Runtime::Unknown,
        };
        return Some((component, runtime));
    }
    // `<slice>:cri-containerd:<id>`: a systemd path given to the cgroupfs driver.
    let mut parts = component.rsplitn(3, ':');
    if let (Some(id), Some(prefix)) = (parts.next(), parts.next())
        && is_id(id)
    {
        let runtime = match prefix {
            "cri-containerd" => Runtime::Containerd,
            "crio" => Runtime::CriO,
            _ => Runtime::Unknown,
        };
        return Some((id, runtime));
    }
    let name = component.strip_suffix(".scope").unwrap_or(component);
    SCOPES.iter().find_map(|(prefix, runtime)| {
        let id = name.strip_prefix(prefix)?;
        is_id(id).then_some((id, *runtime))
    })
}

/// Whether it is a container's in `/ecs/<task>/<task>-<number>`.
fn is_fargates(component: &str, above: &Above<'_>) -> bool {
    above.grandparent == "ecs"
        && is_plain_name(component)
        && component
            .strip_prefix(above.parent)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            })
}

/// Whether it is a container's in `/garden/<handle>`, or in one of the two that Garden has where it
/// throttles: `/garden/good/<handle>`, `/garden/bad/<handle>`. A handle is what its user chose.
fn is_gardens(component: &str, above: &Above<'_>) -> bool {
    const OWN: [&str; 3] = ["good", "bad", "init"];
    let is_garden = |name: &str| {
        // With the tag of two letters that tells two Gardens of a host apart.
        name.strip_prefix("garden")
            .is_some_and(|tag| tag.is_empty() || tag.starts_with('-') && matches!(tag.len(), 2 | 3))
    };
    let is_throttled = is_garden(above.grandparent) && matches!(above.parent, "good" | "bad");
    (is_throttled || is_garden(above.parent))
        && !OWN.contains(&component)
        && is_plain_name(component)
}

/// The longest name that runtimes allow for a namespace, an id or a handle, and more.
const MAX_NAME: usize = 255;

/// Whether it is what runtimes accept as a name: no separators, no dots alone.
pub(super) fn is_plain_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether it is what Docker, containerd's CRI, CRI-O and Podman make: 64 lower-case hexadecimal
/// digits.
fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The names in `/<namespace>/<id>`, which is where `ctr` puts a container. So do others.
fn two_levels(path: &str) -> Option<Candidate> {
    let mut components = path.split('/').filter(|component| !component.is_empty());
    let (namespace, name) = (components.next()?, components.next()?);
    let (id, flavor) = match name.strip_prefix(kata::CGROUP_PREFIX) {
        Some(id) => (id, Flavor::Kata),
        None => (name, Flavor::Default),
    };
    // What is below belongs to the container too.
    Some(Candidate {
        namespace: namespace.to_owned(),
        id: id.to_owned(),
        flavor,
    })
}

impl Pod {
    /// Reads one more component: `kubepods`, `burstable`, `pod<uid>` with the cgroupfs driver,
    /// `kubepods-burstable-pod<uid>.slice` with systemd's, there with `_` for `-`.
    fn descend(&mut self, component: &str) {
        let name = component.strip_suffix(".slice").unwrap_or(component);
        // kind and others nest the kubelet's cgroups in one of theirs, and systemd repeats the
        // names of all slices above.
        let Some(at) = name.rfind("kubepods") else {
            if self.in_kubepods {
                match name {
                    "burstable" => self.qos = Some(Qos::Burstable),
                    "besteffort" => self.qos = Some(Qos::BestEffort),
                    _ => self.take_uid(name.strip_prefix("pod")),
                }
            }
            return;
        };
        self.in_kubepods = true;
        let mut rest = &name[at + "kubepods".len()..];
        for (word, qos) in [
            ("-burstable", Qos::Burstable),
            ("-besteffort", Qos::BestEffort),
        ] {
            if let Some(behind) = rest.strip_prefix(word) {
                self.qos = Some(qos);
                rest = behind;
            }
        }
        self.take_uid(rest.strip_prefix("-pod"));
    }

    /// Takes a UID: a UUID, or the 32 digits of a static pod.
    fn take_uid(&mut self, uid: Option<&str>) {
        let Some(uid) = uid else { return };
        let uid = uid.replace('_', "-");
        let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
        let dashes = uid.bytes().filter(|byte| *byte == b'-').count();
        if digits == 32 && (dashes == 4 || dashes == 0) && digits + dashes == uid.len() {
            self.uid = uid;
        }
    }

    fn qos(&self) -> Option<Qos> {
        (!self.uid.is_empty()).then(|| self.qos.unwrap_or(Qos::Guaranteed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";
    const OTHER: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const UID: &str = "5f0c1a2b-3c4d-5e6f-7081-92a3b4c5d6e7";
    const UNDERSCORED: &str = "5f0c1a2b_3c4d_5e6f_7081_92a3b4c5d6e7";
    const STATIC_UID: &str = "0123456789abcdef0123456789abcdef";

    fn container(path: &str) -> Option<Container> {
        let path = path
            .replace("{id}", ID)
            .replace("{other}", OTHER)
            .replace("{uid}", UID)
            .replace("{_uid}", UNDERSCORED)
            .replace("{static}", STATIC_UID);
        recognize(path.as_bytes()).container
    }

    #[test]
    fn the_path_tells_runtime_and_id() {
        use Runtime::{Containerd, CriO, Docker, Podman, Unknown};
        for (path, runtime) in [
            ("/docker/{id}", Docker),
            ("/docker/{id}/init.scope", Docker),
            ("/docker/{id}/docker/{other}", Docker),
            ("/system.slice/docker-{id}.scope", Docker),
            ("/my-parent/{id}", Unknown),
            ("/system.slice/nerdctl-{id}.scope", Containerd),
            ("/default/{id}", Unknown),
            ("/machine.slice/libpod-{id}.scope", Podman),
            ("/machine.slice/libpod-{id}.scope/container", Podman),
            ("/libpod_parent/libpod-{id}", Podman),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope",
                Podman,
            ),
        ] {
            let found = container(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.id.as_str(), found.runtime), (ID, runtime), "{path}");
            assert_eq!((found.pod_uid.as_str(), found.qos), ("", None), "{path}");
        }
        for (path, runtime, qos) in [
            ("/kubepods/burstable/pod{uid}/{id}", Unknown, Qos::Burstable),
            (
                "/kubepods/besteffort/pod{uid}/{id}",
                Unknown,
                Qos::BestEffort,
            ),
            ("/kubepods/pod{uid}/{id}", Unknown, Qos::Guaranteed),
            (
                "/kubepods/burstable/pod{uid}/crio-{id}",
                CriO,
                Qos::Burstable,
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_uid}.slice/\
                 cri-containerd-{id}.scope",
                Containerd,
                Qos::Burstable,
            ),
            (
                "/kubepods.slice/kubepods-pod{_uid}.slice/crio-{id}.scope/container",
                CriO,
                Qos::Guaranteed,
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                 kubelet-kubepods-besteffort-pod{_uid}.slice/cri-containerd-{id}.scope",
                Containerd,
                Qos::BestEffort,
            ),
            (
                "/system.slice/containerd.service/kubepods-burstable-pod{_uid}.slice:cri-containerd:{id}",
                Containerd,
                Qos::Burstable,
            ),
        ] {
            let found = container(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.id.as_str(), found.runtime), (ID, runtime), "{path}");
            if !path.contains(':') {
                assert_eq!(
                    (found.pod_uid.as_str(), found.qos),
                    (UID, Some(qos)),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn a_pod_without_a_container_is_the_pods() {
        for path in [
            "/kubepods/burstable/pod{uid}",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_uid}.slice",
        ] {
            let found = container(path).unwrap();
            assert_eq!(
                (found.id.as_str(), found.pod_uid.as_str()),
                ("", UID),
                "{path}"
            );
        }
        let static_pod = container("/kubepods/burstable/pod{static}/{id}").unwrap();
        assert_eq!(static_pod.pod_uid, STATIC_UID);
        assert_eq!(container("/kubepods/burstable"), None);
        assert_eq!(container("/kubepods.slice/kubepods-besteffort.slice"), None);
    }

    #[test]
    fn the_outermost_container_wins() {
        let kind = "/docker/{id}/kubelet/kubepods/burstable/pod{uid}/{other}";
        let found = container(kind).unwrap();
        assert_eq!((found.id.as_str(), found.pod_uid.as_str()), (ID, ""));
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        for path in [
            "/",
            "",
            "/system.slice/ssh.service",
            "/machine.slice/libpod-conmon-{id}.scope",
            "/kubepods.slice/kubepods-pod{_uid}x.slice",
            "/system.slice/crio-conmon-{id}.scope",
            "/docker/0123",
            "/a\"b\n/c",
        ] {
            assert_eq!(container(path), None, "{path}");
        }
        let upper = ID.to_uppercase();
        for id in [&ID[1..], &format!("{ID}0"), &upper] {
            assert_eq!(
                recognize(format!("/docker/{id}").as_bytes()).container,
                None
            );
        }
        assert_eq!(recognize(b"/docker/\xff").container, None);
        assert_eq!(recognize(&[b'/'; 4096]), Recognition::default());
    }

    #[test]
    fn what_containerd_may_know_is_a_candidate() {
        let candidate = |path: &str| recognize(path.as_bytes()).candidate;
        let of = |namespace: &str, id: &str| {
            Some(Candidate {
                namespace: namespace.to_owned(),
                id: id.to_owned(),
                flavor: Flavor::Default,
            })
        };
        assert_eq!(candidate("/default/my-task"), of("default", "my-task"));
        assert_eq!(
            candidate("/default/my-task/below"),
            of("default", "my-task")
        );
        assert_eq!(
            candidate(&format!("/kubepods/pod{UID}/{ID}")),
            of("k8s.io", ID)
        );
        assert_eq!(candidate(&format!("/docker/{ID}")), None);
        assert_eq!(candidate("/user.slice"), None);
    }

    #[test]
    fn katas_sandboxes_are_known_by_both_of_their_cgroups() {
        use Runtime::{Containerd, Unknown};
        for (path, runtime, uid) in [
            ("/kubepods/burstable/pod{uid}/kata_{id}", Unknown, UID),
            ("/kata_overhead/{id}", Unknown, ""),
            (
                "/kata_overhead/kubepods/burstable/pod{uid}/{id}",
                Unknown,
                UID,
            ),
            (
                "/kata_kubepods-burstable-pod{_uid}.slice:cri-containerd:{id}",
                Containerd,
                "",
            ),
        ] {
            let found = container(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                (found.id.as_str(), found.runtime, found.pod_uid.as_str()),
                (ID, runtime, uid),
                "{path}"
            );
            assert_eq!(found.flavor, Flavor::Kata, "{path}");
        }
        for path in [
            "/kubepods/pod{uid}/{id}",
            "/kubepods/pod{uid}/{id}/kata_{other}",
        ] {
            let found = container(path).unwrap();
            assert_eq!((found.id.as_str(), found.flavor), (ID, Flavor::Default));
        }
        assert_eq!(container("/kata_overhead"), None);
        assert_eq!(container("/kata_overhead/kubepods"), None);
        let task = recognize(b"/default/kata_my-task").candidate.unwrap();
        assert_eq!((task.id.as_str(), task.flavor), ("my-task", Flavor::Kata));
    }

    #[test]
    fn gardens_and_ecs_containers_are_theirs() {
        use Runtime::{Docker, EcsFargate, Garden};
        let handle = "3b1c6c1e-7f0c-4d4e-6d5f-a1b2";
        for (path, id, runtime) in [
            ("/garden/{handle}", handle, Garden),
            ("/garden/{handle}/init", handle, Garden),
            ("/garden/good/{handle}", handle, Garden),
            (
                "/system.slice/garden.service/garden-g1/bad/{handle}",
                handle,
                Garden,
            ),
            ("/ecs/{static}/{id}", ID, Docker),
            ("/ecs/{uid}/{id}/below", ID, Docker),
            (
                "/ecs/{static}/{static}-2495160603",
                "0123456789abcdef0123456789abcdef-2495160603",
                EcsFargate,
            ),
        ] {
            let found = container(&path.replace("{handle}", handle));
            let found = found.unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.id.as_str(), found.runtime), (id, runtime), "{path}");
        }
        for path in [
            "/garden",
            "/garden/good",
            "/garden/init",
            "/gardener/x",
            "/garden-tools/x",
            "/ecs/{static}",
            "/ecs/{static}/{static}-",
            "/ecs/{static}/{static}-2x",
            "/ecs/{static}/other-1",
        ] {
            assert_eq!(container(path), None, "{path}");
        }
    }
}
