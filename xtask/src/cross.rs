//! Whether everything compiles for the machines that are not this one.
//!
//! In: nothing. Out: an error where the daemon, its tests or the kernel programs do not compile for
//! aarch64. The standard library of that machine comes from Debian's archive and is kept outside the
//! repository; its C compiler is installed, for what is not Rust. Nothing is linked or run.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    archive::{self, Candidate, PrivateApt, Suite, checked},
    setup::{self, Scope},
    toolchain::{Compiler, Toolchain},
    workspace::{self, HOST_PACKAGES},
};

/// The other machine: Rust's name for it, and Debian's.
const TARGET: &str = "aarch64-unknown-linux-gnu";
const ARCHITECTURE: &str = "arm64";

/// The compiler that Debian has a standard library of other machines for.
const COMPILER_PACKAGE: &str = "rustc-web";
const LIBRARY_PACKAGE: &str = "libstd-rust-web-dev";

pub(crate) fn check() -> anyhow::Result<()> {
    setup::ensure(Scope::OtherArchitecture)?;
    let toolchain = Toolchain::find(workspace::machine().target())
        .map_err(|missing| anyhow::anyhow!("{missing}"))?;
    let Compiler::Distribution { rustc } = toolchain.compiler else {
        bail!(
            "this needs Debian's {COMPILER_PACKAGE}; with rustup: `rustup target add {TARGET}`, then \
             `cargo check --target {TARGET}`"
        );
    };
    let sysroot = sysroot()?;
    let mut command = workspace::cargo("check");
    command
        .args(HOST_PACKAGES)
        .args(["--target", TARGET, "--target-dir"])
        // A compiler of its own would make the main folder's results stale.
        .arg(workspace::target_dir()?.join("cross"))
        .env("RUSTC", rustc)
        .env("RUSTFLAGS", format!("--sysroot={}", sysroot.display()));
    workspace::run(&mut command)
}

/// A folder where the compiler finds the other machine's standard library.
fn sysroot() -> anyhow::Result<PathBuf> {
    let version = checked(Command::new("dpkg-query").args([
        "--show",
        "--showformat=${Version}",
        COMPILER_PACKAGE,
    ]))?;
    let cache = archive::cache("cross")?;
    let folder = cache.join(&version);
    let sysroot = folder.join("sysroot");
    if !sysroot.exists() {
        fetch(&cache, &version, &folder).with_context(|| {
            format!(
                "no standard library for {TARGET}: {LIBRARY_PACKAGE} {version} of {ARCHITECTURE} \
                 comes from Debian 12's archive, at the address that this machine's own apt sources name"
            )
        })?;
    }
    Ok(sysroot)
}

fn fetch(cache: &Path, version: &str, folder: &Path) -> anyhow::Result<()> {
    println!("cross: fetching {LIBRARY_PACKAGE} {version} of {ARCHITECTURE}");
    let work = archive::workplace(cache)?;
    let apt = PrivateApt::open(work.path(), &Suite::BOOKWORM, ARCHITECTURE)?;
    let candidate = Candidate {
        version: version.to_owned(),
        packages: vec![LIBRARY_PACKAGE.to_owned()],
    };
    let unpacked = work.path().join("unpacked");
    apt.unpack(&candidate, &unpacked)?;
    let libraries = unpacked.join("sysroot/lib/rustlib");
    fs::create_dir_all(&libraries).context("cannot make the sysroot")?;
    symlink(
        Path::new("../../../usr/lib/rustlib").join(TARGET),
        libraries.join(TARGET),
    )
    .context("cannot link the standard library")?;
    archive::keep(&unpacked, folder)
}
