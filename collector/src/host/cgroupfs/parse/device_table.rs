//! v1's tables of block devices: `major:minor operation number`, or without the operation.

use std::fmt;

use super::{
    Malformed, Reason,
    keyed::{lines, words},
    parse_u64,
};

/// A block device as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// Its driver.
    pub major: u32,
    /// Which of the driver's.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl DeviceNumber {
    /// From `major:minor`.
    pub fn parse(text: &[u8]) -> Result<Self, Reason> {
        let number = |digits: &[u8]| {
            parse_u64(digits)
                .ok()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or(Reason::NotADevice)
        };
        let colon = text
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Reason::NotADevice)?;
        Ok(Self {
            major: number(&text[..colon])?,
            minor: number(&text[colon + 1..])?,
        })
    }
}

/// A row of such a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRow<'a> {
    /// The device.
    pub device: DeviceNumber,
    /// What was done, as the kernel names it. Empty in a table without operations.
    pub operation: &'a [u8],
    /// How much or how often.
    pub number: u64,
}

/// The rows of a table. The sum over all devices, in the last line, is none.
pub fn device_rows(bytes: &[u8]) -> impl Iterator<Item = Result<DeviceRow<'_>, Malformed<'_>>> {
    lines(bytes).filter_map(|line| {
        let mut words = words(line.text);
        let key = words.next()?;
        let malformed = |reason| Some(Err(Malformed { key, reason }));
        if !line.terminated {
            return malformed(Reason::Unterminated);
        }
        if key == b"Total" {
            return None;
        }
        let device = match DeviceNumber::parse(key) {
            Ok(device) => device,
            Err(reason) => return malformed(reason),
        };
        let (operation, number) = match (words.next(), words.next()) {
            (Some(operation), Some(number)) => (operation, number),
            (Some(number), None) => (&b""[..], number),
            (None, _) => return malformed(Reason::MissingValue),
        };
        match parse_u64(number) {
            Ok(number) => Some(Ok(DeviceRow {
                device,
                operation,
                number,
            })),
            Err(reason) => malformed(reason),
        }
    })
}
