//! Whose a cgroup is, by its path and by what the runtimes tell.
//!
//! In: paths of cgroups, and what runtimes tell of containers, in any order. Out: the container and the
//! names of each owner's [`Identity`], made anew for those that a telling is about. Never here: what a
//! cgroup is called in its hierarchy, or since when it is there.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    sync::Arc,
};

use super::{
    Container, ContainerRef, Flavor, Identity, Informant, Names, OwnerId, Recognizer, Roster,
    Runtime, RuntimeContainer, container_ref::users_namespace, path_text::path_text,
};

/// What a runtime tells.
#[derive(Clone, Debug)]
pub enum News {
    /// Of a container.
    Told {
        /// The container.
        of: Box<RuntimeContainer>,
        /// Whether that is all there is to tell: else what was told before completes it.
        is_whole: bool,
    },
    /// That its first process ended.
    Exited {
        /// Which.
        of: ContainerRef,
        /// The exit code.
        code: Option<i32>,
        /// When.
        at: Option<std::time::SystemTime>,
    },
    /// That it has a container no more.
    Removed {
        /// Which.
        of: ContainerRef,
    },
    /// All that it has.
    All {
        /// They.
        containers: Vec<RuntimeContainer>,
        /// Those of which something was told since the list was asked for: that is newer.
        newer: HashSet<ContainerRef>,
    },
}

impl News {
    /// The same from a user's own runtime: of that user's containers, and of no pod of Kubernetes.
    #[must_use]
    pub fn of_user(self, user: u32) -> Self {
        let namespace = ContainerRef::namespace_of_user(user);
        let refer = |of: ContainerRef| ContainerRef {
            id_namespace: namespace.clone(),
            ..of
        };
        let tell = |of: RuntimeContainer| RuntimeContainer {
            id_namespace: namespace.clone(),
            pod_uid: String::new(),
            ..of
        };
        match self {
            Self::Told { of, is_whole } => Self::Told {
                of: Box::new(tell(*of)),
                is_whole,
            },
            Self::Exited { of, code, at } => Self::Exited {
                of: refer(of),
                code,
                at,
            },
            Self::Removed { of } => Self::Removed { of: refer(of) },
            Self::All { containers, newer } => Self::All {
                containers: containers.into_iter().map(tell).collect(),
                newer: newer.into_iter().map(refer).collect(),
            },
        }
    }
}

/// Whose a cgroup is, by its path and by what the runtimes tell.
#[derive(Debug)]
pub(super) struct Naming {
    recognizer: Recognizer,
    roster: Roster,
    /// The cgroups of each container.
    containers: HashMap<ContainerRef, Members>,
    /// The own cgroups of each pod, by its UID.
    pods: HashMap<String, Vec<OwnerId>>,
    next_class: NonZeroU32,
}

/// The cgroups of one container.
#[derive(Debug)]
struct Members {
    /// The number of the container, to tell containers apart cheaply.
    class: NonZeroU32,
    owners: Vec<OwnerId>,
}

/// What is told of where containers are.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// Cgroups, and which container is said to be there.
    pub(super) claims: Vec<(Vec<u8>, ContainerRef)>,
    /// Cgroups in which a container was that is there no more.
    pub(super) freed: Vec<Vec<u8>>,
}

/// What a telling changes.
#[derive(Debug)]
pub(super) struct Telling {
    /// The owners whose names it changes.
    pub(super) renamed: Vec<OwnerId>,
    /// What it says of places.
    pub(super) moves: Moves,
    /// What a list has no more, as it was known.
    pub(super) gone: Vec<Arc<RuntimeContainer>>,
}

impl Naming {
    pub(super) fn new(recognizer: Recognizer, most: usize) -> Self {
        Self {
            recognizer,
            roster: Roster::new(most),
            containers: HashMap::new(),
            pods: HashMap::new(),
            next_class: NonZeroU32::MIN,
        }
    }

