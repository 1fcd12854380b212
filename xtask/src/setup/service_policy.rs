//! Keeps packages from starting their services while they are installed.
//!
//! Debian's maintainer scripts ask `/usr/sbin/policy-rc.d` before they start anything. Where there is
//! none, one is put there for the time of the installation; where there is one, it is the
//! administrator's and stays.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

use anyhow::Context as _;

const PATH: &str = "/usr/sbin/policy-rc.d";

/// By this line we know a file of ours that a killed run has left behind.
const MARK: &str = "# Written by cgscope's set-up for the time of an installation.";

/// While it lives, no service is started. Removes its file when dropped.
#[derive(Debug)]
pub(crate) struct ServicePolicy {
    /// `None` when an administrator's policy is in force.
    ours: Option<PathBuf>,
}

impl ServicePolicy {
    pub(crate) fn forbid() -> anyhow::Result<Self> {
        Self::forbid_at(Path::new(PATH))
    }

    fn forbid_at(path: &Path) -> anyhow::Result<Self> {
        if fs::read_to_string(path).is_ok_and(|text| text.contains(MARK)) {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(path);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Ok(Self { ours: None });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
        };
        let policy = Self {
            ours: Some(path.to_owned()),
        };
        // Should we be killed before we remove it, it forbids nothing any more.
        let process = process::id();
        write!(
            file,
            "#!/bin/sh\n{MARK}\n[ -d /proc/{process} ] || exit 0\nexit 101\n"
        )
        .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(policy)
    }
}

impl Drop for ServicePolicy {
    fn drop(&mut self) {
        if let Some(path) = &self.ours
            && let Err(error) = fs::remove_file(path)
        {
            println!("setup: warning: cannot remove {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    /// A file in a folder of the test's own, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let folder = env::temp_dir().join(format!("cgscope-{test}-{}", process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn policy(&self) -> PathBuf {
            self.0.join("policy-rc.d")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn services_are_forbidden_only_while_the_policy_lives() {
        let scratch = Scratch::new("policy-lives");
        let policy = ServicePolicy::forbid_at(&scratch.policy()).unwrap();
        // By its interpreter: another test's child may have the file open yet, and then it is busy.
        let status = Command::new("sh")
            .arg(scratch.policy())
            .args(["docker", "start"])
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(101));
        drop(policy);
        assert!(!scratch.policy().exists());
    }

    #[test]
    fn the_policy_of_an_administrator_is_left_alone() {
        let scratch = Scratch::new("policy-administrator");
        fs::write(scratch.policy(), "#!/bin/sh\nexit 104\n").unwrap();
        drop(ServicePolicy::forbid_at(&scratch.policy()).unwrap());
        assert_eq!(
            fs::read_to_string(scratch.policy()).unwrap(),
            "#!/bin/sh\nexit 104\n"
        );
    }

    #[test]
    fn a_policy_left_by_a_killed_run_is_replaced_and_removed() {
        let scratch = Scratch::new("policy-left");
        std::mem::forget(ServicePolicy::forbid_at(&scratch.policy()).unwrap());
        assert!(scratch.policy().exists());
        drop(ServicePolicy::forbid_at(&scratch.policy()).unwrap());
        assert!(!scratch.policy().exists());
    }
}
