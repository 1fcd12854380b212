//! Which cgroup hierarchies there are, and where they can be read.

use std::{
    ffi::OsString,
    fmt, fs, io,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use super::{
    HierarchyId,
    membership::{self, Membership},
};

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its number.
    pub id: HierarchyId,
    /// What it controls, as `/proc/<pid>/cgroup` names it: `cpu`, `name=systemd`. Empty for v2.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// What of it is mounted there: `/`, or the part that this process is allowed to see.
    pub root: Vec<u8>,
}

impl Hierarchy {
    /// Whether it is cgroup v2.
    #[must_use]
    pub fn is_v2(&self) -> bool {
        self.id == HierarchyId::V2
    }
}

/// Every hierarchy that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMounts {
    /// Them; not empty.
    pub hierarchies: Vec<Hierarchy>,
}

/// Which versions are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// v1 alone.
    V1,
    /// Both.
    Hybrid,
    /// v2 alone.
    V2,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::Hybrid => "v1 and v2 (hybrid)",
            Self::V2 => "v2",
        })
    }
}

/// The hierarchies cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum MountsError {
    /// `/proc` does not say.
    #[error("cannot read {path}; is /proc mounted?")]
    Unreadable {
        /// The file.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// None is mounted where they should be.
    #[error(
        "no cgroup file system is mounted under {root}; mount one there, or say with --cgroup-root \
         where it is"
    )]
    None {
        /// Where was looked.
        root: PathBuf,
    },
}

impl CgroupMounts {
    /// Reads what is mounted under `cgroup_root`, there or under `host_root`.
    pub fn read(host_root: &Path, cgroup_root: &Path) -> Result<Self, MountsError> {
        let read = |path| fs::read(path).map_err(|source| MountsError::Unreadable { path, source });
        let mounts = read("/proc/self/mountinfo")?;
        let memberships = read("/proc/self/cgroup")?;
        Self::parse(&mounts, &memberships, host_root, cgroup_root)
    }

    /// As [`read`](Self::read), from the text of a process's `mountinfo` and `cgroup` files.
    ///
    /// Most of the mounts are none of ours, and others choose their names: a line that is not a
    /// cgroup file system's, or not understood, passes.
    pub fn parse(
        mountinfo: &[u8],
        memberships: &[u8],
        host_root: &Path,
        cgroup_root: &Path,
    ) -> Result<Self, MountsError> {
        let mounts: Vec<_> = mountinfo
            .split(|byte| *byte == b'\n')
            .filter_map(Mount::parse)
            .collect();
        let memberships = membership::parse(memberships);
        let below_host = cgroup_root
            .strip_prefix("/")
            .map_or_else(|_| cgroup_root.to_owned(), |path| host_root.join(path));
        for root in [cgroup_root, &below_host] {
            let hierarchies = assemble(&mounts, &memberships, root);
            if !hierarchies.is_empty() {
                return Ok(Self { hierarchies });
            }
        }
        Err(MountsError::None {
            root: cgroup_root.to_owned(),
        })
    }

    /// Which versions are mounted.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (
            self.v2().is_some(),
            self.hierarchies.iter().any(|of| !of.is_v2()),
        ) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::V2,
            (false, _) => Mode::V1,
        }
    }

    /// The v2 hierarchy.
    #[must_use]
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|of| of.is_v2())
    }

    /// The v1 hierarchy of a controller.
    #[must_use]
    pub fn v1_with(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|of| !of.is_v2() && of.controllers.iter().any(|name| name == controller))
    }

    /// The hierarchy in which tasks are attributed: that of the `cpu` controller, since it can be in
    /// one only, and every runtime puts its containers there.
    #[must_use]
    pub fn task_hierarchy(&self) -> Option<&Hierarchy> {
        self.v1_with("cpu").or_else(|| self.v2())
    }

    /// The hierarchy in which block I/O is attributed.
    #[must_use]
    pub fn block_hierarchy(&self) -> Option<&Hierarchy> {
        self.v1_with("blkio").or_else(|| self.v2())
    }

    /// The hierarchy of memory limits.
    #[must_use]
    pub fn memory_hierarchy(&self) -> Option<&Hierarchy> {
        self.v1_with("memory").or_else(|| self.v2())
    }

    /// The hierarchies whose cgroups are worth knowing: those above, that of CPU accounting if it is
    /// one of its own, and v2.
    #[must_use]
    pub fn attributed(&self) -> Vec<&Hierarchy> {
        let mut attributed: Vec<&Hierarchy> = Vec::new();
        for hierarchy in [
            self.task_hierarchy(),
            self.block_hierarchy(),
            self.memory_hierarchy(),
            self.v1_with("cpuacct"),
            self.v2(),
        ]
        .into_iter()
        .flatten()
        {
            if attributed.iter().all(|known| known.id != hierarchy.id) {
                attributed.push(hierarchy);
            }
        }
        attributed
    }
}

/// A line of `mountinfo`, of a cgroup file system.
struct Mount<'a> {
    root: Vec<u8>,
    place: PathBuf,
    is_v2: bool,
    /// Those of v1 name the controllers.
    options: Vec<&'a [u8]>,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        // Between the mount's own fields, of which some are optional, and its file system's.
        const SEPARATOR: &[u8] = b" - ";
        let at = line
            .windows(SEPARATOR.len())
            .position(|window| window == SEPARATOR)?;
        let mut own = line[..at].split(|byte| *byte == b' ').skip(3);
        let mut of_type = line[at + SEPARATOR.len()..].split(|byte| *byte == b' ');
        let is_v2 = match of_type.next()? {
            b"cgroup2" => true,
            b"cgroup" => false,
            _ => return None,
        };
        Some(Self {
            root: unescape(own.next()?),
            place: OsString::from_vec(unescape(own.next()?)).into(),
            is_v2,
            options: of_type.nth(1)?.split(|byte| *byte == b',').collect(),
        })
    }
}

