//! The catalog of cgroups: a JSON document, and the same as a table for people.
//!
//! In: a [`Listing`](crate::reconcile::Listing), or a document that the daemon sent. Out: text. Never
//! here: a metric, or where a figure is from.

mod document;
mod table;

mod told;

#[cfg(test)]
pub(super) mod tests;

pub use document::{
    CatalogDocument, CgroupEntry, ContainerEntry, HierarchyEntry, IdEntry, NamesEntry,
    ReadingEntry, SCHEMA, SourceEntry, StateEntry,
};
pub use table::table;
