//! Keys that a kernel has and this program has no field for: kept by name, without an allocation
//! once they are known.

use std::{str, sync::Arc};

/// Values under names.
#[derive(Clone, Debug, Default)]
pub struct OtherKeys {
    entries: Vec<(Arc<str>, u64)>,
    /// How many of them are of the reading that is going on. Those behind are of the one before, and
    /// most likely what comes next.
    filled: usize,
}

/// Keys without a field, in one file. Kernels have a few more than they document.
pub const MAX_OTHER_KEYS: usize = 64;

/// A name is cut here.
const MAX_NAME_BYTES: usize = 64;

impl PartialEq for OtherKeys {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl OtherKeys {
    /// Their names and values, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> + '_ {
        self.entries
            .iter()
            .take(self.filled)
            .map(|(name, value)| (&**name, *value))
    }

    /// The value of a name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<u64> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Before a reading.
    pub(super) const fn begin(&mut self) {
        self.filled = 0;
    }

    /// Keeps a value. Whether there was room.
    pub(super) fn push(&mut self, name: &[u8], value: u64, names: &mut NameTable) -> bool {
        if self.filled >= MAX_OTHER_KEYS {
            return false;
        }
        match self.entries.get_mut(self.filled) {
            Some((known, place)) if known.as_bytes() == name => *place = value,
            _ => {
                let Some(name) = names.intern(name) else {
                    return false;
                };
                self.entries.truncate(self.filled);
                self.entries.push((name, value));
            }
        }
        self.filled += 1;
        true
    }
}

/// Every name once.
#[derive(Debug, Default)]
pub struct NameTable {
    names: Vec<Arc<str>>,
}

/// Names that are kept. They are the kernel's, so the same for all cgroups.
pub const MAX_NAMES: usize = 512;

impl NameTable {
    /// The one copy of a name. `None` at [`MAX_NAMES`] and for what is no name.
    pub(super) fn intern(&mut self, name: &[u8]) -> Option<Arc<str>> {
        if let Some(known) = self.names.iter().find(|known| known.as_bytes() == name) {
            return Some(Arc::clone(known));
        }
        let name = str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()))?;
        if self.names.len() >= MAX_NAMES {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        Some(name)
    }
}
