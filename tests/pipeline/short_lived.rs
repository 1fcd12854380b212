//! Cgroups that live for a moment, of known work: not one of them is lost.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use collector_tests::{
    SHORT_LIVED, cgroup::TestCgroup, count, daemon::Daemon, exposition::Exposition, note, stolen,
    stolen_since, thread_counts::cpu_time_to_the_end,
};

const CPU_SECONDS: &str = "cgscope_container_cpu_seconds_total";
const INFO: &str = "cgscope_container_info";

/// Workers that make them, one after the other each.
const WORKERS: usize = 2;

/// What is known of one that is gone.
#[derive(Debug)]
struct Gone {
    path: String,
    /// CPU time: at least what it took after it had joined, at most that and the joining.
    least: Duration,
    most: Duration,
}

/// Makes so many, and removes each as soon as its process has ended, or after `linger`.
fn come_and_go(
    count: usize,
    linger: Duration,
    arguments: impl Fn(usize) -> Vec<String> + Sync,
) -> Vec<Gone> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut gone = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return gone;
            }
            let cgroup = TestCgroup::new("cgscope-brief");
            let arguments = arguments(number);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut child = cgroup.workload_to_its_end(&arguments).spawn().unwrap();
            let ran = cpu_time_to_the_end(&child);
            let status = child.wait().unwrap();
            thread::sleep(linger);
            cgroup.remove();
            assert!(status.success(), "{status}");
            let mut said = String::new();
            let mut out = child.stdout.take().unwrap();
            out.read_to_string(&mut said).unwrap();
            let mut times = said
                .split_whitespace()
                .map(|time| Duration::from_nanos(time.parse().unwrap()));
            let [before, after] = [(); 2].map(|()| times.next().unwrap());
            gone.push(Gone {
                path: cgroup.path.clone(),
                least: ran.saturating_sub(after),
                most: ran.saturating_sub(before),
            });
        }
    };
    thread::scope(|threads| {
        let workers: Vec<_> = (0..WORKERS).map(|_| threads.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a worker"))
            .collect()
    })
}

/// How the last readings ended, of these cgroups.
fn by_ending(exposition: &Exposition, gone: &[Gone]) -> BTreeMap<String, usize> {
    let mut endings = BTreeMap::new();
    let infos: BTreeMap<_, _> = exposition
        .find(INFO, &[])
        .map(|info| (info.labels["id"].as_str(), &info.labels["last_reading"]))
        .collect();
    for of in gone {
        let ending = infos.get(of.path.as_str());
        let ending = ending.map_or_else(|| "missing".to_owned(), |ending| (*ending).clone());
        *endings.entry(ending).or_default() += 1;
    }
    endings
}

fn last_readings(exposition: &Exposition, result: &str) -> f64 {
    exposition
        .sum("cgscope_last_readings_total", &[("result", result)])
        .expect("a counter")
}

/// Compares the CPU time of each, and of all. What was stolen meanwhile can be in the slices.
fn assert_cpu_times(exposition: &Exposition, gone: &[Gone], stolen: f64) {
    let (mut sum, mut most) = (0.0, 0.0);
    for of in gone {
        let cpu = exposition
            .sum(CPU_SECONDS, &[("id", &of.path)])
            .unwrap_or_else(|| panic!("{} has no CPU time", of.path));
        // What is stolen is told in steps of 10 ms, and a zombie can still be on its way off the CPU: all of
        // them are compared below.
        let range = of.least.as_secs_f64() * 0.95..of.most.as_secs_f64() * 1.25 + stolen + 0.01;
        assert!(range.contains(&cpu), "{}: {cpu} s, not {range:?}", of.path);
        sum += cpu;
        most += of.most.as_secs_f64();
    }
    note(&format!(
        "CPU time: {sum} s of at most {most}, and {stolen} were stolen"
    ));
    assert!(sum < most * 1.05 + stolen, "{sum}, not {most}");
}

/// Compares the CPU time that the kernel's own files said at the end of each, in the middle within 5 %, and
/// within `most` for each, besides what is `stolen`.
fn assert_final_cpu_times(exposition: &Exposition, gone: &[Gone], most: f64, stolen: f64) {
    let difference = |of: &Gone, stolen: f64| {
        let cpu = exposition.sum("container_cpu_usage_seconds_total", &[("id", &of.path)]);
        let cpu = cpu.unwrap_or_else(|| panic!("{} has no CPU time of its files", of.path));
        let (least, most) = (of.least.as_secs_f64(), of.most.as_secs_f64());
        (least / cpu - 1.0)
            .max((cpu - stolen) / most - 1.0)
            .max(0.0)
    };
    let mut differences: Vec<_> = gone.iter().map(|of| difference(of, 0.0)).collect();
    differences.sort_by(f64::total_cmp);
    let middle = differences[differences.len() / 2];
    let worst = gone.iter().map(|of| difference(of, stolen));
    let worst = worst.fold(0.0, f64::max);
    note(&format!(
        "CPU time of the files: {middle:.4} beside it in the middle, {worst:.4} at most"
    ));
    assert!(middle < 0.05 && worst < most, "{middle}, {worst}");
}

