//! The HTTP endpoint: `/metrics`, `/catalog.json`, `/container.json`, `/healthz`, `/readyz` and a page that links them.
//!
//! In: requests, and a [`Source`] to ask. Out: answers. Nothing changes state over HTTP.
//!
//! The endpoint has a thread and a runtime of its own: compressing a large exposition keeps a thread
//! busy for a while, and what drains the rings must not wait for that. It also means that nothing of
//! the endpoint is left when [`serve`] returns.

use std::{
    future::Future, io, net::TcpListener as StdListener, pin::Pin, sync::Arc, thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, VARY},
    },
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use tokio::{
    net::TcpListener,
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    task::spawn_blocking,
};
use tower_http::{CompressionLevel, compression::CompressionLayer};
use tracing::error;

use super::{
    NameSets,
    connection::{BoundedListener, Limits},
    container_question::which,
    encode_error::EncodeError,
    exposition::encode_in_pieces,
    format::Format,
    listing::{CatalogDocument, ContainerDocument},
    piece_stream::{StreamError, piece_stream},
};
use crate::{
    catalog::{
        Onlooker,
        details::{Details, Which},
        provider::capability,
    },
    error_chain,
    host::block_devices,
    reconcile::{Listing, Snapshot},
    window::Device,
};

/// Scrapes that are being encoded or sent. Each holds a snapshot, tens of MiB with a thousand busy
/// containers, so more would cost memory where two Prometheus servers are usual.
const SCRAPES: usize = 2;

/// Catalogs that are being put together or sent. They have a place of their own, so that nobody's look
/// at the catalog makes a scrape fail.
const CATALOGS: usize = 2;

/// What clients may take. An idle connection outlasts a scrape interval of a minute.
pub(super) const LIMITS: Limits = Limits {
    connections: 64,
    request: Duration::from_secs(10),
    response: Duration::from_secs(20),
};

/// How long requests in flight have to finish once the endpoint is told to stop.
const GRACE: Duration = Duration::from_millis(200);

const INDEX: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>cgscope</title></head>\n",
    "<body>\n<h1>cgscope ",
    env!("CARGO_PKG_VERSION"),
    "</h1>\n<p>Latency, block I/O and OOM of every container, from the kernel.</p>\n<ul>\n",
    "<li><a href=\"/metrics\">/metrics</a>: the numbers</li>\n",
    "<li><a href=\"/catalog.json\">/catalog.json</a>: which cgroups there are and were</li>\n",
    "<li><a href=\"/container.json?self\">/container.json</a>?name=, ?pid=, …: one container, now</li>\n",
    "<li><a href=\"/healthz\">/healthz</a>: whether the daemon is alive</li>\n",
    "<li><a href=\"/readyz\">/readyz</a>: whether the numbers are there</li>\n",
    "</ul>\n</body>\n</html>\n",
);

/// Where the endpoint has its answers from.
pub trait Source: Send + Sync + 'static {
    /// All numbers now, and who looks at them. Called on a thread that may block.
    fn snapshot(&self, by: Onlooker) -> Snapshot;

    /// Which cgroups there are now, and were. Called on a thread that may block.
    fn listing(&self) -> Listing;

    /// A container, looked at now; `None` when too many are asking.
    fn details(&self, which: Which) -> DetailsFuture;

    /// Which sets of names are exported besides our own.
    fn names(&self) -> NameSets {
        NameSets::default()
    }

    /// Whether programs are attached and there are numbers, and a line for each signal that is off all
    /// the same; else why not. Must not block.
    fn readiness(&self) -> Result<Vec<String>, String>;
}

/// What comes of a question about one container.
pub type DetailsFuture = Pin<Box<dyn Future<Output = Option<capability::Answer<Details>>> + Send>>;

/// The endpoint could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket could not be handed to the endpoint's thread.
    #[error("cannot use the listening socket")]
    Listener(#[source] io::Error),
    /// No thread.
    #[error("cannot start the thread of the HTTP endpoint")]
    Thread(#[source] io::Error),
    /// No runtime on the thread.
    #[error("cannot start the runtime of the HTTP endpoint")]
    Runtime(#[source] io::Error),
    /// The server failed.
    #[error("the HTTP endpoint failed")]
    Serve(#[source] io::Error),
    /// The thread panicked.
    #[error("the HTTP endpoint ended without saying why")]
    Died,
}

/// Answers requests until `shutdown` is done, and then for a short while those in flight. When the
/// returned future is dropped the endpoint stops as well.
///
/// The thread that it starts has the capabilities of the thread that polls it first: give up
/// privileges before.
pub async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve_within(LIMITS, listener, source, shutdown).await
}

pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    source: Arc<dyn Source>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let listener = listener.into_std().map_err(ServeError::Listener)?;
    let (running, stop) = watch::channel(());
    let (result_sender, mut result) = oneshot::channel();
    thread::Builder::new()
        .name("cgscope-http".to_owned())
        .spawn(move || {
            // Nobody takes the result when the future was dropped; then nobody wants it.
            drop(result_sender.send(run(limits, listener, source, stop)));
        })
        .map_err(ServeError::Thread)?;
    tokio::select! {
        failed = &mut result => return failed.unwrap_or(Err(ServeError::Died)),
        () = shutdown => drop(running),
    }
    result.await.unwrap_or(Err(ServeError::Died))
}

/// The endpoint's thread, until the sender of `stop` is dropped.
fn run(
    limits: Limits,
    listener: StdListener,
    source: Arc<dyn Source>,
    stop: watch::Receiver<()>,
) -> Result<(), ServeError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .thread_name("cgscope-scrape")
        .max_blocking_threads(SCRAPES + CATALOGS)
        .build()
        .map_err(ServeError::Runtime)?;
    let result = runtime.block_on(async {
        let listener = TcpListener::from_std(listener).map_err(ServeError::Listener)?;
        let listener = BoundedListener::new(listener, limits);
        let server = axum::serve(listener, router(source))
            .with_graceful_shutdown(stopped(stop.clone()))
            .into_future();
        tokio::select! {
            result = server => result.map_err(ServeError::Serve),
            () = async { stopped(stop).await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    });
    // Closes what is still open, and waits no longer for a snapshot that is being encoded.
    runtime.shutdown_timeout(GRACE);
    result
}

async fn stopped(mut stop: watch::Receiver<()>) {
    // Nothing is ever sent: this ends with an error when the sender is dropped.
    while stop.changed().await.is_ok() {}
}

struct Endpoint {
    source: Arc<dyn Source>,
    scrapes: Arc<Semaphore>,
    catalogs: Arc<Semaphore>,
}

fn router(source: Arc<dyn Source>) -> Router {
    let endpoint = Endpoint {
        source,
        scrapes: Arc::new(Semaphore::new(SCRAPES)),
        catalogs: Arc::new(Semaphore::new(CATALOGS)),
    };
    // Label text repeats so much that more effort makes it hardly smaller.
    let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
    Router::new()
        .route("/", get(async || Html(INDEX)))
        .route("/metrics", get(metrics).layer(compression.clone()))
        .route("/catalog.json", get(catalog).layer(compression))
        .route("/container.json", get(container))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "not found; / lists what there is\n"))
        .with_state(Arc::new(endpoint))
}

