//! The forwarder as a part of `run`.
//!
//! One thread with a runtime of its own: what guests send takes nothing from those who read, drain or serve. It is root
//! as the daemon is, and so can listen for sandboxes that come later.

use std::{path::PathBuf, sync::Arc};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use crate::{
    catalog::{Role, RuntimeContainer},
    daemon::{
        config::{Config, ForwarderConfig},
        state::State,
    },
    export::otlp::Outbox,
    trace::forwarder::{
        Discovery, Forwarder, ForwarderSettings, KnownSandbox, Place, Sandboxes, SpanSink, Tally,
        listen_on,
    },
};

/// Some paths have but the first of an id.
const CUT_ID: usize = 32;

/// The thread.
#[derive(Debug)]
pub struct ForwarderThread {
    config: ForwarderConfig,
    host_root: PathBuf,
    outbox: Arc<Outbox<ResourceSpans>>,
    tally: Arc<Tally>,
    state: Arc<State>,
}

impl ForwarderThread {
    /// `None` where it is off, or no spans are sent.
    #[must_use]
    pub fn new(config: &Config, state: &Arc<State>) -> Option<Self> {
        let outbox = state.otlp.traces.as_ref()?;
        config.trace.forwarder.enabled.then(|| Self {
            config: config.trace.forwarder.clone(),
            host_root: config.host_root.clone(),
            outbox: Arc::clone(outbox),
            tally: Arc::clone(state.forwarder.get_or_init(Arc::default)),
            state: Arc::clone(state),
        })
    }

    /// Works until the daemon stops.
    pub fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build();
        match runtime {
            Ok(runtime) => {
                runtime.block_on(async {
                    tokio::select! {
                        () = self.forward() => {}
                        () = self.state.stopped() => {}
                    }
                });
                // A look at the host's processes may hang.
                runtime.shutdown_background();
            }
            Err(error) => {
                tracing::warn!("spans of Kata's agents are not taken: {error}");
                self.state.wait_for_stop();
            }
        }
    }

    async fn forward(&self) {
        let config = &self.config;
        let forwarder = Forwarder::new(ForwarderSettings {
            trace_name: config.trace_name.clone(),
            own: Arc::clone(&self.state.otlp.own),
            sandboxes: Arc::new(ToldSandboxes(Arc::clone(&self.state))),
            proc: self.host_root.join("proc"),
            sink: SpanSink::to_collector(Arc::clone(&self.outbox)),
            tally: Arc::clone(&self.tally),
        });
        let port = config.vsock_port;
        let vsock = config.vsock.then_some(Place::Vsock {
            cid: config.vsock_cid,
            port,
        });
        let paths = config.socket_paths.iter().cloned();
        let hybrid = paths.map(|socket_path| Place::Hybrid { socket_path, port });
        let places = vsock.into_iter().chain(hybrid).collect();
        let discovery = async {
            if config.discover_sockets {
                let discovery = Discovery::new(self.host_root.clone(), port);
                discovery.run(&forwarder).await;
            }
        };
        tokio::join!(listen_on(places, &forwarder), discovery);
        std::future::pending::<()>().await;
    }
}

/// Those that runtimes told of.
struct ToldSandboxes(Arc<State>);

impl Sandboxes for ToldSandboxes {
    fn find(&self, id: &str) -> Option<KnownSandbox> {
        let pipeline = self.0.pipeline();
        find(pipeline.roster().containers().map(AsRef::as_ref), id)
    }
}

/// The one sandbox that can be meant; `None` where there are more.
fn find<'a, I>(told: I, id: &str) -> Option<KnownSandbox>
where
    I: Iterator<Item = &'a RuntimeContainer>,
{
    let is_cut = id.len() == CUT_ID;
    let mut found: Option<&RuntimeContainer> = None;
    let mut is_ambiguous = false;
    for of in told.filter(|of| of.role == Role::Sandbox && !of.pod_uid.is_empty()) {
        if of.id == id {
            return Some(known(of));
        }
        if is_cut && of.id.starts_with(id) {
            is_ambiguous |= found.is_some_and(|before| before.id != of.id);
            found = Some(of);
        }
    }
    found.filter(|_| !is_ambiguous).map(known)
}

fn known(of: &RuntimeContainer) -> KnownSandbox {
    KnownSandbox {
        id: of.id.clone(),
        namespace: of.names.namespace.clone(),
        pod: of.names.pod.clone(),
        pod_uid: of.pod_uid.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Names;

    fn told(id: &str, role: Role, pod: &str) -> RuntimeContainer {
        RuntimeContainer {
            id: id.to_owned(),
            role,
            names: Names {
                pod: pod.to_owned(),
                namespace: "shop".to_owned(),
                ..Names::default()
            },
            pod_uid: pod.to_owned(),
            ..RuntimeContainer::default()
        }
    }

    #[test]
    fn a_sandbox_is_found_by_its_id_or_by_the_only_one_that_begins_so() {
        let whole = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let twin = "0123456789abcdef0123456789abcdefffffffffffffffffffffffffffffffff";
        let all = [
            told(whole, Role::Sandbox, "web-0"),
            told("plain", Role::Container, "web-1"),
            told("no-pod", Role::Sandbox, ""),
        ];
        let pod = |all: &[RuntimeContainer], id: &str| find(all.iter(), id).map(|of| of.pod);
        assert_eq!(pod(&all, whole).as_deref(), Some("web-0"));
        let cut = &whole[..CUT_ID];
        assert_eq!(find(all.iter(), cut).unwrap().id, whole);
        for none in ["plain", "no-pod", "0123", &whole[..40], ""] {
            assert_eq!(pod(&all, none), None, "{none}");
        }
        let two = [all[0].clone(), told(twin, Role::Sandbox, "web-2")];
        assert_eq!(pod(&two, cut), None, "either could be meant");
        assert_eq!(pod(&two, twin).as_deref(), Some("web-2"));
    }
}
