//! Input as records, framed as the kernel frames them.

use zerocopy::IntoBytes as _;

/// Bytes that hold records as a BPF ring does: before each a head of two `u32`, its length and a word
/// that the kernel uses for itself; each begins at a multiple of 8.
#[derive(Debug)]
pub struct Ring {
    /// Words, for their alignment.
    words: Vec<u64>,
    length: usize,
}

/// A record, and the second word of its head.
#[derive(Clone, Copy, Debug)]
pub struct Record<'ring> {
    /// Free for a target to steer by.
    pub word: u32,
    /// The record's bytes.
    pub bytes: &'ring [u8],
}

/// The ring's records have a head of two `u32`.
const HEAD: usize = 8;

impl Ring {
    /// Holds a copy of the input.
    #[must_use]
    pub fn new(input: &[u8]) -> Self {
        let mut words = vec![0_u64; input.len().div_ceil(8)];
        words.as_mut_bytes()[..input.len()].copy_from_slice(input);
        Self {
            words,
            length: input.len(),
        }
    }

    /// The records. One that claims to be longer than what is left ends with it.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut rest = &self.words.as_bytes()[..self.length];
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_at_checked(HEAD)?;
            let [length, word] = [&head[..4], &head[4..]]
                .map(|field| field.try_into().map_or(0, u32::from_le_bytes));
            let length = usize::try_from(length).ok()?.min(behind.len());
            let bytes = &behind[..length];
            rest = behind.get(length.next_multiple_of(8)..).unwrap_or_default();
            Some(Record { word, bytes })
        })
    }
}
