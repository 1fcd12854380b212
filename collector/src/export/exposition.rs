//! Encodes a snapshot in one of the formats.
//!
//! In: a snapshot, a format, the names of the disks. Out: the bytes of one scrape.

use std::{collections::HashMap, fmt, ops::Range, sync::Arc};

use super::{
    NameSets,
    cgroup_feeds::Cgroup,
    cgroup_labels::CgroupLabels,
    classic_text::ClassicText,
    encode_error::EncodeError,
    exemplars::{ExemplarText, WaitingExemplars},
    family::Family,
    family_message::FamilyMessage,
    feeds::{self, Feed},
    format::Format,
    kata_families,
    peers::{ContainerdLabels, NetworkViews, Row, SharedFamily},
    pieces::{Pieces, Unwanted},
    series::Series,
};
use crate::{
    reconcile::{Snapshot, snapshot::CgroupStats},
    window::Device,
};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder,
        prometheus_protobuf::{
            self,
            prometheus_data_model::{Counter, Gauge, MetricFamily, MetricType},
        },
        text,
    },
    registry::{Registry, Unit},
};

/// One scrape of `snapshot` as a whole.
pub fn encode(
    snapshot: Snapshot,
    format: Format,
    names: NameSets,
    device_name: impl Fn(Device) -> String,
) -> Result<Vec<u8>, EncodeError> {
    let mut whole = Vec::new();
    encode_in_pieces(snapshot, format, names, device_name, |piece| {
        whole.extend_from_slice(&piece);
        true
    })?;
    Ok(whole)
}

/// One scrape of `snapshot`, with our own names and those of the wanted sets. `device_name` is asked
/// once for each disk in it, and must give no two of them the same name. `take` is given one piece after
/// the other, and says whether it wants more.
pub fn encode_in_pieces(
    snapshot: Snapshot,
    format: Format,
    names: NameSets,
    device_name: impl Fn(Device) -> String,
    mut take: impl FnMut(Vec<u8>) -> bool,
) -> Result<(), EncodeError> {
    let mut is_wanted = true;
    let pieces = Pieces::new(|piece| {
        is_wanted = take(piece);
        is_wanted
    });
    let written = write(snapshot, format, names, device_name, pieces);
    // The encoder's own error does not say why.
    if is_wanted {
        written
    } else {
        Err(EncodeError::Unwanted)
    }
}

fn write<T: FnMut(Vec<u8>) -> bool>(
    snapshot: Snapshot,
    format: Format,
    names: NameSets,
    device_name: impl Fn(Device) -> String,
    mut out: Pieces<T>,
) -> Result<(), EncodeError> {
    let scene = Arc::new(Scene::new(snapshot, format, names, device_name));
    match format {
        Format::OpenMetricsText => {
            let registry = scene.registry(scene.everything(), scene.everyone());
            if scene.has_exemplars() {
                let waiting = &scene.waiting;
                let out = &mut out;
                text::encode_registry(&mut ExemplarText { out, waiting }, &registry)
            } else {
                text::encode_registry(&mut out, &registry)
            }
            .and_then(|()| kata_families::write_text(&mut out, &scene.snapshot.kata, format))
            .and_then(|()| text::encode_eof(&mut out))
            .map_err(EncodeError::Text)?;
        }
        Format::PrometheusText => {
            text::encode_registry(
                &mut ClassicText::new(&mut out),
                &scene.registry(scene.everything(), scene.everyone()),
            )
            .and_then(|()| kata_families::write_text(&mut out, &scene.snapshot.kata, format))
            .map_err(EncodeError::Text)?;
        }
        Format::PrometheusProtobuf => {
            write_protobuf(&scene, &mut out)?;
            kata_families::write_messages(&mut out, &scene.snapshot.kata)?;
        }
    }
    out.finish().map_err(|Unwanted| EncodeError::Unwanted)
}

/// Cgroups per round of a family. Protobuf messages are built before they are written: built for all
/// cgroups at once they take several times the memory of the exposition, and the time to get it from the
/// system. Much smaller rounds build the family's head too often.
pub(super) const CGROUPS_PER_ROUND: usize = 16;

