//! Who a guest is on its host, and what is said of it on its spans.
//!
//! In: what the kernel says of a connection, and what the guest says of itself. Out: a resource. What the guest says
//! never counts for what the host knows better: its sandbox, its pod, its host.

use std::{path::Path, sync::Arc};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
};

use crate::{catalog::runtimes::told_json::is_id, export::otlp::OwnResource};

/// A sandbox, as the host knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSandbox {
    /// Its id in its runtime.
    pub id: String,
    /// The namespace of its pod.
    pub namespace: String,
    /// The name of its pod.
    pub pod: String,
    /// The UID of its pod.
    pub pod_uid: String,
}

/// Who knows of sandboxes: by an id, or by the first 32 characters of one.
pub trait Sandboxes: Send + Sync {
    /// What is known of a sandbox that is a pod's.
    fn find(&self, id: &str) -> Option<KnownSandbox>;
}

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub struct NoSandboxes;

impl Sandboxes for NoSandboxes {
    fn find(&self, _id: &str) -> Option<KnownSandbox> {
        None
    }
}

/// Keys of attributes by which the host is believed, and not the guest: these, and what begins with
/// [`HOST_PREFIXES`].
const SERVICE: &str = "service.name";
const HOST_PREFIXES: [&str; 7] = [
    "k8s.",
    "container.",
    "host.",
    "cgscope.",
    "cloud.",
    // With its name, what Prometheus takes for the job and the instance.
    "service.namespace",
    "service.instance.",
];

/// What cgscope says of itself as a service is not of the agent.
const OWN_PREFIXES: [&str; 2] = ["service.", "telemetry."];

/// What is said of all guests.
#[derive(Clone, Debug)]
pub(super) struct Said {
    trace_name: String,
    own: Vec<(String, String)>,
}

/// What is known of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) cid: Option<u32>,
    /// By the socket's path or the monitor's command line.
    pub(super) sandbox: Option<String>,
    pub(super) found: Option<KnownSandbox>,
}

impl Said {
    pub(super) fn new(trace_name: &str, own: &Arc<OwnResource>) -> Self {
        let of_others = |key: &String| !OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
        let own = own.of_host().filter(|(key, _)| of_others(key));
        Self {
            trace_name: trace_name.to_owned(),
            own: own.cloned().collect(),
        }
    }

    /// The resource of a guest's spans.
    pub(super) fn resource(&self, guest: Vec<KeyValue>, known: &Known) -> Resource {
        let mut attributes = vec![string(SERVICE, &self.trace_name)];
        let found = known.found.as_ref();
        let id = found.map(|of| &of.id).or(known.sandbox.as_ref());
        for (key, value) in [
            ("cgscope.kata.sandbox.id", id),
            ("k8s.namespace.name", found.map(|of| &of.namespace)),
            ("k8s.pod.name", found.map(|of| &of.pod)),
            ("k8s.pod.uid", found.map(|of| &of.pod_uid)),
        ] {
            attributes.extend(
                value
                    .filter(|value| !value.is_empty())
                    .map(|value| string(key, value)),
            );
        }
        attributes.extend(known.cid.map(|cid| KeyValue {
            key: "cgscope.vsock.cid".to_owned(),
            value: Some(AnyValue {
                value: Some(Value::IntValue(cid.into())),
            }),
            ..KeyValue::default()
        }));
        attributes.extend(self.own.iter().map(|(key, value)| string(key, value)));
        let mut left_out = 0;
        // The service has the name that the user gave it, in the place of the agent's own.
        for attribute in guest.into_iter().filter(|of| of.key != SERVICE) {
            let key = &attribute.key;
            let is_the_hosts = HOST_PREFIXES.iter().any(|of| key.starts_with(of));
            if is_the_hosts || self.own.iter().any(|(own, _)| own == key) {
                left_out += 1;
            } else {
                attributes.push(attribute);
            }
        }
        Resource {
            attributes,
            dropped_attributes_count: left_out,
            ..Resource::default()
        }
    }
}

/// The sandbox that a socket of a virtual machine's monitor is of: its id is the name of a directory in the path.
pub(super) fn sandbox_of_socket(path: &Path) -> Option<String> {
    let components: Vec<&str> = path.iter().map(|of| of.to_str()).collect::<Option<_>>()?;
    let id = (0..components.len()).find_map(|at| match &components[at..] {
        ["vc", "vm" | "firecracker", id, ..]
        | ["run", "kata", "firecracker", id, "root", ..]
        | ["run", "kata", id, ..] => Some(*id),
        _ => None,
    })?;
    is_id(id).then(|| id.to_owned())
}

fn string(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_is_in_the_path_of_its_socket() {
        for (path, id) in [
            ("/run/vc/vm/abc/clh.sock", Some("abc")),
            ("/host/run/vc/vm/abc/clh.sock", Some("abc")),
            ("/run/vc/firecracker/f00/root/kata.hvsock", Some("f00")),
            ("/run/kata/f00/root/kata.hvsock", Some("f00")),
            ("/run/kata/f00/ch-vm.sock", Some("f00")),
            ("/run/kata/firecracker/f00/root/kata.hvsock", Some("f00")),
            ("/tmp/clh.sock", None),
            ("/run/vc/vm", None),
            ("/run/vc/vm/../clh.sock", None),
        ] {
            assert_eq!(sandbox_of_socket(Path::new(path)).as_deref(), id, "{path}");
        }
    }

    #[test]
    fn a_guest_cannot_say_that_it_is_another() {
        let own = Arc::new(OwnResource {
            attributes: [
                ("service.name", "cgscope"),
                ("service.version", "1"),
                ("k8s.pod.name", "cgscope-x7"),
                ("host.name", "node-1"),
                ("zone", "b"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        });
        let said = Said::new("kata-agent", &own);
        let guest = [
            "service.name",
            "host.name",
            "k8s.pod.name",
            "cgscope.vsock.cid",
            "container.id",
            "zone",
            "service.instance.id",
            "service.namespace",
            "cloud.account.id",
            "colour",
        ]
        .map(|key| string(key, "mine"));
        let known = Known {
            cid: Some(7),
            sandbox: Some("abc".to_owned()),
            found: None,
        };
        let resource = said.resource(guest.to_vec(), &known);
        let expected = [
            ("service.name", "kata-agent"),
            ("cgscope.kata.sandbox.id", "abc"),
            ("cgscope.vsock.cid", "7"),
            ("host.name", "node-1"),
            ("zone", "b"),
            ("colour", "mine"),
        ];
        let said: Vec<_> = resource
            .attributes
            .iter()
            .map(
                |of| match of.value.as_ref().unwrap().value.as_ref().unwrap() {
                    Value::StringValue(value) => (of.key.as_str(), value.clone()),
                    Value::IntValue(value) => (of.key.as_str(), value.to_string()),
                    other => panic!("{other:?}"),
                },
            )
            .collect();
        let expected = expected.map(|(key, value)| (key, value.to_owned()));
        assert_eq!(said, expected);
        assert_eq!(resource.dropped_attributes_count, 8);
    }
}
