//! Runtimes come, go, hang and are killed: names come with them, and nobody else's are lost.

use std::{
    process::Command,
    sync::{Once, mpsc},
    thread,
    time::Duration,
};

use collector_tests::daemon::Daemon;
use nix::sys::signal::{Signal, kill};

use crate::{
    Container,
    commands::{Podman, ctr, docker, docker_run},
    image::Image,
    named::{A_WHILE, Expected, IN_TIME, Names, daemon_of, errors},
    parents::Parents,
    run,
    served::witness::Witness,
    server::Server,
};

/// A runtime that is back is found again in this time: it is asked again at most some seconds apart.
const FOUND_AGAIN: Duration = Duration::from_mins(1);

/// It is said once that a listing has begun.
const ONE: usize = 1;

const SLEEP: [&str; 4] = ["busybox", "/bin/busybox", "sleep", "300"];

/// Docker and Podman at the same time; they share nothing.
struct Two {
    image: Image,
    dockerd: Server,
    podman: Podman,
}

impl Two {
    /// Docker's server is not started yet.
    fn new() -> Self {
        let image = Image::new();
        Self {
            dockerd: Server::dockerd_to_be(),
            podman: Podman::new(&image),
            image,
        }
    }

    fn begin_docker(&mut self) {
        self.dockerd.begin();
        run(docker(&self.dockerd)
            .arg("import")
            .arg(self.image.tar())
            .arg("busybox"));
    }

    fn endpoints(&self, podman: &Server) -> [String; 2] {
        [
            format!("docker={}", self.dockerd.socket().display()),
            format!("podman={}", podman.socket().display()),
        ]
    }

    /// Starts a container of Docker.
    fn in_docker(&self, name: &str) -> Container<impl Fn() -> Command + use<'_>> {
        Container {
            id: run(docker_run(&self.dockerd, name).args(SLEEP)),
            remove: || {
                let mut remove = docker(&self.dockerd);
                remove.args(["rm", "--force"]);
                remove
            },
        }
    }

    /// Starts a container of Podman.
    fn in_podman(&self, name: &str) -> Container<impl Fn() -> Command + use<'_>> {
        let mut command = self.podman.run(name);
        command.arg("localhost/busybox").args(&SLEEP[1..]);
        Container {
            id: run(&mut command),
            remove: || {
                let mut remove = self.podman.command();
                remove.args(["rm", "--force", "--time=0"]);
                remove
            },
        }
    }
}

fn dockers(daemon: &Daemon, id: &str, name: &str, most: Duration) {
    let names = Names {
        name,
        image: "busybox",
        ..Names::default()
    };
    let expected = Expected {
        path: &format!("/docker/{id}"),
        id,
        runtime: "docker",
        names,
    };
    expected.see_within(daemon, most);
}

fn podmans(daemon: &Daemon, id: &str, name: &str) {
    let names = Names {
        name,
        image: "localhost/busybox:latest",
        ..Names::default()
    };
    let expected = Expected {
        path: &format!("/libpod-{id}"),
        id,
        runtime: "podman",
        names,
    };
    expected.see(daemon);
}

fn parents() -> Parents {
    Parents::of(&["docker", "libpod_parent/conmon", "libpod_parent"])
}

#[test]
fn a_runtime_that_comes_up_after_cgscope_goes_and_comes_back_is_asked_each_time() {
    let _parents = parents();
    let mut two = Two::new();
    let podman = two.podman.server(None);
    let daemon = daemon_of(&two.endpoints(&podman), &[]);
    two.begin_docker();
    {
        let container = two.in_docker("after-the-start");
        dockers(&daemon, &container.id, "after-the-start", FOUND_AGAIN);
        let next = two.in_docker("by-event");
        dockers(&daemon, &next.id, "by-event", IN_TIME);
    }
    two.dockerd.end();
    // Longer than cgscope waits before it asks a second time.
    thread::sleep(Duration::from_secs(3));
    {
        let other = two.in_podman("meanwhile");
        podmans(&daemon, &other.id, "meanwhile");
    }
    two.dockerd.begin();
    let container = two.in_docker("after-its-return");
    dockers(&daemon, &container.id, "after-its-return", FOUND_AGAIN);
    let next = two.in_docker("by-event-again");
    dockers(&daemon, &next.id, "by-event-again", IN_TIME);
    let gone = errors(&daemon.scrape(), &[("runtime", "docker")]);
    assert!(gone >= 1.0, "that it went was not counted");
}

