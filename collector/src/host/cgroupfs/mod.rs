//! What the kernel counts for each cgroup, read from its files.
//!
//! In: a cgroup's directories in the hierarchies, v1's or v2's. Out: [`CgroupStatistics`], one typed
//! form for both, and a [`ReadAccount`] of what that cost. Never here: what a number is called
//! elsewhere, how often anything is read, or an error for what happens by design: a file that a
//! kernel has not, a value that is not understood, a cgroup that vanishes halfway.
//!
//! ```text
//! reader ─► parts ─► v1, v2 ─► source ─► directory ─► context        (who is asked for what)
//!                       ▲                                  │
//!                       └────── text ◄──── parse ◄─────────┘ bytes   (what comes back)
//! ```

pub mod statistics;

pub mod cpu;

pub mod memory;

pub mod memory_stat;

pub mod io;

pub mod other_keys;

pub mod parse;

mod text;

pub mod account;

pub mod files;

pub mod wanted;

pub mod descriptors;

mod lacking;

pub mod context;

pub mod roots;

mod directory;

mod source;

mod v1;

mod v2;

mod named_rows;

mod parts;

pub mod reader;

pub mod processes;

#[cfg(test)]
pub(crate) mod tests;

pub use account::{ParseError, ParseErrors, ReadAccount};
pub use context::ReadContext;
pub use descriptors::DescriptorBudget;
pub(in crate::host) use descriptors::Permit;
pub use files::KernelFile;
pub use memory_stat::{MemoryKey, MemoryStat};
pub use other_keys::OtherKeys;
pub use parse::{Limit, Pressure, Reason};
pub use reader::{CgroupReader, ControllerDirs, Presence, ReadOutcome};
pub use roots::HierarchyRoots;
pub use statistics::{CgroupStatistics, CgroupVersion, Reading};
pub use wanted::Wanted;
