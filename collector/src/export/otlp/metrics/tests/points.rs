//! What a data point says.

use std::collections::{BTreeMap, HashMap};

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, exemplar, metric::Data};
use proptest::prelude::*;

use super::{
    LATENCY, PATH, at, buckets, encode, encoder, histograms, latency_and_switches, metrics, named,
    number, numbers, snapshot, texts, waited,
};
use crate::{
    export::{
        otlp::{Bounds, Outbox, Parcel, WhenFull, metrics::TemporalityPreference},
        tests::{
            busy_container, full_snapshot,
            kata::{self, WEB},
        },
    },
    reconcile::{
        delivery::OtlpLoss,
        snapshot::{Exemplar, ExemplarOf, SpanRef},
    },
    window::{Device, Operation},
};

#[test]
fn a_sample_with_a_span_is_on_the_point_of_its_histogram() {
    let mut cgroup = busy_container();
    let block = ExemplarOf::BlockIoDevice {
        device: Device { major: 8, minor: 0 },
        operation: Operation::Write,
    };
    let exemplar = |of, number, value_ns| Exemplar {
        of,
        value_ns,
        at: at(1_700_000_150),
        span: SpanRef {
            trace_id: [number; 16],
            span_id: [number; 8],
        },
    };
    cgroup.exemplars = vec![
        exemplar(ExemplarOf::RunqueueLatency, 1, 3_000_000),
        exemplar(block, 2, 1_100_000),
        exemplar(ExemplarOf::RunqueueLatency, 3, 20_000_000_000),
    ];
    let path = cgroup.identity.path.clone();
    let all = encode(
        &mut encoder(TemporalityPreference::Cumulative),
        snapshot(1_700_000_200, vec![cgroup]),
    );
    let mut found = Vec::new();
    for metric in metrics(&all, &path) {
        for point in histograms(metric) {
            let stage = texts(&point.attributes).remove("stage").unwrap_or_default();
            for exemplar in &point.exemplars {
                assert_eq!(exemplar.time_unix_nano, 1_700_000_150_000_000_000);
                assert_eq!((exemplar.trace_id.len(), exemplar.span_id.len()), (16, 8));
                let Some(exemplar::Value::AsDouble(seconds)) = exemplar.value else {
                    panic!("{exemplar:?}");
                };
                found.push((
                    metric.name.clone(),
                    stage.clone(),
                    exemplar.trace_id[0],
                    exemplar.span_id[7],
                    seconds,
                ));
            }
        }
    }
    let io = "cgscope.container.block_io.latency";
    let expected = [
        (LATENCY, "", 1, 1, 0.003),
        (LATENCY, "", 3, 3, 20.0),
        (io, "device", 2, 2, 0.001_1),
    ];
    let expected = expected.map(|(name, stage, trace, span, value)| {
        (name.to_owned(), stage.to_owned(), trace, span, value)
    });
    assert_eq!(found, expected);
}

#[test]
fn an_exemplar_is_on_one_difference_and_on_every_sum() {
    for (temporality, expected) in [
        (TemporalityPreference::Cumulative, [1, 1, 2]),
        (TemporalityPreference::Delta, [1, 0, 1]),
    ] {
        let mut encoder = encoder(temporality);
        let mut told = |second, spans: &[u8]| {
            let mut cgroup = waited(&[5], 1);
            cgroup.exemplars = spans
                .iter()
                .map(|span| Exemplar {
                    of: ExemplarOf::RunqueueLatency,
                    value_ns: 5,
                    at: at(1_700_000_050),
                    span: SpanRef {
                        trace_id: [1; 16],
                        span_id: [*span; 8],
                    },
                })
                .collect();
            let all = encode(&mut encoder, snapshot(second, vec![cgroup]));
            latency_and_switches(&all).0.exemplars.len()
        };
        let found = [
            told(1_700_000_100, &[1]),
            told(1_700_000_110, &[1]),
            told(1_700_000_120, &[1, 2]),
        ];
        assert_eq!(found, expected, "{temporality:?}");
    }
}

#[test]
fn sums_that_only_rise_are_of_the_temporality_that_is_wanted() {
    for (temporality, of_rising) in [
        (
            TemporalityPreference::Cumulative,
            AggregationTemporality::Cumulative,
        ),
        (TemporalityPreference::Delta, AggregationTemporality::Delta),
    ] {
        let all = encode(&mut encoder(temporality), full_snapshot());
        let mut seen = 0;
        for metric in all.iter().flat_map(|of| &of.scope_metrics[0].metrics) {
            match &metric.data {
                Some(Data::Sum(sum)) => {
                    assert!(sum.is_monotonic, "{}", metric.name);
                    assert_eq!(sum.aggregation_temporality(), of_rising);
                    seen += 1;
                }
                Some(Data::ExponentialHistogram(of)) => {
                    assert_eq!(of.aggregation_temporality(), of_rising);
                }
                _ => {}
            }
        }
        assert!(seen > 20, "{seen}");
    }
}

