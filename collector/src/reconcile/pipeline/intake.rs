//! What comes in: batches of samples, and events.

use std::{path::Path, time::SystemTime};

use collector_common::event::OomEvent;

use super::{Pipeline, there};
use crate::{
    catalog::{
        LifeNote, Owner, OwnerId,
        cgroup_table::{Change, Moment},
    },
    drain::{Batch, CgroupChange, Event, Samples, Sink},
    host::{
        CgroupKey,
        clock::{Ktime, TimeAnchor},
        process::cgroup_of,
    },
    reconcile::snapshot::SchedSums,
    window::{BatchOutcome, Class},
};

impl Sink for Pipeline {
    fn batch(&mut self, batch: &Batch<'_>) -> BatchOutcome {
        let outcome = match batch.samples {
            Samples::Sched(samples) => self.windows.record_sched(self.tasks, samples),
            Samples::BlockIo(samples) => {
                self.windows
                    .record_block(self.block, samples, &self.operations)
            }
        };
        self.meet_new();
        self.look_for_slow(batch);
        outcome
    }

    fn event(&mut self, event: &Event<'_>) -> BatchOutcome {
        match *event {
            Event::Oom(event) => self.oom(event),
            Event::Cgroup {
                change,
                cgroup,
                path,
                cut,
                ktime_ns,
            } => {
                let ktime = Ktime::from_ns(ktime_ns);
                let moment = (ktime, TimeAnchor::now().wall(ktime));
                // A cut path would be another cgroup's.
                self.cgroup(change, cgroup, if cut { b"" } else { path }, moment);
            }
        }
        self.make_room();
        BatchOutcome::all_recorded(1)
    }
}

impl Pipeline {
    /// Does for the numbers what a change of identity means.
    pub(super) fn follow(&mut self, key: CgroupKey, change: Change, made: Option<Ktime>) {
        let Change {
            owner,
            put_aside,
            dropped,
        } = change;
        self.note_exits();
        if let Some(note) = owner.and_then(|id| there(id, self.table.owner(id)?, key, made)) {
            self.note(note);
        }
        for dropped in dropped {
            self.note(LifeNote::Forgotten { owner: dropped });
            self.roll_up.inherit(&self.table, dropped, owner);
            if let Some(totals) = self.put_aside.remove(&dropped) {
                let heir = match owner {
                    Some(owner) => self.put_aside.entry(owner).or_default(),
                    None => &mut self.homeless,
                };
                heir.merge(&totals);
            }
        }
        for (key, owner) in put_aside {
            if let Some(totals) = self.windows.remove(key) {
                self.roll_up
                    .end_life(&self.table, owner, SchedSums::of(&totals));
                self.put_aside.entry(owner).or_default().merge(&totals);
            }
        }
        let Some(owner) = owner else {
            if let Some(totals) = self.windows.remove(key) {
                self.roll_up.add_homeless(SchedSums::of(&totals));
                self.homeless.merge(&totals);
            }
            return;
        };
        self.roll_up.begin_life(&self.table, owner);
        let class = self
            .table
            .owner_of(key)
            .filter(|(id, _)| *id == owner)
            .map_or(Class::System, |(_, of)| self.own.class(key, of));
        self.set_class(key, class);
        if self.own.cgroup == Some(key) {
            self.meet_own_container(owner);
        }
        self.misses_names |= self.table.owner(owner).is_some_and(Owner::is_unnamed);
    }

    /// Containers get their place now, so that the first sample finds them known.
    pub(super) fn set_class(&mut self, key: CgroupKey, class: Class) {
        if key.hierarchy == self.tasks || key.hierarchy == self.block {
            self.windows.set_class(key, class);
        }
    }

    /// Does for the numbers what it means that a runtime has told whose cgroups are.
    pub(super) fn classify(&mut self, owner: OwnerId) {
        let Some(of) = self.table.owner(owner) else {
            return;
        };
        let classes: Vec<_> = of
            .live_keys()
            .map(|key| (key, self.own.class(key, of)))
            .collect();
        let notes: Vec<_> = classes
            .iter()
            .filter_map(|(key, _)| there(owner, of, *key, None))
            .collect();
        let is_own = classes.iter().any(|(key, _)| self.own.cgroup == Some(*key));
        for (key, class) in classes {
            self.set_class(key, class);
        }
        if is_own {
            self.meet_own_container(owner);
        }
        // Its processes may have a network to themselves, now that it is known to be a container.
        for note in notes {
            self.note(note);
        }
    }

    /// Gives those cgroups an owner that were seen in a sample before anyone told of them.
    fn meet_new(&mut self) {
        let new = self.windows.take_new();
        if new.is_empty() {
            return;
        }
        let now = now();
        for key in new {
            if self.table.owner_of(key).is_none() {
                self.wants_resync = true;
                let change = self.table.insert(key, b"", now);
                self.follow(key, change, None);
            }
        }
    }

    fn cgroup(&mut self, change: CgroupChange, key: CgroupKey, path: &[u8], moment: Moment) {
        if !self.attributed.contains(&key.hierarchy) {
            return;
        }
        let changes = match change {
            CgroupChange::Renamed => self.table.rename(key, path, moment),
            CgroupChange::Removed => {
                self.table.remove(key, moment);
                self.note_exits();
                return;
            }
            // One that fills is news too, where the event of its making was lost.
            CgroupChange::Made | CgroupChange::Populated => {
                vec![(key, self.table.insert(key, path, moment))]
            }
            CgroupChange::Emptied => {
                if let Some((owner, _)) = self.table.owner_of(key) {
                    self.note(LifeNote::Emptied {
                        owner,
                        at: moment.0,
                    });
                }
                return;
            }
        };
        self.wants_resync |= path.is_empty();
        let made = (change == CgroupChange::Made).then_some(moment.0);
        if made.is_some() {
            self.table.note_made(key, moment.1);
        }
        for (key, change) in changes {
            self.follow(key, change, made);
        }
        if change == CgroupChange::Populated
            && let Some((owner, _)) = self.table.owner_of(key)
        {
            self.note(LifeNote::Filled { owner });
        }
    }

    fn oom(&mut self, event: &OomEvent) {
        let flag = |flag: u32| event.flags & flag != 0;
        let victim = if flag(OomEvent::FLAG_PID_ONLY) {
            // Too late when the victim is gone already: then its cgroup is not known.
            cgroup_of(Path::new("/"), event.victim_pid, self.tasks).and_then(|path| {
                let (_, owner) = self.table.owner_at(&path)?;
                owner.keys().find(|key| key.hierarchy == self.tasks)
            })
        } else {
            Some(CgroupKey::new(self.tasks, event.victim_cgroup))
        };
        let comm = event
            .comm
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        tracing::info!(
            pid = event.victim_pid,
            comm = %comm.escape_ascii(),
            cgroup = victim.map(|key| key.id.0),
            "the OOM killer chose a victim"
        );
        self.moment_of_oom(event, victim, comm);
        match victim {
            Some(key) => self.windows.record_oom_victim(key),
            None => self.homeless.oom.victim += 1,
        }
        if flag(OomEvent::FLAG_LIMIT_OWNER) && !flag(OomEvent::FLAG_GLOBAL) {
            let owner = CgroupKey::new(self.memory, event.limit_owner_cgroup);
            self.windows.record_oom_limit_owner(owner);
        }
        self.meet_new();
    }
}

fn now() -> Moment {
    (Ktime::now(), SystemTime::now())
}
