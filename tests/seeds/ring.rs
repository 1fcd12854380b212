//! Rings, as the fuzzer's targets read them: see `fuzz/src/ring.rs`.

use collector::drain::decode::{decode_batch, decode_event};
use collector_common::{
    event::{CgroupEvent, EventHeader, OomEvent, TRACE_PATH_LEN},
    sample::{BLOCK_BATCH, BatchHeader, BlockSample, SCHED_BATCH, SchedSample},
    signal::Signal,
};
use zerocopy::{Immutable, IntoBytes};

use crate::expect_seed;

const CONTAINER: &str = "/docker/4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

/// What a record of `ring_events` is, by the word in its head.
#[derive(Clone, Copy)]
enum Step {
    Event = 0,
    Samples = 1,
    Walk = 2,
    Check = 3,
}

/// A ring under construction.
#[derive(Default)]
struct Ring {
    bytes: Vec<u8>,
}

impl Ring {
    fn record(mut self, word: u32, record: &[u8]) -> Self {
        let length = u32::try_from(record.len()).expect("a short record");
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(word.to_le_bytes());
        self.bytes.extend(record);
        let padded = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(padded, 0);
        self
    }

    fn samples(self, record: &[u8]) -> Self {
        // Words, as a record is aligned.
        let mut words = vec![0_u64; record.len().div_ceil(8)];
        words.as_mut_bytes()[..record.len()].copy_from_slice(record);
        decode_batch(&words.as_bytes()[..record.len()]).expect("a good batch");
        self.record(Step::Samples as u32, record)
    }

    fn event(self, record: &[u8]) -> Self {
        let mut words = vec![0_u64; record.len().div_ceil(8)];
        words.as_mut_bytes()[..record.len()].copy_from_slice(record);
        decode_event(&words.as_bytes()[..record.len()]).expect("a good event");
        self.record(Step::Event as u32, record)
    }

    fn check(self) -> Self {
        self.record(Step::Check as u32, &[])
    }

    /// A walk of v2 that found these.
    fn walk(self, cgroups: &[(u8, &str)]) -> Self {
        let lines: Vec<Vec<u8>> = cgroups
            .iter()
            .map(|(id, path)| [&[*id], path.as_bytes()].concat())
            .collect();
        self.record(Step::Walk as u32 | u32::MAX << 5, &lines.join(&b'\n'))
    }
}

fn batch<T: IntoBytes + Immutable>(signal: Signal, samples: &[T]) -> Vec<u8> {
    let header = BatchHeader {
        signal: signal as u16,
        count: u16::try_from(samples.len()).expect("a batch"),
        cpu: 1,
        opened_ns: 1_000,
        submitted_ktime_ns: 2_000,
        sequence: 3,
    };
    [header.as_bytes(), samples.as_bytes()].concat()
}

fn switch(prev: u64, next: u64, flags: u64) -> SchedSample {
    SchedSample {
        next_cgroup: next,
        prev_cgroup: prev,
        wait_and_flags: 20_000 + flags,
        slice_and_share: 3_000_000 + (7 << SchedSample::SLICE_BITS),
    }
}

fn completion(cgroup: u64, device: u32, operation: u16, flags: u16) -> BlockSample {
    BlockSample {
        cgroup,
        queue_ns: 4_000,
        device_ns: 90_000,
        bytes: 4_096,
        device,
        operation,
        flags,
        since_opened_us: 50,
    }
}

fn cgroup(kind: u32, hierarchy: u32, id: u64, path: &str) -> Vec<u8> {
    let event = CgroupEvent {
        header: EventHeader {
            kind,
            cpu: 0,
            ktime_ns: 5_000_000_000,
        },
        cgroup: id,
        hierarchy,
        path_len: u32::try_from(path.len()).expect("a path"),
    };
    [event.as_bytes(), path.as_bytes()].concat()
}

fn made(id: u64, path: &str) -> Vec<u8> {
    cgroup(EventHeader::KIND_CGROUP_MKDIR, 1, id, path)
}

fn removed(id: u64, path: &str) -> Vec<u8> {
    cgroup(EventHeader::KIND_CGROUP_RMDIR, 1, id, path)
}

fn oom(victim: u64, owner: u64, flags: u32) -> Vec<u8> {
    let event = OomEvent {
        header: EventHeader {
            kind: EventHeader::KIND_OOM,
            cpu: 1,
            ktime_ns: 6_000_000_000,
        },
        victim_cgroup: victim,
        limit_owner_cgroup: owner,
        victim_pid: 4_242,
        flags,
        comm: *b"stress-ng-vm\0\0\0\0",
    };
    event.as_bytes().to_vec()
}

