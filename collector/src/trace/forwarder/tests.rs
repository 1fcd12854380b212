//! Bytes of agents in, spans out: against what the agent's own library writes, and against what no agent would.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use opentelemetry_of_kata::{
    Array, KeyValue as AgentKeyValue, Value as AgentValue,
    sdk::{
        InstrumentationLibrary, Resource as AgentResource,
        export::trace::SpanData,
        trace::{EvictedHashMap, EvictedQueue},
    },
    trace::{
        Event as AgentEvent, Link as AgentLink, SpanContext, SpanId, SpanKind, StatusCode,
        TraceFlags, TraceId, TraceState,
    },
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    trace::v1::{Span, Status, span},
};
use proptest::{collection, prelude::*};
use prost::Message as _;
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    sync::Semaphore,
    task::JoinHandle,
};

use super::{
    connection::{Connection, GuestFailure, LARGE_FRAMES, PERMIT, Shared},
    conversion::{ForwardedSpan, MAX_TEXT, MAX_VALUES, SpanError},
    dump::line_of,
    guest::{Known, NoSandboxes, Said},
    kata_span::MAX_ITEMS,
    peers::{Peer, Peers},
    printer::Printer,
    server::{Forwarder, ForwarderSettings},
    sink::SpanSink,
    tally::Tally,
};
use crate::{
    export::otlp::{Bounds, Outbox, OwnResource, WhenFull},
    reconcile::forwarding::AgentError,
};

const FIXTURES: &str = include_str!("fixtures/kata-agent-spans.jsonl");

