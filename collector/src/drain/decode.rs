//! Ring bytes to typed values, in place.
//!
//! The bytes come from our own programs, yet nothing here trusts them: a record that is not what it
//! should be is [`Malformed`], to be counted, and decoding goes on with the next.

use collector_common::{
    event::{CgroupEvent, EventHeader, OomEvent, TRACE_PATH_LEN},
    sample::{BLOCK_BATCH, BatchHeader, BlockSample, SCHED_BATCH, SchedSample},
    signal::Signal,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::host::CgroupKey;
use crate::host::HierarchyId;

/// One record of the samples ring.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'ring> {
    /// Where and when it was filled.
    pub header: &'ring BatchHeader,
    /// What it carries.
    pub samples: Samples<'ring>,
}

/// The samples of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'ring> {
    /// Context switches.
    Sched(&'ring [SchedSample]),
    /// Block-I/O completions.
    BlockIo(&'ring [BlockSample]),
}

/// One record of the events ring.
#[derive(Clone, Copy, Debug)]
pub enum Event<'ring> {
    /// The OOM killer chose a victim.
    Oom(&'ring OomEvent),
    /// A cgroup's life.
    Cgroup {
        /// What happened.
        change: CgroupChange,
        /// To which cgroup.
        cgroup: CgroupKey,
        /// Its path from the hierarchy's root; empty when the kernel could not give it.
        path: &'ring [u8],
        /// Whether the path is as long as the kernel's buffer, and so perhaps cut.
        cut: bool,
        /// When, `CLOCK_MONOTONIC`.
        ktime_ns: u64,
    },
}

/// What happened to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupChange {
    /// It was made.
    Made,
    /// It was removed.
    Removed,
    /// It has a new path.
    Renamed,
    /// The first process entered it, or one below it.
    Populated,
    /// The last process left it, and all below it.
    Emptied,
}

/// A record that the kernel side does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than its head.
    #[error("a record of {length} bytes is too short")]
    Short {
        /// Its length.
        length: usize,
    },
    /// A signal or kind that does not exist.
    #[error("a record has the unknown code {code}")]
    UnknownCode {
        /// The code.
        code: u32,
    },
    /// The length does not match what the head says.
    #[error("a record announces {announced} items or bytes and carries {length} bytes")]
    WrongLength {
        /// What the head says.
        announced: usize,
        /// The length behind the head.
        length: usize,
    },
}

impl Batch<'_> {
    /// The signal of the samples.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        match self.samples {
            Samples::Sched(_) => Signal::Sched,
            Samples::BlockIo(_) => Signal::BlockIo,
        }
    }
}

/// Decodes a record of the samples ring.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch<'_>, Malformed> {
    let (header, rest) = prefix::<BatchHeader>(bytes)?;
    let count = usize::from(header.count);
    let samples = if header.signal == Signal::Sched as u16 {
        Samples::Sched(slice_of(rest, count, SCHED_BATCH)?)
    } else if header.signal == Signal::BlockIo as u16 {
        Samples::BlockIo(slice_of(rest, count, BLOCK_BATCH)?)
    } else {
        return Err(Malformed::UnknownCode {
            code: u32::from(header.signal),
        });
    };
    Ok(Batch { header, samples })
}

/// How many samples a malformed batch would have had, and of which signal: for the account of what
/// is lost with it. `None` when not even that can be read.
#[must_use]
pub fn announced(bytes: &[u8]) -> Option<(Signal, u64)> {
    let (header, _) = prefix::<BatchHeader>(bytes).ok()?;
    let signal = [Signal::Sched, Signal::BlockIo]
        .into_iter()
        .find(|signal| *signal as u16 == header.signal)?;
    Some((signal, u64::from(header.count)))
}

/// Decodes a record of the events ring.
pub fn decode_event(bytes: &[u8]) -> Result<Event<'_>, Malformed> {
    let (header, _) = prefix::<EventHeader>(bytes)?;
    let change = match header.kind {
        EventHeader::KIND_OOM => {
            let (oom, rest) = prefix::<OomEvent>(bytes)?;
            if !rest.is_empty() {
                return Err(Malformed::WrongLength {
                    announced: 0,
                    length: rest.len(),
                });
            }
            return Ok(Event::Oom(oom));
        }
        EventHeader::KIND_CGROUP_MKDIR => CgroupChange::Made,
        EventHeader::KIND_CGROUP_RMDIR => CgroupChange::Removed,
        EventHeader::KIND_CGROUP_RENAME => CgroupChange::Renamed,
        EventHeader::KIND_CGROUP_POPULATED => CgroupChange::Populated,
        EventHeader::KIND_CGROUP_EMPTY => CgroupChange::Emptied,
        code => return Err(Malformed::UnknownCode { code }),
    };
    let (event, rest) = prefix::<CgroupEvent>(bytes)?;
    let announced = event.path_len as usize;
    if announced >= TRACE_PATH_LEN {
        return Err(Malformed::WrongLength {
            announced,
            length: rest.len(),
        });
    }
    let path = rest.get(..announced).ok_or(Malformed::WrongLength {
        announced,
        length: rest.len(),
    })?;
    Ok(Event::Cgroup {
        change,
        cgroup: CgroupKey::new(HierarchyId(event.hierarchy), event.cgroup),
        path,
        cut: announced == TRACE_PATH_LEN - 1,
        ktime_ns: event.header.ktime_ns,
    })
}

