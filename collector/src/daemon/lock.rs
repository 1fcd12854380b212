//! One cgscope per host, unless one asks for two.

use std::{
    fs::OpenOptions,
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};

/// Held while the daemon runs; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct InstanceLock {
    _file: Flock<std::fs::File>,
}

/// The lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another one runs.
    #[error(
        "another cgscope is running ({owner}); stop it, or give this one a --lock-file of its own"
    )]
    Held {
        /// What it wrote into the file.
        owner: String,
    },
    /// The file cannot be opened or written.
    #[error("cannot use the lock file {path}; choose another with --lock-file")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// How the line in a lock file starts.
const OWN_START: &[u8] = b"pid ";

impl InstanceLock {
    /// Takes the lock, and leaves a line for those who cannot.
    pub fn take(path: &Path, listen: &str) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unusable)?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                return Err(LockError::Held {
                    owner: owner(&mut file),
                });
            }
            Err((_, errno)) => return Err(unusable(errno.into())),
        };
        // An empty file or one of ours; a slip of the pen may name any other.
        let mut start = [0; OWN_START.len()];
        let length = file.read(&mut start).map_err(unusable)?;
        if length > 0 && start[..length] != OWN_START[..length] {
            return Err(unusable(std::io::Error::other("it holds something else")));
        }
        file.set_len(0).map_err(unusable)?;
        file.rewind().map_err(unusable)?;
        writeln!(file, "pid {}, serving on {listen}", std::process::id()).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

fn owner(file: &mut std::fs::File) -> String {
    let mut line = String::new();
    // Somebody else's file may hold anything, and any amount of it.
    match file.take(200).read_to_string(&mut line) {
        Ok(1..) => line.trim().escape_debug().to_string(),
        Ok(0) | Err(_) => "it did not say which".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = InstanceLock::take(&path, "127.0.0.1:1").unwrap();
        let refused = InstanceLock::take(&path, "127.0.0.1:2")
            .unwrap_err()
            .to_string();
        let expected = format!("pid {}, serving on 127.0.0.1:1", std::process::id());
        assert!(refused.contains(&expected), "{refused}");
        drop(first);
        InstanceLock::take(&path, "127.0.0.1:2").unwrap();
    }
}
