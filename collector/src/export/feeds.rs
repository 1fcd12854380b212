//! Which part of a snapshot feeds which family.
//!
//! In: one cgroup's numbers, or the snapshot. Out: the series of one family. Absent figures make no
//! series.

use std::{collections::HashMap, fmt, time::SystemTime};

use collector_common::signal::Signal;
use prometheus_client::encoding::{
    EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};

use super::{
    catalog::{self, Family},
    format::Format,
    histogram,
    labels::{
        Build, CgroupLabels, CgroupState, DeviceOperation, DriftOf, Info, LeftOutOf, Lost,
        OfProgram, OfSignal, OomRole, ReadError, ReadingResult, Stage, SwitchKind, WaitCause,
        WindowQuantile, reason_name,
    },
};
use crate::{
    host::cgroupfs::Reason,
    reconcile::{
        Snapshot,
        drift::DriftRatio,
        readings::{LastReadings, LeftOut},
        snapshot::{CgroupCounts, CgroupStats, ProgramStats, ReadErrors, SignalAccount, Timing},
    },
    window::{BlockTotals, Cumulative, Device, OomTotals, Preemptor},
};

/// What the series of a family come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Feed {
    /// Each cgroup by itself.
    Cgroup(fn(&mut Series<'_, '_>, &Cgroup<'_>) -> fmt::Result),
    /// The snapshot as a whole.
    Snapshot(fn(&mut Series<'_, '_>, &Snapshot) -> fmt::Result),
}

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

/// Where the series of a family go.
#[derive(Debug)]
pub(super) struct Series<'a, 'b> {
    pub(super) encoder: &'a mut MetricEncoder<'b>,
    pub(super) format: Format,
}

impl Series<'_, '_> {
    fn counter(
        &mut self,
        labels: &impl EncodeLabelSet,
        value: &impl EncodeCounterValue,
    ) -> fmt::Result {
        self.encoder
            .encode_family(labels)?
            .encode_counter::<NoLabelSet, _, f64>(value, None)
    }

    fn gauge(
        &mut self,
        labels: &impl EncodeLabelSet,
        value: &impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.encoder.encode_family(labels)?.encode_gauge(value)
    }

    fn histogram(&mut self, labels: &impl EncodeLabelSet, values: &Cumulative) -> fmt::Result {
        histogram::encode(
            &mut self.encoder.encode_family(labels)?,
            values,
            self.format,
        )
    }

    fn timing(&mut self, snapshot: &Snapshot, wanted: Timing) -> fmt::Result {
        snapshot
            .timings
            .iter()
            .filter(|(timing, _)| *timing == wanted)
            .try_for_each(|(_, values)| histogram::encode(self.encoder, values, self.format))
    }

    fn plain_counter(&mut self, value: Option<impl EncodeCounterValue>) -> fmt::Result {
        value.map_or(Ok(()), |value| {
            self.encoder
                .encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    fn plain_gauge(&mut self, value: Option<impl EncodeGaugeValue>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.encoder.encode_gauge(&value))
    }
}

/// Every family with its feed, in the catalog's order.
pub(super) const ALL: &[(Family, Feed)] = &[
    (catalog::RUNQUEUE_LATENCY, Feed::Cgroup(runqueue_latency)),
    (catalog::RUNQUEUE_WAIT, Feed::Cgroup(runqueue_wait)),
    (catalog::ONCPU_SLICE, Feed::Cgroup(oncpu_slice)),
    (catalog::CPU_SECONDS, Feed::Cgroup(cpu_seconds)),
    (catalog::CONTEXT_SWITCHES, Feed::Cgroup(context_switches)),
    (catalog::PREEMPTIONS, Feed::Cgroup(preemptions)),
    (catalog::BLOCK_IO_LATENCY, Feed::Cgroup(block_io_latency)),
    (catalog::BLOCK_IO_BYTES, Feed::Cgroup(block_io_bytes)),
    (catalog::BLOCK_IO_ERRORS, Feed::Cgroup(block_io_errors)),
    (catalog::OOM_KILLS, Feed::Cgroup(oom_kills)),
    (catalog::WINDOW_QUANTILE, Feed::Cgroup(window_quantile)),
    (catalog::CONTAINER_INFO, Feed::Cgroup(container_info)),
    (
        catalog::CONTAINER_START_TIME,
        Feed::Cgroup(container_start_time),
    ),
    (catalog::CONTAINER_EXITED, Feed::Cgroup(container_exited)),
    (
        catalog::EVENTS_OBSERVED,
        Feed::Snapshot(|out, s| accounts(out, s, |account| account.observed)),
    ),
    (
        catalog::EVENTS_RECORDED,
        Feed::Snapshot(|out, s| accounts(out, s, |account| account.recorded)),
    ),
    (
        catalog::EVENTS_FILTERED,
        Feed::Snapshot(|out, s| accounts(out, s, |account| account.filtered)),
    ),
    (catalog::EVENTS_LOST, Feed::Snapshot(events_lost)),
    (catalog::COMPLETENESS, Feed::Snapshot(completeness)),
    (
        catalog::THROTTLES_FORGOTTEN,
        Feed::Snapshot(|out, s| {
            out.plain_counter(s.throttling_known.then_some(s.throttles_forgotten))
        }),
    ),
    (catalog::PROGRAM_ATTACHED, Feed::Snapshot(program_attached)),
    (catalog::PROGRAM_RUN_TIME, Feed::Snapshot(program_run_time)),
    (catalog::PROGRAM_RUNS, Feed::Snapshot(program_runs)),
    (catalog::CGROUPS, Feed::Snapshot(cgroups)),
    (
        catalog::CGROUPS_UNRESOLVED,
        Feed::Snapshot(|out, s| out.plain_gauge(Some(s.counts.unresolved))),
    ),
    (
        catalog::RECONCILE_DURATION,
        Feed::Snapshot(|out, s| out.timing(s, Timing::Reconcile)),
    ),
    (
        catalog::CGROUPFS_READ,
        Feed::Snapshot(|out, s| out.timing(s, Timing::CgroupfsRead)),
    ),
    (catalog::DRIFT, Feed::Snapshot(drift)),
    (catalog::LAST_READINGS, Feed::Snapshot(last_readings)),
    (catalog::CGROUPFS_ERRORS, Feed::Snapshot(cgroupfs_errors)),
    (
        catalog::READINGS_LEFT_OUT,
        Feed::Snapshot(readings_left_out),
    ),
    (
        catalog::DRAIN_DURATION,
        Feed::Snapshot(|out, s| out.timing(s, Timing::Drain)),
    ),
    (
        catalog::BUILD_INFO,
        Feed::Snapshot(|out, _| out.encoder.encode_info(&Build)),
    ),
    (
        catalog::PROCESS_CPU_SECONDS,
        Feed::Snapshot(|out, s| out.plain_counter(s.process.cpu_seconds)),
    ),
    (
        catalog::PROCESS_RESIDENT_MEMORY,
        Feed::Snapshot(|out, s| out.plain_gauge(s.process.resident_memory_bytes)),
    ),
    (
        catalog::PROCESS_VIRTUAL_MEMORY,
        Feed::Snapshot(|out, s| out.plain_gauge(s.process.virtual_memory_bytes)),
    ),
    (
        catalog::PROCESS_OPEN_FDS,
        Feed::Snapshot(|out, s| out.plain_gauge(s.process.open_fds)),
    ),
    (
        catalog::PROCESS_MAX_FDS,
        Feed::Snapshot(|out, s| out.plain_gauge(s.process.max_fds)),
    ),
    (
        catalog::PROCESS_START_TIME,
        Feed::Snapshot(|out, s| out.plain_gauge(s.process.start_time_seconds)),
    ),
];

fn runqueue_latency(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => out.histogram(&cgroup.labels, &sched.wait),
        None => Ok(()),
    }
}

fn runqueue_wait(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
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

fn oncpu_slice(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => out.histogram(&cgroup.labels, &sched.slice),
        None => Ok(()),
    }
}

fn cpu_seconds(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    match &cgroup.stats.sched {
        Some(sched) => out.counter(&cgroup.labels, &histogram::seconds(sched.slice.sum_ns())),
        None => Ok(()),
    }
}

fn context_switches(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
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

fn preemptions(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
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

fn block_io_latency(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    block_rows(cgroup, |labels, row| {
        for (stage, spans) in [(Stage::Queue, &row.queue), (Stage::Device, &row.in_device)] {
            // A flush has no time in the queue; what is only partly complete has no time yet.
            if !spans.is_empty() {
                out.histogram(&(cgroup.labels, (labels, stage)), spans)?;
            }
        }
        Ok(())
    })
}

fn block_io_bytes(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    block_rows(cgroup, |labels, row| {
        out.counter(&(cgroup.labels, labels), &row.bytes)
    })
}

fn block_io_errors(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    block_rows(cgroup, |labels, row| {
        out.counter(&(cgroup.labels, labels), &row.errors)
    })
}

fn oom_kills(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
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

fn window_quantile(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
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

fn container_info(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    out.encoder.encode_info(&(
        cgroup.labels,
        Info(&cgroup.stats.identity, cgroup.stats.kernel.last),
    ))
}

fn container_start_time(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    // A time before the epoch comes from a clock that is not set: then it is not known.
    match cgroup
        .stats
        .identity
        .started
        .duration_since(SystemTime::UNIX_EPOCH)
    {
        Ok(since_epoch) => out.gauge(&cgroup.labels, &since_epoch.as_secs_f64()),
        Err(_) => Ok(()),
    }
}

fn container_exited(out: &mut Series<'_, '_>, cgroup: &Cgroup<'_>) -> fmt::Result {
    out.gauge(&cgroup.labels, &u64::from(cgroup.stats.exited.is_some()))
}

fn accounts(
    out: &mut Series<'_, '_>,
    snapshot: &Snapshot,
    figure: fn(&SignalAccount) -> u64,
) -> fmt::Result {
    snapshot
        .accounts
        .iter()
        .try_for_each(|account| out.counter(&OfSignal(account.signal), &figure(account)))
}

fn events_lost(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot.accounts.iter().try_for_each(|account| {
        account.lost.iter().try_for_each(|&(reason, events)| {
            out.counter(
                &Lost {
                    signal: account.signal,
                    reason,
                },
                &events,
            )
        })
    })
}

fn completeness(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot
        .accounts
        .iter()
        .try_for_each(|account| match account.completeness() {
            Some(share) => out.gauge(&OfSignal(account.signal), &share),
            None => Ok(()),
        })
}

fn program_attached(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot
        .programs
        .iter()
        .try_for_each(|program| out.gauge(&OfProgram(program.name), &u64::from(program.attached)))
}

fn program_run_time(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot.programs.iter().try_for_each(
        |ProgramStats {
             name,
             attached: _,
             cost,
         }| match cost {
            Some(cost) => out.counter(&OfProgram(name), &histogram::seconds(cost.run_time_ns)),
            None => Ok(()),
        },
    )
}

fn program_runs(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot.programs.iter().try_for_each(
        |ProgramStats {
             name,
             attached: _,
             cost,
         }| match cost {
            Some(cost) => out.counter(&OfProgram(name), &cost.runs),
            None => Ok(()),
        },
    )
}

fn cgroups(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    // Those without a path have a family of their own, and are live or exited besides.
    let CgroupCounts {
        live,
        exited,
        unresolved: _,
        overflowed,
    } = snapshot.counts;
    out.gauge(&CgroupState::Live, &live)?;
    out.gauge(&CgroupState::Exited, &exited)?;
    out.gauge(&CgroupState::Overflowed, &overflowed)
}

fn drift(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot.drift.iter().try_for_each(
        |&DriftRatio {
             quantity,
             worst,
             total,
         }| {
            [("worst", worst), ("total", total)]
                .into_iter()
                .try_for_each(|(of, ratio)| out.gauge(&DriftOf { quantity, of }, &ratio))
        },
    )
}

fn last_readings(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    let LastReadings { won, late, lost } = snapshot.last_readings;
    [("won", won), ("late", late), ("lost", lost)]
        .into_iter()
        .try_for_each(|(result, count)| out.counter(&ReadingResult(result), &count))
}

fn cgroupfs_errors(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    let ReadErrors {
        unparsed,
        unreadable,
        cut,
        over_bound,
    } = snapshot.read_errors;
    Reason::ALL
        .into_iter()
        .map(reason_name)
        .zip(unparsed)
        .chain([
            ("unreadable", unreadable),
            ("cut", cut),
            ("over_bound", over_bound),
        ])
        .try_for_each(|(error, count)| out.counter(&ReadError(error), &count))
}

fn readings_left_out(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    LeftOut::ALL
        .into_iter()
        .zip(&snapshot.left_out)
        .try_for_each(|(what, count)| out.counter(&LeftOutOf(what), count))
}

/// Whether OOM kills are watched.
pub(super) fn oom_watched(snapshot: &Snapshot) -> bool {
    snapshot
        .accounts
        .iter()
        .any(|account| account.signal == Signal::Oom)
}
