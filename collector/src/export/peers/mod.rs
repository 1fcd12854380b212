//! The metrics of other collectors, under the names, labels and units that they gave them.
//!
//! In: a cgroup's own accounting, its identity, and which sets of names are wanted. Out: series that
//! dashboards and alerts made for [`containerd`] or for [`cadvisor`] and the kubelet find as they know
//! them. Never here: a name of our own, a figure that the other collector gives another meaning, or a
//! zero for what is not known.
//!
//! Each set is one table, and `docs/metrics.md` is printed from it. Both sets at once share some
//! names: such a family then has the series of both, told apart by their labels.

mod bounds;
mod cadvisor;
mod containerd;
pub mod otel;

mod figure;
mod place;
mod row;

use std::{fmt, sync::LazyLock};

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet},
    registry,
};

use self::figure::{Amount, Figure};
use super::family::{Family, Kind, Unit};

pub(super) use self::{
    bounds::over_bound,
    cadvisor::METRICS as CADVISOR,
    containerd::METRICS as CONTAINERD,
    row::{ContainerdLabels, NetworkViews, Row},
};

/// Which sets are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSets {
    /// That of containerd's metrics endpoint.
    pub containerd: bool,
    /// That of cAdvisor, and of the kubelet's cAdvisor endpoint.
    pub cadvisor: bool,
}

/// One metric of a set.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) family: Family,
    /// Whether it still says something of a cgroup that is gone: a total or a peak does, what is in
    /// use does not.
    lasts: bool,
    figures: Figures,
}

/// Where the values come from.
#[derive(Debug)]
enum Figures {
    /// From the same field in both versions of cgroups, or from none of their files.
    Any(Figure),
    /// From cgroup v1 alone.
    V1(Figure),
    /// From cgroup v2 alone.
    V2(Figure),
    /// From each in its own way.
    Each { v1: Figure, v2: Figure },
}

/// A family and the metrics that have its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedFamily {
    cadvisor: Option<&'static Metric>,
    containerd: Option<&'static Metric>,
    pub(super) family: &'static Family,
}

/// Writes a table: a row is name, kind, unit, where from, meaning, source.
macro_rules! metrics {
    ($scope:ident; $($name:literal: $kind:ident $unit:ident, $figures:expr, $help:expr, $source:expr;)*) => {
        &[$({
            const FIGURES: $crate::export::peers::Figures = $figures;
            $crate::export::peers::Metric {
                family: $crate::export::family::Family {
                    name: $name,
                    otlp: None,
                    kind: $crate::export::peers::metrics!(@kind $kind),
                    unit: $crate::export::peers::metrics!(@unit $unit),
                    scope: $crate::export::family::Scope::$scope,
                    labels: FIGURES.labels(),
                    help: $help,
                    source: $source,
                    since: $crate::export::family::V0_1,
                },
                lasts: $crate::export::peers::metrics!(@lasts $kind),
                figures: FIGURES,
            }
        },)*]
    };
    (@kind counter) => { $crate::export::family::Kind::Counter };
    (@kind $gauge:ident) => { $crate::export::family::Kind::Gauge };
    // A gauge of what adds up, or of the most there ever was.
    (@lasts gauge) => { false };
    (@lasts $total:ident) => { true };
    (@unit count) => { None };
    (@unit bytes) => { Some($crate::export::family::Unit::Bytes) };
    (@unit seconds) => { Some($crate::export::family::Unit::Seconds) };
    (@unit milliseconds) => { Some($crate::export::family::Unit::Milliseconds) };
    (@unit microseconds) => { Some($crate::export::family::Unit::Microseconds) };
    (@unit nanoseconds) => { Some($crate::export::family::Unit::Nanoseconds) };
}
use metrics;

impl NameSets {
    /// The families of the wanted sets, each name once.
    pub(super) fn families(self) -> Vec<SharedFamily> {
        let mut families: Vec<SharedFamily> = Vec::new();
        if self.cadvisor {
            families.extend(cadvisor::METRICS.iter().map(|metric| SharedFamily {
                cadvisor: Some(metric),
                containerd: None,
                family: &metric.family,
            }));
        }
        if self.containerd {
            for metric in containerd::METRICS {
                let name = metric.family.name;
                match families.iter_mut().find(|of| of.family.name == name) {
                    Some(shared) => shared.containerd = Some(metric),
                    None => families.push(SharedFamily {
                        cadvisor: None,
                        containerd: Some(metric),
                        family: &metric.family,
                    }),
                }
            }
        }
        families
    }

