//! `Accept` headers: a format is found for any, letters' case does not matter, and several headers
//! are as good as one.
#![no_main]

use collector::export::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    let format = Format::negotiate(&lines);
    assert_eq!(Format::negotiate(&[&lines.join(",")]), format);
    assert_eq!(
        Format::negotiate(&[&lines.join(",").to_ascii_uppercase()]),
        format
    );
    // What is wanted most is served, if it is one of ours.
    for wanted in Format::ALL {
        let with = [&[wanted.content_type()], lines.as_slice()].concat();
        assert_eq!(Format::negotiate(&with), wanted);
    }
});
