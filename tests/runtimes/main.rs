//! Real containers of real runtimes: their series appear, and outlive them.
#![expect(
    clippy::unwrap_used,
    reason = "what a test needs and does not have fails the test"
)]

mod cadvisor;
mod comings;
mod commands;
mod cri;
mod followed;
mod hostile;
mod image;
mod lives;
mod named;
mod names;
mod own_traces;
mod parents;
mod reads;
mod served;
mod server;
mod short_lived;
mod short_lived_tasks;

use std::{
    process::{Command, Output},
    time::Duration,
};

use collector_tests::{daemon::Daemon, exposition::Exposition};

use self::{commands::Podman, image::Image, parents::Parents, server::Server};

/// What every container here does: some work, and then it waits to be looked at, and killed.
const WORK: &str = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec /bin/busybox sleep 300";

/// After this all is shown that should be.
const MOST: Duration = Duration::from_secs(20);

/// Runs a command that must succeed; what it printed.
fn run(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}: {stderr}");
    String::from_utf8_lossy(&stdout).trim().to_owned()
}

/// A container that is gone when this is dropped, also when the test has failed: its processes are
/// no children of the runtime's daemon, and would outlive it.
struct Container<F: Fn() -> Command> {
    id: String,
    remove: F,
}

impl<F: Fn() -> Command> Drop for Container<F> {
    fn drop(&mut self) {
        // It may have been removed already, which is as good.
        drop((self.remove)().arg(&self.id).output());
    }
}

/// Checks a container from its first interval to its tombstone. `end` is what must be done for it to end and
/// for the runtime to remove its cgroup.
fn follow(daemon: &Daemon, id: &str, runtime: &str, end: impl FnOnce()) {
    let info = |exposition: &Exposition| {
        exposition
            .find(
                "cgscope_container_info",
                &[("container_id", id), ("runtime", runtime)],
            )
            .map(|info| info.labels["id"].clone())
            .next()
    };
    let exposition = daemon.scrape_until("the container", MOST, |of| info(of).is_some());
    let path = info(&exposition).expect("just seen");
    assert!(path.ends_with(id), "{path}");
    let cgroup = [("id", path.as_str())];
    let ran = |exposition: &Exposition| {
        exposition.sum("cgscope_container_cpu_seconds_total", &cgroup) > Some(0.0)
            && exposition.sum("cgscope_container_context_switches_total", &cgroup) > Some(0.0)
    };
    let exposition = daemon.scrape_until("its work", MOST, ran);
    assert_eq!(
        exposition.sum("cgscope_container_exited", &cgroup),
        Some(0.0)
    );
    end();
    let gone = daemon.scrape_until("its tombstone", MOST, |exposition| {
        exposition.sum("cgscope_container_exited", &cgroup) == Some(1.0)
    });
    assert!(ran(&gone), "the tombstone has no numbers");
    assert_eq!(
        info(&daemon.scrape()),
        Some(path.clone()),
        "the tombstone went with a scrape"
    );
}

#[test]
fn docker() {
    let _parents = Parents::of(&["docker"]);
    let image = Image::new();
    let server = Server::dockerd();
    let docker = || {
        let mut docker = Command::new("docker");
        docker.arg("--host").arg(server.address());
        docker
    };
    run(docker().arg("import").arg(image.tar()).arg("busybox"));
    let daemon = Daemon::start(&[]);
    let container = [
        "run",
        "--detach",
        "--network=none",
        "busybox",
        "/bin/busybox",
        "sh",
        "-c",
    ];
    let container = Container {
        id: run(docker().args(container).arg(WORK)),
        remove: || {
            let mut remove = docker();
            remove.args(["rm", "--force"]);
            remove
        },
    };
    follow(&daemon, &container.id, "docker", || {
        run(docker().arg("kill").arg(&container.id));
    });
}

#[test]
fn containerd() {
    let _parents = Parents::of(&["cgscope-test"]);
    let image = Image::new();
    let server = Server::containerd();
    let ctr = || {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address")
            .arg(server.socket())
            .args(["--namespace", "cgscope-test"]);
        ctr
    };
    let daemon = Daemon::start(&[]);
    let delete_task = || {
        let mut delete = ctr();
        delete.args(["task", "delete", "--force"]);
        delete
    };
    let id = format!("task-{}", std::process::id());
    // With a root file system of ours, as no image store is needed to run a task.
    let container = ["run", "--detach", "--rootfs"];
    run(ctr()
        .args(container)
        .arg(image.root())
        .args([&id, "/bin/busybox", "sh", "-c", WORK]));
    let task = Container {
        id: id.clone(),
        remove: delete_task,
    };
    follow(&daemon, &id, "containerd", || {
        run(delete_task().arg(&id));
    });
    drop(task);
    run(ctr().args(["container", "delete", &id]));
}

#[test]
fn podman() {
    let _parents = Parents::of(&["libpod_parent/conmon", "libpod_parent"]);
    let image = Image::new();
    let podman = Podman::new(&image);
    let daemon = Daemon::start(&[]);
    let container = ["localhost/busybox", "/bin/busybox", "sh", "-c", WORK];
    let container = Container {
        id: run(podman.run("worker").args(container)),
        remove: || {
            let mut remove = podman.command();
            remove.args(["rm", "--force", "--time=0"]);
            remove
        },
    };
    follow(&daemon, &container.id, "podman", || {
        run(podman.command().arg("kill").arg(&container.id));
    });
}
