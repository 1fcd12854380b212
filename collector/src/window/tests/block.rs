use super::*;
use crate::window::{BatchOutcome, BlockTotals, LossReason, WindowSignal};

fn record(windows: &mut CgroupWindows, samples: &[BlockSample]) -> BatchOutcome {
    windows.record_block(HierarchyId(5), samples, &codes())
}

fn block_key(id: u64) -> CgroupKey {
    CgroupKey::new(HierarchyId(5), id)
}

fn only_block(windows: &CgroupWindows, id: u64) -> BlockTotals {
    let block = windows.get(block_key(id)).unwrap().block();
    let [block] = &block[..] else {
        panic!("{} entries", block.len())
    };
    block.clone()
}

#[test]
fn a_completion_has_both_latencies_and_its_bytes() {
    let mut windows = windows();
    let outcome = record(&mut windows, &[completion(7, 1, 0)]);
    assert_eq!(
        outcome,
        BatchOutcome {
            recorded: 1,
            ..BatchOutcome::default()
        }
    );
    let block = only_block(&windows, 7);
    assert_eq!((block.device, block.operation), (DISK, Operation::Write));
    assert_eq!(count_and_sum(&block.queue), (1, 1_000));
    assert_eq!(count_and_sum(&block.in_device), (1, 200_000));
    assert_eq!((block.bytes, block.errors), (4_096, 0));
    let view = windows.get(block_key(7)).unwrap();
    assert_eq!(
        view.quantiles(WindowSignal::BlockIoQueue)
            .unwrap()
            .values_ns,
        [1_023; 6]
    );
    assert_eq!(
        view.quantiles(WindowSignal::BlockIoDevice)
            .unwrap()
            .values_ns,
        [204_799; 6]
    );
    assert_eq!(view.quantiles(WindowSignal::RunqueueLatency), None);
    assert!(view.sched().is_none());
}

#[test]
fn a_partial_completion_has_bytes_and_no_latency() {
    let mut windows = windows();
    let outcome = record(
        &mut windows,
        &[
            completion(7, 0, BlockSample::FLAG_PARTIAL),
            completion(7, 0, BlockSample::FLAG_PARTIAL | BlockSample::FLAG_ERROR),
        ],
    );
    assert_eq!(outcome.recorded, 2);
    let block = only_block(&windows, 7);
    assert_eq!((block.bytes, block.errors), (8_192, 1));
    assert!(block.queue.is_empty() && block.in_device.is_empty());
}

#[test]
fn an_error_counts_with_its_latency() {
    let mut windows = windows();
    record(
        &mut windows,
        &[
            completion(7, 0, BlockSample::FLAG_ERROR),
            completion(7, 0, 0),
        ],
    );
    let block = only_block(&windows, 7);
    assert_eq!((block.errors, block.bytes), (1, 8_192));
    assert_eq!(count_and_sum(&block.in_device), (2, 400_000));
}

#[test]
fn an_operation_that_is_not_counted_is_filtered() {
    let mut windows = windows();
    // 34 is a driver's command, 256 and more cannot be.
    let samples = [34, 256, u16::MAX].map(|operation| completion(7, operation, 0));
    let outcome = record(&mut windows, &samples);
    assert_eq!(
        outcome,
        BatchOutcome {
            filtered: 3,
            ..BatchOutcome::default()
        }
    );
    assert_eq!(windows.keys().len(), 0);
}

#[test]
fn devices_and_operations_are_told_apart_and_share_the_windows() {
    let mut windows = windows();
    let other = BlockSample {
        device: (253 << 20) | 1,
        ..completion(7, 0, 0)
    };
    record(
        &mut windows,
        &[
            completion(7, 0, 0),
            completion(7, 9, 0),
            other,
            completion(7, 0, 0),
            completion(7, 1, 0),
            other,
        ],
    );
    let view = windows.get(block_key(7)).unwrap();
    let found: Vec<_> = view
        .block()
        .iter()
        .map(|b| (b.device, b.operation, b.queue.count()))
        .collect();
    assert_eq!(
        found,
        [
            (DISK, Operation::Read, 2),
            (DISK, Operation::Write, 2),
            (
                Device {
                    major: 253,
                    minor: 1
                },
                Operation::Read,
                2
            ),
        ]
    );
    assert_eq!(
        view.windowed(WindowSignal::BlockIoQueue)
            .unwrap()
            .merged()
            .len(),
        6
    );
}

#[test]
fn a_span_out_of_range_loses_the_event_and_keeps_the_rest() {
    let mut windows = windows();
    let outcome = record(
        &mut windows,
        &[
            BlockSample {
                queue_ns: TOO_LONG,
                ..completion(7, 0, 0)
            },
            BlockSample {
                device_ns: u64::MAX,
                ..completion(7, 0, 0)
            },
            BlockSample {
                queue_ns: TOO_LONG,
                device_ns: TOO_LONG,
                ..completion(7, 0, 0)
            },
        ],
    );
    assert_eq!(outcome.lost.of(LossReason::OutOfRange), 3);
    assert_eq!(outcome.total(), 3);
    let block = only_block(&windows, 7);
    assert_eq!(count_and_sum(&block.queue), (1, 1_000));
    assert_eq!(count_and_sum(&block.in_device), (1, 200_000));
    assert_eq!(block.bytes, 3 * 4_096);
}

#[test]
fn too_many_devices_are_told_apart_no_more() {
    let mut windows = windows();
    let samples: Vec<_> = (0..1_000)
        .map(|minor| BlockSample {
            device: (8 << 20) | minor,
            ..completion(7, 0, 0)
        })
        .collect();
    for _ in 0..2 {
        assert_eq!(record(&mut windows, &samples).recorded, 1_000);
    }
    let block = windows.get(block_key(7)).unwrap().block();
    assert_eq!(block.len(), 257);
    assert_eq!(block.iter().map(|b| b.bytes).sum::<u64>(), 2_000 * 4_096);
    assert_eq!(block[256].device, Device::OTHER);
    assert_eq!(block[256].queue.count(), 2 * (1_000 - 256));
}

#[test]
fn the_same_id_in_two_hierarchies_is_two_cgroups() {
    let mut windows = windows();
    windows.record_block(HierarchyId(5), &[completion(7, 0, 0)], &codes());
    windows.record_block(
        HierarchyId(6),
        &[completion(7, 0, 0), completion(7, 0, 0)],
        &codes(),
    );
    windows.record_sched(HierarchyId::V2, &[switch(7, 7, 1, 1, 0)]);
    assert_eq!(windows.keys().len(), 3);
    assert_eq!(only_block(&windows, 7).queue.count(), 1);
}
