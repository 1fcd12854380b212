//! What becomes of a container is followed by events: it is renamed, started again, stopped, removed.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Container,
    commands::{docker, docker_run},
    image::{IMAGE, Image},
    named::{A_WHILE, Expected, IN_TIME, Names, catalog, daemon_of, entry},
    parents::Parents,
    run,
    server::Server,
};

#[test]
fn a_rename_a_stop_a_restart_and_a_removal_are_followed_by_events() {
    let _parents = Parents::of(&["docker"]);
    let image = Image::new();
    let dockerd = Server::dockerd();
    run(docker(&dockerd)
        .arg("load")
        .arg("--input")
        .arg(image.archive()));
    let endpoint = format!("docker={}", dockerd.socket().display());
    let daemon = daemon_of(&[endpoint], &[]);
    let remove = || {
        let mut remove = docker(&dockerd);
        remove.args(["rm", "--force"]);
        remove
    };
    let made = run(docker_run(&dockerd, "first")
        .arg(IMAGE)
        .args(["/bin/busybox", "sh", "-c"])
        .arg("trap 'exit 7' TERM; while :; do /bin/busybox sleep 0.1; done"));
    let made = Container { id: made, remove };
    let path = format!("/docker/{}", made.id);
    let named = |name: &str| {
        Expected {
            path: &path,
            id: &made.id,
            runtime: "docker",
            names: Names {
                name,
                image: IMAGE,
                ..Names::default()
            },
        }
        .see(&daemon)
    };
    let (_, of_first) = named("first");
    assert_eq!(of_first["generation"], 1, "{of_first}");
    run(docker(&dockerd).args(["rename", "first", "second"]));
    named("second");

    run(docker(&dockerd).args(["restart", "second"]));
    let until = |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        let start = Instant::now();
        loop {
            let found = entry(&catalog(&daemon), &path).expect("it does not go");
            if wanted(&found) {
                return found;
            }
            assert!(start.elapsed() < IN_TIME, "{what}: {found}");
            thread::sleep(Duration::from_millis(50));
        }
    };
    let again = until("the restart", &|found| {
        found["generation"] == 2 && found["state"] == "running"
    });
    assert_eq!(again["names"]["name"], "second", "{again}");
    named("second");

    run(docker(&dockerd).args(["stop", "second"]));
    let stopped = until("the stop", &|found| {
        found["state"] == "exited" && found["container"]["exit_code"].is_number()
    });
    assert_eq!(stopped["container"]["exit_code"], json!(7), "{stopped}");
    run(docker(&dockerd).args(["rm", "second"]));
    // What was removed keeps its names for as long as it is shown.
    thread::sleep(A_WHILE);
    let (tombstone, removed) = named("second");
    assert_eq!(removed["state"], "exited", "{removed}");
    assert_eq!(tombstone.labels["name"], "second", "{tombstone:?}");

    // Another may have the name now.
    let other =
        run(docker_run(&dockerd, "second")
            .arg(IMAGE)
            .args(["/bin/busybox", "sleep", "300"]));
    let other = Container { id: other, remove };
    Expected {
        path: &format!("/docker/{}", other.id),
        id: &other.id,
        runtime: "docker",
        names: Names {
            name: "second",
            image: IMAGE,
            ..Names::default()
        },
    }
    .see(&daemon);
}

#[test]
fn a_container_that_fails_and_is_started_again_is_counted() {
    let _parents = Parents::of(&["docker"]);
    let image = Image::new();
    let dockerd = Server::dockerd();
    run(docker(&dockerd)
        .arg("load")
        .arg("--input")
        .arg(image.archive()));
    let endpoint = format!("docker={}", dockerd.socket().display());
    let daemon = daemon_of(&[endpoint], &[]);
    let made = Container {
        id: run(docker_run(&dockerd, "failing")
            .args(["--restart=on-failure:2", IMAGE, "/bin/busybox", "sh", "-c"])
            .arg("/bin/busybox sleep 0.5; exit 3")),
        remove: || {
            let mut remove = docker(&dockerd);
            remove.args(["rm", "--force"]);
            remove
        },
    };
    let path = format!("/docker/{}", made.id);
    let of = [("id", path.as_str())];
    let _counted = daemon.scrape_until("two restarts", Duration::from_mins(1), |exposition| {
        exposition.sum("cgscope_container_restarts_total", &of) == Some(2.0)
            && exposition.sum("cgscope_container_exited", &of) == Some(1.0)
    });
    let start = Instant::now();
    loop {
        let found = entry(&catalog(&daemon), &path).expect("it does not go");
        // Docker counts a restart when it decides on it: the life before may still be the latest.
        if found["generation"] == json!(3) && found["container"]["exit_code"] == json!(3) {
            return;
        }
        assert!(start.elapsed() < IN_TIME, "{found}");
        thread::sleep(Duration::from_millis(50));
    }
}
