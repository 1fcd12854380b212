//! `memory.stat`: a table of every documented key, and the others by name.

use super::OtherKeys;

macro_rules! memory_keys {
    ($($key:ident = $name:literal,)*) => {
        /// A documented key of `memory.stat` (the kernel's cgroup-v2.rst and cgroup-v1/memory.rst),
        /// in the order in which newer kernels print them: v2's, then those that v1 alone has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum MemoryKey { $($key,)* }

        impl MemoryKey {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$key,)*];

            /// The name in the file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$key => $name,)* }
            }
        }

        const NAMES: [&[u8]; MemoryKey::ALL.len()] = [$($name.as_bytes(),)*];
    };
}

memory_keys! {
    Anon = "anon",
    File = "file",
    Kernel = "kernel",
    KernelStack = "kernel_stack",
    Pagetables = "pagetables",
    SecPagetables = "sec_pagetables",
    Percpu = "percpu",
    Sock = "sock",
    Vmalloc = "vmalloc",
    Shmem = "shmem",
    Zswap = "zswap",
    Zswapped = "zswapped",
    ZswapIncomp = "zswap_incomp",
    FileMapped = "file_mapped",
    FileDirty = "file_dirty",
    FileWriteback = "file_writeback",
    Swapcached = "swapcached",
    AnonThp = "anon_thp",
    FileThp = "file_thp",
    ShmemThp = "shmem_thp",
    InactiveAnon = "inactive_anon",
    ActiveAnon = "active_anon",
    InactiveFile = "inactive_file",
    ActiveFile = "active_file",
    Unevictable = "unevictable",
    SlabReclaimable = "slab_reclaimable",
    SlabUnreclaimable = "slab_unreclaimable",
    Slab = "slab",
    Hugetlb = "hugetlb",
    WorkingsetRefaultAnon = "workingset_refault_anon",
    WorkingsetRefaultFile = "workingset_refault_file",
    WorkingsetActivateAnon = "workingset_activate_anon",
    WorkingsetActivateFile = "workingset_activate_file",
    WorkingsetRestoreAnon = "workingset_restore_anon",
    WorkingsetRestoreFile = "workingset_restore_file",
    WorkingsetRefault = "workingset_refault",
    WorkingsetActivate = "workingset_activate",
    WorkingsetRestore = "workingset_restore",
    WorkingsetNodereclaim = "workingset_nodereclaim",
    PgdemoteKswapd = "pgdemote_kswapd",
    PgdemoteDirect = "pgdemote_direct",
    PgdemoteKhugepaged = "pgdemote_khugepaged",
    PgdemoteProactive = "pgdemote_proactive",
    PgstealKswapd = "pgsteal_kswapd",
    PgstealDirect = "pgsteal_direct",
    PgstealKhugepaged = "pgsteal_khugepaged",
    PgstealProactive = "pgsteal_proactive",
    PgscanKswapd = "pgscan_kswapd",
    PgscanDirect = "pgscan_direct",
    PgscanKhugepaged = "pgscan_khugepaged",
    PgscanProactive = "pgscan_proactive",
    Pgrefill = "pgrefill",
    PgpromoteSuccess = "pgpromote_success",
    Pgscan = "pgscan",
    Pgsteal = "pgsteal",
    Pswpin = "pswpin",
    Pswpout = "pswpout",
    Pgfault = "pgfault",
    Pgmajfault = "pgmajfault",
    Pgactivate = "pgactivate",
    Pgdeactivate = "pgdeactivate",
    Pglazyfree = "pglazyfree",
    Pglazyfreed = "pglazyfreed",
    SwpinZero = "swpin_zero",
    SwpoutZero = "swpout_zero",
    Zswpin = "zswpin",
    Zswpout = "zswpout",
    Zswpwb = "zswpwb",
    ThpFaultAlloc = "thp_fault_alloc",
    ThpCollapseAlloc = "thp_collapse_alloc",
    ThpSwpout = "thp_swpout",
    ThpSwpoutFallback = "thp_swpout_fallback",
    NumaPagesMigrated = "numa_pages_migrated",
    NumaPteUpdates = "numa_pte_updates",
    NumaHintFaults = "numa_hint_faults",
    NumaTaskMigrated = "numa_task_migrated",
    NumaTaskSwapped = "numa_task_swapped",
    Cache = "cache",
    Rss = "rss",
    RssHuge = "rss_huge",
    MappedFile = "mapped_file",
    Dirty = "dirty",
    Writeback = "writeback",
    Swap = "swap",
    Pgpgin = "pgpgin",
    Pgpgout = "pgpgout",
    HierarchicalMemoryLimit = "hierarchical_memory_limit",
    HierarchicalMemswLimit = "hierarchical_memsw_limit",
}