#[test]
fn seeds_of_samples_are_good_batches() {
    let flags = [
        0,
        SchedSample::FLAG_PREV_IDLE,
        SchedSample::FLAG_NEXT_IDLE,
        SchedSample::FLAG_PREV_IDLE | SchedSample::FLAG_NEXT_IDLE,
        SchedSample::FLAG_INVOLUNTARY,
        SchedSample::FLAG_INVOLUNTARY | SchedSample::FLAG_NEXT_KTHREAD,
        SchedSample::FLAG_NO_WAIT,
        SchedSample::FLAG_NO_SLICE | SchedSample::FLAG_NEGATIVE,
    ];
    let switches = flags.map(|flags| switch(7, 8, flags));
    let ring = Ring::default().samples(&batch(Signal::Sched, &switches));
    expect_seed("ring_samples", "switches", &ring.bytes);

    // From one cgroup to the next, through more than there is room for.
    let chain: Vec<_> = (0..SCHED_BATCH as u64)
        .map(|id| switch(id / 4, (id + 1) / 4, 0))
        .collect();
    let ring = Ring::default().samples(&batch(Signal::Sched, &chain));
    expect_seed("ring_samples", "many_cgroups", &ring.bytes);

    let kinds = [
        (0, 0),
        (1, 0),
        (2, BlockSample::FLAG_EMPTY_FLUSH),
        (3, BlockSample::FLAG_ERROR),
        (1, BlockSample::FLAG_PARTIAL),
        (13, 0),
    ];
    let completions = kinds.map(|(operation, flags)| completion(7, 8 << 20 | 1, operation, flags));
    let ring = Ring::default()
        .samples(&batch(Signal::BlockIo, &completions))
        .samples(&batch(Signal::Sched, &switches[..1]));
    expect_seed("ring_samples", "completions", &ring.bytes);

    let disks: Vec<_> = (0..)
        .take(BLOCK_BATCH)
        .map(|disk| completion(u64::from(disk % 3), u32::from(disk) << 20, disk % 4, 0))
        .collect();
    let ring = Ring::default().samples(&batch(Signal::BlockIo, &disks));
    expect_seed("ring_samples", "many_disks", &ring.bytes);
}

#[test]
fn seeds_of_events_are_good_events() {
    let populated = cgroup(EventHeader::KIND_CGROUP_POPULATED, 1, 7, CONTAINER);
    let emptied = cgroup(EventHeader::KIND_CGROUP_EMPTY, 1, 7, CONTAINER);
    let ring = Ring::default()
        .event(&made(7, CONTAINER))
        .event(&populated)
        .samples(&batch(Signal::Sched, &[switch(7, 9, 0)]))
        .samples(&batch(Signal::BlockIo, &[completion(7, 8 << 20, 0, 0)]))
        .event(&oom(7, 7, OomEvent::FLAG_LIMIT_OWNER))
        .event(&emptied)
        .event(&removed(7, CONTAINER))
        .check()
        .event(&made(11, CONTAINER))
        .check();
    expect_seed("ring_events", "life_of_a_container", &ring.bytes);

    let ring = Ring::default()
        .event(&made(7, "/a"))
        .event(&made(8, "/a/b"))
        .samples(&batch(Signal::Sched, &[switch(7, 8, 0)]))
        .event(&cgroup(EventHeader::KIND_CGROUP_RENAME, 1, 7, "/c"))
        .event(&made(7, "/d"))
        .check();
    expect_seed("ring_events", "rename_and_reuse", &ring.bytes);

    let ring = Ring::default()
        .samples(&batch(Signal::Sched, &[switch(7, 8, 0)]))
        .walk(&[(1, "/"), (7, "/a"), (8, "/a/\u{fc}")])
        .event(&cgroup(EventHeader::KIND_CGROUP_MKDIR, 0, 7, "/a"))
        .walk(&[(1, "/")])
        .check();
    expect_seed("ring_events", "walk", &ring.bytes);

    let long = format!("/{}", "x".repeat(TRACE_PATH_LEN - 2));
    let ring = Ring::default()
        .event(&made(7, &long))
        .event(&oom(0, 0, OomEvent::FLAG_PID_ONLY))
        .event(&oom(
            7,
            0,
            OomEvent::FLAG_LIMIT_OWNER | OomEvent::FLAG_GLOBAL,
        ))
        .check();
    expect_seed("ring_events", "cut_path_and_oom", &ring.bytes);

    // More than there is room for come, go, and come back.
    let mut ring = Ring::default();
    for id in 1..=20 {
        let path = format!("/{id}");
        ring = ring.event(&made(id, &path)).event(&removed(id, &path));
    }
    for id in 11..=20 {
        ring = ring.event(&made(id + 20, &format!("/{id}")));
    }
    expect_seed("ring_events", "crowd", &ring.check().bytes);
}
