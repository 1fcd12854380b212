//! A cgroup's path as text that can be a label.
//!
//! A path is any bytes but NUL, up to 4 KiB. The exposition formats escape quotes, backslashes and
//! newlines themselves; what they cannot carry is bytes that are not UTF-8, and what people cannot
//! read is control characters.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::Identity;

/// Makes it: the bytes of what is invalid, controls or cannot be seen as `\xNN`, at most [`Identity::MAX_PATH`] bytes. A path that
/// had to be changed ends in a hash of it, since another may spell the same.
#[must_use]
pub fn path_text(path: &[u8]) -> String {
    text_within(path, Identity::MAX_PATH)
}

/// The same for any text, of at most `most` bytes.
pub(super) fn text_within(bytes: &[u8], most: usize) -> String {
    // What is behind the bound matters to the hash alone.
    let shown = &bytes[..bytes.len().min(most)];
    let mut text = String::with_capacity(shown.len());
    for chunk in shown.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || is_unseen(character) {
                let mut bytes = [0; 4];
                escape(&mut text, character.encode_utf8(&mut bytes).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    bounded(text, bytes, most)
}

/// What changes the order in which text is shown, or cannot be seen in it.
const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.extend([format!("\\x{byte:02x}")]);
    }
}

fn bounded(mut text: String, bytes: &[u8], most: usize) -> String {
    if text.as_bytes() == bytes {
        return text;
    }
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let suffix = format!("…{:016x}", hasher.finish());
    let mut end = text.len().min(most - suffix.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text + &suffix
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
