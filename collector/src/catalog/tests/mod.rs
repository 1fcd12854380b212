//! The table of cgroups, through every turn that a cgroup's life can take.

mod kata;
mod names;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::{
    CgroupTable, Onlooker, Recognizer, TableSettings,
    cgroup_table::{Moment, Walked},
};
use crate::host::{CgroupId, CgroupKey, HierarchyId, clock::Ktime};

const CPU: HierarchyId = HierarchyId(3);
const BLOCK: HierarchyId = HierarchyId(4);
const CONTAINER: &str = "/docker/4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

fn table() -> CgroupTable {
    let settings = TableSettings {
        max_owners: 10,
        retention: Duration::from_mins(5),
        cgroup_version: 1,
    };
    CgroupTable::new(settings, Recognizer::new(Path::new("/nonexistent")))
}

fn at(seconds: u64) -> Moment {
    let time = Duration::from_secs(seconds);
    (Ktime(time), SystemTime::UNIX_EPOCH + time)
}

fn key(id: u64) -> CgroupKey {
    CgroupKey::new(CPU, id)
}

fn path_of(table: &CgroupTable, key: CgroupKey) -> Option<String> {
    Some(table.owner_of(key)?.1.identity.path.clone())
}

#[test]
fn a_container_has_one_owner_in_all_hierarchies_and_exits_with_the_last() {
    let mut table = table();
    let cpu = table.insert(key(1), CONTAINER.as_bytes(), at(1)).owner;
    let block = table
        .insert(CgroupKey::new(BLOCK, 1), CONTAINER.as_bytes(), at(1))
        .owner;
    assert_eq!((cpu, cpu.is_some()), (block, true));
    assert_eq!(table.remove(key(1), at(2)), None);
    assert_eq!(table.remove(CgroupKey::new(BLOCK, 1), at(3)), cpu);
    let owner = table.owner_of(key(1)).unwrap().1;
    assert_eq!(owner.exited(), Some(at(3).1));
    assert_eq!(table.counts().exited, 1);
}

/// Since when a cgroup is there, in seconds, and whether nobody knows.
fn beginning(table: &CgroupTable, key: CgroupKey) -> (u64, bool) {
    let identity = &table.owner_of(key).unwrap().1.identity;
    let since = identity.started.duration_since(SystemTime::UNIX_EPOCH);
    (since.unwrap().as_secs(), identity.is_found)
}

#[test]
fn one_is_found_unless_its_making_was_seen_whoever_was_first() {
    let mut table = table();
    table.insert(key(1), b"/found", at(5));
    assert_eq!(beginning(&table, key(1)), (5, true));
    // A walk sees it before its event is read.
    table.insert(key(2), b"/walked", at(5));
    table.note_made(key(2), at(4).1);
    assert_eq!(beginning(&table, key(2)), (4, false));
    // A sample does, and then its path was cut.
    table.insert(key(3), b"", at(6));
    table.note_made(key(3), at(5).1);
    table.insert(key(3), b"/long", at(9));
    assert_eq!(beginning(&table, key(3)), (5, false));
    // The next life at a path is another.
    table.remove(key(2), at(10));
    table.insert(key(4), b"/walked", at(20));
    assert_eq!(beginning(&table, key(4)), (20, true));
    table.note_made(key(9), at(1).1);
}

#[test]
fn one_that_was_found_in_a_hierarchy_is_not_made_by_what_is_made_in_another() {
    let mut table = table();
    let block = CgroupKey::new(BLOCK, 1);
    table.insert(key(1), b"/old", at(5));
    table.insert(block, b"/old", at(4));
    table.note_made(block, at(4).1);
    assert_eq!(beginning(&table, key(1)), (5, true));
    let block = CgroupKey::new(BLOCK, 2);
    for (key, moment) in [(key(2), at(7)), (block, at(8))] {
        table.insert(key, b"/new", moment);
        table.note_made(key, moment.1);
        assert_eq!(beginning(&table, key), (7, false));
    }
}

#[test]
fn all_cgroups_of_a_container_share_its_class_and_no_other_has_it() {
    let mut table = table();
    table.insert(key(1), CONTAINER.as_bytes(), at(1));
    table.insert(key(2), format!("{CONTAINER}/init").as_bytes(), at(1));
    table.insert(key(3), b"/docker", at(1));
    let class = |id| table.owner_of(key(id)).unwrap().1.class;
    assert!(class(1).is_some());
    assert_eq!(class(1), class(2));
    assert_eq!(class(3), None);
}

