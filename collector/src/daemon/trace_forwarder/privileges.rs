//! From root to nobody.
//!
//! In: a process that has opened what it needs root for. Out: one that can do nothing more than anybody. Never here: a
//! way back.

use nix::unistd::{Gid, Uid, User, setgroups, setresgid, setresuid};

/// Who has no privileges.
const USER: &str = "nobody";

/// That user's number, and the group's, where nobody has a name, as in an image of one program: what the kernel shows
/// for users that it does not know.
const NUMBER: u32 = 65_534;

/// Privileges cannot be dropped.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivilegeError {
    /// The system refuses.
    #[error(
        "privileges cannot be dropped to those of the user {USER}, which takes CAP_SETUID and CAP_SETGID"
    )]
    Refused(#[from] nix::Error),
    /// The directory.
    #[error("the working directory cannot be /")]
    Directory(#[from] std::io::Error),
}

/// Whether this process is root.
pub(super) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// What this process has, for people.
pub(super) fn kept() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let capabilities = lines.find_map(|line| line.strip_prefix("CapEff:"));
    format!(
        "the user {}, the group {} and the capabilities {}",
        Uid::effective(),
        Gid::effective(),
        capabilities.map_or("that it has", str::trim)
    )
}

/// Drops them for good, as far as the system lets it, and goes to `/`.
pub(super) fn drop_all() -> Result<(), PrivilegeError> {
    // Where there is no list of users at all, that is an error.
    let user = User::from_name(USER).ok().flatten();
    let (uid, gid) = user.map_or((Uid::from_raw(NUMBER), Gid::from_raw(NUMBER)), |user| {
        (user.uid, user.gid)
    });
    std::env::set_current_dir("/")?;
    // In this order: who is not root may not change groups.
    let groups = setgroups(&[gid]);
    let group = setresgid(gid, gid, gid);
    let user = setresuid(uid, uid, uid);
    groups.and(group).and(user)?;
    tracing::debug!("goes on as the user {USER}");
    Ok(())
}