fn write_protobuf<T: FnMut(Vec<u8>) -> bool>(
    scene: &Arc<Scene>,
    out: &mut Pieces<T>,
) -> Result<(), EncodeError> {
    let mut message = FamilyMessage::default();
    for (position, family) in scene.families.iter().enumerate() {
        let rounds = if family.is_by_cgroup() {
            scene.snapshot.cgroups.len().div_ceil(CGROUPS_PER_ROUND)
        } else {
            1
        };
        for round in 0..rounds {
            let first = round * CGROUPS_PER_ROUND;
            let end = scene.snapshot.cgroups.len().min(first + CGROUPS_PER_ROUND);
            let registry = scene.registry(position..position + 1, first..end);
            for mut part in prometheus_protobuf::encode(&registry).map_err(EncodeError::Protobuf)? {
                scene.waiting.put_into(&mut part);
                family.name_as_listed(&mut part);
                message
                    .add(part, &scene.labels)
                    .map_err(EncodeError::Protobuf)?;
            }
        }
        message
            .finish(out)
            .map_err(|Unwanted| EncodeError::Unwanted)?;
    }
    Ok(())
}

/// A snapshot with all that its series need.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) snapshot: Snapshot,
    format: Format,
    families: Vec<Exported>,
    /// By the position of the cgroup.
    labels: Vec<CgroupLabels>,
    pub(super) devices: HashMap<Device, String>,
    oom_watched: bool,
    oom_limits_known: bool,
    throttling_known: bool,
    peers: PeerView,
    waiting: WaitingExemplars,
}

/// A family that is exported.
#[derive(Clone, Copy, Debug)]
enum Exported {
    /// One of our own.
    Own(&'static Family, Feed),
    /// One whose name others gave.
    Peer(SharedFamily),
}

/// What only the names that others gave need.
#[derive(Debug, Default)]
struct PeerView {
    /// By the position of the cgroup.
    containerd: Vec<Option<ContainerdLabels>>,
    networks: NetworkViews,
    /// The files of disks.
    devices: HashMap<Device, String>,
}

impl Scene {
    pub(super) fn new(
        snapshot: Snapshot,
        format: Format,
        names: NameSets,
        device_name: impl Fn(Device) -> String,
    ) -> Self {
        let labels = snapshot
            .cgroups
            .iter()
            .enumerate()
            .map(|(position, cgroup)| match format {
                Format::OpenMetricsText | Format::PrometheusText => {
                    CgroupLabels::text(&cgroup.identity)
                }
                Format::PrometheusProtobuf => CgroupLabels::message(&cgroup.identity, position),
            })
            .collect();
        let mut devices = HashMap::new();
        for row in snapshot.cgroups.iter().flat_map(|cgroup| &cgroup.block) {
            devices
                .entry(row.device)
                .or_insert_with_key(|&device| device_name(device));
        }
        let peers = if names.any() {
            PeerView::new(&snapshot.cgroups, device_name)
        } else {
            PeerView::default()
        };
        let own = feeds::ALL
            .iter()
            .map(|(family, feed)| Exported::Own(family, *feed));
        let oom_watched = feeds::oom_watched(&snapshot);
        let oom_limits_known = snapshot.oom_limits_known;
        let throttling_known = snapshot.throttling_known;
        Self {
            snapshot,
            format,
            families: own
                .chain(names.families().into_iter().map(Exported::Peer))
                .collect(),
            labels,
            devices,
            oom_watched,
            oom_limits_known,
            throttling_known,
            peers,
            waiting: WaitingExemplars::default(),
        }
    }

    fn has_exemplars(&self) -> bool {
        let mut cgroups = self.snapshot.cgroups.iter();
        cgroups.any(|cgroup| !cgroup.exemplars.is_empty())
    }

    fn everyone(&self) -> Range<usize> {
        0..self.snapshot.cgroups.len()
    }

    fn everything(&self) -> Range<usize> {
        0..self.families.len()
    }

