//! Lives, turns and endings, told by hand.

use std::{sync::Arc, time::Duration};

use super::{
    Busy, Due, LastReadings, LeftOut, Noted, ReadTarget, ReadingSettings, Readings,
    StandInVersions, Why, schedule,
};
use crate::{
    catalog::{LifeNote, OwnerId},
    host::{
        CgroupKey, HierarchyId,
        cgroupfs::{
            CgroupStatistics, CgroupVersion, Presence, ReadOutcome, Reading, Wanted,
            cpu::CpuStatistics, parse::DeviceNumber,
        },
        clock::Ktime,
    },
    reconcile::{
        Life, Scrape,
        snapshot::{CgroupCounts, KernelReading, LastReading},
    },
    window::{BlockSums, Device, EventSums, Operation},
};

const INTERVAL: Duration = Duration::from_secs(10);

fn readings() -> Readings {
    Readings::new(ReadingSettings {
        interval: INTERVAL,
        max_entries: 100,
        last: Wanted::LAST,
        versions: V1_CPU,
    })
}

/// A hybrid host's, whose containers are in v1 but for their block I/O.
const V1_CPU: StandInVersions = StandInVersions {
    cpu: CgroupVersion::V1,
    memory: CgroupVersion::V1,
    io: CgroupVersion::V2,
};

fn at(milliseconds: u64) -> Ktime {
    Ktime(Duration::from_millis(milliseconds))
}

fn owner(number: u64) -> OwnerId {
    OwnerId::of_test(number)
}

fn there(number: u64, generation: u32, made: Option<Ktime>) -> LifeNote {
    LifeNote::There {
        owner: owner(number),
        generation,
        key: CgroupKey::new(HierarchyId::V2, 100 * number + u64::from(generation)),
        path: format!("/{number}").into_bytes(),
        made,
        has_network: false,
    }
}

fn make(readings: &Readings, number: u64, milliseconds: u64) {
    readings.note(there(number, 1, Some(at(milliseconds))), at(milliseconds));
}

/// A reading that finds so much CPU time.
fn read(due: &Due, milliseconds: u64, presence: Presence, cpu_ns: u64) {
    due.entry.read(due.generation, |target| {
        if presence != Presence::Gone {
            target.statistics.cpu = Some(Reading {
                version: CgroupVersion::V2,
                at: at(milliseconds),
                of: CpuStatistics {
                    usage_ns: Some(cpu_ns),
                    ..CpuStatistics::default()
                },
            });
        }
        Some(ReadOutcome {
            at: at(milliseconds),
            took: Duration::from_micros(50),
            presence,
            asked: Wanted::LAST,
            read: if presence == Presence::Gone {
                Wanted::NOTHING
            } else {
                Wanted::CPU
            },
            whole: if presence == Presence::There {
                Wanted::CPU
            } else {
                Wanted::NOTHING
            },
            failed: Wanted::NOTHING,
        })
    });
}

/// A reading at the end that asks for some groups only, and finds some of them.
fn read_groups(due: &Due, milliseconds: u64, asked: Wanted, read: Wanted, failed: Wanted) {
    due.entry.read(due.generation, |_| {
        Some(ReadOutcome {
            at: at(milliseconds),
            took: Duration::from_micros(50),
            presence: Presence::There,
            asked,
            read,
            whole: asked.without(failed),
            failed,
        })
    });
}

fn read_now(noted: Noted) -> Due {
    match noted {
        Noted::ReadNow(due) => due,
        Noted::Nothing => panic!("it is not to be read at once"),
    }
}

fn filled(readings: &Readings, number: u64, milliseconds: u64) {
    readings.note(
        LifeNote::Filled {
            owner: owner(number),
        },
        at(milliseconds),
    );
}

fn emptied(readings: &Readings, number: u64, milliseconds: u64) -> Due {
    let note = LifeNote::Emptied {
        owner: owner(number),
        at: at(milliseconds),
    };
    read_now(readings.note(note, at(milliseconds)))
}

