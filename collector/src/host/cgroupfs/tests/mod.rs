//! Cgroup trees as kernels have them, and as no kernel should.

mod bounds;
mod fixtures;
mod life;
mod malformed;
mod network;
mod parsers;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots, ReadContext,
    ReadOutcome, Wanted,
};
use crate::host::{
    HierarchyId,
    cgroup_mounts::{CgroupMounts, Hierarchy},
};

/// Hierarchies in a folder, with one cgroup of one path in each.
struct Tree {
    folder: tempfile::TempDir,
    /// The hierarchies' folders.
    hierarchies: Vec<String>,
}

impl Tree {
    /// A tree that was dumped from a kernel: `@@` and a cgroup's directory, `==` and a file's name.
    fn dumped(dump: &str) -> Self {
        let mut tree = Self::empty();
        let mut directory = String::new();
        let mut file = None;
        for line in dump.split_inclusive('\n') {
            if let Some(name) = line.strip_prefix("@@ ") {
                // A v2 tree has no folder of a hierarchy above.
                directory = match name.trim_end() {
                    "pod/box" => "unified/pod/box".to_owned(),
                    directory => directory.to_owned(),
                };
                tree.add(directory.split('/').next().unwrap());
                fs::create_dir_all(tree.path(&directory)).unwrap();
            } else if let Some(name) = line.strip_prefix("== ") {
                let path = tree.path(&directory).join(name.trim_end());
                fs::write(&path, "").unwrap();
                file = Some(path);
            } else {
                let path = file.as_ref().expect("a file before its text");
                let text = fs::read_to_string(path).unwrap() + line;
                fs::write(path, text).unwrap();
            }
        }
        tree
    }

    /// A v2 cgroup of a few files.
    fn v2(files: &[(&str, &[u8])]) -> Self {
        let mut tree = Self::empty();
        tree.add("unified");
        fs::create_dir_all(tree.path("unified/pod/box")).unwrap();
        tree.write("unified/pod/box/cgroup.procs", b"");
        for (name, bytes) in files {
            tree.write(&format!("unified/pod/box/{name}"), bytes);
        }
        tree
    }

    /// A v1 cgroup of a few files of one controller.
    fn v1(controller: &str, files: &[(&str, &[u8])]) -> Self {
        let mut tree = Self::empty();
        tree.add(controller);
        fs::create_dir_all(tree.path(controller).join("pod/box")).unwrap();
        tree.write(&format!("{controller}/pod/box/cgroup.procs"), b"");
        for (name, bytes) in files {
            tree.write(&format!("{controller}/pod/box/{name}"), bytes);
        }
        tree
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for size in ["hugepages-2048kB", "hugepages-1048576kB"] {
            fs::create_dir_all(folder.path().join("hugepages").join(size)).unwrap();
        }
        Self {
            folder,
            hierarchies: Vec::new(),
        }
    }

    fn add(&mut self, hierarchy: &str) {
        if !self.hierarchies.iter().any(|known| known == hierarchy) {
            self.hierarchies.push(hierarchy.to_owned());
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn write(&self, below: &str, bytes: &[u8]) {
        fs::write(self.path(below), bytes).unwrap();
    }

    fn mounts(&self) -> CgroupMounts {
        let hierarchies = self
            .hierarchies
            .iter()
            .zip(1..)
            .map(|(name, number)| {
                let (id, controllers) = match name.as_str() {
                    "unified" => (HierarchyId::V2, Vec::new()),
                    v1 => (
                        HierarchyId(number),
                        v1.split(',').map(str::to_owned).collect(),
                    ),
                };
                Hierarchy {
                    id,
                    controllers,
                    mount_point: self.path(name),
                    root: "/".into(),
                }
            })
            .collect();
        CgroupMounts { hierarchies }
    }

    fn roots(&self) -> Arc<HierarchyRoots> {
        Arc::new(HierarchyRoots::open_with(
            &self.mounts(),
            &self.path("hugepages"),
        ))
    }

    fn reading(&self) -> TreeReading {
        TreeReading::of(&self.roots(), "/pod/box", &DescriptorBudget::new(100, 100))
    }
}

/// The statistics of a dumped tree, for those who are given them.
pub(crate) fn statistics_of_dump(dump: &str) -> CgroupStatistics {
    Tree::dumped(dump).reading().all().0
}

/// A reader and what it fills.
struct TreeReading {
    reader: CgroupReader,
    context: ReadContext,
    statistics: CgroupStatistics,
}

impl TreeReading {
    fn of(roots: &Arc<HierarchyRoots>, path: &str, budget: &DescriptorBudget) -> Self {
        Self {
            reader: CgroupReader::new(ControllerDirs::at(roots, path.as_bytes()), budget),
            context: ReadContext::default(),
            statistics: CgroupStatistics::default(),
        }
    }

    fn read(&mut self, wanted: Wanted) -> ReadOutcome {
        self.reader
            .read(wanted, &mut self.context, &mut self.statistics)
    }

    /// Once, all of it.
    fn all(mut self) -> (CgroupStatistics, ReadContext) {
        self.read(Wanted::ALL);
        (self.statistics, self.context)
    }

    fn errors(&self) -> u64 {
        self.context.account.parse_errors.total()
    }

    fn last_error(&self) -> String {
        self.context
            .account
            .parse_errors
            .last()
            .expect("an error")
            .to_string()
    }
}

fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
