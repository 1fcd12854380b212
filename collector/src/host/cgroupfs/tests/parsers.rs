//! Whatever the bytes are: no panic, and nothing that is not there.

use proptest::{prelude::*, test_runner::TestCaseError};

use super::Tree;
use crate::host::{
    cgroupfs::{
        KernelFile, Limit, Reason, Wanted,
        parse::{
            DeviceNumber, device_rows, flat_keyed, id_ranges, nested_keyed, parse_i64, parse_limit,
            parse_u64, pressure_shares,
        },
    },
    network::interfaces,
};

/// Bytes that look like a file of numbers, more often than any bytes do.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("some".to_owned()),
        Just("max".to_owned()),
        Just("8:0".to_owned()),
        Just("Read".to_owned()),
        Just("eth0:".to_owned()),
        "[a-z_.]{1,8}=[0-9.-]{0,22}",
        "-?[0-9]{1,22}",
        "[a-z]{1,6}",
    ];
    let separator = prop_oneof![
        8 => Just(" "),
        4 => Just("\n"),
        1 => Just("\r\n"),
        1 => Just(","),
        1 => Just("-"),
        1 => Just("\0"),
    ];
    let lines = prop::collection::vec((word, separator), 0..40).prop_map(|words| {
        words
            .into_iter()
            .flat_map(|(word, separator)| [word.into_bytes(), separator.as_bytes().to_vec()])
            .flatten()
            .collect()
    });
    prop_oneof![4 => lines, 1 => prop::collection::vec(any::<u8>(), 0..400)]
}

/// Whether a piece is of the file, and not made up.
fn is_of(bytes: &[u8], piece: &[u8]) -> Result<(), TestCaseError> {
    let (start, end) = (bytes.as_ptr_range().start, bytes.as_ptr_range().end);
    let range = piece.as_ptr_range();
    prop_assert!(piece.is_empty() || (range.start >= start && range.end <= end));
    Ok(())
}

proptest! {
    #[test]
    fn every_parser_takes_any_bytes(bytes in text()) {
        for entry in flat_keyed(&bytes).chain(nested_keyed(&bytes)) {
            match entry {
                Ok(entry) => {
                    is_of(&bytes, entry.key)?;
                    is_of(&bytes, entry.value)?;
                    prop_assert!(!entry.value.is_empty());
                    prop_assert!(!entry.value.contains(&b' ') && !entry.value.contains(&b'\n'));
                }
                Err(malformed) => is_of(&bytes, malformed.key)?,
            }
        }
        for row in device_rows(&bytes) {
            if let Err(malformed) = row {
                is_of(&bytes, malformed.key)?;
            }
        }
        for range in id_ranges(&bytes).flatten() {
            prop_assert!(range.count() >= 1);
        }
        prop_assert!(pressure_shares(&bytes).count() <= bytes.len());
        prop_assert!(interfaces(&bytes).count() <= bytes.len());
        prop_assert!(DeviceNumber::parse(&bytes) != Err(Reason::Overflow));
        prop_assert_eq!(parse_limit(&bytes).ok().and_then(Limit::bound), parse_u64(&bytes).ok());
    }

    #[test]
    fn a_number_is_read_as_any_other_program_would(bytes in text()) {
        let expected = str::from_utf8(&bytes)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok());
        prop_assert_eq!(parse_u64(&bytes).ok(), expected);
        if let Ok(number) = parse_i64(&bytes) {
            prop_assert_eq!(str::from_utf8(&bytes).unwrap().parse::<i64>().ok(), Some(number));
        }
    }

    #[test]
    fn numbers_come_back(number: u64, signed: i64) {
        prop_assert_eq!(parse_u64(number.to_string().as_bytes()), Ok(number));
        prop_assert_eq!(parse_i64(signed.to_string().as_bytes()), Ok(signed));
        let above = u128::from(u64::MAX) + 1 + u128::from(number);
        prop_assert_eq!(parse_u64(above.to_string().as_bytes()), Err(Reason::Overflow));
    }

    #[test]
    fn a_file_that_ends_anywhere_has_no_wrong_number(cut in 0_usize..60, value in 10_u64..) {
        let whole = format!("a_key 12345\nb_key {value}\nc_key 9\n");
        let cut = &whole.as_bytes()[..cut.min(whole.len())];
        let expected = [&b"12345"[..], value.to_string().as_bytes(), b"9"].map(<[u8]>::to_vec);
        for entry in flat_keyed(cut).flatten() {
            let place = usize::from(entry.key[0] - b'a');
            prop_assert_eq!(entry.value, &expected[place][..]);
        }
    }
}

proptest! {
    // Each case writes hundreds of files.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_cgroup_of_any_files_can_be_read(
        contents in prop::collection::vec(text(), KernelFile::ALL.len()),
        again in prop::collection::vec(text(), KernelFile::ALL.len()),
    ) {
        for controller in ["unified", "cpu,cpuacct,memory,blkio,pids,hugetlb,rdma,misc,cpuset"] {
            let mut tree = Tree::empty();
            tree.add(controller);
            std::fs::create_dir_all(tree.path(controller).join("pod/box")).unwrap();
            let mut reading = tree.reading();
            for contents in [&contents, &again] {
                for (file, bytes) in KernelFile::ALL.iter().zip(contents) {
                    let name = file.name().to_str().unwrap();
                    let name = match name.strip_prefix('.') {
                        Some(behind) => format!("hugetlb.2MB.{behind}"),
                        None if name.contains('/') => continue,
                        None => name.to_owned(),
                    };
                    tree.write(&format!("{controller}/pod/box/{name}"), bytes);
                }
                let outcome = reading.read(Wanted::ALL);
                prop_assert!(outcome.read.contains(Wanted::CPU | Wanted::MEMORY | Wanted::IO));
            }
            prop_assert!(reading.context.account.files > 60);
        }
    }
}