    /// The container that the cgroup at a path belongs to: the outermost that is known.
    pub(super) fn container(&self, path: &[u8]) -> Option<Container> {
        let by_path = self.recognized(path);
        let Some((end, key)) = self.roster.placed(path) else {
            return by_path;
        };
        let is_outer = by_path
            .as_ref()
            .and_then(|container| end_of_id(path, &container.id))
            .is_none_or(|by_path| end < by_path);
        if !is_outer {
            return by_path;
        }
        let told = self.roster.get(key);
        Some(Container {
            id: key.id.clone(),
            id_namespace: key.id_namespace.clone(),
            place: Some(path_text(&path[..end])),
            runtime: told.map_or(Runtime::Unknown, |told| told.runtime.runtime),
            ..by_path.unwrap_or_default()
        })
    }

    /// Gives an owner its container's number, and its names as far as they are told.
    pub(super) fn join(&mut self, owner: OwnerId, identity: &mut Identity) -> Option<NonZeroU32> {
        let container = identity.container.as_ref()?;
        let class = if let Some(key) = container.key() {
            let next = &mut self.next_class;
            let members = self.containers.entry(key).or_insert_with(|| {
                let class = *next;
                // After 2^32 containers two that are long apart may share a number.
                *next = class.checked_add(1).unwrap_or(NonZeroU32::MIN);
                Members {
                    class,
                    owners: Vec::new(),
                }
            });
            members.owners.push(owner);
            Some(members.class)
        } else {
            let of_pod = self.pods.entry(container.pod_uid.clone()).or_default();
            of_pod.push(owner);
            None
        };
        self.name(identity);
        class
    }

    /// Gives an owner to the container that its path is of now. The container's number.
    pub(super) fn take_over(
        &mut self,
        owner: OwnerId,
        path: &[u8],
        identity: &mut Identity,
    ) -> Option<NonZeroU32> {
        let container = self.container(path);
        self.give_to(owner, container, identity)
    }

    /// Gives an owner to another container. The container's number.
    pub(super) fn give_to(
        &mut self,
        owner: OwnerId,
        container: Option<Container>,
        identity: &mut Identity,
    ) -> Option<NonZeroU32> {
        self.leave(owner, identity);
        identity.container = container;
        identity.told = None;
        identity.names = Names::default();
        self.join(owner, identity)
    }

    /// Forgets that an owner is of its container.
    pub(super) fn leave(&mut self, owner: OwnerId, identity: &Identity) {
        let Some(container) = &identity.container else {
            return;
        };
        if let Some(key) = container.key() {
            if let Some(members) = self.containers.get_mut(&key) {
                members.owners.retain(|of| *of != owner);
                if members.owners.is_empty() {
                    self.containers.remove(&key);
                }
            }
        } else if let Some(of_pod) = self.pods.get_mut(&container.pod_uid) {
            of_pod.retain(|of| *of != owner);
            if of_pod.is_empty() {
                self.pods.remove(&container.pod_uid);
            }
        }
    }

    /// Names an identity as the runtimes do. What is not told, and what was told of a container that they
    /// have no more, stays.
    pub(super) fn name(&self, identity: &mut Identity) {
        let Some(container) = &mut identity.container else {
            return;
        };
        let told = match container.key() {
            Some(key) => self.roster.get(&key),
            None => self.roster.pod(&container.pod_uid),
        };
        let Some(told) = told else {
            return;
        };
        identity.names.clone_from(&told.names);
        identity.told = Some(Arc::clone(told));
        if told.runtime.runtime != Runtime::Unknown {
            container.runtime = told.runtime.runtime;
        }
        if container.flavor == Flavor::Default {
            container.flavor = told.runtime.flavor;
        }
        if container.pod_uid.is_empty() {
            container.pod_uid.clone_from(&told.pod_uid);
        }
    }

