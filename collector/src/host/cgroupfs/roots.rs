//! The mounted hierarchies, opened once, and which of them has which controller.

use std::{
    ffi::{CStr, CString},
    fs,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use super::{files::KernelFile, statistics::CgroupVersion};
use crate::host::{
    HierarchyId,
    cgroup_mounts::{CgroupMounts, Hierarchy},
};

/// Where to find the files of any cgroup.
#[derive(Debug)]
pub struct HierarchyRoots {
    pub(super) roots: Vec<Root>,
    /// The place of each controller's hierarchy among them.
    places: [Option<usize>; Controller::ALL.len()],
    pub(super) page_sizes: Vec<HugePageSize>,
    /// How long a tick of v1's CPU times is.
    pub(super) tick_ns: u64,
    /// Hierarchies that cannot be read. The others are.
    pub unreadable: Vec<RootError>,
}

/// A hierarchy cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the cgroup hierarchy at {}", mount_point.display())]
pub struct RootError {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Why.
    #[source]
    pub source: Errno,
}

/// A hierarchy.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) id: HierarchyId,
    pub(super) version: CgroupVersion,
    pub(super) fd: OwnedFd,
    /// What of it is mounted.
    visible: Vec<u8>,
}

/// Who keeps the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    /// Every cgroup of v2, whatever its controllers.
    Core,
    Cpu,
    /// v1 alone; in v2 it is [`Self::Cpu`].
    CpuAccounting,
    Memory,
    Io,
    Pids,
    Hugetlb,
    Rdma,
    Misc,
    Cpuset,
}

/// A size of huge pages.
#[derive(Debug)]
pub(super) struct HugePageSize {
    /// As file names have it: `2MB`.
    pub(super) label: Arc<str>,
    names: Vec<(KernelFile, CString)>,
}

/// Where the kernel lists the sizes.
const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages";

impl Controller {
    const ALL: [Self; 10] = [
        Self::Core,
        Self::Cpu,
        Self::CpuAccounting,
        Self::Memory,
        Self::Io,
        Self::Pids,
        Self::Hugetlb,
        Self::Rdma,
        Self::Misc,
        Self::Cpuset,
    ];

    /// v1's name.
    const fn v1_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Core => return None,
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Memory => "memory",
            Self::Io => "blkio",
            Self::Pids => "pids",
            Self::Hugetlb => "hugetlb",
            Self::Rdma => "rdma",
            Self::Misc => "misc",
            Self::Cpuset => "cpuset",
        })
    }
}

impl HierarchyRoots {
    /// Opens every hierarchy that has something to read.
    #[must_use]
    pub fn open(mounts: &CgroupMounts) -> Self {
        Self::open_with(mounts, Path::new(HUGE_PAGES))
    }

    pub(super) fn open_with(mounts: &CgroupMounts, huge_pages: &Path) -> Self {
        let mut opened = Self {
            roots: Vec::new(),
            places: [None; Controller::ALL.len()],
            page_sizes: page_sizes(huge_pages),
            tick_ns: 1_000_000_000 / procfs::ticks_per_second().max(1),
            unreadable: Vec::new(),
        };
        for controller in Controller::ALL {
            let v1 = controller.v1_name().and_then(|name| mounts.v1_with(name));
            let hierarchy = match controller {
                Controller::CpuAccounting => v1,
                _ => v1.or_else(|| mounts.v2()),
            };
            opened.places[controller as usize] =
                hierarchy.and_then(|hierarchy| opened.place(hierarchy));
        }
        opened
    }

    /// Whether files of this hierarchy are read.
    #[must_use]
    pub fn has_hierarchy(&self, id: HierarchyId) -> bool {
        self.roots.iter().any(|root| root.id == id)
    }

    /// The place of a controller's hierarchy.
    pub(super) const fn place_of(&self, controller: Controller) -> Option<usize> {
        self.places[controller as usize]
    }

    /// The place of a hierarchy, opened if it is not yet.
    fn place(&mut self, hierarchy: &Hierarchy) -> Option<usize> {
        if let Some(place) = self.roots.iter().position(|root| root.id == hierarchy.id) {
            return Some(place);
        }
        let tried = |error: &RootError| error.mount_point == hierarchy.mount_point;
        if self.unreadable.iter().any(tried) {
            return None;
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match open(&hierarchy.mount_point, flags, Mode::empty()) {
            Ok(fd) => {
                self.roots.push(Root {
                    id: hierarchy.id,
                    version: if hierarchy.is_v2() {
                        CgroupVersion::V2
                    } else {
                        CgroupVersion::V1
                    },
                    fd,
                    visible: hierarchy.root.clone(),
                });
                Some(self.roots.len() - 1)
            }
            Err(source) => {
                self.unreadable.push(RootError {
                    mount_point: hierarchy.mount_point.clone(),
                    source,
                });
                None
            }
        }
    }
}

impl Root {
    /// A cgroup's path from the mount point. `None` for one that is not below it.
    pub(super) fn relative(&self, path: &[u8]) -> Option<CString> {
        // A cgroup namespace hides what is above; paths then begin at its root.
        let below = if self.visible == b"/" || self.visible.starts_with(b"/..") {
            path
        } else {
            path.strip_prefix(self.visible.as_slice())
                .filter(|below| below.is_empty() || below.starts_with(b"/"))?
        };
        let below = below.strip_prefix(b"/").unwrap_or(below);
        if below.split(|byte| *byte == b'/').any(|part| part == b"..") {
            return None;
        }
        let below = if below.is_empty() { &b"."[..] } else { below };
        CString::new(below).ok()
    }
}

impl HugePageSize {
    /// The name of a file for this size.
    pub(super) fn name(&self, file: KernelFile) -> Option<&CStr> {
        self.names
            .iter()
            .find_map(|(known, name)| (*known == file).then_some(name.as_c_str()))
    }

    fn new(kibibytes: u64) -> Self {
        let label: Arc<str> = match kibibytes {
            kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
            kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
            kib => format!("{kib}KB"),
        }
        .into();
        let names = KernelFile::ALL
            .iter()
            .filter(|file| file.name().to_bytes().starts_with(b"."))
            .filter_map(|file| {
                let mut name = format!("hugetlb.{label}").into_bytes();
                name.extend_from_slice(file.name().to_bytes());
                Some((*file, CString::new(name).ok()?))
            })
            .collect();
        Self { label, names }
    }
}

/// The sizes of this machine, the smallest first.
fn page_sizes(list: &Path) -> Vec<HugePageSize> {
    let mut sizes: Vec<u64> = fs::read_dir(list)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let digits = name
                .as_bytes()
                .strip_prefix(b"hugepages-")?
                .strip_suffix(b"kB")?;
            super::parse::parse_u64(digits).ok()
        })
        .collect();
    sizes.sort_unstable();
    sizes.into_iter().map(HugePageSize::new).collect()
}
