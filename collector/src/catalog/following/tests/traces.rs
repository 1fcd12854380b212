//! What is processed is bench, as `docs/tracing.md` says.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};

use super::{LookFate, RETRIES, Scripted, TIMES, changed, follow_traced, of, with_events};
use crate::{
    catalog::{following::Tally, runtimes::RuntimeEvent},
    trace::own::{LoopTracer, WorkTracer},
};

/// The spans that were handed over.
struct Traced {
    taken: Arc<Mutex<Vec<Span>>>,
    tracer: LoopTracer,
}

impl Traced {
    fn new(ratio: f64) -> Self {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let tracer = WorkTracer::new(ratio, {
            let taken = Arc::clone(&taken);
            Box::new(move |spans| taken.lock().unwrap().extend(spans))
        });
        let tracer = tracer.of_loop(
            || "docker=/run/docker.sock".to_owned(),
            || TIMES.attributes(&RETRIES),
        );
        Self { taken, tracer }
    }

    fn spans(&self) -> Vec<Span> {
        std::mem::take(&mut *self.taken.lock().unwrap())
    }

    /// Each trace in words, in the order of their beginnings.
    fn traces(&self) -> Vec<String> {
        let spans = self.spans();
        let mut roots: Vec<_> = spans
            .iter()
            .filter(|span| span.parent_span_id.is_empty())
            .collect();
        roots.sort_by_key(|span| span.start_time_unix_nano);
        let mut told = 0;
        let traces = roots.into_iter().map(|root| {
            let of_trace: Vec<_> = spans
                .iter()
                .filter(|span| span.trace_id == root.trace_id)
                .collect();
            told += of_trace.len();
            let mut words = String::new();
            write_span(&mut words, root, &of_trace, 0);
            // On each span, and on two events of the root.
            let keys = words.matches("object.key=").count();
            assert_eq!(keys, of_trace.len() + 2, "{words}");
            words.replace("cgscope.", "")
        });
        let traces = traces.collect();
        assert_eq!(told, spans.len(), "a span without its root");
        traces
    }
}

fn write_span(words: &mut String, span: &Span, all: &[&Span], depth: usize) {
    let margin = "  ".repeat(depth);
    let kind = match span.kind() {
        SpanKind::Consumer => " consumer",
        SpanKind::Client => " client",
        SpanKind::Internal => "",
        other => panic!("{other:?}"),
    };
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    let attributes = in_words(&span.attributes);
    writeln!(words, "{margin}{}{kind}: {attributes}", span.name).unwrap();
    for event in &span.events {
        let attributes = in_words(&event.attributes);
        writeln!(words, "{margin}  * {}: {attributes}", event.name).unwrap();
    }
    let status = span.status.as_ref().unwrap();
    if status.code != 0 {
        let message = &status.message;
        writeln!(words, "{margin}  = {:?}: {message}", status.code()).unwrap();
    }
    let mut below: Vec<_> = all
        .iter()
        .filter(|of| of.parent_span_id == span.span_id)
        .collect();
    below.sort_by_key(|of| of.start_time_unix_nano);
    for below in below {
        assert!(below.start_time_unix_nano >= span.start_time_unix_nano);
        assert!(below.end_time_unix_nano <= span.end_time_unix_nano);
        write_span(words, below, all, depth + 1);
    }
}

/// Attributes in words, by their keys, but for those that are the same on all roots.
fn in_words(attributes: &[KeyValue]) -> String {
    let mut words: Vec<_> = attributes
        .iter()
        .filter(|of| of.key != "cgscope.component" && !of.key.starts_with("cgscope.controller."))
        .map(|of| {
            let key = of.key.trim_start_matches("cgscope.");
            format!("{key}={}", value(of.value.as_ref()))
        })
        .collect();
    words.sort();
    words.join(" ")
}