fn prefix<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<(&T, &[u8]), Malformed> {
    // Alignment cannot fail on ring records, which the kernel aligns to 8; elsewhere it is an error
    // like any other.
    T::ref_from_prefix(bytes).ok().ok_or(Malformed::Short {
        length: bytes.len(),
    })
}

fn slice_of<T: FromBytes + KnownLayout + Immutable>(
    bytes: &[u8],
    count: usize,
    most: usize,
) -> Result<&[T], Malformed> {
    let wrong = Malformed::WrongLength {
        announced: count,
        length: bytes.len(),
    };
    if count == 0 || count > most {
        return Err(wrong);
    }
    let (samples, rest) = <[T]>::ref_from_prefix_with_elems(bytes, count)
        .ok()
        .ok_or(wrong)?;
    if rest.is_empty() {
        Ok(samples)
    } else {
        Err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::IntoBytes as _;

    use super::*;

    /// Bytes as the ring has them: aligned to 8.
    fn aligned(bytes: &[u8]) -> Vec<u64> {
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        words
    }

    fn sched_batch(count: u16, samples: usize) -> Vec<u8> {
        let header = BatchHeader {
            signal: Signal::Sched as u16,
            count,
            ..Default::default()
        };
        let mut bytes = header.as_bytes().to_vec();
        for index in 0..samples {
            let sample = SchedSample {
                next_cgroup: index as u64,
                ..Default::default()
            };
            bytes.extend_from_slice(sample.as_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<usize, Malformed> {
        let words = aligned(bytes);
        decode_batch(&words.as_bytes()[..bytes.len()]).map(|batch| match batch.samples {
            Samples::Sched(samples) => samples.len(),
            Samples::BlockIo(samples) => samples.len(),
        })
    }

    #[test]
    fn a_batch_is_what_its_header_says_or_malformed() {
        assert_eq!(decode(&sched_batch(3, 3)), Ok(3));
        assert_eq!(decode(&sched_batch(64, 64)), Ok(64));
        assert_eq!(
            decode(&sched_batch(4, 3)),
            Err(Malformed::WrongLength {
                announced: 4,
                length: 96
            })
        );
        assert_eq!(
            decode(&sched_batch(2, 3)),
            Err(Malformed::WrongLength {
                announced: 2,
                length: 96
            })
        );
        assert!(decode(&sched_batch(0, 0)).is_err());
        assert!(decode(&sched_batch(65, 65)).is_err());
        assert_eq!(decode(&[0; 31]), Err(Malformed::Short { length: 31 }));
        let mut unknown = sched_batch(1, 1);
        unknown[0] = 9;
        assert_eq!(decode(&unknown), Err(Malformed::UnknownCode { code: 9 }));
    }

    #[test]
    fn a_path_may_not_reach_beyond_its_record() {
        let event = |path_len, path: &[u8]| {
            let mut event = CgroupEvent {
                cgroup: 7,
                hierarchy: 2,
                path_len,
                ..Default::default()
            };
            event.header.kind = EventHeader::KIND_CGROUP_MKDIR;
            let mut bytes = event.as_bytes().to_vec();
            bytes.extend_from_slice(path);
            bytes
        };
        let good = aligned(&event(4, b"/a\xff\n"));
        let Ok(Event::Cgroup {
            change,
            cgroup,
            path,
            cut,
            ..
        }) = decode_event(good.as_bytes())
        else {
            panic!("not decoded");
        };
        assert_eq!(
            (change, cgroup, path, cut),
            (
                CgroupChange::Made,
                CgroupKey::new(HierarchyId(2), 7),
                &b"/a\xff\n"[..],
                false
            )
        );
        for bytes in [
            event(5, b"/abc"),
            event(u32::MAX, b"/abc"),
            event(1024, &[b'a'; 1024]),
        ] {
            let words = aligned(&bytes);
            assert!(decode_event(&words.as_bytes()[..bytes.len()]).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let words = aligned(&bytes);
            let bytes = &words.as_bytes()[..bytes.len()];
            let (batch, event) = (decode_batch(bytes), decode_event(bytes));
            prop_assert!(announced(bytes).is_none() || bytes.len() >= 32);
            // Random bytes are next to never a good record of 32 bytes and more.
            prop_assert!(batch.is_err() || bytes.len() > 32);
            prop_assert!(event.is_err() || bytes.len() >= 32);
        }

        #[test]
        fn a_truncated_or_corrupt_batch_is_an_error_or_a_batch_of_its_length(
            count in 1_u16..=64,
            cut in 0_usize..2080,
            flip in 0_usize..32,
            bit in 0_u8..8,
        ) {
            let mut bytes = sched_batch(count, usize::from(count));
            bytes[flip] ^= 1 << bit;
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Ok(samples) = decode(&bytes) {
                let size = if bytes[0] == 0 { 32 } else { 40 };
                prop_assert_eq!(32 + samples * size, bytes.len());
            }
        }
    }
}
