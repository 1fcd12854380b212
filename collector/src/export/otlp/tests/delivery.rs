//! What is sent, and what becomes of it with each answer.

use std::{
    io::Read as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use hyper::header::{HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tonic::{Code, Status};

use super::{
    super::{
        OtlpProtocol, Outbox, Sender,
        attempt::{Attempt, quoted},
    },
    outbox, send,
    server::{Collector, answer, on_each, read_request},
    settings, settled, spans, until_sent,
};
use crate::reconcile::delivery::OtlpLoss;

fn all_taken() -> ExportTraceServiceResponse {
    ExportTraceServiceResponse::default()
}

fn rejecting(rejected_spans: i64) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "too\nold".to_owned(),
        }),
    }
}

/// `google.rpc.Status` with a `RetryInfo` of half a second.
const RETRY_INFO: &[u8] =
    b"\x1a\x32\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x06\x0a\x04\x10\xe4\x97\x18";

const OF_RETRY_INFO: Duration = Duration::from_nanos(396_260);

#[test]
fn each_code_is_tried_again_or_not_as_the_specification_has_it() {
    for code in (0..=16)
        .map(Code::from_i32)
        .filter(|code| *code != Code::Ok)
    {
        let is_retryable = matches!(
            code,
            Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss
        );
        let attempt = Attempt::of_status(&Status::new(code, "so"));
        let is_tried_again = matches!(attempt, Attempt::Again { after: None, .. });
        assert_eq!(is_tried_again, is_retryable, "{code:?}");
        let status = Status::with_details(code, "so", RETRY_INFO.into());
        let attempt = Attempt::of_status(&status);
        let is_tried_again =
            matches!(attempt, Attempt::Again { after, .. } if after == Some(OF_RETRY_INFO));
        let expected = is_retryable || code == Code::ResourceExhausted;
        assert_eq!(is_tried_again, expected, "{code:?} with RetryInfo");
    }
    for status in 300..600 {
        let attempt = Attempt::of_http(status, None, b"garbage");
        let is_tried_again = matches!(attempt, Attempt::Again { .. });
        assert_eq!(
            is_tried_again,
            [429, 502, 503, 504].contains(&status),
            "{status}"
        );
    }
}

#[test]
fn what_others_say_is_bounded_and_has_no_control_characters() {
    let said = quoted(&"\x1b[2J\n".repeat(1_000));
    assert!(said.len() < 2_000 && said.ends_with('…'), "{said}");
    assert!(!said.contains('\n') && !said.contains('\x1b'));
}

#[tokio::test]
async fn what_cannot_be_taken_now_is_sent_again_until_it_is() {
    let collector = Collector::new(|number| match number {
        1 => Err(Status::unavailable("not yet")),
        2 => Err(Status::with_details(
            Code::ResourceExhausted,
            "full",
            RETRY_INFO.into(),
        )),
        _ => Ok(all_taken()),
    });
    let mut settings = settings(OtlpProtocol::Grpc, &collector.start().await);
    settings.retry_for = Duration::from_secs(10);
    let account = send(&settings, 3).await;
    assert_eq!(account.sent, 3);
    let requests = collector.requests();
    assert_eq!(requests.len(), 3);
    for (_, request) in &requests {
        assert_eq!(request.resource_spans, [spans(3)], "whole each time");
    }
}

