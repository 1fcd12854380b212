//! The numbers of every cgroup, and whose they are.
//!
//! Samples are recorded by cgroup id alone; this is where ids meet identities. The two are kept apart
//! because an id can be seen in a sample before anyone knows its path, and because the cgroups of one
//! path in several hierarchies, and in several lives, are one row of the export.

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use collector_common::event::OomEvent;

use super::{
    drift::{Checkpoint, CheckpointWish, OwnerSums},
    listing::ListedCgroup,
    roll_up::RollUp,
    snapshot::{CgroupCounts, CgroupStats, KernelReading, LifeEvents, SchedSums},
};
use crate::{
    catalog::{
        CgroupTable, Identity, LifeNote, Names, Owner, OwnerId, Recognizer, TableSettings,
        cgroup_table::{Change, Expired, Moment, Walked},
    },
    drain::{Batch, Event, InFlight, Samples, Sink, decode::CgroupChange},
    host::{
        CgroupKey, HierarchyId,
        cgroup_mounts::CgroupMounts,
        cgroup_walk::Walk,
        clock::{Ktime, TimeAnchor},
        process::cgroup_of,
    },
    window::{
        BatchOutcome, CgroupTotals, CgroupWindows, Class, EventSums, OomTotals, Operation,
        OperationCodes, Quantiles, WindowSettings, WindowSignal,
    },
};

/// The path of the row that takes what has no row of its own.
const OTHER: &str = "~other";

/// What the pipeline is made with.
#[derive(Clone, Debug)]
pub struct PipelineSettings<'a> {
    /// The hierarchies.
    pub mounts: &'a CgroupMounts,
    /// What recognizes containers.
    pub recognizer: Recognizer,
    /// How this kernel numbers block operations.
    pub operations: Vec<(u32, Operation)>,
    /// How many cgroups get numbers of their own.
    pub max_cgroups: usize,
    /// How long a tombstone stays.
    pub retention: Duration,
}

/// The numbers of every cgroup, and whose they are.
#[derive(Debug)]
pub struct Pipeline {
    windows: CgroupWindows,
    table: CgroupTable,
    operations: OperationCodes,
    tasks: HierarchyId,
    block: HierarchyId,
    memory: HierarchyId,
    /// The hierarchies whose cgroups get an identity. Events of the others are noted and pass.
    attributed: Vec<HierarchyId>,
    /// Totals that are no longer under a cgroup's id: of earlier lives.
    put_aside: HashMap<OwnerId, CgroupTotals>,
    /// Totals of cgroups that found no place in the table.
    homeless: CgroupTotals,
    /// What counts in the rows above, though it has no row any more.
    roll_up: RollUp,
    started: SystemTime,
    wants_resync: bool,
    /// What happened to cgroups since this was last asked.
    life: Vec<LifeNote>,
    /// Whether some of it could not be kept.
    life_missed: bool,
}

/// What a scrape found.
#[derive(Debug)]
pub struct Scrape {
    /// Every row.
    pub cgroups: Vec<CgroupStats>,
    /// Of each row, which life it shows; the overflow row has none.
    pub lives: Vec<Option<Life>>,
    /// How many cgroups are known.
    pub counts: CgroupCounts,
    /// How many events went to the overflow row because their cgroups had no place of their own.
    pub events_overflowed: u64,
}

/// The latest life of an owner.
#[derive(Clone, Debug)]
pub struct Life {
    /// Whose.
    pub owner: OwnerId,
    /// Which.
    pub generation: u32,
    /// What its events add up to, once it is over.
    pub sums: Option<EventSums>,
}

/// How much of what happened to cgroups is kept for those who read their files: more than the events
/// of one pass. Each note is a path and some numbers.
pub(super) const MAX_LIFE_NOTES: usize = 1 << 18;

impl Pipeline {
    /// Empty.
    #[must_use]
    pub fn new(settings: PipelineSettings<'_>, started: SystemTime) -> Self {
        let PipelineSettings {
            mounts,
            recognizer,
            operations,
            max_cgroups,
            retention,
        } = settings;
        let id = |of: Option<&crate::host::cgroup_mounts::Hierarchy>| {
            of.map_or(HierarchyId::V2, |hierarchy| hierarchy.id)
        };
        let tasks = id(mounts.task_hierarchy());
        let table = TableSettings {
            max_owners: max_cgroups,
            retention,
            cgroup_version: if tasks == HierarchyId::V2 { 2 } else { 1 },
        };
        Self {
            // Each owner can have a cgroup with numbers in each hierarchy, and may be a tombstone.
            windows: CgroupWindows::new(WindowSettings {
                max_cgroups: max_cgroups.saturating_mul(2 * mounts.attributed().len()),
                ..WindowSettings::default()
            }),
            table: CgroupTable::new(table, recognizer),
            operations: OperationCodes::new(operations),
            tasks,
            block: id(mounts.block_hierarchy()),
            memory: id(mounts.memory_hierarchy()),
            attributed: mounts
                .attributed()
                .iter()
                .map(|hierarchy| hierarchy.id)
                .collect(),
            put_aside: HashMap::new(),
            homeless: CgroupTotals::default(),
            roll_up: RollUp::default(),
            started,
            wants_resync: false,
            life: Vec::new(),
            life_missed: false,
        }
    }

