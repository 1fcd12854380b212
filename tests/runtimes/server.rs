//! The daemons of container runtimes, started by hand with folders of their own.

use std::{
    ffi::OsString,
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::image::IMAGE;

/// A runtime's daemon; ended, with all it mounted, when this is dropped.
pub(crate) struct Server {
    program: &'static str,
    arguments: Vec<OsString>,
    child: Option<Child>,
    folder: tempfile::TempDir,
    socket: PathBuf,
    /// The folder of its socket, if that was missing.
    made: Option<PathBuf>,
}

impl Server {
    /// Docker's, with a containerd of its own.
    pub(crate) fn dockerd() -> Self {
        let mut server = Self::dockerd_to_be();
        server.begin();
        server
    }

    /// The same, not started yet.
    pub(crate) fn dockerd_to_be() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        Self::dockerd_at(folder, socket, &[])
    }

    /// The same, at a place of the caller's choice, on a containerd that runs already.
    pub(crate) fn dockerd_on(containerd: &Self, socket: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let containerd = format!("--containerd={}", containerd.socket.display());
        let mut server = Self::dockerd_at(folder, socket.to_owned(), &[&containerd]);
        server.begin();
        server
    }

    fn dockerd_at(folder: tempfile::TempDir, socket: PathBuf, more: &[&str]) -> Self {
        let config = folder.path().join("daemon.json");
        fs::write(&config, "{}").unwrap();
        let below = |name: &str| folder.path().join(name).display().to_string();
        let mut arguments = vec![
            format!("--config-file={}", config.display()),
            format!("--host=unix://{}", socket.display()),
            format!("--data-root={}", below("data")),
            format!("--exec-root={}", below("exec")),
            format!("--pidfile={}", below("pid")),
        ];
        let fixed = [
            "--bridge=none",
            "--iptables=false",
            "--ip-masq=false",
            "--storage-driver=vfs",
            "--exec-opt=native.cgroupdriver=cgroupfs",
        ];
        arguments.extend(fixed.iter().chain(more).map(ToString::to_string));
        Self::to_be("dockerd", arguments, folder, socket)
    }

    /// containerd. Its state is where containerd's always is: that is how its tasks are told, and why
    /// there is one at a time ([`Parents`](crate::parents::Parents)).
    pub(crate) fn containerd() -> Self {
        let mut server = Self::containerd_to_be();
        server.begin();
        server
    }

    /// The same, not started yet.
    pub(crate) fn containerd_to_be() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("containerd.sock");
        let config = "disabled_plugins = ['io.containerd.grpc.v1.cri']\n";
        Self::containerd_at(folder, socket, config)
    }

    /// containerd as Kubernetes uses it, with [`IMAGE`] as its pods' pause image. At `socket`, where
    /// given. Its pods are no safer from the kernel's OOM killer than the tests are themselves, who may
    /// not be permitted to make them so.
    pub(crate) fn containerd_with_cri(socket: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("containerd.sock");
        let socket = socket.map_or(own, Path::to_owned);
        let config = format!(
            "[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = '{IMAGE}'\n\
             restrict_oom_score_adj = true\n\
             [plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'native'\n"
        );
        let mut server = Self::containerd_at(folder, socket, &config);
        server.begin();
        server
    }

    /// The same, and its own counters are served at an address.
    pub(crate) fn containerd_with_metrics(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("containerd.sock");
        let config = format!("[metrics]\naddress = '{address}'\n");
        let mut server = Self::containerd_at(folder, socket, &config);
        server.begin();
        server
    }

    fn containerd_at(folder: tempfile::TempDir, socket: PathBuf, settings: &str) -> Self {
        let config = folder.path().join("config.toml");
        fs::write(&config, format!("version = 2\n{settings}")).unwrap();
        let root = folder.path().join("root");
        let arguments = [
            format!("--config={}", config.display()),
            format!("--address={}", socket.display()),
            format!("--root={}", root.display()),
        ];
        Self::to_be("containerd", arguments, folder, socket)
    }

    /// Podman's API, of the containers that commands with these arguments make.
    pub(crate) fn podman(arguments: &[OsString], socket: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("podman.sock");
        let socket = socket.map_or(own, Path::to_owned);
        let service = ["system", "service", "--time=0"].map(OsString::from);
        let address = OsString::from(format!("unix://{}", socket.display()));
        let arguments = arguments.iter().cloned().chain(service).chain([address]);
        let mut server = Self::to_be("podman", arguments, folder, socket);
        server.begin();
        server
    }

    fn to_be(
        program: &'static str,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        folder: tempfile::TempDir,
        socket: PathBuf,
    ) -> Self {
        let parent = socket.parent().unwrap();
        let made = (!parent.exists()).then(|| parent.to_owned());
        fs::create_dir_all(parent).unwrap();
        Self {
            made,
            program,
            arguments: arguments.into_iter().map(Into::into).collect(),
            child: None,
            folder,
            socket,
        }
    }

    /// Starts it, or starts it again with the folders that it had.
    pub(crate) fn begin(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.program);
        // One that was killed leaves its socket, to which nobody answers, and the numbers of processes
        // that are gone. dockerd takes one that nobody has waited for to be running.
        drop(fs::remove_file(&self.socket));
        for file in PID_FILES {
            let file = self.folder.path().join(file);
            if fs::read_to_string(&file).is_ok_and(|pid| !runs(pid.trim())) {
                fs::remove_file(&file).unwrap();
            }
        }
        let log = self.folder.path().join("log");
        let mut command = Command::new(self.program);
        command.args(&self.arguments);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `cargo xtask setup --tests` installs it")
            });
        let child = self.child.insert(child);
        let start = Instant::now();
        while UnixStream::connect(&self.socket).is_err() {
            let ended = child.try_wait().unwrap();
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "{command:?} ended: {}", log());
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{command:?}: {}",
                log()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it, as an init system would; its containers and folders stay, as far as it lets them.
    pub(crate) fn end(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // It may have ended already.
        let _ended = kill(pid(&child), Signal::SIGTERM);
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(10) {
                drop(child.kill());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it without a chance to do anything more.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        pid(self.child.as_ref().expect("it runs"))
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

/// Where dockerd writes its own number, and that of its containerd, which ends with it.
const PID_FILES: [&str; 2] = ["pid", "exec/containerd/containerd.pid"];

/// Whether a process is there, and more than its exit code.
fn runs(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| !state.trim().starts_with('Z'))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            // A frozen one would not hear that it is to end.
            let _ended = kill(pid(child), Signal::SIGCONT);
        }
        self.end();
        // At one of the known places they would be found by others.
        drop(fs::remove_file(&self.socket));
        drop(fs::remove_file(self.socket.with_extension("sock.ttrpc")));
        if let Some(made) = &self.made {
            drop(fs::remove_dir(made));
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
