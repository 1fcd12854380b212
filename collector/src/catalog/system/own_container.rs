//! Which container is this process in? Three ways to know it, the surest first.
//!
//! 1. By the path of its own cgroup, as for any process. A cgroup namespace, which runtimes make on cgroup
//!    v2, shows `/` in its place.
//! 2. By the number of its own cgroup, which a namespace does not change, where the host's cgroups are seen.
//! 3. By the files that Docker, Podman and nerdctl mount over `/etc/hostname` and the like: they are in a
//!    directory that is named by the container's id. In Kubernetes they are the sandbox's, which is not the
//!    container: there, this way tells nothing. A container that was given the network of another has the
//!    other's files, which only Podman lets tell apart.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{Places, membered};
use crate::{
    catalog::{ContainerRef, Recognizer},
    host::{CgroupKey, cgroup_mounts::CgroupMounts, membership},
};

/// Our own files cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}; is /proc mounted?", path.display())]
pub(super) struct OwnFilesError {
    path: PathBuf,
    source: io::Error,
}

/// A mount, as `mountinfo` tells of it.
#[derive(Clone, Copy, Debug)]
struct Mount<'a> {
    /// What of its file system is mounted.
    root: &'a [u8],
    /// Where.
    place: &'a [u8],
}

/// What runtimes mount from a container's own directory.
const OWN_FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// What Podman mounts from it, and never from that of another container.
const PODMANS_OWN_FILE: &str = "/run/.containerenv";

/// Where the process that runs this has its own files.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnFiles<'a> {
    /// Its directory in `/proc`.
    pub(super) process: &'a Path,
    /// Where its cgroups are mounted. The host's may be mounted elsewhere, of which its own paths are
    /// none.
    pub(super) cgroups: &'a Path,
}

impl Default for OwnFiles<'static> {
    fn default() -> Self {
        Self {
            process: Path::new("/proc/self"),
            cgroups: Path::new("/sys/fs/cgroup"),
        }
    }
}

/// The container that this process is in.
pub(super) fn find(
    own: OwnFiles<'_>,
    recognizer: &Recognizer,
    places: &dyn Places,
) -> Result<Option<ContainerRef>, OwnFilesError> {
    let read = |name| {
        let path = own.process.join(name);
        fs::read(&path).map_err(|source| OwnFilesError { path, source })
    };
    let memberships = read("cgroup")?;
    if let Some(found) = membered(recognizer, &memberships) {
        return Ok(Some(found));
    }
    let mounts = read("mountinfo")?;
    let by_number = || {
        own_cgroups(&mounts, &memberships, own.cgroups)
            .into_iter()
            .find_map(|key| places.at(key))
    };
    Ok(by_number().or_else(|| mounted(&mounts)))
}

/// Its own cgroups by number, in the hierarchies that are mounted as its namespace has them.
fn own_cgroups(mounts: &[u8], memberships: &[u8], below: &Path) -> Vec<CgroupKey> {
    let Ok(mounts) = CgroupMounts::parse(mounts, memberships, Path::new("/"), below) else {
        return Vec::new();
    };
    let memberships = membership::parse(memberships);
    let key = |of: &membership::Membership<'_>| {
        let mut hierarchies = mounts.attributed().into_iter();
        let hierarchy = hierarchies.find(|hierarchy| hierarchy.id == of.hierarchy)?;
        // A mount of another part than the paths begin at leads elsewhere.
        if hierarchy.root != b"/"
            || of
                .path
                .split(|byte| *byte == b'/')
                .any(|part| part == b"..")
        {
            return None;
        }
        let below = of.path.strip_prefix(b"/")?;
        let directory = hierarchy
            .mount_point
            .join(std::ffi::OsStr::from_bytes(below));
        let inode = fs::metadata(directory).ok()?.ino();
        Some(CgroupKey::new(hierarchy.id, inode))
    };
    memberships.iter().filter_map(key).collect()
}

/// The container whose files are mounted where a container has its own.
#[must_use]
pub fn mounted(mountinfo: &[u8]) -> Option<ContainerRef> {
    let mounts: Vec<_> = mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(Mount::parse)
        .collect();
    if mounts.iter().any(Mount::is_kubernetes) {
        return None;
    }
    // The last one covers those before.
    let at = |place: &str| {
        let mut mounts = mounts.iter().rev();
        mounts.find(|mount| mount.place == place.as_bytes())
    };
    if let Some(podmans) = at(PODMANS_OWN_FILE).and_then(Mount::container) {
        return Some(podmans);
    }
    let mut told = OWN_FILES
        .into_iter()
        .filter_map(at)
        .filter_map(Mount::container);
    let first = told.next()?;
    // Two that differ do not tell which is this.
    told.all(|other| other == first).then_some(first)
}

