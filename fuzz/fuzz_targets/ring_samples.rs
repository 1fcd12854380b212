//! The samples ring, from bytes to the windows: every sample of a good record is recorded, filtered
//! or lost, and what is recorded is found again.
#![no_main]

use collector::{
    drain::{
        Samples,
        decode::{announced, decode_batch},
    },
    host::HierarchyId,
    window::{CgroupWindows, OperationCodes, WindowSettings, WindowSignal},
};
use collector_fuzz::{OPERATIONS, Ring, Sums};
use libfuzzer_sys::fuzz_target;

/// Few enough to run out of.
const MAX_CGROUPS: usize = 8;

fuzz_target!(|input: &[u8]| {
    let operations = OperationCodes::new(OPERATIONS);
    let mut windows = CgroupWindows::new(WindowSettings {
        windows: 2,
        max_cgroups: MAX_CGROUPS,
    });
    let mut expected = Sums::default();
    for record in Ring::new(input).records() {
        let Ok(batch) = decode_batch(record.bytes) else {
            // What it says of itself is asked all the same, for the account.
            let _ = announced(record.bytes);
            continue;
        };
        let (count, outcome) = match batch.samples {
            Samples::Sched(samples) => (
                samples.len(),
                windows.record_sched(HierarchyId::V2, samples),
            ),
            Samples::BlockIo(samples) => (
                samples.len(),
                windows.record_block(HierarchyId::V2, samples, &operations),
            ),
        };
        assert_eq!(outcome.total(), count as u64, "{outcome:?}");
        assert_eq!(
            announced(record.bytes),
            Some((batch.signal(), count as u64))
        );
        expected += Sums::of_samples(batch.samples);
        if record.word & 1 == 1 {
            windows.rotate();
        }
    }

    assert!(windows.keys().len() <= MAX_CGROUPS);
    let mut found = Sums::default();
    let keys: Vec<_> = windows.keys().collect();
    let views = keys.iter().filter_map(|key| windows.get(*key));
    for view in views.chain([windows.overflow()]) {
        let totals = view.totals();
        found += Sums::of_totals(totals.sched.as_ref(), &totals.block);
        for signal in WindowSignal::ALL {
            if let Some(quantiles) = view.quantiles(signal) {
                assert!(quantiles.values_ns.is_sorted(), "{quantiles:?}");
            }
        }
    }
    assert_eq!(found, expected);
});
