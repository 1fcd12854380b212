//! How much is told of the lives of containers.

use std::time::Duration;

use crate::drain::Drainer;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LivesSettings {
    /// From which share of time on, 0 to 1, stalls for a resource are told.
    pub stall: f64,
    /// From which share of the periods of a CPU bandwidth limit on, 0 to 1, it is told that they were throttled.
    pub throttled: f64,
    /// How often it is told how a container that runs is doing, and the latest that is told of what happened.
    pub checkpoint: Duration,
    /// How long one trace of a life is at most.
    pub trace: Duration,
    /// Slow samples of one container.
    pub container: Rate,
    /// Those of all; and as many checkpoints that tell what happened.
    pub total: Rate,
}

/// How often something may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// In a second, over time.
    pub per_second: f64,
    /// At once.
    pub burst: f64,
}

/// Containers that are followed at once. Each costs some KiB.
pub(super) const MAX_LIVES: usize = 4_096;

/// So long the first span waits for the container's name.
pub(super) const NAME_WAIT: Duration = Duration::from_secs(2);

/// So long the last one waits for the runtime to tell of the exit.
pub(super) const EXIT_WAIT: Duration = Duration::from_secs(3);

/// So long the last sample can take to here, and the last reading: a CPU that fell silent keeps its samples for
/// two of these, and then they wait for a pass over the rings and for a look.
pub(super) const ARRIVAL: Duration = Drainer::REFRESH.saturating_mul(4);

/// So long what a runtime told of an exit can become more exact.
pub(super) const SETTLE: Duration = Duration::from_millis(400);

/// What happened is told no later than so long afterwards, and with it what happened meanwhile.
pub(super) const EVENT_WAIT: Duration = Duration::from_secs(10);

/// How often a container that runs is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Spans of one trace: what viewers of traces show well.
pub(super) const MAX_SPANS: u32 = 1_000;

/// Events of one span: what SDKs of OpenTelemetry allow by default.
pub(super) const MAX_EVENTS: usize = 128;

/// Slow samples that wait for the first span to be sent.
pub(super) const MAX_EARLY: usize = 32;
