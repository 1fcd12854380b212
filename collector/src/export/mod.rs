//! Puts a snapshot on the wire: the metric catalog, the Prometheus formats, the HTTP endpoint.
//!
//! In: a [`Snapshot`](crate::reconcile::Snapshot), on request. Out: bytes for a scraper. Never here: a
//! change of state, a measurement, or a metric that is not in the [`catalog`]. No other stage knows a
//! metric's name or a wire format. Which cgroups there are is a page of its own, from a
//! [`Listing`](crate::reconcile::Listing): see [`listing`].

pub mod catalog;
pub mod family;
pub mod labels;

pub mod listing;

mod cgroup_feeds;
mod cgroup_labels;
mod family_message;
mod feeds;
mod histogram;
mod kata_families;
mod label_sets;
mod otlp_feeds;
mod peers;
mod runtime_feeds;
mod series;

pub mod otlp;

pub mod reference;

mod classic_text;
mod encode_error;
mod exposition;
mod format;
mod piece_stream;
mod pieces;

mod connection;
mod container_question;
mod http;

pub use encode_error::EncodeError;
pub use exposition::{encode, encode_in_pieces};
pub use format::Format;
pub use http::{DetailsFuture, ServeError, Source, serve};
pub use label_sets::chosen_labels_clash;
pub use peers::{NameSets, otel};

#[cfg(test)]
mod tests;