#[tokio::test]
async fn what_is_lost_is_told_also_where_there_is_no_room_for_a_whole_export() {
    let mut encoder = encoder(TemporalityPreference::Cumulative);
    let _ = encode(&mut encoder, full_snapshot());
    // With cgroups, one that is gone, and sandboxes of Kata.
    let mut shown = kata::snapshot().await;
    shown.cgroups.retain(|cgroup| cgroup.identity.path != PATH);
    let parcels = encode(&mut encoder, shown);
    let all: u64 = parcels.iter().map(Parcel::items).sum();
    let outbox = Outbox::new(Bounds {
        items: all - 1,
        bytes: u64::MAX,
        when_full: WhenFull::DropOldest,
    });
    for parcel in parcels {
        assert!(outbox.put(parcel));
    }
    assert!(outbox.account().lost[OtlpLoss::QueueFull as usize] > 0);
    let waiting = outbox.take(u64::MAX, u64::MAX).parcels();
    let metrics = waiting.iter().flat_map(|of| &of.scope_metrics[0].metrics);
    let mut losses = metrics.filter(|metric| metric.name == "cgscope.otlp.items.lost");
    let losses = losses.next().expect("what is lost");
    assert!(!numbers(losses).is_empty());
}

#[tokio::test]
async fn shims_of_kata_have_a_resource_each_and_their_own_figures() {
    let snapshot = kata::snapshot().await;
    let all = encode(&mut encoder(TemporalityPreference::Delta), snapshot);
    let of_web = all.iter().find(|of| {
        let resource = of.resource.as_ref().expect("a resource");
        texts(&resource.attributes)
            .get("cgscope.kata.sandbox.id")
            .map(String::as_str)
            == Some(WEB)
    });
    let of_web = of_web.expect("the sandbox");
    let attributes = texts(&of_web.resource.as_ref().expect("a resource").attributes);
    assert_eq!(attributes["k8s.namespace.name"], "shop");
    assert_eq!(attributes["service.instance.id"], format!(":{WEB}"));
    let metrics = &of_web.scope_metrics[0].metrics;
    let histogram = named(
        metrics,
        "kata_shim_agent_rpc_durations_histogram_milliseconds",
    );
    let Some(Data::Histogram(histogram)) = &histogram.data else {
        panic!("{histogram:?}");
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (4, Some(12.5)));
    assert_eq!(point.bucket_counts, [2, 1, 1]);
    assert_eq!(point.explicit_bounds, [1.0, 2.0]);
    let cpu = named(metrics, "kata_shim_process_cpu_seconds_total");
    assert!(matches!(&cpu.data, Some(Data::Sum(sum)) if sum.is_monotonic));
    assert_eq!(number(&numbers(cpu)[0]), Some(1.5));
}

/// Values over all octaves, 0 among them.
fn waits() -> impl Strategy<Value = Vec<u64>> {
    let value = (0_u32..40, any::<u64>()).prop_map(|(octave, low)| low & ((1 << octave) - 1));
    prop::collection::vec(value, 0..60)
}

proptest! {
    #[test]
    fn a_histogram_has_every_value_in_its_bucket(waits in waits()) {
        let all = encode(
            &mut encoder(TemporalityPreference::Cumulative),
            snapshot(1_700_000_100, vec![waited(&waits, 1)]),
        );
        let (point, _) = latency_and_switches(&all);
        prop_assert_eq!(point.scale, 3);
        prop_assert_eq!(point.count, waits.len() as u64);
        #[expect(clippy::cast_precision_loss, reason = "as the wire's")]
        let sum = waits.iter().sum::<u64>() as f64 / 1e9;
        prop_assert_eq!(point.sum, Some(sum));
        let zeros = waits.iter().filter(|ns| **ns == 0).count() as u64;
        prop_assert_eq!(point.zero_count, zeros);
        let mut expected = BTreeMap::new();
        for ns in waits.iter().filter(|ns| **ns > 0) {
            #[expect(clippy::cast_precision_loss, reason = "as the wire's")]
            let seconds = *ns as f64 / 1e9;
            prop_assert!(seconds > point.zero_threshold);
            // (base^i, base^(i+1)] with base 2^(1/8), as OTLP has it.
            let index = (-300..300).find(|index| (f64::from(index + 1) / 8.0).exp2() >= seconds);
            *expected.entry(index.expect("a bucket")).or_insert(0) += 1;
        }
        prop_assert_eq!(buckets(&point), expected);
    }

    #[test]
    fn differences_add_up_to_what_was_counted(rounds in prop::collection::vec(waits(), 1..6)) {
        let mut delta = encoder(TemporalityPreference::Delta);
        let mut so_far = Vec::new();
        let (mut count, mut zeros, mut sum, mut switches) = (0, 0, 0.0, 0.0);
        let mut counts: HashMap<i32, u64> = HashMap::new();
        let mut before = 1_700_000_001_000_000_000;
        for (second, round) in (1_700_000_100..).step_by(10).zip(rounds) {
            so_far.extend(round);
            let all = encode(&mut delta, snapshot(second, vec![waited(&so_far, 1)]));
            let (point, switched) = latency_and_switches(&all);
            prop_assert_eq!(point.start_time_unix_nano, before);
            prop_assert_eq!(switched.start_time_unix_nano, before);
            before = point.time_unix_nano;
            count += point.count;
            zeros += point.zero_count;
            sum += point.sum.expect("a sum");
            switches += number(&switched).expect("a value");
            for (index, of_bucket) in buckets(&point) {
                *counts.entry(index).or_default() += of_bucket;
            }
        }
        let all = encode(
            &mut encoder(TemporalityPreference::Cumulative),
            snapshot(1_700_000_100, vec![waited(&so_far, 1)]),
        );
        let (point, switched) = latency_and_switches(&all);
        prop_assert_eq!((count, zeros), (point.count, point.zero_count));
        prop_assert!((sum - point.sum.expect("a sum")).abs() <= sum * 1e-12);
        prop_assert_eq!(Some(switches), number(&switched));
        prop_assert_eq!(counts.into_iter().collect::<BTreeMap<_, _>>(), buckets(&point));
    }
}
