//! Memory of the whole host, in the form of a cgroup's: the root of the cgroup tree has no `memory.current`,
//! and its `memory.stat` is the most expensive one there is.
//!
//! In: `/proc/vmstat` and `/proc/meminfo`, which the kernel counts without cgroups. Out: what the kubelet
//! shows of the root. What is in use is counted as the kernel does it for the root in cgroup v1: memory of
//! files and anonymous memory, not the kernel's own.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt as _};

use procfs::{Current as _, Meminfo};

use super::{
    cgroupfs::{CgroupVersion, MemoryKey as Key, Reading, memory::MemoryStatistics},
    clock::Ktime,
};

/// A line of `/proc/vmstat`, and which keys of `memory.stat` say the same, in v2 and in v1.
type Twin = (&'static str, Key, Option<Key>);

/// Lines that count pages.
const PAGES: [Twin; 10] = [
    ("nr_anon_pages", Key::Anon, Some(Key::Rss)),
    ("nr_file_pages", Key::File, Some(Key::Cache)),
    ("nr_mapped", Key::FileMapped, Some(Key::MappedFile)),
    ("nr_shmem", Key::Shmem, Some(Key::Shmem)),
    ("nr_dirty", Key::FileDirty, Some(Key::Dirty)),
    ("nr_writeback", Key::FileWriteback, Some(Key::Writeback)),
    (
        "nr_inactive_anon",
        Key::InactiveAnon,
        Some(Key::InactiveAnon),
    ),
    ("nr_active_anon", Key::ActiveAnon, Some(Key::ActiveAnon)),
    (
        "nr_inactive_file",
        Key::InactiveFile,
        Some(Key::InactiveFile),
    ),
    ("nr_active_file", Key::ActiveFile, Some(Key::ActiveFile)),
];

/// Lines that count what happened.
const EVENTS: [Twin; 4] = [
    ("pgfault", Key::Pgfault, Some(Key::Pgfault)),
    ("pgmajfault", Key::Pgmajfault, Some(Key::Pgmajfault)),
    (
        "workingset_refault_anon",
        Key::WorkingsetRefaultAnon,
        Some(Key::WorkingsetRefaultAnon),
    ),
    (
        "workingset_refault_file",
        Key::WorkingsetRefaultFile,
        Some(Key::WorkingsetRefaultFile),
    ),
];

/// Who looks for pages to reclaim. Older kernels have only the first two.
const RECLAIMERS: [&str; 4] = ["kswapd", "direct", "khugepaged", "proactive"];

/// The first cgroup namespace has this inode in every kernel; what is `/` there is the root.
const INITIAL_CGROUP_NAMESPACE: u64 = 0xefff_fffb;

/// Completes the memory statistics of the root of the cgroup tree. In a cgroup namespace of its own this
/// process sees another cgroup as `/`, which on cgroup v2 has figures of its own; there nothing is done.
pub fn complete_root(memory: &mut Option<Reading<MemoryStatistics>>) {
    let is_root = match memory {
        Some(reading) if reading.version == CgroupVersion::V2 => {
            reading.of.memory.usage_bytes.is_none()
        }
        Some(_) | None => is_initial_namespace(),
    };
    if !is_root {
        return;
    }
    // What cannot be read stays absent.
    let Ok(lines) = procfs::vmstat() else { return };
    let swap = Meminfo::current()
        .ok()
        .map(|meminfo| meminfo.swap_total.saturating_sub(meminfo.swap_free));
    let reading = memory.get_or_insert_with(|| Reading {
        version: CgroupVersion::V2,
        at: Ktime::now(),
        of: MemoryStatistics::default(),
    });
    reading.at = Ktime::now();
    complete(reading, &lines, procfs::page_size(), swap);
}

fn is_initial_namespace() -> bool {
    fs::metadata("/proc/self/ns/cgroup").is_ok_and(|file| file.ino() == INITIAL_CGROUP_NAMESPACE)
}

fn complete(
    reading: &mut Reading<MemoryStatistics>,
    lines: &HashMap<String, i64>,
    page_bytes: u64,
    swap_bytes: Option<u64>,
) {
    let line = |name: &str| u64::try_from(*lines.get(name)?).ok();
    let version = reading.version;
    let memory = &mut reading.of;
    let twins = PAGES
        .iter()
        .map(|twin| (twin, page_bytes))
        .chain(EVENTS.iter().map(|twin| (twin, 1)));
    for ((name, v2, v1), factor) in twins {
        let key = match version {
            CgroupVersion::V1 => *v1,
            CgroupVersion::V2 => Some(*v2),
        };
        if let (Some(key), Some(value)) = (key, line(name)) {
            memory.stat.set(key, value.saturating_mul(factor));
        }
    }
    match version {
        CgroupVersion::V1 => {
            if let Some(swap) = swap_bytes {
                memory.stat.set(Key::Swap, swap);
            }
        }
        CgroupVersion::V2 => {
            memory.swap.usage_bytes = swap_bytes;
            for (what, key) in [("pgscan", Key::Pgscan), ("pgsteal", Key::Pgsteal)] {
                let by = RECLAIMERS.map(|who| line(&format!("{what}_{who}")));
                if by.iter().any(Option::is_some) {
                    memory.stat.set(key, by.into_iter().flatten().sum());
                }
            }
            memory.memory.usage_bytes = memory
                .stat
                .value(Key::Anon)
                .zip(memory.stat.value(Key::File))
                .map(|(anonymous, files)| anonymous + files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(version: CgroupVersion) -> Reading<MemoryStatistics> {
        Reading {
            version,
            at: Ktime::from_ns(1),
            of: MemoryStatistics::default(),
        }
    }

    fn lines() -> HashMap<String, i64> {
        [
            ("nr_anon_pages", 100),
            ("nr_file_pages", 1_000),
            ("nr_inactive_file", 300),
            ("pgfault", 7),
            ("pgmajfault", 3),
            ("pgscan_kswapd", 10),
            ("pgscan_direct", 5),
            // In the two above already.
            ("pgscan_anon", 15),
            ("pgscan_direct_throttle", 1),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    #[test]
    fn the_host_s_lines_are_the_figures_of_a_root_of_v2() {
        let mut root = reading(CgroupVersion::V2);
        complete(&mut root, &lines(), 4_096, Some(77));
        assert_eq!(root.memory.usage_bytes, Some(1_100 * 4_096));
        assert_eq!(root.working_set_bytes(), Some(800 * 4_096));
        assert_eq!(root.rss_bytes(), Some(100 * 4_096));
        assert_eq!(root.cache_bytes(), Some(1_000 * 4_096));
        assert_eq!(root.swap_bytes(), Some(77));
        assert_eq!(root.page_faults(), Some(7));
        assert_eq!(root.stat.value(Key::Pgscan), Some(15));
        // What the host does not tell is not known.
        assert_eq!(root.mapped_file_bytes(), None);
        assert_eq!(root.stat.value(Key::Pgsteal), None);
    }

    #[test]
    fn the_root_of_v1_keeps_its_own_usage_and_names() {
        let mut root = reading(CgroupVersion::V1);
        root.of.memory.usage_bytes = Some(5_000_000);
        complete(&mut root, &lines(), 4_096, Some(77));
        assert_eq!(root.memory.usage_bytes, Some(5_000_000));
        assert_eq!(root.working_set_bytes(), Some(5_000_000 - 300 * 4_096));
        assert_eq!(root.rss_bytes(), Some(100 * 4_096));
        assert_eq!(root.cache_bytes(), Some(1_000 * 4_096));
        assert_eq!(root.swap_bytes(), Some(77));
        assert_eq!(root.stat.value(Key::Anon), None);
    }

    #[test]
    fn a_cgroup_that_only_looks_like_the_root_keeps_its_figures() {
        let mut own = reading(CgroupVersion::V2);
        own.of.memory.usage_bytes = Some(42);
        let mut memory = Some(own.clone());
        complete_root(&mut memory);
        assert_eq!(memory, Some(own));
    }

    #[test]
    fn this_host_uses_less_memory_than_it_has() {
        let mut root = reading(CgroupVersion::V2);
        let lines = procfs::vmstat().unwrap();
        complete(&mut root, &lines, procfs::page_size(), None);
        let usage = root.memory.usage_bytes.unwrap();
        let total = Meminfo::current().unwrap().mem_total;
        assert!(usage > 0 && usage < total, "{usage} of {total}");
        let set = root.working_set_bytes().unwrap();
        assert!(set > 0 && set <= usage);
    }
}
