//! Counts begin, go on and end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric, NumberDataPoint, metric::Data,
};

use super::{
    BEGAN, FILES, PATH, SWITCHES, at, encode, encoder, histograms, latency_and_switches, metrics,
    named, number, numbers, path_of, snapshot, texts, waited,
};
use crate::{
    catalog::{Identity, RuntimeContainer},
    export::{
        histogram::seconds,
        otlp::{
            OwnResource,
            metrics::{MetricsEncoder, TemporalityPreference},
        },
        tests::{busy_container, full_snapshot},
    },
    host::cgroupfs::{CgroupVersion, tests::statistics_of_dump},
    reconcile::snapshot::CgroupStats,
    window::Device,
};

#[test]
fn counts_begin_with_the_cgroup_or_with_cgscope_and_gauges_never() {
    let mut cumulative = encoder(TemporalityPreference::Cumulative);
    let all = encode(&mut cumulative, full_snapshot());
    for of in &all {
        let start = match path_of(of).as_str() {
            "" => BEGAN * 1_000_000_000,
            PATH => 1_700_000_001_000_000_000,
            _ => 1_700_000_000_250_000_000,
        };
        for metric in &of.scope_metrics[0].metrics {
            for point in histograms(metric) {
                assert_eq!(point.start_time_unix_nano, start, "{}", metric.name);
            }
            for point in numbers(metric) {
                let is_gauge = matches!(metric.data, Some(Data::Gauge(_)));
                // Its runtime counts them, and may have begun before.
                let has_no_start = is_gauge || metric.name == RESTARTS;
                let start = if has_no_start { 0 } else { start };
                assert_eq!(point.start_time_unix_nano, start, "{}", metric.name);
                assert_eq!(point.time_unix_nano, 1_700_000_200_000_000_000);
            }
        }
    }
    // What was there before cgscope was counted since cgscope was there.
    let attributes = Vec::new();
    let own = Arc::new(OwnResource { attributes });
    let mut late = MetricsEncoder::new(own, TemporalityPreference::Cumulative, at(1_700_000_100));
    let all = encode(&mut late, snapshot(1_700_000_200, vec![waited(&[7], 1)]));
    let (latency, _) = latency_and_switches(&all);
    assert_eq!(latency.start_time_unix_nano, 1_700_000_100_000_000_000);
}

#[test]
fn another_life_of_a_path_goes_on_counting_and_one_that_was_forgotten_begins_anew() {
    for temporality in [
        TemporalityPreference::Cumulative,
        TemporalityPreference::Delta,
    ] {
        let mut encoder = encoder(temporality);
        let mut shown = |second, cgroup| {
            let all = encode(&mut encoder, snapshot(second, vec![cgroup]));
            let (latency, switches) = latency_and_switches(&all);
            assert_eq!(latency.start_time_unix_nano, switches.start_time_unix_nano);
            let start = latency.start_time_unix_nano / 1_000_000_000 - 1_700_000_000;
            (start, latency.count, number(&switches).expect("a value"))
        };
        let first = shown(1_700_000_100, waited(&[5, 6], 1));
        let second = shown(1_700_000_110, waited(&[5, 6, 7], 2));
        // It fell, though it is told as the same life.
        let third = shown(1_700_000_120, waited(&[9], 2));
        // It is more than before, and another life all the same.
        let fourth = shown(1_700_000_130, waited(&[9, 9, 9, 9], 1));
        let expected = match temporality {
            TemporalityPreference::Cumulative => {
                [(1, 2, 2.0), (1, 3, 3.0), (110, 1, 1.0), (1, 4, 4.0)]
            }
            TemporalityPreference::Delta => {
                [(1, 2, 2.0), (100, 1, 1.0), (110, 1, 1.0), (1, 4, 4.0)]
            }
        };
        assert_eq!([first, second, third, fourth], expected, "{temporality:?}");
    }
}

