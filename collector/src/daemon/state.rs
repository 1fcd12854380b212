//! What the daemon's threads share.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    attach::ProgramState,
    catalog::{
        following::{Followed, RuntimeStatus},
        kata::reading::KataReadings,
    },
    drain::Accounts,
    export::otlp::Outboxes,
    reconcile::{
        Pipeline,
        drift::{Checkpoint, CheckpointWish, DriftRatio},
        readings::Readings,
        snapshot::ReadErrors,
    },
    trace::{forwarder::Tally, lives::LivesView},
    window::Backend,
};

/// What the daemon's threads share. Locks are held for a pass, never for a sample, and never while
/// something is read from or written to the outside.
#[derive(Debug)]
pub struct State {
    pipeline: Mutex<Pipeline>,
    accounts: Mutex<Accounts>,
    /// Our own timings.
    pub own: Backend,
    /// Each program, and its file descriptor while it is attached.
    pub programs: Vec<(ProgramState, Option<i32>)>,
    /// What the kernel itself counted for each cgroup.
    pub readings: Readings,
    errors: Mutex<[ReadErrors; 2]>,
    checkpoint_wish: Mutex<Option<CheckpointWish>>,
    checkpoint: Mutex<Option<Checkpoint>>,
    drift: Mutex<Vec<DriftRatio>>,
    walked: AtomicBool,
    told_of_all: AtomicBool,
    ready: AtomicBool,
    stopping: AtomicBool,
    resync: Mutex<bool>,
    resync_wanted: Condvar,
    names_missed: tokio::sync::Notify,
    followed: Mutex<Vec<Followed>>,
    kata: Mutex<KataReadings>,
    /// Where the host's `/` is.
    pub host_root: PathBuf,
    /// Where what leaves by OTLP is put.
    pub otlp: Outboxes,
    /// What is known of the spans of containers' lives, where there are any.
    pub lives: Option<Arc<LivesView>>,
    /// What comes of Kata's agents; not set where none are listened for.
    pub forwarder: OnceLock<Arc<Tally>>,
}

/// Who reads cgroups' files.
#[derive(Clone, Copy, Debug)]
pub enum Teller {
    /// The drain thread, those that were emptied.
    Drain,
    /// The reader thread.
    Reader,
}

/// How often it is looked whether the daemon stops.
const STOP_EVERY: Duration = Duration::from_millis(200);

impl State {
    /// Before anything runs.
    #[must_use]
    pub fn new(
        pipeline: Pipeline,
        readings: Readings,
        own: Backend,
        programs: Vec<(ProgramState, Option<i32>)>,
        host_root: PathBuf,
        otlp: Outboxes,
    ) -> Self {
        Self {
            pipeline: Mutex::new(pipeline),
            accounts: Mutex::new(Accounts::default()),
            own,
            programs,
            readings,
            errors: Mutex::default(),
            checkpoint_wish: Mutex::default(),
            checkpoint: Mutex::default(),
            drift: Mutex::default(),
            walked: AtomicBool::new(false),
            told_of_all: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            resync: Mutex::new(false),
            resync_wanted: Condvar::new(),
            names_missed: tokio::sync::Notify::new(),
            followed: Mutex::default(),
            kata: Mutex::default(),
            host_root,
            otlp,
            lives: None,
            forwarder: OnceLock::new(),
        }
    }

    /// The pipeline, for one pass.
    pub fn pipeline(&self) -> MutexGuard<'_, Pipeline> {
        // A thread that panicked ends the daemon; until then numbers are better than none.
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts as of the last look at the kernel's counters.
    pub fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places at which container runtimes are or were found.
    pub fn followed(&self) -> MutexGuard<'_, Vec<Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of them.
    pub fn runtimes(&self) -> Vec<RuntimeStatus> {
        let followed = self.followed();
        followed.iter().map(Followed::status).collect()
    }

