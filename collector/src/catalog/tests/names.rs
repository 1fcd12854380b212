//! Names that come early, late, again, and of containers that are not where their ids say.

use std::collections::HashSet;

use super::{CONTAINER, at, key, table};
use crate::catalog::{
    CgroupTable, ContainerRef, Flavor, Informant, Names, News, OwnerId, Runtime, RuntimeContainer,
    RuntimeMetadata,
};

const DOCKER: Informant = Informant {
    rank: 0,
    number: 0,
    user: None,
};
const POD: &str = "5f0c1a2b-3c4d-5e6f-7081-92a3b4c5d6e7";

fn id() -> &'static str {
    CONTAINER.rsplit('/').next().unwrap()
}

fn told(id: &str, name: &str) -> RuntimeContainer {
    RuntimeContainer {
        id: id.to_owned(),
        runtime: RuntimeMetadata::of(Runtime::Docker),
        names: Names {
            name: name.to_owned(),
            ..Names::default()
        },
        ..RuntimeContainer::default()
    }
}

fn tell(table: &mut CgroupTable, of: RuntimeContainer) -> Vec<OwnerId> {
    let news = News::Told {
        of: Box::new(of),
        is_whole: true,
    };
    table.tell(DOCKER, news).moved
}

fn name_at(table: &CgroupTable, path: &str) -> String {
    let (_, owner) = table.owner_at(path.as_bytes()).unwrap();
    owner.identity.names.name.clone()
}

#[test]
fn a_name_reaches_the_containers_cgroups_whichever_came_first_and_those_within_it() {
    for cgroup_first in [true, false] {
        let mut table = table();
        let inner = format!("{CONTAINER}/inner");
        let insert = |table: &mut CgroupTable| {
            table.insert(key(1), CONTAINER.as_bytes(), at(1));
            table.insert(key(2), inner.as_bytes(), at(1));
        };
        if cgroup_first {
            insert(&mut table);
            assert_eq!(table.counts().unnamed, 1);
        }
        tell(&mut table, told(id(), "web"));
        if !cgroup_first {
            insert(&mut table);
        }
        assert_eq!(name_at(&table, CONTAINER), "web");
        assert_eq!(name_at(&table, &inner), "web");
        assert_eq!(table.counts().unnamed, 0);
    }
}

#[test]
fn a_container_that_is_gone_is_named_afterwards_and_keeps_its_name() {
    let mut table = table();
    table.insert(key(1), CONTAINER.as_bytes(), at(1));
    table.remove(key(1), at(2));
    tell(&mut table, told(id(), "web"));
    assert_eq!(name_at(&table, CONTAINER), "web");
    let of = ContainerRef {
        id_namespace: String::new(),
        id: id().to_owned(),
    };
    table.tell(DOCKER, News::Removed { of });
    assert_eq!(name_at(&table, CONTAINER), "web");
    let none = News::All {
        containers: Vec::new(),
        newer: HashSet::default(),
    };
    table.tell(DOCKER, none);
    assert_eq!(name_at(&table, CONTAINER), "web");
    // The next life of the path is another container until it is told.
    table.insert(key(3), CONTAINER.as_bytes(), at(3));
    assert_eq!(name_at(&table, CONTAINER), "");
}

#[test]
fn a_container_whose_path_does_not_tell_is_found_by_its_place() {
    let mut table = table();
    table.insert(key(1), b"/mine/one", at(1));
    table.insert(key(2), b"/mine/one/below", at(1));
    table.insert(key(3), b"/mine/oneself", at(1));
    table.insert(key(4), CONTAINER.as_bytes(), at(1));
    let mut of = told("web", "web");
    of.id_namespace = "space".to_owned();
    of.cgroup_path = Some("/mine/one".to_owned());
    let changed = tell(&mut table, of);
    assert_eq!(changed.len(), 2);
    for (path, own) in [("/mine/one", true), ("/mine/one/below", false)] {
        let (_, owner) = table.owner_at(path.as_bytes()).unwrap();
        assert_eq!(owner.identity.names.name, "web", "{path}");
        assert_eq!(owner.identity.own_container().is_some(), own, "{path}");
        assert!(owner.class.is_some());
    }
    assert_eq!(name_at(&table, "/mine/oneself"), "");
    // One that comes later is found too, and what is not below it keeps what it was.
    table.insert(key(5), b"/mine/one/later", at(2));
    assert_eq!(name_at(&table, "/mine/one/later"), "web");
    let (_, other) = table.owner_at(CONTAINER.as_bytes()).unwrap();
    assert_eq!(other.identity.own_container().unwrap().id, id());
}

#[test]
fn a_place_around_a_container_takes_it_in_and_one_inside_does_not() {
    let outer = format!("/garden-like/handle{CONTAINER}");
    let mut table = table();
    table.insert(key(1), outer.as_bytes(), at(1));
    let mut of = told("handle", "app");
    of.cgroup_path = Some("/garden-like/handle".to_owned());
    tell(&mut table, of);
    assert_eq!(name_at(&table, &outer), "app");
    let inner = format!("{CONTAINER}/nested");
    table.insert(key(2), inner.as_bytes(), at(1));
    let mut of = told("nested", "nested");
    of.cgroup_path = Some(inner.clone());
    tell(&mut table, of);
    tell(&mut table, told(id(), "web"));
    assert_eq!(
        name_at(&table, &inner),
        "web",
        "the outermost container that is known"
    );
}

