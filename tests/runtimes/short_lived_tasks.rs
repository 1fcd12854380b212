//! Tasks of a real containerd that live for a tenth of a second or three: all of them are named.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use collector_tests::{SHORT_LIVED, count, exposition::Exposition, note};

use crate::{
    commands::{ctr, import},
    image::{IMAGE, Image},
    named::daemon_of,
    parents::Parents,
    run,
    server::Server,
};

/// So many are started at the same time, again and again.
const WORKERS: usize = 4;

/// As seldom as a scraper comes that is in no hurry.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(15);

const NAMESPACE: &str = "cgscope-tasks";

/// Runs tasks one after the other, as long as there are numbers to take; their ids.
fn work(server: &Server, next: &AtomicUsize, count: usize) -> Vec<String> {
    let mut gone = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return gone;
        }
        let id = format!("moment-{}-{number}", std::process::id());
        let seconds = ["0.1", "0.15", "0.2", "0.25", "0.3"][number % 5];
        run(ctr(server, NAMESPACE)
            .args(["run", "--rm", "--snapshotter=native", IMAGE, &id])
            .args(["/bin/busybox", "sleep", seconds]));
        gone.push(id);
    }
}

/// The names and images that a scrape shows, by the ids of the tasks that are gone.
fn note_shown(exposition: &Exposition, of: &mut HashMap<String, [String; 3]>) {
    let below = format!("/{NAMESPACE}/");
    for exited in exposition.find("cgscope_container_exited", &[]) {
        let Some(id) = exited.labels["id"].strip_prefix(&below) else {
            continue;
        };
        if exited.value > 0.0 {
            let labels = ["name", "image", "namespace"].map(|label| exited.labels[label].clone());
            of.insert(id.to_owned(), labels);
        }
    }
}

#[test]
fn tasks_of_a_moment_all_have_their_names_in_their_tombstones() {
    let count = count(SHORT_LIVED, 40).min(1_000);
    let _parents = Parents::of(&[NAMESPACE]);
    let image = Image::new();
    let server = Server::containerd();
    import(&server, NAMESPACE, &image.archive());
    let endpoint = format!("containerd={}", server.socket().display());
    let daemon = daemon_of(&[endpoint], &[]);
    let next = AtomicUsize::new(0);
    let mut shown = HashMap::new();
    let start = Instant::now();
    let gone: Vec<_> = thread::scope(|threads| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| threads.spawn(|| work(&server, &next, count)))
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
    let took = start.elapsed();
    // Their cgroups' end, and the names that come late.
    thread::sleep(Duration::from_secs(3));
    note_shown(&daemon.scrape(), &mut shown);
    assert_eq!(gone.len(), count);
    let known = gone.iter().filter(|id| shown.contains_key(*id)).count();
    let expected = |id: &String| [id.clone(), IMAGE.to_owned(), NAMESPACE.to_owned()];
    let named = gone
        .iter()
        .filter(|id| shown.get(*id).is_some_and(|of| *of == expected(id)))
        .count();
    note(&format!(
        "of {count} tasks in {took:?} {known} are known, {named} by name, image and namespace"
    ));
    assert_eq!(known, count, "tombstones");
    let unnamed: Vec<_> = gone
        .iter()
        .filter(|id| shown[*id] != expected(id))
        .map(|id| (id, &shown[id]))
        .take(5)
        .collect();
    assert_eq!(named, count, "for example {unnamed:?}");
}
