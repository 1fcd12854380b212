//! Which of what is said decides.

use std::{path::Path, time::Duration};

use super::{OtelEnvironment, OtlpConfig};
use crate::{
    daemon::{
        cli::RunArgs,
        config::{Config, ConfigError, FileConfig},
    },
    error_chain,
    export::otlp::{OtlpProtocol, OtlpSettings, TemporalityPreference},
};

fn environment(variables: &[(&str, &str)]) -> OtelEnvironment {
    let variables = variables.iter();
    OtelEnvironment::of(variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// Both signals are wanted, and this is said.
fn decide(file: &str, variables: &[(&str, &str)]) -> Result<OtlpConfig, ConfigError> {
    let args = RunArgs {
        export_otlp: Some(true),
        trace_own: Some(true),
        ..RunArgs::default()
    };
    let file = FileConfig::parse(Path::new("cgscope.toml"), file)?;
    Config::decide_in(args, file, &environment(variables)).map(|config| config.otlp)
}

fn both(file: &str, variables: &[(&str, &str)]) -> [OtlpSettings; 2] {
    let config = decide(file, variables).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    [config.metrics.unwrap(), config.traces.unwrap()]
}

fn endpoints(file: &str, variables: &[(&str, &str)]) -> [String; 2] {
    both(file, variables).map(|of| of.endpoint.to_string())
}

#[test]
fn nothing_is_sent_until_it_is_asked_for() {
    let sent = |file: &str, variables: &[(&str, &str)]| {
        let file = FileConfig::parse(Path::new("cgscope.toml"), file).unwrap();
        let config = Config::decide_in(RunArgs::default(), file, &environment(variables)).unwrap();
        (config.otlp.metrics.is_some(), config.otlp.traces.is_some())
    };
    // An endpoint that is there for all programs is no reason to send.
    let there = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")];
    assert_eq!(sent("", &there), (false, false));
    assert_eq!(sent("[export.otlp]\nenabled = true", &[]), (true, false));
    let traced = "[trace.containers]\nenable_tracing = true";
    assert_eq!(sent(traced, &[]), (false, true));
    let all = format!("{traced}\n[export.otlp]\nenabled = true");
    assert_eq!(sent(&all, &[]), (true, true));
    for (variable, expected) in [
        (("OTEL_SDK_DISABLED", "True"), (false, false)),
        (("OTEL_SDK_DISABLED", "no"), (true, true)),
        (("OTEL_METRICS_EXPORTER", "none"), (false, true)),
        (("OTEL_TRACES_EXPORTER", "none"), (true, false)),
        (("OTEL_TRACES_EXPORTER", "otlp"), (true, true)),
    ] {
        assert_eq!(sent(&all, &[variable]), expected, "{variable:?}");
    }
}

#[test]
fn endpoints_are_made_as_the_specification_of_the_exporter_has_it() {
    const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
    const PROTOCOL: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let local = [
        "http://localhost:4318/v1/metrics",
        "http://localhost:4318/v1/traces",
    ];
    assert_eq!(endpoints("", &[]), local);
    // An empty variable is as good as none.
    assert_eq!(endpoints("", &[(BASE, " ")]), local);
    assert_eq!(
        endpoints("", &[(BASE, "https://host/otlp/")]),
        [
            "https://host/otlp/v1/metrics",
            "https://host/otlp/v1/traces"
        ]
    );
    assert_eq!(
        endpoints("", &[(BASE, "http://host"), (METRICS, "http://other:1")]),
        ["http://other:1/", "http://host/v1/traces"]
    );
    assert_eq!(endpoints("", &[PROTOCOL]), ["http://localhost:4317/"; 2]);
    assert_eq!(
        endpoints("", &[PROTOCOL, (BASE, "host:4317")]),
        ["https://host:4317/"; 2]
    );
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    assert_eq!(
        endpoints("", &[PROTOCOL, (BASE, "host:4317"), insecure]),
        ["http://host:4317/"; 2]
    );
    let file = "[export.otlp]\nendpoint = 'http://file:1'\n\
                [export.otlp.traces]\nendpoint = 'http://file:2/x'";
    assert_eq!(
        endpoints(file, &[(METRICS, "http://variable:3")]),
        ["http://file:1/v1/metrics", "http://file:2/x"],
        "what is said to cgscope goes before what is said to all"
    );
}

#[test]
fn each_variable_decides_where_the_file_says_nothing() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b%2C, other = c"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/cert"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/key"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "250"),
    ];
    let [metrics, traces] = both("", &variables);
    assert_eq!(metrics.protocol, OtlpProtocol::Grpc);
    assert_eq!(traces.protocol, OtlpProtocol::HttpProtobuf);
    assert_eq!(metrics.timeout, Duration::from_millis(2_500));
    assert_eq!(traces.timeout, Duration::from_millis(1_500));
    assert!(metrics.is_compressed && !traces.is_compressed);
    let headers: Vec<_> = traces
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(headers, [("api-key", "a b,"), ("other", "c")]);
    assert_eq!(traces.tls.certificate.as_deref(), Some(Path::new("/ca")));
    assert_eq!(traces.tls.client, Some(("/cert".into(), "/key".into())));
    assert_eq!(metrics.tls.client, None);
    assert_eq!((traces.queue.items, traces.batch.items), (100, 100));
    assert_eq!(traces.batch.delay, Duration::from_millis(250));
    // Batch processors are of spans.
    assert!(metrics.queue.items > 100_000);

    let file = "[export.otlp]\nprotocol = 'http/protobuf'\ntimeout = '3s'\ncompression = 'none'\n\
                certificate = '/own'\nheaders = { api-key = 'mine' }\nbatch_delay = '2s'\n\
                [export.otlp.traces]\nqueue_items = 7";
    for of in both(file, &variables) {
        assert_eq!(of.protocol, OtlpProtocol::HttpProtobuf);
        assert_eq!(
            (of.timeout, of.is_compressed),
            (Duration::from_secs(3), false)
        );
        assert_eq!(of.tls.certificate.as_deref(), Some(Path::new("/own")));
        assert_eq!(of.batch.delay, Duration::from_secs(2));
        assert_eq!(of.headers.len(), 1);
        assert_eq!(of.headers[0].1, "mine");
    }
    let [metrics, traces] = both(file, &variables);
    assert_eq!(traces.queue.items, 7);
    assert!(metrics.queue.items > 100_000);
}

