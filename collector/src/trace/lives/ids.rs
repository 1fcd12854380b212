//! Ids of traces and spans, made from what they are of.
//!
//! The same life has the same id for whoever looks at it, also after cgscope was started again: it is made from
//! the boot, the container's id and its cgroup's, which the kernel gives once.

use crate::{catalog::ContainerRef, host::CgroupKey, reconcile::snapshot::SpanRef};

/// Names one life of a container among all of all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LifeId([u8; 16]);

impl LifeId {
    pub(super) fn of(boot: &str, container: &ContainerRef, cgroup: CgroupKey) -> Self {
        let ContainerRef { id_namespace, id } = container;
        let cgroup = format!("{}/{}", cgroup.hierarchy, cgroup.id);
        let parts = ["life", boot, id_namespace, id, &cgroup];
        Self(hash(parts.map(str::as_bytes)))
    }

    /// Of one whose cgroup is not known.
    pub(super) fn of_time(boot: &str, container: &ContainerRef, began_ns: u64) -> Self {
        let ContainerRef { id_namespace, id } = container;
        let parts = ["life at", boot, id_namespace, id, &began_ns.to_string()];
        Self(hash(parts.map(str::as_bytes)))
    }

    pub(super) fn text(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// The first trace of a life that was seen from its beginning.
    pub(super) fn first_root(self) -> SpanRef {
        root_of(self.0)
    }

    /// A trace that begins later, at that time.
    pub(super) fn later_root(self, at_ns: u64) -> SpanRef {
        root_of(hash([b"later", &self.0[..], &at_ns.to_be_bytes()]))
    }
}

fn root_of(trace_id: [u8; 16]) -> SpanRef {
    SpanRef {
        trace_id,
        span_id: span_id(trace_id, 0),
    }
}

/// The id of a trace's span by its number; the root is 0.
pub(super) fn span_id(trace_id: [u8; 16], number: u32) -> [u8; 8] {
    let hash = hash([b"span", &trace_id[..], &number.to_be_bytes()]);
    let mut id = [0; 8];
    id.copy_from_slice(&hash[..8]);
    // An id of zeros is none.
    if id == [0; 8] { [1; 8] } else { id }
}

/// FNV-1a of 128 bits, its bits mixed so that samplers, which look at the last ones, find them even.
fn hash<const N: usize>(parts: [&[u8]; N]) -> [u8; 16] {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = OFFSET;
    for part in parts {
        // Each ends, so that no two lists of parts are one text.
        let length = (part.len() as u64).to_be_bytes();
        for byte in part.iter().chain(&length) {
            hash = (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }
    let low = mix(u64::try_from(hash & u128::from(u64::MAX)).unwrap_or_default());
    let high = mix(u64::try_from(hash >> 64).unwrap_or_default() ^ low);
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// Makes every bit of a number depend on every other: the last step of splitmix64.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
