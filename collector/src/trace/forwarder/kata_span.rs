//! A span as Kata's agent writes it: JSON, the serde form of `SpanData` of the crate opentelemetry 0.17.
//!
//! In: the bytes of one frame, which a guest chose. Out: its parts, as they were said. Never here: what they mean.
//!
//! What is essential (ids, name, kind, times) must be there; what other builds of the agent may leave out is optional,
//! and what they add is passed over. Lists keep a bounded number of items and count the rest.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The most of any list of a span: eight times what the agent's crate keeps of attributes, events and links.
pub(super) const MAX_ITEMS: usize = 1024;

#[derive(Debug, Deserialize)]
pub(super) struct KataSpan {
    pub(super) span_context: KataContext,
    /// 0: there is none.
    #[serde(default)]
    pub(super) parent_span_id: u64,
    pub(super) span_kind: KataKind,
    pub(super) name: String,
    pub(super) start_time: KataTime,
    pub(super) end_time: KataTime,
    pub(super) attributes: Option<KataMap>,
    pub(super) events: Option<KataQueue<KataEvent>>,
    pub(super) links: Option<KataQueue<KataLink>>,
    #[serde(default)]
    pub(super) status_code: KataStatus,
    pub(super) status_message: Option<String>,
    pub(super) resource: Option<KataResource>,
}

#[derive(Debug, Deserialize)]
pub(super) struct KataContext {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    #[serde(default)]
    pub(super) trace_flags: u8,
    pub(super) is_remote: Option<bool>,
    pub(super) trace_state: Option<Few<(String, String)>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum KataKind {
    Client,
    Server,
    Producer,
    Consumer,
    Internal,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum KataStatus {
    #[default]
    Unset,
    Ok,
    Error,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct KataTime {
    pub(super) secs_since_epoch: u64,
    pub(super) nanos_since_epoch: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct KataMap {
    #[serde(default)]
    pub(super) map: Attributes,
    #[serde(default)]
    pub(super) dropped_count: u32,
}

#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct KataQueue<T> {
    pub(super) queue: Option<Few<T>>,
    #[serde(default)]
    pub(super) dropped_count: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct KataEvent {
    pub(super) name: String,
    pub(super) timestamp: KataTime,
    pub(super) attributes: Option<Few<KataKeyValue>>,
    #[serde(default)]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct KataLink {
    pub(super) span_context: KataContext,
    pub(super) attributes: Option<Few<KataKeyValue>>,
    #[serde(default)]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct KataKeyValue {
    pub(super) key: String,
    pub(super) value: KataValue,
}

#[derive(Debug, Deserialize)]
pub(super) struct KataResource {
    pub(super) attrs: Option<Attributes>,
}

#[derive(Debug, Deserialize)]
pub(super) enum KataValue {
    Bool(bool),
    I64(i64),
    /// JSON has no way to write what is not finite: it is `null` there.
    F64(Option<f64>),
    String(String),
    Array(KataArray),
}

#[derive(Debug, Deserialize)]
pub(super) enum KataArray {
    Bool(Few<bool>),
    I64(Few<i64>),
    F64(Few<Option<f64>>),
    String(Few<String>),
}

/// The first of a list, and how many more there were.
#[derive(Debug)]
pub(super) struct Few<T> {
    pub(super) items: Vec<T>,
    pub(super) more: usize,
}

/// Attributes by their keys, of two with one key the last, and how many more there were than are kept.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) items: BTreeMap<String, KataValue>,
    pub(super) more: usize,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            more: 0,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(FewVisitor(PhantomData))
    }
}

struct FewVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FewVisitor<T> {
    type Value = Few<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
        let mut few = Few::default();
        while few.items.len() < MAX_ITEMS {
            match list.next_element()? {
                Some(item) => few.items.push(item),
                None => return Ok(few),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            few.more += 1;
        }
        Ok(few)
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(AttributesVisitor)
    }
}

struct AttributesVisitor;

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = Attributes;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("attributes by their keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut attributes = Attributes::default();
        while attributes.items.len() < MAX_ITEMS {
            match map.next_entry()? {
                Some((key, value)) => attributes.items.insert(key, value),
                None => return Ok(attributes),
            };
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            attributes.more += 1;
        }
        Ok(attributes)
    }
}