#[tokio::test]
async fn what_is_refused_is_sent_once_and_what_is_rejected_is_counted() {
    let refusing = Collector::new(|_| Err(Status::invalid_argument("no")));
    let account = send(&settings(OtlpProtocol::Grpc, &refusing.start().await), 3).await;
    assert_eq!(account.lost[OtlpLoss::Refused as usize], 3);
    assert_eq!(refusing.requests().len(), 1);
    // More than there were, and a number that is none: neither breaks the account.
    for (rejected, expected) in [(2, 2), (0, 0), (1 << 40, 5), (-7, 0)] {
        let partial = Collector::new(move |_| Ok(rejecting(rejected)));
        let account = send(&settings(OtlpProtocol::Grpc, &partial.start().await), 5).await;
        assert_eq!(account.lost[OtlpLoss::Rejected as usize], expected);
        assert_eq!(account.sent, 5 - expected);
        let body = rejecting(rejected).encode_to_vec();
        let address = answering(move |_| answer("200 OK", &body)).await;
        let account = send(&settings(OtlpProtocol::HttpProtobuf, &address), 5).await;
        assert_eq!(account.sent, 5 - expected);
    }
}

/// Says this to each request over HTTP, by its number; where.
async fn answering(says: impl Fn(usize) -> Vec<u8> + Clone + Send + Sync + 'static) -> String {
    let asked = Arc::new(Mutex::new(0));
    on_each(move |mut stream| {
        let (says, asked) = (says.clone(), Arc::clone(&asked));
        async move {
            while read_request(&mut stream).await.is_some() {
                let number = {
                    let mut asked = asked.lock().unwrap();
                    *asked += 1;
                    *asked
                };
                stream.write_all(&says(number)).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_collector_that_wants_to_be_left_alone_is() {
    let address = answering(|number| match number {
        1 => answer("503 Service Unavailable\r\nretry-after: 1", b""),
        _ => answer("200 OK", b""),
    })
    .await;
    let start = Instant::now();
    let mut settings = settings(OtlpProtocol::HttpProtobuf, &address);
    settings.retry_for = Duration::from_secs(20);
    let account = send(&settings, 3).await;
    assert_eq!(account.sent, 3);
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_pause_longer_than_something_is_tried_is_waited_for_with_one_more_try() {
    for (refusals, sent) in [(1, 3), (2, 0)] {
        let address = answering(move |number| {
            if number <= refusals {
                answer("503 Service Unavailable\r\nretry-after: 2", b"")
            } else {
                answer("200 OK", b"")
            }
        })
        .await;
        let mut settings = settings(OtlpProtocol::HttpProtobuf, &address);
        settings.retry_for = Duration::from_secs(1);
        let account = send(&settings, 3).await;
        let gave_up = account.lost[OtlpLoss::GaveUp as usize];
        assert_eq!((account.sent, gave_up), (sent, 3 - sent));
    }
}

#[tokio::test]
async fn what_is_not_taken_for_long_is_given_up_and_what_comes_after_it_is_not() {
    let address = answering(|number| match number {
        1..=3 => answer("429 Too Many Requests", b""),
        _ => answer("200 OK", b""),
    })
    .await;
    let mut settings = settings(OtlpProtocol::HttpProtobuf, &address);
    settings.retry_for = Duration::from_millis(1);
    settings.batch.items = 1;
    let outbox = outbox(&settings);
    for _ in 0..5 {
        outbox.put(spans(1));
    }
    outbox.close();
    let sender = Sender::new(&settings, Arc::clone(&outbox)).unwrap();
    sender.run(Duration::from_secs(10)).await;
    let account = settled(outbox.account());
    assert_eq!(
        (account.sent, account.lost[OtlpLoss::GaveUp as usize]),
        (2, 3)
    );
}

#[tokio::test]
async fn requests_have_the_headers_and_the_compression_that_are_configured() {
    let mut header = HeaderValue::from_static("Bearer secret");
    header.set_sensitive(true);
    for is_compressed in [false, true] {
        let collector = Collector::new(|_| Ok(all_taken()));
        let mut of_grpc = settings(OtlpProtocol::Grpc, &collector.start().await);
        of_grpc.is_compressed = is_compressed;
        of_grpc.headers = vec![(HeaderName::from_static("authorization"), header.clone())];
        assert!(!format!("{of_grpc:?}").contains("secret"));
        assert_eq!(send(&of_grpc, 4).await.sent, 4);
        let (headers, request) = collector.requests().remove(0);
        assert_eq!(headers["authorization"], "Bearer secret");
        let agent = headers["user-agent"].to_str().unwrap();
        assert!(agent.starts_with("cgscope/"), "{agent}");
        assert_eq!(headers.contains_key("grpc-encoding"), is_compressed);
        assert_eq!(request.resource_spans, [spans(4)]);

        let seen = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&seen);
        let address = on_each(move |mut stream| {
            let keep = Arc::clone(&keep);
            async move {
                let request = read_request(&mut stream).await;
                *keep.lock().unwrap() = request;
                stream.write_all(&answer("200 OK", b"")).await.unwrap();
            }
        })
        .await;
        let of_http = super::super::OtlpSettings {
            headers: of_grpc.headers.clone(),
            is_compressed,
            ..settings(OtlpProtocol::HttpProtobuf, &address)
        };
        assert_eq!(send(&of_http, 4).await.sent, 4);
        let (head, mut body) = seen.lock().unwrap().take().unwrap();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        for line in [
            "authorization: bearer secret",
            "content-type: application/x-protobuf",
            "user-agent: cgscope/",
        ] {
            assert!(head.contains(line), "{line} not in {head}");
        }
        assert_eq!(head.contains("content-encoding: gzip"), is_compressed);
        if is_compressed {
            let mut plain = Vec::new();
            GzDecoder::new(body.as_slice())
                .read_to_end(&mut plain)
                .unwrap();
            body = plain;
        }
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        assert_eq!(request.resource_spans, [spans(4)]);
    }
}

#[tokio::test]
async fn a_queue_without_a_collector_has_its_bound_and_nobody_waits_for_it() {
    let address = on_each(|_| async {}).await;
    let settings = settings(OtlpProtocol::Grpc, &address);
    let outbox = outbox(&settings);
    let sender = Sender::new(&settings, Arc::clone(&outbox)).unwrap();
    let sending = tokio::spawn(async move { sender.run(Duration::from_millis(50)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let parcels: Vec<_> = (0..20_000).map(|_| spans(5)).collect();
    let start = Instant::now();
    for parcel in parcels {
        outbox.put(parcel);
    }
    let took = start.elapsed();
    // Were each to wait for as little as a millisecond, it would be twice that.
    assert!(took < Duration::from_secs(10), "{took:?} for 20,000");
    let account = settled(outbox.account());
    assert!((990..=1_000).contains(&account.waiting), "{account:?}");
    assert_eq!(account.put, 100_000);
    outbox.close();
    sending.await.unwrap();
    let account = settled(outbox.account());
    assert_eq!((account.waiting, account.sent), (0, 0));
}

#[tokio::test]
async fn a_batch_has_no_more_than_it_may_and_waits_for_others() {
    let collector = Collector::new(|_| Ok(all_taken()));
    let mut settings = settings(OtlpProtocol::Grpc, &collector.start().await);
    let delay = Duration::from_secs(3);
    settings.batch.delay = delay;
    let outbox: Arc<Outbox<_>> = outbox(&settings);
    let sender = Sender::new(&settings, Arc::clone(&outbox)).unwrap();
    let sending = tokio::spawn(async move { sender.run(Duration::from_secs(5)).await });
    let start = Instant::now();
    for _ in 0..25 {
        outbox.put(spans(1));
        tokio::task::yield_now().await;
    }
    // Ten are a whole batch: two of them are sent at once, and the rest waits for more.
    until_sent(&outbox, 20, delay).await;
    assert_eq!(outbox.account().waiting, 5);
    until_sent(&outbox, 25, Duration::from_secs(30)).await;
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
    outbox.close();
    sending.await.unwrap();
    let requests = collector.requests().into_iter();
    let sizes: Vec<_> = requests.map(|(_, of)| of.resource_spans.len()).collect();
    assert_eq!(sizes, [10, 10, 5]);
}
