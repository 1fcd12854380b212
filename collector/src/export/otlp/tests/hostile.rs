//! Collectors that break the rules: bounded time and memory, and nobody else is harmed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    super::{OtlpProtocol, OtlpSettings, Sender, request::MAX_ANSWER},
    BOTH, outbox, send,
    server::{Collector, answer, on_each, read_request},
    settled, spans, until_sent,
};
use crate::reconcile::delivery::{OtlpAccount, OtlpLoss};

/// What is tried, with its last try; those who hang do so for a minute.
const MOST: Duration = Duration::from_secs(20);

/// Settings with which nobody is waited for.
fn settings(protocol: OtlpProtocol, address: &str) -> OtlpSettings {
    OtlpSettings {
        timeout: Duration::from_millis(300),
        ..super::settings(protocol, address)
    }
}

/// What becomes of three spans over both protocols, while others go to a good collector.
async fn suffer<F: Future<Output = ()> + Send + 'static>(
    does: impl Fn(TcpStream) -> F + Clone + Send + 'static,
) -> [OtlpAccount; 2] {
    let good = Collector::new(|_| Ok(ExportTraceServiceResponse::default()));
    let mut of_good = settings(OtlpProtocol::Grpc, &good.start().await);
    (of_good.timeout, of_good.retry_for) = (MOST, MOST);
    let unharmed = outbox(&of_good);
    let sender = Sender::new(&of_good, Arc::clone(&unharmed)).unwrap();
    let other = tokio::spawn(async move { sender.run(MOST).await });
    let mut accounts = Vec::new();
    for protocol in BOTH {
        let settings = settings(protocol, &on_each(does.clone()).await);
        let start = Instant::now();
        let sending = tokio::spawn(async move { send(&settings, 3).await });
        for _ in 0..3 {
            let before = unharmed.account().sent;
            unharmed.put(spans(1));
            until_sent(&unharmed, before + 1, MOST).await;
        }
        accounts.push(sending.await.unwrap());
        assert!(
            start.elapsed() < MOST,
            "{protocol:?}: {:?}",
            start.elapsed()
        );
    }
    unharmed.close();
    other.await.unwrap();
    accounts.try_into().unwrap()
}

fn lost(account: &OtlpAccount, reason: OtlpLoss) -> u64 {
    account.lost[reason as usize]
}

#[tokio::test]
async fn one_that_accepts_and_never_answers_costs_what_was_meant_for_it() {
    for account in suffer(|stream| async move {
        sleep(Duration::from_mins(1)).await;
        drop(stream);
    })
    .await
    {
        assert_eq!(lost(&account, OtlpLoss::GaveUp), 3, "{account:?}");
    }
}

#[tokio::test]
async fn one_that_never_answers_is_tried_by_another_connection() {
    for protocol in BOTH {
        let connected = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connected);
        let silent = on_each(move |stream| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_mins(1)).await;
                drop(stream);
            }
        });
        let account = send(&settings(protocol, &silent.await), 3).await;
        assert_eq!(lost(&account, OtlpLoss::GaveUp), 3, "{account:?}");
        let connected = connected.load(Ordering::Relaxed);
        assert!(connected > 1, "{protocol:?}: {connected} connections");
    }
}

#[tokio::test]
async fn one_that_hangs_up_or_answers_drop_by_drop_is_given_up() {
    let hangs_up = suffer(|stream| async move { drop(stream) }).await;
    let drips = suffer(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
            .iter()
            .cycle()
        {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for account in hangs_up.into_iter().chain(drips) {
        assert_eq!(account.sent, 0, "{account:?}");
        assert_eq!(lost(&account, OtlpLoss::GaveUp), 3, "{account:?}");
    }
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let [grpc, http] = suffer(|mut stream| async move {
        let garbage: Vec<u8> = (0..=255).cycle().take(4_096).collect();
        drop(stream.write_all(&garbage).await);
        sleep(Duration::from_secs(2)).await;
    })
    .await;
    assert_eq!((grpc.sent, http.sent), (0, 0));
    // A server of HTTP/1.1 that takes requests over gRPC takes none of it.
    let [grpc, _] = suffer(|mut stream| async move {
        drop(stream.write_all(&answer("200 OK", b"hello")).await);
        sleep(Duration::from_secs(2)).await;
    })
    .await;
    assert_eq!(grpc.sent, 0);
}

#[tokio::test]
async fn of_an_answer_without_end_no_more_is_read_than_an_answer_has() {
    const WHOLE: usize = 100 << 20;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let address = on_each(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            drop(read_request(&mut stream).await);
            let head = format!("HTTP/1.1 503 Busy\r\ncontent-length: {WHOLE}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let block = vec![b'x'; 64 << 10];
            while stream.write_all(&block).await.is_ok() {
                count.fetch_add(block.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let mut of_http = settings(OtlpProtocol::HttpProtobuf, &address);
    of_http.retry_for = Duration::ZERO;
    let account = send(&of_http, 3).await;
    assert_eq!(lost(&account, OtlpLoss::GaveUp), 3, "{account:?}");
    sleep(Duration::from_millis(100)).await;
    let written = written.load(Ordering::Relaxed);
    // What the kernel buffers of a connection comes on top.
    assert!(written < WHOLE / 4, "{written} bytes were taken");

    // Over gRPC the message's length is in front of it. It took what was sent, or it would not say so.
    let message = "x".repeat(4 * MAX_ANSWER);
    let large = Collector::new(move |_| {
        let mut answer = ExportTraceServiceResponse::default();
        answer
            .partial_success
            .get_or_insert_default()
            .error_message
            .clone_from(&message);
        Ok(answer)
    });
    let account = send(&settings(OtlpProtocol::Grpc, &large.start().await), 3).await;
    assert_eq!(account.sent, 3, "{account:?}");
}

#[tokio::test]
async fn nobody_is_led_elsewhere() {
    let visits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&visits);
    let elsewhere = on_each(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async {}
    })
    .await;
    let address = on_each(move |mut stream| {
        let location = format!("307 Temporary Redirect\r\nlocation: http://{elsewhere}/v1/traces");
        async move {
            drop(read_request(&mut stream).await);
            stream.write_all(&answer(&location, b"")).await.unwrap();
        }
    })
    .await;
    let account = send(&settings(OtlpProtocol::HttpProtobuf, &address), 3).await;
    assert_eq!(lost(&account, OtlpLoss::Refused), 3);
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_end_comes_in_time_whatever_the_collector_does_and_the_rest_is_counted() {
    for protocol in BOTH {
        let address = on_each(|stream| async move {
            sleep(Duration::from_mins(1)).await;
            drop(stream);
        })
        .await;
        let mut settings = settings(protocol, &address);
        settings.timeout = Duration::from_mins(1);
        let outbox = outbox(&settings);
        let sender = Sender::new(&settings, Arc::clone(&outbox)).unwrap();
        for _ in 0..10 {
            outbox.put(spans(5));
        }
        let grace = Duration::from_millis(200);
        let sending = tokio::spawn(async move { sender.run(grace).await });
        sleep(Duration::from_millis(50)).await;
        outbox.close();
        timeout(MOST, sending).await.unwrap().unwrap();
        let account = settled(outbox.account());
        assert_eq!(lost(&account, OtlpLoss::Shutdown), 50, "{account:?}");
        assert_eq!(account.waiting, 0);
    }
}
