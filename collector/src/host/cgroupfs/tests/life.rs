//! Cgroups that come and go, files that are not there, and descriptors that are kept.

use std::{fs, sync::Arc};

use super::{Tree, TreeReading, exists};
use crate::host::{
    CgroupKey, HierarchyId,
    cgroupfs::{
        CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots, Presence,
        Wanted,
    },
};

fn box_of(tree: &Tree) -> std::path::PathBuf {
    tree.path("unified/pod/box")
}

#[test]
fn a_cgroup_that_is_nowhere_is_said_to_be() {
    let tree = Tree::v2(&[]);
    let mut reading = TreeReading::of(&tree.roots(), "/other", &DescriptorBudget::new(9, 9));
    let outcome = reading.read(Wanted::ALL);
    assert_eq!(outcome.presence, Presence::Nowhere);
    assert_eq!(outcome.read, Wanted::NOTHING);
    assert_eq!(reading.statistics, CgroupStatistics::default());
    fs::create_dir(tree.path("unified/other")).unwrap();
    tree.write("unified/other/cgroup.procs", b"");
    tree.write("unified/other/pids.current", b"3\n");
    let outcome = reading.read(Wanted::PIDS);
    assert_eq!(outcome.presence, Presence::There, "it came");
    assert_eq!(reading.statistics.pids.unwrap().current, Some(3));
}

#[test]
fn what_was_read_before_a_removal_stays() {
    let tree = Tree::v2(&[
        ("cpu.stat", b"usage_usec 1\n"),
        ("memory.current", b"2\n"),
        ("memory.peak", b"3\n"),
        ("memory.max", b"4\n"),
        ("io.stat", b"8:0 rbytes=5\n"),
    ]);
    let mut reading = tree.reading();
    reading.read(Wanted::ALL);
    let before = reading.statistics.clone();
    fs::remove_dir_all(box_of(&tree)).unwrap();
    let outcome = reading.read(Wanted::ALL);
    assert_eq!(outcome.presence, Presence::Gone);
    assert_eq!(outcome.read, Wanted::NOTHING);
    assert_eq!(reading.statistics, before);
    assert_eq!(reading.context.account.gone, 1);
    let calls = reading.context.account.system_calls;
    assert_eq!(reading.read(Wanted::ALL).presence, Presence::Gone);
    assert_eq!(
        reading.context.account.system_calls, calls,
        "nothing is asked of what is gone"
    );
}

#[test]
fn another_cgroup_at_the_same_path_is_another_cgroup() {
    let tree = Tree::v2(&[("pids.current", b"3\n")]);
    // With no descriptor to keep, the directory is opened by its path each time.
    let mut reading = TreeReading::of(&tree.roots(), "/pod/box", &DescriptorBudget::new(0, 0));
    assert_eq!(reading.read(Wanted::PIDS).presence, Presence::There);
    // The old one's inode is kept in use, so that the new one has another.
    fs::rename(box_of(&tree), tree.path("unified/old")).unwrap();
    fs::create_dir(box_of(&tree)).unwrap();
    tree.write("unified/pod/box/pids.current", b"9\n");
    assert_eq!(reading.read(Wanted::PIDS).presence, Presence::Gone);
    assert_eq!(reading.statistics.pids.as_ref().unwrap().current, Some(3));

    let roots = tree.roots();
    let wrong = CgroupKey::new(HierarchyId::V2, 1);
    let directories = ControllerDirs::at(&roots, b"/pod/box").with_ids([wrong]);
    reading.reader = CgroupReader::new(directories, &DescriptorBudget::new(9, 9));
    assert_eq!(reading.read(Wanted::PIDS).presence, Presence::Gone);
    assert_eq!(reading.statistics.pids.as_ref().unwrap().current, Some(3));
}

#[test]
fn a_file_that_goes_alone_takes_its_values_alone() {
    let tree = Tree::v2(&[("memory.current", b"1\n"), ("memory.peak", b"2\n")]);
    let mut reading = TreeReading::of(&tree.roots(), "/pod/box", &DescriptorBudget::new(9, 0));
    reading.read(Wanted::MEMORY);
    fs::remove_file(box_of(&tree).join("memory.peak")).unwrap();
    assert_eq!(reading.read(Wanted::MEMORY).presence, Presence::There);
    let memory = reading.statistics.memory.as_ref().unwrap();
    assert_eq!(memory.memory.usage_bytes, Some(1));
    assert_eq!(memory.memory.peak_bytes, None);
    fs::remove_file(box_of(&tree).join("memory.current")).unwrap();
    reading.read(Wanted::MEMORY);
    assert_eq!(
        reading.statistics.memory, None,
        "the controller was taken away"
    );
}

