//! The Rust compiler that builds the daemon.

use std::process::Command;

use anyhow::bail;

use super::step::Step;

/// The oldest compiler that the workspace promises to build with.
const NEEDED: &str = env!("CARGO_PKG_RUST_VERSION");

#[derive(Debug)]
pub(crate) struct HostCompiler;

impl Step for HostCompiler {
    fn name(&self) -> &'static str {
        "Rust compiler"
    }

    fn look(&self) -> Result<String, String> {
        let output = Command::new("rustc")
            .arg("--version")
            .output()
            .map_err(|error| format!("cannot run rustc: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split_whitespace().nth(1).unwrap_or_default();
        match (parse(version), parse(NEEDED)) {
            (Some(found), Some(needed)) if found >= needed => Ok(version.to_owned()),
            _ => Err(format!("rustc is {version:?}, and {NEEDED} is needed")),
        }
    }

    fn install(&self) -> anyhow::Result<()> {
        bail!("a compiler that a person has chosen is not replaced")
    }

    fn remedy(&self) -> String {
        "install a newer stable Rust, for example with `rustup update stable`".into()
    }
}

/// Major and minor number; what follows them does not matter here.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(parse("1.100.0") > parse("1.95"));
        assert!(parse("1.97.0-nightly") >= parse("1.95"));
        assert!(parse("1.9.0") < parse("1.95"));
        assert_eq!(parse("unknown"), None);
    }
}
