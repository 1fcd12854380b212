//! Candidates: what becomes of them, and when.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{DOCKER, Knows, Says, Scripted};
use crate::catalog::provider::{
    Collectors, Discovery, Factory, Offer, Registry, Unavailable,
    discovery::{BUILD_TIME, INTERVAL, Standing},
};

const OFFERS: fn() -> Result<Vec<Offer>, Unavailable> =
    || Ok(vec![Knows::new(Says::Nothing).look_ups(DOCKER, 5)]);

fn not_yet() -> Result<Vec<Offer>, Unavailable> {
    Err(Unavailable::not_yet("no socket"))
}

fn never() -> Result<Vec<Offer>, Unavailable> {
    Err(Unavailable::never("forbidden"))
}

/// A discovery that runs, of these.
fn running(factories: &[&Arc<Scripted>]) -> (Arc<Registry>, Arc<Discovery>, JoinHandle<()>) {
    let registry = Arc::new(Registry::default());
    let discovery = Arc::new(Discovery::new(Arc::clone(&registry)));
    for factory in factories {
        let factory: Arc<dyn Factory> = Arc::<Scripted>::clone(factory);
        discovery.register(factory).unwrap();
    }
    let driver = Arc::clone(&discovery);
    let run = tokio::spawn(async move { driver.run().await });
    (registry, discovery, run)
}

fn candidate(reason: &str) -> Standing {
    Standing::Candidate {
        reason: reason.to_owned(),
    }
}

fn standing(discovery: &Discovery, of: usize) -> Standing {
    discovery.standings()[of].standing.clone()
}