/// Makes a name lead to itself: to open it fails for a reason that says nothing of whether it is there.
fn fail_to_open(path: &std::path::Path) {
    std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap();
}

#[test]
fn what_cannot_be_read_for_once_keeps_its_last_figures() {
    let tree = Tree::v2(&[
        ("cpu.stat", b"usage_usec 1\n"),
        ("memory.current", b"2\n"),
        ("memory.stat", b"anon 3\n"),
    ]);
    let mut reading = TreeReading::of(&tree.roots(), "/pod/box", &DescriptorBudget::new(9, 0));
    let groups = Wanted::CPU | Wanted::MEMORY;
    assert_eq!(reading.read(groups).failed, Wanted::NOTHING);
    let before = reading.statistics.clone();

    // A file.
    let file = box_of(&tree).join("memory.current");
    fs::remove_file(&file).unwrap();
    fail_to_open(&file);
    let outcome = reading.read(groups);
    assert_eq!(
        (outcome.read, outcome.failed),
        (Wanted::CPU, Wanted::MEMORY)
    );
    assert_eq!(reading.statistics.memory, before.memory);
    assert_eq!(reading.context.account.failed, 1);
    fs::remove_file(&file).unwrap();
    fs::write(&file, "4\n").unwrap();
    assert_eq!(reading.read(groups).failed, Wanted::NOTHING);
    let usage = |reading: &TreeReading| {
        reading
            .statistics
            .memory
            .as_ref()
            .unwrap()
            .memory
            .usage_bytes
    };
    assert_eq!(usage(&reading), Some(4), "it is asked for again");

    // The directory, which without a permit is opened for each reading.
    let mut reading = TreeReading::of(&tree.roots(), "/pod/box", &DescriptorBudget::new(0, 0));
    reading.read(groups);
    let before = reading.statistics.clone();
    fs::rename(tree.path("unified/pod"), tree.path("unified/away")).unwrap();
    fail_to_open(&tree.path("unified/pod"));
    let outcome = reading.read(groups);
    assert_eq!((outcome.read, outcome.failed), (Wanted::NOTHING, groups));
    assert_eq!(outcome.presence, Presence::There, "as far as is known");
    assert_eq!(reading.statistics, before);

    // Of one that was never opened nothing is known, and nothing made up.
    let mut new = TreeReading::of(&tree.roots(), "/pod/box", &DescriptorBudget::new(0, 0));
    assert_eq!(new.read(groups).failed, groups);
    assert_eq!(new.statistics, CgroupStatistics::default());
    fs::remove_file(tree.path("unified/pod")).unwrap();
    fs::rename(tree.path("unified/away"), tree.path("unified/pod")).unwrap();
    assert_eq!(new.read(groups).read, groups);
    assert_eq!(usage(&new), Some(4));
}

#[test]
fn a_table_that_cannot_be_read_for_once_is_not_replaced_by_a_smaller_one() {
    const ALL: &[u8] = b"8:0 Read 9\nTotal 9\n";
    let tree = Tree::v1(
        "blkio",
        &[
            ("blkio.throttle.io_service_bytes", b"8:0 Read 2\nTotal 2\n"),
            ("blkio.throttle.io_service_bytes_recursive", ALL),
        ],
    );
    let mut reading = TreeReading::of(&tree.roots(), "/pod/box", &DescriptorBudget::new(9, 0));
    let mut read_bytes = |wanted_failed| {
        assert_eq!(reading.read(Wanted::IO).failed, wanted_failed);
        let io = reading.statistics.io.as_ref().unwrap();
        io.sum(|device| device.bytes.read)
    };
    assert_eq!(read_bytes(Wanted::NOTHING), Some(9));
    let table = tree.path("blkio/pod/box/blkio.throttle.io_service_bytes_recursive");
    fs::remove_file(&table).unwrap();
    fail_to_open(&table);
    assert_eq!(read_bytes(Wanted::IO), Some(9), "not 2");
    fs::remove_file(&table).unwrap();
    assert_eq!(read_bytes(Wanted::NOTHING), Some(2), "there is no other");
}

