//! `cgscope trace-forwarder`: takes spans from Kata's agents and sends them on, and nothing else.
//!
//! In: options as Kata's own forwarder has them. Out: spans, to a collector or on standard output. Never here: a kernel
//! program, a cgroup, or a privilege once the sockets are open.

pub mod options;
mod privileges;
pub mod thread;
mod way;

use std::{io, path::Path, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use self::{options::ForwarderArgs, way::Way};
use super::{config::otlp::OtelEnvironment, exit::Failure, logging, stop_signals::StopSignals};
use crate::{
    error_chain,
    export::otlp::OwnResource,
    reconcile::{
        delivery::{OtlpAccount, OtlpLoss},
        forwarding::{AgentError, ForwarderFigures},
    },
    trace::forwarder::{
        Forwarder, ForwarderSettings, ListenError, Listener, NoSandboxes, Printer, Printing,
        SpanSink, Tally,
    },
};

/// How often the log is told what changed.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// How long what waits may be sent at the end.
const GRACE: Duration = Duration::from_secs(5);

/// How long what waits may be printed then, to a program that may not read at all.
const PRINT_GRACE: Duration = Duration::from_secs(2);

/// Works until SIGTERM or SIGINT.
pub fn run(args: &ForwarderArgs) -> Result<(), Failure> {
    logging::start(args.log())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // For a look at the host's processes, and for looks for the collector's address, any of which may hang.
        .max_blocking_threads(8)
        .build()
        .map_err(|error| Failure::internal(&error))?;
    let ended = runtime.block_on(forward(args));
    // A look at processes or for the collector's address may hang.
    runtime.shutdown_background();
    ended
}

async fn forward(args: &ForwarderArgs) -> Result<(), Failure> {
    let internal = |error| Failure::internal(&error);
    let mut stop_signals = StopSignals::new().map_err(internal)?;
    let environment = OtelEnvironment::of_this_process();
    let mut warnings = Vec::new();
    let told = environment.resource(&mut warnings);
    let way = if args.dump_only {
        None
    } else {
        let endpoint = args.otlp_endpoint.as_deref();
        Some(Way::new(endpoint, &environment, &mut warnings)?)
    };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    if let Some(way) = &way {
        let probed = tokio::select! {
            probed = way.sender.probe() => probed,
            // A collector that says nothing is not waited for then.
            () = stop_signals.received() => return Ok(()),
        };
        probed.map_err(|error| {
            Failure::Unavailable(format!(
                "{error}; start a collector first, name another with --otlp-endpoint, or print spans with \
                 --dump-only"
            ))
        })?;
    }
    let listeners = listeners(args).await?;
    let tally = Arc::new(Tally::default());
    let (sink, mut printing) = if let Some(way) = &way {
        (SpanSink::to_collector(Arc::clone(&way.outbox)), None)
    } else {
        let started = Printer::start(Box::new(io::stdout()));
        let (printer, printing) = started.map_err(internal)?;
        (SpanSink::Dump(printer), Some(printing))
    };
    let forwarder = Forwarder::new(ForwarderSettings {
        trace_name: args.trace_name.clone(),
        own: Arc::new(OwnResource::detect(Path::new("/"), &told)),
        sandboxes: Arc::new(NoSandboxes),
        proc: "/proc".into(),
        sink,
        tally: Arc::clone(&tally),
    });
    for listener in listeners {
        drop(forwarder.listen(listener));
    }

    let outbox = way.as_ref().map(|way| Arc::clone(&way.outbox));
    let account = || outbox.as_ref().map(|outbox| outbox.account());
    let sending = way.map(|way| tokio::spawn(async move { way.sender.run(GRACE).await }));
    let failed = tokio::select! {
        () = stop_signals.received() => Ok(()),
        () = tell(&tally, account) => Ok(()),
        error = failed(printing.as_mut()) => Err(not_printed(&error)),
    };
    stop_signals.end_at_once();
    // Guests first: then nothing more comes.
    drop(forwarder);
    if let (Some(outbox), Some(sending)) = (&outbox, sending) {
        outbox.close();
        sending.await.map_err(|error| Failure::internal(&error))?;
    }
    let printed = match (failed, printing) {
        (Ok(()), Some(printing)) => finish(printing).await,
        (failed, _) => failed,
    };
    tracing::info!("stopped: {}", told_of(&tally.figures(), account().as_ref()));
    printed
}

/// Waits until spans cannot be printed; for ever where none are.
async fn failed(printing: Option<&mut Printing>) -> io::Error {
    match printing {
        Some(printing) => printing.failed().await,
        None => std::future::pending().await,
    }
}

async fn finish(printing: Printing) -> Result<(), Failure> {
    let left = printing.finish(PRINT_GRACE).await;
    let left = left.map_err(|error| not_printed(&error))?;
    if left > 0 {
        tracing::warn!("{left} spans are not printed: what reads standard output did not in time");
    }
    Ok(())
}

fn not_printed(error: &io::Error) -> Failure {
    Failure::Unavailable(format!(
        "cannot print spans: {error}; keep standard output open, and what it goes to reading"
    ))
}

/// Opens the sockets, and gives up the privileges that were needed for it.
async fn listeners(args: &ForwarderArgs) -> Result<Vec<Listener>, Failure> {
    let unavailable = |error: ListenError| {
        let text = error_chain(&error);
        if error.is_not_permitted() {
            Failure::NotPermitted(text)
        } else {
            Failure::Unavailable(text)
        }
    };
    let is_root = privileges::is_root();
    let mut listeners = Vec::new();
    if args.socket_paths.is_empty() {
        let listener = Listener::vsock(args.vsock_cid.0, args.vsock_port);
        listeners.push(listener.map_err(unavailable)?);
    } else if !is_root {
        return Err(Failure::NotPermitted(
            "--socket-path needs root, as the sockets of virtual machines are in root's directories; \
             run it as root: privileges are dropped once the socket is open"
                .to_owned(),
        ));
    }
    for path in &args.socket_paths {
        // The directory is another, once privileges are dropped.
        let path = std::path::absolute(path).map_err(|error| Failure::internal(&error))?;
        let listener = Listener::hybrid(&path, args.vsock_port).await;
        listeners.push(listener.map_err(unavailable)?);
    }
    if is_root && let Err(error) = privileges::drop_all() {
        let why = error_chain(&error);
        if !args.socket_paths.is_empty() {
            return Err(Failure::NotPermitted(why));
        }
        // AF_VSOCK took none: who starts it in a container without capabilities has dropped them.
        tracing::warn!("{why}; goes on with {}", privileges::kept());
    }
    Ok(listeners)
}

/// Tells the log of changes, and never ends.
async fn tell(tally: &Tally, account: impl Fn() -> Option<OtlpAccount>) {
    let mut told = (tally.figures(), account());
    let mut ticks = interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = (tally.figures(), account());
        if now != told {
            tracing::info!("{}", told_of(&now.0, now.1.as_ref()));
            told = now;
        }
    }
}

/// In words; of losses and errors those that there were.
fn told_of(figures: &ForwarderFigures, account: Option<&OtlpAccount>) -> String {
    let ForwarderFigures {
        spans,
        accepted,
        open,
        sockets: _,
        errors,
    } = figures;
    let mut parts = vec![format!(
        "{spans} spans of {accepted} connections, {open} of them open"
    )];
    let errors = AgentError::ALL.iter().zip(errors);
    let errors = errors.filter(|(_, count)| **count > 0);
    parts.extend(errors.map(|(error, count)| format!("{count} disconnected: {}", error.name())));
    if let Some(account) = account {
        parts.push(format!("{} sent, {} wait", account.sent, account.waiting));
        let losses = OtlpLoss::ALL.iter().zip(account.lost);
        let losses = losses.filter(|(_, count)| *count > 0);
        parts.extend(losses.map(|(loss, count)| format!("{count} lost: {}", loss.name())));
    }
    parts.join(", ")
}