fn exited(readings: &Readings, number: u64, milliseconds: u64) {
    readings.note(
        LifeNote::Exited {
            owner: owner(number),
        },
        at(milliseconds),
    );
}

/// What a row of this life is given.
fn row(
    readings: &Readings,
    number: u64,
    generation: u32,
    sums: Option<EventSums>,
) -> KernelReading {
    let mut scrape = Scrape {
        cgroups: vec![crate::reconcile::tests::empty_row()],
        lives: vec![Some(Life {
            owner: owner(number),
            generation,
            sums,
        })],
        counts: CgroupCounts::default(),
        events_overflowed: 0,
    };
    readings.fill(&mut scrape);
    scrape.cgroups.remove(0).kernel
}

fn cpu_ns(statistics: Option<&Arc<CgroupStatistics>>) -> Option<u64> {
    statistics?.cpu.as_ref()?.usage_ns
}

/// In one slice.
fn busy(cpu_ns: u64) -> EventSums {
    EventSums {
        cpu_ns,
        last_slice_ns: cpu_ns,
        ..EventSums::default()
    }
}

#[test]
fn a_new_cgroup_is_read_soon_then_ever_less_often_then_once_in_an_interval() {
    let readings = readings();
    make(&readings, 1, 1_000);
    let mut now = at(1_000);
    let mut ages = Vec::new();
    while now < at(41_000) {
        match readings.next_due(now) {
            Ok(due) => {
                ages.push(now.0.saturating_sub(at(1_000).0).as_millis());
                readings.taken(&due, now);
            }
            Err(next) => now = next.expect("one is always due"),
        }
    }
    assert_eq!(ages[..4], [10, 40, 160, 640], "{ages:?}");
    let steady = &ages[ages.len() - 3..];
    assert_eq!(
        (steady[1] - steady[0], steady[2] - steady[1]),
        (10_000, 10_000)
    );
}

#[test]
fn cgroups_are_spread_over_the_interval_and_share_wakeups() {
    let mut places: Vec<_> = (0..500).map(|n| schedule::place(n, INTERVAL)).collect();
    places.sort_unstable();
    // In each tenth of the interval a tenth of them.
    for tenth in 0..10 {
        let from = INTERVAL * tenth / 10;
        let count = places
            .iter()
            .filter(|place| **place >= from && **place < from + INTERVAL / 10)
            .count();
        assert!((45..=55).contains(&count), "{count} in tenth {tenth}");
    }
    places.dedup();
    assert!(places.len() <= 20, "{} wakeups", places.len());
}

#[test]
fn what_was_found_by_a_walk_is_read_at_once_and_then_at_its_place() {
    let readings = readings();
    for number in 0..50 {
        readings.note(there(number, 1, None), at(1_000));
    }
    let mut first = 0;
    while let Ok(due) = readings.next_due(at(1_000)) {
        first += 1;
        readings.taken(&due, at(1_000));
    }
    assert_eq!(first, 50);
    let mut later = 0;
    while let Ok(due) = readings.next_due(at(6_000)) {
        later += 1;
        readings.taken(&due, at(6_000));
    }
    assert!((20..=30).contains(&later), "{later} in half an interval");
}

#[test]
fn the_race_for_the_last_reading_is_won_late_or_lost() {
    let readings = readings();
    for number in 1..=5 {
        make(&readings, number, 0);
    }
    for number in 1..=4 {
        filled(&readings, number, 1);
    }
    read(&emptied(&readings, 1, 20), 20, Presence::There, 7);
    read(&emptied(&readings, 2, 20), 20, Presence::Going, 7);
    read(&emptied(&readings, 3, 20), 20, Presence::Gone, 0);
    // Of the fourth, the event that it was emptied is lost; the fifth never had a process.
    for number in 1..=5 {
        exited(&readings, number, 21);
        exited(&readings, number, 22);
    }
    let expected = LastReadings {
        won: 1,
        late: 1,
        lost: 2,
    };
    assert_eq!(readings.last_readings(), expected);
    let last = |number| row(&readings, number, 1, Some(busy(1))).last;
    assert_eq!(
        [1, 2, 3].map(last),
        [
            LastReading::Final,
            LastReading::Partial,
            LastReading::EventsOnly
        ]
    );
}

