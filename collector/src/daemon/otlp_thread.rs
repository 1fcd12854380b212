//! Sends metrics and spans to an OpenTelemetry collector.
//!
//! One thread with a runtime of its own: a collector that hangs takes nothing from those who read, drain or
//! serve. What metrics are made of is looked at on a second thread of that runtime, as a scrape would: the
//! requests of either signal go on meanwhile.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::{metrics::v1::ResourceMetrics, trace::v1::ResourceSpans};
use tokio::{
    sync::oneshot,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{config::OtlpConfig, exit::Failure};
use crate::{
    catalog::Onlooker,
    error_chain,
    export::{
        Source,
        otlp::{
            Bounds, MetricsEncoder, Outbox, Outboxes, OwnResource, Sendable, Sender, SenderError,
        },
    },
    host::block_devices,
    window::Device,
};

/// How long what waits may be sent when the daemon ends.
const GRACE: Duration = Duration::from_millis(400);

/// How long each of the last looks may take: the one under way, and the one at the end.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Outboxes for what is configured to be sent.
#[must_use]
pub fn outboxes(config: &OtlpConfig, own: OwnResource) -> Outboxes {
    fn outbox<P: Sendable>(bounds: Bounds) -> Arc<Outbox<P>> {
        Arc::new(Outbox::new(bounds))
    }
    let metrics = config
        .metrics
        .as_ref()
        .map(|settings| outbox(settings.queue));
    let traces = config
        .traces
        .as_ref()
        .map(|settings| outbox(settings.queue));
    Outboxes {
        own: Arc::new(own),
        metrics,
        traces,
    }
}

/// The thread.
pub struct OtlpThread {
    runtime: tokio::runtime::Runtime,
    metrics: Option<MetricsWork>,
    traces: Option<Sender<ResourceSpans>>,
    /// Sent, or dropped, when all who put something in have ended.
    ending: oneshot::Receiver<()>,
}

/// Tells [`OtlpThread`] that the daemon ends, at the latest when it is dropped.
#[derive(Debug)]
pub struct LastCall(#[expect(dead_code, reason = "dropped is enough")] oneshot::Sender<()>);

struct MetricsWork {
    sender: Sender<ResourceMetrics>,
    outbox: Arc<Outbox<ResourceMetrics>>,
    interval: Duration,
    source: Arc<dyn Source>,
    encoder: MetricsEncoder,
}

impl std::fmt::Debug for OtlpThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpThread").finish_non_exhaustive()
    }
}

impl OtlpThread {
    /// For what is put into `outboxes`; metrics are `source`'s. `None` when nothing is sent.
    pub fn new(
        config: &OtlpConfig,
        outboxes: &Outboxes,
        source: Arc<dyn Source>,
    ) -> Result<Option<(Self, LastCall)>, Failure> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if outboxes.metrics.is_none() && outboxes.traces.is_none() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("otlp-snapshot")
            // For the metrics, and for looks for addresses, which may hang.
            .max_blocking_threads(8)
            .build()
            .map_err(|error| Failure::internal(&error))?;
        // Files that cannot be used are told now, and not when the first request is due.
        let unusable = |error: SenderError| Failure::Usage(error_chain(&error));
        let entered = runtime.enter();
        let metrics = match (&config.metrics, &outboxes.metrics) {
            (Some(settings), Some(outbox)) => Some(MetricsWork {
                sender: Sender::new(settings, Arc::clone(outbox)).map_err(unusable)?,
                outbox: Arc::clone(outbox),
                interval: config.interval,
                source,
                encoder: MetricsEncoder::new(
                    Arc::clone(&outboxes.own),
                    config.temporality,
                    SystemTime::now(),
                ),
            }),
            _ => None,
        };
        let traces = match (&config.traces, &outboxes.traces) {
            (Some(settings), Some(outbox)) => {
                Some(Sender::new(settings, Arc::clone(outbox)).map_err(unusable)?)
            }
            _ => None,
        };
        drop(entered);
        let (last_call, ending) = oneshot::channel();
        let thread = Self {
            runtime,
            metrics,
            traces,
            ending,
        };
        Ok(Some((thread, LastCall(last_call))))
    }

    /// Works until the last call, and then a little to send what waits.
    pub fn run(self, outboxes: &Outboxes) {
        let Self {
            runtime,
            metrics,
            traces,
            ending,
        } = self;
        runtime.block_on(async {
            let ended = async {
                // Whether it was sent or dropped is the same.
                drop(ending.await);
                if let Some(traces) = &outboxes.traces {
                    traces.close();
                }
            };
            tokio::join!(send_spans(traces), send_metrics(metrics, ended));
        });
        // A snapshot that takes long is not waited for.
        runtime.shutdown_background();
    }
}

async fn send_spans(sender: Option<Sender<ResourceSpans>>) {
    if let Some(sender) = sender {
        tracing::info!("{sender}: started");
        sender.run(GRACE).await;
    }
}

/// Makes data points once in an interval and once at the end, while they are sent.
async fn send_metrics(work: Option<MetricsWork>, ended: impl Future<Output = ()>) {
    let Some(MetricsWork {
        sender,
        outbox,
        interval: every,
        source,
        encoder,
    }) = work
    else {
        return ended.await;
    };
    tracing::info!("{sender}: started, every {every:?}");
    let make = async {
        let mut encoder = Some(encoder);
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first comes at once, when nothing has been read yet.
        ticks.tick().await;
        tokio::pin!(ended);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut ended => break,
            }
            let mut making = pin!(put(encoder, &source, &outbox));
            tokio::select! {
                made = &mut making => encoder = made,
                () = &mut ended => {
                    encoder = timeout(LAST_LOOK, making).await.unwrap_or_default();
                    break;
                }
            }
        }
        // One that takes longer finds the outbox closed, which counts it.
        let last = timeout(LAST_LOOK, put(encoder, &source, &outbox)).await;
        if last.unwrap_or_default().is_none() {
            tracing::warn!("the last metrics are not sent: they could not be made in time");
        }
        outbox.close();
    };
    tokio::join!(make, sender.run(GRACE));
}

/// Puts in what can be told now. `None` for the encoder when it is lost: nothing more will come of it.
async fn put(
    encoder: Option<MetricsEncoder>,
    source: &Arc<dyn Source>,
    outbox: &Arc<Outbox<ResourceMetrics>>,
) -> Option<MetricsEncoder> {
    let mut encoder = encoder?;
    let (source, outbox) = (Arc::clone(source), Arc::clone(outbox));
    let made = spawn_blocking(move || {
        match encoder.encode(source.snapshot(Onlooker::Exporter), &disks()) {
            Ok(parcels) => parcels.into_iter().for_each(|parcel| {
                // What finds no room is counted there.
                outbox.put(parcel);
            }),
            Err(error) => tracing::error!("no metrics this time: {}", error_chain(&error)),
        }
        encoder
    });
    made.await
        .inspect_err(|error| tracing::error!("no metrics are sent any more: {error}"))
        .ok()
}

/// The disks' names.
fn disks() -> BTreeMap<Device, String> {
    let disks = block_devices::names().into_iter();
    let named = disks.map(|(number, name)| {
        let (major, minor) = (number.major, number.minor);
        (Device { major, minor }, name)
    });
    // It stands for those of a cgroup that has used more than are told apart.
    let other = Device { major: 0, minor: 0 };
    named.chain([(other, "~other".to_owned())]).collect()
}