    /// What the shims of Kata told last.
    pub fn kata(&self) -> MutexGuard<'_, KataReadings> {
        self.kata.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a container may have come of which no runtime has told.
    pub fn miss_names(&self) {
        self.names_missed.notify_one();
    }

    /// Waits until [`miss_names`](Self::miss_names) is called, or it was since the last time.
    pub async fn wait_for_missed_names(&self) {
        self.names_missed.notified().await;
    }

    /// Says what went wrong for a thread that reads cgroups' files, since it began.
    pub fn tell_errors(&self, teller: Teller, errors: ReadErrors) {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)[teller as usize] = errors;
    }

    /// What went wrong for all of them.
    pub fn read_errors(&self) -> ReadErrors {
        let [drain, reader] = *self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        drain.and(reader)
    }

    /// Asks for what the events add up to; it is given to [`take_checkpoint`](Self::take_checkpoint).
    pub fn want_checkpoint(&self, wish: CheckpointWish) {
        *self.checkpoint_wish() = Some(wish);
    }

    /// What was asked for, if it was. Says so once.
    pub fn take_checkpoint_wish(&self) -> Option<CheckpointWish> {
        self.checkpoint_wish().take()
    }

    fn checkpoint_wish(&self) -> MutexGuard<'_, Option<CheckpointWish>> {
        self.checkpoint_wish
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what the events add up to.
    pub fn give_checkpoint(&self, checkpoint: Checkpoint) {
        *self
            .checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
        self.readings.wake();
    }

    /// What the events added up to, if it was handed over since.
    pub fn take_checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// How far events and the kernel's counters differ.
    pub fn drift(&self) -> MutexGuard<'_, Vec<DriftRatio>> {
        self.drift.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all cgroup trees were walked once.
    pub fn is_walked(&self) -> bool {
        self.walked.load(Ordering::Acquire)
    }

    /// Says that they were.
    pub fn set_walked(&self) {
        self.walked.store(true, Ordering::Release);
    }

    /// Whether the readings were told of all cgroups that the first walk found.
    pub fn is_told_of_all(&self) -> bool {
        self.told_of_all.load(Ordering::Acquire)
    }

    /// Says that they were.
    pub fn set_told_of_all(&self) {
        self.told_of_all.store(true, Ordering::Release);
    }

    /// Whether all cgroups of the first walk were read once.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says that it is.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether the threads are to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends the threads.
    pub fn stop(&self) {
        // Under the lock, so that no waiter is between its look and its wait.
        let guard = self.resync.lock().unwrap_or_else(PoisonError::into_inner);
        self.stopping.store(true, Ordering::Release);
        drop(guard);
        self.resync_wanted.notify_all();
        self.readings.stop();
    }

    /// Asks for a walk of the cgroup trees, out of turn.
    pub fn want_resync(&self) {
        *self.resync.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.resync_wanted.notify_all();
    }

    /// Waits until the daemon stops.
    pub fn wait_for_stop(&self) {
        while !self.is_stopping() {
            self.sleep(STOP_EVERY);
        }
    }

    /// The same, within a tokio runtime.
    pub async fn stopped(&self) {
        while !self.is_stopping() {
            tokio::time::sleep(STOP_EVERY).await;
        }
    }

    /// Sleeps, unless the daemon stops.
    pub fn sleep(&self, time: Duration) {
        let guard = self.resync.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether it was woken or slept to the end is the same to the caller.
        drop(
            self.resync_wanted
                .wait_timeout_while(guard, time, |_| !self.is_stopping()),
        );
    }

    /// Waits until a walk is wanted, but no longer than `most`. Whether one is.
    pub fn wait_for_resync(&self, most: Duration) -> bool {
        let wanted = self.resync.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut wanted, _) = self
            .resync_wanted
            .wait_timeout_while(wanted, most, |wanted| !*wanted && !self.is_stopping())
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *wanted)
    }
}