fn value(value: Option<&AnyValue>) -> String {
    match value.and_then(|of| of.value.as_ref()).unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(is) => is.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A look that failed.
fn failed(times: u32, forget: &str) -> String {
    let is_retry = times > 1;
    let error = "test refuses inspect: busy";
    format!(
        "process_object consumer: container.id=a error.type=refused object.is_retry={is_retry} \
         object.key=a object.name=a object.namespace= object.origin=event object.times_processed={times}\n\
         \x20 * baggage: object.key=a\n\
         \x20 * process_object: object.key=a\n\
         \x20 * error: exception.message={error} exception.type=refused\n\
         {forget}\
         \x20 * success: success=false\n\
         \x20 = Error: {error}\n\
         \x20 add_update: error.type=refused object.key=a\n\
         \x20   = Error: {error}\n\
         \x20   inspect client: error.type=refused object.key=a\n\
         \x20     = Error: {error}\n"
    )
}

#[tokio::test]
async fn an_object_that_fails_twice_and_then_succeeds_is_three_traces_the_last_without_an_error() {
    // Not with a paused clock: spans have wall time, and their order is compared.
    let client = Arc::new(Scripted::with(&[]));
    let sender = with_events(&client);
    client.set("a", Some("web"));
    client.fail("a", &[LookFate::Refused, LookFate::Refused]);
    sender.send(changed("a")).await.unwrap();
    let bench = Traced::new(1.0);
    let tally = Tally::default();
    let time = Duration::from_millis(3_500);
    let tracer = bench.tracer.clone();
    let (notes, _) = follow_traced(client, &tally, &[], time, tracer).await;
    assert_eq!(notes.last().unwrap(), "told a=web");
    let third = "process_object consumer: container.id=a object.is_retry=true object.key=a \
                 object.name=web object.namespace= object.origin=event object.times_processed=3\n\
                 \x20 * baggage: object.key=a\n\
                 \x20 * process_object: object.key=a\n\
                 \x20 * success: success=true\n\
                 \x20 add_update: object.found=true object.key=a\n\
                 \x20   inspect client: object.key=a\n\
                 \x20   tell_pipeline: object.key=a\n";
    let of_list: Vec<_> = bench.traces();
    assert_eq!(of_list, [failed(1, ""), failed(2, ""), third.to_owned()]);
}

#[tokio::test]
async fn an_object_that_is_given_up_says_so_on_the_last_of_its_traces() {
    let client = Arc::new(Scripted::with(&[]));
    let sender = with_events(&client);
    client.fail("a", &[LookFate::Refused; 4]);
    sender.send(changed("a")).await.unwrap();
    let bench = Traced::new(1.0);
    let tally = Tally::default();
    let time = Duration::from_millis(3_500);
    let tracer = bench.tracer.clone();
    drop(follow_traced(client, &tally, &[], time, tracer).await);
    let forget = "  * forget: forget.reason=max number of retries reached\n";
    assert_eq!(
        bench.traces(),
        [failed(1, ""), failed(2, ""), failed(3, forget)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_of_a_list_one_asked_about_and_those_that_end_and_go_are_told_apart() {
    let client = Arc::new(Scripted::with(&[("a", "web"), ("b", "db")]));
    let sender = with_events(&client);
    let bench = Traced::new(1.0);
    tokio::spawn({
        let client = Arc::clone(&client);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (code, at) = (Some(0), None);
            let exited = RuntimeEvent::Exited {
                of: of("a"),
                code,
                at,
            };
            sender.send(exited).await.unwrap();
            let removed = RuntimeEvent::Removed { of: of("a") };
            sender.send(removed).await.unwrap();
            client.set("a", None);
            client.set("b", None);
            tokio::time::sleep(Duration::from_mins(5)).await;
        }
    });
    let tally = Tally::default();
    let time = Duration::from_secs(70);
    let asked = ["unknown"];
    let tracer = bench.tracer.clone();
    drop(follow_traced(client, &tally, &asked, time, tracer).await);
    let trace = |id: &str, name: &str, origin: &str, key: &str, below: &str| {
        format!(
            "process_object consumer: container.id={id} object.is_retry=false object.key={key} \
             object.name={name} object.namespace= object.origin={origin} object.times_processed=1\n\
             \x20 * baggage: object.key={key}\n\
             \x20 * process_object: object.key={key}\n\
             \x20 * success: success=true\n\
             {below}"
        )
    };
    let told = |key: &str| {
        format!("  add_update: object.key={key}\n    tell_pipeline: object.key={key}\n")
    };
    let unknown = "  add_update: object.found=false object.key=unknown\n    \
                   inspect client: object.key=unknown\n";
    let removed = "  delete: object.key=web\n    tell_pipeline: object.key=web\n";
    let gone = "  delete: object.key=db\n";
    let mut expected = [
        trace("a", "web", "list", "web", &told("web")),
        trace("b", "db", "list", "db", &told("db")),
        trace("unknown", "unknown", "question", "unknown", unknown),
        trace("a", "web", "event", "web", &told("web")),
        trace("a", "web", "event", "web", removed),
        trace("b", "db", "list", "db", gone),
    ];
    let mut all = bench.traces();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
}

#[tokio::test(start_paused = true)]
async fn the_loop_and_its_configuration_are_on_every_root_and_a_session_that_ends_ends_its_spans() {
    let client = Arc::new(Scripted::with(&[("a", "web")]));
    let sender = with_events(&client);
    client.fail("a", &[LookFate::Late(Duration::from_hours(1))]);
    sender.send(changed("a")).await.unwrap();
    let bench = Traced::new(1.0);
    let time = Duration::from_secs(10);
    let tracer = bench.tracer.clone();
    drop(follow_traced(client, &Tally::default(), &[], time, tracer).await);
    // The runtime lets go of a look that was ended when it comes to it.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let spans = bench.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cgscope.inspect",
            "cgscope.add_update",
            "cgscope.process_object"
        ]
    );
    let root = &spans[2];
    let controller: Vec<_> = root
        .attributes
        .iter()
        .filter(|of| of.key.starts_with("cgscope.co"))
        .map(|of| format!("{}={}", of.key, value(of.value.as_ref())))
        .collect();
    assert_eq!(
        controller,
        [
            "cgscope.controller.relist_seconds=60",
            "cgscope.controller.poll_seconds=10",
            "cgscope.controller.settle_seconds=0.05",
            "cgscope.controller.concurrent_workers=4",
            "cgscope.controller.max_retries=2",
            "cgscope.controller.retry_delay_seconds=1",
            "cgscope.component=cgscope",
            "cgscope.controller.name=docker=/run/docker.sock",
        ]
    );
    let status = root.status.as_ref().unwrap();
    assert!(
        status.message.starts_with("given up with the session"),
        "{status:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sampled_and_what_is_not_traced_leaves_nothing() {
    for tracer in [Traced::new(0.0).tracer, LoopTracer::default()] {
        let bench = Traced::new(0.0);
        let tracer = if tracer.is_on() {
            bench.tracer.clone()
        } else {
            tracer
        };
        let client = Arc::new(Scripted::with(&[("a", "web")]));
        let sender = with_events(&client);
        sender.send(changed("a")).await.unwrap();
        let time = Duration::from_secs(10);
        let (notes, _) = follow_traced(client, &Tally::default(), &[], time, tracer).await;
        assert_eq!(notes, ["all a but a", "told a=web"]);
        assert_eq!(bench.spans(), []);
    }
}
