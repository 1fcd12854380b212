//! Reads a cgroup at once when its last process has left: before long its runtime removes it.
//!
//! This is the drain thread's work, not another thread's: an event wakes it, and a second wakeup would
//! come too late for a cgroup that is removed within 100 µs. As it may be a real-time thread, it waits
//! for no other, and stops after a while however much there is to do.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{cgroup_files::CgroupFiles, state::State};
use crate::{
    catalog::{LifeNote, OwnerId},
    host::clock::Ktime,
    reconcile::{
        readings::{Busy, Due, LeftOut, Noted},
        snapshot::ReadErrors,
    },
};

/// So long the samples can wait for last readings: their ring takes 130 ms to fill at a million
/// switches a second.
const TIME_PER_PASS: Duration = Duration::from_millis(20);

/// So long those are let be that another thread is reading at the moment.
const BUSY_FOR: Duration = Duration::from_millis(1);

/// Cgroups that wait for their last reading. Of more than are read in a second, the last would be
/// gone before their turn.
const MAX_WAITING: usize = 4_096;

/// Acts on what happens to cgroups.
#[derive(Debug)]
pub struct LastReader {
    files: CgroupFiles,
    waiting: Waiting,
    /// Whether a pass ended for want of time.
    out_of_time: bool,
}

/// Those to be read, in the order in which they were emptied.
#[derive(Debug, Default)]
struct Waiting {
    in_order: BTreeMap<u64, Due>,
    places: HashMap<OwnerId, u64>,
    next: u64,
}

impl LastReader {
    /// With nothing to do.
    #[must_use]
    pub fn new(files: CgroupFiles) -> Self {
        Self {
            files,
            waiting: Waiting::default(),
            out_of_time: false,
        }
    }

    /// Takes over what happened, in its order, and reads what was emptied.
    pub fn follow(&mut self, notes: Vec<LifeNote>, state: &State) {
        let now = Ktime::now();
        let has_time = || Ktime::now().0.saturating_sub(now.0) < TIME_PER_PASS;
        for note in notes {
            match note {
                // Its files may be there in a hierarchy that no event tells of.
                LifeNote::Exited { owner } => {
                    if let Some(due) = self.waiting.take(owner)
                        && has_time()
                    {
                        // One that is being read at the moment is as well read.
                        self.read(&due).ok();
                    }
                }
                LifeNote::Filled { owner } | LifeNote::Forgotten { owner } => {
                    self.waiting.take(owner);
                }
                LifeNote::There { .. } | LifeNote::Emptied { .. } | LifeNote::Only { .. } => {}
            }
            if let Noted::ReadNow(due) = state.readings.note(note, now)
                && !self.waiting.add(due)
            {
                state.readings.leave_out(LeftOut::LastReading);
            }
        }
        self.read_waiting(has_time);
    }

    /// How soon to go on, if some could not be read in this pass.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        if self.waiting.in_order.is_empty() {
            None
        } else if self.out_of_time {
            Some(Duration::ZERO)
        } else {
            Some(BUSY_FOR)
        }
    }

    /// What went wrong so far.
    #[must_use]
    pub fn errors(&self) -> ReadErrors {
        self.files.errors()
    }

    /// Reads each that waits, as long as there is time.
    fn read_waiting(&mut self, has_time: impl Fn() -> bool) {
        let mut busy = Vec::new();
        while has_time()
            && let Some(due) = self.waiting.take_first()
        {
            if self.read(&due) == Err(Busy) {
                busy.push(due);
            }
        }
        self.out_of_time = !self.waiting.in_order.is_empty();
        for due in busy {
            self.waiting.add(due);
        }
    }

    fn read(&mut self, due: &Due) -> Result<(), Busy> {
        self.files.read_last(due)
    }
}