#[test]
fn a_runtime_that_is_killed_while_it_streams_events_costs_nobody_elses_names() {
    let _parents = parents();
    let mut two = Two::new();
    two.begin_docker();
    let podman = two.podman.server(None);
    let daemon = daemon_of(&two.endpoints(&podman), &[]);
    // It lives on without its daemon.
    let of_docker = run(docker_run(&two.dockerd, "streamed").args(SLEEP));
    let path = format!("/docker/{of_docker}");
    dockers(&daemon, &of_docker, "streamed", IN_TIME);
    two.dockerd.kill();
    {
        let other = two.in_podman("unharmed");
        podmans(&daemon, &other.id, "unharmed");
    }
    let exposition = daemon.scrape_until("the counted error", IN_TIME, |exposition| {
        errors(exposition, &[("runtime", "docker")]) >= 1.0
    });
    let of_podman = errors(&exposition, &[("runtime", "podman")]);
    assert!(of_podman.abs() < 0.5, "{of_podman}");
    // What is known of a container stays known while its runtime is away.
    let known = crate::named::info(&exposition, &path).expect("it is shown");
    assert_eq!(known.labels["name"], "streamed", "{known:?}");
    two.dockerd.begin();
    run(docker(&two.dockerd).args(["rm", "--force", &of_docker]));
}

#[test]
fn a_runtime_that_hangs_and_is_killed_during_a_listing_costs_nobody_elses_names() {
    let _parents = parents();
    let mut two = Two::new();
    two.begin_docker();
    let earlier = run(docker_run(&two.dockerd, "earlier").args(SLEEP));
    let podman = two.podman.server(None);
    // Asked for a list, it stops before it has the question: nobody answers.
    let (tell, told) = mpsc::sync_channel(ONE);
    let (dockerd, once) = (two.dockerd.pid(), Once::new());
    let witness = Witness::who_acts(two.dockerd.socket(), move |call| {
        if call.contains("/containers/json") {
            once.call_once(|| {
                kill(dockerd, Signal::SIGSTOP).unwrap();
                tell.send(()).unwrap();
            });
        }
    });
    let [_, of_podman] = two.endpoints(&podman);
    let of_docker = format!("docker={}", witness.socket().display());
    let daemon = daemon_of(&[of_docker, of_podman], &[]);
    told.recv_timeout(FOUND_AGAIN).expect("a listing");
    {
        let other = two.in_podman("unharmed");
        podmans(&daemon, &other.id, "unharmed");
    }
    two.dockerd.kill();
    {
        let other = two.in_podman("unharmed-too");
        podmans(&daemon, &other.id, "unharmed-too");
    }
    let _counted = daemon.scrape_until("the counted error", FOUND_AGAIN, |exposition| {
        errors(exposition, &[("runtime", "docker")]) >= 1.0
    });
    two.dockerd.begin();
    let later = two.in_docker("later");
    dockers(&daemon, &later.id, "later", FOUND_AGAIN);
    run(docker(&two.dockerd).args(["rm", "--force", &earlier]));
}

#[test]
fn tasks_outlive_their_containerd_and_keep_their_names() {
    let _parents = Parents::of(&["cgscope-away"]);
    let image = Image::new();
    let mut containerd = Server::containerd_to_be();
    let endpoint = format!("containerd={}", containerd.socket().display());
    let daemon = daemon_of(&[endpoint], &[]);
    containerd.begin();
    crate::commands::import(&containerd, "cgscope-away", &image.archive());
    let task = |server: &Server, id: &str| {
        run(ctr(server, "cgscope-away")
            .args(["run", "--detach", "--snapshotter=native"])
            .args([crate::image::IMAGE, id])
            .args(&SLEEP[1..]));
    };
    let seen = |id: &str, most: Duration| {
        let names = Names {
            name: id,
            image: crate::image::IMAGE,
            namespace: "cgscope-away",
            ..Names::default()
        };
        let expected = Expected {
            path: &format!("/cgscope-away/{id}"),
            id,
            runtime: "containerd",
            names,
        };
        expected.see_within(&daemon, most);
    };
    task(&containerd, "before");
    seen("before", FOUND_AGAIN);
    containerd.end();
    thread::sleep(A_WHILE);
    seen("before", IN_TIME);
    containerd.begin();
    task(&containerd, "behind");
    seen("behind", FOUND_AGAIN);
    seen("before", IN_TIME);
    for id in ["before", "behind"] {
        for words in [
            ["task", "delete", "--force", id],
            ["container", "delete", "--", id],
        ] {
            run(ctr(&containerd, "cgscope-away").args(words));
        }
    }
}