    /// Closes the current window of every histogram.
    pub fn rotate(&mut self) {
        self.windows.rotate();
    }

    /// Whether the cgroup trees should be looked at: there is a cgroup whose path is not known. Says
    /// so once.
    pub fn wants_resync(&mut self) -> bool {
        mem::take(&mut self.wants_resync)
    }

    /// Makes identities agree with a walk of a hierarchy that began at `began`.
    pub fn sync(&mut self, hierarchy: HierarchyId, walk: &Walk, began: Ktime, now: Moment) {
        let walked = Walked {
            cgroups: &walk.cgroups,
            is_complete: walk.is_complete(),
            began,
        };
        for (key, change) in self.table.sync(hierarchy, &walked, now) {
            self.follow(key, change, None);
        }
        self.note_exits();
        self.make_room();
    }

    /// Lets go of tombstones whose time is over.
    pub fn expire(&mut self, now: Ktime) {
        for Expired {
            owner,
            path,
            ended,
            keys,
            is_early,
        } in self.table.expire(now)
        {
            self.note(LifeNote::Forgotten { owner });
            let mut totals = self.put_aside.remove(&owner).unwrap_or_default();
            let mut of_life = SchedSums::default();
            for key in keys {
                if let Some(of_key) = self.windows.remove(key) {
                    of_life.add(SchedSums::of(&of_key));
                    totals.merge(&of_key);
                }
            }
            self.roll_up
                .forget(&self.table, owner, &path, ended, of_life);
            // What goes before its time, for want of room, is not lost: only told apart no more.
            if is_early {
                self.homeless.merge(&totals);
            }
        }
    }

    /// Cgroups may come and go faster than [`expire`](Self::expire) is called.
    fn make_room(&mut self) {
        if self.table.is_crowded() {
            self.expire(Ktime::now());
        }
    }

    /// All numbers as they are now; counts as a scrape.
    pub fn scrape(&mut self) -> Scrape {
        let owners: Vec<_> = self.table.owners().collect();
        let (mut cgroups, mut lives): (Vec<_>, Vec<_>) = owners
            .iter()
            .map(|(id, owner)| (self.stats(*id, owner), Some(self.life(*id, owner))))
            .unzip();
        let overflow = SchedSums::of(&self.windows.overflow().totals());
        self.roll_up.add_up(&owners, &mut cgroups, overflow);
        if let Some(other) = self.other() {
            cgroups.push(other);
            lives.push(None);
        }
        self.table.note_scrape();
        Scrape {
            cgroups,
            lives,
            counts: self.table.counts(),
            events_overflowed: self.windows.overflowed(),
        }
    }

    /// Which cgroups there are, without their readings, the latest life of each, and how many found no
    /// place. Not a scrape: what is gone is kept no shorter for it.
    #[must_use]
    pub fn list(&self) -> (Vec<(ListedCgroup, Life)>, u64) {
        let cgroups = self
            .table
            .owners()
            .map(|(id, owner)| (ListedCgroup::of(owner), self.life(id, owner)))
            .collect();
        (cgroups, self.table.counts().overflowed)
    }

    fn life(&self, owner_id: OwnerId, owner: &Owner) -> Life {
        Life {
            owner: owner_id,
            generation: owner.identity.generation,
            sums: owner.exited().map(|_| self.sums(owner)),
        }
    }

    /// What the events of an owner's latest life add up to: those of earlier ones are put aside.
    fn sums(&self, owner: &Owner) -> EventSums {
        let mut sums = EventSums::default();
        for view in owner.keys().filter_map(|key| self.windows.get(key)) {
            sums.add(&view.sums());
        }
        sums
    }

    /// What the events of these owners' latest lives add up to at `at`, with what is on its way.
    #[must_use]
    pub fn checkpoint(&self, wish: &CheckpointWish, in_flight: &InFlight, at: Ktime) -> Checkpoint {
        let mut on_its_way: HashMap<OwnerId, (EventSums, u32)> = HashMap::new();
        let owner_of = |hierarchy, cgroup| {
            let key = CgroupKey::new(hierarchy, cgroup);
            self.table.owner_of(key).map(|(owner, _)| owner)
        };
        for sample in &in_flight.sched {
            if let Some(owner) = owner_of(self.tasks, sample.prev_cgroup) {
                on_its_way.entry(owner).or_default().0.add_slice(sample);
            }
            if let Some(owner) = owner_of(self.tasks, sample.next_cgroup) {
                on_its_way.entry(owner).or_default().0.add_wait(sample);
            }
        }
        for sample in &in_flight.block {
            if let Some(owner) = owner_of(self.block, sample.cgroup) {
                let (sums, _) = on_its_way.entry(owner).or_default();
                sums.add_completion(sample, &self.operations);
            }
        }
        for running in &in_flight.running {
            if let Some(owner) = owner_of(self.tasks, running.cgroup) {
                let (sums, count) = on_its_way.entry(owner).or_default();
                let since = at.0.saturating_sub(running.since.0);
                sums.cpu_ns += u64::try_from(since.as_nanos()).unwrap_or(0);
                *count += 1;
            }
        }
        let is_wanted = |(id, owner): &(OwnerId, &Owner)| {
            wish.slice.has(*id)
                && owner
                    .exited_at()
                    .is_none_or(|exited| wish.has_ended(exited, at))
        };
        let owners = self.table.owners().filter(is_wanted).map(|(id, owner)| {
            let (sums, running) = on_its_way.remove(&id).unwrap_or_default();
            let mut all = self.sums(owner);
            all.add(&sums);
            OwnerSums {
                owner: id,
                identity: Arc::clone(&owner.identity),
                exited: owner.exited().is_some(),
                sums: all,
                running,
            }
        });
        let owners = owners.collect();
        let identities = self.table.owners();
        let identities = identities.map(|(id, owner)| (id, Arc::clone(&owner.identity)));
        Checkpoint {
            at,
            slice: wish.slice,
            owners,
            ended_until: Checkpoint::ended_until(at),
            identities: identities.collect(),
        }
    }