#[test]
fn an_id_that_is_used_again_is_another_cgroup() {
    let mut table = table();
    let first = table.insert(key(1), b"/a", at(1)).owner.unwrap();
    let change = table.insert(key(1), b"/b", at(2));
    assert_ne!(change.owner, Some(first));
    assert_eq!(change.put_aside, [(key(1), first)]);
    assert_eq!(path_of(&table, key(1)).as_deref(), Some("/b"));
    assert_eq!(table.counts().exited, 1);
}

#[test]
fn a_path_that_comes_back_is_a_new_generation_of_the_same_row() {
    let mut table = table();
    let owner = table.insert(key(1), b"/a", at(1)).owner.unwrap();
    table.remove(key(1), at(2));
    let change = table.insert(key(2), b"/a", at(3));
    assert_eq!(change.owner, Some(owner));
    assert_eq!(change.put_aside, [(key(1), owner)]);
    let identity = &table.owner_of(key(2)).unwrap().1.identity;
    assert_eq!((identity.generation, identity.started), (2, at(3).1));
}

#[test]
fn a_cgroup_seen_before_its_path_is_named_afterwards() {
    let mut table = table();
    let unnamed = table.insert(key(7), b"", at(1)).owner.unwrap();
    assert_eq!(path_of(&table, key(7)).as_deref(), Some("~unresolved/3/7"));
    assert_eq!(table.counts().unresolved, 1);
    let change = table.insert(key(7), b"/a", at(2));
    assert_eq!(change.dropped, [unnamed]);
    assert_eq!(path_of(&table, key(7)).as_deref(), Some("/a"));
    assert_eq!(table.counts().unresolved, 0);
}

#[test]
fn a_rename_moves_what_is_below_too() {
    let mut table = table();
    for (id, path) in [(1, "/a"), (2, "/a/b"), (3, "/ab")] {
        table.insert(key(id), path.as_bytes(), at(1));
    }
    table.rename(key(1), b"/new", at(2));
    let paths: Vec<_> = (1..=3)
        .map(|id| path_of(&table, key(id)).unwrap())
        .collect();
    assert_eq!(paths, ["/new", "/new/b", "/ab"]);
}

#[test]
fn a_walk_adds_and_closes_but_does_not_overrule_what_came_after_it_began() {
    let mut table = table();
    for (id, path) in [(1, "/gone"), (2, "/removed-meanwhile")] {
        table.insert(key(id), path.as_bytes(), at(1));
    }
    let cgroups = [
        (CgroupId(2), b"/removed-meanwhile".to_vec()),
        (CgroupId(3), b"/new".to_vec()),
    ];
    table.remove(key(2), at(11));
    table.insert(key(4), b"/made-meanwhile", at(11));
    let walked = Walked {
        cgroups: &cgroups,
        is_complete: true,
        began: at(10).0,
    };
    table.sync(CPU, &walked, at(12));
    let is_live = |id| {
        table
            .owner_of(key(id))
            .is_some_and(|(_, of)| of.exited().is_none())
    };
    assert_eq!([1, 2, 3, 4].map(is_live), [false, false, true, true]);

    let partial = Walked {
        cgroups: &[],
        is_complete: false,
        began: at(20).0,
    };
    table.sync(CPU, &partial, at(21));
    assert!(
        table
            .owner_of(key(3))
            .is_some_and(|(_, of)| of.exited().is_none())
    );
}

#[test]
fn a_tombstone_stays_for_its_time_and_two_scrapes() {
    let mut table = table();
    table.insert(key(1), b"/a", at(1));
    table.note_look(Onlooker::Scraper, at(1).0);
    table.remove(key(1), at(2));
    assert_eq!(table.expire(at(1000).0), []);
    table.note_look(Onlooker::Scraper, at(3).0);
    assert_eq!(table.expire(at(1000).0), []);
    table.note_look(Onlooker::Scraper, at(4).0);
    assert_eq!(table.expire(at(301).0), []);
    let expired = table.expire(at(302).0);
    assert_eq!((expired.len(), expired[0].is_early), (1, false));
    assert_eq!(expired[0].keys, [key(1)]);
    assert!(table.owner_of(key(1)).is_none());
}

#[test]
fn a_tombstone_waits_for_scrapes_and_exports_where_there_are_both_and_not_for_who_is_gone() {
    let gone = |looks: &[(Onlooker, u64)], now: u64| {
        let mut table = table();
        table.insert(key(1), b"/a", at(1));
        table.note_look(Onlooker::Scraper, at(1).0);
        table.note_look(Onlooker::Exporter, at(1).0);
        table.remove(key(1), at(2));
        for (by, second) in looks {
            table.note_look(*by, at(*second).0);
        }
        table.expire(at(now).0).len() == 1
    };
    let scraped = [(Onlooker::Scraper, 3), (Onlooker::Scraper, 4)];
    let sent = (Onlooker::Exporter, 5);
    assert!(!gone(&scraped, 1000), "not sent yet");
    assert!(!gone(&[scraped[0], sent, sent, sent], 1000), "scraped once");
    assert!(gone(&[scraped[0], scraped[1], sent], 1000));
    // Who has not looked for hours does not look any more; who never did is nobody.
    assert!(gone(&scraped, 10_000));
    assert!(!gone(&[], 10_000));
}

