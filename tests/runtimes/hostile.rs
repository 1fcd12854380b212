//! Hostile and broken runtimes beside a real one: bounded time and memory, each error counted, and the
//! real one's containers have their names.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use collector_tests::{daemon::Daemon, note};
use k8s_cri::v1::{ContainerMetadata, ContainerState, ContainerStatus};

use crate::{
    Container,
    commands::{docker, docker_run},
    image::{IMAGE, Image},
    named::{Expected, Names, daemon_of, errors, info},
    parents::Parents,
    run,
    served::{
        Occupied,
        broken::{Silent, huge, not_text, slow},
        cri::{CriServer, Has, InSandbox},
        docker::{Told, telling},
        http::Http,
        only_reads,
    },
    server::Server,
};

/// For as long as this all of them are asked again and again.
const WATCHED: Duration = Duration::from_secs(30);

/// Whatever the runtimes do, an answer takes no longer.
const SCRAPE_TIME: Duration = Duration::from_secs(2);

/// What the broken runtimes may cost in memory, all together.
const MEMORY: u64 = 100 << 20;

const MEBIBYTE: usize = 1 << 20;

/// The most bytes of a label's value that come from a runtime.
const LABEL: usize = 512;

fn id(number: usize) -> String {
    format!("{number:064x}")
}

fn told(number: usize, name: &str, labels: Vec<(String, String)>, pid: u32) -> Told {
    Told {
        id: id(number),
        name: name.to_owned(),
        image: "bomb:1".to_owned(),
        labels,
        pid,
    }
}

/// A process that is not there: above what any kernel numbers.
const GONE: u32 = 1 << 30;

/// More than can be kept: 10,000 labels, values and a name of 1 MiB, one id twice, a process that is gone.
fn bombs(pid: u32) -> Http {
    let many = (0..10_000).map(|number| (format!("key-{number}"), format!("value-{number}")));
    let large = (0..4).map(|number| (format!("large-{number}"), "v".repeat(MEBIBYTE)));
    let chosen = [("team".to_owned(), "t".repeat(MEBIBYTE))];
    let labels = many.chain(large).chain(chosen).collect();
    telling(vec![
        told(0xb0, &"n".repeat(MEBIBYTE), labels, pid),
        told(0xb1, "twice", Vec::new(), pid),
        told(0xb1, "twice-too", Vec::new(), pid),
        told(0xb2, "gone", Vec::new(), GONE),
    ])
}

/// A runtime of the CRI whose list is longer than any should be.
fn overlong_cri() -> CriServer {
    let containers = (0..24).map(|number| InSandbox {
        sandbox: id(0xc0),
        status: ContainerStatus {
            id: id(0xc00 + number),
            metadata: Some(ContainerMetadata {
                name: format!("long-{number}"),
                attempt: 0,
            }),
            state: ContainerState::ContainerRunning.into(),
            labels: [("large".to_owned(), "v".repeat(MEBIBYTE))].into(),
            ..ContainerStatus::default()
        },
        ..InSandbox::default()
    });
    let mut has = Has::default();
    has.containers.extend(containers);
    CriServer::start("cri-o", "1.31.2", has)
}

/// The most memory that a process has had at a time.
fn peak(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes = peak.trim_end_matches("kB").trim();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// Starts a container of the real Docker and waits for its name, while nothing else is as it should be.
fn unharmed<'a>(
    dockerd: &'a Server,
    daemon: &Daemon,
    name: &str,
) -> Container<impl Fn() -> Command + use<'a>> {
    let made = Container {
        id: run(docker_run(dockerd, name).args([IMAGE, "/bin/busybox", "sleep", "300"])),
        remove: move || {
            let mut remove = docker(dockerd);
            remove.args(["rm", "--force"]);
            remove
        },
    };
    Expected {
        path: &format!("/docker/{}", made.id),
        id: &made.id,
        runtime: "docker",
        names: Names {
            name,
            image: IMAGE,
            ..Names::default()
        },
    }
    .see(daemon);
    made
}