impl<'a> Mount<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        Some(Self {
            root: fields.next()?,
            place: fields.next()?,
        })
    }

    /// Whether it is one that the kubelet makes for each container.
    fn is_kubernetes(&self) -> bool {
        self.place == b"/dev/termination-log"
            || self.place == b"/etc/hosts" && self.root.ends_with(b"/etc-hosts")
    }

    /// The container in whose directory the mounted file is.
    fn container(&self) -> Option<ContainerRef> {
        let root = str::from_utf8(self.root).ok()?;
        let name = str::from_utf8(self.place).ok()?.rsplit('/').next()?;
        let mut above = root.rsplit('/');
        above.next().filter(|file| *file == name)?;
        let (first, second, third) = (above.next()?, above.next()?, above.next()?);
        let (id_namespace, id) = match (third, second, first) {
            // Podman, with any storage: `overlay-containers/<id>/userdata/hostname`.
            (storage, id, "userdata") if storage.ends_with("-containers") => ("", id),
            // Docker: `containers/<id>/hostname`.
            (_, "containers", id) => ("", id),
            // nerdctl: `containers/<namespace>/<id>/hostname`, `etchosts/<namespace>/<id>/hosts`.
            ("containers" | "etchosts", namespace, id) => (namespace, id),
            _ => return None,
        };
        is_id(id).then(|| ContainerRef {
            id_namespace: id_namespace.to_owned(),
            id: id.to_owned(),
        })
    }
}

