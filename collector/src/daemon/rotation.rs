//! Rotates a backend's windows by the clock.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{self, Instant, MissedTickBehavior},
};

use crate::window::Backend;

/// A task that rotates a backend's windows at an interval. It ends when this is stopped or dropped.
#[derive(Debug)]
pub struct Rotation {
    /// Absent when nothing ever rotates.
    task: Option<Task>,
}

#[derive(Debug)]
struct Task {
    /// Dropping it tells the task to end.
    stop: oneshot::Sender<()>,
    handle: JoinHandle<()>,
}

impl Rotation {
    /// Rotates the windows of `backend` at every `interval`, the first time after one. An interval
    /// of 0 means never: one window for ever, and no task.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(backend: Backend, interval: Duration) -> Self {
        if interval.is_zero() {
            return Self { task: None };
        }
        let (stop, stopped) = oneshot::channel();
        let handle = tokio::spawn(rotate(backend, interval, stopped));
        Self {
            task: Some(Task { stop, handle }),
        }
    }

    /// Ends the task and waits until it has ended: nothing rotates after that.
    pub async fn stop(self) {
        let Some(Task { stop, handle }) = self.task else {
            return;
        };
        drop(stop);
        if let Err(error) = handle.await {
            tracing::error!(%error, "the task that rotates our own timers did not end well");
        }
    }
}

async fn rotate(backend: Backend, interval: Duration, mut stopped: oneshot::Receiver<()>) {
    let mut ticks = time::interval_at(Instant::now() + interval, interval);
    // After a stall, one rotation: several at once would forget windows that had no time to fill.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => return,
            _ = ticks.tick() => backend.rotate(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::BackendSettings;

    const INTERVAL: Duration = Duration::from_secs(10);

    /// A backend whose histogram shows how many windows ago its value was recorded: it is gone after
    /// `windows` rotations.
    fn backend_with_a_value(windows: usize) -> Backend {
        let backend = Backend::new(BackendSettings {
            windows,
            ..BackendSettings::default()
        });
        backend.factory().histogram("h", &[]).record(1);
        backend
    }

    fn has_value(backend: &Backend) -> bool {
        backend.snapshot().gauges.contains_key("h.P50")
    }

    #[tokio::test(start_paused = true)]
    async fn windows_rotate_once_per_interval() {
        let backend = backend_with_a_value(3);
        let rotation = Rotation::start(backend.clone(), INTERVAL);
        time::sleep(INTERVAL * 5 / 2).await;
        assert!(has_value(&backend), "two rotations");
        time::sleep(INTERVAL).await;
        assert!(!has_value(&backend), "three rotations");
        rotation.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn interval_zero_is_one_window_for_ever_and_no_task() {
        let backend = backend_with_a_value(1);
        let rotation = Rotation::start(backend.clone(), Duration::ZERO);
        assert!(rotation.task.is_none());
        time::sleep(1_000 * INTERVAL).await;
        assert!(has_value(&backend));
        rotation.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_rotates_after_stop() {
        let backend = backend_with_a_value(1);
        let rotation = Rotation::start(backend.clone(), INTERVAL);
        let ended = rotation.task.as_ref().unwrap().handle.abort_handle();
        rotation.stop().await;
        assert!(ended.is_finished());
        time::sleep(10 * INTERVAL).await;
        assert!(has_value(&backend));
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_ends_when_the_rotation_is_dropped() {
        let backend = backend_with_a_value(1);
        let rotation = Rotation::start(backend.clone(), INTERVAL);
        let ended = rotation.task.as_ref().unwrap().handle.abort_handle();
        drop(rotation);
        time::sleep(INTERVAL / 2).await;
        assert!(ended.is_finished());
        assert!(has_value(&backend));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_costs_one_window() {
        let backend = backend_with_a_value(3);
        let rotation = Rotation::start(backend.clone(), INTERVAL);
        tokio::task::yield_now().await;
        time::advance(5 * INTERVAL).await;
        time::sleep(INTERVAL / 2).await;
        assert!(has_value(&backend), "one rotation, not five");
        rotation.stop().await;
    }
}
