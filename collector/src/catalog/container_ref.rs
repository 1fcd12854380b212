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
    /// themselves, and not everyone who knows one knows its namespace; chosen ids do in a namespace.
    #[must_use]
    pub fn key(mut self) -> Self {
        if is_unique(&self.id) {
            self.id_namespace.clear();
        }
        self
    }
}

fn is_unique(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