impl Waiting {
    /// Adds one at the end, unless it waits already: on a hybrid host each hierarchy's cgroup is emptied,
    /// and one reading is for all of them. Whether there was room.
    fn add(&mut self, due: Due) -> bool {
        let owner = due.entry.owner;
        if let Some(place) = self.places.get(&owner) {
            // Perhaps of another life.
            self.in_order.insert(*place, due);
            return true;
        }
        if self.in_order.len() >= MAX_WAITING {
            return false;
        }
        self.places.insert(owner, self.next);
        self.in_order.insert(self.next, due);
        self.next += 1;
        true
    }

    fn take(&mut self, owner: OwnerId) -> Option<Due> {
        let place = self.places.remove(&owner)?;
        self.in_order.remove(&place)
    }

    fn take_first(&mut self) -> Option<Due> {
        let (_, due) = self.in_order.pop_first()?;
        self.places.remove(&due.entry.owner);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc, time::SystemTime};

    use super::*;
    use crate::{
        catalog::Recognizer,
        daemon::cgroup_files::FileSources,
        export::otlp::Outboxes,
        host::{
            CgroupKey, HierarchyId,
            cgroup_mounts::{CgroupMounts, Hierarchy},
            cgroupfs::{CgroupVersion, DescriptorBudget, HierarchyRoots, Wanted},
        },
        reconcile::{
            Life, Pipeline, PipelineSettings,
            readings::{LastReadings, ReadingSettings, Readings, StandInVersions},
            snapshot::LastReading,
        },
        window::{Backend, BackendSettings, EventSums, Operation},
    };

    /// A cgroup tree, and the daemon's state without a daemon.
    struct Host {
        tree: tempfile::TempDir,
        state: State,
        reader: LastReader,
    }

    impl Host {
        fn new() -> Self {
            let tree = tempfile::tempdir().expect("a folder");
            let mounts = CgroupMounts {
                hierarchies: vec![Hierarchy {
                    id: HierarchyId::V2,
                    controllers: Vec::new(),
                    mount_point: tree.path().to_owned(),
                    root: b"/".to_vec(),
                }],
            };
            let settings = PipelineSettings {
                mounts: &mounts,
                recognizer: Recognizer::new(Path::new("/nonexistent")),
                operations: vec![(0, Operation::Read)],
                max_cgroups: 10,
                retention: Duration::from_mins(5),
            };
            let readings = Readings::new(ReadingSettings {
                interval: Duration::from_secs(10),
                max_entries: 10_000,
                last: Wanted::LAST,
                versions: StandInVersions {
                    cpu: CgroupVersion::V2,
                    memory: CgroupVersion::V2,
                    io: CgroupVersion::V2,
                },
            });
            let pipeline = Pipeline::new(settings, SystemTime::UNIX_EPOCH);
            let own = Backend::new(BackendSettings::default());
            let state = State::new(
                pipeline,
                readings,
                own,
                Vec::new(),
                "/".into(),
                Outboxes::default(),
            );
            let sources = FileSources {
                roots: Arc::new(HierarchyRoots::open(&mounts)),
                budget: DescriptorBudget::new(100, 100),
            };
            let reader = LastReader::new(CgroupFiles::new(sources, &state));
            Self {
                tree,
                state,
                reader,
            }
        }

        /// A cgroup with a process in it that used so many microseconds.
        fn make(&mut self, number: u64, microseconds: u64) {
            let cgroup = self.tree.path().join(number.to_string());
            fs::create_dir_all(&cgroup).expect("a cgroup");
            fs::write(cgroup.join("cgroup.procs"), "").expect("a file");
            let stat = format!("usage_usec {microseconds}\n");
            fs::write(cgroup.join("cpu.stat"), stat).expect("a file");
            self.tell_of(number);
        }

        fn tell_of(&mut self, number: u64) {
            let id = fs::metadata(self.tree.path().join(number.to_string()));
            let id = id.map_or(number, |of| std::os::unix::fs::MetadataExt::ino(&of));
            let notes = vec![
                LifeNote::There {
                    owner: OwnerId::of_test(number),
                    generation: 1,
                    key: CgroupKey::new(HierarchyId::V2, id),
                    path: format!("/{number}").into_bytes(),
                    made: Some(Ktime::now()),
                    has_network: false,
                },
                filled(number),
            ];
            self.reader.follow(notes, &self.state);
        }