#[test]
fn what_is_gone_is_said_to_have_no_value_once_and_is_forgotten() {
    let mut cumulative = encoder(TemporalityPreference::Cumulative);
    let gone = |point: &NumberDataPoint| point.flags == 1 && point.value.is_none();
    let before = encode(
        &mut cumulative,
        snapshot(1_700_000_100, vec![waited(&[5], 1)]),
    );
    let all = encode(&mut cumulative, snapshot(1_700_000_110, Vec::new()));
    let (before, last) = (metrics(&before, PATH), metrics(&all, PATH));
    for metric in before {
        let last = named(last, &metric.name);
        assert_eq!(numbers(last).len(), numbers(metric).len());
        assert!(numbers(last).iter().all(gone), "{}", metric.name);
        assert_eq!(histograms(last).len(), histograms(metric).len());
        assert!(
            histograms(last)
                .iter()
                .all(|point| point.flags == 1 && point.count == 0)
        );
    }
    let attributes = |metrics: &[Metric]| -> BTreeSet<_> {
        let points = numbers(named(metrics, SWITCHES)).iter();
        points.map(|point| texts(&point.attributes)).collect()
    };
    assert_eq!(attributes(last), attributes(before));
    assert!(cumulative.cgroups.is_empty());
    let all = encode(&mut cumulative, snapshot(1_700_000_120, Vec::new()));
    assert!(all.iter().all(|of| path_of(of) != PATH));

    // Of a cgroup that stays, only what it has no more of.
    let mut quantiles = waited(&[5], 1);
    quantiles.quantiles = busy_container().quantiles;
    let _ = encode(&mut cumulative, snapshot(1_700_000_130, vec![quantiles]));
    let all = encode(
        &mut cumulative,
        snapshot(1_700_000_140, vec![waited(&[5], 1)]),
    );
    let flagged = metrics(&all, PATH).iter().filter(|metric| {
        let points = numbers(metric);
        !points.is_empty() && points.iter().all(gone)
    });
    let flagged: Vec<_> = flagged.map(|metric| metric.name.as_str()).collect();
    assert_eq!(flagged, ["cgscope.container.window.quantile"]);

    // A difference needs no end.
    let mut delta = encoder(TemporalityPreference::Delta);
    let _ = encode(&mut delta, snapshot(1_700_000_100, vec![waited(&[5], 1)]));
    let all = encode(&mut delta, snapshot(1_700_000_110, Vec::new()));
    let last = metrics(&all, PATH).iter();
    assert!(last.clone().count() > 0);
    assert!(
        last.clone()
            .all(|metric| matches!(metric.data, Some(Data::Gauge(_))))
    );
    assert!(delta.cgroups.is_empty());
}

/// A container, and what its files say.
fn container(generation: u32) -> CgroupStats {
    let mut container = busy_container();
    container.exited = None;
    container.kernel.statistics = Some(Arc::new(statistics_of_dump(FILES)));
    container.identity = Arc::new(Identity {
        generation,
        started: at(1_700_000_000 + u64::from(generation)),
        ..(*container.identity).clone()
    });
    container
}

