//! What leaves by OTLP, as a real collector takes it.
#![expect(
    clippy::unwrap_used,
    reason = "what a test needs and does not have fails the test"
)]

mod forwarder;
mod metrics;
mod points;
mod scrape;
mod transport;