        fn follow(&mut self, notes: Vec<LifeNote>) {
            self.reader.follow(notes, &self.state);
        }

        /// How the last reading was had, and the CPU time in it.
        fn last(&self, number: u64) -> (LastReading, Option<u64>) {
            let reading = self.state.readings.of(&Life {
                owner: OwnerId::of_test(number),
                generation: 1,
                sums: Some(EventSums::default()),
            });
            let statistics = reading.statistics;
            let cpu = statistics.and_then(|of| of.cpu.as_ref()?.usage_ns);
            (reading.last, cpu)
        }
    }

    fn filled(number: u64) -> LifeNote {
        LifeNote::Filled {
            owner: OwnerId::of_test(number),
        }
    }

    fn emptied(number: u64) -> LifeNote {
        LifeNote::Emptied {
            owner: OwnerId::of_test(number),
            at: Ktime::now(),
        }
    }

    fn exited(number: u64) -> LifeNote {
        LifeNote::Exited {
            owner: OwnerId::of_test(number),
        }
    }

    #[test]
    fn what_was_emptied_is_read_at_once_and_what_was_filled_again_is_not() {
        let mut host = Host::new();
        host.make(1, 5);
        host.make(2, 6);
        host.follow(vec![emptied(1), emptied(2), filled(2)]);
        assert_eq!(host.reader.pause(), None, "all is done");
        host.follow(vec![exited(1), exited(2)]);
        assert_eq!(host.last(1), (LastReading::Final, Some(5_000)));
        assert_eq!(host.last(2), (LastReading::EventsOnly, None));
        let endings = LastReadings {
            won: 1,
            lost: 1,
            ..LastReadings::default()
        };
        assert_eq!(host.state.readings.last_readings(), endings);
    }

    #[test]
    fn what_was_emptied_and_removed_in_one_pass_is_read_before_it_is_closed() {
        let mut host = Host::new();
        host.make(1, 5);
        // No event tells that its files are gone in all hierarchies: they are there.
        host.follow(vec![emptied(1), exited(1)]);
        assert_eq!(host.last(1), (LastReading::Final, Some(5_000)));
    }

    #[test]
    fn one_that_another_thread_reads_is_let_be_and_read_later() {
        let mut host = Host::new();
        host.make(1, 5);
        let owner = OwnerId::of_test(1);
        let entry = host.state.readings.entry(owner).expect("its entry");
        // A reading of another's that is under way.
        entry.read(1, |_| {
            host.follow(vec![emptied(1)]);
            assert_eq!(host.reader.pause(), Some(BUSY_FOR), "not at once again");
            None
        });
        host.follow(Vec::new());
        assert_eq!(host.reader.pause(), None);
        host.follow(vec![exited(1)]);
        assert_eq!(host.last(1), (LastReading::Final, Some(5_000)));
    }

    #[test]
    fn a_crowd_is_read_in_passes_and_those_without_a_place_are_counted() {
        const TOO_MANY: u64 = 7;
        let crowd = MAX_WAITING as u64 + TOO_MANY;
        let mut host = Host::new();
        for number in 0..crowd {
            host.tell_of(number);
        }
        let notes = (0..crowd).flat_map(|number| [emptied(number), emptied(number)]);
        let notes: Vec<_> = notes.collect();
        host.follow(notes);
        let mut passes = 1;
        while let Some(pause) = host.reader.pause() {
            assert_eq!(
                pause,
                Duration::ZERO,
                "there is more to do, and nobody in the way"
            );
            host.follow(Vec::new());
            passes += 1;
            assert!(passes < 10_000, "it ends");
        }
        let left_out = host.state.readings.left_out();
        // Each was told of twice: those without a place twice are counted twice.
        assert_eq!(left_out[LeftOut::LastReading as usize], 2 * TOO_MANY);
        assert!(host.reader.waiting.places.is_empty());
    }
}
