//! A pod in a virtual machine: the host has its sandbox's cgroups, and none of its containers.

use std::collections::HashSet;

use super::{at, key, table};
use crate::catalog::{
    ContainerRef, Flavor, Informant, Names, News, Role, Runtime, RuntimeContainer, RuntimeMetadata,
};

const SANDBOX: &str = "4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";
const WEB: &str = "ab1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";
const UID: &str = "0b9f2c1e-7f0c-4d4e-8d5f-a1b2c3d4e5f6";

/// As CRI tells of a container of the pod.
fn told(id: &str, role: Role, container: &str) -> RuntimeContainer {
    RuntimeContainer {
        id: id.to_owned(),
        runtime: RuntimeMetadata {
            runtime: Runtime::Containerd,
            flavor: Flavor::Kata,
        },
        role,
        names: Names {
            name: id.to_owned(),
            namespace: "shop".to_owned(),
            pod: "web-0".to_owned(),
            container: container.to_owned(),
            ..Names::default()
        },
        pod_uid: UID.to_owned(),
        sandbox: SANDBOX.to_owned(),
        // What it would be called here, if it were here.
        cgroup_path: (role == Role::Container).then(|| format!("/kubepods/pod{UID}/{id}")),
        ..RuntimeContainer::default()
    }
}

#[test]
fn the_sandboxs_cgroups_are_named_as_katas_and_its_containers_have_none() {
    let mut table = table();
    let paths = [
        format!("/kubepods/burstable/pod{UID}/kata_{SANDBOX}"),
        format!("/kata_overhead/{SANDBOX}"),
    ];
    for (number, path) in (1..).zip(&paths) {
        table.insert(key(number), path.as_bytes(), at(1));
    }
    let containers = vec![
        told(SANDBOX, Role::Sandbox, ""),
        told(WEB, Role::Container, "web"),
    ];
    let news = News::All {
        containers,
        newer: HashSet::new(),
    };
    table.tell(
        Informant {
            rank: 4,
            number: 0,
            user: None,
        },
        news,
    );
    for (number, path) in (1..).zip(&paths) {
        let identity = &table.owner_of(key(number)).unwrap().1.identity;
        let container = identity.own_container().unwrap();
        assert_eq!(
            (
                container.flavor,
                container.runtime,
                container.pod_uid.as_str()
            ),
            (Flavor::Kata, Runtime::Containerd, UID),
            "{path}"
        );
        let names = &identity.names;
        assert_eq!(
            (
                names.pod.as_str(),
                names.namespace.as_str(),
                names.container.as_str()
            ),
            ("web-0", "shop", "")
        );
        assert_eq!(identity.told.as_ref().unwrap().role, Role::Sandbox);
    }
    let has_cgroups = |id: &str| {
        table.has_cgroups_of(&ContainerRef {
            id_namespace: String::new(),
            id: id.to_owned(),
        })
    };
    assert!(has_cgroups(SANDBOX));
    assert!(!has_cgroups(WEB), "it is elsewhere");
    assert!(table.roster().containers().any(|of| of.id == WEB));
}

#[test]
fn a_sandbox_that_only_its_cgroup_tells_of_is_katas_already() {
    let mut table = table();
    let path = format!("/kubepods/pod{UID}/kata_{SANDBOX}");
    table.insert(key(1), path.as_bytes(), at(1));
    let identity = &table.owner_of(key(1)).unwrap().1.identity;
    let container = identity.own_container().unwrap();
    assert_eq!(container.flavor, Flavor::Kata);
    // A runtime that calls its handler as it likes takes nothing back.
    let mut plain = told(SANDBOX, Role::Sandbox, "");
    plain.runtime = RuntimeMetadata::of(Runtime::CriO);
    let news = News::Told {
        of: Box::new(plain),
        is_whole: true,
    };
    table.tell(
        Informant {
            rank: 4,
            number: 0,
            user: None,
        },
        news,
    );
    let identity = &table.owner_of(key(1)).unwrap().1.identity;
    let container = identity.own_container().unwrap();
    assert_eq!(
        (container.flavor, container.runtime),
        (Flavor::Kata, Runtime::CriO)
    );
}