#[test]
fn the_figures_of_files_are_of_one_life_and_the_events_of_all() {
    let mut delta = encoder(TemporalityPreference::Delta);
    let mut shown = |second, generation| {
        let container = container(generation);
        let path = container.identity.path.clone();
        let all = encode(&mut delta, snapshot(second, vec![container]));
        let metrics = metrics(&all, &path);
        let starts_and_values = |name: &str| {
            let point = &numbers(named(metrics, name))[0];
            let start = point.start_time_unix_nano / 1_000_000_000;
            (start, number(point).expect("a value"))
        };
        let memory = &named(metrics, "container.memory.usage").data;
        let Some(Data::Sum(memory)) = memory else {
            panic!("{memory:?}");
        };
        assert!(!memory.is_monotonic);
        let temporality = memory.aggregation_temporality();
        assert_eq!(temporality, AggregationTemporality::Cumulative);
        let resource = all.iter().find(|of| path_of(of) == path);
        let resource = resource.and_then(|of| of.resource.as_ref());
        let known = texts(&resource.expect("a resource").attributes);
        assert_eq!(known["container.id"], "c0ffee");
        assert_eq!(known["k8s.pod.name"], "web-0");
        [
            starts_and_values("container.memory.usage"),
            starts_and_values("container.cpu.time"),
            starts_and_values(SWITCHES),
        ]
    };
    let [(_, in_use), (_, cpu), _] = shown(1_700_000_100, 1);
    assert!(in_use > 0.0 && cpu > 0.0);
    let second = shown(1_700_000_110, 1);
    let third = shown(1_700_000_120, 2);
    let (first, other) = (1_700_000_001, 1_700_000_002);
    assert_eq!(
        second,
        [(first, in_use), (1_700_000_100, 0.0), (1_700_000_100, 0.0)]
    );
    assert_eq!(third, [(other, in_use), (other, cpu), (1_700_000_110, 0.0)]);
}

/// The points of a metric of a container, by the values of their attributes.
fn points(
    encoder: &mut MetricsEncoder,
    second: u64,
    container: CgroupStats,
    name: &str,
) -> Vec<(String, u64, Option<f64>)> {
    let path = container.identity.path.clone();
    let all = encode(encoder, snapshot(second, vec![container]));
    let metric = metrics(&all, &path).iter().find(|of| of.name == name);
    let points = metric.map_or(&[][..], numbers).iter();
    let points = points.map(|point| {
        let attributes = texts(&point.attributes).into_values();
        let attributes: Vec<_> = attributes.collect();
        let start = point.start_time_unix_nano / 1_000_000_000;
        (attributes.join(" "), start, number(point))
    });
    points.collect()
}

/// A container whose CPU time is this, ns.
fn used(usage: u64, modes: Option<[u64; 2]>, version: CgroupVersion) -> CgroupStats {
    let mut container = container(1);
    let mut statistics = statistics_of_dump(FILES);
    let cpu = statistics.cpu.as_mut().expect("a CPU controller");
    cpu.version = version;
    cpu.of.usage_ns = Some(usage);
    [cpu.of.user_ns, cpu.of.system_ns] = modes.map_or([None; 2], |modes| modes.map(Some));
    container.kernel.statistics = Some(Arc::new(statistics));
    container
}

const CPU_TIME: &str = "container.cpu.time";

#[test]
fn cpu_time_is_by_mode_in_every_export_or_in_none() {
    // As on Linux 6.12: each of the three is cut to whole microseconds for itself.
    let readings = [
        (0, [0, 0]),
        (21_626_081_000, [9_357_555_000, 12_268_525_000]),
        (21_626_083_000, [9_357_556_000, 12_268_527_000]),
        // At the end of a life, with a last slice.
        (21_630_083_000, [9_357_556_000, 12_268_527_000]),
    ];
    let mut v2 = encoder(TemporalityPreference::Cumulative);
    let mut v1 = encoder(TemporalityPreference::Cumulative);
    for (turn, (usage, modes)) in (0..).zip(readings) {
        let second = 1_700_000_100 + turn;
        let by_mode = used(usage, Some(modes), CgroupVersion::V2);
        let [user, system] = modes.map(seconds);
        let last_slice = if turn == 3 { 0.004 } else { 0.0 };
        let start = 1_700_000_001;
        assert_eq!(
            points(&mut v2, second, by_mode, CPU_TIME),
            [
                ("user".to_owned(), start, Some(user + last_slice)),
                ("system".to_owned(), start, Some(system)),
            ]
        );
        let of_all = used(usage, Some(modes), CgroupVersion::V1);
        assert_eq!(
            points(&mut v1, second, of_all, CPU_TIME),
            [(String::new(), start, Some(seconds(usage)))]
        );
    }
}