async fn ready(State(endpoint): State<Arc<Endpoint>>) -> Response {
    match endpoint.source.readiness() {
        Ok(off) if off.is_empty() => "ready".into_response(),
        Ok(off) => format!("ready\n{}", off.join("\n")).into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

/// An answer that takes up one of the catalogs until the last byte has gone out.
struct Answer {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

async fn metrics(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap) -> Response {
    let Ok(scrape) = Arc::clone(&endpoint.scrapes).try_acquire_owned() else {
        return busy("too many scrapes at once\n");
    };
    let accept: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let format = Format::negotiate(&accept);
    let (sender, stream) = piece_stream(scrape);
    spawn_blocking(move || {
        let source = &endpoint.source;
        let taken = |piece| sender.send(piece);
        let result = encode_in_pieces(
            source.snapshot(Onlooker::Scraper),
            format,
            source.names(),
            disk_name,
            taken,
        );
        if let Err(error) = &result
            && !matches!(error, EncodeError::Unwanted)
        {
            error!(error = error as &dyn std::error::Error, "a scrape failed");
        }
        sender.end(result);
    });
    match stream.begun().await {
        Ok(exposition) => {
            let head = [(CONTENT_TYPE, format.content_type()), (VARY, "accept")];
            (head, Body::new(exposition)).into_response()
        }
        Err(StreamError::Encode(_)) => failure(),
        Err(error @ StreamError::Died) => {
            error!(%error, "a scrape died");
            failure()
        }
    }
}

async fn catalog(State(endpoint): State<Arc<Endpoint>>) -> Response {
    let Ok(place) = Arc::clone(&endpoint.catalogs).try_acquire_owned() else {
        return busy("too many look at the catalog at once\n");
    };
    let encoded = spawn_blocking(move || {
        let document = CatalogDocument::of(endpoint.source.listing());
        document.encode().map(|bytes| Answer {
            bytes,
            _place: place,
        })
    });
    match encoded.await {
        Ok(Ok(answer)) => {
            let head = [(CONTENT_TYPE, "application/json")];
            (head, Bytes::from_owner(answer)).into_response()
        }
        Ok(Err(error)) => {
            error!(
                error = &error as &dyn std::error::Error,
                "the catalog failed"
            );
            failure()
        }
        Err(error) => {
            error!(%error, "the catalog died");
            failure()
        }
    }
}

async fn container(State(endpoint): State<Arc<Endpoint>>, RawQuery(query): RawQuery) -> Response {
    let which = match which(query.as_deref().unwrap_or_default()) {
        Ok(which) => which,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason.to_owned() + "\n").into_response(),
    };
    let Some(answer) = endpoint.source.details(which).await else {
        return busy("too many ask about containers at once\n");
    };
    match answer {
        Ok(Some(details)) => match ContainerDocument::of(&details).encode() {
            Ok(bytes) => ([(CONTENT_TYPE, "application/json")], bytes).into_response(),
            Err(error) => {
                error!(
                    error = &error as &dyn std::error::Error,
                    "a container failed"
                );
                failure()
            }
        },
        Ok(None) => (
            StatusCode::NOT_FOUND,
            "no container is called so, or more than one\n",
        )
            .into_response(),
        Err(error) => {
            let reason = format!("it cannot be told: {}\n", error_chain(&error));
            (StatusCode::BAD_GATEWAY, reason).into_response()
        }
    }
}

/// 0:0 is no disk: it stands for those of a cgroup that has used more than are told apart.
fn disk_name(Device { major, minor }: Device) -> String {
    match (major, minor) {
        (0, 0) => "~other".to_owned(),
        (major, minor) => block_devices::name(major, minor),
    }
}

fn busy(body: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response()
}

fn failure() -> Response {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "the log of cgscope says why\n",
    )
        .into_response()
}
