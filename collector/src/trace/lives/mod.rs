//! The lives of containers as traces.
//!
//! In: what happens to containers, readings of their files, slow samples. Out: spans, each given to a sender, and
//! which sample has which span. Never here: a clock, a lock that others wait for, or a look at the host.
//!
//! A trace begins with a span that is its root and is sent as soon as the container has its name: whatever follows
//! has a parent that was sent. What follows are the slow samples, a checkpoint now and then, and at the end the life.
//! A long life is several traces, each linked to the one before.

mod episodes;

mod events;

mod exemplars;

mod figures;

mod ids;

mod life;

mod now;

mod rates;

mod settings;

mod slow;

mod spans;

mod table;

#[cfg(test)]
mod tests;

use crate::export::otlp::attributes;

pub use exemplars::LivesView;
pub use figures::Figures;
pub use life::Ending;
pub use now::Now;
pub use settings::{LivesSettings, Rate};
pub use table::{LifeKey, Lives, ParcelTaker};
