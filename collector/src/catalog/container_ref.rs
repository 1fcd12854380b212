//! What names a container.

/// Names a container to its runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerRef {
    /// The runtime's namespace of ids; empty when it has none, or when it is not known.
    pub id_namespace: String,
    /// The id.
    pub id: String,
}

impl ContainerRef {
    /// What tells a container from all others of this host. Ids of 64 hexadecimal digits do by
    /// themselves, and not everyone who knows one knows its namespace; chosen ids do in a namespace. What a
    /// user's own runtime tells of has a namespace whatever the id: it could name everybody's.
    #[must_use]
    pub fn key(mut self) -> Self {
        if is_unique(&self.id) && self.users_namespace().is_none() {
            self.id_namespace.clear();
        }
        self
    }
}

/// Begins the namespace of what a user's own runtime tells; no runtime allows a colon in one.
const USER: &str = "user:";

impl ContainerRef {
    /// The namespace of what the runtime of a user tells of.
    #[must_use]
    pub fn namespace_of_user(uid: u32) -> String {
        format!("{USER}{uid}")
    }

    /// The namespace, if it is of what a user's own runtime tells.
    #[must_use]
    pub fn users_namespace(&self) -> Option<String> {
        let is_users = self.id_namespace.starts_with(USER);
        is_users.then(|| self.id_namespace.clone())
    }
}

/// The namespace of what a user's own runtime tells, for a cgroup in the slice that systemd makes for that
/// user.
pub(super) fn users_namespace(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let uid = path.split('/').find_map(|component| {
        let uid = component.strip_prefix("user-")?.strip_suffix(".slice")?;
        uid.parse::<u32>().ok()
    })?;
    (uid != 0).then(|| ContainerRef::namespace_of_user(uid))
}

fn is_unique(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