#[test]
fn cpu_usage_stays_as_it_was_until_there_is_a_newer_reading_and_goes_with_the_container() {
    let mut encoder = encoder(TemporalityPreference::Cumulative);
    let read = |seconds: u64, usage: u64| {
        let mut container = used(usage, None, CgroupVersion::V1);
        let statistics = container.kernel.statistics.as_mut().expect("statistics");
        let cpu = &mut Arc::make_mut(statistics).cpu;
        cpu.as_mut().expect("a CPU controller").at.0 = Duration::from_secs(seconds);
        container
    };
    let mut exports = 1_700_000_100..;
    let mut shown = |container| -> Vec<_> {
        let second = exports.next().expect("more seconds");
        let points = points(&mut encoder, second, container, "container.cpu.usage");
        points.into_iter().map(|(.., value)| value).collect()
    };
    assert_eq!(shown(read(100, 0)), [], "there is nothing before");
    assert_eq!(shown(read(100, 0)), []);
    for _ in 0..3 {
        assert_eq!(shown(read(110, 5_000_000_000)), [Some(0.5)]);
    }
    assert_eq!(
        shown(read(170, 20_000_000_000)),
        [Some(0.25)],
        "of a minute"
    );
    let mut gone = read(170, 20_000_000_000);
    gone.exited = Some(at(1_700_000_100));
    // A last point that has no value.
    assert_eq!(shown(gone.clone()), [None]);
    assert_eq!(shown(gone), []);
    assert_eq!(encoder.cpu.len(), 1);
    let _ = encode(&mut encoder, snapshot(1_700_000_200, Vec::new()));
    assert!(encoder.cpu.is_empty());
}

#[test]
fn of_one_that_was_there_before_no_start_is_told_and_no_first_difference() {
    let found = |usage| {
        let mut container = used(usage, None, CgroupVersion::V1);
        Arc::make_mut(&mut container.identity).is_found = true;
        container
    };
    let of_all = |start, value| vec![(String::new(), start, Some(value))];
    let mut cumulative = encoder(TemporalityPreference::Cumulative);
    let mut delta = encoder(TemporalityPreference::Delta);
    for (second, usage, expected) in [
        (1_700_000_100, 90_000_000_000, Vec::new()),
        (1_700_000_110, 92_000_000_000, of_all(1_700_000_100, 2.0)),
        (1_700_000_120, 95_000_000_000, of_all(1_700_000_110, 3.0)),
    ] {
        let since_ever = of_all(0, seconds(usage));
        assert_eq!(
            points(&mut cumulative, second, found(usage), CPU_TIME),
            since_ever
        );
        assert_eq!(points(&mut delta, second, found(usage), CPU_TIME), expected);
    }
    let uptime = "container.uptime";
    assert_eq!(points(&mut delta, 1_700_000_130, found(0), uptime), []);
    let mut told = found(0);
    Arc::make_mut(&mut told.identity).told = Some(Arc::new(RuntimeContainer {
        started: Some(at(1_699_999_130)),
        ..RuntimeContainer::default()
    }));
    let up = points(&mut delta, 1_700_000_130, told, uptime);
    assert_eq!(up, [(String::new(), 0, Some(1_000.0))]);
}

#[test]
fn one_whose_start_is_later_than_now_as_the_calendar_was_set_back_goes_on_counting() {
    let made_an_hour_ahead = |usage| {
        let mut container = used(usage, None, CgroupVersion::V1);
        Arc::make_mut(&mut container.identity).started = at(1_700_003_600);
        container
    };
    let mut cumulative = encoder(TemporalityPreference::Cumulative);
    let mut delta = encoder(TemporalityPreference::Delta);
    let of_all = |start, value| vec![(String::new(), start, Some(value))];
    for (second, usage, sum, difference) in [
        (100, 5_000_000_000, (100, 5.0), (100, 5.0)),
        (110, 7_000_000_000, (100, 7.0), (100, 2.0)),
        (120, 10_000_000_000, (100, 10.0), (110, 3.0)),
        // The calendar has come to where it was.
        (7_200, 11_000_000_000, (100, 11.0), (120, 1.0)),
    ] {
        let time = 1_700_000_000 + second;
        let shown = |encoder| points(encoder, time, made_an_hour_ahead(usage), CPU_TIME);
        assert_eq!(
            [shown(&mut cumulative), shown(&mut delta)],
            [sum, difference].map(|(start, value)| of_all(1_700_000_000 + start, value))
        );
    }
}

