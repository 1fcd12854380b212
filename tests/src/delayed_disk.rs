//! A disk that delays each request by a set time, on a kernel that has no `null_blk`.
//!
//! A loop device over a file of a FUSE file system, whose server, nbdkit with its filter `delay`, sleeps before
//! it answers. The kernel's block layer sees a device like another; a request takes what is set and what the
//! way through FUSE adds. When it came and was answered, the server notes by its own clock.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The disk; gone when this is dropped.
#[derive(Debug)]
pub struct DelayedDisk {
    /// Where the file system is mounted: its only file.
    file: PathBuf,
    /// Its loop device, once there is one.
    device: Option<String>,
    server: Child,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

const SIZE: u64 = 64 << 20;

impl DelayedDisk {
    /// Makes one. What is written to it is in memory.
    #[must_use]
    pub fn new(delay: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("disk");
        File::create(&file).expect("a file to mount on");
        let log = folder.path().join("log");
        let millis = delay.as_millis();
        let server = Command::new("nbdfuse")
            .arg(&file)
            .args(["--command", "nbdkit", "--single"])
            .args(["--filter=log", "--filter=delay"])
            .args(["memory".to_owned(), SIZE.to_string()])
            .arg(format!("delay-read={millis}ms"))
            .arg(format!("delay-write={millis}ms"))
            .arg(format!("logfile={}", log.display()))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nbdfuse starts");
        let mut disk = Self {
            file,
            device: None,
            server,
            log,
            _folder: folder,
        };
        disk.wait_until_mounted();
        let looped = Command::new("losetup")
            // Past the page cache, or a read would take no time.
            .args(["--find", "--show", "--direct-io=on"])
            .arg(&disk.file)
            .output()
            .expect("losetup starts");
        assert!(looped.status.success(), "{looped:?}");
        let device = String::from_utf8_lossy(&looped.stdout);
        disk.device = Some(device.trim().to_owned());
        disk
    }

    fn wait_until_mounted(&mut self) {
        let start = Instant::now();
        while fs::metadata(&self.file).expect("its file").len() != SIZE {
            let ended = self.server.try_wait().expect("its status");
            if ended.is_some() || start.elapsed() > Duration::from_secs(10) {
                drop(self.server.kill());
                let mut said = String::new();
                let mut errors = self.server.stderr.take().expect("is piped");
                drop(errors.read_to_string(&mut said));
                panic!("nbdfuse does not serve ({ended:?}): {said}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its device file.
    #[must_use]
    pub fn path(&self) -> &str {
        self.device.as_deref().expect("is there once it is made")
    }

    /// When each read or write (`what`) came to the server, and when it was answered: nanoseconds of the day.
    #[must_use]
    pub fn requests(&self, what: &str) -> Vec<[u64; 2]> {
        let log = fs::read_to_string(&self.log).expect("its log");
        let moments = |mark: String| {
            let lines = log.lines().filter(move |line| line.contains(&mark));
            lines.map(|line| {
                let time = line.split(' ').nth(1).expect("a time of day");
                let (whole, micros) = time.split_once('.').expect("a fraction");
                let whole = whole.split(':').fold(0, |sum, part| {
                    sum * 60 + part.parse::<u64>().expect("a number")
                });
                whole * 1_000_000_000 + micros.parse::<u64>().expect("a number") * 1_000
            })
        };
        let answered = moments(format!(" ...{what} "));
        moments(format!(" {what} "))
            .zip(answered)
            .map(Into::into)
            .collect()
    }

    /// What the kernel calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path().trim_start_matches("/dev/")
    }
}

impl Drop for DelayedDisk {
    fn drop(&mut self) {
        let device = self.device.as_deref();
        if let Some(device) = device {
            drop(Command::new("losetup").args(["--detach", device]).output());
        }
        unmount(&self.file);
        // Its end ends its server: nbdkit serves one client. Where it is still in use, the server's end ends it.
        let start = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(5) {
                drop(self.server.kill());
                drop(self.server.wait());
                unmount(&self.file);
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The loop device may be let go of a moment after it is detached.
fn unmount(file: &Path) {
    let is_done = || {
        let done = Command::new("umount").arg(file).output();
        done.is_ok_and(|done| done.status.success())
    };
    let start = Instant::now();
    while !is_done() && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(20));
    }
}
