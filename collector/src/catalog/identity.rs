//! Who a cgroup is, for those who read its numbers.

use std::{sync::Arc, time::SystemTime};

use super::{ContainerRef, Flavor, Runtime, RuntimeContainer};

/// Who a cgroup is. One per path: the hierarchies of a hybrid host each have the cgroup, and an
/// identity stands for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The path from the hierarchy's root: the label `id`. Valid UTF-8 (bytes that are not are
    /// escaped as `\xNN`) and at most [`Identity::MAX_PATH`] bytes. A cgroup whose path is not known
    /// has `~unresolved/<hierarchy>/<id>`, the overflow row `~other`.
    pub path: String,
    /// The other five labels.
    pub names: Names,
    /// The container that the cgroup belongs to, if it is one's.
    pub container: Option<Container>,
    /// What the runtimes tell of that container, once they do; it stays when the container is gone.
    pub told: Option<Arc<RuntimeContainer>>,
    /// 1 or 2: the version of the hierarchy that tasks are attributed in; 0 when the cgroup was
    /// seen in none.
    pub cgroup_version: u8,
    /// Counts up from 1 each time that the path comes to life again.
    pub generation: u32,
    /// When the cgroup was made, or first seen.
    pub started: SystemTime,
    /// Whether it was there before it was seen: nobody knows for how long.
    pub is_found: bool,
}

impl Identity {
    /// A longer path is cut, and ends in `…` and a hash of the whole, so that two stay two.
    pub const MAX_PATH: usize = 1024;

    /// The container, if this is its own cgroup, and not one that was made inside it.
    #[must_use]
    pub fn own_container(&self) -> Option<&Container> {
        let container = self.container.as_ref()?;
        if let Some(place) = &container.place {
            return (*place == self.path).then_some(container);
        }
        let (above, last) = self.path.rsplit_once('/')?;
        let ends_in_id = |component: &str| {
            component
                .strip_suffix(".scope")
                .unwrap_or(component)
                .ends_with(&container.id)
        };
        let is_own = !container.id.is_empty()
            && ends_in_id(last)
            // What a container calls a cgroup of its own is its choice, its id too.
            && !above.split('/').any(ends_in_id);
        is_own.then_some(container)
    }
}

/// Names that the runtimes give; empty while unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The container's name in its runtime.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The Kubernetes namespace, or the runtime's.
    pub namespace: String,
    /// The Kubernetes pod.
    pub pod: String,
    /// The container's name in its pod.
    pub container: String,
}

/// Which container: as its cgroup's path tells, or its runtime, which knows better.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// The runtime's id of it; empty for a pod's own cgroup.
    pub id: String,
    /// The runtime's namespace of ids, where the id was chosen in one: containerd's.
    pub id_namespace: String,
    /// The path of its own cgroup, where that does not have the id.
    pub place: Option<String>,
    /// The runtime.
    pub runtime: Runtime,
    /// What it runs in.
    pub flavor: Flavor,
    /// The UID of its Kubernetes pod, with dashes; empty when there is none.
    pub pod_uid: String,
    /// The pod's quality of service.
    pub qos: Option<Qos>,
}

impl Container {
    /// What tells it from all others of this host; `None` for a pod.
    #[must_use]
    pub fn key(&self) -> Option<ContainerRef> {
        let key = || ContainerRef {
            id_namespace: self.id_namespace.clone(),
            id: self.id.clone(),
        };
        (!self.id.is_empty()).then(|| key().key())
    }
}

/// A pod's quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// All limits set.
    Guaranteed,
    /// Some set.
    Burstable,
    /// None set.
    BestEffort,
}

impl Qos {
    /// The name in labels, as Kubernetes writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}