#[test]
fn no_point_starts_after_its_time_when_the_calendar_is_set_back_between_exports() {
    for (temporality, expected) in [
        (
            TemporalityPreference::Cumulative,
            [(3_600, 1), (100, 2), (100, 3)],
        ),
        (
            TemporalityPreference::Delta,
            [(3_600, 1), (100, 1), (100, 1)],
        ),
    ] {
        let own = Arc::new(OwnResource {
            attributes: Vec::new(),
        });
        let mut encoder = MetricsEncoder::new(own, temporality, at(1_700_003_600));
        let mut shown = |second: u64, waits: &[u64]| {
            let waited = snapshot(1_700_000_000 + second, vec![waited(waits, 1)]);
            let all = encode(&mut encoder, waited);
            for metric in all.iter().flat_map(|of| &of.scope_metrics[0].metrics) {
                let spans = numbers(metric)
                    .iter()
                    .map(|of| (of.start_time_unix_nano, of.time_unix_nano));
                let of_histograms = histograms(metric).iter();
                let of_histograms =
                    of_histograms.map(|of| (of.start_time_unix_nano, of.time_unix_nano));
                for (start, time) in spans.chain(of_histograms) {
                    assert!(start <= time, "{}: {start}, {time}", metric.name);
                }
            }
            let (latency, _) = latency_and_switches(&all);
            let start = latency.start_time_unix_nano / 1_000_000_000;
            (start - 1_700_000_000, latency.count)
        };
        let shown = [
            shown(3_610, &[5]),
            shown(100, &[5, 6]),
            shown(110, &[5, 6, 7]),
        ];
        assert_eq!(shown, expected, "{temporality:?}");
        let gone = encode(&mut encoder, snapshot(1_700_000_000, Vec::new()));
        for metric in gone.iter().flat_map(|of| &of.scope_metrics[0].metrics) {
            let mut points = numbers(metric).iter();
            assert!(points.all(|of| of.start_time_unix_nano <= of.time_unix_nano));
        }
    }
}

const RESTARTS: &str = "cgscope.container.restarts";

#[test]
fn restarts_are_of_an_unknown_start_and_what_was_before_the_first_export_is_no_difference() {
    let restarted = |restarts, generation| {
        let mut container = container(generation);
        Arc::make_mut(&mut container.identity).told = Some(Arc::new(RuntimeContainer {
            restarts: Some(restarts),
            ..RuntimeContainer::default()
        }));
        container
    };
    let mut cumulative = encoder(TemporalityPreference::Cumulative);
    let mut delta = encoder(TemporalityPreference::Delta);
    let one = |start, value| vec![(String::new(), start, Some(value))];
    for (second, restarts, generation, expected) in [
        (1_700_000_100, 7, 1, Vec::new()),
        (1_700_000_110, 7, 1, one(1_700_000_100, 0.0)),
        // A restart begins another life of the path, and is one more of the same.
        (1_700_000_120, 8, 2, one(1_700_000_110, 1.0)),
    ] {
        let shown = |encoder| points(encoder, second, restarted(restarts, generation), RESTARTS);
        let all = one(0, f64::from(restarts));
        assert_eq!(shown(&mut cumulative), all);
        assert_eq!(shown(&mut delta), expected);
    }
    // cgscope was started anew.
    let mut anew = encoder(TemporalityPreference::Delta);
    let first = points(&mut anew, 1_700_000_130, restarted(8, 2), RESTARTS);
    assert_eq!(first, []);
}

