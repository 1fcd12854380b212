//! A snapshot as data points of OTLP.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;

use super::OwnResource;
use crate::{reconcile::Snapshot, window::Device};

/// Makes data points of one snapshot after the other.
#[derive(Debug)]
pub struct MetricsEncoder {
    own: Arc<OwnResource>,
}

impl MetricsEncoder {
    /// Nothing was exported yet.
    #[must_use]
    pub const fn new(own: Arc<OwnResource>) -> Self {
        Self { own }
    }

    /// The data points of a snapshot, by whose they are.
    pub fn encode(
        &mut self,
        snapshot: &Snapshot,
        devices: &BTreeMap<Device, String>,
    ) -> Vec<ResourceMetrics> {
        let _ = (&self.own, snapshot, devices);
        Vec::new()
    }
}
