//! Comparisons of lives that are over. Each is made once, however short the life was: those that are too
//! small to be compared alone are added up until they are enough.

use super::{
    TOLD_FOR,
    explain::Growth,
    quantity::DriftQuantity,
    window::{Compared, share},
};
use crate::{
    host::{cgroupfs::CgroupStatistics, clock::Ktime},
    reconcile::readings::{LAST_SLICE, LastFigures, SLOWEST_TICK},
};

/// Whether what was read of a quantity is of after the end.
pub(super) fn is_final(quantity: DriftQuantity, last: &LastFigures) -> bool {
    let CgroupStatistics {
        cpu, memory, io, ..
    } = &*last.statistics;
    let at = match quantity {
        DriftQuantity::CpuTime => cpu.as_ref().map(|of| of.at),
        DriftQuantity::Bytes | DriftQuantity::Operations => io.as_ref().map(|of| of.at),
        DriftQuantity::OomKills => memory.as_ref().map(|of| of.at),
    };
    at >= Some(last.ended)
}

/// CPU time that the kernel may not have counted when the files were read for the last time.
pub(super) fn cpu_ns_to_come(last: &LastFigures) -> u64 {
    let counted = Ktime(last.ended.0.saturating_add(LAST_SLICE));
    let read = last.statistics.cpu.as_ref().map(|cpu| cpu.at);
    if read >= Some(counted) {
        0
    } else {
        u64::try_from(SLOWEST_TICK.as_nanos()).unwrap_or(u64::MAX)
    }
}

const QUANTITIES: usize = DriftQuantity::ALL.len();

/// What was found of lives that are over.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pools: [Pool; QUANTITIES],
    /// One entry per round in which there was something; of the last few, once they are asked for.
    rounds: Vec<(u64, [Sum; QUANTITIES])>,
}

/// Lives that are too small to be compared alone.
#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    /// Of each what is not explained: what lacks here does not make up for what is too much there, unless
    /// it is by chance one time this and one time that.
    unexplained: i128,
    size: u64,
}

/// Comparisons, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) worst: f64,
    pub(super) difference: u64,
    pub(super) size: u64,
}

impl Sum {
    pub(super) fn add(&mut self, compared: &Compared) {
        self.add_all(&Self {
            worst: compared.ratio(),
            difference: compared.difference,
            size: compared.size,
        });
    }

    /// All differences as a share of all larger sides.
    pub(super) fn ratio(&self) -> f64 {
        share(self.difference, self.size)
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        self.worst = self.worst.max(other.worst);
        self.difference = self.difference.saturating_add(other.difference);
        self.size = self.size.saturating_add(other.size);
    }
}

impl Ended {
    /// Takes over what came since the last comparison of a life that is over. What was compared, if it was
    /// enough, with what was added up before.
    pub(super) fn add(
        &mut self,
        quantity: DriftQuantity,
        growth: &Growth,
        round: u64,
    ) -> Option<Compared> {
        let pool = &mut self.pools[quantity as usize];
        let compared = if growth.size() >= quantity.least() {
            Compared::of(growth, round)
        } else {
            pool.unexplained += growth.unexplained();
            pool.size += growth.size();
            if pool.size < quantity.least() {
                return None;
            }
            let Pool { unexplained, size } = std::mem::take(pool);
            Compared {
                difference: u64::try_from(unexplained.unsigned_abs()).unwrap_or(u64::MAX),
                explained: 0,
                is_more: unexplained > 0,
                size,
                round,
            }
        };
        self.keep(quantity, &compared);
        Some(compared)
    }

    /// Goes on telling of a comparison.
    pub(super) fn keep(&mut self, quantity: DriftQuantity, compared: &Compared) {
        let round = compared.round;
        let known = self.rounds.iter().position(|(of, _)| *of == round);
        let place = known.unwrap_or_else(|| {
            self.rounds.push((round, [Sum::default(); QUANTITIES]));
            self.rounds.len() - 1
        });
        let (_, sums) = &mut self.rounds[place];
        sums[quantity as usize].add(compared);
    }

    /// What is still told of in this round.
    pub(super) fn told(&mut self, round: u64) -> [Sum; QUANTITIES] {
        self.rounds.retain(|(of, _)| of + TOLD_FOR > round);
        let mut told = [Sum::default(); QUANTITIES];
        for (_, sums) in &self.rounds {
            for (told, sum) in told.iter_mut().zip(sums) {
                told.add_all(sum);
            }
        }
        told
    }
}
