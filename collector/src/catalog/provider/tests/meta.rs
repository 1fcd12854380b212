//! Whose is it? One collector after the other.

use std::sync::Arc;

use super::{CONTAINERD, DOCKER, Knows, Says, container};
use crate::{
    catalog::provider::{MetaCollector, PodContainer, Registry, ask_time::ASK_TIME},
    host::{CgroupKey, HierarchyId},
};

/// One that is asked first, of containerd's; one that is asked then, of Docker's.
fn two(first: Says, second: Says) -> (Arc<Registry>, Arc<Knows>, Arc<Knows>, MetaCollector) {
    let registry = Arc::new(Registry::default());
    let (first, second) = (Knows::new(first), Knows::new(second));
    registry.add("second", vec![second.look_ups(DOCKER, 5)]);
    registry.add("first", vec![first.look_ups(CONTAINERD, 1)]);
    let meta = MetaCollector::new(Arc::clone(&registry));
    (registry, first, second, meta)
}

#[tokio::test]
async fn the_first_that_knows_in_the_order_of_priorities_has_answered() {
    let (_, _, second, meta) = two(Says::Container("one"), Says::Container("two"));
    assert_eq!(
        meta.container_of_pid(1).await.unwrap(),
        Some(container("one"))
    );
    assert_eq!(second.asked(), 0);
}

#[tokio::test]
async fn who_does_not_know_it_leaves_it_to_the_next() {
    let (_, first, second, meta) = two(Says::Nothing, Says::Container("two"));
    let key = CgroupKey::new(HierarchyId::V2, 7);
    let two = Some(container("two"));
    assert_eq!(meta.container_of_cgroup(key).await.unwrap(), two);
    // An id without a letter is none.
    first.now(Says::Container(""));
    assert_eq!(meta.container_of_cgroup(key).await.unwrap(), two);
    assert_eq!((first.asked(), second.asked()), (2, 2));
}

#[tokio::test]
async fn an_error_ends_the_search_and_is_the_answer() {
    let (_, _, second, meta) = two(Says::Fails("broken"), Says::Container("two"));
    let named = PodContainer {
        pod_uid: "uid".to_owned(),
        name: "app".to_owned(),
        is_init: false,
    };
    let error = meta.container_of_pod_name(&named).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
    assert_eq!(second.asked(), 0);
}

#[tokio::test]
async fn when_nobody_knows_it_that_is_no_error() {
    let (registry, first, second, meta) = two(Says::Nothing, Says::Nothing);
    assert_eq!(meta.container_of_pid(1).await.unwrap(), None);
    assert_eq!((first.asked(), second.asked()), (1, 1));
    registry.withdraw("first");
    registry.withdraw("second");
    assert_eq!(meta.container_of_pid(1).await.unwrap(), None);
}

#[tokio::test]
async fn a_collector_of_many_runtimes_is_asked_once() {
    let registry = Arc::new(Registry::default());
    let one = Knows::new(Says::Nothing);
    registry.add(
        "one",
        vec![one.look_ups(DOCKER, 0), one.look_ups(CONTAINERD, 3)],
    );
    let meta = MetaCollector::new(registry);
    assert_eq!(meta.container_of_pid(1).await.unwrap(), None);
    assert_eq!(one.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_has_failed_after_a_while() {
    let (_, _, second, meta) = two(Says::Hangs, Says::Container("two"));
    let began = tokio::time::Instant::now();
    let error = meta.container_of_pid(1).await.unwrap_err();
    assert!(error.to_string().contains("container of a PID"), "{error}");
    assert_eq!(began.elapsed(), ASK_TIME);
    assert_eq!(second.asked(), 0);
}

#[tokio::test]
async fn the_own_container_is_asked_for_until_it_is_known_and_then_kept() {
    let (_, first, _, meta) = two(Says::Nothing, Says::Nothing);
    assert_eq!(meta.own_container().await.unwrap(), None);
    first.now(Says::Fails("broken"));
    meta.own_container().await.unwrap_err();
    first.now(Says::Container("me"));
    assert_eq!(meta.own_container().await.unwrap(), Some(container("me")));
    let asked = first.asked();
    first.now(Says::Fails("broken"));
    assert_eq!(meta.own_container().await.unwrap(), Some(container("me")));
    assert_eq!(first.asked(), asked);
}
