//! One number as the kernel prints it: decimal digits and nothing else, or the word `max`.

use std::str;

/// Why a piece of a file is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is nothing where a number should be.
    #[error("nothing where a number should be")]
    Empty,
    /// Something else than digits.
    #[error("not a number")]
    NotANumber,
    /// Below zero where the kernel has no such value.
    #[error("a negative number")]
    Negative,
    /// It does not fit into 64 bits in the unit that is kept.
    #[error("a number above 64 bits")]
    Overflow,
    /// A key with no value behind it.
    #[error("a key without a value")]
    MissingValue,
    /// A `key=value` that belongs to no device or name.
    #[error("a value of no device")]
    MissingName,
    /// It should be `major:minor`.
    #[error("not a device number")]
    NotADevice,
    /// The file ends before the line does: the kernel ends every line, so a piece is missing.
    #[error("the line is cut off")]
    Unterminated,
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Empty,
        Self::NotANumber,
        Self::Negative,
        Self::Overflow,
        Self::MissingValue,
        Self::MissingName,
        Self::NotADevice,
        Self::Unterminated,
    ];
}

/// An upper or lower bound that the kernel enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// There is none: `max`, -1, or v1's largest number.
    Unlimited,
    /// It is this, in the unit of its field.
    At(u64),
}

impl Limit {
    /// v1 has no word for "no limit": it prints the largest number that it can count to, which is
    /// `i64::MAX` rounded down to whole pages of whatever size. No machine reaches even half of it.
    const V1_UNLIMITED: u64 = 1 << 62;

    /// A limit of v1.
    #[must_use]
    pub const fn from_v1(number: u64) -> Self {
        if number >= Self::V1_UNLIMITED {
            Self::Unlimited
        } else {
            Self::At(number)
        }
    }

    /// The bound, if there is one.
    #[must_use]
    pub const fn bound(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::At(bound) => Some(bound),
        }
    }
}

/// A number that cannot be negative.
pub fn parse_u64(text: &[u8]) -> Result<u64, Reason> {
    match text {
        [] => Err(Reason::Empty),
        [b'-', digits @ ..] if is_digits(digits) => Err(Reason::Negative),
        digits if is_digits(digits) => digits
            .iter()
            .try_fold(0_u64, |number, digit| {
                number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            })
            .ok_or(Reason::Overflow),
        _ => Err(Reason::NotANumber),
    }
}

/// A number that the kernel may print with a sign.
pub fn parse_i64(text: &[u8]) -> Result<i64, Reason> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    if !is_digits(digits) {
        return Err(Reason::NotANumber);
    }
    // Digits and a sign are all that is left, so only the size can be wrong.
    str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Reason::Overflow)
}

/// A number, or `max`.
pub fn parse_limit(text: &[u8]) -> Result<Limit, Reason> {
    if text == b"max" {
        return Ok(Limit::Unlimited);
    }
    parse_u64(text).map(Limit::At)
}

fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}
