//! A real Prometheus keeps the exemplars that it is told.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

use collector::{
    catalog::Recognizer,
    drain::{Batch, Event, Samples, Sink as _, decode::CgroupChange},
    export::{Format, NameSets, encode},
    host::{
        CgroupKey, HierarchyId,
        cgroup_mounts::{CgroupMounts, Hierarchy},
        process::ProcessStats,
    },
    reconcile::{
        Pipeline, PipelineSettings, Snapshot,
        readings::LastReadings,
        snapshot::{
            CgroupCounts, CgroupStats, Exemplar, ExemplarOf, KataSnapshot, ReadErrors, SpanRef,
        },
    },
};
use collector_common::sample::{BatchHeader, SchedSample};

use crate::prometheus::Prometheus;

const TRACE: [u8; 16] = [0xC0; 16];

/// A cgroup that waited for 1 ms and for 30 ms, the latter with a span.
fn cgroups(at: SystemTime) -> Vec<CgroupStats> {
    let hierarchies = vec![Hierarchy {
        id: HierarchyId::V2,
        controllers: Vec::new(),
        mount_point: "/nonexistent".into(),
        root: "/".into(),
    }];
    let settings = PipelineSettings {
        mounts: &CgroupMounts { hierarchies },
        recognizer: Recognizer::new(Path::new("/nonexistent")),
        operations: Vec::new(),
        max_cgroups: 10,
        retention: Duration::from_mins(5),
    };
    let mut pipeline = Pipeline::new(settings, at);
    pipeline.event(&Event::Cgroup {
        change: CgroupChange::Made,
        cgroup: CgroupKey::new(HierarchyId::V2, 7),
        path: b"/waited",
        cut: false,
        ktime_ns: 1,
    });
    let switches = [1_000_000, 30_000_000].map(|wait_and_flags| SchedSample {
        next_cgroup: 7,
        prev_cgroup: 7,
        wait_and_flags,
        slice_and_share: 5,
    });
    pipeline.batch(&Batch {
        header: &BatchHeader::default(),
        samples: Samples::Sched(&switches),
    });
    let mut cgroups = pipeline.scrape().cgroups;
    cgroups[0].exemplars = vec![Exemplar {
        of: ExemplarOf::RunqueueLatency,
        value_ns: 30_000_000,
        at,
        span: SpanRef {
            trace_id: TRACE,
            span_id: [0xDE; 8],
        },
    }];
    cgroups
}

fn snapshot(taken: SystemTime) -> Snapshot {
    Snapshot {
        life_losses: None,
        forwarder: None,
        taken,
        cgroups: cgroups(taken),
        accounts: Vec::new(),
        programs: Vec::new(),
        oom_limits_known: true,
        throttling_known: true,
        throttles_forgotten: 0,
        counts: CgroupCounts::default(),
        events_overflowed: 0,
        last_readings: LastReadings::default(),
        left_out: Default::default(),
        drift: Vec::new(),
        read_errors: ReadErrors::default(),
        runtimes: Vec::new(),
        kata: KataSnapshot::default(),
        otlp: Vec::new(),
        timings: Vec::new(),
        process: ProcessStats::default(),
    }
}

/// Serves the snapshot to whoever connects, in the format that it asks for.
fn serve(snapshot: Snapshot) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), &snapshot);
        }
    });
    address
}

fn answer(stream: &mut TcpStream, snapshot: &Snapshot) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let accept = head.iter().find_map(|line| line.strip_prefix("Accept: "));
    let format = Format::negotiate(&[accept.unwrap_or_default()]);
    let page = encode(snapshot.clone(), format, NameSets::default(), |device| {
        format!("{}:{}", device.major, device.minor)
    });
    let page = page.unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        format.content_type(),
        page.len()
    );
    // A Prometheus that is stopped while it scrapes reads no more.
    drop(stream.write_all(&[head.as_bytes(), &page].concat()));
}

/// Asserts that the exemplar is there, under this name.
fn is_kept(arguments: &[&str], series: &str) {
    let at = SystemTime::now();
    let address = serve(snapshot(at));
    let storage = ["--enable-feature=exemplar-storage"];
    let prometheus = Prometheus::start(&address, &[&storage, arguments].concat());
    let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let query = [
        ("query", series.to_owned()),
        ("start", (since_epoch.as_secs() - 60).to_string()),
        ("end", (since_epoch.as_secs() + 60).to_string()),
    ];
    let start = Instant::now();
    let found = loop {
        let answer = prometheus.get("query_exemplars", &query);
        let exemplar = answer
            .as_ref()
            .and_then(|answer| answer["data"][0]["exemplars"].get(0).cloned());
        if let Some(exemplar) = exemplar {
            break exemplar;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{series}: {answer:?}"
        );
        thread::sleep(Duration::from_millis(300));
    };
    assert_eq!(found["labels"]["trace_id"], "c0".repeat(16));
    assert_eq!(found["labels"]["span_id"], "de".repeat(8));
    assert_eq!(found["value"], "0.03");
    let told = found["timestamp"].as_f64().unwrap();
    assert!(
        (told - since_epoch.as_secs_f64()).abs() < 0.002,
        "{told}, not {since_epoch:?}"
    );
}

#[test]
fn of_a_classic_bucket_as_text() {
    is_kept(
        &[],
        "cgscope_container_runqueue_latency_seconds_bucket{id='/waited',le='0.05'}",
    );
}

#[test]
fn of_a_native_histogram_as_protobuf() {
    is_kept(
        &["--enable-feature=native-histograms"],
        "cgscope_container_runqueue_latency_seconds{id='/waited'}",
    );
}