#[test]
fn what_is_too_much_is_refused_or_evicted_and_counted_once() {
    let mut table = table();
    for id in 0..12 {
        table.insert(key(id), format!("/{id}").as_bytes(), at(1));
        table.insert(key(id), format!("/{id}").as_bytes(), at(1));
    }
    assert_eq!((table.counts().live, table.counts().overflowed), (10, 2));
    for id in 0..10 {
        table.remove(key(id), at(id + 2));
    }
    for id in 20..25 {
        table.insert(key(id), format!("/{id}").as_bytes(), at(50));
        table.remove(key(id), at(51));
    }
    let expired = table.expire(at(52).0);
    assert_eq!(expired.len(), 5);
    assert!(expired.iter().all(|gone| gone.is_early));
    assert_eq!(table.counts().overflowed, 2 + 5);
}

#[test]
fn one_that_comes_back_needs_a_place_like_any_other() {
    let mut table = table();
    for (lives, ids) in [(1, 0..10), (2, 10..20)] {
        for id in ids.clone() {
            table.insert(key(id), format!("/{id}").as_bytes(), at(lives));
        }
        assert_eq!(table.counts().live, 10);
        if lives == 1 {
            for id in ids {
                table.remove(key(id), at(lives));
            }
        }
    }
    for id in 0..10 {
        let again = table.insert(key(100 + id), format!("/{id}").as_bytes(), at(3));
        assert_eq!(again.owner, None);
    }
    let counts = table.counts();
    assert_eq!(
        (counts.live, counts.exited, counts.overflowed),
        (10, 10, 10)
    );
    table.remove(key(10), at(4));
    assert!(table.insert(key(100), b"/0", at(5)).owner.is_some());
    assert_each_key_is_in_one_owner(&table);
}

#[test]
fn a_rename_does_not_wake_what_is_gone() {
    let mut table = table();
    for (id, path) in [(1, "/a"), (2, "/a/gone"), (3, "/a/live")] {
        table.insert(key(id), path.as_bytes(), at(1));
    }
    table.remove(key(2), at(2));
    table.rename(key(1), b"/new", at(3));
    assert_eq!((table.counts().live, table.counts().exited), (2, 1));
    assert_eq!(path_of(&table, key(2)).as_deref(), Some("/a/gone"));
    assert_eq!(path_of(&table, key(3)).as_deref(), Some("/new/live"));
    assert_each_key_is_in_one_owner(&table);
}

#[test]
fn a_rename_of_an_id_that_was_gone_leaves_the_old_row_its_numbers() {
    let mut table = table();
    let old = table.insert(key(1), b"/a", at(1)).owner.unwrap();
    table.remove(key(1), at(2));
    let changes = table.rename(key(1), b"/b", at(3));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].1.put_aside, [(key(1), old)]);
    assert_each_key_is_in_one_owner(&table);
}

#[test]
fn a_rename_tells_of_each_cgroup_what_became_of_it() {
    let mut table = table();
    let first = table.insert(key(1), b"/a", at(1)).owner.unwrap();
    let second = table.insert(key(2), b"/a/b", at(1)).owner.unwrap();
    let changes = table.rename(key(1), b"/new", at(2));
    let dropped: Vec<_> = changes
        .iter()
        .map(|(key, change)| (*key, change.dropped.clone()))
        .collect();
    assert_eq!(dropped, [(key(1), vec![first]), (key(2), vec![second])]);
    for (key, change) in &changes {
        assert_eq!(change.owner, table.owner_of(*key).map(|(id, _)| id));
    }
}

#[test]
fn an_id_that_is_used_again_in_a_full_table_is_no_longer_its_old_owners() {
    let mut table = table();
    let old = table.insert(key(0), b"/0", at(1)).owner.unwrap();
    table.remove(key(0), at(2));
    for id in 1..=10 {
        table.insert(key(id), format!("/{id}").as_bytes(), at(3));
    }
    let change = table.insert(key(0), b"/other", at(4));
    assert_eq!(
        (change.owner, change.put_aside),
        (None, vec![(key(0), old)])
    );
    assert!(table.owner_of(key(0)).is_none());
}

