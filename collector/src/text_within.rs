//! Any bytes as bounded text that people can read.
//!
//! In: what somebody else says: a path, a name, an error's text. Out: text that fits into a label or an attribute. Never
//! here: what it means.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Makes it: the bytes of what is invalid, controls or cannot be seen as `\xNN`, at most `most` bytes. A text that had to be
/// changed ends in a hash of it, since another may spell the same.
#[must_use]
pub fn text_within(bytes: &[u8], most: usize) -> String {
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
    use super::*;

    #[test]
    fn what_fits_and_can_be_read_stays_and_what_does_not_is_cut_and_stays_another() {
        assert_eq!(text_within("ünïcode".as_bytes(), 64), "ünïcode");
        let long = |last: &str| text_within(("x".repeat(100) + last).as_bytes(), 64);
        assert!(long("1").len() <= 64 && long("1") != long("2"));
        let unseen = text_within("a\u{202e}b\n".as_bytes(), 64);
        assert!(unseen.starts_with("a\\xe2\\x80\\xaeb\\x0a…"), "{unseen}");
    }
}
