//! The readers of cgroup files on the running kernel, against what is known of the work in a cgroup.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, MutexGuard},
    thread,
    time::Duration,
};

use collector::host::{
    cgroup_mounts::Hierarchy,
    cgroupfs::{
        CgroupReader, CgroupStatistics, ControllerDirs, DescriptorBudget, HierarchyRoots, Limit,
        Presence, ReadContext, ReadOutcome, Wanted,
    },
    network::NetworkReader,
    process_files::ProcessFiles,
};
use collector_tests::{
    alone,
    cgroup::{TestCgroup, mounts},
    note,
    thread_counts::ThreadCounts,
    workload_binary,
};

use super::within;

const MIB: u64 = 1 << 20;

/// A cgroup in every hierarchy that has something to read, not only in those where events are.
struct Everywhere {
    /// In the hierarchies of events.
    cgroup: TestCgroup,
    /// In the others.
    others: Vec<PathBuf>,
    /// Others observe the whole host.
    _alone: MutexGuard<'static, ()>,
}

impl Everywhere {
    fn new(name: &str) -> Self {
        let alone = alone();
        let cgroup = TestCgroup::new(name);
        let mut others = Vec::new();
        for hierarchy in &cgroup.mounts.hierarchies {
            let named = |of: &str| ["cpuacct", "pids", "hugetlb"].contains(&of);
            let directory = cgroup.directory(hierarchy);
            if hierarchy.controllers.iter().any(|of| named(of)) && !directory.exists() {
                fs::create_dir(&directory).expect("a cgroup can be made");
                others.push(directory);
            }
        }
        Self {
            cgroup,
            others,
            _alone: alone,
        }
    }