/// Whether it is what these three make: 64 lower-case hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::system::tests::Known, host::HierarchyId};

    const ID: &str = "3f0d6f1f9c5f2b7d4ab0c4d9c2d3f7c6f61c3c0f6c0a0a2f9d7a1f7f0b1e2d3c";
    const OTHER: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";

    /// The container of a process with these files.
    fn own(cgroup: &str, mountinfo: &str, places: &Known) -> Option<ContainerRef> {
        let process = tempfile::tempdir().unwrap();
        fs::write(process.path().join("cgroup"), cgroup).unwrap();
        fs::write(process.path().join("mountinfo"), mountinfo).unwrap();
        let recognizer = Recognizer::new(Path::new("/nonexistent"));
        let own = OwnFiles {
            process: process.path(),
            cgroups: &std::env::temp_dir(),
        };
        find(own, &recognizer, places).unwrap()
    }

    fn of(id_namespace: &str, id: &str) -> ContainerRef {
        ContainerRef {
            id_namespace: id_namespace.to_owned(),
            id: id.to_owned(),
        }
    }

    /// Of a namespace of its own on v2, with these mounts besides the usual ones.
    fn in_a_namespace(mounts: &[String]) -> Option<ContainerRef> {
        let usual = "\
811 520 0:53 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/X,upperdir=/var/lib/docker/overlay2/a/diff
812 811 0:56 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
815 814 0:30 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate
817 813 0:61 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
";
        let mountinfo = format!("{usual}{}\n", mounts.join("\n"));
        own("0::/\n", &mountinfo, &Known::default())
    }

    fn file(root: &str, place: &str) -> String {
        format!("820 811 254:1 {root} {place} rw,relatime - ext4 /dev/vda1 rw,discard")
    }

    /// The three files in one directory.
    fn files(directory: &str) -> Vec<String> {
        OWN_FILES
            .iter()
            .map(|place| {
                file(
                    &format!("{directory}/{}", place.rsplit_once('/').unwrap().1),
                    place,
                )
            })
            .collect()
    }

    #[test]
    fn the_path_of_its_own_cgroup_tells_on_v1_and_without_a_namespace() {
        let nobody = Known::default();
        let v1 = format!(
            "9:memory:/docker/{ID}\n4:cpu,cpuacct:/docker/{ID}\n0::/system.slice/containerd.service\n"
        );
        assert_eq!(own(&v1, "", &nobody), Some(of("", ID)));
        let v2 = format!("0::/machine.slice/libpod-{ID}.scope/container\n");
        assert_eq!(own(&v2, "", &nobody), Some(of("", ID)));
        let pod = format!(
            "0::/kubepods.slice/kubepods-pod4a5b6c7d_1111_2222_3333_444455556666.slice/cri-containerd-{ID}.scope\n"
        );
        assert_eq!(own(&pod, "", &nobody), Some(of("", ID)));
    }

    #[test]
    fn the_number_of_its_own_cgroup_tells_where_a_namespace_hides_the_path() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("init.scope")).unwrap();
        let inode = |path: &str| fs::metadata(tree.path().join(path)).unwrap().ino();
        let place = tree.path().display();
        // The host's tree is mounted too, and before its own.
        let elsewhere = "700 520 0:30 /../.. /host/sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let own_mount = format!("815 814 0:30 / {place} ro - cgroup2 cgroup rw\n");
        let mountinfo = format!("{elsewhere}{own_mount}");
        for (path, cgroup) in [("0::/\n", "."), ("0::/init.scope\n", "init.scope")] {
            let key = CgroupKey::new(HierarchyId::V2, inode(cgroup));
            let known = Known::default().with_key(key, ID);
            assert_eq!(own(path, &mountinfo, &known), Some(of("", ID)), "{path}");
        }
        // The host's whole tree, mounted there: its root is not this process's.
        let key = CgroupKey::new(HierarchyId::V2, inode("."));
        let known = Known::default().with_key(key, OTHER);
        let hosts = format!("815 814 0:30 /../.. {place} ro - cgroup2 cgroup rw\n");
        assert_eq!(own("0::/\n", &hosts, &known), None);
        assert_eq!(own("0::/../x\n", &mountinfo, &known), None);
    }

    #[test]
    fn in_a_namespace_of_docker_podman_or_nerdctl_the_mounted_files_tell() {
        let docker = files(&format!("/var/lib/docker/containers/{ID}"));
        assert_eq!(in_a_namespace(&docker), Some(of("", ID)));
        let podman = format!("/containers/storage/overlay-containers/{ID}/userdata");
        assert_eq!(in_a_namespace(&files(&podman)), Some(of("", ID)));
        let nerdctl = [
            file(
                &format!("/var/lib/nerdctl/1935db59/containers/default/{ID}/resolv.conf"),
                OWN_FILES[2],
            ),
            file(
                &format!("/var/lib/nerdctl/1935db59/etchosts/default/{ID}/hosts"),
                OWN_FILES[1],
            ),
        ];
        assert_eq!(in_a_namespace(&nerdctl), Some(of("default", ID)));
        // The user may mount some of them himself.
        let one = [docker[0].clone(), file("/home/me/hosts", OWN_FILES[1])];
        assert_eq!(in_a_namespace(&one), Some(of("", ID)));
    }

    #[test]
    fn podmans_own_file_tells_it_from_a_container_whose_network_it_shares() {
        let mut mounts = files(&format!(
            "/containers/storage/overlay-containers/{OTHER}/userdata"
        ));
        let own = format!("/containers/storage/overlay-containers/{ID}/userdata/.containerenv");
        mounts.push(file(&own, PODMANS_OWN_FILE));
        assert_eq!(in_a_namespace(&mounts), Some(of("", ID)));
    }

    #[test]
    fn the_files_of_a_pods_sandbox_are_not_the_containers() {
        let kubelet = "/var/lib/kubelet/pods/4a5b6c7d-1111-2222-3333-444455556666";
        let log = file(
            &format!("{kubelet}/containers/app/1a2b3c4d"),
            "/dev/termination-log",
        );
        let hosts = file(&format!("{kubelet}/etc-hosts"), "/etc/hosts");
        for sandbox in [
            format!("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}"),
            format!("/containers/storage/overlay-containers/{ID}/userdata"),
            format!("/var/lib/docker/containers/{ID}"),
        ] {
            for of_kubelet in [&log, &hosts] {
                let mounts = [files(&sandbox), vec![of_kubelet.clone()]].concat();
                assert_eq!(in_a_namespace(&mounts), None, "{sandbox}");
            }
        }
        let cri = files(&format!(
            "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}"
        ));
        assert_eq!(in_a_namespace(&cri), None);
    }

    #[test]
    fn mounts_of_other_containers_that_a_host_has_tell_nothing() {
        let host = [
            file("/", "/"),
            format!("99 30 0:61 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw"),
            format!(
                "98 30 0:62 / /run/containerd/io.containerd.runtime.v2.task/moby/{ID}/rootfs rw - overlay overlay rw"
            ),
            file(
                &format!("/var/lib/docker/containers/{ID}/hostname"),
                "/mnt/etc/hostname",
            ),
            "short".to_owned(),
        ];
        assert_eq!(in_a_namespace(&host), None);
    }

    #[test]
    fn files_that_disagree_and_names_that_are_no_ids_tell_nothing() {
        let mut mixed = files(&format!("/var/lib/docker/containers/{ID}"));
        mixed[1] = file(
            &format!("/var/lib/docker/containers/{OTHER}/hosts"),
            OWN_FILES[1],
        );
        assert_eq!(in_a_namespace(&mixed), None);
        // A mount over a mount: what is below is not seen.
        mixed.push(file(
            &format!("/var/lib/docker/containers/{ID}/hosts"),
            OWN_FILES[1],
        ));
        assert_eq!(in_a_namespace(&mixed), Some(of("", ID)));
        assert_eq!(
            in_a_namespace(&files("/var/lib/docker/containers/my-name")),
            None
        );
        let wrong = format!("/var/lib/docker/containers/{ID}/resolv.conf");
        assert_eq!(in_a_namespace(&[file(&wrong, "/etc/hosts")]), None);
    }

    #[test]
    fn without_its_files_the_error_names_them() {
        let recognizer = Recognizer::new(Path::new("/"));
        let own = OwnFiles {
            process: Path::new("/nonexistent"),
            ..OwnFiles::default()
        };
        let error = find(own, &recognizer, &Known::default()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/cgroup"), "{error}");
    }
}
