//! Containers that live for a tenth of a second or three, of known work: not one of them is lost.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use collector_tests::{
    SHORT_LIVED, cgroup::TestCgroup, count, daemon::Daemon, exposition::Exposition, note, stolen,
    stolen_since, workload_binary,
};
use serde_json::json;

use crate::{image::Image, parents::Parents, run};

/// So many are started at the same time, again and again.
const WORKERS: usize = 4;

/// As seldom as a scraper comes that is in no hurry.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(15);

const MEBIBYTES: u64 = 16;
const WRITTEN: usize = 256 << 10;

/// What is known of a container that is gone.
struct Gone {
    id: String,
    /// CPU time of its cgroup, the runtime's own part included, as the cgroup around it has counted.
    cpu: Duration,
}

/// What was scraped of one.
#[derive(Debug)]
struct Shown {
    last_reading: String,
    cpu_of_events: Option<f64>,
    cpu_of_kernel: Option<f64>,
    memory_peak: Option<f64>,
    written: Option<f64>,
}

/// A runtime's bundle, written anew for each container that a worker starts.
struct Bundle {
    folder: PathBuf,
    root: PathBuf,
    files: PathBuf,
}

impl Bundle {
    /// For `runc run`.
    fn write(&self, cgroup: &str, number: usize) {
        let milliseconds = |count: usize| count.to_string();
        let arguments = [
            "/workload",
            "brief",
            &milliseconds(20 + number % 5 * 10),
            "--alive",
            &milliseconds(100 + number % 5 * 50),
            "--mebibytes",
            &MEBIBYTES.to_string(),
            "--path",
            &format!("/files/{number}"),
            "--bytes",
            &WRITTEN.to_string(),
        ];
        let bound = |path: &str| {
            let options = ["rbind", "ro"];
            json!({"destination": path, "source": path, "type": "bind", "options": options})
        };
        let workload = workload_binary();
        let namespaces =
            ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({"type": kind}));
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": arguments,
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "root": {"path": self.root},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                bound("/usr"), bound("/lib"), bound("/lib64"),
                {"destination": "/workload", "source": workload, "type": "bind", "options": ["bind", "ro"]},
                {"destination": "/files", "source": self.files, "type": "bind", "options": ["bind", "rw"]},
            ],
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": namespaces,
            },
        });
        fs::create_dir_all(&self.folder).unwrap();
        fs::write(self.folder.join("config.json"), config.to_string()).unwrap();
    }
}

/// Runs containers below `parent` one after the other, as long as there are numbers to take.
fn work(parent: &TestCgroup, bundle: &Bundle, state: &Path, numbers: &Numbers) -> Vec<Gone> {
    let mut gone = Vec::new();
    while let Some(number) = numbers.take() {
        let id = format!("{:0>52}{number:012x}", std::process::id());
        bundle.write(&format!("{}/{id}", parent.path), number);
        let before = parent.cpu_time();
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(state).arg("run").arg("--bundle");
        run(runc.arg(&bundle.folder).arg(&id));
        let cpu = parent.cpu_time().saturating_sub(before);
        gone.push(Gone { id, cpu });
    }
    gone
}

/// Each number once.
struct Numbers {
    next: AtomicUsize,
    count: usize,
}

impl Numbers {
    fn take(&self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.count).then_some(number)
    }
}

/// Bytes that were written, by cgroups with these labels.
fn written(exposition: &Exposition, labels: &[(&str, &str)]) -> Option<f64> {
    let writes = [&[("operation", "write")], labels].concat();
    exposition.sum("cgscope_container_block_io_bytes_total", &writes)
}

/// What a scrape shows of the containers that are gone, by their ids.
fn note_shown(exposition: &Exposition, of: &mut HashMap<String, Shown>) {
    let mut by_path: HashMap<&str, Exposition> = HashMap::new();
    for sample in &exposition.samples {
        if let Some(path) = sample.labels.get("id") {
            let of_path = by_path.entry(path).or_default();
            of_path.samples.push(sample.clone());
        }
    }
    for (path, shown) in by_path {
        let id = path.rsplit('/').next().unwrap_or_default();
        if id.len() != 64 || shown.sum("cgscope_container_exited", &[]) != Some(1.0) {
            continue;
        }
        let info = shown.find("cgscope_container_info", &[]).next();
        let info = &info.expect("every container has one").labels;
        assert_eq!(info["container_id"], id);
        let shown = Shown {
            last_reading: info["last_reading"].clone(),
            cpu_of_events: shown.sum("cgscope_container_cpu_seconds_total", &[]),
            cpu_of_kernel: shown.sum("container_cpu_usage_seconds_total", &[]),
            memory_peak: shown.sum("container_memory_max_usage_bytes", &[]),
            written: written(&shown, &[]),
        };
        of.insert(id.to_owned(), shown);
    }
}

/// The largest and the middle difference from the truth.
fn differences(gone: &[Gone], cpu: impl Fn(&Gone) -> f64) -> (f64, f64) {
    let mut differences: Vec<_> = gone
        .iter()
        .map(|of| (cpu(of) / of.cpu.as_secs_f64() - 1.0).abs())
        .collect();
    differences.sort_by(f64::total_cmp);
    (
        differences[differences.len() - 1],
        differences[differences.len() / 2],
    )
}

