//! What the files of the controllers `rdma` and `misc` mean, whose rows have names. They are the same in
//! v1 and v2.

use std::sync::Arc;

use super::{
    KernelFile as File, OtherKeys,
    source::Source,
    statistics::{CountedUse, MiscStatistics, RdmaStatistics},
    text::{Text, Value},
};

/// Rows of `rdma` and `misc` that are kept.
const MAX_NAMED_ROWS: usize = 64;

/// Something that has a row of its own in these files.
trait Named {
    fn new(name: Arc<str>) -> Self;
    fn name(&self) -> &str;
}

impl Named for RdmaStatistics {
    fn new(device: Arc<str>) -> Self {
        Self {
            device,
            handles: CountedUse::default(),
            objects: CountedUse::default(),
            other: OtherKeys::default(),
        }
    }

    fn name(&self) -> &str {
        &self.device
    }
}

impl Named for MiscStatistics {
    fn new(resource: Arc<str>) -> Self {
        Self {
            resource,
            used: CountedUse::default(),
        }
    }

    fn name(&self) -> &str {
        &self.resource
    }
}

impl RdmaStatistics {
    /// The figures of a resource as the kernel names it.
    fn of(&mut self, resource: &[u8]) -> Option<&mut CountedUse> {
        match resource {
            b"hca_handle" => Some(&mut self.handles),
            b"hca_object" => Some(&mut self.objects),
            _ => None,
        }
    }
}

/// The row of a name, made if need be. `None` at [`MAX_NAMED_ROWS`], which is counted.
fn row<'r, T: Named>(
    rows: &'r mut Vec<T>,
    name: &[u8],
    value: &mut Value<'_, '_>,
) -> Option<&'r mut T> {
    let is_it = |known: &T| known.name().as_bytes() == name;
    let place = match rows.iter().position(is_it) {
        Some(place) => place,
        None if rows.len() >= MAX_NAMED_ROWS => {
            value.too_many();
            return None;
        }
        None => {
            rows.push(T::new(value.intern(name)?));
            rows.len() - 1
        }
    };
    rows.get_mut(place)
}

pub(super) fn rdma(source: &mut Source<'_>, devices: &mut Vec<RdmaStatistics>) {
    source.read(File::RdmaCurrent, |text| {
        for device in &mut *devices {
            device.handles.current = None;
            device.objects.current = None;
            device.other.begin();
        }
        text.nested(|name, key, value| {
            let Some(device) = row(devices, name, value) else {
                return;
            };
            match device.of(key) {
                Some(used) => used.current = value.number(),
                None => value.keep_in(&mut device.other),
            }
        });
        devices.retain(|device| {
            let known = [device.handles.current, device.objects.current];
            known.into_iter().any(|known| known.is_some()) || !device.other.is_empty()
        });
    });
    source.read(File::RdmaPeak, |text| {
        for device in &mut *devices {
            device.handles.peak = None;
            device.objects.peak = None;
        }
        text.nested(|name, key, value| {
            if let Some(used) = row(devices, name, value).and_then(|device| device.of(key)) {
                used.peak = value.number();
            }
        });
    });
    for (file, hits, failures) in [
        (File::RdmaEvents, HITS, FAILURES),
        (File::RdmaEventsLocal, HITS_HERE, FAILURES_HERE),
    ] {
        source.read(file, |text| {
            for device in &mut *devices {
                for used in [&mut device.handles, &mut device.objects] {
                    *hits(used) = None;
                    *failures(used) = None;
                }
            }
            text.nested(|name, key, value| {
                let Some(device) = row(devices, name, value) else {
                    return;
                };
                for (suffix, column) in [(&b".max"[..], hits), (b".alloc_fail", failures)] {
                    if let Some(used) = key.strip_suffix(suffix).and_then(|of| device.of(of)) {
                        *column(used) = value.number();
                    }
                }
            });
        });
    }
}

/// Where a number of one file is.
type Column = fn(&mut CountedUse) -> &mut Option<u64>;

const HITS: Column = |used| &mut used.limit_hits;
const HITS_HERE: Column = |used| &mut used.limit_hits_here;
const FAILURES: Column = |used| &mut used.failures;
const FAILURES_HERE: Column = |used| &mut used.failures_here;

pub(super) fn rdma_limits(source: &mut Source<'_>, devices: &mut Vec<RdmaStatistics>) {
    source.read(File::RdmaMax, |text| {
        text.nested(|name, key, value| {
            if let Some(used) = row(devices, name, value).and_then(|device| device.of(key)) {
                used.limit = value.limit();
            }
        });
    });
}

pub(super) fn misc(source: &mut Source<'_>, resources: &mut Vec<MiscStatistics>) {
    source.read(File::MiscCurrent, |text| {
        misc_column(text, resources, b"", |used| &mut used.current);
        resources.retain(|resource| resource.used.current.is_some());
    });
    source.read(File::MiscPeak, |text| {
        misc_column(text, resources, b"", |used| &mut used.peak);
    });
    source.read(File::MiscEvents, |text| {
        misc_column(text, resources, b".max", HITS);
    });
    source.read(File::MiscEventsLocal, |text| {
        misc_column(text, resources, b".max", HITS_HERE);
    });
}

/// Takes the numbers of a file whose keys end so.
fn misc_column(text: Text<'_>, resources: &mut Vec<MiscStatistics>, suffix: &[u8], column: Column) {
    for resource in &mut *resources {
        *column(&mut resource.used) = None;
    }
    text.known(|key, value| {
        if let Some(name) = key.strip_suffix(suffix)
            && let Some(resource) = row(resources, name, value)
        {
            *column(&mut resource.used) = value.number();
        }
    });
}

pub(super) fn misc_limits(source: &mut Source<'_>, resources: &mut Vec<MiscStatistics>) {
    source.read(File::MiscMax, |text| {
        text.known(|name, value| {
            if let Some(resource) = row(resources, name, value) {
                resource.used.limit = value.limit();
            }
        });
    });
}
