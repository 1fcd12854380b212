//! Lists of CPUs and memory nodes: `0-3,8,10-11`.

use super::{Malformed, Reason, parse_u64};

/// Consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first.
    pub first: u32,
    /// The last, which can be the first.
    pub last: u32,
}

impl IdRange {
    /// How many numbers.
    #[must_use]
    pub const fn count(self) -> u64 {
        // Widened before the addition: the whole range of u32 has one number more than fits in it.
        self.last.saturating_sub(self.first) as u64 + 1
    }
}

/// The ranges of a list. An empty list is a list.
pub fn id_ranges(bytes: &[u8]) -> impl Iterator<Item = Result<IdRange, Malformed<'_>>> {
    let (list, terminated) = bytes
        .strip_suffix(b"\n")
        .map_or((bytes, false), |list| (list, true));
    let mut pieces = list
        .split(|byte| *byte == b',')
        .filter(move |_| !list.is_empty())
        .peekable();
    std::iter::from_fn(move || {
        let key = pieces.next()?;
        let reason = |reason| Malformed { key, reason };
        if !terminated && pieces.peek().is_none() {
            return Some(Err(reason(Reason::Unterminated)));
        }
        Some(range(key).map_err(reason))
    })
}

fn range(text: &[u8]) -> Result<IdRange, Reason> {
    let number = |digits: &[u8]| {
        parse_u64(digits).and_then(|id| u32::try_from(id).ok().ok_or(Reason::Overflow))
    };
    let (first, last) = match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => (number(&text[..dash])?, number(&text[dash + 1..])?),
        None => (number(text)?, number(text)?),
    };
    if last < first {
        return Err(Reason::NotANumber);
    }
    Ok(IdRange { first, last })
}
