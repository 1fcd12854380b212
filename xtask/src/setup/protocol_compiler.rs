//! The compiler of protocol buffers, with which the runtimes' gRPC interfaces become code.

use std::{env, ffi::OsStr, fs, path::Path, process::Command};

use super::{apt::Apt, step::Step};

/// The compiler, and the descriptions of its well-known types.
const PACKAGES: [&str; 2] = ["protobuf-compiler", "libprotobuf-dev"];

/// What builds ask for: an interface that uses a well-known type, and a field that may be absent, which
/// compilers before 3.15 refuse.
const SAMPLE: &str = "syntax = \"proto3\";\n\
    import \"google/protobuf/any.proto\";\n\
    message Sample { optional google.protobuf.Any any = 1; }\n";

#[derive(Debug)]
pub(crate) struct ProtocolCompiler<'a> {
    apt: &'a Apt,
}

impl<'a> ProtocolCompiler<'a> {
    pub(crate) fn new(apt: &'a Apt) -> Self {
        Self { apt }
    }
}

impl Step for ProtocolCompiler<'_> {
    fn name(&self) -> &'static str {
        "protocol buffer compiler"
    }

    fn look(&self) -> Result<String, String> {
        // The builds take the same one, and look for the well-known types in the same place.
        let program = env::var_os("PROTOC").unwrap_or_else(|| "protoc".into());
        let include = env::var_os("PROTOC_INCLUDE");
        compile(&program, include.as_deref().map(Path::new), SAMPLE)
    }

    fn install(&self) -> anyhow::Result<()> {
        self.apt.install(&PACKAGES)
    }

    fn remedy(&self) -> String {
        let remedy = self.apt.remedy(&PACKAGES);
        format!(
            "{remedy}, or name another protoc in the environment variable PROTOC, and the folder with its \
             google/protobuf in PROTOC_INCLUDE"
        )
    }
}

/// The program's version, if it compiles the text.
fn compile(program: &OsStr, include: Option<&Path>, text: &str) -> Result<String, String> {
    let shown = program.display();
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a folder: {error}"))?;
    let file = folder.path().join("sample.proto");
    fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let run = |command: &mut Command| {
        let output = command
            .output()
            .map_err(|error| format!("cannot run {shown}: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().next().unwrap_or_default();
            Err(format!("{shown} fails ({}): {first}", output.status))
        }
    };
    let mut command = Command::new(program);
    command.arg("-I").arg(folder.path());
    if let Some(include) = include {
        command.arg("-I").arg(include);
    }
    command.arg("--descriptor_set_out=/dev/null").arg(&file);
    run(&mut command)?;
    run(Command::new(program).arg("--version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_there_only_when_it_compiles() {
        let absent = compile(OsStr::new("/nowhere/protoc"), None, SAMPLE).unwrap_err();
        assert!(absent.contains("/nowhere/protoc"), "{absent}");
        let useless = compile(OsStr::new("false"), None, SAMPLE).unwrap_err();
        assert!(useless.contains("false fails"), "{useless}");
        let other = SAMPLE.replace("any.proto", "not_known.proto");
        assert!(
            compile(OsStr::new("protoc"), None, &other).is_err(),
            "an absent well-known type"
        );
        let found = compile(OsStr::new("protoc"), None, SAMPLE).unwrap();
        assert!(found.starts_with("libprotoc"), "{found}");
    }
}
