//! Attributes and times of OTLP from values.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

/// A value that is text.
#[must_use]
pub fn text(key: impl Into<String>, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// One that is so or not.
#[must_use]
pub fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

/// A whole number.
#[must_use]
pub fn int(key: &str, value: impl TryInto<i64>) -> KeyValue {
    // What does not fit is longer than any host has been there, or larger than its memory.
    attribute(key, Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

/// A time in seconds, as the conventions have it.
#[must_use]
pub fn seconds(key: &str, value: Duration) -> KeyValue {
    attribute(key, Value::DoubleValue(value.as_secs_f64()))
}

/// Nanoseconds since the epoch, as OTLP has all times; 0, which is none there, where that is not known.
#[must_use]
pub fn unix_nanos(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn attribute(key: impl Into<String>, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