async fn a_moment() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn at_the_start_all_are_tried_at_once_and_who_succeeds_is_no_candidate_any_more() {
    let factory = Scripted::new("docker", OFFERS);
    let (registry, discovery, _run) = running(&[&factory]);
    let mut watcher = registry.watch();
    let began = Instant::now();
    watcher.changed().await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(registry.effective().of_runtime(DOCKER).is_some());
    sleep(INTERVAL * 10).await;
    assert_eq!(factory.builds(), 1);
    assert_eq!(standing(&discovery, 0), Standing::Present);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_yet_is_tried_every_two_seconds_until_it_is() {
    let factory = Scripted::new("docker", not_yet);
    let (registry, discovery, _run) = running(&[&factory]);
    a_moment().await;
    for tries in 1..5 {
        assert_eq!(factory.builds(), tries);
        assert_eq!(standing(&discovery, 0), candidate("no socket"));
        sleep(Duration::from_secs(2)).await;
    }
    factory.now(OFFERS);
    let mut watcher = registry.watch();
    let began = Instant::now();
    watcher.changed().await.unwrap();
    assert!(began.elapsed() <= INTERVAL);
    assert_eq!(standing(&discovery, 0), Standing::Present);
}

#[tokio::test(start_paused = true)]
async fn who_will_never_be_there_is_dropped() {
    let factory = Scripted::new("docker", never);
    let (_, discovery, _run) = running(&[&factory]);
    sleep(INTERVAL * 10).await;
    assert_eq!(factory.builds(), 1);
    let reason = "forbidden".to_owned();
    assert_eq!(standing(&discovery, 0), Standing::Dropped { reason });
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_is_dropped_and_the_others_are_unharmed() {
    let (bad, good) = (
        Scripted::new("bad", || panic!("a bug")),
        Scripted::new("good", OFFERS),
    );
    let (_, discovery, _run) = running(&[&bad, &good]);
    sleep(INTERVAL * 3).await;
    assert!(matches!(standing(&discovery, 0), Standing::Dropped { .. }));
    assert_eq!(standing(&discovery, 1), Standing::Present);
    assert_eq!(bad.builds(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_succeeds_with_nothing_to_offer_stays_a_candidate() {
    let nothing = Scripted::new("none", || Ok(Vec::new()));
    let empty = Scripted::new("empty", || {
        Ok(vec![Offer {
            runtime: DOCKER,
            collectors: Collectors::default(),
        }])
    });
    let (registry, discovery, _run) = running(&[&nothing, &empty]);
    sleep(INTERVAL + INTERVAL / 2).await;
    assert_eq!((nothing.builds(), empty.builds()), (2, 2));
    assert!(matches!(
        standing(&discovery, 0),
        Standing::Candidate { .. }
    ));
    assert_eq!(registry.effective().iter().count(), 0);
    empty.now(OFFERS);
    sleep(INTERVAL).await;
    assert_eq!(standing(&discovery, 1), Standing::Present);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_keeps_no_other_waiting_and_is_tried_again() {
    let (hangs, late) = (Scripted::hanging("hangs"), Scripted::new("late", not_yet));
    let (_, discovery, _run) = running(&[&hangs, &late]);
    sleep(INTERVAL * 2 + INTERVAL / 2).await;
    assert_eq!((hangs.builds(), late.builds()), (1, 3));
    late.now(OFFERS);
    sleep(INTERVAL).await;
    assert_eq!(standing(&discovery, 1), Standing::Present);
    sleep(BUILD_TIME).await;
    assert_eq!(hangs.builds(), 2);
    let Standing::Candidate { reason } = standing(&discovery, 0) else {
        panic!("it may answer some day");
    };
    assert!(reason.contains("10s"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn who_vanishes_is_withdrawn_and_a_candidate_again() {
    let factory = Scripted::new("docker", OFFERS);
    let (registry, discovery, _run) = running(&[&factory]);
    sleep(INTERVAL * 5).await;
    let watcher = registry.watch();
    factory.now(not_yet);
    assert!(discovery.vanished("docker", "it ended"));
    assert!(watcher.has_changed().unwrap());
    assert!(registry.effective().of_runtime(DOCKER).is_none());
    assert_eq!(standing(&discovery, 0), candidate("it ended"));
    a_moment().await;
    assert_eq!(factory.builds(), 2, "it is tried at once");
    // Nothing happens to who is gone already, or was never there.
    assert!(!discovery.vanished("docker", "again"));
    assert!(!discovery.vanished("podman", "who"));
    factory.now(OFFERS);
    sleep(INTERVAL).await;
    assert_eq!(standing(&discovery, 0), Standing::Present);
    assert!(registry.effective().of_runtime(DOCKER).is_some());
}

#[tokio::test(start_paused = true)]
async fn who_vanishes_while_it_is_being_built_is_built_again() {
    let factory = Scripted::slow("docker", Duration::from_secs(3), OFFERS);
    let (registry, discovery, _run) = running(&[&factory]);
    sleep(Duration::from_secs(1)).await;
    assert!(!discovery.vanished("docker", "it ended"));
    sleep(Duration::from_millis(2_100)).await;
    assert!(registry.effective().of_runtime(DOCKER).is_none());
    assert!(matches!(
        standing(&discovery, 0),
        Standing::Candidate { .. }
    ));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(factory.builds(), 2);
    assert_eq!(standing(&discovery, 0), Standing::Present);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_and_goes_is_tried_no_oftener_than_others() {
    let factory = Scripted::new("docker", OFFERS);
    let (_, discovery, _run) = running(&[&factory]);
    for _ in 0..1_000 {
        discovery.vanished("docker", "it ended");
        sleep(Duration::from_millis(10)).await;
    }
    // In 10 s.
    assert!(factory.builds() <= 7, "{}", factory.builds());
}

#[tokio::test(start_paused = true)]
async fn an_id_is_registered_once() {
    let (_, discovery, _run) = running(&[&Scripted::new("docker", OFFERS)]);
    let error = discovery
        .register(Scripted::new("docker", OFFERS))
        .unwrap_err();
    assert!(error.to_string().contains("\"docker\""), "{error}");
    assert_eq!(discovery.standings().len(), 1);
    discovery.register(Scripted::new("podman", OFFERS)).unwrap();
    sleep(INTERVAL).await;
    assert_eq!(standing(&discovery, 1), Standing::Present);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_stopped_gives_up_and_another_goes_on() {
    let factory = Scripted::hanging("docker");
    let (_, discovery, run) = running(&[&factory]);
    a_moment().await;
    run.abort();
    run.await.expect_err("it was stopped");
    sleep(INTERVAL * 10).await;
    assert_eq!(factory.builds(), 1);
    let driver = Arc::clone(&discovery);
    let run = tokio::spawn(async move { driver.run().await });
    a_moment().await;
    assert_eq!(factory.builds(), 2);
    run.abort();
}
