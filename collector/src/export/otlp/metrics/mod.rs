//! A snapshot as data points of OTLP.
//!
//! In: snapshots, one after the other, and the names of disks. Out: for each cgroup, and for cgscope itself,
//! what is to be sent of it. Never here: a metric's name, or a figure that a scrape would not have.
//!
//! The messages are `opentelemetry-proto`'s and not made by the SDK of OpenTelemetry, which cannot carry
//! histograms that are aggregated already: the constructors of its data points are private.

mod exemplars;

mod histogram;

mod history;

mod kata;

mod stream;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt, mem,
    sync::Arc,
    time::SystemTime,
};

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{ResourceMetrics, number_data_point},
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as model;

use self::{
    history::{Entity, Points, Since},
    stream::{Shape, Stream, Value},
};
use super::{
    OwnResource, TemporalityPreference,
    attributes::{text, unix_nanos},
    resource::resource_of,
    scope::metrics_of,
};
use crate::{
    catalog::Identity,
    export::{
        EncodeError, Format, NameSets,
        exposition::{CGROUPS_PER_ROUND, Scene},
        family::{Family, Kind, Otlp, Unit},
        peers::otel::{self, ContainerPoints, CpuReadings, Number},
    },
    reconcile::{Snapshot, snapshot::CgroupStats},
    window::Device,
};

/// Makes data points of one snapshot after the other.
#[derive(Debug)]
pub struct MetricsEncoder {
    own: Arc<OwnResource>,
    temporality: TemporalityPreference,
    /// When cgscope began to count.
    began: SystemTime,
    itself: Entity,
    /// Those of the last snapshot, by path.
    cgroups: HashMap<String, Known>,
    /// What their CPU usage is told by, of those that are containers.
    cpu: HashMap<String, CpuReadings>,
}

/// A cgroup of the last snapshot.
#[derive(Debug)]
struct Known {
    identity: Arc<Identity>,
    entity: Entity,
    /// Whether it is in the snapshot that is being encoded.
    is_there: bool,
}

impl MetricsEncoder {
    /// Nothing was exported yet, and nothing counted before `began`.
    #[must_use]
    pub fn new(
        own: Arc<OwnResource>,
        temporality: TemporalityPreference,
        began: SystemTime,
    ) -> Self {
        Self {
            own,
            temporality,
            began,
            itself: Entity::default(),
            cgroups: HashMap::new(),
            cpu: HashMap::new(),
        }
    }

    /// The data points of a snapshot, by whose they are, cgscope's own last. `devices` has the names of disks; those
    /// that are gone have their numbers.
    ///
    /// # Errors
    ///
    /// When a family cannot be encoded, as for a scrape.
    pub fn encode(
        &mut self,
        snapshot: Snapshot,
        devices: &BTreeMap<Device, String>,
    ) -> Result<Vec<ResourceMetrics>, EncodeError> {
        let device_name = |device: Device| {
            let Device { major, minor } = device;
            let named = devices.get(&device).cloned();
            named.unwrap_or_else(|| format!("{major}:{minor}"))
        };
        let format = Format::PrometheusProtobuf;
        let scene = Scene::new(snapshot, format, NameSets::default(), device_name);
        let scene = Arc::new(scene);
        let snapshot = &scene.snapshot;
        let taken = unix_nanos(snapshot.taken);

        let of_cgscope = self.of_cgscope(&scene, taken)?;
        let mut out = Vec::new();
        let mut before = mem::take(&mut self.cpu);
        let containers = otel::containers(snapshot, |path| before.remove(path), devices);
        let mut containers: HashMap<_, _> = containers.map(|of| (of.path(), of)).collect();
        for first in (0..snapshot.cgroups.len()).step_by(CGROUPS_PER_ROUND) {
            let end = snapshot.cgroups.len().min(first + CGROUPS_PER_ROUND);
            let mut families = by_cgroup(&scene, first, end)?;
            for (cgroup, families) in snapshot.cgroups[first..end].iter().zip(&mut families) {
                let container = containers.remove(cgroup.identity.path.as_str());
                out.push(self.of_cgroup(cgroup, families, container.as_ref(), &scene, taken));
            }
        }
        self.take_leave(taken, &mut out);
        kata::encode(&snapshot.kata, &self.own, taken, &mut out);
        // What comes first gives way to the rest where there is no room for all: what is lost is still told.
        out.push(of_cgscope);
        Ok(out)
    }

    fn of_cgscope(
        &mut self,
        scene: &Arc<Scene>,
        taken: u64,
    ) -> Result<ResourceMetrics, EncodeError> {
        let since = Since::all_along(unix_nanos(self.began));
        let mut points = Points::new(&mut self.itself, self.temporality, taken);
        for (family, message) in scene.own_messages(None)? {
            let Some(stream) = Stream::of_family(family) else {
                continue;
            };
            for metric in message.metric {
                let (attributes, value) = point_of(family, metric);
                points.add(&stream, attributes, value, since, Vec::new());
            }
        }
        Ok(metrics_of(self.own.resource(), points.finish()))
    }

