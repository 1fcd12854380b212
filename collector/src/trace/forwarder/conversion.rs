//! From the agent's span to OTLP's.
//!
//! In: the bytes of one frame. Out: a span with the same ids, times, attributes, events, links and status, and what the
//! guest says of itself. Never here: who the guest is.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value},
    trace::v1::{Span, SpanFlags, Status, span, status},
};

use super::kata_span::{
    Attributes, Few, KataArray, KataContext, KataEvent, KataKeyValue, KataKind, KataLink, KataSpan,
    KataStatus, KataTime, KataValue, MAX_ITEMS,
};

/// The most bytes of one text.
pub const MAX_TEXT: usize = 256 << 10;

/// The most values of a span in all: of its attributes, those of its events and links, and of each item of an array.
/// A value costs eight times as much memory as it has bytes in a frame.
pub const MAX_VALUES: usize = 16_384;

/// A span, and what the guest says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardedSpan {
    /// What the agent's resource says.
    pub resource: Vec<KeyValue>,
    /// The span.
    pub span: Span,
}

/// A frame in which there is no span.
#[derive(Debug, thiserror::Error)]
pub enum SpanError {
    /// It is not what an agent writes.
    #[error("it is not a span in JSON as Kata's agent writes it")]
    Malformed {
        /// Where and why.
        #[from]
        source: serde_json::Error,
    },
    /// An id of nothing but zeros stands for none.
    #[error("its trace id or span id is 0")]
    NoId,
    /// OTLP counts nanoseconds from 1970 in 64 bits.
    #[error("a time of it, {seconds} s after 1970, is later than the year 2554")]
    Time {
        /// As it was said.
        seconds: u64,
    },
    /// More than is taken.
    #[error("it has more than {most} {what}")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        most: usize,
    },
}

impl ForwardedSpan {
    /// Of the bytes of one frame.
    pub fn read(frame: &[u8]) -> Result<Self, SpanError> {
        let span: KataSpan = serde_json::from_slice(frame)?;
        Limits::default().span(span)
    }
}

/// What may still come of a span.
struct Limits {
    values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { values: MAX_VALUES }
    }
}

impl Limits {
    fn span(&mut self, span: KataSpan) -> Result<ForwardedSpan, SpanError> {
        let (trace_id, span_id) = ids(&span.span_context).ok_or(SpanError::NoId)?;
        let attributes = span.attributes.map(|of| (of.map, of.dropped_count));
        let (attributes, dropped_attributes_count) = attributes.unwrap_or_default();
        let events = span.events.map(|of| (of.queue, of.dropped_count));
        let (events, dropped_events_count) = events.unwrap_or_default();
        let links = span.links.map(|of| (of.queue, of.dropped_count));
        let (links, dropped_links) = links.unwrap_or_default();
        let events = few(events, "events")?;
        let links = few(links, "links")?;
        let said_links = links.len();
        // A link to nothing leads nowhere.
        let links: Vec<_> = links
            .into_iter()
            .filter_map(|link| self.link(link).transpose())
            .collect::<Result<_, _>>()?;
        let lost_links = u32::try_from(said_links - links.len()).unwrap_or(u32::MAX);
        let parent = span.parent_span_id;
        let resource = span.resource.and_then(|of| of.attrs).unwrap_or_default();
        let span = Span {
            trace_id,
            span_id,
            trace_state: self.trace_state(span.span_context.trace_state)?,
            parent_span_id: id_unless_zero(parent).unwrap_or_default(),
            flags: u32::from(span.span_context.trace_flags),
            name: text(span.name)?,
            kind: kind(span.span_kind).into(),
            start_time_unix_nano: nanoseconds(span.start_time)?,
            end_time_unix_nano: nanoseconds(span.end_time)?,
            attributes: self.attributes(attributes)?,
            dropped_attributes_count,
            events: events
                .into_iter()
                .map(|event| self.event(event))
                .collect::<Result<_, _>>()?,
            dropped_events_count,
            links,
            dropped_links_count: dropped_links.saturating_add(lost_links),
            status: Some(Status {
                message: text(span.status_message.unwrap_or_default())?,
                code: status_code(span.status_code).into(),
            }),
        };
        Ok(ForwardedSpan {
            resource: self.attributes(resource)?,
            span,
        })
    }

    fn event(&mut self, event: KataEvent) -> Result<span::Event, SpanError> {
        Ok(span::Event {
            time_unix_nano: nanoseconds(event.timestamp)?,
            name: text(event.name)?,
            attributes: self.key_values(event.attributes)?,
            dropped_attributes_count: event.dropped_attributes_count,
        })
    }

    fn link(&mut self, link: KataLink) -> Result<Option<span::Link>, SpanError> {
        let Some((trace_id, span_id)) = ids(&link.span_context) else {
            return Ok(None);
        };
        let remote = link.span_context.is_remote.map_or(0, |is_remote| {
            let remote = SpanFlags::ContextIsRemoteMask as u32;
            SpanFlags::ContextHasIsRemoteMask as u32 | if is_remote { remote } else { 0 }
        });
        Ok(Some(span::Link {
            trace_id,
            span_id,
            flags: u32::from(link.span_context.trace_flags) | remote,
            trace_state: self.trace_state(link.span_context.trace_state)?,
            attributes: self.key_values(link.attributes)?,
            dropped_attributes_count: link.dropped_attributes_count,
        }))
    }

