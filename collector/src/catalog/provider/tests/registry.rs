//! Priorities, and who is told.

use std::sync::Arc;

use super::{CONTAINERD, DOCKER, Knows, Says};
use crate::catalog::{
    Flavor, RuntimeMetadata,
    provider::{Capability, Priority, Registry},
};

fn knows() -> Arc<Knows> {
    Knows::new(Says::Nothing)
}

/// The priority of who looks up PIDs of Docker's containers, and whether it is this one.
fn best(registry: &Registry, of: &Arc<Knows>) -> Option<(u8, bool)> {
    let effective = registry.effective();
    let best = effective.of_runtime(DOCKER)?.container_of_pid.as_ref()?;
    let is_same = std::ptr::addr_eq(Arc::as_ptr(&best.collector), Arc::as_ptr(of));
    Some((best.priority.0, is_same))
}

#[test]
fn the_lowest_number_wins_whoever_comes_first() {
    let registry = Registry::default();
    let (good, better) = (knows(), knows());
    registry.add("good", vec![good.look_ups(DOCKER, 5)]);
    assert_eq!(best(&registry, &good), Some((5, true)));
    registry.add("better", vec![better.look_ups(DOCKER, 1)]);
    assert_eq!(best(&registry, &better), Some((1, true)));
    let worse = knows();
    registry.add("worse", vec![worse.look_ups(DOCKER, 9)]);
    assert_eq!(best(&registry, &better), Some((1, true)));
}

#[test]
fn one_that_is_as_good_does_not_replace() {
    let registry = Registry::default();
    let (first, second) = (knows(), knows());
    registry.add("z", vec![first.look_ups(DOCKER, 5)]);
    registry.add("a", vec![second.look_ups(DOCKER, 5)]);
    assert_eq!(best(&registry, &first), Some((5, true)));
}

#[test]
fn when_the_best_goes_the_next_best_is_asked() {
    let registry = Registry::default();
    let (good, better) = (knows(), knows());
    registry.add("good", vec![good.look_ups(DOCKER, 5)]);
    registry.add("better", vec![better.look_ups(DOCKER, 1)]);
    assert!(registry.withdraw("better"));
    assert!(!registry.withdraw("better"));
    assert_eq!(best(&registry, &good), Some((5, true)));
    assert!(registry.withdraw("good"));
    assert_eq!(best(&registry, &good), None);
}

#[test]
fn each_capability_of_each_runtime_has_its_own_best() {
    let registry = Registry::default();
    let (statistics, look_ups) = (knows(), knows());
    let kata = RuntimeMetadata {
        flavor: Flavor::Kata,
        ..CONTAINERD
    };
    registry.add(
        "statistics",
        vec![
            statistics.statistics(DOCKER, 1),
            statistics.statistics(kata, 3),
        ],
    );
    registry.add("look-ups", vec![look_ups.look_ups(DOCKER, 7)]);
    let effective = registry.effective();
    let priority = |runtime, capability| effective.of_runtime(runtime)?.priority(capability);
    let docker: Vec<_> = Capability::ALL
        .iter()
        .map(|capability| priority(DOCKER, *capability).map(|Priority(number)| number))
        .collect();
    let (one, seven) = (Some(1), Some(7));
    assert_eq!(docker, [one, one, None, None, seven, seven, seven, seven]);
    assert_eq!(
        priority(kata, Capability::ContainerStats),
        Some(Priority(3))
    );
    assert_eq!(priority(CONTAINERD, Capability::ContainerStats), None);
    assert_eq!(effective.iter().count(), 2);
}

#[test]
fn watchers_are_told_when_the_best_change_and_not_otherwise() {
    let registry = Registry::default();
    let mut watcher = registry.watch();
    let mut told = || {
        let told = watcher.has_changed().expect("the registry is there");
        watcher.mark_unchanged();
        told
    };
    assert!(!told());
    let (good, worse) = (knows(), knows());
    registry.add("good", vec![good.look_ups(DOCKER, 1)]);
    assert!(told());
    // It is nobody's best.
    registry.add("worse", vec![worse.look_ups(DOCKER, 5)]);
    assert!(!told());
    registry.withdraw("worse");
    assert!(!told());
    // The same offer again.
    registry.add("good", vec![good.look_ups(DOCKER, 1)]);
    assert!(!told());
    registry.add("good", vec![good.look_ups(DOCKER, 2)]);
    assert!(told());
    registry.withdraw("good");
    assert!(told());
    assert_eq!(
        *registry.effective(),
        super::super::registry::Effective::default()
    );
}
