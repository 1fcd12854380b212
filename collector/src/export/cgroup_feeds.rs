//! Which part of a cgroup's numbers feeds which family.
//!
//! In: one cgroup's numbers. Out: its series of one family. Absent figures make no series.

use std::{collections::HashMap, fmt, time::SystemTime};

use super::{
    cgroup_labels::CgroupLabels,
    histogram,
    label_sets::{DeviceOperation, Info, WindowQuantile},
    labels::{OomRole, Stage, SwitchKind, WaitCause},
    series::Series,
};
use crate::{
    catalog::RuntimeContainer,
    reconcile::snapshot::{CgroupStats, ExemplarOf},
    window::{BlockTotals, Device, OomTotals, Preemptor},
};

/// One cgroup, with what its series need besides its numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cgroup<'a> {
    pub(super) stats: &'a CgroupStats,
    pub(super) labels: &'a CgroupLabels,
    pub(super) devices: &'a HashMap<Device, String>,
    /// Whether OOM kills are watched: otherwise a count of 0 would be a lie.
    pub(super) oom_watched: bool,
    /// Whether the kernel says whose limit they are for.
    pub(super) oom_limits_known: bool,
    /// Whether the kernel lets a wait's own bandwidth limit be told apart.
    pub(super) throttling_known: bool,
}

impl Cgroup<'_> {
    fn device(&self, device: Device) -> &str {
        self.devices.get(&device).map_or("", String::as_str)
    }
}

pub(super) fn runqueue_latency(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => out.histogram_with(
            &cgroup.labels,
            &sched.wait,
            &cgroup.stats.exemplars,
            ExemplarOf::RunqueueLatency,
        ),
        None => Ok(()),
    }
}

pub(super) fn runqueue_wait(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    let Some(sched) = cgroup
        .stats
        .sched
        .as_ref()
        .filter(|_| cgroup.throttling_known)
    else {
        return Ok(());
    };
    let throttled_ns = sched.throttled_ns;
    let contention_ns = sched.wait.sum_ns().saturating_sub(throttled_ns);
    for (cause, ns) in [
        (WaitCause::Contention, contention_ns),
        (WaitCause::Throttled, throttled_ns),
    ] {
        out.counter(&(cgroup.labels, cause), &histogram::seconds(ns))?;
    }
    Ok(())
}

pub(super) fn oncpu_slice(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => out.histogram(&cgroup.labels, &sched.slice),
        None => Ok(()),
    }
}

pub(super) fn cpu_seconds(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => out.counter(&cgroup.labels, &histogram::seconds(sched.slice.sum_ns())),
        None => Ok(()),
    }
}

pub(super) fn context_switches(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => {
            out.counter(&(cgroup.labels, SwitchKind::Voluntary), &sched.voluntary)?;
            out.counter(
                &(cgroup.labels, SwitchKind::Involuntary),
                &sched.involuntary,
            )
        }
        None => Ok(()),
    }
}

pub(super) fn preemptions(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => Preemptor::ALL
            .into_iter()
            .zip(sched.preempted_by)
            .try_for_each(|(by, count)| out.counter(&(cgroup.labels, by), &count)),
        None => Ok(()),
    }
}

/// Calls `encode` with the labels of each row of block I/O.
fn block_rows(
    cgroup: &Cgroup<'_>,
    mut encode: impl FnMut(DeviceOperation<'_>, &BlockTotals) -> fmt::Result,
) -> fmt::Result {
    cgroup.stats.block.iter().try_for_each(|row| {
        encode(
            DeviceOperation {
                device: cgroup.device(row.device),
                operation: row.operation,
            },
            row,
        )
    })
}

pub(super) fn block_io_latency(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    block_rows(cgroup, |labels, row| {
        let (device, operation) = (row.device, row.operation);
        let in_queue = ExemplarOf::BlockIoQueue { device, operation };
        let in_device = ExemplarOf::BlockIoDevice { device, operation };
        for (stage, spans, of) in [
            (Stage::Queue, &row.queue, in_queue),
            (Stage::Device, &row.in_device, in_device),
        ] {
            // A flush has no time in the queue; what is only partly complete has no time yet.
            if !spans.is_empty() {
                let labels = (cgroup.labels, (labels, stage));
                out.histogram_with(&labels, spans, &cgroup.stats.exemplars, of)?;
            }
        }
        Ok(())
    })
}

pub(super) fn block_io_bytes(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    block_rows(cgroup, |labels, row| {
        out.counter(&(cgroup.labels, labels), &row.bytes)
    })
}

pub(super) fn block_io_errors(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    block_rows(cgroup, |labels, row| {
        out.counter(&(cgroup.labels, labels), &row.errors)
    })
}

pub(super) fn oom_kills(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    if !cgroup.oom_watched {
        return Ok(());
    }
    let OomTotals {
        victim,
        limit_owner,
    } = cgroup.stats.oom;
    out.counter(&(cgroup.labels, OomRole::Victim), &victim)?;
    if cgroup.oom_limits_known {
        out.counter(&(cgroup.labels, OomRole::LimitOwner), &limit_owner)?;
    }
    Ok(())
}

pub(super) fn window_quantile(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    cgroup
        .stats
        .quantiles
        .iter()
        .try_for_each(|(signal, quantiles)| {
            WindowQuantile::all(*signal)
                .zip(quantiles.values_ns)
                .try_for_each(|(labels, ns)| {
                    out.gauge(&(cgroup.labels, labels), &histogram::seconds(ns))
                })
        })
}

pub(super) fn container_info(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    out.encoder.encode_info(&(
        cgroup.labels,
        Info(&cgroup.stats.identity, cgroup.stats.kernel.last),
    ))
}

pub(super) fn container_start_time(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    time(out, cgroup, Some(cgroup.stats.identity.started))
}

pub(super) fn container_exit_time(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    time(out, cgroup, cgroup.stats.exited)
}

fn time(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>, time: Option<SystemTime>) -> fmt::Result {
    // A time before the epoch comes from a clock that is not set: then it is not known.
    match time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        Some(since_epoch) => out.gauge(&cgroup.labels, &since_epoch.as_secs_f64()),
        None => Ok(()),
    }
}

/// What a runtime tells of a container, at the container's own cgroup.
fn told<'a>(cgroup: &Cgroup<'a>) -> Option<&'a RuntimeContainer> {
    cgroup.stats.identity.own_container()?;
    cgroup.stats.identity.told.as_deref()
}

pub(super) fn container_exit_code(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match told(cgroup).and_then(|told| told.exit_code) {
        Some(code) => out.gauge(&cgroup.labels, &i64::from(code)),
        None => Ok(()),
    }
}

pub(super) fn container_restarts(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match told(cgroup).and_then(|told| told.restarts) {
        Some(restarts) => out.counter(&cgroup.labels, &u64::from(restarts)),
        None => Ok(()),
    }
}

pub(super) fn container_exited(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    out.gauge(&cgroup.labels, &u64::from(cgroup.stats.exited.is_some()))
}
