//! Whose spans and data points these are.
//!
//! In: an identity, and what cgscope says of itself. Out: the resource of each. No two cgroups have the same
//! `service.instance.id`: it is all that a Prometheus keeps of a resource on each series.

use opentelemetry_proto::tonic::{common::v1::KeyValue, resource::v1::Resource};

use super::attributes::text;
use crate::{catalog::Identity, export::peers::otel, reconcile::snapshot::SandboxPod};

/// Who of those with one service name it is.
const INSTANCE: &str = "service.instance.id";

/// What cgscope says of itself and its host, on every resource.
#[derive(Clone, Debug, Default)]
pub struct OwnResource {
    /// Attributes, those of `OTEL_RESOURCE_ATTRIBUTES` among them.
    pub attributes: Vec<(String, String)>,
}

impl OwnResource {
    /// As a resource of its own.
    #[must_use]
    pub fn resource(&self) -> Resource {
        let attributes = self.attributes.iter();
        Resource {
            attributes: attributes.map(|(key, value)| text(key, value)).collect(),
            ..Resource::default()
        }
    }

    /// What of it is true of others on this host: not which container, pod or process cgscope is.
    pub fn of_host(&self) -> impl Iterator<Item = &(String, String)> {
        let attributes = self.attributes.iter();
        attributes.filter(|(key, _)| is_of_host(key))
    }

    /// Which of those on this host, as the instance of a service: the same whenever cgscope is started anew.
    fn instance_of(&self, what: &str) -> KeyValue {
        let find = |wanted: &str| {
            let mut attributes = self.attributes.iter();
            attributes.find_map(|(key, value)| (key == wanted).then_some(value.as_str()))
        };
        let host = find("host.name").or_else(|| find(INSTANCE));
        text(INSTANCE, format!("{}:{what}", host.unwrap_or_default()))
    }
}

fn is_of_host(key: &str) -> bool {
    let of_cgscope = ["container.", "process.", "k8s."];
    key != INSTANCE && !of_cgscope.iter().any(|prefix| key.starts_with(prefix))
        || ["k8s.cluster.", "k8s.node."]
            .iter()
            .any(|prefix| key.starts_with(prefix))
}

/// The resource of a cgroup: who it is, as far as that is known, and where.
#[must_use]
pub fn resource_of(identity: &Identity, own: &OwnResource) -> Resource {
    let known = otel::resource_of(identity);
    let known = known.chain([("cgscope.cgroup.path", identity.path.as_str())]);
    let known = known.map(|(key, value)| text(key, value));
    of(known, &identity.path, own)
}

/// The resource of a sandbox of Kata, as its shim tells of it.
pub(super) fn resource_of_sandbox(
    sandbox: &str,
    pod: Option<&SandboxPod>,
    own: &OwnResource,
) -> Resource {
    let of_pod = pod.into_iter().flat_map(|pod| {
        [
            ("k8s.namespace.name", pod.namespace.as_str()),
            ("k8s.pod.name", &pod.name),
            ("k8s.pod.uid", &pod.uid),
        ]
    });
    let known = of_pod.filter(|(_, value)| !value.is_empty());
    let known = known.chain([("cgscope.kata.sandbox.id", sandbox)]);
    let known = known.map(|(key, value)| text(key, value));
    of(known, sandbox, own)
}

fn of(known: impl Iterator<Item = KeyValue>, instance: &str, own: &OwnResource) -> Resource {
    let known = known.chain([own.instance_of(instance)]);
    let of_host = own.of_host().map(|(key, value)| text(key, value));
    Resource {
        attributes: known.chain(of_host).collect(),
        ..Resource::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::SystemTime};

    use opentelemetry_proto::tonic::common::v1::any_value::Value;

    use super::*;
    use crate::catalog::Names;

    fn own() -> OwnResource {
        let attributes = [
            ("service.name", "cgscope"),
            ("service.instance.id", "b0b"),
            ("host.name", "node-1"),
            ("k8s.pod.name", "cgscope-x7"),
            ("k8s.node.name", "node-1.example"),
            ("process.pid", "17"),
            ("container.id", "0wn"),
        ];
        OwnResource {
            attributes: attributes
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    }

    fn cgroup(path: &str) -> Identity {
        Identity {
            path: path.to_owned(),
            names: Names::default(),
            container: None,
            told: None,
            cgroup_version: 2,
            generation: 1,
            started: SystemTime::UNIX_EPOCH,
            is_found: false,
        }
    }

    fn shown(resource: &Resource) -> Vec<(String, String)> {
        let attributes = resource.attributes.iter().map(|attribute| {
            let value = attribute.value.clone().and_then(|value| value.value);
            match value {
                Some(Value::StringValue(value)) => (attribute.key.clone(), value),
                other => panic!("{}: {other:?}", attribute.key),
            }
        });
        attributes.collect()
    }

    #[test]
    fn a_cgroup_has_its_path_and_its_host_and_not_the_pod_that_cgscope_runs_in() {
        let shown = shown(&resource_of(&cgroup("/a"), &own()));
        let expected = [
            ("cgscope.cgroup.path", "/a"),
            ("service.instance.id", "node-1:/a"),
            ("service.name", "cgscope"),
            ("host.name", "node-1"),
            ("k8s.node.name", "node-1.example"),
        ];
        assert_eq!(
            shown,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn no_attribute_is_there_twice_and_no_two_cgroups_are_one_instance() {
        let mut instances = HashSet::new();
        for path in ["/a", "/a/b", "/b"] {
            let shown = shown(&resource_of(&cgroup(path), &own()));
            let keys: HashSet<_> = shown.iter().map(|(key, _)| key).collect();
            assert_eq!(keys.len(), shown.len());
            let instance = shown.iter().find(|(key, _)| key == INSTANCE).cloned();
            assert!(instances.insert(instance));
        }
    }
}
