//! An error and its causes as one line, for people.

use std::error::Error;

/// `error`, then each cause behind it, joined by `: `. Our errors give context in their own text and
/// leave the cause to `source()`, so nothing is said twice.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
