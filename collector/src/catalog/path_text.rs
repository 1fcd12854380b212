//! A cgroup's path as text that can be a label.
//!
//! A path is any bytes but NUL, up to 4 KiB. The exposition formats escape quotes, backslashes and
//! newlines themselves; what they cannot carry is bytes that are not UTF-8, and what people cannot
//! read is control characters.

use super::Identity;
use crate::text_within;

/// Makes it, of at most [`Identity::MAX_PATH`] bytes. A path that had to be changed ends in a hash of it, since another may
/// spell the same.
#[must_use]
pub fn path_text(path: &[u8]) -> String {
    text_within(path, Identity::MAX_PATH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_stay_and_strange_bytes_are_spelled_out() {
        for (path, text) in [
            (&b"/docker/abc"[..], "/docker/abc"),
            ("/ünïcode".as_bytes(), "/ünïcode"),
            (b"/a \"quoted\" \\ one", "/a \"quoted\" \\ one"),
        ] {
            assert_eq!(path_text(path), text);
        }
        for (path, text) in [
            (&b"/line\nbreak\x1b"[..], "/line\\x0abreak\\x1b…"),
            (b"/bad\xff\xc3", "/bad\\xff\\xc3…"),
            ("/a\u{202e}b".as_bytes(), "/a\\xe2\\x80\\xaeb…"),
        ] {
            let made = path_text(path);
            assert!(
                made.starts_with(text) && made.len() == text.len() + 16,
                "{made}"
            );
        }
    }

    #[test]
    fn a_path_that_spells_anothers_escape_stays_another() {
        assert_ne!(path_text(b"/x\x01"), path_text(b"/x\\x01"));
    }

    #[test]
    fn long_paths_are_cut_and_stay_two() {
        let (a, b) = (
            [b"/".as_slice(), &[b'a'; 4000], b"1"].concat(),
            [b"/".as_slice(), &[b'a'; 4000], b"2"].concat(),
        );
        let (a, b) = (path_text(&a), path_text(&b));
        assert!(a.len() <= Identity::MAX_PATH && a != b, "{a}");
    }

    proptest! {
        #[test]
        fn any_bytes_become_bounded_text_without_controls(
            path in proptest::collection::vec(any::<u8>(), 0..5000)
        ) {
            let text = path_text(&path);
            prop_assert!(text.len() <= Identity::MAX_PATH);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