    /// Whether any is wanted.
    pub(super) const fn any(self) -> bool {
        self.containerd || self.cadvisor
    }
}

impl SharedFamily {
    /// Writes the series of some cgroups; nothing at all, not even the head, when there are none.
    #[expect(
        single_use_lifetimes,
        reason = "an unnamed one is not stable in this place"
    )]
    pub(super) fn encode<'r>(
        &self,
        rows: impl Iterator<Item = Row<'r>>,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let unit = self.family.unit_in_name().map(Unit::into);
        let mut out = Lazy::Head(encoder, self.family, unit.as_ref());
        for row in rows {
            if let Some(metric) = self.cadvisor.filter(|_| row.is_cgroup()) {
                metric.encode(&row, row.labels, &mut out)?;
            }
            if let (Some(metric), Some(labels)) = (self.containerd, row.containerd) {
                metric.encode(&row, labels, &mut out)?;
            }
        }
        Ok(())
    }
}

impl Metric {
    /// The versions of cgroups whose files it is in, for the reference.
    pub(super) const fn cgroup_versions(&self) -> &'static str {
        match self.figures {
            Figures::Any(_) | Figures::Each { .. } => "v1, v2",
            Figures::V1(_) => "v1",
            Figures::V2(_) => "v2",
        }
    }

    fn encode(
        &self,
        row: &Row<'_>,
        labels: impl EncodeLabelSet + Copy,
        out: &mut Lazy<'_, '_>,
    ) -> fmt::Result {
        if row.exited.is_some() && !self.lasts {
            return Ok(());
        }
        self.figures.each(row, &mut |place, value| {
            let amount = Amount::of(value, self.family.unit);
            let set = (labels, place);
            let mut series = out.encoder()?.encode_family(&set)?;
            match (self.family.kind, self.family.is_bare_counter()) {
                (Kind::Counter, false) => {
                    series.encode_counter::<NoLabelSet, _, f64>(&amount, None)
                }
                _ => series.encode_gauge(&amount),
            }
        })
    }
}

impl Figures {
    const fn labels(&self) -> &'static [super::labels::Label] {
        match self {
            Self::Any(figure)
            | Self::V1(figure)
            | Self::V2(figure)
            // A test sees to it that both have the same.
            | Self::Each { v1: figure, v2: _ } => figure.labels(),
        }
    }
}

/// A family whose head is written before its first series.
enum Lazy<'d, 'e> {
    Head(
        &'d mut DescriptorEncoder<'e>,
        &'static Family,
        Option<&'d registry::Unit>,
    ),
    Series(MetricEncoder<'d>),
    /// Only while it passes from the one to the other, or when the head could not be written.
    Nothing,
}

impl<'d> Lazy<'d, '_> {
    fn encoder(&mut self) -> Result<&mut MetricEncoder<'d>, fmt::Error> {
        if let Self::Head(..) = self
            && let Self::Head(encoder, family, unit) = std::mem::replace(self, Self::Nothing)
        {
            *self = Self::Series(encoder.encode_descriptor(
                family.stem(),
                family.help,
                unit,
                family.metric_type(),
            )?);
        }
        match self {
            Self::Series(series) => Ok(series),
            Self::Head(..) | Self::Nothing => Err(fmt::Error),
        }
    }
}

/// Counters whose names do not say that they are.
static BARE_COUNTERS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    [cadvisor::METRICS, containerd::METRICS]
        .into_iter()
        .flatten()
        .filter(|metric| metric.family.is_bare_counter())
        .map(|metric| metric.family.name)
        .collect()
});

/// Whether the family of this name is a counter, though its name does not say so.
pub(super) fn is_bare_counter(name: &str) -> bool {
    BARE_COUNTERS.contains(&name)
}

#[cfg(test)]
mod tests;
