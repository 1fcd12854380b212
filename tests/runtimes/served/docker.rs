//! Docker's Engine API, answered by somebody who means no good, or is broken.
//!
//! The routes that a reading client asks (`/_ping`, `/version`, `/info`, `/events`, `/containers/json`,
//! `/containers/<id>/json`), with a version in front or without, have the shapes of Docker's documented
//! API; the list and what is in it are the test's.

use std::{io::Write, sync::Arc, thread, time::Duration};

use serde_json::{Value, json};

use super::http::{self, Http};

/// What its containers are told to be.
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) pid: u32,
}

impl Told {
    fn labels(&self) -> Value {
        let labels = self.labels.iter();
        Value::Object(
            labels
                .map(|(key, value)| (key.clone(), json!(value)))
                .collect(),
        )
    }

    /// As in a list.
    fn listed(&self) -> Value {
        json!({
            "Id": self.id,
            "Names": [format!("/{}", self.name)],
            "Image": self.image,
            "ImageID": "sha256:25f3695bedfb454a50f12d127839a68ad3caf91e451c1da073db34c542c4d2cb",
            "Command": "/bin/sh",
            "Created": 1_700_000_000,
            "Ports": [],
            "Labels": self.labels(),
            "State": "running",
            "Status": "Up 2 minutes",
            "HostConfig": {"NetworkMode": "none"},
            "NetworkSettings": {"Networks": {}},
            "Mounts": [],
        })
    }

    /// When it is asked for.
    fn inspected(&self) -> Value {
        json!({
            "Id": self.id,
            "Created": "2026-11-20T10:00:00.123456789Z",
            "Path": "/bin/sh",
            "Args": [],
            "State": {
                "Status": "running",
                "Running": true,
                "Paused": false,
                "Restarting": false,
                "OOMKilled": false,
                "Dead": false,
                "Pid": self.pid,
                "ExitCode": 0,
                "Error": "",
                "StartedAt": "2026-11-20T10:00:01.123456789Z",
                "FinishedAt": "0001-01-01T00:00:00Z",
            },
            "Image": "sha256:25f3695bedfb454a50f12d127839a68ad3caf91e451c1da073db34c542c4d2cb",
            "Name": format!("/{}", self.name),
            "RestartCount": 0,
            "Driver": "overlay2",
            "Platform": "linux",
            "HostConfig": {"NetworkMode": "none", "CgroupParent": "", "Runtime": "runc"},
            "Config": {"Image": self.image, "Labels": self.labels()},
            "NetworkSettings": {"Networks": {}},
        })
    }
}

/// Answers with these, one entry of the list for each.
pub(crate) fn telling(told: Vec<Told>) -> Http {
    let list = Value::Array(told.iter().map(Told::listed).collect()).to_string();
    let one = move |id: &str| told.iter().find(|told| told.id == id).map(Told::inspected);
    serve(
        move |to| http::json(to, 200, list.as_bytes()),
        move |id, to| match one(id) {
            Some(found) => http::json(to, 200, found.to_string().as_bytes()),
            None => http::json(to, 404, b"{\"message\":\"No such container\"}"),
        },
    )
}

/// Answers every question about containers with what this writes.
pub(crate) fn writing(
    write: impl Fn(&mut dyn Write) -> std::io::Result<()> + Clone + Send + Sync + 'static,
) -> Http {
    let again = write.clone();
    serve(write, move |_, to| again(to))
}

fn serve(
    list: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    inspect: impl Fn(&str, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
) -> Http {
    Http::on_socket(Arc::new(move |call: &str, to: &mut dyn Write| {
        let path = call.split(['?', ' ']).nth(1).unwrap_or_default();
        let path = match path.strip_prefix("/v1.") {
            Some(versioned) => versioned.split_once('/').map_or("", |(_, rest)| rest),
            None => path.trim_start_matches('/'),
        };
        match path {
            "_ping" => http::json(to, 200, b"OK"),
            "version" => http::json(to, 200, version().to_string().as_bytes()),
            "info" => http::json(to, 200, b"{\"ID\":\"fake\",\"Driver\":\"overlay2\"}"),
            "events" => {
                http::stream(to)?;
                // For as long as a test may last, nothing happens.
                thread::sleep(Duration::from_mins(10));
                Ok(())
            }
            "containers/json" => list(to),
            other => match other
                .strip_prefix("containers/")
                .and_then(|rest| rest.strip_suffix("/json"))
            {
                Some(id) => inspect(id, to),
                None => http::json(to, 404, b"{\"message\":\"page not found\"}"),
            },
        }
    }))
}

fn version() -> Value {
    json!({
        "Platform": {"Name": ""},
        "Components": [{"Name": "Engine", "Version": "28.2.2", "Details": {"ApiVersion": "1.50"}}],
        "Version": "28.2.2",
        "ApiVersion": "1.50",
        "MinAPIVersion": "1.24",
        "GitCommit": "45873be",
        "GoVersion": "go1.24.2",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "6.1.0",
    })
}
