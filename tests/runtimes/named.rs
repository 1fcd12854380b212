//! What a container should be called, and whether it is: in all its series, and in the catalog.

use std::{
    thread,
    time::{Duration, Instant},
};

use collector_tests::{
    daemon::{Daemon, get},
    exposition::{Exposition, Sample},
    note,
};
use serde_json::Value;

/// A name is there within one interval, of 1 s in these tests, if nobody else wants the CPUs; how long it took is
/// noted.
pub(crate) const IN_TIME: Duration = Duration::from_secs(20);

/// Two intervals: what was to change has changed.
pub(crate) const A_WHILE: Duration = Duration::from_secs(2);

/// The five labels that runtimes give, and empty ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names<'a> {
    pub(crate) name: &'a str,
    pub(crate) image: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) container: &'a str,
}

impl<'a> Names<'a> {
    fn pairs(&self) -> [(&'static str, &'a str); 5] {
        [
            ("name", self.name),
            ("image", self.image),
            ("namespace", self.namespace),
            ("pod", self.pod),
            ("container", self.container),
        ]
    }

    /// Whether these are all that a sample says.
    fn are_of(&self, sample: &Sample) -> bool {
        self.pairs()
            .iter()
            .all(|(label, value)| sample.labels.get(*label).is_some_and(|of| of == value))
    }
}

/// A container that should be known. Its cgroup's path ends in `path`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) path: &'a str,
    pub(crate) id: &'a str,
    pub(crate) runtime: &'a str,
    pub(crate) names: Names<'a>,
}

/// The info of the cgroup whose path ends so.
pub(crate) fn info<'a>(exposition: &'a Exposition, path_end: &'a str) -> Option<&'a Sample> {
    exposition
        .find("cgscope_container_info", &[])
        .find(|info| info.labels["id"].ends_with(path_end))
}

/// The catalog, as the daemon serves it.
pub(crate) fn catalog(daemon: &Daemon) -> Value {
    let (status, body) = get(&daemon.address, "/catalog.json").expect("an answer");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The catalog's entry of the cgroup whose path ends so.
pub(crate) fn entry(catalog: &Value, path_end: &str) -> Option<Value> {
    let cgroups = catalog["cgroups"].as_array().unwrap();
    let ends_so = |cgroup: &&Value| cgroup["path"].as_str().unwrap().ends_with(path_end);
    cgroups.iter().find(ends_so).cloned()
}

impl Expected<'_> {
    /// Waits until the container is shown with its names, and checks all that is shown of it; its info,
    /// and its entry in the catalog.
    pub(crate) fn see(&self, daemon: &Daemon) -> (Sample, Value) {
        self.see_within(daemon, IN_TIME)
    }

    /// The same, with more time.
    pub(crate) fn see_within(&self, daemon: &Daemon, most: Duration) -> (Sample, Value) {
        let start = Instant::now();
        let (exposition, info) = loop {
            let exposition = daemon.scrape();
            let info = info(&exposition, self.path).cloned();
            if let Some(info) = info.as_ref().filter(|info| self.names.are_of(info)) {
                break (exposition, info.clone());
            }
            assert!(
                start.elapsed() < most,
                "{self:?} not seen in {most:?}: {info:?}"
            );
            thread::sleep(Duration::from_millis(50));
        };
        note(&format!(
            "{} {:?} after {:?}",
            self.runtime,
            self.names,
            start.elapsed()
        ));
        assert_eq!(info.labels["container_id"], self.id, "{info:?}");
        assert_eq!(info.labels["runtime"], self.runtime, "{info:?}");
        let of = [("id", info.labels["id"].as_str())];
        for sample in &exposition.samples {
            let is_its = sample.labels.get("id") == info.labels.get("id");
            assert!(!is_its || self.names.are_of(sample), "{self:?}: {sample:?}");
        }
        assert!(
            exposition.sum("cgscope_container_exited", &of).is_some(),
            "{self:?} has no series"
        );
        (info, self.in_catalog(daemon, most))
    }

    /// Waits until the catalog has it so.
    fn in_catalog(&self, daemon: &Daemon, most: Duration) -> Value {
        let start = Instant::now();
        loop {
            let found = entry(&catalog(daemon), self.path);
            if let Some(found) = &found
                && self.is(found)
            {
                return found.clone();
            }
            assert!(
                start.elapsed() < most,
                "{self:?} not in the catalog in {most:?}: {found:?}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether an entry of the catalog says this. What is not known has no key there.
    fn is(&self, entry: &Value) -> bool {
        let container = &entry["container"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        text(&container["id"]) == self.id
            && text(&container["runtime"]) == self.runtime
            && self
                .names
                .pairs()
                .iter()
                .all(|(key, value)| text(&entry["names"][key]) == *value)
    }
}

/// Failed calls that the daemon has counted, of a runtime and with an error where given.
pub(crate) fn errors(exposition: &Exposition, labels: &[(&str, &str)]) -> f64 {
    exposition
        .sum("cgscope_catalog_errors_total", labels)
        .unwrap_or_default()
}

/// The arguments that make the daemon ask these alone.
pub(crate) fn only(endpoints: &[String]) -> Vec<String> {
    let endpoints = endpoints
        .iter()
        .map(|endpoint| format!("--runtime-endpoint={endpoint}"));
    endpoints
        .chain(["--runtime-discovery=false".to_owned()])
        .collect()
}

/// Starts a daemon that asks these alone.
pub(crate) fn daemon_of(endpoints: &[String], more: &[&str]) -> Daemon {
    let arguments = only(endpoints);
    let arguments: Vec<_> = arguments
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    Daemon::start(&arguments)
}
