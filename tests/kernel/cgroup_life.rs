//! Cgroups made, filled, emptied, renamed and removed, as fast as this host can.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt as _};

use collector::drain::decode::CgroupChange;
use collector_common::signal::Signal;
use collector_tests::{
    cgroup::{TestCgroup, mounts},
    observe::{Observation, Settings},
    skipped,
};

#[test]
fn a_thousand_cgroups_in_a_burst_are_all_seen_with_their_paths() {
    let parent = TestCgroup::new("cgscope-burst");
    let mounts = mounts();
    let hierarchy = mounts.task_hierarchy().unwrap();
    let observation = Observation::start(Settings::default());
    let mut made = HashMap::new();
    for number in 0..1000 {
        let directory = parent.directory(hierarchy).join(format!("c{number}"));
        fs::create_dir(&directory).unwrap();
        made.insert(
            fs::metadata(&directory).unwrap().ino(),
            format!("{}/c{number}", parent.path),
        );
        fs::remove_dir(&directory).unwrap();
    }
    let (seen, accounts) = observation.finish();
    assert_eq!(made.len(), 1000);
    for change in [CgroupChange::Made, CgroupChange::Removed] {
        let of_this: HashMap<_, _> = seen
            .cgroups
            .iter()
            .filter(|event| event.change == change && event.cgroup.hierarchy == hierarchy.id)
            .filter(|event| made.contains_key(&event.cgroup.id.0))
            .map(|event| {
                (
                    event.cgroup.id.0,
                    String::from_utf8(event.path.clone()).unwrap(),
                )
            })
            .collect();
        assert_eq!(of_this, made, "{change:?}");
    }
    let account = &accounts[Signal::CgroupLife as usize];
    let lost: u64 = account.lost.iter().map(|(_, lost)| lost).sum();
    assert_eq!(lost, 0, "{account:?}");
    // Others can make a cgroup between the last pass and the count.
    assert!(account.in_flight < 10, "{account:?}");
}

#[test]
fn a_cgroup_fills_and_empties_once_with_its_first_and_last_process() {
    let cgroup = TestCgroup::new("cgscope-fill");
    let key = cgroup.task_key();
    let observation = Observation::start(Settings::default());
    let _counts = cgroup.run(&["busy", "0", "1", "50"]);
    cgroup.remove();
    let (seen, _) = observation.finish();
    let changes: Vec<_> = seen
        .cgroups
        .iter()
        .filter(|event| event.cgroup == key)
        .inspect(|event| assert_eq!(event.path, cgroup.path.as_bytes()))
        .map(|event| event.change)
        .collect();
    assert_eq!(
        changes,
        [
            CgroupChange::Populated,
            CgroupChange::Emptied,
            CgroupChange::Removed
        ]
    );
}

#[test]
fn a_renamed_cgroup_comes_with_its_new_path() {
    let mounts = mounts();
    let Some(hierarchy) = mounts.v1_with("cpu") else {
        skipped("only cgroup v1 can rename, and it is not mounted here");
        return;
    };
    let cgroup = TestCgroup::new("cgscope-old");
    let key = cgroup.key(hierarchy);
    let renamed = format!("{}-new", cgroup.path);
    let observation = Observation::start(Settings::default());
    let to = hierarchy.mount_point.join(&renamed[1..]);
    fs::rename(cgroup.directory(hierarchy), &to).unwrap();
    fs::remove_dir(&to).unwrap();
    let (seen, _) = observation.finish();
    let of_this: Vec<_> = seen
        .cgroups
        .iter()
        .filter(|event| event.cgroup == key)
        .collect();
    assert_eq!(of_this.len(), 2, "{of_this:?}");
    assert_eq!(of_this[0].change, CgroupChange::Renamed);
    assert_eq!(of_this[0].path, renamed.as_bytes());
}