    /// Starts a workload in it, which does not leave.
    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(workload_binary());
        let attributed = self.cgroup.mounts.attributed();
        let directories = attributed.iter().map(|of| self.cgroup.directory(of));
        for directory in directories.chain(self.others.iter().cloned()) {
            command.arg("--join").arg(directory.join("cgroup.procs"));
        }
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the workload starts")
    }

    fn reading(&self) -> Reading {
        let roots = Arc::new(HierarchyRoots::open(&self.cgroup.mounts));
        assert!(roots.unreadable.is_empty(), "{:?}", roots.unreadable);
        let directories = ControllerDirs::at(&roots, self.cgroup.path.as_bytes())
            .with_ids([self.cgroup.task_key()]);
        Reading {
            reader: CgroupReader::new(directories, &DescriptorBudget::of_this_process()),
            context: ReadContext::default(),
            statistics: CgroupStatistics::default(),
        }
    }

    /// Whether there is a controller of memory to read. Kernels since 6.11 can be built without v1's.
    fn has_memory(&self) -> bool {
        let has = self.cgroup.mounts.memory_hierarchy().is_some();
        if !has {
            note("this host has no hierarchy of memory");
        }
        has
    }

    fn remove(&self) {
        self.cgroup.remove();
        for directory in &self.others {
            for _ in 0..100 {
                if fs::remove_dir(directory).is_ok() || !directory.exists() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

impl Drop for Everywhere {
    fn drop(&mut self) {
        self.remove();
    }
}

struct Reading {
    reader: CgroupReader,
    context: ReadContext,
    statistics: CgroupStatistics,
}

impl Reading {
    fn read(&mut self, wanted: Wanted) -> ReadOutcome {
        self.reader
            .read(wanted, &mut self.context, &mut self.statistics)
    }
}

#[test]
fn cpu_time_is_what_the_threads_ran() {
    let cgroup = Everywhere::new("cgscope-readers-cpu");
    cgroup.cgroup.favor();
    let mut reading = cgroup.reading();
    reading.read(Wanted::ALL);
    let before = reading.statistics.cpu.as_ref().expect("CPU").usage_ns;
    let busy = cgroup.start(&["busy", "0", "2", "600"]);
    let output = busy.wait_with_output().expect("it ends");
    let ran = ThreadCounts::from_json(&String::from_utf8_lossy(&output.stdout)).run_ns;
    let outcome = reading.read(Wanted::ALL);
    assert_eq!(outcome.presence, Presence::There);
    let cpu = reading.statistics.cpu.as_ref().expect("CPU");
    let used = cpu.usage_ns.expect("usage") - before.expect("usage");
    println!("the threads ran {ran} ns, the cgroup used {used} ns");
    // The process's start and end, which its threads' counts leave out, are a few milliseconds.
    assert!(used >= ran, "{used} < {ran}");
    assert!(within(used, ran, 0.05), "{used} is not {ran}");
    let halves = cpu.user_ns.expect("user") + cpu.system_ns.expect("system");
    assert!(within(halves, used, 0.2), "{halves} of {used}");
    assert!(cpu.user_ns > cpu.system_ns, "a busy loop is user time");
    assert_eq!(reading.context.account.parse_errors.total(), 0);
    assert_eq!(reading.context.account.failed, 0);
}

#[test]
fn memory_and_tasks_are_those_of_the_process() {
    let cgroup = Everywhere::new("cgscope-readers-memory");
    if cgroup.has_memory() {
        memory_is_that_of_the_process(&cgroup);
    }
    tasks_are_those_of_the_process(&cgroup);
}

fn memory_is_that_of_the_process(cgroup: &Everywhere) {
    cgroup.cgroup.limit_memory(128 * MIB);
    let mut reading = cgroup.reading();
    reading.read(Wanted::ALL);
    let before = reading.statistics.memory.clone().expect("memory");
    let child = cgroup.start(&["allocate", "48"]);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    // Only a peak is left of it; kernels before 5.19 have none in v2.
    reading.read(Wanted::ALL);
    let memory = reading.statistics.memory.as_ref().expect("memory");
    assert_eq!(memory.memory.limit_bytes, Some(Limit::At(128 * MIB)));
    let gone = memory.memory.usage_bytes.expect("usage");
    assert!(gone < 24 * MIB, "{gone} of an ended process");
    if let Some(peak) = memory.memory.peak_bytes {
        assert!((48 * MIB..64 * MIB).contains(&peak), "{peak}");
    }
    let faults = memory.page_faults().expect("faults") - before.page_faults().unwrap_or(0);
    assert!(faults >= 12, "{faults} page faults of 48 MiB");
}

fn tasks_are_those_of_the_process(cgroup: &Everywhere) {
    let mut reading = cgroup.reading();
    let busy = cgroup.start(&["busy", "0", "3", "1500"]);
    thread::sleep(Duration::from_millis(700));
    reading.read(Wanted::ALL);
    let mut pids = Vec::new();
    let complete = reading
        .reader
        .processes(&mut reading.context, &mut pids, 100);
    let files = ProcessFiles::open(Path::new("/")).expect("/proc");
    let totals = files.totals(&pids, &mut reading.context);
    let mut network = None;
    let read = NetworkReader::default().read(
        &mut reading.reader,
        &files,
        &mut reading.context,
        &mut network,
    );
    assert_eq!((complete, &pids[..]), (true, &[busy.id()][..]));
    assert_eq!((totals.processes, totals.threads), (1, Some(4)));
    assert!(totals.open_files >= Some(3), "{totals:?}");
    assert!(read);
    let network = network.expect("a network");
    let own = fs::read_link("/proc/self/ns/net").expect("a namespace");
    let namespace = network.namespace.expect("a namespace");
    assert_eq!(
        own.to_str(),
        Some(format!("net:[{}]", namespace.0).as_str())
    );
    assert!(!network.interfaces.is_empty());
    if let Some(pids) = &reading.statistics.pids {
        assert_eq!(pids.current, Some(4));
    }
    assert!(busy.wait_with_output().expect("it ends").status.success());
}

#[test]
fn stalls_are_those_of_a_cgroup_that_may_not_run() {
    let cgroup = Everywhere::new("cgscope-readers-stall");
    cgroup.cgroup.limit_cpu(10_000, 100_000);
    let mut reading = cgroup.reading();
    let busy = cgroup.start(&["busy", "0", "2", "1000"]);
    busy.wait_with_output().expect("it ends");
    reading.read(Wanted::ALL);
    let cpu = reading.statistics.cpu.as_ref().expect("CPU");
    assert_eq!(cpu.quota_ns, Some(Limit::At(10_000_000)));
    assert_eq!(cpu.period_ns, Some(100_000_000));
    let throttled = Duration::from_nanos(cpu.throttled_ns.expect("throttled"));
    assert_eq!(throttled, cgroup.cgroup.throttled_time());
    assert!(throttled > Duration::from_millis(300), "{throttled:?}");
    assert!(cpu.throttled_periods >= Some(3) && cpu.throttled_periods <= cpu.periods);
    let file = cgroup
        .cgroup
        .mounts
        .v2()
        .map(|v2| cgroup.cgroup.directory(v2).join("cpu.pressure"));
    if file.is_some_and(|file| fs::read(file).is_ok()) {
        let pressure = reading.statistics.pressure.as_ref().expect("pressure");
        let some = pressure.cpu.expect("of the CPU").some;
        println!("stalled {:?}, throttled {throttled:?}", some.total_ns);
        assert!(some.total_ns > Some(300_000_000), "{some:?}");
    }
}

#[test]
fn a_cgroup_that_is_removed_meanwhile_is_gone_and_keeps_its_numbers() {
    for readings_before in [1, 2, 3] {
        let cgroup = Everywhere::new("cgscope-readers-gone");
        let busy = cgroup.start(&["busy", "0", "1", "50"]);
        busy.wait_with_output().expect("it ends");
        let mut reading = cgroup.reading();
        for _ in 0..readings_before {
            assert_eq!(reading.read(Wanted::ALL).presence, Presence::There);
        }
        let before = reading.statistics.clone();
        assert!(before.cpu.as_ref().expect("CPU").usage_ns > Some(1_000_000));
        let key = cgroup.cgroup.task_key();
        assert!(reading.reader.ids().any(|id| id == key));
        cgroup.remove();
        let outcome = reading.read(Wanted::ALL);
        assert_eq!(outcome.presence, Presence::Gone, "{readings_before}");
        assert_eq!(outcome.read, Wanted::NOTHING);
        assert_eq!(reading.statistics, before);
        assert_eq!(reading.context.account.failed, 0);
    }
}

#[test]
fn a_container_between_two_removals_is_going() {
    let cgroup = Everywhere::new("cgscope-readers-going");
    let mut reading = cgroup.reading();
    reading.read(Wanted::ALL);
    let here = reading.reader.ids().count();
    // That of memory, where there is one.
    let mounts = &cgroup.cgroup.mounts;
    let one = mounts
        .memory_hierarchy()
        .or_else(|| mounts.task_hierarchy());
    let one = one.expect("a hierarchy");
    fs::remove_dir(cgroup.cgroup.directory(one)).expect("it is empty");
    let outcome = reading.read(Wanted::ALL);
    let expected = if here > 1 {
        Presence::Going
    } else {
        Presence::Gone
    };
    assert_eq!(outcome.presence, expected, "of {here} directories");
    assert!(reading.statistics.cpu.is_some(), "its last numbers stay");
    let memory = reading.statistics.memory.is_some();
    assert_eq!(memory, cgroup.has_memory(), "its last numbers stay");
}

#[test]
fn the_roots_figures_are_read_and_understood() {
    let mounts = mounts();
    let roots = Arc::new(HierarchyRoots::open(&mounts));
    let mut reading = Reading {
        reader: CgroupReader::new(
            ControllerDirs::at(&roots, b"/"),
            &DescriptorBudget::of_this_process(),
        ),
        context: ReadContext::default(),
        statistics: CgroupStatistics::default(),
    };
    reading.read(Wanted::ALL);
    let account = &reading.context.account;
    assert_eq!(
        account.parse_errors.total(),
        0,
        "{:?}",
        account.parse_errors
    );
    assert_eq!(account.failed, 0, "{:?}", account.last_failure);
    assert!(reading.statistics.cpu.is_some());
    // What the root lacks is not taken for what the kernel lacks.
    let cgroup = Everywhere::new("cgscope-readers-below");
    let directories = ControllerDirs::at(&roots, cgroup.cgroup.path.as_bytes());
    let budget = DescriptorBudget::of_this_process();
    reading.reader = CgroupReader::new(directories, &budget);
    reading.statistics = CgroupStatistics::default();
    reading.read(Wanted::ALL);
    assert!(reading.statistics.cpu.is_some());
    if cgroup.has_memory() {
        let memory = reading.statistics.memory.as_ref().expect("memory");
        assert!(memory.memory.usage_bytes.is_some());
        assert!(memory.memory.limit_bytes.is_some());
    }
}

#[test]
fn a_reading_takes_few_system_calls() {
    const CGROUPS: usize = 50;
    let parent = Everywhere::new("cgscope-readers-cost");
    let made: Vec<PathBuf> = directories_below(&parent, CGROUPS);
    let roots = Arc::new(HierarchyRoots::open(&parent.cgroup.mounts));

    for (what, budget) in [
        ("files kept open", DescriptorBudget::new(10_000, 5_000)),
        ("directories kept open", DescriptorBudget::new(10_000, 0)),
        ("nothing kept open", DescriptorBudget::new(0, 0)),
    ] {
        let mut context = ReadContext::default();
        let mut readers: Vec<_> = (0..CGROUPS)
            .map(|number| {
                let path = format!("{}/c{number}", parent.cgroup.path);
                let directories = ControllerDirs::at(&roots, path.as_bytes());
                (
                    CgroupReader::new(directories, &budget),
                    CgroupStatistics::default(),
                )
            })
            .collect();
        let mut cost = Vec::new();
        for wanted in [Wanted::ALL, Wanted::USAGE, Wanted::USAGE, Wanted::USAGE] {
            let before = (
                context.account.system_calls,
                context.account.files,
                context.account.time,
            );
            for (reader, statistics) in &mut readers {
                let outcome = reader.read(wanted, &mut context, statistics);
                assert_eq!(outcome.presence, Presence::There);
            }
            let each = |total: u64| total / CGROUPS as u64;
            cost.push((
                each(context.account.system_calls - before.0),
                each(context.account.files - before.1),
                context.account.time.saturating_sub(before.2)
                    / u32::try_from(CGROUPS).expect("few"),
            ));
        }
        println!("{what}: (calls, files, time) for each cgroup: first {cost:?}");
        let (calls, files, _) = cost[3];
        assert!(files >= 8, "{files} files");
        match what {
            // At most three calls for each of a few files that are not worth keeping.
            "files kept open" => assert!(calls <= files * 2, "{calls} calls for {files} files"),
            "directories kept open" => assert_eq!(calls, 3 * files),
            _ => assert!(
                calls <= 3 * files + 3 * 9,
                "{calls} calls for {files} files"
            ),
        }
    }
    for directory in &made {
        fs::remove_dir(directory).expect("it is empty");
    }
}

/// Makes cgroups below one, in each of its hierarchies.
fn directories_below(parent: &Everywhere, count: usize) -> Vec<PathBuf> {
    let of = |hierarchy: &Hierarchy| parent.cgroup.directory(hierarchy);
    let mut parents: Vec<PathBuf> = parent
        .cgroup
        .mounts
        .attributed()
        .iter()
        .map(|h| of(h))
        .collect();
    parents.extend(parent.others.iter().cloned());
    let mut made = Vec::new();
    for above in parents {
        for controller in ["+cpu", "+memory", "+io", "+pids"] {
            drop(fs::write(above.join("cgroup.subtree_control"), controller));
        }
        for number in 0..count {
            let directory = above.join(format!("c{number}"));
            fs::create_dir(&directory).expect("a cgroup can be made");
            made.push(directory);
        }
    }
    made
}