#[test]
fn metrics_have_an_interval_and_a_temporality_of_their_own() {
    use TemporalityPreference::{Cumulative, Delta};
    const PREFERENCE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    const EVERY: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "30000");
    for (file, variables, seconds, temporality) in [
        ("interval = '7s'", &[][..], 7, Cumulative),
        ("", &[EVERY, (PREFERENCE, "Delta")], 30, Delta),
        ("", &[(PREFERENCE, "LowMemory")], 10, Cumulative),
        (
            "[export.otlp]\ninterval = '1m'\ntemporality = 'cumulative'",
            &[EVERY, (PREFERENCE, "delta")],
            60,
            Cumulative,
        ),
        ("[export.otlp]\ntemporality = 'delta'", &[], 10, Delta),
    ] {
        let config = decide(file, variables).unwrap();
        assert_eq!(config.interval, Duration::from_secs(seconds), "{file}");
        assert_eq!(config.temporality, temporality, "{file} {variables:?}");
    }
}

#[test]
fn numbers_and_choices_of_variables_that_are_not_understood_are_said_and_left_out() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "sometimes",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c"),
    ] {
        let config = decide("", &[(name, value)]).unwrap();
        let [warning] = config.warnings.as_slice() else {
            panic!("{name}: {:?}", config.warnings);
        };
        assert!(
            warning.contains(name) && warning.contains("write"),
            "{warning}"
        );
        let unset = decide("", &[]).unwrap();
        let warnings = Vec::new();
        assert_eq!(OtlpConfig { warnings, ..config }, unset, "{name}");
    }
}

