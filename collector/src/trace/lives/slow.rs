//! A slow sample as a span.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;

use super::{
    Now,
    attributes::{seconds, text},
    events::who,
    spans::{Form, span},
};
use crate::{
    catalog::Identity,
    reconcile::{
        slow::SlowSample,
        snapshot::{Exemplar, ExemplarOf, SpanRef},
    },
};

/// A slow sample of a container.
#[derive(Clone, Debug)]
pub(super) struct Slow {
    pub(super) sample: SlowSample,
    /// Whose cgroup, where that is not the container's own.
    pub(super) inside: Option<Arc<Identity>>,
    /// The kernel's name of its disk.
    pub(super) disk: Option<String>,
}

impl Slow {
    /// It as a span, and as what a scrape shows of it.
    pub(super) fn span(&self, id: SpanRef, parent: SpanRef, now: &Now) -> (Span, Exemplar) {
        let sample = &self.sample;
        let ended = now.clocks.wall(sample.ended);
        let began = ended.checked_sub(sample.took).unwrap_or(ended);
        let mut attributes = vec![seconds("cgscope.within", sample.within)];
        let (name, disk) = match sample.of {
            ExemplarOf::RunqueueLatency => ("runqueue wait", None),
            ExemplarOf::BlockIoQueue { device, operation } => {
                ("block i/o in queue", Some((device, operation)))
            }
            ExemplarOf::BlockIoDevice { device, operation } => {
                ("block i/o in device", Some((device, operation)))
            }
        };
        if let Some((device, operation)) = disk {
            let name = self.disk.clone();
            let name = name.unwrap_or_else(|| format!("{}:{}", device.major, device.minor));
            attributes.push(text("system.device", name));
            attributes.push(text("cgscope.operation", operation.name()));
        } else {
            attributes.push(seconds("cgscope.throttled", sample.throttled));
        }
        if let Some(meanwhile) = &sample.meanwhile {
            attributes.extend(who("cgscope.meanwhile", &meanwhile.who));
            attributes.push(seconds("cgscope.meanwhile.time", meanwhile.had));
        }
        if let Some(inside) = &self.inside {
            attributes.push(text("cgscope.inside", inside.path.as_str()));
        }
        let span = span(Form {
            id,
            parent: Some(parent),
            name,
            began,
            ended,
            attributes,
        });
        let exemplar = Exemplar {
            of: sample.of,
            value_ns: u64::try_from(sample.took.as_nanos()).unwrap_or(u64::MAX),
            at: ended,
            span: id,
        };
        (span, exemplar)
    }
}