    fn of_cgroup(
        &mut self,
        cgroup: &CgroupStats,
        families: &mut Vec<(&'static Family, model::Metric)>,
        container: Option<&ContainerPoints<'_>>,
        scene: &Scene,
        taken: u64,
    ) -> ResourceMetrics {
        let identity = &cgroup.identity;
        let began = unix_nanos(self.began);
        // Events are counted through all lives of a path, but not before cgscope was there.
        let first_seen = match identity.generation {
            1 => unix_nanos(identity.started).max(began),
            _ => began,
        };
        let known = self
            .cgroups
            .entry(identity.path.clone())
            .and_modify(|known| {
                // It was forgotten in between, and has begun anew.
                if identity.generation < known.identity.generation {
                    known.entity = Entity::default();
                }
            })
            .or_insert_with(|| Known {
                identity: Arc::clone(identity),
                entity: Entity::default(),
                is_there: true,
            });
        known.identity = Arc::clone(identity);
        known.is_there = true;

        let since = Since::all_along(first_seen);
        let mut points = Points::new(&mut known.entity, self.temporality, taken);
        for (family, metric) in families.drain(..) {
            let Some(stream) = Stream::of_family(family) else {
                continue;
            };
            let exemplars = exemplars::of(cgroup, family, &metric, &scene.devices);
            let (attributes, value) = point_of(family, metric);
            points.add(
                &stream,
                attributes,
                value,
                since_of(family, since),
                exemplars,
            );
        }
        if let Some(container) = container {
            if let Some(readings) = container.cpu_readings() {
                self.cpu.insert(identity.path.clone(), readings.clone());
            }
            container.each(|point| {
                let keys = point.metric.attributes.iter().map(|label| label.name);
                let attributes = keys.zip(point.attributes.iter().copied());
                let attributes = attributes.map(|(key, value)| text(key, value));
                let value = match point.value {
                    Number::Int(value) => number_data_point::Value::AsInt(value),
                    Number::Double(value) => number_data_point::Value::AsDouble(value),
                };
                // The kernel counts from the start of this life of the path.
                let since = point.start.map_or(since, |start| {
                    Since::of_life(identity.generation, unix_nanos(start))
                });
                let stream = Stream::of_convention(point.metric);
                points.add(
                    &stream,
                    attributes.collect(),
                    Value::Number(value),
                    since,
                    Vec::new(),
                );
            });
        }
        metrics_of(resource_of(identity, &self.own), points.finish())
    }

    /// Says of the cgroups that are in no snapshot any more that they have no values, and forgets them.
    fn take_leave(&mut self, taken: u64, out: &mut Vec<ResourceMetrics>) {
        let Self {
            cgroups,
            own,
            temporality,
            ..
        } = self;
        cgroups.retain(|_, known| {
            if !known.is_there {
                let last = Points::new(&mut known.entity, *temporality, taken).finish();
                if !last.is_empty() {
                    out.push(metrics_of(resource_of(&known.identity, own), last));
                }
            }
            mem::take(&mut known.is_there)
        });
    }
}

/// The families of so many cgroups, by the cgroup.
fn by_cgroup(
    scene: &Arc<Scene>,
    first: usize,
    end: usize,
) -> Result<Vec<Vec<(&'static Family, model::Metric)>>, EncodeError> {
    let mut by_cgroup = vec![Vec::new(); end - first];
    for (family, message) in scene.own_messages(Some(&(first..end)))? {
        for mut metric in message.metric {
            // The mark that stands for the cgroup's labels.
            let position = metric.label.first().and_then(|mark| {
                let position: usize = mark.value.parse().ok()?;
                position.checked_sub(first)
            });
            let of_cgroup = position.and_then(|position| by_cgroup.get_mut(position));
            let of_cgroup = of_cgroup.ok_or(EncodeError::Protobuf(fmt::Error))?;
            metric.label.remove(0);
            of_cgroup.push((family, metric));
        }
    }
    Ok(by_cgroup)
}

/// Since when a family counts of a cgroup, if what we count began with `ours`.
fn since_of(family: &Family, ours: Since) -> Since {
    match family.otlp {
        Some(Otlp {
            is_start_known: false,
            ..
        }) => Since::unknown(),
        _ => ours,
    }
}

/// What a series says, by OTLP. A label that is empty is none.
fn point_of(family: &Family, metric: model::Metric) -> (Vec<KeyValue>, Value) {
    let labels = metric.label.into_iter();
    let labels = labels.filter(|label| !label.value.is_empty());
    let attributes = labels.map(|label| text(label.name, label.value));
    let attributes = attributes.collect();
    let number = |value: f64| {
        let is_fraction = matches!(family.unit, Some(unit) if unit != Unit::Bytes);
        if is_fraction {
            number_data_point::Value::AsDouble(value)
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "whole numbers")]
            number_data_point::Value::AsInt(value as i64)
        }
    };
    let value = match family.kind {
        Kind::Histogram => {
            Value::Histogram(histogram::translated(&metric.histogram.unwrap_or_default()))
        }
        Kind::Counter => Value::Number(number(metric.counter.map_or(0.0, |of| of.value))),
        Kind::Gauge | Kind::Info => Value::Number(number(metric.gauge.map_or(0.0, |of| of.value))),
    };
    (attributes, value)
}
