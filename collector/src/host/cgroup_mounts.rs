//! Which cgroup hierarchies there are, and where they can be read.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use procfs::{
    ProcessCGroup,
    process::{MountInfo, Process},
};

use super::HierarchyId;

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
    pub root: String,
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
    #[error("cannot read {what} of this process")]
    Unreadable {
        /// The file.
        what: &'static str,
        /// Why.
        #[source]
        source: procfs::ProcError,
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
        let unreadable = |what| move |source| MountsError::Unreadable { what, source };
        let this = Process::myself().map_err(unreadable("/proc/self"))?;
        let mounts = this
            .mountinfo()
            .map_err(unreadable("/proc/self/mountinfo"))?;
        let groups = this.cgroups().map_err(unreadable("/proc/self/cgroup"))?;
        let below_host = cgroup_root
            .strip_prefix("/")
            .map_or_else(|_| cgroup_root.to_owned(), |path| host_root.join(path));
        for root in [cgroup_root, &below_host] {
            let hierarchies = assemble(&mounts.0, &groups.0, root);
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

    /// The hierarchies whose cgroups are worth knowing: those above, and v2.
    #[must_use]
    pub fn attributed(&self) -> Vec<&Hierarchy> {
        let mut attributed: Vec<&Hierarchy> = Vec::new();
        for hierarchy in [
            self.task_hierarchy(),
            self.block_hierarchy(),
            self.memory_hierarchy(),
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

fn assemble(mounts: &[MountInfo], groups: &[ProcessCGroup], root: &Path) -> Vec<Hierarchy> {
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    for mount in mounts
        .iter()
        .filter(|mount| mount.mount_point.starts_with(root))
    {
        let group = match mount.fs_type.as_str() {
            "cgroup2" => groups.iter().find(|group| group.hierarchy == 0),
            // The mount's options name the controllers, as the group's line does.
            "cgroup" => groups.iter().find(|group| {
                group.hierarchy != 0
                    && group
                        .controllers
                        .iter()
                        .all(|name| match name.split_once('=') {
                            Some((key, value)) => mount
                                .super_options
                                .get(key)
                                .is_some_and(|of| of.as_deref() == Some(value)),
                            None => mount.super_options.contains_key(name),
                        })
            }),
            _ => continue,
        };
        let Some(group) = group else { continue };
        let id = HierarchyId(group.hierarchy);
        // The same hierarchy can be mounted twice, as a bind mount: the first will do.
        if hierarchies.iter().any(|known| known.id == id) {
            continue;
        }
        hierarchies.push(Hierarchy {
            id,
            controllers: group
                .controllers
                .iter()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect(),
            mount_point: mount.mount_point.clone(),
            root: mount.root.clone(),
        });
    }
    hierarchies
}

#[cfg(test)]
mod tests {
    use procfs::{FromRead as _, ProcessCGroups, process::MountInfos};

    use super::*;

    fn read(mounts: &str, groups: &str) -> CgroupMounts {
        let mounts = MountInfos::from_read(mounts.as_bytes()).unwrap();
        let groups = ProcessCGroups::from_read(groups.as_bytes()).unwrap();
        CgroupMounts {
            hierarchies: assemble(&mounts.0, &groups.0, Path::new("/sys/fs/cgroup")),
        }
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
    fn a_place_without_cgroups_is_an_error_that_names_it() {
        let error = CgroupMounts::read(Path::new("/"), Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
        assert!(error.to_string().contains("--cgroup-root"), "{error}");
    }
}