    /// As the header `tracestate` has it.
    fn trace_state(&mut self, state: Option<Few<(String, String)>>) -> Result<String, SpanError> {
        let members = few(state, "members of a trace state")?;
        self.spend(members.len())?;
        let members: Vec<_> = members
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        text(members.join(","))
    }

    fn attributes(&mut self, of: Attributes) -> Result<Vec<KeyValue>, SpanError> {
        within(of.more, "attributes")?;
        let attributes = of.items.into_iter();
        attributes
            .map(|(key, value)| self.key_value(key, value))
            .collect()
    }

    fn key_values(&mut self, of: Option<Few<KataKeyValue>>) -> Result<Vec<KeyValue>, SpanError> {
        let attributes = few(of, "attributes of an event or a link")?.into_iter();
        attributes
            .map(|KataKeyValue { key, value }| self.key_value(key, value))
            .collect()
    }

    fn key_value(&mut self, key: String, value: KataValue) -> Result<KeyValue, SpanError> {
        self.spend(1)?;
        let value = match value {
            KataValue::Bool(value) => any_value::Value::BoolValue(value),
            KataValue::I64(value) => any_value::Value::IntValue(value),
            KataValue::F64(value) => any_value::Value::DoubleValue(value.unwrap_or(f64::NAN)),
            KataValue::String(value) => any_value::Value::StringValue(text(value)?),
            KataValue::Array(array) => any_value::Value::ArrayValue(self.array(array)?),
        };
        Ok(KeyValue {
            key: text(key)?,
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        })
    }

    fn array(&mut self, array: KataArray) -> Result<ArrayValue, SpanError> {
        use any_value::Value::{BoolValue, DoubleValue, IntValue, StringValue};
        let values = match array {
            KataArray::Bool(of) => self.items(of, |item| Ok(BoolValue(item))),
            KataArray::I64(of) => self.items(of, |item| Ok(IntValue(item))),
            KataArray::F64(of) => self.items(of, |item| Ok(DoubleValue(item.unwrap_or(f64::NAN)))),
            KataArray::String(of) => self.items(of, |item| text(item).map(StringValue)),
        }?;
        Ok(ArrayValue { values })
    }

    fn items<T>(
        &mut self,
        of: Few<T>,
        value: impl Fn(T) -> Result<any_value::Value, SpanError>,
    ) -> Result<Vec<AnyValue>, SpanError> {
        let items = few(Some(of), "items of an array")?;
        self.spend(items.len())?;
        let values = items.into_iter().map(|item| {
            let value = Some(value(item)?);
            Ok(AnyValue { value })
        });
        values.collect()
    }

    fn spend(&mut self, count: usize) -> Result<(), SpanError> {
        let left = self.values.checked_sub(count);
        self.values = left.ok_or(SpanError::OverLimit {
            what: "values in all",
            most: MAX_VALUES,
        })?;
        Ok(())
    }
}

fn few<T>(of: Option<Few<T>>, what: &'static str) -> Result<Vec<T>, SpanError> {
    let few = of.unwrap_or_default();
    within(few.more, what).map(|()| few.items)
}

fn within(more: usize, what: &'static str) -> Result<(), SpanError> {
    if more == 0 {
        return Ok(());
    }
    Err(SpanError::OverLimit {
        what,
        most: MAX_ITEMS,
    })
}

fn text(text: String) -> Result<String, SpanError> {
    if text.len() <= MAX_TEXT {
        return Ok(text);
    }
    Err(SpanError::OverLimit {
        what: "bytes in a text",
        most: MAX_TEXT,
    })
}

fn ids(of: &KataContext) -> Option<(Vec<u8>, Vec<u8>)> {
    let trace_id = (of.trace_id != 0).then(|| of.trace_id.to_be_bytes().to_vec())?;
    Some((trace_id, id_unless_zero(of.span_id)?))
}

fn id_unless_zero(id: u64) -> Option<Vec<u8>> {
    (id != 0).then(|| id.to_be_bytes().to_vec())
}

fn nanoseconds(time: KataTime) -> Result<u64, SpanError> {
    let seconds = time.secs_since_epoch;
    // More than a second of nanoseconds is what it says, as for the agent's own library.
    let nanoseconds = seconds
        .checked_mul(1_000_000_000)
        .and_then(|of| of.checked_add(time.nanos_since_epoch.into()));
    nanoseconds.ok_or(SpanError::Time { seconds })
}

const fn kind(kind: KataKind) -> span::SpanKind {
    match kind {
        KataKind::Client => span::SpanKind::Client,
        KataKind::Server => span::SpanKind::Server,
        KataKind::Producer => span::SpanKind::Producer,
        KataKind::Consumer => span::SpanKind::Consumer,
        KataKind::Internal => span::SpanKind::Internal,
    }
}

const fn status_code(status: KataStatus) -> status::StatusCode {
    match status {
        KataStatus::Unset => status::StatusCode::Unset,
        KataStatus::Ok => status::StatusCode::Ok,
        KataStatus::Error => status::StatusCode::Error,
    }
}
