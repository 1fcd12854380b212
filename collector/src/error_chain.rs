//! An error and its causes as one line, for people.

use std::error::Error;

/// `error`, then each cause behind it, joined by `: `. Our errors give context in their own text and
/// leave the cause to `source()`, so nothing is said twice. What causes quote may come from anybody:
/// control characters are spelled out.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    let mut spelled = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            spelled.extend(character.escape_default());
        } else {
            spelled.push(character);
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cause_quotes_cannot_write_on_a_terminal() {
        let quoted = std::io::Error::other("unknown `\u{1b}[31mred\u{7}`, ünïcode");
        assert_eq!(
            error_chain(&quoted),
            "unknown `\\u{1b}[31mred\\u{7}`, ünïcode"
        );
    }
}
