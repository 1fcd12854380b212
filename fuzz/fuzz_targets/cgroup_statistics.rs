//! The text of cgroup statistics and of network interfaces: every piece is a value or an error that
//! names a piece of the file, and no number is of a line that is cut off.
#![no_main]

use collector::host::{
    cgroupfs::{
        Limit, Pressure,
        parse::{
            device_rows, flat_keyed, id_ranges, nested_keyed, parse_i64, parse_limit, parse_u64,
            pressure_shares,
        },
    },
    network::interfaces,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let is_of_input = |piece: &[u8]| {
        let (all, piece) = (input.as_ptr_range(), piece.as_ptr_range());
        assert!(piece.is_empty() || all.start <= piece.start && piece.end <= all.end);
    };
    for entry in flat_keyed(input).chain(nested_keyed(input)) {
        match entry {
            Ok(entry) => {
                is_of_input(entry.name);
                is_of_input(entry.key);
                is_of_input(entry.value);
                assert!(!entry.value.is_empty() && !entry.value.contains(&b' '));
                if let Ok(number) = parse_u64(entry.value) {
                    assert_eq!(parse_limit(entry.value), Ok(Limit::At(number)));
                }
            }
            Err(malformed) => is_of_input(malformed.key),
        }
    }
    for row in device_rows(input) {
        match row {
            Ok(row) => is_of_input(row.operation),
            Err(malformed) => is_of_input(malformed.key),
        }
    }
    for range in id_ranges(input) {
        match range {
            Ok(range) => assert!(range.first <= range.last && range.count() >= 1),
            Err(malformed) => is_of_input(malformed.key),
        }
    }
    let mut pressure = Pressure::default();
    for share in pressure_shares(input) {
        match share {
            Ok((stall, share)) => pressure.put(stall, share),
            Err(malformed) => is_of_input(malformed.key),
        }
    }
    for interface in interfaces(input).flatten() {
        assert!(!interface.name.as_str().is_empty());
    }

    let text = str::from_utf8(input).unwrap_or("none");
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    assert_eq!(parse_u64(input).ok(), text.parse().ok().filter(|_| digits));
    if let Ok(number) = parse_i64(input) {
        assert_eq!(text.parse(), Ok(number));
    }

    // Without its end, a file has no other values than with it.
    let whole: Vec<_> = flat_keyed(input).flatten().collect();
    for cut in [input.len() / 2, input.len().saturating_sub(1)] {
        for entry in flat_keyed(&input[..cut]).flatten() {
            assert!(whole.contains(&entry));
        }
    }
});