#[test]
fn a_choice_may_be_in_capitals_and_one_that_is_not_understood_hides_no_other() {
    let config = decide(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "Gzip"),
            ("OTEL_METRICS_EXPORTER", "None"),
        ],
    )
    .unwrap();
    assert!(config.metrics.is_none());
    let traces = config.traces.unwrap();
    assert_eq!(traces.protocol, OtlpProtocol::Grpc);
    assert!(traces.is_compressed);
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
}

#[test]
fn what_data_would_go_astray_by_is_refused_with_its_name_the_reason_and_the_remedy() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
    for (variables, parts) in [
        (
            &[(ENDPOINT, "localhost:4318")][..],
            &[ENDPOINT, "scheme", "http://localhost:4318"][..],
        ),
        (&[(ENDPOINT, "ftp://host")], &[ENDPOINT, "ftp", "https://"]),
        (&[(ENDPOINT, "http://")], &[ENDPOINT, "write it like"]),
        (&[(ENDPOINT, "http://host:431800")], &[ENDPOINT, "port"]),
        (&[(ENDPOINT, "http://host:")], &[ENDPOINT, "port"]),
        (&[(ENDPOINT, "https://[::1]:0/x")], &[ENDPOINT, "port"]),
        (&[(HEADERS, "no value")], &[HEADERS, "part 1", "key=value"]),
        (
            &[(HEADERS, "a=b,c d=e")],
            &[HEADERS, "c d", "name of a header"],
        ),
        (
            &[(HEADERS, "a=b%0A")],
            &[HEADERS, "nothing that a header can have"],
        ),
        (&[(HEADERS, "content-length=1")], &[HEADERS, "one already"]),
        (
            &[("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key")],
            &[
                "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                "half of a pair",
                "or neither",
            ],
        ),
    ] {
        let error = error_chain(&decide("", variables).unwrap_err());
        for part in parts {
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
    }
    for (file, parts) in [
        (
            "[export.otlp]\nprotocol = 'http/json'",
            &["export.otlp.protocol", "http/protobuf"][..],
        ),
        (
            "[export.otlp.metrics]\ncompression = 'br'",
            &["export.otlp.metrics.compression", "gzip"],
        ),
        (
            "[export.otlp]\ntimeout = '1h'",
            &["export.otlp.timeout", "1h", "10m"],
        ),
        (
            "[export.otlp]\ninterval = '10ms'",
            &["export.otlp.interval", "1s to 1h"],
        ),
        (
            "[export.otlp]\ntemporality = 'both'",
            &["export.otlp.temporality", "delta"],
        ),
        (
            "[export.otlp]\nqueue_items = 0",
            &["export.otlp.queue_items", "from 1"],
        ),
        (
            "[export.otlp.logs]\nendpoint = 'x'",
            &["line 1", "logs", "metrics"],
        ),
    ] {
        let error = error_chain(&decide(file, &[]).unwrap_err());
        for part in parts {
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
    }
}

#[test]
fn secrets_are_in_no_message() {
    for variable in [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2%0A"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@host:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "host:4318/?key=hunter2"),
    ] {
        let error = error_chain(&decide("", &[variable]).unwrap_err());
        assert!(!error.contains("hunter2"), "{error}");
    }
    let key = "http://host:4318/v1?api-key=hunter2";
    let config = decide("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", key)]).unwrap();
    let settings = config.traces.unwrap();
    assert!(settings.endpoint.to_string().contains("hunter2"));
    assert!(!settings.shown_endpoint().contains("hunter2"));
    let config = decide(
        "[export.otlp]\nheaders = { authorization = 'hunter2' }",
        &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")],
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn attributes_of_the_resource_are_decoded_and_the_name_goes_before_them() {
    let config = decide(
        "",
        &[
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=theirs,team=a%20b%3Dc, zone = eu ",
            ),
            ("OTEL_SERVICE_NAME", "mine"),
        ],
    );
    let resource = config.unwrap().resource;
    let expected = [("team", "a b=c"), ("zone", "eu"), ("service.name", "mine")];
    assert_eq!(
        resource,
        expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
}
