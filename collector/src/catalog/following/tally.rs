//! What became of the calls to one runtime.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use crate::{
    catalog::{
        Runtime,
        runtimes::{Call, CallError, Endpoint, NotConnected, RuntimeClient},
    },
    error_chain,
};

/// Counts calls to one runtime, and remembers the last trouble with it.
#[derive(Debug, Default)]
pub struct Tally {
    calls: [AtomicU64; Call::ALL.len()],
    errors: [AtomicU64; CallError::NAMES.len()],
    left_out: AtomicU64,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    connected: Option<Connected>,
    last_error: Option<(SystemTime, String)>,
}

#[derive(Clone, Debug)]
struct Connected {
    runtime: Runtime,
    version: String,
    since: SystemTime,
}

/// What is known of one runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeStatus {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Who answers; absent while nobody does.
    pub runtime: Option<Runtime>,
    /// Its version; absent while nobody answers.
    pub version: Option<String>,
    /// Since when; absent while nobody answers.
    pub since: Option<SystemTime>,
    /// The last trouble, and when it was. It may be over.
    pub last_error: Option<(SystemTime, String)>,
    /// Calls, in the order of [`Call::ALL`].
    pub calls: [u64; Call::ALL.len()],
    /// Calls that failed, in the order of [`CallError::NAMES`].
    pub errors: [u64; CallError::NAMES.len()],
    /// Containers in its lists that could not be understood, or were too many.
    pub left_out: u64,
}

impl Tally {
    /// A call is made.
    pub fn count(&self, call: Call) {
        self.calls[call as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A call failed.
    pub fn fail(&self, error: &CallError) {
        self.count_error(error.name());
        self.state().last_error = Some((SystemTime::now(), error_chain(error)));
    }

    /// A list had so many that could not be used.
    pub fn leave_out(&self, count: u64) {
        self.left_out.fetch_add(count, Ordering::Relaxed);
    }

    /// The runtime answers.
    pub fn connected(&self, client: &dyn RuntimeClient) {
        let mut state = self.state();
        state.connected = Some(Connected {
            runtime: client.runtime(),
            version: client.version().to_owned(),
            since: SystemTime::now(),
        });
    }

    /// It answers no more.
    pub fn lost(&self) {
        self.state().connected = None;
    }

    /// It cannot be connected to.
    pub fn unavailable(&self, failed: &NotConnected) {
        if let Some(name) = failed.error {
            self.count_error(name);
        }
        self.state().last_error = Some((SystemTime::now(), failed.to_string()));
    }

    fn count_error(&self, name: &str) {
        let index = CallError::NAMES.iter().position(|of| *of == name);
        if let Some(count) = index.and_then(|index| self.errors.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is known.
    pub fn status(&self, endpoint: &Endpoint) -> RuntimeStatus {
        let State {
            connected,
            last_error,
        } = self.state().clone();
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RuntimeStatus {
            endpoint: endpoint.clone(),
            runtime: connected.as_ref().map(|of| of.runtime),
            version: connected.as_ref().map(|of| of.version.clone()),
            since: connected.as_ref().map(|of| of.since),
            last_error,
            calls: self.calls.each_ref().map(load),
            errors: self.errors.each_ref().map(load),
            left_out: load(&self.left_out),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
