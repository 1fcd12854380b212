//! The life of a container as a trace, where the time that its disk takes is set.
//!
//! The container is a cgroup at a place of Docker's, without a runtime, so that it is known by its id alone. It
//! is told to a recorder in the test, in the place of a collector, which a virtual machine does not have.

use std::{fs, process::Command, time::Duration};

use collector_tests::{
    cgroup::TestCgroup,
    daemon::Daemon,
    note,
    null_disk::NullDisk,
    otel_collector::Recorder,
    skipped,
    trace_of::{
        disk_waits, event, is_whole, note_times, of_container, one_trace, only, text, value,
    },
    workload_binary,
};
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};

/// From a bucket of a histogram to the next.
const TOLERANCE: f64 = 1.0905;

/// A container that works for more than its share of a CPU, writes to the disk and reads from it, and takes
/// more memory than it may; it has ended by then.
fn suffer(container: &TestCgroup, disk: &str) {
    let workload = workload_binary().display().to_string();
    let joins = container.mounts.attributed();
    let joins = joins.into_iter().map(|hierarchy| {
        let file = container.directory(hierarchy).join("cgroup.procs");
        format!("echo $$ > {} && ", file.display())
    });
    let joins: String = joins.collect();
    let script = format!(
        "{joins}{workload} busy 0 1 800 && {workload} write {disk} 524288 --direct && \
         dd if={disk} of=/dev/null bs=64k skip=32 count=4 && exec {workload} allocate 200"
    );
    let mut shell = Command::new("sh");
    let ended = shell.args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), None, "not killed: {said}");
}

fn attributes_of<'a>(span: &'a Span, event: &str) -> &'a [KeyValue] {
    let found = span.events.iter().find(|of| of.name == event);
    &found.unwrap().attributes
}

#[test]
#[ignore = "needs the module null_blk, which `cargo xtask vm` loads"]
fn one_that_is_throttled_waits_for_a_disk_of_a_set_speed_and_dies_of_oom_is_one_trace() {
    let set = Duration::from_millis(20);
    let disk = NullDisk::new("cgscope-lives", set);
    let recorder = Recorder::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cgscope.toml");
    let text_of_config = format!(
        "[export.otlp.traces]\nendpoint = \"{}/v1/traces\"\nbatch_delay = \"100ms\"\n\
         [trace.containers]\nenable_tracing = true\nrunqueue_latency = \"off\"\nblock_io = \"10ms\"\n\
         container_per_second = 20\n",
        recorder.endpoint()
    );
    fs::write(&config, text_of_config).unwrap();
    let daemon = Daemon::start(&["--config", &config.display().to_string()]);
    let container = TestCgroup::container();
    let id = container.container_id().unwrap();
    if container.mounts.memory_hierarchy().is_none() {
        skipped("this host has no hierarchy of memory limits");
        return;
    }
    container.limit_memory(24 << 20);
    container.limit_cpu(50_000, 100_000);
    suffer(&container, &disk.path());
    let told = recorder.wait_for("the life", Duration::from_secs(20), |recorded| {
        let told = of_container(recorded, id);
        is_whole(&told).then_some(told)
    });
    let (root, others) = one_trace(&told);
    note_times(root, &others);
    assert_eq!(root.name, "container started");
    let life = only(&others, "container");
    let status = life.status.clone().unwrap_or_default();
    assert_eq!(status.code, 2, "{status:?}");
    assert!(status.message.contains("OOM killer"), "{status:?}");
    // Nobody tells how it exited.
    assert_eq!(value(&life.attributes, "process.exit.code"), None);

    // Each request took what the disk is set to, and what the interrupt adds.
    let path = disk.path();
    let name = path.strip_prefix("/dev/").unwrap();
    let set = set.as_secs_f64() * 1e3;
    let [writes, reads] = ["write", "read"].map(|operation| disk_waits(&others, name, operation));
    assert_eq!(writes.len(), 8, "one for each 64 KiB");
    assert!(!reads.is_empty());
    for waits in [&writes, &reads] {
        let took: Vec<f64> = waits.iter().map(|(_, took)| *took).collect();
        note(&format!("set {set} ms, told {took:?}"));
        let least = took.iter().copied().fold(f64::INFINITY, f64::min);
        assert!((set..set * TOLERANCE).contains(&least), "{took:?}");
    }

    // All of it, in the order of time.
    let first = |waits: &[(&Span, f64)]| waits[0].0.start_time_unix_nano;
    let order = [
        life.start_time_unix_nano,
        event(&others, "cgscope.throttled"),
        first(&writes),
        first(&reads),
        event(&others, "cgscope.oom_kill"),
        life.end_time_unix_nano,
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(root.start_time_unix_nano, life.start_time_unix_nano);

    let kill = attributes_of(life, "cgscope.oom_kill");
    assert!(value(kill, "process.pid").is_some(), "{kill:?}");
    let told_by_kernel = |key: &str, expected: &str| match text(kill, key) {
        Some(told) => assert_eq!(told, expected, "{key}"),
        None => note(&format!("this kernel does not tell {key}")),
    };
    told_by_kernel("process.executable.name", "workload");
    told_by_kernel("cgscope.cgroup.path", &container.path);
    told_by_kernel("cgscope.oom.limit.cgroup.path", &container.path);
    assert_ne!(
        value(kill, "cgscope.oom.host"),
        Some(Value::BoolValue(true))
    );
    drop(daemon);
}