#[test]
fn a_walk_does_not_take_back_a_rename_that_came_after_it_began() {
    let mut table = table();
    table.insert(key(1), b"/old", at(1));
    table.insert(key(2), b"", at(11));
    table.rename(key(1), b"/new", at(11));
    let cgroups = [
        (CgroupId(1), b"/old".to_vec()),
        (CgroupId(2), b"/named".to_vec()),
    ];
    let walked = Walked {
        cgroups: &cgroups,
        is_complete: true,
        began: at(10).0,
    };
    table.sync(CPU, &walked, at(12));
    assert_eq!(path_of(&table, key(1)).as_deref(), Some("/new"));
    assert_eq!(path_of(&table, key(2)).as_deref(), Some("/named"));
}

#[test]
fn removed_cgroups_of_one_path_are_remembered_up_to_a_bound() {
    let mut table = table();
    for id in 0..40 {
        table.insert(key(id), b"/a", at(id));
        table.remove(key(id), at(id));
    }
    let remembered = (0..40)
        .filter(|id| table.owner_of(key(*id)).is_some())
        .count();
    assert_eq!(remembered, 17, "the last life's and 16 before it");
    assert_eq!(table.owner_at(b"/a").unwrap().1.identity.generation, 40);
    assert_each_key_is_in_one_owner(&table);
}

/// No cgroup's numbers are in two rows, and each is found where it is.
fn assert_each_key_is_in_one_owner(table: &CgroupTable) {
    let mut seen = HashSet::new();
    for (id, owner) in table.owners() {
        for key in owner.keys() {
            assert!(seen.insert(key), "{key:?} is in two places");
            assert_eq!(table.owner_of(key).map(|(id, _)| id), Some(id), "{key:?}");
        }
    }
}

/// What can happen to a cgroup, seen or not.
#[derive(Clone, Debug)]
enum Step {
    Make { id: u64, path: u8, seen: bool },
    Remove { id: u64, seen: bool },
    Rename { id: u64, path: u8, seen: bool },
    Sample { id: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..6_u64, 0..4_u8, any::<bool>()).prop_map(|(id, path, seen)| Step::Make {
            id,
            path,
            seen
        }),
        (0..6_u64, any::<bool>()).prop_map(|(id, seen)| Step::Remove { id, seen }),
        (0..6_u64, 0..4_u8, any::<bool>()).prop_map(|(id, path, seen)| Step::Rename {
            id,
            path,
            seen
        }),
        (0..6_u64).prop_map(|id| Step::Sample { id }),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn whatever_was_missed_a_walk_puts_right(steps in steps()) {
        let mut table = table();
        let mut truth: HashMap<u64, String> = HashMap::new();
        for (second, step) in (1..).zip(steps) {
            match step {
                Step::Make { id, path, seen } => {
                    let path = format!("/{path}");
                    if truth.contains_key(&id) || truth.values().any(|of| *of == path) {
                        continue;
                    }
                    if seen {
                        table.insert(key(id), path.as_bytes(), at(second));
                    }
                    truth.insert(id, path);
                }
                Step::Remove { id, seen } => {
                    if truth.remove(&id).is_some() && seen {
                        table.remove(key(id), at(second));
                    }
                }
                Step::Rename { id, path, seen } => {
                    let path = format!("/{path}");
                    if !truth.contains_key(&id) || truth.values().any(|of| *of == path) {
                        continue;
                    }
                    if seen {
                        table.rename(key(id), path.as_bytes(), at(second));
                    }
                    truth.insert(id, path);
                }
                Step::Sample { id } => {
                    if table.owner_of(key(id)).is_none() {
                        table.insert(key(id), b"", at(second));
                    }
                }
            }
        }
        let cgroups: Vec<_> = truth
            .iter()
            .map(|(id, path)| (CgroupId(*id), path.clone().into_bytes()))
            .collect();
        let walked = Walked { cgroups: &cgroups, is_complete: true, began: at(1000).0 };
        table.sync(CPU, &walked, at(1001));

        let live: HashMap<u64, String> = table
            .owners()
            .filter(|(_, owner)| owner.exited().is_none())
            .flat_map(|(_, owner)| {
                let path = owner.identity.path.clone();
                owner.live.iter().map(move |(key, _)| (key.id.0, path.clone())).collect::<Vec<_>>()
            })
            .collect();
        prop_assert_eq!(live, truth);
        assert_each_key_is_in_one_owner(&table);
        let paths: Vec<_> = table.owners().map(|(_, owner)| owner.identity.path.clone()).collect();
        prop_assert_eq!(paths.iter().collect::<HashSet<_>>().len(), paths.len());
    }
}
