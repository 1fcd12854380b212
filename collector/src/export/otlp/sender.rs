//! Sends what waits in an outbox, request after request, until nothing more will come.
//!
//! One request at a time, each bounded in items, bytes and time. What a collector cannot take now is tried
//! again, later and later; what it will not take, or not in time, is lost and counted.

use std::{fmt, sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use hyper::body::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Outbox,
    attempt::{Attempt, quoted},
    error::{NoAnswer, SenderError},
    grpc::GrpcTransport,
    http::HttpTransport,
    outbox::Sending,
    request::{Sendable, Taken},
    settings::{OtlpProtocol, OtlpSettings},
};
use crate::reconcile::delivery::OtlpLoss;

/// How long is waited after a failure, at first. It doubles, up to the longest, with as much again at random.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// A collector that is back is found after twice this at the latest.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// A collector that wants to be left alone for longer is asked after this.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Sends what waits in an outbox.
#[derive(Debug)]
pub struct Sender<P: Sendable> {
    settings: OtlpSettings,
    outbox: Arc<Outbox<P>>,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Grpc(Box<GrpcTransport>),
    Http(Box<HttpTransport>),
}

/// What the log was told last, so that it is told of changes alone.
#[derive(Debug, Default)]
struct Told {
    is_lost: bool,
    refused: Option<String>,
    said: Option<String>,
}

impl<P: Sendable> Sender<P> {
    /// Reads the files that it needs, and connects to nobody yet. Within a tokio runtime.
    pub fn new(settings: &OtlpSettings, outbox: Arc<Outbox<P>>) -> Result<Self, SenderError> {
        let transport = match settings.protocol {
            OtlpProtocol::Grpc => Transport::Grpc(Box::new(GrpcTransport::new(settings)?)),
            OtlpProtocol::HttpProtobuf => Transport::Http(Box::new(HttpTransport::new(settings)?)),
        };
        Ok(Self {
            settings: settings.clone(),
            outbox,
            transport,
        })
    }

    /// Sends an empty request: whether there is somebody who takes it.
    pub async fn probe(&self) -> Result<(), NoAnswer> {
        match self.attempt(&self.body(Bytes::new())).await {
            Attempt::Taken(_) => Ok(()),
            Attempt::Again { why, .. } | Attempt::Refused { why } => Err(NoAnswer {
                endpoint: self.settings.shown_endpoint(),
                signal: P::SIGNAL.name(),
                protocol: self.settings.protocol.name(),
                why,
            }),
        }
    }

    /// Sends until the outbox is closed and empty, or it has been closed for `grace`. What is not sent
    /// then is lost.
    pub async fn run(&self, grace: Duration) {
        let lost = || self.outbox.account().lost[OtlpLoss::Shutdown as usize];
        let before = lost();
        let too_late = async {
            self.outbox.wait_for_close().await;
            sleep(grace).await;
        };
        tokio::select! {
            () = self.send_all() => {}
            () = too_late => {}
        }
        // The daemon ends: what still waits has nobody to send it.
        loop {
            let rest = self.outbox.take(u64::MAX, u64::MAX);
            if rest.items() == 0 {
                break;
            }
            rest.lost(OtlpLoss::Shutdown);
        }
        // Those too that were just being sent.
        let lost = lost() - before;
        if lost > 0 {
            tracing::warn!("{self}: {lost} were not sent before the end");
        }
    }

    async fn send_all(&self) {
        let mut told = Told::default();
        let batch = self.settings.batch;
        loop {
            self.outbox.wait().await;
            self.outbox.wait_for_more(batch.items, batch.delay).await;
            let sending = self.outbox.take(batch.items, batch.bytes);
            if sending.items() > 0 {
                self.deliver(sending, &mut told).await;
            } else if self.outbox.is_closed() {
                break;
            }
        }
    }

    /// Sends one request until something has become of it.
    async fn deliver(&self, mut sending: Sending<'_, P>, told: &mut Told) {
        let body = self.body(sending.request());
        let begun = Instant::now();
        let mut backoff = backoff();
        loop {
            match self.attempt(&body).await {
                Attempt::Taken(taken) => {
                    self.tell_taken(&taken, told);
                    sending.sent(taken.rejected);
                    return;
                }
                Attempt::Refused { why } => {
                    self.tell_refused(&why, told);
                    sending.lost(OtlpLoss::Refused);
                    return;
                }
                Attempt::Again { after, why } => {
                    self.tell_lost(&why, told);
                    let delay = backoff.next().unwrap_or(LONGEST_DELAY);
                    let pause = after.unwrap_or_default().min(LONGEST_PAUSE);
                    // The pause that the collector wants is waited for in any case: it is asked once after it.
                    if begun.elapsed() + delay > self.settings.retry_for {
                        sending.lost(OtlpLoss::GaveUp);
                        // What comes next leaves it alone as well.
                        sleep(pause).await;
                        return;
                    }
                    sleep(delay.max(pause)).await;
                }
            }
        }
    }

    /// A request as the transport has it, which can be sent more than once.
    fn body(&self, request: Bytes) -> Bytes {
        match &self.transport {
            Transport::Grpc(_) => request,
            Transport::Http(http) => http.body(request),
        }
    }

    /// Sends it once.
    async fn attempt(&self, body: &Bytes) -> Attempt {
        let body = body.clone();
        let answered = async {
            match &self.transport {
                Transport::Grpc(grpc) => grpc.send::<P>(body).await,
                Transport::Http(http) => http.send::<P>(body).await,
            }
        };
        let answered = timeout(self.settings.timeout, answered).await;
        answered.unwrap_or_else(|_| {
            if let Transport::Grpc(grpc) = &self.transport {
                grpc.reconnect();
            }
            Attempt::Again {
                after: None,
                why: format!("no answer in {:?}", self.settings.timeout),
            }
        })
    }

    fn tell_taken(&self, taken: &Taken, told: &mut Told) {
        if told.is_lost || told.refused.is_some() {
            tracing::info!("{self}: taken again");
        }
        (told.is_lost, told.refused) = (false, None);
        let said = quoted(&taken.message);
        let is_new = told.said.as_ref() != Some(&said);
        if taken.rejected > 0 && (is_new || told.said.is_none()) {
            tracing::warn!("{self}: {} were rejected: {said}", taken.rejected);
            told.said = Some(said);
        } else if !said.is_empty() && is_new {
            tracing::warn!("{self}: the collector says: {said}");
            told.said = Some(said);
        }
    }

    fn tell_refused(&self, why: &str, told: &mut Told) {
        if told.refused.is_none() {
            tracing::warn!("{self}: refused, and not tried again: {why}");
        }
        told.refused = Some(why.to_owned());
    }

    fn tell_lost(&self, why: &str, told: &mut Told) {
        if !told.is_lost {
            tracing::warn!(
                "{self}: {why}; what waits is tried again, each request for up to {:?}",
                self.settings.retry_for
            );
        }
        told.is_lost = true;
    }
}

impl<P: Sendable> fmt::Display for Sender<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = P::SIGNAL.name();
        write!(f, "OTLP {signal} to {}", self.settings.shown_endpoint())
    }
}

fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .without_max_times()
        .with_jitter()
        .build()
}
