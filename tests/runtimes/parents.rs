//! The cgroups that runtimes make for their containers to live in, and leave behind.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Cgroups that were not there when this was made, and are not there once it is dropped.
///
/// One test at a time has them: what it removes would else be another's, who has just begun. So are
/// containerd's folder of state and the known places of sockets one test's at a time. Made before the
/// test's cgscope is started, which has a lock of its own.
pub(crate) struct Parents {
    absent: Vec<PathBuf>,
    _turn: MutexGuard<'static, ()>,
}

impl Parents {
    /// Notes which of the paths, from the root of each hierarchy, are missing where. Children come
    /// before their parents.
    pub(crate) fn of(paths: &[&str]) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A test that failed while it held the lock is no reason for others to.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let roots = mounts.lines().filter_map(|mount| {
            let mut words = mount.split(' ').skip(1);
            let root = words.next()?;
            words.next()?.starts_with("cgroup").then_some(root)
        });
        let absent = roots
            .flat_map(|root| {
                paths
                    .iter()
                    .map(move |path| PathBuf::from(format!("{root}/{path}")))
            })
            .filter(|directory| !directory.exists())
            .collect();
        Self {
            absent,
            _turn: turn,
        }
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        let start = Instant::now();
        for directory in &self.absent {
            // Podman's monitor ends a moment after its container. A cgroup that is somebody else's by
            // now, with a container in it, stays.
            while directory.exists()
                && fs::remove_dir(directory).is_err()
                && start.elapsed() < Duration::from_secs(2)
            {
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}
