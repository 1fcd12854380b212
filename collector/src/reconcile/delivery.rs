//! What became of spans and data points that were to be sent to an OpenTelemetry collector.

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtlpSignal {
    /// Data points.
    Metrics,
    /// Spans.
    Traces,
}

impl OtlpSignal {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Metrics, Self::Traces];

    /// The name in labels, in configuration and in `OTEL_EXPORTER_OTLP_…` (in capitals there).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }
}

/// Why an item did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtlpLoss {
    /// Too much waited.
    QueueFull = 0,
    /// The collector refused the request, and would again.
    Refused = 1,
    /// The collector took the request and not this in it.
    Rejected = 2,
    /// It was tried for as long as it may be.
    GaveUp = 3,
    /// The daemon ended first.
    Shutdown = 4,
}

impl OtlpLoss {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::QueueFull,
        Self::Refused,
        Self::Rejected,
        Self::GaveUp,
        Self::Shutdown,
    ];

    /// The name in the label `reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::GaveUp => "gave_up",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What became of all that was put in: `put = sent + waiting + Σ lost`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtlpAccount {
    /// Of what.
    pub signal: OtlpSignal,
    /// Items that were put in.
    pub put: u64,
    /// That the collector took.
    pub sent: u64,
    /// That wait or are being sent.
    pub waiting: u64,
    /// That were lost, in the order of [`OtlpLoss::ALL`].
    pub lost: [u64; OtlpLoss::ALL.len()],
}
