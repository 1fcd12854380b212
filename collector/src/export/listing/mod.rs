//! The catalog of cgroups: a JSON document, and the same as a table for people.
//!
//! In: a [`Listing`](crate::reconcile::Listing), or a document that the daemon sent. Out: text. Never
//! here: a metric, or where a figure is from.

mod changes;
mod container;

mod container_lines;

mod document;
mod table;

mod told;

mod names;

mod values;

#[cfg(test)]
pub(super) mod tests;

pub use changes::{Change, ChangeEvent, Changes, Entry};
pub use container::ContainerDocument;
pub use container_lines::container_lines;
pub use document::{
    CatalogDocument, CgroupEntry, ContainerEntry, HierarchyEntry, IdEntry, ReadingEntry, SCHEMA,
    SourceEntry, StateEntry,
};
pub use table::table;
pub use told::{ElsewhereEntry, OwnContainerEntry, RuntimeEntry, ToldEntry};
