//! The first file system of a virtual machine, which is all that it has but for one empty disk.
//!
//! In: an unpacked kernel and built programs. Out: one file for the boot loader. It is the same for
//! every cgroup mode, which the kernel's command line names.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use super::{
    cache::Unpacked,
    cpio::Archive,
    modules::{self, WANTED},
    programs::{Programs, Suite},
};
use crate::archive::checked;

const INIT: &str = include_str!("init.sh");

/// The programs' part, which is the same for every kernel.
#[derive(Debug)]
pub(crate) struct UserSpace {
    files: Vec<(String, Vec<u8>)>,
}

impl UserSpace {
    /// Reads programs and the libraries that they need; `scratch` takes stripped copies.
    pub(crate) fn read(programs: &Programs, scratch: &Path) -> anyhow::Result<Self> {
        let mut wanted: Vec<(String, PathBuf)> = vec![
            ("bin/busybox".into(), find("busybox")?),
            // Busybox has one of its own, which cannot change the user.
            ("bin/setpriv".into(), find("setpriv")?),
            ("tests/workload".into(), programs.workload.clone()),
            ("tests/cgscope".into(), programs.cgscope.clone()),
        ];
        for suite in &programs.suites {
            wanted.push((format!("tests/deps/{}", suite.name), suite.binary.clone()));
        }
        let mut files = Vec::new();
        let mut libraries = BTreeSet::new();
        for (inside, outside) in wanted {
            libraries.extend(libraries_of(&outside)?);
            files.push((inside, stripped(&outside, scratch)?));
        }
        for library in libraries {
            let inside = library.trim_start_matches('/').to_owned();
            files.push((inside, read(Path::new(&library))?));
        }
        Ok(Self { files })
    }

    /// All that machines of a kernel have, but for what they are to run.
    pub(crate) fn with_modules(&self, kernel: &Unpacked) -> anyhow::Result<Archive> {
        let mut archive = Archive::default();
        archive.file("init", 0o755, INIT.as_bytes());
        for (path, content) in &self.files {
            archive.file(path, 0o755, content);
        }

        let lists = |name: &str| {
            let file = kernel.modules.join(name);
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        let (order, absent) =
            modules::insertions(&lists("modules.dep")?, &lists("modules.builtin")?, &WANTED);
        for module in absent {
            if module.required {
                bail!("{} has no module {}", kernel.release, module.name);
            }
            println!("vm: {} has no module {}", kernel.release, module.name);
        }
        let mut lines = String::new();
        for insertion in order {
            let file = kernel.modules.join(&insertion.file);
            let (name, content) = uncompressed(&file)?;
            archive.file(&format!("modules/{name}"), 0o644, &content);
            writeln!(lines, "{name} {}", insertion.options)?;
        }
        archive.file("modules/order", 0o644, lines.as_bytes());
        Ok(archive)
    }
}

/// The whole archive of a machine that is to run this.
pub(crate) fn with_suites(archive: &Archive, suites: &[Suite]) -> Vec<u8> {
    let mut archive = archive.clone();
    archive.file("tests/suites", 0o644, script(suites).as_bytes());
    archive.finish()
}

/// What the init script runs.
fn script(suites: &[Suite]) -> String {
    let lines = suites
        .iter()
        .filter(|suite| !suite.tests.is_empty())
        .map(|suite| {
            let fixed = ["--test-threads=1", "--show-output", "--color=never"].map(str::to_owned);
            let quoted = suite
                .arguments
                .iter()
                .map(|argument| format!("'{}'", argument.replace('\'', r"'\''")));
            let words = ["run".to_owned(), suite.name.to_owned()];
            let words: Vec<String> = words.into_iter().chain(fixed).chain(quoted).collect();
            words.join(" ") + "\n"
        });
    lines.collect()
}

fn find(program: &str) -> anyhow::Result<PathBuf> {
    env::split_paths(&super::cache::with_system_programs())
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{program} is not here: cargo xtask setup --tests"))
}

/// Without what only a debugger reads, which is most of a test binary.
fn stripped(program: &Path, scratch: &Path) -> anyhow::Result<Vec<u8>> {
    let copy = scratch.join("stripped");
    checked(
        Command::new("strip")
            .arg("--strip-debug")
            .arg("-o")
            .arg(&copy)
            .arg(program),
    )?;
    read(&copy)
}

/// The shared libraries of a program and its loader, as `ldd` finds them here.
fn libraries_of(program: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot start ldd")?;
    // It fails on a static program, which needs none.
    Ok(parse_libraries(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_libraries(ldd: &str) -> Vec<String> {
    ldd.lines()
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(str::to_owned)
        .collect()
}

/// A module as the guest's `insmod` takes it, and its file's name then.
fn uncompressed(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let name = |path: Option<&std::ffi::OsStr>| {
        path.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let program = match name(file.extension()).as_str() {
        "xz" => "xz",
        "zst" => "zstd",
        _ => return Ok((name(file.file_name()), read(file)?)),
    };
    let output = Command::new(program)
        .args(["--decompress", "--stdout", "--quiet"])
        .arg(file)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} cannot unpack {}", file.display());
    }
    Ok((name(file.file_stem()), output.stdout))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_virtual_one_is_not() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffc)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            parse_libraries(ldd),
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert!(parse_libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn the_users_arguments_reach_the_tests_as_they_are() {
        let suite = |tests: &[&str]| Suite {
            name: "kernel",
            binary: PathBuf::new(),
            arguments: vec!["it's; $here".into()],
            tests: tests.iter().map(|&test| test.into()).collect(),
            without: &[],
        };
        let text = script(&[suite(&["a::b"]), suite(&[])]);
        assert!(text.contains(r"'it'\''s; $here'"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
