//! What is processed: a container, and what it is called.

use crate::catalog::{ContainerRef, Names};

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

impl Object {
    /// A container of which `told` is known. Before anything is, its id and the namespace of ids stand in.
    #[must_use]
    pub fn new(of: &ContainerRef, told: Option<&Names>) -> Self {
        let stand_in = || ObjectName {
            namespace: of.id_namespace.clone(),
            name: of.id.clone(),
        };
        Self {
            id: of.id.clone(),
            name: told.and_then(ObjectName::of).unwrap_or_else(stand_in),
        }
    }
}

impl ObjectName {
    /// By these names; `None` when they do not tell.
    #[must_use]
    pub fn of(names: &Names) -> Option<Self> {
        let name = match (names.container.as_str(), names.name.as_str()) {
            ("", "") => return None,
            ("", name) => name,
            (in_pod, _) => in_pod,
        };
        Some(Self {
            namespace: names.namespace.clone(),
            name: name.to_owned(),
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_namespace_and_name_and_the_id_stands_in_for_a_name_that_is_not_known() {
        let of = ContainerRef {
            id_namespace: "moby".to_owned(),
            id: "4f1e".to_owned(),
        };
        let key = |told: Option<&Names>| Object::new(&of, told).name.key();
        assert_eq!(key(None), "moby/4f1e");
        assert_eq!(key(Some(&Names::default())), "moby/4f1e");
        let mut names = Names {
            name: "k8s_app_web-0".to_owned(),
            ..Names::default()
        };
        assert_eq!(key(Some(&names)), "k8s_app_web-0");
        names.namespace = "shop".to_owned();
        names.container = "app".to_owned();
        assert_eq!(key(Some(&names)), "shop/app");
    }
}
