//! The daemons of container runtimes, started by hand with folders of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A runtime's daemon; ended, with all it mounted, when this is dropped.
pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Server {
    /// Docker's, with a containerd of its own.
    pub(crate) fn dockerd() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let config = folder.path().join("daemon.json");
        fs::write(&config, "{}").unwrap();
        let mut dockerd = Command::new("dockerd");
        dockerd
            .arg(format!("--config-file={}", config.display()))
            .arg(format!("--host=unix://{}", socket.display()))
            .arg(format!(
                "--data-root={}",
                folder.path().join("data").display()
            ))
            .arg(format!(
                "--exec-root={}",
                folder.path().join("exec").display()
            ))
            .arg(format!("--pidfile={}", folder.path().join("pid").display()))
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false"])
            .args([
                "--storage-driver=vfs",
                "--exec-opt=native.cgroupdriver=cgroupfs",
            ]);
        Self::start(dockerd, folder, socket)
    }

    /// containerd. Its state is where containerd's always is: that is how its tasks are told.
    pub(crate) fn containerd() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("containerd.sock");
        let config = folder.path().join("config.toml");
        fs::write(
            &config,
            "version = 2\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n",
        )
        .unwrap();
        let mut containerd = Command::new("containerd");
        containerd
            .arg("--config")
            .arg(&config)
            .arg("--address")
            .arg(&socket)
            .arg("--root")
            .arg(folder.path().join("root"));
        Self::start(containerd, folder, socket)
    }

    fn start(mut command: Command, folder: tempfile::TempDir, socket: PathBuf) -> Self {
        let log = folder.path().join("log");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `cargo xtask setup --tests` installs it")
            });
        let mut server = Self {
            child,
            folder,
            socket,
        };
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(&server.socket).is_err() {
            let ended = server.child.try_wait().unwrap();
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "{command:?} ended: {}", log());
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{command:?}: {}",
                log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its socket as an address.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        // It may have ended already.
        let _ended = kill(pid, Signal::SIGTERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(10) {
                drop(self.child.kill());
            }
            thread::sleep(Duration::from_millis(50));
        }
        // What it left mounted in its folder would keep the folder from going.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if Path::new(mount).starts_with(self.folder.path()) {
                drop(Command::new("umount").arg("--lazy").arg(mount).output());
            }
        }
    }
}
