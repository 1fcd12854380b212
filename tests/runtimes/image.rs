//! A container image made of this host's static busybox.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

/// What the image is called in [`Image::archive`].
pub(crate) const IMAGE: &str = "cgscope.test/busybox:1";

/// A root file system, as a folder and as an archive.
pub(crate) struct Image {
    folder: tempfile::TempDir,
}

impl Image {
    /// Makes it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        for directory in ["bin", "proc", "sys", "dev", "tmp", "etc"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
        let busybox = busybox
            .iter()
            .find(|path| path.exists())
            .expect("Debian's busybox-static is installed by `cargo xtask setup --tests`");
        fs::copy(busybox, root.join("bin/busybox")).unwrap();
        let image = Self { folder };
        super::run(
            Command::new("tar")
                .arg("-C")
                .arg(&root)
                .arg("-cf")
                .arg(image.tar())
                .arg("."),
        );
        image
    }

    /// The folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The archive.
    pub(crate) fn tar(&self) -> PathBuf {
        self.folder.path().join("root.tar")
    }

    /// An archive as `docker save` writes it: with the name [`IMAGE`], and with a command that does
    /// nothing for ever, so that it serves as a pod's pause image too.
    pub(crate) fn archive(&self) -> PathBuf {
        let sum = super::run(Command::new("sha256sum").arg(self.tar()));
        let (digest, _) = sum.split_once(' ').unwrap();
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/busybox", "sleep", "1000000"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
            "history": [],
        });
        let manifest = json!([{
            "Config": "config.json",
            "RepoTags": [IMAGE],
            "Layers": ["root.tar"],
        }]);
        let folder = self.folder.path();
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        let archive = folder.join("image.tar");
        super::run(
            Command::new("tar")
                .arg("-C")
                .arg(folder)
                .arg("-cf")
                .arg(&archive)
                .args(["manifest.json", "config.json", "root.tar"]),
        );
        archive
    }
}
