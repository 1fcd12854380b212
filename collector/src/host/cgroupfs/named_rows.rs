//! What the files of the controllers `rdma` and `misc` mean, whose rows have names. They are the same in
//! v1 and v2.

use super::{
    KernelFile as File,
    source::Source,
    statistics::{MiscStatistics, RdmaStatistics},
    text::Value,
};

/// Rows of `rdma` and `misc` that are kept.
const MAX_NAMED_ROWS: usize = 64;

pub(super) fn rdma(source: &mut Source<'_>, devices: &mut Vec<RdmaStatistics>) {
    source.read(File::RdmaCurrent, |text| {
        for device in &mut *devices {
            device.handles = None;
            device.objects = None;
        }
        text.nested(|name, key, value| {
            let Some(device) = rdma_device(devices, name, value) else {
                return;
            };
            match key {
                b"hca_handle" => device.handles = value.number(),
                b"hca_object" => device.objects = value.number(),
                _ => {}
            }
        });
        devices.retain(|device| device.handles.is_some() || device.objects.is_some());
    });
}

pub(super) fn rdma_limits(source: &mut Source<'_>, devices: &mut Vec<RdmaStatistics>) {
    source.read(File::RdmaMax, |text| {
        text.nested(|name, key, value| {
            let Some(device) = rdma_device(devices, name, value) else {
                return;
            };
            match key {
                b"hca_handle" => device.handle_limit = value.limit(),
                b"hca_object" => device.object_limit = value.limit(),
                _ => {}
            }
        });
    });
}

fn rdma_device<'d>(
    devices: &'d mut Vec<RdmaStatistics>,
    name: &[u8],
    value: &mut Value<'_, '_>,
) -> Option<&'d mut RdmaStatistics> {
    let place = match devices
        .iter()
        .position(|known| known.device.as_bytes() == name)
    {
        Some(place) => place,
        None if devices.len() >= MAX_NAMED_ROWS => {
            value.too_many();
            return None;
        }
        None => {
            devices.push(RdmaStatistics {
                device: value.intern(name)?,
                handles: None,
                objects: None,
                handle_limit: None,
                object_limit: None,
            });
            devices.len() - 1
        }
    };
    devices.get_mut(place)
}

pub(super) fn misc(source: &mut Source<'_>, resources: &mut Vec<MiscStatistics>) {
    source.read(File::MiscCurrent, |text| {
        for resource in &mut *resources {
            resource.current = None;
        }
        text.known(|name, value| {
            if let Some(resource) = misc_resource(resources, name, value) {
                resource.current = value.number();
            }
        });
        resources.retain(|resource| resource.current.is_some());
    });
    source.read(File::MiscPeak, |text| {
        text.known(|name, value| {
            if let Some(resource) = misc_resource(resources, name, value) {
                resource.peak = value.number();
            }
        });
    });
    source.read(File::MiscEvents, |text| {
        text.known(|key, value| {
            if let Some(name) = key.strip_suffix(b".max")
                && let Some(resource) = misc_resource(resources, name, value)
            {
                resource.limit_hits = value.number();
            }
        });
    });
}

pub(super) fn misc_limits(source: &mut Source<'_>, resources: &mut Vec<MiscStatistics>) {
    source.read(File::MiscMax, |text| {
        text.known(|name, value| {
            if let Some(resource) = misc_resource(resources, name, value) {
                resource.limit = value.limit();
            }
        });
    });
}

fn misc_resource<'r>(
    resources: &'r mut Vec<MiscStatistics>,
    name: &[u8],
    value: &mut Value<'_, '_>,
) -> Option<&'r mut MiscStatistics> {
    let place = match resources
        .iter()
        .position(|known| known.resource.as_bytes() == name)
    {
        Some(place) => place,
        None if resources.len() >= MAX_NAMED_ROWS => {
            value.too_many();
            return None;
        }
        None => {
            resources.push(MiscStatistics {
                resource: value.intern(name)?,
                current: None,
                peak: None,
                limit: None,
                limit_hits: None,
            });
            resources.len() - 1
        }
    };
    resources.get_mut(place)
}
