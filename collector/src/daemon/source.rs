//! What a scrape sees.

use std::{sync::Arc, time::SystemTime};

use collector_common::signal::Signal;

use super::{container_query::Inquiry, state::State};
use crate::{
    attach::{OOM_LIMIT, SignalState},
    catalog::{Onlooker, details::Which},
    export::{DetailsFuture, NameSets, Source},
    host::{
        block_devices,
        cgroup_mounts::Hierarchy,
        clock::{Ktime, TimeAnchor},
        online_cpus,
        process::read_own_process,
        program_cost::{are_programs_measured, read_program_counters},
    },
    reconcile::{
        Listing, Scrape, Snapshot,
        listing::{ListedCgroup, ListedReading, Machine, Origin},
        snapshot::{KataSnapshot, ProgramCost, ProgramStats, Timing},
    },
};

/// The daemon's numbers, for the exporters.
#[derive(Debug)]
pub struct DaemonSource {
    /// Where they are.
    pub state: Arc<State>,
    /// What became of each signal.
    pub signals: Vec<(Signal, SignalState)>,
    /// Whether a wait's own bandwidth limit is told apart from contention.
    pub throttling_known: bool,
    /// The hierarchies in which cgroups' ids are told.
    pub hierarchies: Vec<Hierarchy>,
    /// Which sets of names are exported besides our own.
    pub names: NameSets,
    /// Who can tell more of single containers.
    pub inquiry: Inquiry,
}

impl DaemonSource {
    /// Whether a signal is on.
    #[must_use]
    pub fn is_on(&self, signal: Signal) -> bool {
        self.signals
            .iter()
            .any(|(of, state)| *of == signal && state.is_on())
    }
}

impl Source for DaemonSource {
    fn snapshot(&self, by: Onlooker) -> Snapshot {
        let accounts = self.state.accounts().clone();
        let measured = are_programs_measured();
        let programs = self
            .state
            .programs
            .iter()
            .map(|(program, fd)| ProgramStats {
                name: program.name,
                attached: program.attached,
                cost: fd
                    .filter(|_| measured)
                    .and_then(read_program_counters)
                    .map(|counters| ProgramCost {
                        runs: counters.runs,
                        run_time_ns: counters.run_time_ns,
                    }),
            });
        let timings = [
            (Timing::Reconcile, "reconcile"),
            (Timing::CgroupfsRead, "cgroupfs_read"),
            (Timing::Drain, "drain"),
        ]
        .into_iter()
        .filter_map(|(timing, key)| Some((timing, self.state.own.cumulative(key)?)));
        let (mut scrape, kata) = {
            let mut pipeline = self.state.pipeline();
            let kata = KataSnapshot::of(self.state.kata().clone(), pipeline.roster());
            let scrape = pipeline.scrape();
            pipeline.note_look(by, Ktime::now());
            (scrape, kata)
        };
        // Outside of the pipeline's lock: a cgroup that is just being read is waited for.
        self.state.readings.fill(&mut scrape);
        if let Some(lives) = &self.state.lives {
            lives.fill(&mut scrape, Ktime::now());
        }
        let Scrape {
            cgroups,
            counts,
            events_overflowed,
            ..
        } = scrape;
        Snapshot {
            taken: SystemTime::now(),
            cgroups,
            accounts: self
                .signals
                .iter()
                .filter(|(_, state)| state.is_on())
                .map(|(signal, _)| accounts.of(*signal))
                .collect(),
            programs: programs.collect(),
            oom_limits_known: self
                .state
                .programs
                .iter()
                .any(|(program, _)| program.name == OOM_LIMIT && program.attached),
            throttling_known: self.throttling_known
                && self
                    .signals
                    .iter()
                    .any(|(signal, state)| *signal == Signal::Sched && state.is_on()),
            throttles_forgotten: accounts.throttles_forgotten(),
            counts,
            events_overflowed,
            last_readings: self.state.readings.last_readings(),
            left_out: self.state.readings.left_out(),
            drift: self.state.drift().clone(),
            read_errors: self.state.read_errors(),
            runtimes: self.state.runtimes(),
            kata,
            otlp: self.state.otlp.accounts(),
            life_losses: self.state.lives.as_ref().map(|lives| lives.losses()),
            forwarder: self.state.forwarder.get().map(|tally| tally.figures()),
            timings: timings.collect(),
            process: read_own_process(),
        }
    }

    fn listing(&self) -> Listing {
        let clocks = TimeAnchor::now();
        let machine = Machine {
            cpus: online_cpus::count(),
            stacked: block_devices::stacked(),
        };
        let (listed, left_out, elsewhere, own_container) = {
            let pipeline = self.state.pipeline();
            let (listed, left_out) = pipeline.list();
            (
                listed,
                left_out,
                pipeline.containers_elsewhere(),
                pipeline.own_container_told(),
            )
        };
        // Outside of the pipeline's lock, as above; and of each reading the main figures only are kept.
        let readings = &self.state.readings;
        let cgroups = listed.into_iter().map(|(cgroup, life)| {
            let ids = readings
                .entry(life.owner)
                .map(|entry| entry.ids(life.generation));
            ListedCgroup {
                reading: ListedReading::of(&readings.of(&life), &machine, |at| clocks.wall(at)),
                ..cgroup.with_ids(ids.unwrap_or_default())
            }
        });
        Listing {
            cgroups: cgroups.collect(),
            taken: SystemTime::now(),
            origin: Origin::Daemon,
            hierarchies: self.hierarchies.clone(),
            left_out,
            elsewhere,
            runtimes: self.state.runtimes(),
            own_container,
        }
    }

    fn details(&self, which: Which) -> DetailsFuture {
        let inquiry = self.inquiry.clone();
        Box::pin(async move { inquiry.ask(which).await })
    }

    fn names(&self) -> NameSets {
        self.names
    }

    fn readiness(&self) -> Result<Vec<String>, String> {
        if self.state.is_stopping() {
            return Err("stopping".to_owned());
        }
        if !self.state.is_ready() {
            return Err("the first reading of all cgroups is not done".to_owned());
        }
        let off: Vec<_> = self.signals.iter().filter_map(why_off).collect();
        if off.len() == self.signals.len() {
            return Err(format!("no signal is on\n{}", off.join("\n")));
        }
        Ok(off)
    }
}

/// A line about a signal that is off.
fn why_off((signal, state): &(Signal, SignalState)) -> Option<String> {
    match state {
        SignalState::On { .. } => None,
        SignalState::Off { reason, .. } => {
            Some(format!("{}: off, because {reason}", signal.name()))
        }
    }
}
