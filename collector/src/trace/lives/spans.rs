//! The spans of a life: its first, its checkpoints, and the life itself.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{
        ResourceSpans, Span, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};

use super::{
    Ending, Now,
    attributes::{flag, int, seconds, text, unix_nanos},
    life::{Life, Trace},
};
use crate::{
    catalog::Identity,
    export::otlp::{OwnResource, resource_of, spans_of},
    reconcile::snapshot::{LastReading, SpanRef},
};

/// What every span has.
pub(super) struct Form {
    pub(super) id: SpanRef,
    pub(super) parent: Option<SpanRef>,
    pub(super) name: &'static str,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) attributes: Vec<KeyValue>,
}

/// W3C's flag of a trace that was sampled: all of these are.
const SAMPLED: u32 = 1;

/// A closed span of our own.
pub(super) fn span(form: Form) -> Span {
    let Form {
        id,
        parent,
        name,
        began,
        ended,
        attributes,
    } = form;
    let start = unix_nanos(began);
    Span {
        trace_id: id.trace_id.to_vec(),
        span_id: id.span_id.to_vec(),
        parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span_id.to_vec()),
        flags: SAMPLED,
        name: name.to_owned(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: start,
        // The calendar can have been set back meanwhile.
        end_time_unix_nano: unix_nanos(ended).max(start),
        attributes,
        ..Span::default()
    }
}

/// Spans of one container, with who that is.
pub(super) fn of_container(
    identity: &Identity,
    own: &OwnResource,
    spans: Vec<Span>,
) -> ResourceSpans {
    spans_of(resource_of(identity, own), spans)
}

/// The first span of a trace.
pub(super) fn root(life: &Life, trace: &Trace) -> Span {
    let (name, ended) = match (trace.part, life.is_whole) {
        (0, true) => ("container started", life.started),
        (0, false) => ("container found", None),
        _ => ("container goes on", None),
    };
    let began = trace.began.1;
    let mut attributes = of_life(life, trace);
    if let Some(started) = life.started {
        // Of one that was found it was before the span.
        attributes.push(int("cgscope.runtime.started", unix_nanos(started)));
    }
    let mut span = span(Form {
        id: trace.root,
        parent: None,
        name,
        began,
        ended: ended.unwrap_or(began),
        attributes,
    });
    let first = trace.life.first_root();
    let first = (first != trace.root && Some(first) != trace.previous).then_some(first);
    let links = [("previous", trace.previous), ("first", first)];
    let links = links.into_iter().filter_map(|(kind, to)| {
        let to = to?;
        Some(Link {
            trace_id: to.trace_id.to_vec(),
            span_id: to.span_id.to_vec(),
            attributes: vec![text("cgscope.link", kind)],
            flags: SAMPLED,
            ..Link::default()
        })
    });
    span.links = links.collect();
    span
}

/// How a container that runs is doing, and what happened to it since that was told.
pub(super) fn checkpoint(life: &mut Life, id: SpanRef, trace: &Trace, now: &Now) -> Span {
    let mut attributes = of_life(life, trace);
    if let Some(figures) = &life.figures {
        attributes.extend(figures.attributes());
    }
    let oom_kills = life.events.oom_kills;
    let mut span = span(Form {
        id,
        parent: Some(trace.root),
        name: "container checkpoint",
        began: life.told_until.1,
        ended: now.wall,
        attributes,
    });
    if oom_kills > 0 {
        span.status = Some(error(oom_text(oom_kills, life)));
    }
    (span.events, span.dropped_events_count) = life.events.take();
    life.told_until = (now.ktime, now.wall);
    span
}

/// The life, now that it is over.
pub(super) fn whole(
    life: &mut Life,
    id: SpanRef,
    trace: &Trace,
    ending: Option<&Ending>,
    ended: SystemTime,
) -> Span {
    let mut attributes = of_life(life, trace);
    let exit_code = life.exit.and_then(|exit| exit.code);
    attributes.extend(exit_code.map(|code| int("process.exit.code", code)));
    let told = life.identity.told.as_ref();
    let restarts = told.and_then(|told| told.restarts);
    attributes.extend(restarts.map(|restarts| int("cgscope.restarts", restarts)));
    attributes.push(int("cgscope.oom_kills", life.oom_kills));
    attributes.push(int("cgscope.slow_samples", life.slow_samples));
    // Where another has begun at its place, what was read of it is gone, but for what was looked at before.
    let figures = ending.and_then(|ending| ending.figures);
    let seen_before = life.figures.filter(|_| figures.is_none());
    let how = match ending.map_or(LastReading::EventsOnly, |ending| ending.how) {
        // Its cgroup is still there, and was not read after its end.
        LastReading::Running => LastReading::Earlier,
        LastReading::EventsOnly if seen_before.is_some() => LastReading::Earlier,
        how => how,
    };
    attributes.push(text("cgscope.last_reading", how.name()));
    if let Some(figures) = figures.or(seen_before) {
        attributes.extend(figures.attributes());
    }
    if let Some(sched) = ending.map(|ending| ending.sched) {
        let [waited, throttled] = [sched.waited_ns, sched.throttled_ns].map(Duration::from_nanos);
        attributes.push(int("cgscope.runqueue.waits", sched.waits));
        attributes.push(seconds("cgscope.runqueue.waited", waited));
        attributes.push(seconds("cgscope.runqueue.throttled", throttled));
    }
    let p99 = ending.and_then(|ending| ending.wait_p99);
    attributes.extend(p99.map(|p99| seconds("cgscope.runqueue.p99", p99)));
    let mut span = span(Form {
        id,
        parent: Some(trace.root),
        name: "container",
        began: life.began,
        ended,
        attributes,
    });
    let exit = exit_code.filter(|code| *code != 0);
    let exit = exit.map(|code| format!("exit code {code}"));
    let oom = (life.oom_kills > 0).then(|| oom_text(life.oom_kills, life));
    let problems: Vec<_> = oom.into_iter().chain(exit).collect();
    if !problems.is_empty() {
        span.status = Some(error(problems.join("; ")));
    }
    (span.events, span.dropped_events_count) = life.events.take();
    span
}

/// Which life it is, on every span that is of all of it.
fn of_life(life: &Life, trace: &Trace) -> Vec<KeyValue> {
    vec![
        text("cgscope.life", trace.life.text()),
        int("cgscope.life.part", trace.part),
        flag("cgscope.life.found", !life.is_whole),
    ]
}

fn oom_text(kills: u32, life: &Life) -> String {
    let last = life.last_victim.as_deref().unwrap_or_default();
    if kills == 1 {
        format!("the OOM killer killed {last}")
    } else {
        format!("the OOM killer killed {kills} processes, the last one {last}")
    }
}

fn error(message: String) -> Status {
    Status {
        message,
        code: StatusCode::Error as i32,
    }
}
