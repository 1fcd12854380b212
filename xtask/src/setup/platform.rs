//! Which system this is, and whether packages can be installed on it.

use std::fs;

use anyhow::Context as _;
use nix::unistd::Uid;

const OS_RELEASE: &str = "/etc/os-release";

#[derive(Debug, Clone)]
pub(crate) struct Platform {
    id: String,
    version: String,
    codename: String,
    root: bool,
}

impl Platform {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(OS_RELEASE).with_context(|| format!("cannot read {OS_RELEASE}"))?;
        Ok(Self::parse(&text, Uid::effective().is_root()))
    }

    fn parse(os_release: &str, root: bool) -> Self {
        let field = |name: &str| {
            let value = os_release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default();
            value.trim_matches('"').to_owned()
        };
        Self {
            id: field("ID"),
            version: field("VERSION_ID"),
            codename: field("VERSION_CODENAME"),
            root,
        }
    }

    /// Debian 12 is the release whose archive is known to hold everything by these names.
    pub(crate) fn is_debian_12(&self) -> bool {
        self.id == "debian" && self.version == "12"
    }

    /// What its own release is called in archives; empty when the system does not say.
    pub(crate) fn codename(&self) -> &str {
        &self.codename
    }

    pub(crate) fn is_root(&self) -> bool {
        self.root
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.id, self.version).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_12_is_recognized_with_and_without_quotes() {
        let quoted = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert!(Platform::parse(quoted, true).is_debian_12());
        assert!(Platform::parse("VERSION_ID=12\nID=\"debian\"\n", false).is_debian_12());
    }

    #[test]
    fn other_systems_are_not_taken_for_debian_12() {
        let ubuntu = Platform::parse("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n", true);
        assert!(!ubuntu.is_debian_12());
        assert_eq!(ubuntu.name(), "ubuntu 24.04");
        assert!(!Platform::parse("ID=debian\nVERSION_ID=\"13\"\n", true).is_debian_12());
        let testing = Platform::parse("ID=debian\n", true);
        assert!(!testing.is_debian_12());
        assert_eq!(testing.name(), "debian");
    }
}
