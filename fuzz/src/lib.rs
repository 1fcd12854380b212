//! What the fuzz targets share: input in the form of the kernel's rings, and what its samples must
//! add up to.
//!
//! A target is a file in `fuzz_targets`, what it begins with a folder in `seeds`. `cargo xtask fuzz`
//! runs them. A target holds what it is given against a property, not only against a crash.

mod ring;

mod sums;

pub use ring::{Record, Ring};
pub use sums::{OPERATIONS, Sums};