#[test]
fn a_pods_own_cgroup_has_the_pods_names_and_no_containers() {
    let mut table = table();
    let pod = format!("/kubepods/burstable/pod{POD}");
    let container = format!("{pod}/{}", id());
    table.insert(key(1), pod.as_bytes(), at(1));
    table.insert(key(2), container.as_bytes(), at(1));
    let mut of = told(id(), "k8s_web");
    of.pod_uid = POD.to_owned();
    of.runtime.flavor = Flavor::Kata;
    of.names.pod = "web-0".to_owned();
    of.names.namespace = "shop".to_owned();
    of.names.container = "web".to_owned();
    tell(&mut table, of);
    let names = |path: &str| {
        let (_, owner) = table.owner_at(path.as_bytes()).unwrap();
        owner.identity.names.clone()
    };
    assert_eq!(names(&container).container, "web");
    let of_pod = names(&pod);
    assert_eq!(
        (of_pod.namespace.as_str(), of_pod.pod.as_str()),
        ("shop", "web-0")
    );
    assert_eq!((of_pod.name.as_str(), of_pod.container.as_str()), ("", ""));
    let (_, owner) = table.owner_at(container.as_bytes()).unwrap();
    let known = owner.identity.container.as_ref().unwrap();
    // The path does not tell the runtime; the runtime does.
    assert_eq!(
        (known.runtime, known.flavor),
        (Runtime::Docker, Flavor::Kata)
    );
}

#[test]
fn a_path_that_comes_back_is_that_of_the_container_that_is_there_now() {
    let mut table = table();
    let placed = |id: &str| {
        let mut of = told(id, id);
        of.cgroup_path = Some("/mine/one".to_owned());
        of
    };
    table.insert(key(1), b"/mine/one", at(1));
    tell(&mut table, placed("first"));
    assert_eq!(name_at(&table, "/mine/one"), "first");
    table.remove(key(1), at(2));
    // The next is told of while the one before is still known, and before its cgroup is there.
    tell(&mut table, placed("second"));
    let of = ContainerRef {
        id_namespace: String::new(),
        id: "first".to_owned(),
    };
    table.tell(DOCKER, News::Removed { of });
    assert_eq!(
        name_at(&table, "/mine/one"),
        "first",
        "the one that is gone"
    );
    table.insert(key(2), b"/mine/one", at(3));
    assert_eq!(name_at(&table, "/mine/one"), "second");
    let (_, owner) = table.owner_at(b"/mine/one").unwrap();
    assert_eq!(owner.identity.own_container().unwrap().id, "second");
    // Without anyone's claim it is nobody's.
    table.remove(key(2), at(4));
    let none = News::All {
        containers: Vec::new(),
        newer: HashSet::new(),
    };
    table.tell(DOCKER, none);
    table.insert(key(3), b"/mine/one", at(5));
    let (_, owner) = table.owner_at(b"/mine/one").unwrap();
    assert_eq!(owner.identity.container, None);
}

#[test]
fn a_users_runtime_names_that_users_containers_and_nobody_elses() {
    let of_user = |uid: u32| Informant {
        rank: 0,
        number: uid,
        user: Some(uid),
    };
    let mut table = table();
    let own = format!(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{}.scope",
        id()
    );
    table.insert(key(1), CONTAINER.as_bytes(), at(1));
    table.insert(key(2), own.as_bytes(), at(1));
    let pod = format!("/kubepods/burstable/pod{POD}");
    table.insert(key(3), pod.as_bytes(), at(1));
    for uid in [1000, 1001] {
        let mut of = told(id(), &format!("by-{uid}"));
        of.cgroup_path = Some("/docker".to_owned());
        of.pod_uid = POD.to_owned();
        of.names.pod = "evil".to_owned();
        let news = News::Told {
            of: Box::new(of),
            is_whole: true,
        };
        table.tell(of_user(uid), news.of_user(uid));
    }
    assert_eq!(name_at(&table, CONTAINER), "");
    assert_eq!(name_at(&table, &own), "by-1000");
    let (_, owner) = table.owner_at(pod.as_bytes()).unwrap();
    assert_eq!(owner.identity.names.pod, "");
    // The host's Docker does not name the user's.
    tell(&mut table, told(id(), "web"));
    assert_eq!(name_at(&table, CONTAINER), "web");
    assert_eq!(name_at(&table, &own), "by-1000");
}

#[test]
fn what_is_above_the_containers_of_others_is_nobodys_place() {
    let mut table = table();
    let other = CONTAINER.replace("4f1e", "5f1e");
    table.insert(key(1), b"/docker", at(1));
    table.insert(key(2), CONTAINER.as_bytes(), at(1));
    table.insert(key(3), other.as_bytes(), at(1));
    let mut of = told("greedy", "mallory");
    of.cgroup_path = Some("/docker".to_owned());
    assert_eq!(tell(&mut table, of), []);
    tell(&mut table, told(id(), "web"));
    table.insert(key(4), CONTAINER.replace("4f1e", "6f1e").as_bytes(), at(2));
    for (path, name) in [("/docker", ""), (CONTAINER, "web"), (&other, "")] {
        assert_eq!(name_at(&table, path), name, "{path}");
    }
}

#[test]
fn a_claim_that_is_taken_back_gives_back_what_is_there() {
    let mut table = table();
    table.insert(key(1), b"/mine/one", at(1));
    table.insert(key(2), b"/mine/one/below", at(1));
    let mut of = told("wrong", "wrong");
    of.cgroup_path = Some("/mine/one".to_owned());
    assert_eq!(tell(&mut table, of).len(), 2);
    let none = News::All {
        containers: Vec::new(),
        newer: HashSet::new(),
    };
    assert_eq!(table.tell(DOCKER, none).moved.len(), 2);
    for path in ["/mine/one", "/mine/one/below"] {
        let (_, owner) = table.owner_at(path.as_bytes()).unwrap();
        assert_eq!((&owner.identity.container, owner.class), (&None, None));
        assert_eq!(name_at(&table, path), "");
    }
}
