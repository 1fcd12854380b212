//! What is processed: a container, and what it is called.

/// A container that is processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: String,
    /// What it is called, as far as that is known.
    pub name: ObjectName,
}

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The namespace of its pod, or of its runtime; empty where there are none, as with Docker.
    pub namespace: String,
    /// Its name in its pod, or in its runtime.
    pub name: String,
}

impl ObjectName {
    /// `namespace/name`; the name alone where there is no namespace, as Kubernetes has it.
    #[must_use]
    pub fn key(&self) -> String {
        let Self { namespace, name } = self;
        if namespace.is_empty() {
            name.clone()
        } else {
            format!("{namespace}/{name}")
        }
    }
}
