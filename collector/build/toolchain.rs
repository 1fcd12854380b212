//! Chooses the tools that compile the kernel programs on this machine.
//!
//! In: what is installed. Out: a `cargo` command, ready for a subcommand and its arguments. Nothing
//! is installed or downloaded here. The build script and `xtask` share this file, so what `setup`
//! checks and what the build uses cannot drift apart.
//!
//! Two ways lead to a compiler for the BPF target, tried in this order:
//! 1. the distribution's own compiler with a prebuilt `core` for the target (Debian's `rustc-web` and
//!    `libstd-rust-web-dev-bpf`), which needs neither rustup nor a nightly;
//! 2. rustup's nightly with the `rust-src` component, which builds `core` itself.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGE: &str = "collector-ebpf";

const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

/// The daemon's machine, for which the kernel programs are built.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// As in `CARGO_CFG_TARGET_ARCH`: decides how the programs read registers.
    pub(crate) arch: String,
    pub(crate) big_endian: bool,
}

/// What compiles and links the kernel programs.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: PathBuf,
}

#[derive(Debug, Clone)]
pub(crate) enum Compiler {
    /// A stable compiler that has `core` for the target; unstable features are switched on for it.
    Distribution { rustc: PathBuf },
    /// `rustup run nightly`, which builds `core` from the sources in this sysroot.
    RustupNightly { sysroot: PathBuf },
}

/// What is missing. Every part is named, not only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) compiler: bool,
    pub(crate) linker: bool,
}

impl Machine {
    #[must_use]
    pub(crate) fn target(&self) -> &'static str {
        if self.big_endian {
            "bpfeb-unknown-none"
        } else {
            "bpfel-unknown-none"
        }
    }
}

impl Toolchain {
    pub(crate) fn find(target: &str) -> Result<Self, Missing> {
        match (find_compiler(target), find_linker()) {
            (Some(compiler), Some(linker)) => Ok(Self { compiler, linker }),
            (compiler, linker) => Err(Missing {
                compiler: compiler.is_none(),
                linker: linker.is_none(),
            }),
        }
    }

    /// A `cargo SUBCOMMAND` for the kernel programs, free of the settings of a cargo around it.
    #[must_use]
    pub(crate) fn cargo(&self, subcommand: &str, machine: &Machine, target_dir: &Path) -> Command {
        let mut command = match &self.compiler {
            Compiler::Distribution { rustc } => {
                let mut command =
                    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                scrub(&mut command);
                command
                    .env("RUSTC", rustc)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .arg(subcommand);
                command
            }
            Compiler::RustupNightly { .. } => {
                let mut command = Command::new("rustup");
                scrub(&mut command);
                command.args(["run", "nightly", "cargo", subcommand, "-Zbuild-std=core"]);
                command
            }
        };
        command
            .args([
                "--locked",
                "--release",
                "--package",
                PACKAGE,
                "--target",
                machine.target(),
            ])
            .arg("--target-dir")
            .arg(target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(machine));
        command
    }

    fn rustflags(&self, machine: &Machine) -> OsString {
        let mut linker = OsString::from("-Clinker=");
        linker.push(&self.linker);
        let flags = [
            linker,
            // The loader needs the programs' types; the linker makes them of the debug information.
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
            format!("--cfg=bpf_target_arch=\"{}\"", machine.arch).into(),
        ];
        flags.join(&OsString::from("\x1f"))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.compiler {
            writeln!(
                f,
                "missing: a Rust compiler for BPF (Debian: packages rustc-web and \
                 libstd-rust-web-dev-bpf; elsewhere: a nightly of rustup with rust-src)"
            )?;
        }
        if self.linker {
            writeln!(
                f,
                "missing: bpf-linker, neither in PATH nor in cargo's own folder of binaries"
            )?;
        }
        write!(f, "remedy: `cargo xtask setup` installs them, or says how")
    }
}

pub(crate) fn find_compiler(target: &str) -> Option<Compiler> {
    distribution_compiler(target).or_else(nightly_compiler)
}

fn distribution_compiler(target: &str) -> Option<Compiler> {
    let rustc = PathBuf::from(DISTRIBUTION_RUSTC);
    let sysroot = sysroot(Command::new(&rustc))?;
    sysroot
        .join("lib/rustlib")
        .join(target)
        .join("lib")
        .is_dir()
        .then_some(Compiler::Distribution { rustc })
}

fn nightly_compiler() -> Option<Compiler> {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly", "rustc"]);
    let sysroot = sysroot(rustup)?;
    sysroot
        .join("lib/rustlib/src/rust/library/core")
        .is_dir()
        .then_some(Compiler::RustupNightly { sysroot })
}

/// Asks a compiler where its libraries are; `None` when there is no such compiler.
fn sysroot(mut rustc: Command) -> Option<PathBuf> {
    scrub(&mut rustc);
    let output = rustc.args(["--print", "sysroot"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

pub(crate) fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join("bpf-linker"))
        .find(|candidate| candidate.is_file())
}

/// Takes away what a cargo, a rustup or a clippy around us has set for its own compiler: with any of
/// these the inner cargo would run another compiler, lint instead of compile, or wait for the lock of
/// a target folder that the outer one holds.
fn scrub(command: &mut Command) {
    const NAMES: [&str; 8] = [
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ];
    const PREFIXES: [&str; 3] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];
    for name in NAMES {
        command.env_remove(name);
    }
    for (name, _) in env::vars_os() {
        let known = name.to_str().unwrap_or_default();
        if PREFIXES.iter().any(|prefix| known.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}
