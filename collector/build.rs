//! Builds the kernel programs from source, wherever this crate is built, checked or linted.
//!
//! In: the packages `collector-ebpf` and `collector-common`. Out: `$OUT_DIR/cgscope-ebpf.o`, which the
//! daemon includes. The compiler's words are shown when it fails; otherwise they are in the build
//! script's output, as cargo keeps it (`cargo build -vv`).
//!
//! For the fuzzer nothing is compiled and the object is empty: what is fuzzed loads no program.
#![expect(clippy::print_stderr, reason = "where a build script speaks to people")]

use std::{env, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};

use self::toolchain::{Compiler, Machine, Toolchain};

#[path = "build/toolchain.rs"]
mod toolchain;

/// What cargo calls the linked kernel programs.
const BINARY: &str = "cgscope-ebpf";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> anyhow::Result<()> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let object = out_dir.join(BINARY).with_extension("o");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    // `cargo fuzz` sets `cfg(fuzzing)` for every crate.
    if env::var_os("CARGO_CFG_FUZZING").is_some() {
        return fs::write(&object, [])
            .with_context(|| format!("cannot write {}", object.display()));
    }

    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..");
    let machine = Machine {
        arch: variable("CARGO_CFG_TARGET_ARCH")?,
        big_endian: variable("CARGO_CFG_TARGET_ENDIAN")? == "big",
    };

    for source in [
        "collector-ebpf",
        "collector-common",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }

    let toolchain = match Toolchain::find(machine.target()) {
        Ok(toolchain) => toolchain,
        Err(missing) => bail!("cannot build the kernel programs\n{missing}"),
    };
    println!("cargo::rerun-if-changed={}", toolchain.linker.display());
    match &toolchain.compiler {
        Compiler::Distribution { rustc } => {
            println!("cargo::rerun-if-changed={}", rustc.display());
        }
        Compiler::RustupNightly { sysroot } => {
            println!(
                "cargo::rerun-if-changed={}",
                sysroot.join("bin/rustc").display()
            );
        }
    }

    // A folder of its own: the outer cargo holds the lock of the one it builds in.
    let target_dir = out_dir.join("ebpf-target");
    let output = toolchain
        .cargo("build", &machine, &target_dir)
        .current_dir(&workspace)
        .output()
        .context("cannot start cargo for the kernel programs")?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!(
            "the kernel programs do not compile, see above ({})",
            output.status
        );
    }

    let built = target_dir
        .join(machine.target())
        .join("release")
        .join(BINARY);
    fs::copy(&built, &object)
        .with_context(|| format!("cannot copy {} to {}", built.display(), object.display()))?;
    Ok(())
}

fn variable(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("cargo has not set {name}"))
}