    /// Our own families of so many cgroups, or else those of the snapshot as a whole: each as a message,
    /// with marks in the place of a cgroup's labels.
    pub(super) fn own_messages(
        self: &Arc<Self>,
        cgroups: Option<&Range<usize>>,
    ) -> Result<Vec<(&'static Family, MetricFamily)>, EncodeError> {
        let mut messages = Vec::new();
        for (position, family) in self.families.iter().enumerate() {
            let Exported::Own(family, feed) = family else {
                continue;
            };
            if matches!(feed, Feed::Cgroup(_)) != cgroups.is_some() {
                continue;
            }
            let registry = self.registry(position..position + 1, cgroups.cloned().unwrap_or(0..0));
            let encoded = prometheus_protobuf::encode(&registry).map_err(EncodeError::Protobuf)?;
            messages.extend(encoded.into_iter().map(|message| (*family, message)));
        }
        Ok(messages)
    }

    fn registry(self: &Arc<Self>, families: Range<usize>, cgroups: Range<usize>) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Part {
            scene: Arc::clone(self),
            families,
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

    /// The cgroups whose own accounting is known, as others see them.
    fn rows(&self, range: Range<usize>) -> impl Iterator<Item = Row<'_>> {
        range.filter_map(|position| {
            let stats = &self.snapshot.cgroups[position];
            let limit_kills_known = self.oom_watched && self.oom_limits_known;
            Some(Row {
                identity: &stats.identity,
                labels: &self.labels[position],
                containerd: self.peers.containerd[position].as_ref(),
                exited: stats.exited,
                taken: self.snapshot.taken,
                statistics: stats.kernel.statistics.as_deref()?,
                network: stats
                    .kernel
                    .network
                    .as_deref()
                    .filter(|_| self.peers.networks.shows(position)),
                processes: stats.kernel.processes.as_ref(),
                sched: stats.life.sched.as_ref(),
                limit_oom_kills: limit_kills_known.then_some(stats.life.limit_oom_kills),
                devices: &self.peers.devices,
            })
        })
    }
}

impl PeerView {
    fn new(cgroups: &[CgroupStats], device_name: impl Fn(Device) -> String) -> Self {
        let mut devices = HashMap::new();
        for io in cgroups
            .iter()
            .filter_map(|cgroup| cgroup.kernel.statistics.as_ref()?.io.as_ref())
        {
            for row in &io.devices {
                devices
                    .entry(row.device)
                    .or_insert_with_key(|&device| device_file(device, device_name(device)));
            }
        }
        Self {
            containerd: ContainerdLabels::of_all(cgroups),
            networks: NetworkViews::of(cgroups),
            devices,
        }
    }
}

/// The file of a disk; of one that is gone, which has its number as name, that.
fn device_file(Device { major, minor }: Device, name: String) -> String {
    if name == format!("{major}:{minor}") {
        name
    } else {
        format!("/dev/{name}")
    }
}

impl Exported {
    const fn is_by_cgroup(&self) -> bool {
        matches!(self, Self::Own(_, Feed::Cgroup(_)) | Self::Peer(_))
    }

    /// Takes back what the encoder has added to a name that does not end as ours do.
    fn name_as_listed(&self, encoded: &mut MetricFamily) {
        if let Self::Peer(SharedFamily { family, .. }) = self {
            family.name.clone_into(&mut encoded.name);
            if family.is_bare_counter() {
                encoded.set_type(MetricType::Counter);
                for metric in &mut encoded.metric {
                    metric.counter = metric.gauge.take().map(|Gauge { value }| Counter {
                        value,
                        ..Counter::default()
                    });
                }
            }
        }
    }
}

/// Some families of some cgroups.
#[derive(Debug)]
struct Part {
    scene: Arc<Scene>,
    families: Range<usize>,
    cgroups: Range<usize>,
}

impl Collector for Part {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self {
            scene,
            families,
            cgroups,
        } = self;
        for exported in &scene.families[families.clone()] {
            let (family, feed) = match exported {
                Exported::Own(family, feed) => (family, feed),
                Exported::Peer(shared) => {
                    shared.encode(scene.rows(cgroups.clone()), &mut encoder)?;
                    continue;
                }
            };
            let unit = family.unit_in_name().map(Unit::from);
            let mut encoder = encoder.encode_descriptor(
                family.stem(),
                family.help,
                unit.as_ref(),
                family.metric_type(),
            )?;
            let mut series = Series {
                encoder: &mut encoder,
                format: scene.format,
                waiting: &scene.waiting,
                histograms: 0,
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