#[test]
fn a_cgroup_that_goes_within_a_reading_has_new_figures_up_to_there_and_earlier_ones_behind() {
    let tree = Tree::v2(&[
        ("cpu.stat", b"usage_usec 1\n"),
        ("pids.current", b"2\n"),
        ("memory.current", b"7\n"),
        ("memory.stat", b"anon 3\n"),
    ]);
    let mut reading = tree.reading();
    reading.read(Wanted::ALL);
    let earlier = reading.statistics.clone();
    tree.write("unified/pod/box/cpu.stat", b"usage_usec 8\n");
    tree.write("unified/pod/box/pids.current", b"9\n");
    tree.write("unified/pod/box/memory.stat", b"anon 9\n");

    // Who opens this waits for who writes: here the reading stands still, behind the CPU's files and
    // the usage of memory, and before tasks and memory.stat.
    let gate = box_of(&tree).join("io.stat");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // What was found not to be there is asked for again by a new reader only.
    reading.reader = tree.reading().reader;
    let writer = tree.path("gate");
    fs::hard_link(&gate, &writer).unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let outcome = std::thread::scope(|threads| {
        let read = threads.spawn(|| {
            let own = fs::read_link("/proc/thread-self").unwrap();
            sender
                .send(std::path::Path::new("/proc").join(own))
                .unwrap();
            reading.read(Wanted::ALL)
        });
        let thread = receiver.recv().unwrap();
        let mut waits = 0;
        while waits < 5 {
            let stat = fs::read_to_string(thread.join("stat")).unwrap();
            let sleeps = stat.rsplit(')').next().unwrap().starts_with(" S");
            waits = if sleeps { waits + 1 } else { 0 };
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        fs::remove_dir_all(box_of(&tree)).unwrap();
        // The gate opens.
        drop(fs::OpenOptions::new().write(true).open(&writer).unwrap());
        read.join().unwrap()
    });
    assert_eq!(outcome.presence, Presence::Gone);
    assert_eq!(outcome.read, Wanted::CPU | Wanted::MEMORY);
    let cpu = reading.statistics.cpu.as_ref().unwrap();
    assert_eq!(cpu.usage_ns, Some(8_000), "of this reading");
    assert_eq!(reading.statistics.pids, earlier.pids, "of the one before");
    let stat = |statistics: &CgroupStatistics| {
        let memory = statistics.memory.as_ref().unwrap();
        memory.stat.named("anon")
    };
    assert_eq!(stat(&reading.statistics), stat(&earlier));
}

#[test]
fn a_sparing_reading_leaves_out_what_tells_the_same_again() {
    let tree = Tree::v2(&[("memory.current", b"2\n"), ("memory.stat", b"anon 3\n")]);
    let mut reading = tree.reading();
    let sparing = Wanted::MEMORY | Wanted::MEMORY_STAT | Wanted::SPARING;
    let mut anon = |file: &str, bytes: &[u8]| {
        tree.write(&format!("unified/pod/box/{file}"), bytes);
        let outcome = reading.read(sparing);
        let stat = &reading.statistics.memory.as_ref().unwrap().stat;
        let is_whole = outcome.whole.contains(Wanted::MEMORY_STAT);
        assert_eq!(is_whole, outcome.read.contains(Wanted::MEMORY_STAT));
        (stat.named("anon"), is_whole)
    };
    assert_eq!(anon("memory.current", b"2\n"), (Some(3), true), "the first");
    assert_eq!(anon("memory.stat", b"anon 4\n"), (Some(3), false));
    assert_eq!(anon("memory.current", b"5\n"), (Some(4), true));
}

#[test]
fn what_is_not_there_is_not_asked_for_again_at_once() {
    let tree = Tree::v2(&[("pids.current", b"3\n")]);
    let mut reading = tree.reading();
    let mut calls = [0; 4];
    for calls in &mut calls {
        let before = reading.context.account.system_calls;
        reading.read(Wanted::ALL);
        *calls = reading.context.account.system_calls - before;
    }
    assert!(calls[0] > 60, "every file is looked for once: {calls:?}");
    assert_eq!(calls[3], 1, "then the one that is there: {calls:?}");
}

#[test]
fn a_kernel_that_lacks_a_file_is_asked_in_one_cgroup_only() {
    let tree = Tree::v2(&[("memory.current", b"3\n")]);
    let roots = tree.roots();
    let mut first = TreeReading::of(&roots, "/pod/box", &DescriptorBudget::new(9, 9));
    first.read(Wanted::MEMORY);
    fs::create_dir(tree.path("unified/next")).unwrap();
    tree.write("unified/next/cgroup.procs", b"");
    tree.write("unified/next/memory.current", b"4\n");
    let mut next = TreeReading::of(&roots, "/next", &DescriptorBudget::new(9, 9));
    next.context = first.context;
    let before = next.context.account.system_calls;
    next.read(Wanted::MEMORY);
    assert_eq!(
        next.statistics.memory.as_ref().unwrap().memory.usage_bytes,
        Some(4)
    );
    // The directory and its inode; the file, opened, read and closed.
    assert_eq!(next.context.account.system_calls - before, 5);
}

#[test]
fn hot_files_stay_open_as_long_as_the_budget_lasts() {
    let tree = Tree::v2(&[
        ("cpu.stat", b"usage_usec 1\n"),
        ("memory.current", b"2\n"),
        ("memory.peak", b"2\n"),
    ]);
    let budget = DescriptorBudget::new(1, 1);
    let mut reading = TreeReading::of(&tree.roots(), "/pod/box", &budget);
    reading.read(Wanted::CPU | Wanted::MEMORY);
    assert_eq!(budget.left(), (0, 1), "who is read once keeps no file");
    reading.read(Wanted::CPU | Wanted::MEMORY);
    assert_eq!(budget.left(), (0, 0));
    let before = reading.context.account.system_calls;
    reading.read(Wanted::CPU | Wanted::MEMORY);
    // One read of what is kept, three calls for each of the others.
    assert_eq!(reading.context.account.system_calls - before, 1 + 3 + 3);

    // A second reader has to do without.
    let mut other = TreeReading::of(&tree.roots(), "/pod/box", &budget);
    other.read(Wanted::CPU);
    other.read(Wanted::CPU);
    let before = other.context.account.system_calls;
    other.read(Wanted::CPU);
    // The directory, its inode, the file's three, the directory's end.
    assert_eq!(other.context.account.system_calls - before, 6);
    assert_eq!(other.statistics.cpu.as_ref().unwrap().usage_ns, Some(1_000));
    drop(reading);
    assert_eq!(budget.left(), (1, 1), "what is closed is free");
}

#[test]
fn a_path_that_leads_out_of_the_hierarchy_is_not_followed() {
    let tree = Tree::v2(&[]);
    tree.write("pids.current", b"1\n");
    assert!(exists(&tree.path("unified/pod/../../pids.current")));
    for path in ["/..", "/pod/../..", "/pod/\0"] {
        let mut reading = TreeReading::of(&tree.roots(), path, &DescriptorBudget::new(9, 9));
        assert_eq!(
            reading.read(Wanted::ALL).presence,
            Presence::Nowhere,
            "{path:?}"
        );
    }
    std::os::unix::fs::symlink(tree.path(""), tree.path("unified/link")).unwrap();
    let mut reading = TreeReading::of(&tree.roots(), "/link", &DescriptorBudget::new(9, 9));
    reading.read(Wanted::ALL);
    assert_eq!(reading.statistics.pids, None);
}

#[test]
fn the_root_of_a_part_of_a_hierarchy_is_no_other_cgroup() {
    let tree = Tree::v2(&[("pids.current", b"3\n")]);
    let mut mounts = tree.mounts();
    mounts.hierarchies[0].root = "/kubepods".into();
    let roots = Arc::new(HierarchyRoots::open(&mounts));
    let read = |path: &str| {
        let mut reading = TreeReading::of(&roots, path, &DescriptorBudget::new(9, 9));
        reading.read(Wanted::PIDS);
        reading.statistics.pids.and_then(|pids| pids.current)
    };
    assert_eq!(read("/kubepods/pod/box"), Some(3));
    assert_eq!(read("/pod/box"), None);
    assert_eq!(read("/kubepodsx/pod/box"), None);
}

#[test]
fn a_hierarchy_that_cannot_be_opened_costs_its_own_parts() {
    let tree = Tree::v1("pids", &[("pids.current", b"3\n")]);
    let mut mounts = tree.mounts();
    let mut lost = mounts.hierarchies[0].clone();
    lost.id = HierarchyId(77);
    lost.controllers = vec!["memory".into(), "cpu".into()];
    lost.mount_point = "/nowhere/at/all".into();
    mounts.hierarchies.push(lost);
    let roots = Arc::new(HierarchyRoots::open(&mounts));
    assert_eq!(roots.unreadable.len(), 1);
    assert!(roots.unreadable[0].to_string().contains("/nowhere/at/all"));
    let mut reading = TreeReading::of(&roots, "/pod/box", &DescriptorBudget::new(9, 9));
    reading.read(Wanted::ALL);
    assert_eq!(reading.statistics.pids.unwrap().current, Some(3));
    assert_eq!(reading.statistics.memory, None);
}
