//! What the agent writes is read, and what is none of its spans is not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span, Status, span},
};
use proptest::prelude::*;
use prost::Message as _;

use super::{FIXTURES, agent_spans::any_span, altered, array, key_value, string};
use crate::trace::forwarder::{
    conversion::{ForwardedSpan, MAX_TEXT, MAX_VALUES, SpanError},
    dump::line_of,
    guest::{Known, Said},
    kata_span::MAX_ITEMS,
};

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
        let line = line_of(&ResourceSpans {
            resource: Some(said.resource(read.resource, &known)),
            ..Default::default()
        });
        prop_assert_eq!(line.chars().filter(|of| of.is_control()).count(), 1);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
    }
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