#[test]
fn a_reading_before_the_end_is_not_the_last() {
    let readings = readings();
    make(&readings, 1, 0);
    let Ok(due) = readings.next_due(at(10)) else {
        panic!("the first reading is due");
    };
    read(&due, 10, Presence::There, 5);
    filled(&readings, 1, 11);
    // One that was emptied and filled again is not at its end.
    read(&emptied(&readings, 1, 20), 20, Presence::There, 6);
    filled(&readings, 1, 21);
    read(&emptied(&readings, 1, 30), 30, Presence::Gone, 0);
    exited(&readings, 1, 31);
    let row = row(&readings, 1, 1, Some(busy(4)));
    assert_eq!((row.last, row.at), (LastReading::Earlier, Some(at(20))));
    assert_eq!(
        cpu_ns(row.statistics.as_ref()),
        Some(6),
        "the larger figure"
    );
    assert_eq!(readings.last_readings().lost, 1);
}

#[test]
fn the_last_slice_is_that_of_the_events_unless_it_was_counted_for_sure() {
    const MS: u64 = 1_000_000;
    for (read_at, counted, of_events, last_slice, expected) in [
        (20, 18, 20, 20, 20),
        // More than a tick cannot be missing, and no more than that slice: the rest is time that others took
        // from the slices.
        (20, 18, 50, 50, 28),
        (20, 18, 50, 1, 19),
        (20, 18, 17, 17, 18),
        (21, 18, 20, 20, 18),
    ] {
        let readings = readings();
        make(&readings, 1, 0);
        filled(&readings, 1, 1);
        let due = emptied(&readings, 1, 20);
        read(&due, read_at, Presence::There, counted * MS);
        exited(&readings, 1, 31);
        let sums = EventSums {
            last_slice_ns: last_slice * MS,
            ..busy(of_events * MS)
        };
        let row = row(&readings, 1, 1, Some(sums));
        assert_eq!(row.last, LastReading::Final);
        assert_eq!(cpu_ns(row.statistics.as_ref()), Some(expected * MS));
    }
}

#[test]
fn a_reading_between_the_ends_in_two_hierarchies_is_one_at_the_end() {
    let readings = readings();
    make(&readings, 1, 0);
    filled(&readings, 1, 1);
    read(&emptied(&readings, 1, 20), 20, Presence::There, 7);
    read(&emptied(&readings, 1, 21), 21, Presence::Gone, 0);
    exited(&readings, 1, 22);
    let row = row(&readings, 1, 1, Some(busy(1)));
    assert_eq!(row.last, LastReading::Final);
    assert_eq!(readings.last_readings().won, 1);
}

#[test]
fn a_second_look_that_comes_too_late_takes_nothing_back() {
    let readings = readings();
    make(&readings, 1, 0);
    filled(&readings, 1, 1);
    let due = emptied(&readings, 1, 20);
    read(&due, 20, Presence::There, 7);
    let settled = readings.next_due(at(10)).map(|due| due.why);
    assert_eq!(settled.ok(), Some(Why::Turn));
    assert!(matches!(
        readings.next_due(at(32)),
        Ok(Due {
            why: Why::Settled,
            ..
        })
    ));
    read(&due, 32, Presence::Going, 8);
    exited(&readings, 1, 33);
    let row = row(&readings, 1, 1, Some(busy(1)));
    assert_eq!(row.last, LastReading::Final);
    assert_eq!(cpu_ns(row.statistics.as_ref()), Some(8));
    assert!(
        due.entry.read(1, |_| panic!("it is gone")).is_none(),
        "a tombstone is not read"
    );
}