#[test]
fn runtimes_that_hang_flood_and_lie_cost_bounded_memory_and_nobody_elses_names() {
    let _parents = Parents::of(&["docker"]);
    let image = Image::new();
    let dockerd = Server::dockerd();
    run(docker(&dockerd)
        .arg("load")
        .arg("--input")
        .arg(image.archive()));
    let real = format!("docker={}", dockerd.socket().display());
    let alone = {
        let daemon = daemon_of(std::slice::from_ref(&real), &[]);
        let _container = unharmed(&dockerd, &daemon, "alone");
        thread::sleep(Duration::from_secs(3));
        peak(&daemon)
    };

    let paths = [0xb0, 0xb1].map(|number| format!("/docker/{}", id(number)));
    let occupied = Occupied::at(&paths);
    let silent = Silent::new();
    let broken = [
        slow(),
        huge(false),
        huge(true),
        not_text(),
        bombs(occupied.pid(0)),
    ];
    let cri = overlong_cri();
    let mut endpoints: Vec<_> = ["docker", "podman", "containerd", "cri", "garden"]
        .map(|protocol| silent.endpoint(protocol))
        .into();
    endpoints.extend(
        broken
            .iter()
            .map(|server| format!("docker={}", server.address())),
    );
    endpoints.extend([cri.endpoint(), real]);
    let daemon = daemon_of(&endpoints, &["--container-labels=team"]);

    let start = Instant::now();
    let mut longest = Duration::ZERO;
    let mut containers = Vec::new();
    let mut exposition = daemon.scrape();
    while start.elapsed() < WATCHED {
        // One each 10 s.
        if start.elapsed() >= Duration::from_secs(10) * containers.len().try_into().unwrap() {
            let name = format!("unharmed-{}", containers.len());
            containers.push(unharmed(&dockerd, &daemon, &name));
        }
        let asked = Instant::now();
        exposition = daemon.scrape();
        longest = longest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(200));
    }
    let with = peak(&daemon);
    note(&format!(
        "memory {} MiB alone, {} MiB with broken runtimes; the longest scrape took {longest:?}",
        alone >> 20,
        with >> 20
    ));
    assert!(longest < SCRAPE_TIME, "{longest:?}");
    assert!(with < alone + MEMORY, "{with} bytes, and {alone} alone");

    for counted in exposition.find("cgscope_catalog_errors_total", &[]) {
        if counted.value > 0.0 {
            note(&format!("{:?}: {}", counted.labels, counted.value));
        }
    }
    // Each is counted, under the name of what is wrong with it.
    for error in ["timeout", "too_large", "malformed"] {
        let labels = [("runtime", "docker"), ("error", error)];
        let counted = errors(&exposition, &labels);
        assert!(counted >= 1.0, "{error} was not counted");
    }
    // By its protocol's name, for as long as it has not told its own.
    let of_cri: f64 = ["cri", "cri-o"]
        .map(|runtime| errors(&exposition, &[("runtime", runtime), ("error", "too_large")]))
        .iter()
        .sum();
    assert!(of_cri >= 1.0, "the overlong list of the CRI");
    // Those that take the connection and never say who they are.
    for runtime in ["podman", "containerd", "garden"] {
        let labels = [("runtime", runtime), ("error", "timeout")];
        let counted = errors(&exposition, &labels);
        assert!(counted >= 1.0, "the silence of {runtime} was not counted");
    }
    // And not again and again: a runtime that is broken is asked ever more seldom.
    let all = errors(&exposition, &[]);
    assert!(all < 200.0, "{all} errors in {WATCHED:?}");

    // What is too long is cut, what was not chosen is not there, and one id has one name.
    let bomb = info(&exposition, &paths[0]).expect("its cgroup is there");
    assert_eq!(bomb.labels["image"], "bomb:1", "{bomb:?}");
    for label in ["name", "container_label_team"] {
        let length = bomb.labels[label].len();
        assert!((1..=LABEL).contains(&length), "{label}: {length} bytes");
    }
    assert!(bomb.labels.len() < 40, "{} labels", bomb.labels.len());
    let twice = info(&exposition, &paths[1]).expect("its cgroup is there");
    let name = twice.labels["name"].as_str();
    assert!(["twice", "twice-too"].contains(&name), "{twice:?}");
    let of_twice = [("id", paths[1].as_str())];
    let rows = exposition.find("cgscope_container_info", &of_twice).count();
    assert_eq!(rows, 1);

    let calls = broken.iter().flat_map(Http::calls).chain(cri.calls());
    for call in calls {
        assert!(only_reads(&call), "{call}");
    }
}
