//! `cgscope trace-forwarder`: takes spans from Kata's agents and sends them on, and nothing else.
//!
//! In: options as Kata's own forwarder has them. Out: spans, to a collector or on standard output. Never here: a kernel
//! program, a cgroup, or a privilege once the sockets are open.

pub mod options;
mod privileges;
pub mod thread;

use std::{path::Path, sync::Arc, time::Duration};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

use self::options::{DEFAULT_ENDPOINT, ForwarderArgs};
use super::{
    config::otlp::{OtelEnvironment, OtlpOptions, settings_of},
    exit::Failure,
    logging,
};
use crate::{
    error_chain,
    export::otlp::{OtlpProtocol, Outbox, OwnResource, Sender},
    reconcile::{
        delivery::{OtlpAccount, OtlpLoss, OtlpSignal},
        forwarding::{AgentError, ForwarderFigures},
    },
    trace::forwarder::{
        Forwarder, ForwarderSettings, ListenError, Listener, NoSandboxes, SpanSink, Tally,
    },
};

/// How often the log is told what changed.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// How long what waits may be sent at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Works until SIGTERM or SIGINT.
pub fn run(args: &ForwarderArgs) -> Result<(), Failure> {
    logging::start(args.log())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(|error| Failure::internal(&error))?;
    runtime.block_on(forward(args))
}

/// The way to the collector.
struct Way {
    outbox: Arc<Outbox<ResourceSpans>>,
    sender: Sender<ResourceSpans>,
}

async fn forward(args: &ForwarderArgs) -> Result<(), Failure> {
    let internal = |error| Failure::internal(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
    let environment = OtelEnvironment::of_this_process();
    let mut warnings = Vec::new();
    let told = environment.resource(&mut warnings);
    let way = if args.dump_only {
        None
    } else {
        Some(way(args, &environment, &mut warnings)?)
    };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    if let Some(way) = &way {
        let probed = tokio::select! {
            probed = way.sender.probe() => probed,
            // A collector that says nothing is not waited for then.
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        probed.map_err(|error| {
            Failure::Unavailable(format!(
                "{error}; start a collector first, name another with --otlp-endpoint, or print spans with \
                 --dump-only"
            ))
        })?;
    }
    let tally = Arc::new(Tally::default());
    let sink = way.as_ref().map_or_else(SpanSink::standard_output, |way| {
        SpanSink::to_collector(Arc::clone(&way.outbox))
    });
    let mut forwarder = Forwarder::new(ForwarderSettings {
        trace_name: args.trace_name.clone(),
        own: Arc::new(OwnResource::detect(Path::new("/"), &told)),
        sandboxes: Arc::new(NoSandboxes),
        proc: "/proc".into(),
        sink,
        tally: Arc::clone(&tally),
    });
    for listener in listeners(args).await? {
        forwarder.listen(listener);
    }

    let outbox = way.as_ref().map(|way| Arc::clone(&way.outbox));
    let account = || outbox.as_ref().map(|outbox| outbox.account());
    let sending = way.map(|way| tokio::spawn(async move { way.sender.run(GRACE).await }));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = tell(&tally, account) => {}
    }
    // Guests first: then nothing more comes.
    drop(forwarder);
    if let (Some(outbox), Some(sending)) = (&outbox, sending) {
        outbox.close();
        sending.await.map_err(|error| Failure::internal(&error))?;
    }
    tracing::info!("stopped: {}", told_of(&tally.figures(), account().as_ref()));
    Ok(())
}

fn way(
    args: &ForwarderArgs,
    environment: &OtelEnvironment,
    warnings: &mut Vec<String>,
) -> Result<Way, Failure> {
    if let Some(why) = environment.off(OtlpSignal::Traces) {
        return Err(Failure::Usage(format!(
            "nothing would be sent: {why}; unset it, or print spans with --dump-only"
        )));
    }
    let is_told = |what: &str| {
        ["", "TRACES_"].iter().any(|of| {
            let name = format!("OTEL_EXPORTER_OTLP_{of}{what}");
            environment.get(&name).is_some()
        })
    };
    // Kata's own forwarder speaks gRPC, and nothing else.
    let endpoint = args.otlp_endpoint.clone();
    let options = OtlpOptions {
        protocol: (!is_told("PROTOCOL")).then(|| OtlpProtocol::Grpc.name().to_owned()),
        endpoint: endpoint.or_else(|| (!is_told("ENDPOINT")).then(|| DEFAULT_ENDPOINT.to_owned())),
        ..OtlpOptions::default()
    };
    let settings = settings_of(
        OtlpSignal::Traces,
        [&OtlpOptions::default(), &options],
        environment,
        warnings,
    )
    .map_err(|error| Failure::Usage(error_chain(&error)))?;
    let outbox = Arc::new(Outbox::new(settings.queue));
    let sender = Sender::new(&settings, Arc::clone(&outbox))
        .map_err(|error| Failure::Usage(error_chain(&error)))?;
    Ok(Way { outbox, sender })
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
    if args.socket_paths.is_empty() {
        let listener = Listener::vsock(args.vsock_cid.0, args.vsock_port).map_err(unavailable)?;
        return Ok(vec![listener]);
    }
    if !privileges::is_root() {
        return Err(Failure::NotPermitted(
            "--socket-path needs root, as the sockets of virtual machines are in root's directories; \
             run it as root: privileges are dropped once the socket is open"
                .to_owned(),
        ));
    }
    let mut listeners = Vec::new();
    for path in &args.socket_paths {
        // The directory is another, once privileges are dropped.
        let path = std::path::absolute(path).map_err(|error| Failure::internal(&error))?;
        let listener = Listener::hybrid(&path, args.vsock_port).await;
        listeners.push(listener.map_err(unavailable)?);
    }
    privileges::drop_all().map_err(|error| Failure::NotPermitted(error_chain(&error)))?;
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
