//! What cgscope does for a real container arrives at a real OpenTelemetry collector, as a trace.

use std::time::Duration;

use collector_tests::{daemon::Daemon, daemon::cgscope, note, otel_collector::OtelCollector};
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};

use crate::{
    Container,
    commands::{docker, docker_run},
    image::{IMAGE, Image},
    named::only,
    parents::Parents,
    run,
    server::Server,
};

/// From an event to the collector's output: the wait before a look, and a batch's.
const SOON: Duration = Duration::from_secs(20);

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let of = attributes.iter().find(|of| of.key == key)?;
    match of.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn events(span: &Span) -> Vec<&str> {
    span.events.iter().map(|of| of.name.as_str()).collect()
}

/// The trace of a container that was processed for this reason, and in which there are such spans.
fn trace_of(spans: &[Span], id: &str, origin: &str, with: &[&str]) -> Option<(Span, Vec<Span>)> {
    let mut roots = spans.iter().filter(|span| {
        span.parent_span_id.is_empty()
            && text(&span.attributes, "container.id") == Some(id)
            && text(&span.attributes, "cgscope.object.origin") == Some(origin)
    });
    roots.find_map(|root| {
        let below = spans
            .iter()
            .filter(|span| span.trace_id == root.trace_id && !span.parent_span_id.is_empty());
        let below: Vec<_> = below.cloned().collect();
        let has = |name: &&str| below.iter().any(|span| span.name == *name);
        let is_it = with.iter().all(has);
        is_it.then(|| (root.clone(), below))
    })
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut spans = spans.iter().filter(|span| span.name == name);
    let span = spans.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(spans.next().is_none(), "{name} twice");
    span
}

#[test]
fn what_is_done_for_a_container_of_docker_arrives_as_traces_with_parents_and_children() {
    let _parents = Parents::of(&["docker"]);
    let collector = OtelCollector::start();
    let image = Image::new();
    let dockerd = Server::dockerd();
    run(docker(&dockerd)
        .arg("load")
        .arg("--input")
        .arg(image.archive()));
    let remove = || {
        let mut remove = docker(&dockerd);
        remove.args(["rm", "--force"]);
        remove
    };
    let sleep = ["/bin/busybox", "sleep", "300"];
    let before = run(docker_run(&dockerd, "before").arg(IMAGE).args(sleep));
    let before = Container { id: before, remove };

    let endpoint = format!("docker={}", dockerd.socket().display());
    let mut command = cgscope();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.http_endpoint())
        .env("OTEL_TRACES_SAMPLER", "always_on");
    let arguments = only(std::slice::from_ref(&endpoint));
    let arguments: Vec<_> = arguments
        .iter()
        .map(String::as_str)
        .chain(["--trace-own"])
        .collect();
    let daemon = Daemon::launch(command, &arguments, "/readyz");

    let wait_for = |id: &str, origin: &str, with: &[&str]| {
        let what = format!("{with:?} of {id}, because of {origin}");
        let (root, below) = collector.wait_for(&what, SOON, |recorded| {
            let spans: Vec<_> = recorded
                .spans()
                .into_iter()
                .map(|(_, _, span)| span)
                .collect();
            trace_of(&spans, id, origin, with)
        });
        note(&format!(
            "{what}: {} µs",
            (root.end_time_unix_nano - root.start_time_unix_nano) / 1_000
        ));
        assert_eq!(root.kind(), SpanKind::Consumer);
        assert_eq!(root.name, "cgscope.process_object");
        let controller = text(&root.attributes, "cgscope.controller.name");
        assert_eq!(controller, Some(endpoint.as_str()));
        assert_eq!(
            root.status.clone().unwrap_or_default().code(),
            StatusCode::Unset
        );
        let success = [
            "cgscope.baggage",
            "cgscope.process_object",
            "cgscope.success",
        ];
        assert_eq!(events(&root), success);
        let key = text(&root.attributes, "cgscope.object.key");
        for span in &below {
            assert_eq!(
                text(&span.attributes, "cgscope.object.key"),
                key,
                "{span:?}"
            );
            assert!(span.start_time_unix_nano >= root.start_time_unix_nano);
            assert!(span.end_time_unix_nano <= root.end_time_unix_nano);
        }
        (root, below)
    };

    // What was there before is in the first list.
    let (root, below) = wait_for(&before.id, "list", &["cgscope.add_update"]);
    assert_eq!(text(&root.attributes, "cgscope.object.key"), Some("before"));
    let action = named(&below, "cgscope.add_update");
    assert_eq!(action.parent_span_id, root.span_id);
    let telling = named(&below, "cgscope.tell_pipeline");
    assert_eq!(telling.parent_span_id, action.span_id);

    // What is started meanwhile is looked at because of its events.
    let made = run(docker_run(&dockerd, "made").arg(IMAGE).args(sleep));
    let made = Container { id: made, remove };
    // A look at which more happened tells nothing, and is followed by another.
    let parts = ["cgscope.inspect", "cgscope.tell_pipeline"];
    let (root, below) = wait_for(&made.id, "event", &parts);
    // The event of its making had its name.
    assert_eq!(text(&root.attributes, "cgscope.object.key"), Some("made"));
    assert_eq!(text(&root.attributes, "cgscope.object.name"), Some("made"));
    let action = named(&below, "cgscope.add_update");
    assert_eq!(action.parent_span_id, root.span_id);
    for part in parts {
        assert_eq!(named(&below, part).parent_span_id, action.span_id, "{part}");
    }
    assert_eq!(named(&below, "cgscope.inspect").kind(), SpanKind::Client);

    // And what is removed is deleted.
    run(docker(&dockerd).args(["rm", "--force", "made"]));
    let (root, below) = wait_for(&made.id, "event", &["cgscope.delete"]);
    assert_eq!(text(&root.attributes, "cgscope.object.key"), Some("made"));
    assert_eq!(named(&below, "cgscope.delete").parent_span_id, root.span_id);

    for (resource, scope, span) in collector.spans() {
        assert_eq!(scope.name, "cgscope", "{span:?}");
        let service = text(&resource.attributes, "service.name");
        assert_eq!(service, Some("cgscope"), "{resource:?}");
    }
    drop(daemon);
}
