//! Every metric of cgscope's own, in one table.
//!
//! In: nothing. Out: the name, kind, unit, labels and meaning of each family, for the encoders and
//! for `docs/metrics.md`. A metric's name is a literal here and nowhere else. A retired family stays,
//! and says so. The names that others gave are in `peers`.

use super::family::Family;

pub use self::{containers::*, events::*, leaving::*, process::*, readings::*, runtimes::*};

mod containers;
mod events;
mod leaving;
mod process;
mod readings;
mod runtimes;

/// A part of the table: each family by its name in the code, and all of them in the order in which they are
/// exported.
macro_rules! families {
    ($part:ident; $($id:ident: $family:expr,)*) => {
        $(#[doc = concat!("See [`Family::help`] of `", stringify!($id), "`.")]
        pub const $id: Family = $family;)*

        pub(super) const $part: &[Family] = &[$($id),*];
    };
}
use families;

/// In the order in which they are exported.
const PARTS: [&[Family]; 6] = [CONTAINERS, EVENTS, READINGS, RUNTIMES, LEAVING, PROCESS];

/// Every family, in the order in which they are exported.
pub fn all() -> impl Iterator<Item = &'static Family> + Clone {
    PARTS.into_iter().flatten()
}

/// The family that has `name` in the exposition.
pub(super) fn named(name: &str) -> Option<&'static Family> {
    all().find(|family| family.name == name)
}