#[test]
fn where_no_file_was_read_the_events_stand_in() {
    let readings = readings();
    make(&readings, 1, 0);
    filled(&readings, 1, 1);
    read(&emptied(&readings, 1, 5), 5, Presence::Gone, 0);
    exited(&readings, 1, 6);
    let sums = EventSums {
        cpu_ns: 9_000,
        last_slice_ns: 0,
        skipped_ns: 0,
        block: vec![BlockSums {
            device: Device {
                major: 8,
                minor: 16,
            },
            operation: Operation::Write,
            bytes: 8_192,
            operations: 2,
        }],
        oom_victims: 1,
    };
    let row = row(&readings, 1, 1, Some(sums));
    assert_eq!((row.last, row.at), (LastReading::EventsOnly, None));
    let statistics = row.statistics.expect("the sums of its events");
    assert_eq!(cpu_ns(Some(&statistics)), Some(9_000));
    let memory = statistics.memory.as_ref().expect("an OOM kill");
    assert_eq!(memory.events.oom_kill, Some(1));
    let versions = [
        statistics.cpu.as_ref().map(|cpu| cpu.version),
        statistics.memory.as_ref().map(|memory| memory.version),
        statistics.io.as_ref().map(|io| io.version),
    ];
    let expected = [CgroupVersion::V1, CgroupVersion::V1, CgroupVersion::V2];
    assert_eq!(versions, expected.map(Some));
    let io = &statistics.io.as_ref().expect("block I/O").devices[0];
    assert_eq!(
        io.device,
        DeviceNumber {
            major: 8,
            minor: 16
        }
    );
    assert_eq!(
        (io.bytes.write, io.operations.write),
        (Some(8_192), Some(2))
    );
    assert_eq!((io.bytes.read, statistics.pids.is_none()), (None, true));
}

#[test]
fn a_new_life_begins_without_the_figures_of_the_one_before() {
    let readings = readings();
    make(&readings, 1, 0);
    filled(&readings, 1, 1);
    let old = emptied(&readings, 1, 20);
    read(&old, 20, Presence::There, 700);
    exited(&readings, 1, 21);
    readings.note(there(1, 2, Some(at(30))), at(30));
    let fresh = row(&readings, 1, 2, None);
    assert_eq!((fresh.statistics.is_none(), fresh.at), (true, None));
    // What was meant for the old life does not read the new one.
    assert!(old.entry.read(1, |_| panic!("another life")).is_none());
    // Of the old life nothing is due any more.
    let Ok(due) = readings.next_due(at(40)) else {
        panic!("the new life's first reading is due");
    };
    assert_eq!(due.generation, 2);
    read(&due, 40, Presence::There, 3);
    assert_eq!(
        cpu_ns(row(&readings, 1, 2, None).statistics.as_ref()),
        Some(3)
    );
    // A row of the old life, scraped before the new one was told of, shows nothing of it.
    assert!(row(&readings, 1, 1, Some(busy(1))).statistics.is_none());
}

#[test]
fn a_reading_that_leaves_out_what_was_found_before_is_not_final() {
    let usage = Wanted::CPU | Wanted::IO | Wanted::MEMORY;
    for (asked, failed, expected) in [
        // What is compared with events.
        (
            Wanted::CPU | Wanted::IO,
            Wanted::NOTHING,
            LastReading::Partial,
        ),
        (Wanted::LAST, Wanted::MEMORY, LastReading::Partial),
        (Wanted::LAST, Wanted::NOTHING, LastReading::Final),
    ] {
        let readings = readings();
        make(&readings, 1, 0);
        filled(&readings, 1, 1);
        let Ok(turn) = readings.next_due(at(10)) else {
            panic!("the first reading is due");
        };
        read_groups(
            &turn,
            10,
            Wanted::ALL,
            usage | Wanted::RDMA,
            Wanted::NOTHING,
        );
        let due = emptied(&readings, 1, 20);
        // Memory's controller may have been taken away: that it is not there is an answer.
        read_groups(&due, 40, asked, Wanted::CPU | Wanted::IO, failed);
        exited(&readings, 1, 50);
        let row = row(&readings, 1, 1, Some(busy(1)));
        assert_eq!(row.last, expected, "{asked:?}, failed {failed:?}");
        let won = u64::from(expected == LastReading::Final);
        assert_eq!(readings.last_readings().won, won);
        assert_eq!(readings.last_readings().late, 1 - won);
    }
}