/// Starts so many containers, and scrapes until all are gone. Those that are gone, and what was shown of
/// them.
fn come_and_go(count: usize) -> (Vec<Gone>, HashMap<String, Shown>) {
    let parents: Vec<_> = (0..WORKERS)
        .map(|_| TestCgroup::new("cgscope-moments"))
        .collect();
    // In the hierarchies in which the tests have nothing to do themselves.
    let paths: Vec<_> = parents.iter().map(|parent| parent.path.as_str()).collect();
    let _parents = Parents::of(&paths);
    let image = Image::new();
    for directory in ["usr", "lib", "lib64", "files"] {
        fs::create_dir(image.root().join(directory)).unwrap();
    }
    fs::write(image.root().join("workload"), "").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir_in("/var/tmp").unwrap();
    // The files are made beforehand, so that the file system's own writes are not the cgroup's.
    for number in 0..count {
        fs::write(files.path().join(number.to_string()), vec![0; WRITTEN]).unwrap();
    }
    nix::unistd::sync();
    let daemon = Daemon::start(&["--export-cadvisor"]);
    let numbers = Numbers {
        next: AtomicUsize::new(0),
        count,
    };
    let state = folder.path().join("state");
    let mut shown = HashMap::new();
    let gone = thread::scope(|threads| {
        let workers: Vec<_> = parents
            .iter()
            .enumerate()
            .map(|(worker, parent)| {
                let bundle = Bundle {
                    folder: folder.path().join(worker.to_string()),
                    root: image.root(),
                    files: files.path().to_owned(),
                };
                let (state, numbers) = (&state, &numbers);
                threads.spawn(move || work(parent, &bundle, state, numbers))
            })
            .collect();
        let mut scraped = Instant::now();
        while !workers.iter().all(ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(100));
            if scraped.elapsed() >= SCRAPE_INTERVAL {
                scraped = Instant::now();
                note_shown(&daemon.scrape(), &mut shown);
            }
        }
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a worker"))
            .collect()
    });
    // Longer than a sample may lie in a silent CPU's batch.
    thread::sleep(Duration::from_millis(1_200));
    note_shown(&daemon.scrape(), &mut shown);
    (gone, shown)
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
fn containers_of_a_moment_are_all_there_with_their_cpu_time_memory_and_writes() {
    let count = count(SHORT_LIVED, 80).min(1_000);
    let finals_of = |(gone, shown): &(Vec<Gone>, HashMap<String, Shown>)| {
        let is_final = |of: &&Gone| {
            shown
                .get(&of.id)
                .is_some_and(|of| of.last_reading == "final")
        };
        gone.iter().filter(is_final).count()
    };
    // A reading has some milliseconds, and a slice has what a hypervisor took: a host that takes the CPUs away meanwhile
    // is given another two tries.
    let mut tries = 0;
    let (seen, share) = loop {
        let before = stolen();
        let seen = come_and_go(count);
        let stolen = stolen_since(before);
        let finals = finals_of(&seen);
        let used: Duration = seen.0.iter().map(|gone| gone.cpu).sum();
        let share = stolen.as_secs_f64() / used.as_secs_f64();
        tries += 1;
        if (share < 0.02 && finals * 100 >= count * 85) || tries == 3 {
            break (seen, share);
        }
        note(&format!(
            "{finals} of {count} have a final reading, and {stolen:?} beside {used:?} were stolen: once more"
        ));
    };
    let finals = finals_of(&seen);
    let (gone, shown) = seen;

    assert_eq!(gone.len(), count);
    let missing = gone.iter().filter(|of| !shown.contains_key(&of.id));
    assert_eq!(missing.count(), 0, "of {count}");
    let of = |gone: &Gone| &shown[&gone.id];
    let is_whole = |gone: &&Gone| of(gone).written == Some(WRITTEN as f64);
    let whole = gone.iter().filter(is_whole).count();
    let kernel = differences(&gone, |gone| of(gone).cpu_of_kernel.unwrap_or_default());
    let events = differences(&gone, |gone| of(gone).cpu_of_events.unwrap_or_default());
    note(&format!(
        "of {count} containers {finals} have a final reading; CPU time differs by {:.4} at most and {:.4} \
         in the middle, that of events by {:.4} and {:.4}; all bytes of {whole}",
        kernel.0, kernel.1, events.0, events.1
    ));
    // In the worst case all that was stolen is in their slices.
    assert!(events.1 < 0.05 + share, "{events:?}");
    assert!(finals * 100 >= count * 85, "{finals} of {count}");
    for gone in &gone {
        let shown = of(gone);
        let cpu = shown.cpu_of_kernel.expect("CPU time") / gone.cpu.as_secs_f64();
        if shown.last_reading != "final" {
            // Completed by events, which have all of the slice in which the runtime moved its process here.
            let all_stolen = share * count as f64;
            assert!((cpu - 1.0).abs() < 0.25 + all_stolen, "{cpu}, {shown:?}");
            continue;
        }
        assert!((cpu - 1.0).abs() < 0.05, "{cpu}, {shown:?}");
        if let Some(peak) = shown.memory_peak {
            let touched = (MEBIBYTES << 20) as f64;
            assert!((touched..touched * 2.5).contains(&peak), "{shown:?}");
        }
    }
    // The kernel makes a cgroup's place for a disk with its first request there, and does not wait for
    // memory: while there is none at hand, it charges requests to a cgroup above, up to the root.
    assert!(whole * 100 >= count * 90, "{whole} of {count}");
    let most = WRITTEN as f64;
    let above = gone
        .iter()
        .find(|gone| of(gone).written.is_some_and(|written| written > most));
    assert!(above.is_none(), "{:?}", above.map(of));
}
