//! What is asked anew, and what is known.

use std::{sync::Arc, time::Duration};

use tokio::time::advance;

use super::{CONTAINERD, DOCKER, Knows, Says, container};
use crate::catalog::{
    Flavor, RuntimeMetadata,
    provider::{Provider, Registry, ask_time::ASK_TIME},
};

const ANEW: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

fn provider(
    offer: impl FnOnce(&Arc<Knows>) -> super::Offer,
) -> (Arc<Registry>, Arc<Knows>, Provider) {
    let registry = Arc::new(Registry::default());
    let knows = Knows::new(Says::Container("a"));
    registry.add("knows", vec![offer(&knows)]);
    let provider = Provider::new(Arc::clone(&registry), Duration::from_mins(5));
    (registry, knows, provider)
}

async fn threads(provider: &Provider, id: &str, validity: Duration) -> Option<u64> {
    let of = container(id);
    let stats = provider.container_stats(DOCKER, &of, validity);
    stats.await.unwrap()?.figures.threads
}

#[tokio::test(start_paused = true)]
async fn callers_with_different_validities_share_what_is_known() {
    let (_, knows, provider) = provider(|knows| knows.statistics(DOCKER, 0));
    assert_eq!(threads(&provider, "a", MINUTE).await, Some(1));
    advance(SECOND * 10).await;
    // The patient one gets the old value, the other one a new one, and then so does the first.
    assert_eq!(threads(&provider, "a", MINUTE).await, Some(1));
    assert_eq!(threads(&provider, "a", SECOND).await, Some(2));
    assert_eq!(threads(&provider, "a", MINUTE).await, Some(2));
    assert_eq!(threads(&provider, "a", ANEW).await, Some(3));
    assert_eq!(threads(&provider, "a", ANEW).await, Some(4));
    assert_eq!(knows.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn to_ask_anew_is_for_one_capability_of_one_container() {
    let (_, knows, provider) = provider(|knows| knows.statistics(DOCKER, 0));
    let (a, b) = (container("a"), container("b"));
    for of in [&a, &b] {
        provider.container_stats(DOCKER, of, MINUTE).await.unwrap();
        provider.network_stats(DOCKER, of, MINUTE).await.unwrap();
    }
    assert_eq!(knows.asked(), 4);
    assert_eq!(threads(&provider, "a", ANEW).await, Some(5));
    provider.network_stats(DOCKER, &a, MINUTE).await.unwrap();
    provider.container_stats(DOCKER, &b, MINUTE).await.unwrap();
    assert_eq!(knows.asked(), 5);
    // The same id with another runtime, or in another namespace of ids, is another container.
    provider
        .container_stats(CONTAINERD, &a, MINUTE)
        .await
        .unwrap();
    assert_eq!(knows.asked(), 5);
    let mut elsewhere = a;
    elsewhere.id_namespace = "moby".to_owned();
    provider
        .container_stats(DOCKER, &elsewhere, MINUTE)
        .await
        .unwrap();
    assert_eq!(knows.asked(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_given_again_without_asking_until_it_is_too_old() {
    let (_, knows, provider) = provider(|knows| knows.statistics(DOCKER, 0));
    knows.now(Says::Fails("broken"));
    let a = container("a");
    for _ in 0..3 {
        let error = provider
            .container_stats(DOCKER, &a, MINUTE)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }
    assert_eq!(knows.asked(), 1);
    knows.now(Says::Container("a"));
    advance(MINUTE + SECOND).await;
    assert_eq!(threads(&provider, "a", MINUTE).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_one_error_that_is_kept() {
    let (_, knows, provider) = provider(|knows| knows.statistics(DOCKER, 0));
    knows.now(Says::Hangs);
    let began = tokio::time::Instant::now();
    let a = container("a");
    for _ in 0..2 {
        let stats = provider.container_stats(DOCKER, &a, MINUTE);
        let error = stats.await.unwrap_err();
        assert!(error.to_string().contains("container stats"), "{error}");
    }
    assert_eq!(began.elapsed(), ASK_TIME);
}

#[tokio::test(start_paused = true)]
async fn look_ups_are_kept_by_what_was_looked_up() {
    let (_, knows, provider) = provider(|knows| knows.look_ups(DOCKER, 0));
    let a = Some(container("a"));
    assert_eq!(provider.container_of_pid(1, MINUTE).await.unwrap(), a);
    assert_eq!(provider.container_of_pid(1, MINUTE).await.unwrap(), a);
    assert_eq!(knows.asked(), 1);
    assert_eq!(provider.container_of_pid(2, MINUTE).await.unwrap(), a);
    assert_eq!(provider.container_of_pid(1, ANEW).await.unwrap(), a);
    assert_eq!(knows.asked(), 3);
    assert_eq!(provider.own_container().await.unwrap(), a);
}

#[tokio::test(start_paused = true)]
async fn the_best_collector_is_asked_and_it_may_be_another_each_time() {
    let (registry, first, provider) = provider(|knows| knows.statistics(DOCKER, 5));
    threads(&provider, "a", ANEW).await;
    let better = Knows::new(Says::Container("a"));
    registry.add("better", vec![better.statistics(DOCKER, 1)]);
    threads(&provider, "a", ANEW).await;
    assert_eq!((first.asked(), better.asked()), (1, 1));
    registry.withdraw("better");
    threads(&provider, "a", ANEW).await;
    assert_eq!((first.asked(), better.asked()), (2, 1));
}

#[tokio::test]
async fn what_nobody_can_tell_is_absent_and_no_error() {
    let (_, _, provider) = provider(|knows| knows.statistics(DOCKER, 5));
    let a = container("a");
    assert_eq!(provider.pids(DOCKER, &a, ANEW).await.unwrap(), None);
    assert_eq!(provider.open_files(DOCKER, &a, ANEW).await.unwrap(), None);
    let kata = RuntimeMetadata {
        flavor: Flavor::Kata,
        ..DOCKER
    };
    assert_eq!(
        provider.container_stats(kata, &a, ANEW).await.unwrap(),
        None
    );
}
