//! Files of keys and values: `key value` to a line, or `name key=value key=value …`.

use super::Reason;

/// What one value of a keyed file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What the line is about: a device, a kind of stall. Empty in a flat file.
    pub name: &'a [u8],
    /// The key.
    pub key: &'a [u8],
    /// Its value, not yet read as a number.
    pub value: &'a [u8],
}

/// A piece of a file that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed<'a> {
    /// The piece, or the key that it belongs to.
    pub key: &'a [u8],
    /// Why.
    pub reason: Reason,
}

/// The entries of a file with one key and one value to a line.
pub fn flat_keyed(bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed<'_>>> {
    lines(bytes)
        .filter(|line| !line.text.is_empty())
        .map(|line| {
            let mut words = words(line.text);
            let key = words.next().unwrap_or_default();
            if !line.terminated {
                return Err(Malformed {
                    key,
                    reason: Reason::Unterminated,
                });
            }
            match (words.next(), words.next()) {
                (Some(value), None) => Ok(Entry {
                    name: b"",
                    key,
                    value,
                }),
                (None, _) => Err(Malformed {
                    key,
                    reason: Reason::MissingValue,
                }),
                (Some(_), Some(_)) => Err(Malformed {
                    key,
                    reason: Reason::NotANumber,
                }),
            }
        })
}

/// The entries of a file whose lines begin with a name. Some kernels put the names of
/// devices without values before the one that has some, on its line: those have no entries.
pub fn nested_keyed(bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed<'_>>> {
    lines(bytes).flat_map(|line| {
        let mut name = None;
        let mut words = words(line.text).peekable();
        std::iter::from_fn(move || {
            loop {
                let word = words.next()?;
                let Some(equals) = word.iter().position(|byte| *byte == b'=') else {
                    name = Some(word);
                    continue;
                };
                let (key, value) = (&word[..equals], &word[equals + 1..]);
                let reason = match name {
                    _ if !line.terminated && words.peek().is_none() => Reason::Unterminated,
                    None => Reason::MissingName,
                    Some(_) if key.is_empty() || value.is_empty() => Reason::MissingValue,
                    Some(name) => return Some(Ok(Entry { name, key, value })),
                };
                return Some(Err(Malformed { key, reason }));
            }
        })
    })
}

/// A line without its end.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    /// Whether it had one.
    pub(super) terminated: bool,
}

/// The lines of a file.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        line.strip_suffix(b"\n").map_or(
            Line {
                text: line,
                terminated: false,
            },
            |text| Line {
                text,
                terminated: true,
            },
        )
    })
}

/// What is between spaces.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
}
