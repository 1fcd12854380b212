//! From root to nobody.
//!
//! In: a process that has opened what it needs root for. Out: one that can do nothing more than anybody. Never here: a
//! way back.

use nix::unistd::{Uid, User, setgroups, setresgid, setresuid};

/// Who has no privileges.
const USER: &str = "nobody";

/// Privileges cannot be dropped.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivilegeError {
    /// There is no such user.
    #[error("privileges cannot be dropped: this system has no user {USER}")]
    NoUser,
    /// The system refuses.
    #[error("privileges cannot be dropped to the user {USER}")]
    Refused(#[from] nix::Error),
    /// The directory.
    #[error("the working directory cannot be /")]
    Directory(#[from] std::io::Error),
}

/// Whether this process is root.
pub(super) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Drops them for good, and goes to `/`.
pub(super) fn drop_all() -> Result<(), PrivilegeError> {
    let user = User::from_name(USER)?.ok_or(PrivilegeError::NoUser)?;
    std::env::set_current_dir("/")?;
    // In this order: who is not root may not change groups.
    setgroups(&[user.gid])?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    tracing::debug!("goes on as the user {USER}");
    Ok(())
}
