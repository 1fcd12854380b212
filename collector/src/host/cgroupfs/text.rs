//! The bytes of one file while values are taken from them: what is malformed is counted and absent.

use super::{
    Limit, OtherKeys,
    account::ParseErrors,
    files::KernelFile,
    other_keys::NameTable,
    parse::{
        DeviceNumber, DeviceRow, IdRange, Pressure, Reason, device_rows, flat_keyed, id_ranges,
        nested_keyed, parse_i64, parse_limit, parse_u64, pressure_shares,
    },
};

/// Where what cannot be kept is counted.
#[derive(Debug)]
pub(super) struct Complaints<'a> {
    pub(super) errors: &'a mut ParseErrors,
    pub(super) over_bound: &'a mut u64,
    pub(super) names: &'a mut NameTable,
}

/// A file's bytes; none if there is no such file.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) bytes: Option<&'a [u8]>,
    pub(super) file: KernelFile,
    pub(super) complaints: Complaints<'a>,
}

/// One value in a file.
#[derive(Debug)]
pub(super) struct Value<'t, 'a> {
    key: &'t [u8],
    text: &'t [u8],
    file: KernelFile,
    complaints: &'t mut Complaints<'a>,
}

/// Nanoseconds in a microsecond.
const USEC: u64 = 1_000;

impl<'a> Text<'a> {
    /// The file's only number.
    pub(super) fn number(mut self) -> Option<u64> {
        self.single()?.number()
    }

    /// The file's only number, of microseconds, as nanoseconds.
    pub(super) fn microseconds(mut self) -> Option<u64> {
        self.single()?.times(USEC)
    }

    /// The file's only number, which can be negative.
    pub(super) fn signed(mut self) -> Option<i64> {
        self.single()?.parsed(parse_i64)
    }

    /// The file's only number, which says yes or no.
    pub(super) fn flag(mut self) -> Option<bool> {
        self.single()?.flag()
    }

    /// The file's only number, or `max`.
    pub(super) fn limit(mut self) -> Option<Limit> {
        self.single()?.limit()
    }

    /// The file's only number, a limit of v1 in bytes.
    pub(super) fn v1_limit(self) -> Option<Limit> {
        self.number().map(Limit::from_v1)
    }

    /// The file's only number, a limit of v1 in microseconds, as nanoseconds; negative is none.
    pub(super) fn v1_quota(mut self) -> Option<Limit> {
        let mut value = self.single()?;
        match value.parsed(parse_i64)? {
            ..0 => Some(Limit::Unlimited),
            0.. => value.times(USEC).map(Limit::At),
        }
    }

    /// Numbers separated by spaces.
    pub(super) fn numbers(mut self, into: &mut Vec<u64>, bound: usize) {
        into.clear();
        let Some(line) = self.line() else { return };
        for word in line.trim_ascii_end().split(|byte| *byte == b' ') {
            if into.len() >= bound {
                *self.complaints.over_bound += 1;
                return;
            }
            match parse_u64(word) {
                Ok(number) => into.push(number),
                Err(reason) => {
                    // What follows would be taken for another CPU's: none is better.
                    self.complaints.errors.record(self.file, word, reason);
                    into.clear();
                    return;
                }
            }
        }
    }

    /// The two words of `cpu.max`.
    pub(super) fn pair(mut self) -> (Option<Limit>, Option<u64>) {
        let Some(line) = self.line() else {
            return (None, None);
        };
        let space = line.iter().position(|byte| *byte == b' ');
        let (first, second) = match space {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (line, &b""[..]),
        };
        (
            self.value(first).limit_times(USEC),
            self.value(second).times(USEC),
        )
    }

    /// Every key and value. One that `take` refuses is kept in `other`, if it is a number.
    pub(super) fn flat(
        mut self,
        other: &mut OtherKeys,
        mut take: impl FnMut(&[u8], &mut Value<'_, 'a>) -> bool,
    ) {
        other.begin();
        for entry in flat_keyed(self.bytes.unwrap_or_default()) {
            match entry {
                Ok(entry) => {
                    let mut value = Value {
                        key: entry.key,
                        text: entry.value,
                        file: self.file,
                        complaints: &mut self.complaints,
                    };
                    if !take(entry.key, &mut value) {
                        value.keep_in(other);
                    }
                }
                Err(malformed) => {
                    self.complaints
                        .errors
                        .record(self.file, malformed.key, malformed.reason);
                }
            }
        }
    }

    /// As above, for a file of which nothing else is kept.
    pub(super) fn known(self, mut take: impl FnMut(&[u8], &mut Value<'_, 'a>)) {
        self.flat(&mut OtherKeys::default(), |key, value| {
            take(key, value);
            true
        });
    }

    /// Every name, key and value.
    pub(super) fn nested(mut self, mut take: impl FnMut(&[u8], &[u8], &mut Value<'_, 'a>)) {
        for entry in nested_keyed(self.bytes.unwrap_or_default()) {
            match entry {
                Ok(entry) => take(
                    entry.name,
                    entry.key,
                    &mut Value {
                        key: entry.key,
                        text: entry.value,
                        file: self.file,
                        complaints: &mut self.complaints,
                    },
                ),
                Err(malformed) => {
                    self.complaints
                        .errors
                        .record(self.file, malformed.key, malformed.reason);
                }
            }
        }
    }

