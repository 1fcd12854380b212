//! Pressure stall information: how much time tasks lost by waiting for a resource.

use super::{Malformed, Reason, keyed::nested_keyed, parse_u64};

/// The stalls for one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task was stalled.
    pub some: PressureLine,
    /// All tasks that had something to do were stalled at once.
    pub full: PressureLine,
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PressureLine {
    /// Share of the last 10 s, in hundredths of a percent.
    pub avg10_basis_points: Option<u32>,
    /// Of the last minute.
    pub avg60_basis_points: Option<u32>,
    /// Of the last 5 minutes.
    pub avg300_basis_points: Option<u32>,
    /// All the time so far.
    pub total_ns: Option<u64>,
}

/// Who was stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// At least one task.
    Some,
    /// All.
    Full,
}

/// One value of a pressure file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PressureShare {
    /// `avg10`, in hundredths of a percent.
    Avg10(u32),
    /// `avg60`.
    Avg60(u32),
    /// `avg300`.
    Avg300(u32),
    /// `total`, in nanoseconds.
    Total(u64),
}

impl Pressure {
    /// Puts a value where it belongs.
    pub fn put(&mut self, stall: Stall, share: PressureShare) {
        let line = match stall {
            Stall::Some => &mut self.some,
            Stall::Full => &mut self.full,
        };
        match share {
            PressureShare::Avg10(of) => line.avg10_basis_points = Some(of),
            PressureShare::Avg60(of) => line.avg60_basis_points = Some(of),
            PressureShare::Avg300(of) => line.avg300_basis_points = Some(of),
            PressureShare::Total(of) => line.total_ns = Some(of),
        }
    }
}

/// The values of a pressure file. Lines and keys that are not known have none.
pub fn pressure_shares(
    bytes: &[u8],
) -> impl Iterator<Item = Result<(Stall, PressureShare), Malformed<'_>>> {
    nested_keyed(bytes).filter_map(|entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(malformed) => return Some(Err(malformed)),
        };
        let stall = match entry.name {
            b"some" => Stall::Some,
            b"full" => Stall::Full,
            _ => return None,
        };
        let share = match entry.key {
            b"avg10" => hundredths(entry.value).map(PressureShare::Avg10),
            b"avg60" => hundredths(entry.value).map(PressureShare::Avg60),
            b"avg300" => hundredths(entry.value).map(PressureShare::Avg300),
            b"total" => parse_u64(entry.value)
                .and_then(|usec| usec.checked_mul(1_000).ok_or(Reason::Overflow))
                .map(PressureShare::Total),
            _ => return None,
        };
        Some(
            share
                .map(|share| (stall, share))
                .map_err(|reason| Malformed {
                    key: entry.key,
                    reason,
                }),
        )
    })
}

/// A number with two decimals, as hundredths. The kernel prints exactly two.
fn hundredths(text: &[u8]) -> Result<u32, Reason> {
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, decimals) = match point {
        Some(point) if text.len() - point == 3 => (&text[..point], &text[point + 1..]),
        _ => return Err(Reason::NotANumber),
    };
    let whole = parse_u64(whole)?.checked_mul(100).ok_or(Reason::Overflow)?;
    let decimals = parse_u64(decimals)?;
    u32::try_from(whole.saturating_add(decimals))
        .ok()
        .ok_or(Reason::Overflow)
}
