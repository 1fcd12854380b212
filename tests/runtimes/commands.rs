//! The runtimes' own commands, spoken to the servers of a test.

use std::{ffi::OsString, path::Path, process::Command};

use crate::{image::Image, run, server::Server};

/// `docker`, of a server.
pub(crate) fn docker(server: &Server) -> Command {
    let mut docker = Command::new("docker");
    docker.arg("--host").arg(server.address());
    docker
}

/// `docker run` of a container with a name, whose command follows.
pub(crate) fn docker_run(server: &Server, name: &str) -> Command {
    let mut run = docker(server);
    run.args(["run", "--detach", "--network=none", "--name", name]);
    run
}

/// `ctr`, of a server, in a namespace.
pub(crate) fn ctr(server: &Server, namespace: &str) -> Command {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address")
        .arg(server.socket())
        .args(["--namespace", namespace]);
    ctr
}

/// Brings the image into a namespace of containerd.
pub(crate) fn import(server: &Server, namespace: &str, archive: &Path) {
    run(ctr(server, namespace)
        .args(["image", "import", "--snapshotter=native"])
        .arg(archive));
}

/// `podman`, with folders of its own.
pub(crate) struct Podman {
    folder: tempfile::TempDir,
}

impl Podman {
    /// With an image, `localhost/busybox:latest`.
    pub(crate) fn new(image: &Image) -> Self {
        let podman = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        run(podman
            .command()
            .arg("import")
            .arg(image.tar())
            .arg("busybox"));
        podman
    }

    /// What every command begins with.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let below = |name: &str| self.folder.path().join(name).into_os_string();
        let mut arguments = vec!["--root".into(), below("root"), "--runroot".into()];
        arguments.push(below("run"));
        let fixed = [
            "--storage-driver=vfs",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            // crun refuses hybrid cgroups.
            "--runtime=runc",
        ];
        arguments.extend(fixed.map(OsString::from));
        arguments
    }

    /// A command of it.
    pub(crate) fn command(&self) -> Command {
        let mut podman = Command::new("podman");
        podman.args(self.arguments());
        podman
    }

    /// `podman run` of a container with a name, whose command follows.
    pub(crate) fn run(&self, name: &str) -> Command {
        let mut run = self.command();
        run.args([
            "run",
            "--detach",
            "--network=none",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=1024:1024",
            "--name",
            name,
        ]);
        run
    }

    /// Its API.
    pub(crate) fn server(&self, socket: Option<&Path>) -> Server {
        Server::podman(&self.arguments(), socket)
    }
}