    /// Every `key=value` of the file's only line.
    pub(super) fn pairs(mut self, mut take: impl FnMut(&[u8], &mut Value<'_, 'a>)) {
        let Some(line) = self.line() else { return };
        for word in line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
        {
            let Some(equals) = word.iter().position(|byte| *byte == b'=') else {
                let errors = &mut *self.complaints.errors;
                errors.record(self.file, word, Reason::MissingValue);
                continue;
            };
            let key = &word[..equals];
            let mut value = Value {
                key,
                text: &word[equals + 1..],
                file: self.file,
                complaints: &mut self.complaints,
            };
            take(key, &mut value);
        }
    }

    /// Every device, key and value.
    pub(super) fn by_device(self, mut take: impl FnMut(DeviceNumber, &[u8], &mut Value<'_, 'a>)) {
        self.nested(|name, key, value| match DeviceNumber::parse(name) {
            Ok(device) => take(device, key, value),
            Err(reason) => value.complain(name, reason),
        });
    }

    /// Every row of a table of devices. `take` says whether there was room.
    pub(super) fn rows(self, mut take: impl FnMut(DeviceRow<'_>) -> bool) {
        for row in device_rows(self.bytes.unwrap_or_default()) {
            match row {
                Ok(row) => *self.complaints.over_bound += u64::from(!take(row)),
                Err(malformed) => {
                    self.complaints
                        .errors
                        .record(self.file, malformed.key, malformed.reason);
                }
            }
        }
    }

    /// Stalls.
    pub(super) fn pressure(self) -> Option<Pressure> {
        let mut pressure = Pressure::default();
        let mut any = false;
        for share in pressure_shares(self.bytes?) {
            match share {
                Ok((stall, share)) => {
                    any = true;
                    pressure.put(stall, share);
                }
                Err(malformed) => {
                    self.complaints
                        .errors
                        .record(self.file, malformed.key, malformed.reason);
                }
            }
        }
        any.then_some(pressure)
    }

    /// A list of CPUs or nodes. An empty one says nothing.
    pub(super) fn ids(self, into: &mut Option<Vec<IdRange>>, bound: usize) {
        let Some(bytes) = self.bytes.filter(|bytes| !bytes.trim_ascii().is_empty()) else {
            *into = None;
            return;
        };
        let ranges = into.get_or_insert_default();
        ranges.clear();
        for range in id_ranges(bytes) {
            match range {
                Ok(_) if ranges.len() >= bound => *self.complaints.over_bound += 1,
                Ok(range) => ranges.push(range),
                Err(malformed) => {
                    self.complaints
                        .errors
                        .record(self.file, malformed.key, malformed.reason);
                    // A part of a list is a wrong list.
                    *into = None;
                    return;
                }
            }
        }
    }

    /// The only value of the file.
    fn single(&mut self) -> Option<Value<'_, 'a>> {
        let line = self.line()?;
        Some(self.value(line))
    }

    /// The only line of the file, which the kernel ends with a line feed.
    fn line(&mut self) -> Option<&'a [u8]> {
        let bytes = self.bytes?;
        let line = bytes.strip_suffix(b"\n");
        if line.is_none() {
            let reason = if bytes.is_empty() {
                Reason::Empty
            } else {
                Reason::Unterminated
            };
            self.complaints.errors.record(self.file, bytes, reason);
        }
        line
    }

    fn value<'t>(&'t mut self, text: &'t [u8]) -> Value<'t, 'a> {
        Value {
            key: b"",
            text,
            file: self.file,
            complaints: &mut self.complaints,
        }
    }
}

impl Value<'_, '_> {
    /// A number.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.parsed(parse_u64)
    }

    /// A number of some unit, in another.
    pub(super) fn times(&mut self, factor: u64) -> Option<u64> {
        self.parsed(|text| scaled(text, factor))
    }

    /// A number of microseconds, as nanoseconds.
    pub(super) fn microseconds(&mut self) -> Option<u64> {
        self.times(USEC)
    }

    /// A number, or `max`.
    pub(super) fn limit(&mut self) -> Option<Limit> {
        self.limit_times(1)
    }

    /// 0 or another number.
    pub(super) fn flag(&mut self) -> Option<bool> {
        self.number().map(|number| number != 0)
    }

    /// Counts a piece that cannot be used.
    pub(super) fn complain(&mut self, key: &[u8], reason: Reason) {
        self.complaints.errors.record(self.file, key, reason);
    }

    /// Counts something that there is no room for.
    pub(super) fn too_many(&mut self) {
        *self.complaints.over_bound += 1;
    }

    /// The one copy of a name.
    pub(super) fn intern(&mut self, name: &[u8]) -> Option<std::sync::Arc<str>> {
        let name = self.complaints.names.intern(name);
        *self.complaints.over_bound += u64::from(name.is_none());
        name
    }

    /// Keeps it under its own name. What is not a number is not kept: nothing says what it is.
    pub(super) fn keep_in(&mut self, other: &mut OtherKeys) {
        if let Ok(number) = parse_u64(self.text)
            && !other.push(self.key, number, self.complaints.names)
        {
            self.too_many();
        }
    }

    fn limit_times(&mut self, factor: u64) -> Option<Limit> {
        self.parsed(|text| match parse_limit(text)? {
            Limit::Unlimited => Ok(Limit::Unlimited),
            Limit::At(_) => scaled(text, factor).map(Limit::At),
        })
    }

    fn parsed<T>(&mut self, parse: impl Fn(&[u8]) -> Result<T, Reason>) -> Option<T> {
        parse(self.text)
            .inspect_err(|reason| {
                let piece = if self.key.is_empty() {
                    self.text
                } else {
                    self.key
                };
                self.complaints.errors.record(self.file, piece, *reason);
            })
            .ok()
    }
}

fn scaled(text: &[u8], factor: u64) -> Result<u64, Reason> {
    parse_u64(text)?.checked_mul(factor).ok_or(Reason::Overflow)
}
