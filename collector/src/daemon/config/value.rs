//! The kinds of value that flags and the file share.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use collector_common::signal::Signal;
use serde::{Deserialize, Deserializer, de};

/// A set of signals, written as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalSet(pub BTreeSet<Signal>);

impl SignalSet {
    /// Every signal.
    #[must_use]
    pub fn all() -> Self {
        Self(Signal::ALL.into_iter().collect())
    }
}

/// A signal's name that is none.
#[derive(Debug, thiserror::Error)]
#[error("there is no signal {name:?}; there are sched, block_io, oom and cgroup_life")]
pub struct UnknownSignal {
    name: String,
}

fn signal(name: &str) -> Result<Signal, UnknownSignal> {
    Signal::ALL
        .into_iter()
        .find(|signal| signal.name() == name)
        .ok_or_else(|| UnknownSignal {
            name: name.to_owned(),
        })
}

impl FromStr for SignalSet {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        text.split(',')
            .map(|name| signal(name.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for SignalSet {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        names
            .iter()
            .map(|name| signal(name))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// A size of a ring: a power of two of at least a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(u32);

/// A size that no ring can have.
#[derive(Debug, thiserror::Error)]
pub enum BadSize {
    /// Not a number with a unit.
    #[error("{text:?} is not a size; write it like 512KiB or 8MiB")]
    NotASize {
        /// What was written.
        text: String,
    },
    /// The kernel takes no such ring.
    #[error("{text:?} is not a power of two from 4KiB to 1GiB, as the kernel wants it")]
    NotARing {
        /// What was written.
        text: String,
    },
}

impl ByteSize {
    /// 4 MiB.
    pub const MIB_4: Self = Self(4 << 20);

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let not_a_size = || BadSize::NotASize {
            text: text.to_owned(),
        };
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().ok().ok_or_else(not_a_size)?;
        let shift = match unit.trim() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(not_a_size()),
        };
        let bytes = number.checked_mul(1 << shift).ok_or_else(not_a_size)?;
        u32::try_from(bytes)
            .ok()
            .filter(|bytes| bytes.is_power_of_two() && (4096..=1 << 30).contains(bytes))
            .map(Self)
            .ok_or_else(|| BadSize::NotARing {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{}MiB", bytes >> 20),
            bytes => write!(f, "{}KiB", bytes >> 10),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A time that is not one.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a time; write it like 500ms, 10s or 5m")]
pub struct BadDuration {
    text: String,
    #[source]
    source: humantime::DurationError,
}

/// Parses a time with its unit.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    humantime::parse_duration(text).map_err(|source| BadDuration {
        text: text.to_owned(),
        source,
    })
}

/// As [`parse_duration`], for a key that may be absent.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_with_a_unit() {
        assert_eq!("8MiB".parse::<ByteSize>().unwrap().bytes(), 8 << 20);
        assert_eq!("4096".parse::<ByteSize>().unwrap().bytes(), 4096);
        assert_eq!("16 KiB".parse::<ByteSize>().unwrap().to_string(), "16KiB");
        for bad in [
            "",
            "MiB",
            "5000",
            "2KiB",
            "2GiB",
            "8MB",
            "-1",
            "99999999999999999999",
            "8MiBs",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_of_signals_has_only_signals() {
        let set: SignalSet = "oom, sched".parse().unwrap();
        assert_eq!(
            set.0.into_iter().collect::<Vec<_>>(),
            [Signal::Sched, Signal::Oom]
        );
        assert!("sched,,oom".parse::<SignalSet>().is_err());
    }
}