    /// What happened to cgroups since this was last asked, in its order. To be asked after every
    /// pass.
    pub fn take_life(&mut self) -> Vec<LifeNote> {
        if !mem::take(&mut self.life_missed) {
            return mem::take(&mut self.life);
        }
        self.life.clear();
        let mut notes = vec![LifeNote::Only {
            owners: self.table.owners().map(|(owner, _)| owner).collect(),
        }];
        for (owner, of) in self.table.owners() {
            notes.extend(of.live_keys().filter_map(|key| there(owner, of, key, None)));
            if of.exited().is_some() {
                notes.push(LifeNote::Exited { owner });
            }
        }
        notes
    }

    fn note(&mut self, note: LifeNote) {
        if self.life.len() < MAX_LIFE_NOTES {
            self.life.push(note);
        } else {
            self.life_missed = true;
        }
    }

    fn note_exits(&mut self) {
        for owner in self.table.take_exited() {
            self.note(LifeNote::Exited { owner });
        }
    }

    fn stats(&self, id: OwnerId, owner: &Owner) -> CgroupStats {
        let mut totals = CgroupTotals::default();
        let views = || owner.keys().filter_map(|key| self.windows.get(key));
        for view in views() {
            totals.merge(&view.totals());
        }
        let sched = SchedSums::of(&totals);
        let life = LifeEvents {
            sched: (!sched.is_empty()).then_some(sched),
            limit_oom_kills: totals.oom.limit_owner,
        };
        if let Some(earlier) = self.put_aside.get(&id) {
            totals.merge(earlier);
        }
        let quantiles = WindowSignal::ALL.into_iter().filter_map(|signal| {
            let of = Quantiles::of(views().filter_map(|view| view.windowed(signal)))?;
            Some((signal, of))
        });
        let CgroupTotals { sched, block, oom } = totals;
        CgroupStats {
            identity: Arc::clone(&owner.identity),
            exited: owner.exited(),
            sched,
            block,
            oom,
            life,
            quantiles: quantiles.collect(),
            kernel: KernelReading::default(),
        }
    }

    /// The overflow row, once something went there.
    fn other(&self) -> Option<CgroupStats> {
        let overflow = self.windows.overflow();
        let mut totals = self.homeless.clone();
        totals.merge(&overflow.totals());
        let CgroupTotals { sched, block, oom } = totals;
        if sched.is_none() && block.is_empty() && oom == OomTotals::default() {
            return None;
        }
        let identity = Identity {
            path: OTHER.to_owned(),
            names: Names::default(),
            container: None,
            cgroup_version: 0,
            generation: 1,
            started: self.started,
        };
        let quantiles = WindowSignal::ALL
            .into_iter()
            .filter_map(|signal| Some((signal, overflow.quantiles(signal)?)));
        Some(CgroupStats {
            identity: Arc::new(identity),
            exited: None,
            sched,
            block,
            oom,
            life: LifeEvents::default(),
            quantiles: quantiles.collect(),
            kernel: KernelReading::default(),
        })
    }

    /// Does for the numbers what a change of identity means.
    fn follow(&mut self, key: CgroupKey, change: Change, made: Option<Ktime>) {
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
            .and_then(|(_, of)| of.class);
        // Containers get their place now, so that the first sample finds them known.
        if key.hierarchy == self.tasks || key.hierarchy == self.block {
            self.windows
                .set_class(key, class.map_or(Class::System, Class::Container));
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
            cgroup_of(event.victim_pid, self.tasks).and_then(|path| {
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

/// The note that a cgroup is there; none for one whose path is not known.
fn there(id: OwnerId, owner: &Owner, key: CgroupKey, made: Option<Ktime>) -> Option<LifeNote> {
    (!owner.is_unresolved()).then(|| LifeNote::There {
        owner: id,
        generation: owner.identity.generation,
        key,
        path: owner.path().to_vec(),
        made,
        has_network: owner.identity.own_container().is_some() || owner.identity.path == "/",
    })
}

fn now() -> Moment {
    (Ktime::now(), SystemTime::now())
}
