//! What the readers of files are told, in its order.

use super::{
    BLOCK, CPU, HierarchyId, expire, hierarchy, hybrid, make, pipeline, pipeline_of, remove, run,
    tell,
};
use crate::{
    catalog::{LifeNote, OwnerId},
    drain::decode::CgroupChange,
    host::CgroupKey,
    reconcile::Pipeline,
};

/// The notes as words.
fn told(pipeline: &mut Pipeline) -> Vec<String> {
    let mut names: Vec<OwnerId> = Vec::new();
    let mut name = move |owner: OwnerId| {
        let known = names.iter().position(|known| *known == owner);
        known.unwrap_or_else(|| {
            names.push(owner);
            names.len() - 1
        })
    };
    let notes = pipeline.take_life();
    notes
        .into_iter()
        .map(|note| match note {
            LifeNote::There {
                owner,
                generation,
                key,
                path,
                made,
                has_network: _,
            } => format!(
                "{} there {}/{} {generation}{} {}",
                name(owner),
                key.hierarchy,
                key.id,
                if made.is_some() { " new" } else { "" },
                String::from_utf8_lossy(&path)
            ),
            LifeNote::Filled { owner } => format!("{} filled", name(owner)),
            LifeNote::Emptied { owner, at } => {
                format!("{} emptied at {}", name(owner), at.0.as_secs())
            }
            LifeNote::Exited { owner } => format!("{} exited", name(owner)),
            LifeNote::Forgotten { owner } => format!("{} forgotten", name(owner)),
            LifeNote::Only { owners } => format!("only {}", owners.len()),
        })
        .collect()
}

#[test]
fn a_life_is_told_from_its_beginning_to_its_end_and_so_is_the_next() {
    let mut pipeline = hybrid();
    let (cpu, block) = (CgroupKey::new(CPU, 1), CgroupKey::new(BLOCK, 2));
    tell(&mut pipeline, CgroupChange::Made, cpu, "/a", 1);
    tell(&mut pipeline, CgroupChange::Made, block, "/a", 1);
    tell(&mut pipeline, CgroupChange::Populated, cpu, "/a", 2);
    tell(&mut pipeline, CgroupChange::Emptied, cpu, "/a", 3);
    tell(&mut pipeline, CgroupChange::Removed, block, "/a", 4);
    tell(&mut pipeline, CgroupChange::Removed, cpu, "/a", 4);
    tell(
        &mut pipeline,
        CgroupChange::Made,
        CgroupKey::new(CPU, 9),
        "/a",
        5,
    );
    assert_eq!(
        told(&mut pipeline),
        [
            "0 there 3/1 1 new /a",
            "0 there 4/2 1 new /a",
            "0 there 3/1 1 /a",
            "0 filled",
            "0 emptied at 3",
            "0 exited",
            "0 there 3/9 2 new /a",
        ]
    );
    assert!(told(&mut pipeline).is_empty(), "told once");
}

#[test]
fn an_id_that_is_used_again_ends_the_life_before() {
    let mut pipeline = pipeline();
    make(&mut pipeline, 7, "/old", 1);
    make(&mut pipeline, 7, "/new", 2);
    assert_eq!(
        told(&mut pipeline),
        [
            "0 there 0/7 1 new /old",
            "0 exited",
            "1 there 0/7 1 new /new"
        ]
    );
}

#[test]
fn a_cgroup_without_a_path_has_no_files_to_read_until_it_has_one() {
    let mut pipeline = pipeline();
    run(&mut pipeline, 7, 1);
    assert!(told(&mut pipeline).is_empty());
    make(&mut pipeline, 7, "/a", 1);
    assert_eq!(told(&mut pipeline), ["0 there 0/7 1 new /a", "1 forgotten"]);
    remove(&mut pipeline, 7, "/a", 2);
    expire(&mut pipeline, 302);
    assert_eq!(told(&mut pipeline), ["0 exited", "0 forgotten"]);
}

#[test]
fn when_too_much_happened_to_be_noted_all_that_there_is_is_told_instead() {
    let mut pipeline = pipeline_of(vec![hierarchy(HierarchyId::V2, &[])], 10);
    make(&mut pipeline, 1, "/a", 1);
    make(&mut pipeline, 2, "/b", 1);
    remove(&mut pipeline, 2, "/b", 2);
    for _ in 0..=super::super::pipeline::MAX_LIFE_NOTES {
        let cgroup = CgroupKey::new(HierarchyId::V2, 1);
        tell(&mut pipeline, CgroupChange::Emptied, cgroup, "/a", 3);
    }
    let mut told_instead = told(&mut pipeline);
    told_instead.sort();
    assert_eq!(told_instead.len(), 3, "{told_instead:?}");
    assert!(told_instead[2] == "only 2", "{told_instead:?}");
    assert!(told(&mut pipeline).is_empty());
}
