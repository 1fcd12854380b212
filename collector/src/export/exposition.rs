//! Encodes a snapshot in one of the formats.
//!
//! In: a snapshot, a format, the names of the disks. Out: the bytes of one scrape.

use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_protobuf, text},
    registry::{Registry, Unit},
};

use super::{
    catalog::Family,
    classic_text::ClassicText,
    feeds::{self, Cgroup, Feed, Series},
    format::Format,
    labels::CgroupLabels,
};
use crate::{reconcile::Snapshot, window::Device};

/// A snapshot could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// As text.
    #[error("cannot write the metrics as text")]
    Text(#[source] fmt::Error),
    /// As protobuf.
    #[error("cannot write the metrics as protobuf")]
    Protobuf(#[source] prometheus_protobuf::EncodeError),
}

/// One scrape of `snapshot`. `device_name` is asked once for each disk in it, and must give no two
/// of them the same name.
pub fn encode(
    snapshot: Snapshot,
    format: Format,
    device_name: impl Fn(Device) -> String,
) -> Result<Vec<u8>, EncodeError> {
    let scene = Arc::new(Scene::new(snapshot, format, device_name));
    match format {
        Format::OpenMetricsText => {
            let mut out = String::new();
            text::encode(&mut out, &scene.registry(feeds::ALL, scene.everyone()))
                .map_err(EncodeError::Text)?;
            Ok(out.into_bytes())
        }
        Format::PrometheusText => {
            let mut out = String::new();
            text::encode_registry(
                &mut ClassicText::new(&mut out),
                &scene.registry(feeds::ALL, scene.everyone()),
            )
            .map_err(EncodeError::Text)?;
            Ok(out.into_bytes())
        }
        Format::PrometheusProtobuf => encode_protobuf(&scene),
    }
}

/// Cgroups per round of a family. Protobuf messages are built before they are written, with two
/// strings and an allocation for each label: built for all cgroups at once they take several times
/// the memory of the exposition, and the time to get it from the system. Much smaller rounds repeat
/// the family's head too often.
const CGROUPS_PER_ROUND: usize = 16;

fn encode_protobuf(scene: &Arc<Scene>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let mut message = Vec::new();
    for feed in feeds::ALL.chunks(1) {
        message.clear();
        let rounds = match feed {
            [(_, Feed::Cgroup(_))] => scene.snapshot.cgroups.len().div_ceil(CGROUPS_PER_ROUND),
            _ => 1,
        };
        for round in 0..rounds {
            let first = round * CGROUPS_PER_ROUND;
            let end = scene.snapshot.cgroups.len().min(first + CGROUPS_PER_ROUND);
            let delimited = prometheus_protobuf::encode_to_vec(&scene.registry(feed, first..end))
                .map_err(EncodeError::Protobuf)?;
            // Messages behind each other are one message, by the rules of the encoding: lists are
            // joined, and of the head, which is the same each time, the last one counts.
            message.extend_from_slice(without_length(&delimited));
        }
        push_varint(&mut out, message.len());
        out.extend_from_slice(&message);
    }
    Ok(out)
}

/// A delimited message without its length, a varint: seven bits a byte, the top bit set on all but
/// the last.
fn without_length(delimited: &[u8]) -> &[u8] {
    let length = delimited.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    delimited.get(length..).unwrap_or_default()
}

fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A snapshot with all that its series need.
#[derive(Debug)]
struct Scene {
    snapshot: Snapshot,
    format: Format,
    /// By the position of the cgroup.
    labels: Vec<CgroupLabels>,
    devices: HashMap<Device, String>,
    oom_watched: bool,
    oom_limits_known: bool,
    throttling_known: bool,
}

impl Scene {
    fn new(snapshot: Snapshot, format: Format, device_name: impl Fn(Device) -> String) -> Self {
        let render = match format {
            Format::OpenMetricsText | Format::PrometheusText => CgroupLabels::rendered,
            Format::PrometheusProtobuf => CgroupLabels::new,
        };
        let labels = snapshot
            .cgroups
            .iter()
            .map(|cgroup| render(&cgroup.identity))
            .collect();
        let mut devices = HashMap::new();
        for row in snapshot.cgroups.iter().flat_map(|cgroup| &cgroup.block) {
            devices
                .entry(row.device)
                .or_insert_with_key(|&device| device_name(device));
        }
        let oom_watched = feeds::oom_watched(&snapshot);
        let oom_limits_known = snapshot.oom_limits_known;
        let throttling_known = snapshot.throttling_known;
        Self {
            snapshot,
            format,
            labels,
            devices,
            oom_watched,
            oom_limits_known,
            throttling_known,
        }
    }

    fn everyone(&self) -> Range<usize> {
        0..self.snapshot.cgroups.len()
    }

    fn registry(
        self: &Arc<Self>,
        feeds: &'static [(Family, Feed)],
        cgroups: Range<usize>,
    ) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Part {
            scene: Arc::clone(self),
            feeds,
            cgroups,
        }));
        registry
    }

    fn cgroups(&self, range: Range<usize>) -> impl Iterator<Item = Cgroup<'_>> {
        self.snapshot.cgroups[range.clone()]
            .iter()
            .zip(&self.labels[range])
            .map(|(stats, labels)| Cgroup {
                stats,
                labels,
                devices: &self.devices,
                oom_watched: self.oom_watched,
                oom_limits_known: self.oom_limits_known,
                throttling_known: self.throttling_known,
            })
    }
}

/// Some families of some cgroups.
#[derive(Debug)]
struct Part {
    scene: Arc<Scene>,
    feeds: &'static [(Family, Feed)],
    cgroups: Range<usize>,
}

impl Collector for Part {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self {
            scene,
            feeds,
            cgroups,
        } = self;
        for (family, feed) in *feeds {
            let unit = family.unit.map(Unit::from);
            let mut encoder = encoder.encode_descriptor(
                family.stem(),
                family.help,
                unit.as_ref(),
                family.kind.into(),
            )?;
            let mut series = Series {
                encoder: &mut encoder,
                format: scene.format,
            };
            match feed {
                Feed::Cgroup(feed) => scene
                    .cgroups(cgroups.clone())
                    .try_for_each(|cgroup| feed(&mut series, &cgroup))?,
                Feed::Snapshot(feed) => feed(&mut series, &scene.snapshot)?,
            }
        }
        Ok(())
    }
}
