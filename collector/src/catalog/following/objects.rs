//! Containers as the objects that are traced.

use crate::{
    catalog::{ContainerRef, Names},
    trace::own::{Object, ObjectName},
};

/// A container of which `told` is known. Before anything is, its id and the namespace of ids stand in.
pub(super) fn object(of: &ContainerRef, told: Option<&Names>) -> Object {
    let stand_in = || ObjectName {
        namespace: of.id_namespace.clone(),
        name: of.id.clone(),
    };
    Object {
        id: of.id.clone(),
        name: told.and_then(object_name).unwrap_or_else(stand_in),
    }
}

/// What a container of these names is called; `None` when they do not tell.
pub(super) fn object_name(names: &Names) -> Option<ObjectName> {
    let name = match (names.container.as_str(), names.name.as_str()) {
        ("", "") => return None,
        ("", name) => name,
        (in_pod, _) => in_pod,
    };
    Some(ObjectName {
        namespace: names.namespace.clone(),
        name: name.to_owned(),
    })
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
        let key = |told: Option<&Names>| object(&of, told).name.key();
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