#[test]
fn who_tells_of_a_life_does_not_wait_for_who_reads_its_files() {
    let readings = readings();
    make(&readings, 1, 0);
    filled(&readings, 1, 1);
    let due = emptied(&readings, 1, 20);
    let outcome = due.entry.read(1, |target: ReadTarget<'_>| {
        assert_eq!(target.path, b"/1");
        // All of this on the same thread: with a lock that the reading holds it would hang.
        assert_eq!(due.entry.try_read(1, |_| None), Err(Busy));
        readings.note(there(1, 1, None), at(21));
        filled(&readings, 1, 22);
        emptied(&readings, 1, 23);
        exited(&readings, 1, 24);
        assert_eq!(readings.last_readings(), LastReadings::default());
        Some(ReadOutcome {
            at: at(23),
            took: Duration::from_micros(50),
            presence: Presence::There,
            asked: Wanted::LAST,
            read: Wanted::CPU,
            whole: Wanted::CPU,
            failed: Wanted::NOTHING,
        })
    });
    assert!(outcome.is_some());
    let won = LastReadings {
        won: 1,
        ..LastReadings::default()
    };
    assert_eq!(readings.last_readings(), won, "as the reading ended");
    exited(&readings, 1, 25);
    assert_eq!(readings.last_readings(), won);
    assert_eq!(row(&readings, 1, 1, Some(busy(1))).last, LastReading::Final);
}

#[test]
fn a_new_life_does_not_wait_for_a_reading_of_the_one_before() {
    let readings = readings();
    make(&readings, 1, 0);
    filled(&readings, 1, 1);
    let due = emptied(&readings, 1, 20);
    due.entry.read(1, |_| {
        exited(&readings, 1, 21);
        readings.note(there(1, 2, Some(at(22))), at(22));
        Some(ReadOutcome {
            at: at(20),
            took: Duration::from_micros(50),
            presence: Presence::There,
            asked: Wanted::LAST,
            read: Wanted::CPU,
            whole: Wanted::CPU,
            failed: Wanted::NOTHING,
        })
    });
    assert_eq!(readings.last_readings().lost, 1, "it was not told in time");
    let fresh = row(&readings, 1, 2, None);
    assert_eq!((fresh.statistics.is_none(), fresh.at), (true, None));
}

#[test]
fn what_is_forgotten_or_too_much_has_no_entry() {
    let readings = readings();
    for number in 0..200 {
        make(&readings, number, 0);
    }
    assert!(readings.entry(owner(99)).is_some());
    assert!(readings.entry(owner(100)).is_none(), "the bound");
    assert_eq!(readings.left_out()[LeftOut::Cgroup as usize], 100);
    readings.note(LifeNote::Forgotten { owner: owner(99) }, at(1));
    assert!(readings.entry(owner(99)).is_none());
    let owners = vec![owner(3), owner(4)];
    readings.note(LifeNote::Only { owners }, at(2));
    assert_eq!(readings.left_out()[LeftOut::Notes as usize], 1);
    let left = (0..200).filter(|number| readings.entry(owner(*number)).is_some());
    assert_eq!(left.collect::<Vec<_>>(), [3, 4]);
    let mut due = 0;
    while readings.next_due(at(10)).is_ok() {
        due += 1;
    }
    assert_eq!(due, 2, "nothing is due of what is forgotten");
}
