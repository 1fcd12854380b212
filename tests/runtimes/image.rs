//! A container image made of this host's static busybox.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

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
}
