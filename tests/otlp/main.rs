//! What leaves by OTLP, as a real collector takes it.

mod forwarder;
mod metrics;
mod transport;
