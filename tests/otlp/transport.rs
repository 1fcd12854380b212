//! The way to a real collector, over gRPC and HTTP.

use std::{
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use collector::{
    daemon::config::otlp::{OtelEnvironment, OtlpOptions, settings_of},
    export::otlp::{OtlpSettings, Outbox, Sender},
    reconcile::delivery::OtlpSignal,
};
use collector_tests::{
    daemon::{Daemon, cgscope, free_address},
    note,
    otel_collector::OtelCollector,
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Metric,
        ResourceMetrics, ScopeMetrics, exponential_histogram_data_point::Buckets, metric::Data,
    },
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};

/// What a collector needs to write out what it took, at most.
const SOON: Duration = Duration::from_mins(1);

const GRACE: Duration = Duration::from_mins(1);

fn key_value(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn resource() -> Resource {
    Resource {
        attributes: vec![key_value("service.name", "cgscope")],
        ..Resource::default()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "transport".to_owned(),
        version: "1".to_owned(),
        ..InstrumentationScope::default()
    }
}

/// With every field that a span of ours can have.
fn span(number: u8) -> Span {
    Span {
        trace_id: vec![number.max(1); 16],
        span_id: vec![number.max(1); 8],
        parent_span_id: vec![7; 8],
        name: format!("span {number}"),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: 1_700_000_000_000_000_001,
        end_time_unix_nano: 1_700_000_001_000_000_003,
        attributes: vec![key_value("key", "value")],
        dropped_attributes_count: 3,
        events: vec![Event {
            time_unix_nano: 1_700_000_000_500_000_000,
            name: "event".to_owned(),
            attributes: vec![key_value("of", "event")],
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: vec![8; 16],
            span_id: vec![9; 8],
            ..Link::default()
        }],
        status: Some(Status {
            message: "went wrong".to_owned(),
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

fn spans(numbers: impl IntoIterator<Item = u8>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(resource()),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope()),
            spans: numbers.into_iter().map(span).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn histogram() -> Metric {
    let point = ExponentialHistogramDataPoint {
        attributes: vec![key_value("device", "sda")],
        start_time_unix_nano: 1_700_000_000_000_000_000,
        time_unix_nano: 1_700_000_010_000_000_000,
        count: 6,
        sum: Some(1.5),
        scale: 3,
        zero_count: 1,
        positive: Some(Buckets {
            offset: -40,
            bucket_counts: vec![1, 0, 3, 1],
        }),
        ..ExponentialHistogramDataPoint::default()
    };
    Metric {
        name: "cgscope.latency".to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![point],
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        })),
        ..Metric::default()
    }
}

/// What a configuration file and the environment decide.
fn settings(signal: OtlpSignal, options: &OtlpOptions) -> OtlpSettings {
    let options = [&OtlpOptions::default(), options];
    settings_of(
        signal,
        options,
        &OtelEnvironment::default(),
        &mut Vec::new(),
    )
    .unwrap()
}

fn endpoints(collector: &OtelCollector) -> [OtlpOptions; 2] {
    [
        ("grpc", collector.grpc_endpoint()),
        ("http/protobuf", collector.http_endpoint()),
    ]
    .map(|(protocol, endpoint)| OtlpOptions {
        protocol: Some(protocol.to_owned()),
        endpoint: Some(endpoint),
        batch_delay: Some(Duration::ZERO),
        ..OtlpOptions::default()
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

#[test]
fn spans_and_histograms_arrive_as_they_were_over_both_protocols_compressed_or_not() {
    for compression in ["none", "gzip"] {
        let collector = OtelCollector::start();
        for options in endpoints(&collector) {
            let options = OtlpOptions {
                compression: Some(compression.to_owned()),
                ..options
            };
            let of_spans = settings(OtlpSignal::Traces, &options);
            let traces = Arc::new(Outbox::new(of_spans.queue));
            traces.put(spans([1, 2]));
            traces.close();
            let of_points = settings(OtlpSignal::Metrics, &options);
            let metrics = Arc::new(Outbox::new(of_points.queue));
            metrics.put(ResourceMetrics {
                resource: Some(resource()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope()),
                    metrics: vec![histogram()],
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            });
            metrics.close();
            block_on(async {
                let traces = Sender::new(&of_spans, Arc::clone(&traces)).unwrap();
                traces.probe().await.unwrap();
                traces.run(GRACE).await;
                let metrics = Sender::new(&of_points, Arc::clone(&metrics)).unwrap();
                metrics.probe().await.unwrap();
                metrics.run(GRACE).await;
            });
            assert_eq!((traces.account().sent, metrics.account().sent), (2, 1));
        }
        let recorded = collector.wait_for("twice each", SOON, |recorded| {
            let is_there = (recorded.spans().len(), recorded.metrics().len()) == (4, 2);
            is_there.then(|| recorded.clone())
        });
        let expected = |number| (resource(), scope(), span(number));
        let twice = [1, 2, 1, 2].map(expected);
        assert_eq!(recorded.spans(), twice);
        let (of, within) = (resource(), scope());
        let point = (of, within, histogram());
        assert_eq!(recorded.metrics(), [point.clone(), point]);
    }
}

#[test]
fn a_collector_that_is_restarted_misses_nothing() {
    let mut collector = OtelCollector::start();
    for (round, options) in (0..).zip(endpoints(&collector)) {
        let settings = settings(OtlpSignal::Traces, &options);
        let outbox = Arc::new(Outbox::new(settings.queue));
        let sent = Arc::clone(&outbox);
        let sending = thread::spawn(move || {
            block_on(async { Sender::new(&settings, sent).unwrap().run(GRACE).await });
        });
        for number in 1..=100 {
            if number == 40 {
                collector.stop();
            }
            if number == 60 {
                collector.restart();
            }
            outbox.put(spans([number]));
            thread::sleep(Duration::from_millis(10));
        }
        outbox.close();
        sending.join().unwrap();
        let account = outbox.account();
        assert_eq!((account.put, account.sent), (100, 100), "{account:?}");
        let mut names = collector.wait_for("each span", SOON, |recorded| {
            let names: Vec<_> = recorded.spans().into_iter().map(|of| of.2.name).collect();
            (names.len() >= 100 * (round + 1)).then_some(names)
        });
        names.drain(..100 * round);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 100);
    }
}

#[test]
fn where_no_collector_is_the_first_look_says_so() {
    let endpoint = format!("http://{}", free_address());
    for protocol in ["grpc", "http/protobuf"] {
        let options = OtlpOptions {
            protocol: Some(protocol.to_owned()),
            endpoint: Some(endpoint.clone()),
            ..OtlpOptions::default()
        };
        let settings = settings(OtlpSignal::Traces, &options);
        let outbox: Arc<Outbox<ResourceSpans>> = Arc::new(Outbox::new(settings.queue));
        let probed = block_on(async { Sender::new(&settings, outbox).unwrap().probe().await });
        let error = probed.unwrap_err().to_string();
        for part in [endpoint.as_str(), protocol, "traces", "refused"] {
            assert!(error.contains(part), "{part} not in {error}");
        }
    }
}

/// Who waited for the collector took this long.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Scrapes for a while with a collector that is said to be at `endpoint`: the longest scrape, and the account.
fn scrape_for_a_while(endpoint: &str, what: &str) {
    let mut command = cgscope();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env(
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            TIMEOUT.as_millis().to_string(),
        )
        .env("OTEL_BSP_SCHEDULE_DELAY", "0")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "1000");
    let sending = ["--export-otlp", "--trace-containers", "--trace-own"];
    let daemon = Daemon::launch(command, &sending, "/readyz");
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(4) {
        let start = Instant::now();
        let scraped = daemon.scrape();
        longest = longest.max(start.elapsed());
        for signal in ["metrics", "traces"] {
            let labels = [("signal", signal)];
            let of = |name: &str| scraped.sum(name, &labels).expect(name);
            let accounted = of("cgscope_otlp_items_sent_total")
                + of("cgscope_otlp_items_waiting")
                + of("cgscope_otlp_items_lost_total");
            let all = of("cgscope_otlp_items_total");
            assert!(
                (all - accounted).abs() < 0.5,
                "{what}: {all} are not {accounted}"
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
    let (status, took, log) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    note(&format!(
        "{what}: {longest:?} for a scrape at most, {took:?} to the end"
    ));
    assert!(longest < TIMEOUT / 12, "{what}: {longest:?}");
    assert!(took < TIMEOUT / 6, "{what}: {took:?}");
    let told = log.matches("is tried again").count();
    assert!(
        told <= 2,
        "{what}: told once for each signal at most:\n{log}"
    );
}

#[test]
fn a_collector_that_is_absent_or_hangs_delays_neither_a_scrape_nor_the_end() {
    scrape_for_a_while(&format!("http://{}", free_address()), "absent");
    // The kernel accepts for it, and nobody reads.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", hanging.local_addr().unwrap());
    scrape_for_a_while(&endpoint, "hanging");
}

#[test]
fn what_is_wrong_with_the_way_to_a_collector_ends_the_daemon_with_its_remedy() {
    for (variable, value, parts) in [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "localhost:4318",
            ["scheme", "http://localhost:4318"],
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "secret",
            ["part 1", "key=value"],
        ),
    ] {
        let output = cgscope()
            .args(["run", "--export-otlp"])
            .env(variable, value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64));
        let said = String::from_utf8_lossy(&output.stderr);
        for part in [variable, parts[0], parts[1]] {
            assert!(said.contains(part), "{part} not in {said}");
        }
    }
}
