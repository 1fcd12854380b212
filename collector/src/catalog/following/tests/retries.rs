//! A look that fails is tried again, as often as it is worth it.

use std::{sync::Arc, time::Duration};

use super::{LookFate, Scripted, changed, follow, of, with_events};
use crate::catalog::{
    following::Tally,
    runtimes::{CallError, Endpoint, Protocol, RuntimeEvent},
};

fn errors(tally: &Tally, name: &str) -> u64 {
    let place = CallError::NAMES.iter().position(|of| *of == name).unwrap();
    let status = tally.status(&Endpoint {
        protocol: Protocol::Docker,
        address: String::new(),
    });
    status.errors[place]
}

impl Scripted {
    pub(super) fn fail(&self, id: &str, fates: &[LookFate]) {
        let mut looks = self.looks.lock().unwrap();
        looks.insert(id.to_owned(), fates.iter().copied().collect());
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_could_not_be_had_comes_with_the_next_try() {
    let client = Arc::new(Scripted::with(&[]));
    let sender = with_events(&client);
    client.set("a", Some("web"));
    client.fail("a", &[LookFate::Refused, LookFate::Refused]);
    sender.send(changed("a")).await.unwrap();
    let tally = Tally::default();
    let time = Duration::from_secs(30);
    let (notes, ended) = follow(Arc::clone(&client), &tally, &[], time).await;
    assert_eq!(
        (notes, ended),
        (
            vec!["all a but a".to_owned(), "told a=web".to_owned()],
            None
        )
    );
    assert_eq!(
        (client.count("inspect a"), errors(&tally, "refused")),
        (3, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_given_up_after_so_many_tries_until_something_happens_to_it() {
    let client = Arc::new(Scripted::with(&[("a", "web")]));
    let sender = with_events(&client);
    client.fail("a", &[LookFate::Refused; 4]);
    sender.send(changed("a")).await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        sender.send(changed("a")).await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
    });
    let tally = Tally::default();
    let time = Duration::from_secs(19);
    drop(follow(Arc::clone(&client), &tally, &[], time).await);
    assert_eq!(client.count("inspect a"), 3, "a look and two retries");

    let client = Arc::new(Scripted::with(&[("a", "web")]));
    let sender = with_events(&client);
    client.fail("a", &[LookFate::Refused; 4]);
    tokio::spawn(async move {
        for _ in 0..2 {
            sender.send(changed("a")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    });
    let time = Duration::from_secs(30);
    let (notes, _) = follow(Arc::clone(&client), &tally, &[], time).await;
    assert_eq!(
        client.count("inspect a"),
        5,
        "the fourth and the one after it"
    );
    assert_eq!(notes.last().unwrap(), "told a=web");
}

#[tokio::test(start_paused = true)]
async fn what_would_be_the_same_again_what_is_gone_and_what_is_not_its_own_is_not_tried_again() {
    let client = Arc::new(Scripted::with(&[("long", "x"), ("gone", "y")]));
    let sender = with_events(&client);
    client.fail("long", &[LookFate::TooLarge; 4]);
    client.fail("gone", &[LookFate::Refused; 4]);
    for id in ["long", "gone"] {
        sender.send(changed(id)).await.unwrap();
    }
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let removed = RuntimeEvent::Removed { of: of("gone") };
        sender.send(removed).await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
    });
    let asked = ["unknown"];
    let time = Duration::from_secs(30);
    drop(follow(Arc::clone(&client), &Tally::default(), &asked, time).await);
    for id in ["long", "gone", "unknown"] {
        assert_eq!(client.count(&format!("inspect {id}")), 1, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_does_not_answer_is_lost_and_not_tried_again() {
    let client = Arc::new(Scripted::with(&[("a", "web")]));
    let sender = with_events(&client);
    client.fail("a", &[LookFate::TimedOut]);
    sender.send(changed("a")).await.unwrap();
    let time = Duration::from_secs(30);
    let (_, ended) = follow(Arc::clone(&client), &Tally::default(), &[], time).await;
    assert_eq!((ended, client.count("inspect a")), (Some("timeout"), 1));
}
