//! What a metric family is: its name, kind, unit, labels and meaning.
//!
//! In: nothing. Out: the types of a row of a metric table, ours ([`catalog`](super::catalog)) or that of
//! names that others gave (`peers`). Never here: a metric's name.

use prometheus_client::{metrics::MetricType, registry};

use super::labels::{self, Label};

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name that a query uses: with unit and, for a counter, `_total`.
    pub name: &'static str,
    /// How it leaves by OTLP; absent where the name is one that others gave.
    pub otlp: Option<Otlp>,
    /// Its kind.
    pub kind: Kind,
    /// Its unit, if it has one.
    pub unit: Option<Unit>,
    /// Whose figure it is.
    pub scope: Scope,
    /// The labels behind those of the scope.
    pub labels: &'static [Label],
    /// What it says and what it does not: plain text on one line, without quotes or backslashes,
    /// because the text formats do not escape it alike.
    pub help: &'static str,
    /// The kernel fact or file that it comes from.
    pub source: &'static str,
    /// The first version that has it.
    pub since: &'static str,
}

impl Family {
    /// The name without what the encoders append: the unit, `_total`, `_info`.
    #[must_use]
    pub fn stem(&self) -> &'static str {
        let name = self.name_and_unit();
        match self.unit_in_name() {
            Some(unit) => &name[..name.len() - unit.name().len() - 1],
            None => name,
        }
    }

    /// Its unit, if the name has it, as all of our own have. Names that others gave may not.
    #[must_use]
    pub fn unit_in_name(&self) -> Option<Unit> {
        self.unit.filter(|unit| {
            self.name_and_unit()
                .strip_suffix(unit.name())
                .is_some_and(|stem| stem.ends_with('_'))
        })
    }

    /// Its type for the encoders. They would end each counter's name in `_total`, which names that
    /// others gave may not.
    #[must_use]
    pub fn metric_type(&self) -> MetricType {
        if self.is_bare_counter() {
            MetricType::Unknown
        } else {
            self.kind.into()
        }
    }

    /// Whether it is a counter whose name does not say so.
    #[must_use]
    pub fn is_bare_counter(&self) -> bool {
        self.kind == Kind::Counter && !self.name.ends_with(self.kind.suffix())
    }

    fn name_and_unit(&self) -> &'static str {
        self.name
            .strip_suffix(self.kind.suffix())
            .unwrap_or(self.name)
    }

    /// Every label of its series, in order.
    pub fn all_labels(&self) -> impl Iterator<Item = &'static Label> {
        let cgroup: &'static [Label] = match self.scope {
            Scope::Cgroup => &labels::CGROUP,
            Scope::Containerd => &labels::CONTAINERD,
            Scope::Collector | Scope::Process => &[],
        };
        cgroup.iter().chain(self.labels)
    }
}

/// How a family leaves by OTLP.
#[derive(Clone, Copy, Debug)]
pub struct Otlp {
    /// Its name. What Prometheus makes of it, unit and kind is the name that a scrape has.
    pub name: &'static str,
    /// Its unit, as UCUM writes it.
    pub unit: &'static str,
    /// Whether it counts since the cgroup's start or cgscope's. If not, somebody else does, and does not tell since when.
    pub is_start_known: bool,
}

impl Otlp {
    pub(super) const fn named(name: &'static str, unit: &'static str) -> Self {
        Self {
            name,
            unit,
            is_start_known: true,
        }
    }

    /// As somebody else counts it, who does not tell since when.
    pub(super) const fn counted_elsewhere(self) -> Self {
        Self {
            is_start_known: false,
            ..self
        }
    }
}

/// What a family's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, and starts again at 0 with the daemon or the container.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Classic buckets, and native ones where the format has them.
    Histogram,
    /// Always 1: the labels are what it says. A gauge, except in `OpenMetrics`, which has the type.
    Info,
}

impl Kind {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "gauge (info)",
        }
    }
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
            Kind::Info => Self::Info,
        }
    }
}

/// What a value is measured in. Our own have base units; the others are in names that others gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
    /// Billionths of a second.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// A share, from 0 to 1.
    Ratio,
}

impl Unit {
    /// As it ends a name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }
}

impl From<Unit> for registry::Unit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Seconds => Self::Seconds,
            Unit::Bytes => Self::Bytes,
            // The crate has none for these, or, with `ratios`, one that would end the name so.
            Unit::Milliseconds | Unit::Microseconds | Unit::Nanoseconds | Unit::Ratio => {
                Self::Other(unit.name().to_owned())
            }
        }
    }
}

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A cgroup's, a container's among them; with the labels of [`labels::CGROUP`].
    Cgroup,
    /// A container's, with the labels of [`labels::CONTAINERD`] instead.
    Containerd,
    /// cgscope's own work.
    Collector,
    /// cgscope's own process.
    Process,
}

/// The first release.
pub(super) const V0_1: &str = "0.1.0";