#[test]
fn a_difference_is_to_what_was_said_last_also_after_an_export_without_it() {
    let mut delta = encoder(TemporalityPreference::Delta);
    let without = || {
        let mut container = container(1);
        container.kernel.statistics = None;
        container
    };
    let used = |usage| used(usage, None, CgroupVersion::V1);
    let first = points(&mut delta, 1_700_000_100, used(5_000_000_000), CPU_TIME);
    assert_eq!(first, [(String::new(), 1_700_000_001, Some(5.0))]);
    assert_eq!(points(&mut delta, 1_700_000_110, without(), CPU_TIME), []);
    let again = points(&mut delta, 1_700_000_120, used(6_000_000_000), CPU_TIME);
    assert_eq!(again, [(String::new(), 1_700_000_100, Some(1.0))]);
}

#[test]
fn what_comes_to_one_that_was_there_before_is_a_difference_unless_it_is_the_first_of_its_metric() {
    let io = |devices: &[u64]| {
        let mut container = container(1);
        Arc::make_mut(&mut container.identity).is_found = true;
        let mut statistics = statistics_of_dump(FILES);
        let io = &mut statistics.io.as_mut().expect("disks").of;
        let row = io.devices[0].clone();
        io.devices = (0..)
            .zip(devices)
            .map(|(minor, written)| {
                let mut row = row.clone();
                row.device = Device { major: 259, minor };
                (row.bytes.read, row.bytes.write) = (None, Some(*written));
                row
            })
            .collect();
        container.kernel.statistics = Some(Arc::new(statistics));
        container
    };
    let mut delta = encoder(TemporalityPreference::Delta);
    let mut shown = |second, devices: &[u64]| {
        let points = points(&mut delta, second, io(devices), "container.disk.io");
        let points = points.into_iter();
        let points = points.map(|(_, start, value)| (start, value.expect("a value")));
        points.collect::<Vec<_>>()
    };
    assert_eq!(shown(1_700_000_100, &[1_000]), []);
    let later = shown(1_700_000_110, &[1_500, 70]);
    assert_eq!(later, [(1_700_000_100, 500.0), (1_700_000_100, 70.0)]);
    let last = shown(1_700_000_120, &[1_500, 80]);
    assert_eq!(last, [(1_700_000_110, 0.0), (1_700_000_110, 10.0)]);
}

#[test]
fn lives_whose_starts_nobody_knows_are_two_all_the_same() {
    let found = |generation, usage| {
        let mut container = used(usage, None, CgroupVersion::V1);
        let identity = Arc::make_mut(&mut container.identity);
        (identity.generation, identity.is_found) = (generation, true);
        container
    };
    let mut delta = encoder(TemporalityPreference::Delta);
    let mut shown = |second, generation, usage| {
        points(&mut delta, second, found(generation, usage), CPU_TIME).len()
    };
    assert_eq!(shown(1_700_000_100, 1, 1_000_000_000), 0);
    assert_eq!(shown(1_700_000_110, 1, 2_000_000_000), 1);
    assert_eq!(shown(1_700_000_120, 2, 5_000_000_000), 0, "of another life");
    assert_eq!(shown(1_700_000_130, 2, 6_000_000_000), 1);
}

#[test]
fn no_more_absent_differences_are_kept_than_may_be() {
    let mut delta = encoder(TemporalityPreference::Delta);
    let with = |device: u32| {
        let mut container = container(1);
        let mut statistics = statistics_of_dump(FILES);
        let io = &mut statistics.io.as_mut().expect("disks").of;
        io.devices.truncate(1);
        io.devices[0].device = Device {
            major: 259,
            minor: device,
        };
        container.kernel.statistics = Some(Arc::new(statistics));
        container
    };
    for device in 0..400 {
        let second = 1_700_000_100 + u64::from(device);
        assert!(!points(&mut delta, second, with(device), "container.disk.io").is_empty());
    }
    let path = with(0).identity.path.clone();
    let kept = delta.cgroups[&path].entity.series_kept();
    assert!((256..350).contains(&kept), "{kept}");
}
