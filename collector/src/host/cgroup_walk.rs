//! Every cgroup of a hierarchy, from its directories.
//!
//! One `readdir` for a cgroup with others below it, and one `stat` for a leaf, which most are: a directory
//! entry has the id already, which is its inode number. To list a leaf would make the kernel name its
//! 60 files.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirEntryExt as _, MetadataExt as _},
    },
    path::PathBuf,
};

use super::{CgroupId, cgroup_mounts::Hierarchy};

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Each cgroup, and its path from the hierarchy's root.
    pub cgroups: Vec<(CgroupId, Vec<u8>)>,
    /// Directories that could not be read. One that vanished meanwhile is not among them.
    pub unreadable: u64,
    /// Whether the walk ended at [`MAX_CGROUPS`].
    pub truncated: bool,
}

impl Walk {
    /// Whether every cgroup was seen.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        !self.truncated && self.unreadable == 0
    }
}

/// A walk ends here. More cgroups than any host runs; each costs its path in memory.
pub const MAX_CGROUPS: usize = 100_000;

/// Walks a hierarchy.
#[must_use]
pub fn walk(hierarchy: &Hierarchy) -> Walk {
    let mut walk = Walk::default();
    let root = match hierarchy.root.as_slice() {
        // A cgroup namespace hides what is above; paths then begin at its root.
        root if root == b"/.." || root.starts_with(b"/../") => b"/",
        root => root,
    };
    match fs::metadata(&hierarchy.mount_point) {
        Ok(metadata) => {
            walk.cgroups.push((CgroupId(metadata.ino()), root.to_vec()));
        }
        Err(_) => walk.unreadable += 1,
    }
    let top = if root == b"/" {
        Vec::new()
    } else {
        root.to_vec()
    };
    let mut pending: Vec<(PathBuf, Vec<u8>)> = vec![(hierarchy.mount_point.clone(), top)];
    while let Some((directory, path)) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                walk.unreadable += u64::from(error.kind() != std::io::ErrorKind::NotFound);
                continue;
            }
        };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|of| of.is_dir()) {
                continue;
            }
            if walk.cgroups.len() >= MAX_CGROUPS {
                walk.truncated = true;
                return walk;
            }
            let mut child = path.clone();
            child.push(b'/');
            child.extend_from_slice(entry.file_name().as_bytes());
            walk.cgroups.push((CgroupId(entry.ino()), child.clone()));
            // Each directory below is a link to this.
            let is_leaf = entry.metadata().is_ok_and(|metadata| metadata.nlink() == 2);
            if !is_leaf {
                pending.push((entry.path(), child));
            }
        }
    }
    walk
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, ffi::OsStr};

    use super::*;
    use crate::host::HierarchyId;

    #[test]
    fn every_directory_is_found_with_its_inode_and_path() {
        let folder = tempfile::tempdir().unwrap();
        let strange = OsStr::from_bytes(b"a \"b\"\n\xff");
        let deep: PathBuf = (0..60).map(|depth| format!("d{depth}")).collect();
        for below in ["docker/abc".as_ref(), deep.as_os_str(), strange] {
            fs::create_dir_all(folder.path().join(below)).unwrap();
        }
        fs::write(folder.path().join("cgroup.procs"), "1").unwrap();
        let hierarchy = Hierarchy {
            id: HierarchyId(3),
            controllers: vec!["cpu".into()],
            mount_point: folder.path().to_owned(),
            root: "/".into(),
        };
        let found = walk(&hierarchy);
        assert_eq!(
            (found.cgroups.len(), found.unreadable, found.truncated),
            (64, 0, false)
        );
        let by_path: HashMap<_, _> = found
            .cgroups
            .iter()
            .map(|(id, path)| (path.clone(), id.0))
            .collect();
        let inode = |below: &OsStr| fs::metadata(folder.path().join(below)).unwrap().ino();
        assert_eq!(by_path[&b"/"[..]], inode("".as_ref()));
        assert_eq!(by_path[&b"/docker/abc"[..]], inode("docker/abc".as_ref()));
        assert_eq!(by_path[&b"/a \"b\"\n\xff"[..]], inode(strange));
    }

    #[test]
    fn a_part_of_a_hierarchy_keeps_its_path_from_the_root() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("x")).unwrap();
        let hierarchy = Hierarchy {
            id: HierarchyId::V2,
            controllers: Vec::new(),
            mount_point: folder.path().to_owned(),
            root: "/docker/abc".into(),
        };
        let paths: Vec<_> = walk(&hierarchy)
            .cgroups
            .into_iter()
            .map(|(_, path)| path)
            .collect();
        assert_eq!(paths, [&b"/docker/abc"[..], &b"/docker/abc/x"[..]]);
    }

    #[test]
    fn a_hierarchy_that_is_gone_is_unreadable_not_empty() {
        let hierarchy = Hierarchy {
            id: HierarchyId::V2,
            controllers: Vec::new(),
            mount_point: "/nonexistent/cgroup".into(),
            root: "/".into(),
        };
        assert_eq!(walk(&hierarchy).unreadable, 1);
    }
}
