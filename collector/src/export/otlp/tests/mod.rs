//! Senders against servers that say what a test has them say.

mod delivery;
mod hostile;
mod server;
mod tls;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::Uri;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::{BatchBounds, Bounds, OtlpProtocol, OtlpSettings, Outbox, Sender, TlsFiles, WhenFull};
use crate::reconcile::delivery::{OtlpAccount, OtlpSignal};

const BOTH: [OtlpProtocol; 2] = [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf];

fn settings(protocol: OtlpProtocol, address: &str) -> OtlpSettings {
    let path = match protocol {
        OtlpProtocol::Grpc => "/",
        OtlpProtocol::HttpProtobuf => "/v1/traces",
    };
    OtlpSettings {
        protocol,
        endpoint: format!("http://{address}{path}").parse::<Uri>().unwrap(),
        headers: Vec::new(),
        is_compressed: false,
        timeout: Duration::from_secs(10),
        retry_for: Duration::from_millis(900),
        tls: TlsFiles::default(),
        batch: BatchBounds {
            items: 10,
            bytes: 1 << 20,
            delay: Duration::ZERO,
        },
        queue: Bounds {
            items: 1_000,
            bytes: 1 << 20,
            when_full: WhenFull::DropNew,
        },
    }
}

fn spans(count: u8) -> ResourceSpans {
    let span = |number| Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        name: format!("span {number}"),
        ..Span::default()
    };
    ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans: (1..=count).map(span).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn outbox(settings: &OtlpSettings) -> Arc<Outbox<ResourceSpans>> {
    Arc::new(Outbox::new(settings.queue))
}

/// Sends some spans, and says what became of them.
async fn send(settings: &OtlpSettings, count: u8) -> OtlpAccount {
    let outbox = outbox(settings);
    outbox.put(spans(count));
    outbox.close();
    let sender = Sender::new(settings, Arc::clone(&outbox)).unwrap();
    sender.run(Duration::from_secs(10)).await;
    settled(outbox.account())
}

/// Waits until so many are sent, and no more are.
async fn until_sent(outbox: &Outbox<ResourceSpans>, sent: u64, most: Duration) {
    let start = Instant::now();
    loop {
        let account = outbox.account();
        assert!(account.sent <= sent, "not {sent}: {account:?}");
        if account.sent == sent {
            return;
        }
        assert!(
            start.elapsed() < most,
            "not {sent} in {most:?}: {account:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Nothing is lost that is not counted.
fn settled(account: OtlpAccount) -> OtlpAccount {
    let of_all = account.sent + account.waiting + account.lost.iter().sum::<u64>();
    assert_eq!(account.put, of_all, "{account:?}");
    assert_eq!(account.signal, OtlpSignal::Traces);
    account
}