    /// Takes what a runtime tells.
    pub(super) fn tell(&mut self, informant: Informant, news: News) -> Telling {
        let mut moves = Moves::default();
        let mut gone = Vec::new();
        let changed: Vec<ContainerRef> = match news {
            News::Told { of, is_whole } => {
                let key = of.key();
                let told_path = of.cgroup_path.as_ref().map(|path| path.as_bytes().to_vec());
                let changed = self.roster.tell(informant, *of, is_whole);
                moves.claims.extend(told_path.map(|path| (path, key)));
                changed.into_iter().collect()
            }
            News::Exited { of, code, at } => {
                let changed = self.roster.exited(informant, of, code, at);
                changed.into_iter().collect()
            }
            News::Removed { of } => {
                moves.freed = self.roster.removed(informant, of);
                Vec::new()
            }
            News::All { containers, newer } => {
                let paths: Vec<_> = containers
                    .iter()
                    .filter_map(|of| Some((of.key(), of.cgroup_path.clone()?)))
                    .collect();
                let is_newer = |key: &ContainerRef| newer.contains(key);
                let relisted = self.roster.relist(informant, containers, is_newer);
                moves.freed = relisted.freed;
                gone = relisted.gone;
                let changed = relisted.news;
                let news: HashSet<_> = changed.iter().collect();
                let claims = paths.into_iter().filter(|(key, _)| news.contains(key));
                moves.claims = claims.map(|(key, path)| (path.into_bytes(), key)).collect();
                changed
            }
        };
        let mut owners = Vec::new();
        let mut pods = HashSet::new();
        for key in &changed {
            if let Some(members) = self.containers.get(key) {
                owners.extend_from_slice(&members.owners);
            }
            if let Some(told) = self.roster.get(key)
                && !told.pod_uid.is_empty()
            {
                pods.insert(told.pod_uid.clone());
            }
        }
        for pod in pods {
            owners.extend(self.pods.get(&pod).into_iter().flatten());
        }
        Telling {
            renamed: owners,
            moves,
            gone,
        }
    }

    /// The container that a path tells of. What is in the slice of a user can be of the user's own runtime.
    fn recognized(&self, path: &[u8]) -> Option<Container> {
        let mut container = self.recognizer.container(path)?;
        if let Some(user) = users_namespace(path) {
            container.id_namespace = user;
        }
        Some(container)
    }

    /// Whether it is news that a container is in this cgroup: its path does not tell, and it may be there.
    pub(super) fn is_news_of_place(&self, path: &[u8], key: &ContainerRef) -> bool {
        if self.roster.get(key).is_none() || self.roster.is_at(path, key) {
            return false;
        }
        // A user's runtime can tell of what is that user's only.
        if users_namespace(path) != key.users_namespace() {
            return false;
        }
        let by_path = self.recognized(path);
        let is_told = by_path.and_then(|container| container.key());
        is_told.as_ref() != Some(key)
    }

    /// Notes where a container is. Whether that is news.
    pub(super) fn place(&mut self, path: &[u8], key: &ContainerRef) -> bool {
        self.roster.place(path, key)
    }

    /// The cgroups of a container, those that are gone too.
    pub(super) fn members(&self, key: &ContainerRef) -> &[OwnerId] {
        let members = self.containers.get(key);
        members.map_or(&[], |members| &members.owners)
    }

    /// Whether cgroups of a container are known.
    pub(super) fn has_members(&self, key: &ContainerRef) -> bool {
        self.containers.contains_key(key)
    }

    /// What the runtimes have told.
    pub(super) const fn roster(&self) -> &Roster {
        &self.roster
    }
}

/// Where in a path the component ends that has an id.
fn end_of_id(path: &[u8], id: &str) -> Option<usize> {
    if id.is_empty() {
        return None;
    }
    let mut end = 0;
    for component in path.split(|byte| *byte == b'/') {
        end += component.len() + 1;
        let is_in = component
            .windows(id.len())
            .any(|window| window == id.as_bytes());
        if is_in {
            return Some(end - 1);
        }
    }
    None
}
