//! Empties the rings, and makes silent CPUs speak.

use std::{os::fd::AsFd as _, time::Duration};

use aya::maps::PerCpuValues;
use aya_log::EbpfLogger;
use collector_common::{cpu::CpuState, signal::Signal};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    accounts::Accounts,
    decode::{Batch, Event, announced, decode_batch, decode_event},
    in_flight::{Drained, InFlight},
    per_cpu::PerCpu,
};
use crate::{
    attach::{Attached, LoadError, Rings},
    host::program_cost::read_program_counters,
    window::{BatchOutcome, LossReason},
};

/// Events of one pass: some megabytes, more than the ring holds.
const MAX_EVENTS: usize = 1 << 16;

/// Who is given what the rings held.
pub trait Sink {
    /// Takes a batch, and says what became of its samples: all of them.
    fn batch(&mut self, batch: &Batch<'_>) -> BatchOutcome;

    /// Takes an event, and says what became of it.
    fn event(&mut self, event: &Event<'_>) -> BatchOutcome;
}

/// Empties the rings of attached programs.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Drainer {
    attached: Attached,
    rings: Rings,
    accounts: Accounts,
    /// What the programs log, when they do.
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    /// Per CPU: how many batches each signal had submitted at the last look.
    submitted: Vec<[u64; 2]>,
    /// Per CPU: what was drained last.
    drained: PerCpu<Drained>,
}

/// The kernel's counters cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The map of the CPUs' state.
    #[error("cannot read the kernel programs' counters")]
    Counters(#[source] aya::maps::MapError),
}

impl Drainer {
    /// How often [`refresh`](Self::refresh) is to be called: a CPU is flushed at the second call that
    /// finds it silent, so that no sample waits for longer than twice this.
    pub const REFRESH: Duration = Duration::from_millis(400);

    /// Takes over the programs' rings.
    pub fn new(mut attached: Attached) -> Result<Self, LoadError> {
        let rings = attached.take_rings()?;
        let logger = attached.take_logger();
        Ok(Self {
            attached,
            rings,
            accounts: Accounts::default(),
            logger,
            submitted: Vec::new(),
            drained: PerCpu::default(),
        })
    }

    /// The programs.
    #[must_use]
    pub const fn attached(&self) -> &Attached {
        &self.attached
    }

    /// The account so far.
    #[must_use]
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Waits for an event, but no longer than `most`: samples come without a wakeup.
    pub fn wait_for_event(&self, most: Duration) {
        let mut events = [PollFd::new(self.rings.events.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
        // Interrupted or not, the rings are looked at next.
        if let Err(errno) = poll(&mut events, timeout) {
            tracing::debug!(%errno, "the wait for events was cut short");
        }
    }

    /// Hands everything in the rings to `sink`: events first, so that a new cgroup is known before
    /// its samples.
    pub fn drain(&mut self, sink: &mut impl Sink, most: usize) -> usize {
        self.drain_events(sink);
        self.drain_samples(sink, most)
    }

    /// Hands the events to `sink`.
    pub fn drain_events(&mut self, sink: &mut impl Sink) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        for _ in 0..MAX_EVENTS {
            let Some(record) = self.rings.events.next() else {
                break;
            };
            match decode_event(&record) {
                Ok(event) => {
                    let signal = match event {
                        Event::Oom(_) => Signal::Oom,
                        Event::Cgroup { .. } => Signal::CgroupLife,
                    };
                    let outcome = sink.event(&event);
                    self.accounts.settle(signal, &outcome);
                }
                Err(malformed) => {
                    tracing::debug!(%malformed, "dropped an event");
                    self.accounts
                        .lose(Signal::CgroupLife, LossReason::Malformed, 1);
                }
            }
        }
    }

    /// Hands the samples to `sink`. Ends after `most` bytes, lest a host that makes them as fast as
    /// they are drained hold it for ever. Returns how many bytes there were.
    pub fn drain_samples(&mut self, sink: &mut impl Sink, most: usize) -> usize {
        let mut bytes = 0;
        while bytes < most
            && let Some(record) = self.rings.samples.next()
        {
            bytes += record.len();
            match decode_batch(&record) {
                Ok(batch) => {
                    let outcome = sink.batch(&batch);
                    if let Some(drained) = self.drained.of(batch.header.cpu) {
                        drained.note(&batch);
                    }
                    self.accounts.settle(batch.signal(), &outcome);
                }
                Err(malformed) => {
                    tracing::debug!(%malformed, "dropped a batch of samples");
                    if let Some((signal, samples)) = announced(&record) {
                        self.accounts.lose(signal, LossReason::Malformed, samples);
                    }
                }
            }
        }
        bytes
    }

    /// Reads the kernel's counters, and flushes each CPU that has samples in a batch and has
    /// submitted none since the last call.
    pub fn refresh(&mut self) -> Result<(), DrainError> {
        let cpus = self.copy_cpus()?;
        self.submitted.resize(cpus.len(), [u64::MAX; 2]);
        for (cpu, (state, submitted)) in cpus.iter().zip(&mut self.submitted).enumerate() {
            let now = [state.sched.sequence, state.block.sequence];
            let silent = (state.sched.count > 0 && now[0] == submitted[0])
                || (state.block.count > 0 && now[1] == submitted[1]);
            *submitted = now;
            if silent {
                flush(&self.attached, cpu);
            }
        }
        self.accounts.update_kernel(&cpus);
        for signal in Signal::ALL {
            let misses = self
                .attached
                .programs
                .iter()
                .filter(|program| program.signal == signal && program.attached)
                .filter_map(|program| {
                    read_program_counters(self.attached.program_fd(program.name)?)
                })
                .map(|counters| counters.misses)
                .sum();
            self.accounts.update_misses(signal, misses);
        }
        Ok(())
    }

    /// A copy of the CPUs' state, for [`drain_to_the_last`](Self::drain_to_the_last).
    pub fn copy_cpus(&self) -> Result<PerCpuValues<CpuState>, DrainError> {
        self.rings
            .cpu_state
            .get(&0, 0)
            .map_err(DrainError::Counters)
    }

    /// Hands the samples to `sink`, and tells what is on its way still: together all that the kernel had
    /// seen when `cpus` was copied, and perhaps more. `None` when there was more than `most` bytes.
    pub fn drain_to_the_last(
        &mut self,
        cpus: &PerCpuValues<CpuState>,
        sink: &mut impl Sink,
        most: usize,
    ) -> Option<InFlight> {
        // What was submitted since the copy was taken is drained now, and known to be.
        (self.drain_samples(sink, most) < most).then(|| InFlight::of(cpus, &self.drained))
    }

    /// Makes every CPU submit what it has, for a last drain.
    pub fn flush_all(&self) -> Result<(), DrainError> {
        let cpus = self.copy_cpus()?;
        let with_samples = |state: &CpuState| state.sched.count > 0 || state.block.count > 0;
        for (cpu, _) in cpus
            .iter()
            .enumerate()
            .filter(|(_, state)| with_samples(state))
        {
            flush(&self.attached, cpu);
        }
        Ok(())
    }
}

fn flush(attached: &Attached, cpu: usize) {
    let Ok(cpu) = u32::try_from(cpu) else { return };
    // A CPU that is offline cannot be flushed; what it has comes when it is back.
    if let Err(error) = attached.flush_cpu(cpu) {
        tracing::debug!(cpu, %error, "cannot flush");
    }
}