/// One that sends to nobody, and what it counts.
pub(super) fn forwarder() -> (Forwarder, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let outbox = Outbox::new(Bounds {
        items: 1000,
        bytes: 1 << 20,
        when_full: WhenFull::DropNew,
    });
    let forwarder = Forwarder::new(ForwarderSettings {
        trace_name: "kata-agent".to_owned(),
        own: Arc::default(),
        sandboxes: Arc::new(NoSandboxes),
        proc: "/proc".into(),
        sink: SpanSink::to_collector(Arc::new(outbox)),
        tally: Arc::clone(&tally),
    });
    (forwarder, tally)
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn string(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn array(values: Vec<Value>) -> Value {
    let values = values.into_iter();
    Value::ArrayValue(ArrayValue {
        values: values
            .map(|value| AnyValue { value: Some(value) })
            .collect(),
    })
}

#[test]
fn two_real_spans_are_what_the_agent_meant() {
    let spans: Vec<_> = FIXTURES
        .lines()
        .map(|line| ForwardedSpan::read(line.as_bytes()).unwrap())
        .collect();
    let trace_id = 218_227_577_088_192_320_089_597_641_058_250_872_153_u128
        .to_be_bytes()
        .to_vec();
    let root = 14_778_782_265_749_943_219_u64.to_be_bytes().to_vec();
    let child = Span {
        trace_id: trace_id.clone(),
        span_id: 2_602_124_037_389_676_176_u64.to_be_bytes().to_vec(),
        parent_span_id: root.clone(),
        flags: 1,
        name: "rpc_create_container".to_owned(),
        kind: span::SpanKind::Internal.into(),
        start_time_unix_nano: 1_795_241_757_327_466_386,
        end_time_unix_nano: 1_795_241_757_327_466_887,
        status: Some(Status {
            message: "boom".to_owned(),
            code: 2,
        }),
        ..Span::default()
    };
    let parent = Span {
        trace_id,
        span_id: root,
        parent_span_id: Vec::new(),
        flags: 1,
        name: "root-span".to_owned(),
        kind: span::SpanKind::Server.into(),
        start_time_unix_nano: 1_795_241_757_327_462_440,
        end_time_unix_nano: 1_795_241_757_327_474_258,
        attributes: vec![
            key_value("arr", array(vec![Value::IntValue(1), Value::IntValue(2)])),
            key_value("b", Value::BoolValue(true)),
            key_value("f", Value::DoubleValue(1.5)),
            key_value("i", Value::IntValue(-7)),
            key_value("sarr", array(vec![string("a"), string("b")])),
            key_value("str", string("v")),
        ],
        events: vec![span::Event {
            time_unix_nano: 1_795_241_757_327_463_862,
            name: "ev".to_owned(),
            attributes: vec![key_value("k", string("v"))],
            dropped_attributes_count: 0,
        }],
        links: vec![span::Link {
            trace_id: 14_576_827_793_038_113_322_513_871_894_673_895_836_u128
                .to_be_bytes()
                .to_vec(),
            span_id: 13_235_353_014_750_950_193_u64.to_be_bytes().to_vec(),
            attributes: vec![key_value("l", Value::IntValue(1))],
            // The context's flag, and that it is known not to be remote.
            flags: 0x101,
            ..span::Link::default()
        }],
        status: Some(Status {
            message: String::new(),
            code: 1,
        }),
        ..Span::default()
    };
    let resource = vec![key_value("service.name", string("kata-agent"))];
    let expected = [child, parent].map(|span| ForwardedSpan {
        resource: resource.clone(),
        span,
    });
    assert_eq!(spans, expected);
}

/// A value of the agent's, and the same of OTLP's.
fn any_value() -> impl Strategy<Value = (AgentValue, Value)> {
    let float = || any::<f64>().prop_map(|float| (float, Value::DoubleValue(of_json(float))));
    let text = || ".{0,12}".prop_map(|text: String| (text.clone(), Value::StringValue(text)));
    let list = 0..5_usize;
    prop_oneof![
        any::<bool>().prop_map(|of| (of.into(), Value::BoolValue(of))),
        any::<i64>().prop_map(|of| (of.into(), Value::IntValue(of))),
        float().prop_map(|(of, expected)| (of.into(), expected)),
        text().prop_map(|(of, expected)| (of.into(), expected)),
        collection::vec(any::<bool>(), list.clone()).prop_map(|of| {
            let expected = of.iter().map(|item| Value::BoolValue(*item)).collect();
            (AgentValue::Array(Array::Bool(of)), array(expected))
        }),
        collection::vec(any::<i64>(), list.clone()).prop_map(|of| {
            let expected = of.iter().map(|item| Value::IntValue(*item)).collect();
            (AgentValue::Array(Array::I64(of)), array(expected))
        }),
        collection::vec(float(), list.clone()).prop_map(|of| {
            let (of, expected) = of.into_iter().unzip();
            (AgentValue::Array(Array::F64(of)), array(expected))
        }),
        collection::vec(text(), list).prop_map(|of| {
            let (of, expected): (Vec<_>, _) = of.into_iter().unzip();
            let of = of.into_iter().map(Into::into).collect();
            (AgentValue::Array(Array::String(of)), array(expected))
        }),
    ]
}

/// JSON has no infinity.
fn of_json(float: f64) -> f64 {
    if float.is_finite() { float } else { f64::NAN }
}

type Pairs = (Vec<AgentKeyValue>, Vec<KeyValue>);

/// In the order of their keys, as no other is kept.
fn any_attributes() -> impl Strategy<Value = Pairs> {
    collection::btree_map("[ -~é\n]{1,8}", any_value(), 0..6).prop_map(
        |map: BTreeMap<String, _>| {
            map.into_iter()
                .map(|(key, (value, expected))| {
                    let expected = key_value(&key, expected);
                    (AgentKeyValue::new(key, value), expected)
                })
                .unzip()
        },
    )
}

fn any_time() -> impl Strategy<Value = (SystemTime, u64)> {
    any::<u64>()
        .prop_map(|of| (SystemTime::UNIX_EPOCH + Duration::from_nanos(of), of))
        .boxed()
}

fn any_context() -> impl Strategy<Value = (SpanContext, u128, u64, u8, String)> {
    let state = prop_oneof![
        Just(Vec::new()),
        Just(vec![("rojo", "00f067"), ("congo", "t61")])
    ];
    (
        1..=u128::MAX,
        1..=u64::MAX,
        any::<u8>(),
        any::<bool>(),
        state,
    )
        .prop_map(|(trace, id, flags, is_remote, state)| {
            let said: Vec<_> = state
                .iter()
                .map(|(key, of)| format!("{key}={of}"))
                .collect();
            let context = SpanContext::new(
                TraceId::from_bytes(trace.to_be_bytes()),
                SpanId::from_bytes(id.to_be_bytes()),
                TraceFlags::new(flags),
                is_remote,
                TraceState::from_key_value(state).unwrap(),
            );
            (context, trace, id, flags, said.join(","))
        })
}

fn any_event() -> impl Strategy<Value = (AgentEvent, span::Event)> {
    (".{0,12}", any_time(), any_attributes(), any::<u32>()).prop_map(
        |(name, (at, nanoseconds), (of, attributes), dropped)| {
            let expected = span::Event {
                time_unix_nano: nanoseconds,
                name: name.clone(),
                attributes,
                dropped_attributes_count: dropped,
            };
            (AgentEvent::new(name, at, of, dropped), expected)
        },
    )
}

fn any_link() -> impl Strategy<Value = (AgentLink, span::Link)> {
    (any_context(), any_attributes()).prop_map(
        |((context, trace, id, flags, trace_state), (of, attributes))| {
            let remote = if context.is_remote() { 0x200 } else { 0 };
            let expected = span::Link {
                trace_id: trace.to_be_bytes().to_vec(),
                span_id: id.to_be_bytes().to_vec(),
                trace_state,
                attributes,
                dropped_attributes_count: 0,
                flags: u32::from(flags) | 0x100 | remote,
            };
            (AgentLink::new(context, of), expected)
        },
    )
}

prop_compose! {
    /// A span of the agent's, and the same of OTLP's with its resource.
    fn any_span()(
        context in any_context(),
        parent in any::<u64>(),
        kind in 0..5_usize,
        status in 0..3_usize,
        (name, message) in (".{0,20}", ".{0,20}"),
        (start, end) in (any_time(), any_time()),
        attributes in any_attributes(),
        events in collection::vec(any_event(), 0..4),
        links in collection::vec(any_link(), 0..4),
        resource in any_attributes(),
    ) -> (SpanData, ForwardedSpan) {
        let (agent_kind, expected_kind) = [
            (SpanKind::Client, span::SpanKind::Client),
            (SpanKind::Server, span::SpanKind::Server),
            (SpanKind::Producer, span::SpanKind::Producer),
            (SpanKind::Consumer, span::SpanKind::Consumer),
            (SpanKind::Internal, span::SpanKind::Internal),
        ][kind].clone();
        let (context, trace, id, flags, trace_state) = context;
        let mut map = EvictedHashMap::new(128, 0);
        attributes.0.into_iter().for_each(|of| map.insert(of));
        let (mut agent_events, expected_events): (Vec<_>, _) = events.into_iter().unzip();
        let (mut agent_links, expected_links): (Vec<_>, _) = links.into_iter().unzip();
        let (mut events, mut links) = (EvictedQueue::new(128), EvictedQueue::new(128));
        // With nothing in them they stay `null`, as in the agent.
        if !agent_events.is_empty() {
            events.append_vec(&mut agent_events);
        }
        if !agent_links.is_empty() {
            links.append_vec(&mut agent_links);
        }
        let agent = SpanData {
            span_context: context,
            parent_span_id: SpanId::from_bytes(parent.to_be_bytes()),
            span_kind: agent_kind,
            name: name.clone().into(),
            start_time: start.0,
            end_time: end.0,
            attributes: map,
            events,
            links,
            status_code: [StatusCode::Unset, StatusCode::Ok, StatusCode::Error][status],
            status_message: message.clone().into(),
            resource: Some(Arc::new(AgentResource::new(resource.0))),
            instrumentation_lib: InstrumentationLibrary::default(),
        };
        let expected = Span {
            trace_id: trace.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            trace_state,
            parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
            flags: flags.into(),
            name,
            kind: expected_kind.into(),
            start_time_unix_nano: start.1,
            end_time_unix_nano: end.1,
            attributes: attributes.1,
            events: expected_events,
            links: expected_links,
            status: Some(Status { message, code: i32::try_from(status).unwrap() }),
            ..Span::default()
        };
        (agent, ForwardedSpan { resource: resource.1, span: expected })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_the_agent_s_library_writes_is_read_field_by_field((agent, expected) in any_span()) {
        let read = ForwardedSpan::read(&serde_json::to_vec(&agent).unwrap()).unwrap();
        prop_assert_eq!(read.span.encode_to_vec(), expected.span.encode_to_vec());
        let values = |of: &[KeyValue]| of.iter().map(KeyValue::encode_to_vec).collect::<Vec<_>>();
        prop_assert_eq!(values(&read.resource), values(&expected.resource));
        // In the dump a line is a line, and is JSON.
        let known = Known::default();
        let said = Said::new("kata-agent", &Arc::default());
        let line = line_of(&opentelemetry_proto::tonic::trace::v1::ResourceSpans {
            resource: Some(said.resource(read.resource, &known)),
            ..Default::default()
        });
        prop_assert_eq!(line.chars().filter(|of| of.is_control()).count(), 1);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
    }
}

/// The second real span, with something replaced.
fn altered(what: &str, by: &str) -> Result<ForwardedSpan, SpanError> {
    let line = FIXTURES.lines().nth(1).unwrap();
    assert!(line.contains(what), "{what}");
    ForwardedSpan::read(line.replacen(what, by, 1).as_bytes())
}

#[test]
fn what_is_optional_may_be_absent_and_what_is_essential_may_not() {
    const RESOURCE: &str = r#","resource":{"attrs":{"service.name":{"String":"kata-agent"}}}"#;
    for (what, by) in [
        (RESOURCE, ""),
        (RESOURCE, r#","resource":null"#),
        (RESOURCE, r#","resource":{"attrs":null,"schema_url":"x"}"#),
        (
            RESOURCE,
            r#","resource":{},"instrumentation_lib":{"name":[1]}"#,
        ),
        (r#","is_remote":false,"trace_state":null"#, ""),
        (r#","status_message":"""#, ""),
        (r#""status_code":"Ok","#, ""),
        (r#","dropped_attributes_count":0"#, ""),
        (r#""parent_span_id":0,"#, ""),
        (r#","max_len":128,"dropped_count":0"#, ""),
    ] {
        let span = altered(what, by).unwrap_or_else(|error| panic!("{what} as {by}: {error:?}"));
        assert_eq!(span.span.name, "root-span");
    }
    for (what, by) in [
        (r#""name":"root-span","#, ""),
        (r#""span_kind":"Server","#, ""),
        ("Server", "Waiter"),
        (r#""trace_id":218227577088192320089597641058250872153,"#, ""),
        ("218227577088192320089597641058250872153", "-1"),
        ("14778782265749943219", "18446744073709551616"),
        (r#""secs_since_epoch":1795241757,"#, ""),
        ("1.5", "\"1.5\""),
        ("[1,2]", "[1,\"2\"]"),
        ("}", "]"),
        ("root-span", "root\u{0}span"),
    ] {
        let refused = altered(what, by).unwrap_err();
        assert!(
            matches!(refused, SpanError::Malformed { .. }),
            "{what} as {by}: {refused:?}"
        );
    }
    for id in [
        "218227577088192320089597641058250872153",
        "14778782265749943219",
    ] {
        assert!(matches!(altered(id, "0").unwrap_err(), SpanError::NoId));
    }
    // A link to nothing is left out and counted.
    let span = altered("14576827793038113322513871894673895836", "0").unwrap();
    assert_eq!(
        (span.span.links.len(), span.span.dropped_links_count),
        (0, 1)
    );
}

#[test]
fn times_are_nanoseconds_as_far_as_these_go() {
    let start = r#""start_time":{"secs_since_epoch":1795241757,"nanos_since_epoch":327462440}"#;
    let time = |seconds: u64, nanoseconds: u32| {
        let by = format!(
            r#""start_time":{{"secs_since_epoch":{seconds},"nanos_since_epoch":{nanoseconds}}}"#
        );
        altered(start, &by).map(|of| of.span.start_time_unix_nano)
    };
    assert_eq!(time(0, 0).unwrap(), 0);
    assert_eq!(time(18_446_744_073, 709_551_615).unwrap(), u64::MAX);
    assert_eq!(time(1, 4_000_000_000).unwrap(), 5_000_000_000);
    for late in [
        (18_446_744_073, 709_551_616),
        (u64::MAX, 0),
        (u64::MAX, u32::MAX),
    ] {
        let refused = time(late.0, late.1).unwrap_err();
        assert!(matches!(refused, SpanError::Time { .. }), "{refused:?}");
    }
}

#[test]
fn more_than_is_taken_is_refused_soon_whatever_it_is() {
    let many = |count: usize, item: &dyn Fn(usize) -> String| {
        (0..count).map(item).collect::<Vec<_>>().join(",")
    };
    let attributes = |count| many(count, &|at| format!(r#""a{at}":{{"Bool":true}}"#));
    let map = r#"{"map":{"#;
    let array = |count| format!("[{}]", many(count, &|at| at.to_string()));
    let arrays = |count| {
        let of = |at| format!(r#""m{at}":{{"Array":{{"I64":{}}}}}"#, array(MAX_ITEMS));
        format!("{map}{},", many(count, &of))
    };
    let event = r#"{"name":"e","timestamp":{"secs_since_epoch":1,"nanos_since_epoch":0}}"#;
    let events = |count| {
        let all = many(count, &|_| event.to_owned());
        format!(r#""events":{{"queue":[{all}],"was":["#)
    };
    let text = |length| format!(r#""name":"{}""#, "x".repeat(length));
    let start = Instant::now();
    for (what, by, is_taken) in [
        (map, format!("{map}{},", attributes(MAX_ITEMS - 6)), true),
        (map, format!("{map}{},", attributes(MAX_ITEMS)), false),
        (map, format!("{map}{},", attributes(1_000_000)), false),
        ("[1,2]", array(MAX_ITEMS), true),
        ("[1,2]", array(1_000_000), false),
        (map, arrays(MAX_VALUES / MAX_ITEMS - 1), true),
        (map, arrays(MAX_VALUES / MAX_ITEMS), false),
        (r#""events":{"queue":["#, events(MAX_ITEMS + 1), false),
        (r#""name":"root-span""#, text(MAX_TEXT), true),
        (r#""name":"root-span""#, text(MAX_TEXT + 1), false),
    ] {
        let read = altered(what, &by);
        let shown = &by[..by.len().min(60)];
        assert_eq!(read.is_ok(), is_taken, "{shown}: {:?}", read.err());
        if let Err(error) = read {
            let is_limit = matches!(error, SpanError::OverLimit { .. });
            assert!(is_limit, "{shown}: {error:?}");
        }
    }
    // Where nothing is looked at, nesting costs nothing; where something is, it is no span.
    for depth in [100, 10_000, 500_000] {
        let nested = "[".repeat(depth) + &"]".repeat(depth);
        let ignored = altered(r#""name":"#, &format!(r#""other":{nested},"name":"#));
        assert!(depth > 100 || ignored.is_ok());
        assert!(altered("[1,2]", &nested).is_err());
        assert!(ForwardedSpan::read(nested.as_bytes()).is_err());
        assert!(ForwardedSpan::read("[{\"a\":".repeat(depth).as_bytes()).is_err());
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u64).to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// A forwarder's inside, to which guests are connected by hand.
struct Bench {
    peers: Arc<Peers>,
    shared: Arc<Shared>,
    outbox: Arc<Outbox<opentelemetry_proto::tonic::trace::v1::ResourceSpans>>,
}

type Ended = JoinHandle<Result<(), GuestFailure>>;

impl Bench {
    fn new() -> Self {
        let outbox = Arc::new(Outbox::new(Bounds {
            items: 100_000,
            bytes: 1 << 30,
            when_full: WhenFull::DropNew,
        }));
        let shared = Shared {
            said: Said::new("kata-agent", &Arc::new(OwnResource::default())),
            sandboxes: Arc::new(NoSandboxes),
            sink: SpanSink::to_collector(Arc::clone(&outbox)),
            large_frames: Arc::new(Semaphore::new(LARGE_FRAMES / PERMIT)),
        };
        Self {
            peers: Arc::new(Peers::new(Arc::new(Tally::default()))),
            shared: Arc::new(shared),
            outbox,
        }
    }

    fn connect(&self, cid: u32) -> (DuplexStream, Ended) {
        let (guest, host) = duplex(64 << 10);
        let admitted = self.peers.admit(&Peer::Cid(cid)).unwrap();
        let shared = Arc::clone(&self.shared);
        let ended = tokio::spawn(async move {
            let known = Known {
                cid: Some(cid),
                ..Known::default()
            };
            let connection = Connection {
                shared: &shared,
                admitted: &admitted,
                known,
                looked: None,
            };
            connection.read(host).await
        });
        (guest, ended)
    }

    fn spans(&self) -> u64 {
        self.outbox.account().waiting
    }
}

async fn kind_of(ended: Ended) -> Option<AgentError> {
    ended.await.unwrap().err().map(|failure| failure.kind())
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_is_left_alone_and_half_a_frame_is_not_waited_for() {
    let bench = Bench::new();
    let frame = framed(FIXTURES.lines().next().unwrap().as_bytes());
    let (mut silent, silent_ended) = bench.connect(3);
    silent.write_all(&frame).await.unwrap();
    let halves = [3, 8, 100].map(|cut| (cut, bench.connect(4)));
    for (cut, (mut guest, ended)) in halves {
        guest.write_all(&frame[..cut]).await.unwrap();
        assert_eq!(kind_of(ended).await, Some(AgentError::Timeout), "at {cut}");
    }
    // A byte now and then is not enough.
    let (mut trickle, ended) = bench.connect(5);
    for byte in &frame {
        if trickle.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(kind_of(ended).await, Some(AgentError::Timeout));
    tokio::time::sleep(Duration::from_hours(24)).await;
    silent.write_all(&frame).await.unwrap();
    drop(silent);
    assert_eq!(kind_of(silent_ended).await, None);
    assert_eq!(bench.spans(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_guest_is_disconnected_and_what_it_said_before_counts() {
    let bench = Bench::new();
    let frame = framed(FIXTURES.lines().next().unwrap().as_bytes());
    let (mut good, good_ended) = bench.connect(3);
    for (rest, expected) in [
        ((1_u64 << 63).to_be_bytes().to_vec(), AgentError::BadLength),
        (vec![0; 8], AgentError::BadLength),
        (framed(b"not json"), AgentError::Malformed),
        (framed(&[0xff; 4096]), AgentError::Malformed),
        (
            framed("[".repeat(1 << 20).as_bytes()),
            AgentError::Malformed,
        ),
    ] {
        let before = bench.spans();
        let (mut guest, ended) = bench.connect(4);
        guest.write_all(&frame).await.unwrap();
        // It may be disconnected before it has said all.
        drop(guest.write_all(&rest).await);
        drop(guest.write_all(&frame).await);
        assert_eq!(kind_of(ended).await, Some(expected));
        assert_eq!(bench.spans(), before + 1);
    }
    for cut in [20, 7] {
        let (mut guest, ended) = bench.connect(5);
        guest.write_all(&frame[..cut]).await.unwrap();
        drop(guest);
        assert_eq!(kind_of(ended).await, Some(AgentError::Truncated));
    }
    let before = bench.spans();
    good.write_all(&frame).await.unwrap();
    drop(good);
    assert_eq!(kind_of(good_ended).await, None);
    assert_eq!(bench.spans(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_given_on_before_anything_is_waited_for() {
    let bench = Bench::new();
    let frame = framed(FIXTURES.lines().next().unwrap().as_bytes());
    // Another connection of the same guest has the turn for large frames, and keeps it.
    let busy = bench.peers.admit(&Peer::Cid(3)).unwrap();
    let turn = busy.turn().await;
    let (mut guest, ended) = bench.connect(3);
    let spaces = " ".repeat(100_000);
    let large = framed((FIXTURES.lines().next().unwrap().to_owned() + &spaces).as_bytes());
    let bytes = [frame.as_slice(), &frame, &large].concat();
    guest.write_all(&bytes[..10_000]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.spans(), 2);
    drop(turn);
    guest.write_all(&bytes[10_000..]).await.unwrap();
    drop(guest);
    assert_eq!(kind_of(ended).await, None);
    assert_eq!(bench.spans(), 3);
}

#[tokio::test(start_paused = true)]
async fn frames_of_guests_that_speak_at_once_are_not_mixed_up() {
    let bench = Bench::new();
    let frames: Vec<_> = FIXTURES.lines().map(|of| framed(of.as_bytes())).collect();
    let mut guests: Vec<_> = (3..19).map(|cid| bench.connect(cid)).collect();
    let longest = frames.iter().map(Vec::len).max().unwrap();
    for piece in 0..longest.div_ceil(11) {
        for (at, (guest, _)) in guests.iter_mut().enumerate() {
            let frame = &frames[at % 2];
            let from = (piece * 11).min(frame.len());
            let to = (from + 11).min(frame.len());
            guest.write_all(&frame[from..to]).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
    for (guest, ended) in guests {
        drop(guest);
        assert_eq!(kind_of(ended).await, None);
    }
    let sending = bench.outbox.take(u64::MAX, u64::MAX);
    let mut seen = BTreeMap::new();
    for parcel in sending.parcels() {
        let attributes = parcel.resource.unwrap().attributes;
        let cid = attributes.iter().find(|of| of.key == "cgscope.vsock.cid");
        let Some(Value::IntValue(cid)) = cid.unwrap().value.clone().unwrap().value else {
            panic!("no CID");
        };
        for span in &parcel.scope_spans[0].spans {
            seen.insert(cid, span.name.clone());
        }
    }
    let name = |cid| {
        if cid % 2 == 1 {
            "rpc_create_container"
        } else {
            "root-span"
        }
    };
    let expected: BTreeMap<_, _> = (3..19).map(|cid| (cid, name(cid).to_owned())).collect();
    assert_eq!(seen, expected);
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_dump_is_a_line_in_which_nothing_moves_a_terminal() {
    let name = r#""name":"a\u001b[2J\u009b31m\nb""#;
    let read = altered(r#""name":"root-span""#, name).unwrap();
    assert_eq!(
        read.span.name, "a\u{1b}[2J\u{9b}31m\nb",
        "the span is as it was"
    );
    let page = Page::default();
    let (printer, printing) = Printer::start(Box::new(page.clone())).unwrap();
    let sink = SpanSink::Dump(printer);
    sink.give(
        opentelemetry_proto::tonic::trace::v1::ResourceSpans {
            scope_spans: vec![opentelemetry_proto::tonic::trace::v1::ScopeSpans {
                spans: vec![read.span],
                ..Default::default()
            }],
            ..Default::default()
        },
        &Peer::Cid(3),
    )
    .await;
    drop(sink);
    assert_eq!(printing.finish(Duration::from_secs(20)).await.unwrap(), 0);
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches(char::is_control).collect::<Vec<_>>(), ["\n"]);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "a\u{1b}[2J\u{9b}31m\nb");
    assert_eq!(span["traceId"], "a42d1a40187dfda8b1af2ccc7dff5559");
    assert_eq!(span["startTimeUnixNano"], "1795241757327462440");
    assert_eq!(span["attributes"][3]["value"]["intValue"], "-7");
}