/// Undoes what the kernel does to spaces, line ends and backslashes in a path: `\040` for a space.
fn unescape(mut field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    while let Some((&first, rest)) = field.split_first() {
        let (byte, rest) = match *rest {
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                ref rest @ ..,
            ] if first == b'\\' => ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), rest),
            _ => (first, rest),
        };
        path.push(byte);
        field = rest;
    }
    path
}

fn assemble(mounts: &[Mount<'_>], memberships: &[Membership<'_>], root: &Path) -> Vec<Hierarchy> {
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    for mount in mounts.iter().filter(|mount| mount.place.starts_with(root)) {
        let membership = memberships.iter().find(|of| {
            let is_v2 = of.hierarchy == HierarchyId::V2;
            let has = |name: &&str| mount.options.contains(&name.as_bytes());
            // The mount's options name the controllers, as the membership does.
            is_v2 == mount.is_v2 && (is_v2 || of.controllers.iter().all(has))
        });
        let Some(membership) = membership else {
            continue;
        };
        let id = membership.hierarchy;
        // The same hierarchy can be mounted twice, as a bind mount: the first will do.
        if hierarchies.iter().any(|known| known.id == id) {
            continue;
        }
        hierarchies.push(Hierarchy {
            id,
            controllers: membership
                .controllers
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
            mount_point: mount.place.clone(),
            root: mount.root.clone(),
        });
    }
    hierarchies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mounts: &str, memberships: &str) -> CgroupMounts {
        parse(mounts.as_bytes(), memberships.as_bytes(), "/sys/fs/cgroup")
    }

    fn parse(mounts: &[u8], memberships: &[u8], cgroup_root: &str) -> CgroupMounts {
        let roots = (Path::new("/"), Path::new(cgroup_root));
        CgroupMounts::parse(mounts, memberships, roots.0, roots.1).unwrap()
    }

    const V2: &str = "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 24 0:27 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 24 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
35 24 0:30 / /elsewhere rw - cgroup2 cgroup2 rw
";
    const HYBRID_GROUPS: &str = "5:memory:/\n4:blkio:/\n3:cpu,cpuacct:/a\n1:name=systemd:/\n0::/\n";

    #[test]
    fn v2_alone_holds_everything() {
        let mounts = read(V2, "0::/user.slice\n");
        assert_eq!(mounts.mode(), Mode::V2);
        assert_eq!(mounts.task_hierarchy().unwrap().id, HierarchyId::V2);
        assert_eq!(mounts.block_hierarchy().unwrap().id, HierarchyId::V2);
        assert_eq!(mounts.attributed().len(), 1);
    }

    #[test]
    fn on_a_hybrid_host_each_number_has_the_hierarchy_of_its_controller() {
        let mounts = read(HYBRID, HYBRID_GROUPS);
        assert_eq!(mounts.mode(), Mode::Hybrid);
        assert_eq!(mounts.hierarchies.len(), 5);
        assert_eq!(mounts.task_hierarchy().unwrap().id, HierarchyId(3));
        assert_eq!(mounts.block_hierarchy().unwrap().id, HierarchyId(4));
        assert_eq!(mounts.memory_hierarchy().unwrap().id, HierarchyId(5));
        let ids: Vec<_> = mounts.attributed().iter().map(|of| of.id.0).collect();
        assert_eq!(ids, [3, 4, 5, 0]);
    }

    #[test]
    fn v1_alone_has_no_v2() {
        let mounts = read(&HYBRID[..HYBRID.find("34 24").unwrap()], HYBRID_GROUPS);
        assert_eq!(mounts.mode(), Mode::V1);
        assert!(mounts.v2().is_none());
    }

    #[test]
    fn a_mount_of_another_kind_hides_nothing_however_odd_its_line() {
        let plain = read(V2, "0::/\n");
        // Any user can mount a FUSE file system below a directory of any name.
        for odd in [
            &b"90 24 0:60 / /home/u/\xff\xfe rw,nosuid shared:7 - fuse.sshfs h:/ rw,user_id=1\n"[..],
            b"91 24 0:61 / /mnt rw - cgroup2\n",
            b"92 24 0:62 / /mnt rw shared:none - ext4 /dev/sdb rw\n",
            b"\n-\n - \n93\n",
        ] {
            let lines = [odd, V2.as_bytes(), odd].concat();
            assert_eq!(
                parse(&lines, b"0::/\n", "/sys/fs/cgroup"),
                plain,
                "{}",
                odd.escape_ascii()
            );
        }
    }

    #[test]
    fn what_the_kernel_escapes_in_a_path_is_what_it_was() {
        let line = b"35 24 0:30 /a\\040b\\134c /my\\040cgroups\\011\xff rw - cgroup2 cgroup2 rw\n";
        let mounts = parse(line, b"0::/\n", "/");
        let v2 = mounts.v2().unwrap();
        assert_eq!(
            v2.mount_point.as_os_str().as_encoded_bytes(),
            b"/my cgroups\t\xff"
        );
        assert_eq!(v2.root, b"/a b\\c");
        for whole in [&b"/a\\"[..], b"/a\\04", b"/a\\999", b"/a\\477"] {
            assert_eq!(unescape(whole), whole);
        }
    }

    #[test]
    fn a_place_without_cgroups_is_an_error_that_names_it() {
        let error = CgroupMounts::read(Path::new("/"), Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
        assert!(error.to_string().contains("--cgroup-root"), "{error}");
    }
}
