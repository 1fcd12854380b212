//! Whose spans and data points these are.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
};

use crate::{catalog::Identity, export::peers::otel};

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
        Resource {
            attributes: self.key_values().collect(),
            ..Resource::default()
        }
    }

    fn key_values(&self) -> impl Iterator<Item = KeyValue> {
        let attributes = self.attributes.iter();
        attributes.map(|(key, value)| key_value(key, value))
    }
}

/// The resource of a cgroup: who it is, as far as that is known, and where.
#[must_use]
pub fn resource_of(identity: &Identity, own: &OwnResource) -> Resource {
    let known = otel::resource_of(identity);
    let known = known.chain([("cgscope.cgroup.path", identity.path.as_str())]);
    let known = known.map(|(key, value)| key_value(key, value));
    Resource {
        attributes: known.chain(own.key_values()).collect(),
        ..Resource::default()
    }
}

fn key_value(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}
