//! Every family with what feeds it, and how the snapshot as a whole does.
//!
//! In: the snapshot. Out: the series of one family. Absent figures make no series.

use std::fmt;

use collector_common::signal::Signal;

use super::{
    catalog,
    cgroup_feeds::{self, Cgroup},
    family::Family,
    histogram,
    label_sets::{
        Build, DriftOf, LeftOutOf, Lost, OfPlace, OfProgram, OfSignal, ReadError, ReadingResult,
    },
    labels::{CgroupState, reason_name},
    otlp_feeds, peers, runtime_feeds,
    series::Series,
};
use crate::{
    host::cgroupfs::Reason,
    reconcile::{
        Snapshot,
        drift::DriftRatio,
        readings::{LastReadings, LeftOut},
        snapshot::{CgroupCounts, ProgramStats, ReadErrors, SignalAccount, Timing},
    },
};

/// What the series of a family come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Feed {
    /// Each cgroup by itself.
    Cgroup(fn(&mut Series<'_, '_>, &Cgroup<'_>) -> fmt::Result),
    /// The snapshot as a whole.
    Snapshot(fn(&mut Series<'_, '_>, &Snapshot) -> fmt::Result),
}

/// Every family with its feed, in the catalog's order.
pub(super) const ALL: &[(Family, Feed)] = &[
    (
        catalog::RUNQUEUE_LATENCY,
        Feed::Cgroup(cgroup_feeds::runqueue_latency),
    ),
    (
        catalog::RUNQUEUE_WAIT,
        Feed::Cgroup(cgroup_feeds::runqueue_wait),
    ),
    (
        catalog::ONCPU_SLICE,
        Feed::Cgroup(cgroup_feeds::oncpu_slice),
    ),
    (
        catalog::CPU_SECONDS,
        Feed::Cgroup(cgroup_feeds::cpu_seconds),
    ),
    (
        catalog::CONTEXT_SWITCHES,
        Feed::Cgroup(cgroup_feeds::context_switches),
    ),
    (
        catalog::PREEMPTIONS,
        Feed::Cgroup(cgroup_feeds::preemptions),
    ),
    (
        catalog::BLOCK_IO_LATENCY,
        Feed::Cgroup(cgroup_feeds::block_io_latency),
    ),
    (
        catalog::BLOCK_IO_BYTES,
        Feed::Cgroup(cgroup_feeds::block_io_bytes),
    ),
    (
        catalog::BLOCK_IO_ERRORS,
        Feed::Cgroup(cgroup_feeds::block_io_errors),
    ),
    (catalog::OOM_KILLS, Feed::Cgroup(cgroup_feeds::oom_kills)),
    (
        catalog::WINDOW_QUANTILE,
        Feed::Cgroup(cgroup_feeds::window_quantile),
    ),
    (
        catalog::CONTAINER_INFO,
        Feed::Cgroup(cgroup_feeds::container_info),
    ),
    (
        catalog::CONTAINER_START_TIME,
        Feed::Cgroup(cgroup_feeds::container_start_time),
    ),
    (
        catalog::CONTAINER_EXITED,
        Feed::Cgroup(cgroup_feeds::container_exited),
    ),
    (
        catalog::CONTAINER_EXIT_TIME,
        Feed::Cgroup(cgroup_feeds::container_exit_time),
    ),
    (
        catalog::CONTAINER_EXIT_CODE,
        Feed::Cgroup(cgroup_feeds::container_exit_code),
    ),
    (
        catalog::CONTAINER_RESTARTS,
        Feed::Cgroup(cgroup_feeds::container_restarts),
    ),
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
        catalog::CGROUPS_OVERFLOWED,
        Feed::Snapshot(|out, s| out.plain_counter(Some(s.counts.overflowed))),
    ),
    (
        catalog::EVENTS_OVERFLOWED,
        Feed::Snapshot(|out, s| out.plain_counter(Some(s.events_overflowed))),
    ),
    (
        catalog::PLACES_OVERFLOWED,
        Feed::Snapshot(places_overflowed),
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
        catalog::RUNTIME_CONNECTED,
        Feed::Snapshot(runtime_feeds::connected),
    ),
    (catalog::CATALOG_CALLS, Feed::Snapshot(runtime_feeds::calls)),
    (
        catalog::CATALOG_ERRORS,
        Feed::Snapshot(runtime_feeds::errors),
    ),
    (
        catalog::CATALOG_LEFT_OUT,
        Feed::Snapshot(runtime_feeds::left_out),
    ),
    (
        catalog::KATA_SHIMS,
        Feed::Snapshot(|out, s| out.plain_gauge(Some(runtime_feeds::kata_shims(s)))),
    ),
    (
        catalog::KATA_SHIM_ERRORS,
        Feed::Snapshot(runtime_feeds::kata_errors),
    ),
    (
        catalog::KATA_LEFT_OUT,
        Feed::Snapshot(|out, s| out.plain_gauge(Some(s.kata.readings.metrics.left_out))),
    ),
    (
        catalog::CONTAINERS_UNNAMED,
        Feed::Snapshot(|out, s| out.plain_gauge(Some(s.counts.unnamed))),
    ),
    (
        catalog::CONTAINERS_LEFT_OUT,
        Feed::Snapshot(|out, s| out.plain_counter(Some(s.counts.names_left_out))),
    ),
    (
        catalog::OTLP_ITEMS,
        Feed::Snapshot(|out, s| otlp_feeds::total(out, s, |account| account.put)),
    ),
    (
        catalog::OTLP_ITEMS_SENT,
        Feed::Snapshot(|out, s| otlp_feeds::total(out, s, |account| account.sent)),
    ),
    (catalog::OTLP_ITEMS_LOST, Feed::Snapshot(otlp_feeds::lost)),
    (
        catalog::OTLP_ITEMS_WAITING,
        Feed::Snapshot(otlp_feeds::waiting),
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
        unnamed: _,
        names_left_out: _,
    } = snapshot.counts;
    out.gauge(&CgroupState::Live, &live)?;
    out.gauge(&CgroupState::Exited, &exited)?;
    out.gauge(&CgroupState::Overflowed, &overflowed)
}

fn places_overflowed(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    peers::over_bound(&snapshot.cgroups)
        .into_iter()
        .try_for_each(|(place, count)| out.gauge(&OfPlace(place), &count))
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