#[test]
fn cgroups_of_20_ms_that_are_removed_at_once_are_all_there_with_their_cpu_time() {
    let daemon = Daemon::start(&["--export-cadvisor"]);
    let (before, stolen_before) = (daemon.scrape(), stolen());
    let count = count(SHORT_LIVED, 300);
    let gone = come_and_go(count, Duration::ZERO, |_| {
        ["brief", "20"].map(str::to_owned).into()
    });
    // Longer than a sample may lie in a silent CPU's batch.
    thread::sleep(Duration::from_millis(1200));
    let exposition = daemon.scrape();
    let endings = by_ending(&exposition, &gone);
    println!("{endings:?}");
    assert!(!endings.contains_key("missing") && !endings.contains_key(""));
    let stolen = stolen_since(stolen_before).as_secs_f64();
    assert_cpu_times(&exposition, &gone, stolen);
    // Where the files were gone first, events stand in: they have what a hypervisor took, too.
    assert_final_cpu_times(&exposition, &gone, 1.0, stolen);
    let results = ["won", "late", "lost"]
        .map(|result| last_readings(&exposition, result) - last_readings(&before, result));
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let count = count as f64;
    // Others may come and go on this host, too.
    assert!(results.iter().sum::<f64>() >= count, "{results:?}");
    // They are removed some 100 µs after their end; an emulated machine takes longer for all of it.
    assert!(results[0] >= count / 3.0, "{results:?}");
}

#[test]
fn what_is_removed_as_by_a_runtime_has_final_figures_and_every_byte() {
    const WRITTEN: usize = 256 << 10;
    /// What the workload writes at once.
    const REQUEST: usize = 64 << 10;
    const MEBIBYTES: usize = 4;
    let daemon = Daemon::start(&["--export-cadvisor"]);
    let stolen_before = stolen();
    let files = tempfile::tempdir_in("/var/tmp").unwrap();
    let count = count(SHORT_LIVED, 60).min(1_000);
    // The file is made beforehand, so that the file system's own writes are not the cgroup's.
    let path = |number: usize| files.path().join(number.to_string());
    for number in 0..count {
        fs::write(path(number), vec![0; WRITTEN]).unwrap();
    }
    nix::unistd::sync();
    // A runtime tears down more than the cgroup.
    let gone = come_and_go(count, Duration::from_millis(30), |number| {
        let milliseconds = 20 + number % 5 * 40;
        let path = path(number).display().to_string();
        let bytes = WRITTEN.to_string();
        let milliseconds = milliseconds.to_string();
        let mebibytes = MEBIBYTES.to_string();
        [
            "brief",
            &milliseconds,
            "--mebibytes",
            &mebibytes,
            "--path",
            &path,
            "--bytes",
            &bytes,
        ]
        .map(str::to_owned)
        .into()
    });
    thread::sleep(Duration::from_millis(1200));
    let exposition = daemon.scrape();
    let endings = by_ending(&exposition, &gone);
    println!("{endings:?}");
    assert!(!endings.contains_key("missing") && !endings.contains_key(""));
    let stolen = stolen_since(stolen_before).as_secs_f64();
    assert_cpu_times(&exposition, &gone, stolen);
    // Some are removed while nobody comes to read their files: where all CPUs are busy, or are taken away.
    let (finals, others): (Vec<_>, Vec<_>) = gone
        .into_iter()
        .partition(|of| by_ending(&exposition, std::slice::from_ref(of)).contains_key("final"));
    assert!(others.len() * 10 <= count, "{endings:?}");
    assert_final_cpu_times(&exposition, &finals, 0.05, 0.0);
    let peaks: Vec<_> = exposition
        .samples
        .iter()
        .filter(|sample| sample.name == "container_memory_max_usage_bytes")
        .filter(|sample| finals.iter().any(|of| of.path == sample.labels["id"]))
        .map(|sample| sample.value)
        .collect();
    if peaks.is_empty() {
        note("this kernel keeps no peak of memory");
    } else {
        assert_eq!(peaks.len(), finals.len());
        let touched = bytes_as_float(MEBIBYTES << 20);
        for peak in peaks {
            assert!((touched..touched * 3.0).contains(&peak), "{peak}");
        }
    }
    // The kernel makes a cgroup's place for a disk with its first request there, and does not wait for
    // memory: while there is none at hand, it charges requests to a cgroup above, in its own counters
    // too.
    let full = [("signal", "block_io"), ("reason", "ring_full")];
    assert_eq!(
        exposition.sum("cgscope_events_lost_total", &full),
        Some(0.0)
    );
    let written_by = |of: &Gone| {
        let labels = [("id", of.path.as_str()), ("operation", "write")];
        exposition.sum("cgscope_container_block_io_bytes_total", &labels)
    };
    let possible: Vec<_> = (0..=WRITTEN / REQUEST)
        .map(|requests| Some(bytes_as_float(requests * REQUEST)))
        .collect();
    let whole = possible.last().copied().flatten();
    let mut short = 0;
    for of in finals.iter().chain(&others) {
        let bytes = written_by(of);
        assert!(bytes.is_none() || possible.contains(&bytes), "{bytes:?}");
        short += usize::from(bytes != whole);
    }
    note(&format!(
        "requests of {short} of {count} were charged above"
    ));
    assert!(short * 10 <= count, "{short} of {count}");
}

#[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
fn bytes_as_float(bytes: usize) -> f64 {
    bytes as f64
}
