//! The kernel's type information, changed as another kernel would have it.

use std::{fs, io::Write as _};

use tempfile::NamedTempFile;

/// Where the kernel shows its types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// A copy of the kernel's types, to be changed.
#[derive(Clone, Debug)]
pub struct AlteredBtf {
    bytes: Vec<u8>,
    /// Where the types begin and end.
    types: (usize, usize),
    /// Where the strings begin and end.
    strings: (usize, usize),
}

impl AlteredBtf {
    /// Copies them.
    #[must_use]
    pub fn copy() -> Self {
        let bytes = fs::read(KERNEL_BTF).expect("this kernel shows its types");
        let word = |at: usize| read(&bytes, at);
        assert_eq!(bytes[..2], 0xeb9f_u16.to_ne_bytes(), "BTF's magic number");
        // Magic, version and flags; the header's length; then offset and length of types and strings.
        let header = word(4);
        let section = |at: usize| {
            let start = header + word(at);
            (start, start + word(at + 4))
        };
        Self {
            types: section(8),
            strings: section(16),
            bytes,
        }
    }

    /// Calls every member of this name otherwise.
    #[must_use]
    pub fn rename(mut self, name: &str, new: &str) -> Self {
        assert_eq!(name.len(), new.len(), "strings have their places");
        let at = self.string(name);
        self.bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
        self
    }

    /// Moves a member to where a kernel with one pointer more before it would have it.
    #[must_use]
    pub fn shift(mut self, structure: &str, member: &str) -> Self {
        const STRUCT: usize = 4;
        const POINTER_BITS: usize = 64;
        let name_offset = |name: &str| self.string(name) - self.strings.0;
        let (structure, member) = (name_offset(structure), name_offset(member));
        let mut at = self.types.0;
        while at < self.types.1 {
            let [name, info] = [0, 4].map(|offset| read(&self.bytes, at + offset));
            let (kind, count) = (info >> 24 & 0x1f, info & 0xffff);
            let members = at + 12;
            if kind == STRUCT && name == structure {
                let found = (0..count)
                    .map(|index| members + index * 12)
                    .find(|at| read(&self.bytes, *at) == member)
                    .expect("the struct has the member");
                let offset = read(&self.bytes, found + 8) + POINTER_BITS;
                let offset = u32::try_from(offset).expect("a struct of less than 2^32 bits");
                self.bytes[found + 8..found + 12].copy_from_slice(&offset.to_ne_bytes());
                return self;
            }
            at = members + bytes_behind(kind, count);
        }
        panic!("the kernel has the struct")
    }

    /// Writes them to a file.
    #[must_use]
    pub fn write(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(&self.bytes).expect("it can be written");
        file
    }

    /// Where a string begins.
    fn string(&self, text: &str) -> usize {
        let (start, end) = self.strings;
        let wanted = [b"\0", text.as_bytes(), b"\0"].concat();
        let found = self.bytes[start..end]
            .windows(wanted.len())
            .position(|window| window == wanted)
            .expect("the kernel's types have this name");
        start + found + 1
    }
}

fn read(bytes: &[u8], at: usize) -> usize {
    let word = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_ne_bytes(word) as usize
}

/// What follows the three words of a type.
fn bytes_behind(kind: usize, count: usize) -> usize {
    match kind {
        // A number, a variable, a tag on a declaration.
        1 | 14 | 17 => 4,
        // An array.
        3 => 12,
        // A struct, a union, a section, an enum of 64 bits.
        4 | 5 | 15 | 19 => count * 12,
        // An enum, a prototype.
        6 | 13 => count * 8,
        _ => 0,
    }
}