const _: () = assert!(MemoryKey::ALL.len() <= 128, "a bit for each");

/// What v1 puts before the name of a value that includes the cgroups below.
const TOTAL: &[u8] = b"total_";

/// A reading of `memory.stat`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryStat {
    plain: KeyTable,
    /// v1's `total_` twins.
    total: Option<Box<KeyTable>>,
    /// Keys that are not documented, v1's `total_` among them.
    pub other: OtherKeys,
}

impl MemoryStat {
    /// The value of a key, as it is printed: with the cgroups below in v2, without them in v1.
    #[must_use]
    pub fn value(&self, key: MemoryKey) -> Option<u64> {
        self.plain.value(key)
    }

    /// The value of v1's `total_` twin.
    #[must_use]
    pub fn total(&self, key: MemoryKey) -> Option<u64> {
        self.total.as_ref()?.value(key)
    }

    /// The value with the cgroups below, in either version.
    #[must_use]
    pub fn hierarchical(&self, key: MemoryKey) -> Option<u64> {
        match &self.total {
            Some(total) => total.value(key),
            None => self.plain.value(key),
        }
    }

    /// The value of any key, by the name that the file has.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u64> {
        match find(name.as_bytes(), 0) {
            Some(Found::Plain(key)) => self.value(key),
            Some(Found::Total(key)) => self.total(key),
            None => self.other.value(name),
        }
    }

    /// All keys of the plain table that have a value, in the order of [`MemoryKey`].
    pub fn values(&self) -> impl Iterator<Item = (MemoryKey, u64)> + '_ {
        MemoryKey::ALL
            .iter()
            .filter_map(|key| Some((*key, self.value(*key)?)))
    }

    /// Keeps what is known from elsewhere: the root's figures are the host's.
    pub(in crate::host) fn set(&mut self, key: MemoryKey, value: u64) {
        self.plain.put(key, value);
    }

    /// Before a reading.
    pub(super) fn begin(&mut self) {
        self.plain.present = 0;
        if let Some(total) = &mut self.total {
            total.present = 0;
        }
    }

    /// Keeps the value of a key.
    pub(super) fn put(&mut self, found: Found, value: u64) {
        match found {
            Found::Plain(key) => self.plain.put(key, value),
            Found::Total(key) => self.total.get_or_insert_default().put(key, value),
        }
    }
}

/// A key in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Plain(MemoryKey),
    Total(MemoryKey),
}

impl Found {
    /// Where the next key is likely to be.
    pub(super) const fn next(self) -> usize {
        match self {
            Self::Plain(key) | Self::Total(key) => key as usize + 1,
        }
    }
}

/// Looks for a key, first where it is likely: kernels print them in much the same order.
pub(super) fn find(name: &[u8], likely: usize) -> Option<Found> {
    // No key of the plain table begins like this, so it is searched once.
    match name.strip_prefix(TOTAL) {
        Some(twin) => position(twin, likely).map(Found::Total),
        None => position(name, likely).map(Found::Plain),
    }
}

fn position(name: &[u8], likely: usize) -> Option<MemoryKey> {
    let likely = likely.min(NAMES.len());
    let from = |start: usize, names: &[&[u8]]| {
        names
            .iter()
            .position(|known| *known == name)
            .map(|place| MemoryKey::ALL[start + place])
    };
    from(likely, &NAMES[likely..]).or_else(|| from(0, &NAMES[..likely]))
}

/// A value for each key, or none.
#[derive(Clone, Debug)]
struct KeyTable {
    values: [u64; NAMES.len()],
    /// A bit for each key that has one.
    present: u128,
}

impl Default for KeyTable {
    fn default() -> Self {
        Self {
            values: [0; NAMES.len()],
            present: 0,
        }
    }
}

impl PartialEq for KeyTable {
    fn eq(&self, other: &Self) -> bool {
        MemoryKey::ALL
            .iter()
            .all(|key| self.value(*key) == other.value(*key))
    }
}

impl KeyTable {
    fn value(&self, key: MemoryKey) -> Option<u64> {
        (self.present >> (key as u32) & 1 == 1).then(|| self.values[key as usize])
    }

    fn put(&mut self, key: MemoryKey, value: u64) {
        self.values[key as usize] = value;
        self.present |= 1 << (key as u32);
    }
}
