//! What events add up to in the tree of cgroups: of each with all that is below it, as the kernel's own
//! figures are.
//!
//! In: the sums of each cgroup's life, and those of lives that are over. Out: the sums of a pod, of a
//! `QoS` class and of the node, in which what was below them still counts when its own row is gone.
//! Never here: a sum of an earlier life of the same path, or one that counts twice.

use std::{collections::HashMap, iter, time::SystemTime};

use foldhash::fast::RandomState;

use super::snapshot::{CgroupStats, SchedSums};
use crate::catalog::{CgroupTable, Owner, OwnerId};

/// The path of the node.
const ROOT: &[u8] = b"/";

/// What was below a cgroup in its latest life and has no row of its own any more. Only owners that are in
/// the table have an entry.
#[derive(Debug, Default)]
pub(super) struct RollUp {
    gone_below: HashMap<OwnerId, GoneBelow>,
    /// The same of the node, and what found no place in the table.
    gone: SchedSums,
}

#[derive(Clone, Copy, Debug)]
struct GoneBelow {
    /// The life that it was below.
    generation: u32,
    sums: SchedSums,
}

impl RollUp {
    /// A life of an owner that is still in the table is over, and its numbers are put aside.
    pub(super) fn end_life(&mut self, table: &CgroupTable, id: OwnerId, sums: SchedSums) {
        let Some(owner) = table.owner(id) else {
            return self.gone.add(sums);
        };
        let ended = owner.exited().or_else(|| owner.previous_end());
        self.settle(table, owner.path(), ended, sums);
    }

    /// An owner may have a new life: what was below the one before is not below this one.
    pub(super) fn begin_life(&mut self, table: &CgroupTable, id: OwnerId) {
        let Some(owner) = table.owner(id) else { return };
        let is_over = |below: &GoneBelow| below.generation != owner.identity.generation;
        if self.gone_below.get(&id).is_some_and(is_over)
            && let Some(below) = self.gone_below.remove(&id)
        {
            self.settle(table, owner.path(), owner.previous_end(), below.sums);
        }
    }

    /// An owner is no longer in the table.
    pub(super) fn forget(
        &mut self,
        table: &CgroupTable,
        id: OwnerId,
        path: &[u8],
        ended: Option<SystemTime>,
        mut sums: SchedSums,
    ) {
        if let Some(below) = self.gone_below.remove(&id) {
            sums.add(below.sums);
        }
        self.settle(table, path, ended, sums);
    }

    /// All that an owner had is another's now.
    pub(super) fn inherit(&mut self, table: &CgroupTable, from: OwnerId, heir: Option<OwnerId>) {
        let Some(below) = self.gone_below.remove(&from) else {
            return;
        };
        match heir.and_then(|heir| Some((heir, table.owner(heir)?))) {
            Some((heir, owner)) => self.add_below(heir, owner, below.sums),
            None => self.gone.add(below.sums),
        }
    }

    /// Numbers that are nobody's.
    pub(super) fn add_homeless(&mut self, sums: SchedSums) {
        self.gone.add(sums);
    }

    /// Gives each row, which has the sums of its own life, those of all below it. `overflow` is of what
    /// is in no row.
    pub(super) fn add_up(
        &self,
        owners: &[(OwnerId, &Owner)],
        rows: &mut [CgroupStats],
        overflow: SchedSums,
    ) {
        let position: HashMap<&[u8], usize> = owners
            .iter()
            .enumerate()
            .map(|(index, (_, owner))| (owner.path(), index))
            .filter(|(path, _)| !path.is_empty())
            .collect();
        let mut sums: Vec<SchedSums> = owners
            .iter()
            .zip(&*rows)
            .map(|((id, _), row)| {
                let mut sums = row.life.sched.unwrap_or_default();
                sums.add(self.gone_below(*id));
                sums
            })
            .collect();
        // What is below is longer than what it is below.
        let mut order: Vec<usize> = (0..owners.len()).collect();
        order.sort_unstable_by_key(|&index| std::cmp::Reverse(owners[index].1.path().len()));
        let mut of_node = self.gone;
        of_node.add(overflow);
        for index in order {
            let (_, owner) = owners[index];
            if owner.path() == ROOT {
                continue;
            }
            let above = above(owner.path())
                .filter_map(|path| position.get(path).copied())
                .find(|above| owners[*above].1.was_there_at(owner.exited()));
            match above {
                Some(above) => {
                    let below = sums[index];
                    sums[above].add(below);
                }
                None => of_node.add(sums[index]),
            }
        }
        if let Some(root) = position.get(ROOT) {
            sums[*root].add(of_node);
        }
        for (row, sums) in rows.iter_mut().zip(sums) {
            row.life.sched = (!sums.is_empty()).then_some(sums);
        }
    }

    /// What was below an owner in its latest life and is no owner any more.
    pub(super) fn gone_below(&self, id: OwnerId) -> SchedSums {
        self.gone_below
            .get(&id)
            .map_or_else(SchedSums::default, |below| below.sums)
    }

    /// Of each of these, the owners whose events are in its latest life: its own, and all that were below it then.
    pub(super) fn trees<'a>(
        table: &'a CgroupTable,
        tops: &[&Owner],
    ) -> Vec<Vec<(OwnerId, &'a Owner)>> {
        let mut trees = vec![Vec::new(); tops.len()];
        if tops.is_empty() {
            return trees;
        }
        let positions = tops.iter().enumerate();
        let position: HashMap<&[u8], usize, RandomState> =
            positions.map(|(index, top)| (top.path(), index)).collect();
        for (id, owner) in table.owners() {
            let path = owner.path();
            let found = iter::once(path).chain(above(path));
            for index in found.filter_map(|path| position.get(path).copied()) {
                let top = tops[index];
                if top.path() == path || top.was_there_at(owner.exited()) {
                    trees[index].push((id, owner));
                }
            }
        }
        trees
    }

    /// Gives the sums of a life that is over to what it was below.
    fn settle(
        &mut self,
        table: &CgroupTable,
        path: &[u8],
        ended: Option<SystemTime>,
        sums: SchedSums,
    ) {
        if sums.is_empty() {
            return;
        }
        let above = above(path)
            .filter_map(|path| table.owner_at(path))
            .find(|(_, owner)| owner.was_there_at(ended));
        match above {
            Some((id, owner)) => self.add_below(id, owner, sums),
            None => self.gone.add(sums),
        }
    }

    fn add_below(&mut self, id: OwnerId, owner: &Owner, sums: SchedSums) {
        let generation = owner.identity.generation;
        let below = self.gone_below.entry(id).or_insert_with(|| GoneBelow {
            generation,
            sums: SchedSums::default(),
        });
        below.sums.add(sums);
    }
}

/// The paths above one, the nearest first; not that of the node, which is above all.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parent = |path: &[u8]| {
        path.iter()
            .rposition(|byte| *byte == b'/')
            .filter(|end| *end > 0)
    };
    let mut rest = path;
    iter::from_fn(move || {
        rest = &rest[..parent(rest)?];
        Some(rest)
    })
}
