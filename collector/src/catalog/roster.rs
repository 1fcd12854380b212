//! Every container that a runtime has told of.
//!
//! In: what each runtime tells. Out: one [`RuntimeContainer`] for each container, though several may know
//! it: Docker's containers are containerd's too, and CRI's. Never here: a cgroup.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use super::{ContainerRef, Names, RuntimeContainer, RuntimeState};

/// Who tells: the rank of what is told, lower is better, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Informant {
    /// Of two that tell of the same container, the one with the lower rank is believed; the other completes
    /// what that one leaves out.
    pub rank: u8,
    /// Tells informants of one rank apart.
    pub number: u32,
    /// The user whose runtime it is, if it is not the host's: it is believed of that user's containers only.
    pub user: Option<u32>,
}

/// Every container that a runtime has told of, by its key.
#[derive(Debug)]
pub struct Roster {
    entries: HashMap<ContainerRef, Entry>,
    /// What containers tell of their pods, by the UID.
    pods: HashMap<String, Arc<RuntimeContainer>>,
    /// Cgroups that do not have their container's id in their path, and who claims them.
    places: HashMap<Vec<u8>, Vec<ContainerRef>>,
    /// How many each has told of, and is remembered.
    shares: HashMap<Informant, usize>,
    most: usize,
    refused: u64,
}

/// One container.
#[derive(Debug)]
struct Entry {
    /// What each says, the best first; one at least.
    tellings: Vec<(Informant, RuntimeContainer)>,
    /// All of it, put together.
    whole: Arc<RuntimeContainer>,
}

impl Informant {
    /// The key of a container that it tells of under this id.
    #[must_use]
    pub fn key_of(&self, of: &ContainerRef) -> ContainerRef {
        match self.user {
            Some(user) => ContainerRef {
                id_namespace: ContainerRef::namespace_of_user(user),
                id: of.id.clone(),
            },
            None => of.clone().key(),
        }
    }
}

/// What a list changed.
#[derive(Debug, Default)]
pub struct Relisted {
    /// The keys of what is news.
    pub news: Vec<ContainerRef>,
    /// The cgroups that are nobody's or another's because of what the runtime has no more.
    pub freed: Vec<Vec<u8>>,
    /// What the runtime has no more, as it was known; another may have it still.
    pub gone: Vec<Arc<RuntimeContainer>>,
}

impl RuntimeContainer {
    /// What tells it from all others.
    #[must_use]
    pub fn key(&self) -> ContainerRef {
        ContainerRef {
            id_namespace: self.id_namespace.clone(),
            id: self.id.clone(),
        }
        .key()
    }
}

impl Roster {
    /// Empty; of at most so many containers of one runtime, and [`RUNTIMES`] times as many of all: one that
    /// tells of too many takes nothing from the others.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            entries: HashMap::new(),
            pods: HashMap::new(),
            places: HashMap::new(),
            shares: HashMap::new(),
            most,
            refused: 0,
        }
    }

    /// A runtime tells of a container; if that is not all there is to tell, what it told before completes
    /// it. The container's key, if that is news.
    pub fn tell(
        &mut self,
        informant: Informant,
        mut told: RuntimeContainer,
        is_whole: bool,
    ) -> Option<ContainerRef> {
        let key = told.key();
        if key.id.is_empty() {
            return None;
        }
        let before = self.entries.get(&key);
        let is_known = before.is_some_and(|entry| entry.has(informant));
        let is_full = before.is_none() && self.entries.len() >= self.most.saturating_mul(RUNTIMES);
        if !is_known && (is_full || self.share_of(informant) >= self.most_of(informant)) {
            self.refused += 1;
            return None;
        }
        if !told.pod_uid.is_empty() && !told.names.pod.is_empty() {
            self.tell_pod(&told);
        }
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry {
            tellings: Vec::new(),
            whole: Arc::default(),
        });
        let own = entry.tellings.iter_mut().find(|(of, _)| *of == informant);
        if let Some((_, before)) = own {
            if !is_whole {
                told.complete(before);
            }
            if *before == told {
                return None;
            }
            *before = told;
        } else {
            entry.tellings.push((informant, told));
            *self.shares.entry(informant).or_default() += 1;
        }
        entry.tellings.sort_by_key(|(of, _)| *of);
        entry.put_together().then_some(key)
    }

    fn share_of(&self, informant: Informant) -> usize {
        self.shares.get(&informant).copied().unwrap_or_default()
    }

    fn most_of(&self, informant: Informant) -> usize {
        match informant.user {
            Some(_) => self.most.min(MAX_OF_USER),
            None => self.most,
        }
    }

    fn tell_pod(&mut self, told: &RuntimeContainer) {
        if self.pods.len() >= self.most && !self.pods.contains_key(&told.pod_uid) {
            self.refused += 1;
            return;
        }
        let mut pod = RuntimeContainer {
            names: Names {
                namespace: told.names.namespace.clone(),
                pod: told.names.pod.clone(),
                ..Names::default()
            },
            pod_uid: told.pod_uid.clone(),
            pod_labels: told.pod_labels.clone(),
            ..RuntimeContainer::default()
        };
        let before = self.pods.entry(told.pod_uid.clone()).or_default();
        // Not everyone who knows the pod knows its labels.
        if pod.pod_labels.is_empty() {
            pod.pod_labels.clone_from(&before.pod_labels);
        }
        if **before != pod {
            *before = Arc::new(pod);
        }
    }

    /// A container's first process has ended. Its key, if that is news.
    pub fn exited(
        &mut self,
        informant: Informant,
        of: ContainerRef,
        code: Option<i32>,
        at: Option<SystemTime>,
    ) -> Option<ContainerRef> {
        let key = of.key();
        let entry = self.entries.get_mut(&key)?;
        let (_, told) = entry.tellings.iter_mut().find(|(of, _)| *of == informant)?;
        told.state = RuntimeState::Exited;
        told.pid = None;
        told.exit_code = code.or(told.exit_code);
        told.finished = at.or(told.finished);
        entry.put_together().then_some(key)
    }

    /// A runtime has a container no more. The cgroups that are nobody's for that, or another's who claimed
    /// them too.
    pub fn removed(&mut self, informant: Informant, of: ContainerRef) -> Vec<Vec<u8>> {
        let key = of.key();
        let Some(entry) = self.entries.get_mut(&key) else {
            return Vec::new();
        };
        if entry.has(informant)
            && let Some(share) = self.shares.get_mut(&informant)
        {
            *share -= 1;
        }
        entry.tellings.retain(|(of, _)| *of != informant);
        if !entry.tellings.is_empty() {
            entry.put_together();
            return Vec::new();
        }
        self.entries.remove(&key);
        let mut freed = Vec::new();
        self.places.retain(|path, claims| {
            let before = claims.len();
            claims.retain(|of| *of != key);
            if claims.len() < before {
                freed.push(path.clone());
            }
            !claims.is_empty()
        });
        freed
    }

    /// All that a runtime has, but what `is_newer` says has been told of since it was asked.
    pub fn relist(
        &mut self,
        informant: Informant,
        all: Vec<RuntimeContainer>,
        is_newer: impl Fn(&ContainerRef) -> bool,
    ) -> Relisted {
        let there: HashSet<_> = all.iter().map(RuntimeContainer::key).collect();
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(|(key, entry)| entry.has(informant) && !there.contains(key) && !is_newer(key))
            .map(|(key, entry)| (key.clone(), Arc::clone(&entry.whole)))
            .collect();
        let mut freed = Vec::new();
        for (key, _) in &gone {
            freed.append(&mut self.removed(informant, key.clone()));
        }
        let mut news = Vec::new();
        for told in all {
            if !is_newer(&told.key()) {
                news.extend(self.tell(informant, told, true));
            }
        }
        self.forget_pods();
        Relisted {
            news,
            freed,
            gone: gone.into_iter().map(|(_, whole)| whole).collect(),
        }
    }

    /// Lets go of pods of which no container is left.
    fn forget_pods(&mut self) {
        let there: HashSet<&str> = self
            .entries
            .values()
            .map(|entry| entry.whole.pod_uid.as_str())
            .collect();
        self.pods.retain(|uid, _| there.contains(uid.as_str()));
    }

    /// A container is in this cgroup, whose path does not have its id. Whether that is news.
    pub fn place(&mut self, path: &[u8], key: &ContainerRef) -> bool {
        if is_everyones(path) {
            return false;
        }
        if self.places.len() >= self.most && !self.places.contains_key(path) {
            self.refused += 1;
            return false;
        }
        let claims = self.places.entry(path.to_vec()).or_default();
        let is_news = !claims.contains(key) && claims.len() < MAX_CLAIMS;
        if is_news {
            claims.push(key.clone());
        }
        is_news
    }

    /// Whether a container is known to be in this cgroup.
    #[must_use]
    pub fn is_at(&self, path: &[u8], key: &ContainerRef) -> bool {
        let claims = self.places.get(path);
        claims.is_some_and(|claims| claims.contains(key))
    }

    /// The outermost cgroup at or above a path that is a container's by its place: how much of the path it
    /// is, and whose.
    #[must_use]
    pub fn placed(&self, path: &[u8]) -> Option<(usize, &ContainerRef)> {
        if self.places.is_empty() {
            return None;
        }
        at_or_above(path).find_map(|above| match self.places.get(above)?.as_slice() {
            [only] => Some((above.len(), only)),
            // Two in one cgroup: it is neither's.
            _ => None,
        })
    }

    /// A container.
    #[must_use]
    pub fn get(&self, key: &ContainerRef) -> Option<&Arc<RuntimeContainer>> {
        self.entries.get(key).map(|entry| &entry.whole)
    }

    /// A pod, by its UID: a container without an id.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&Arc<RuntimeContainer>> {
        self.pods.get(uid)
    }

    /// All containers, in no order.
    pub fn containers(&self) -> impl Iterator<Item = &Arc<RuntimeContainer>> {
        self.entries.values().map(|entry| &entry.whole)
    }

    /// How many containers, pods and places found no room.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

impl Entry {
    fn has(&self, informant: Informant) -> bool {
        self.tellings.iter().any(|(of, _)| *of == informant)
    }

    /// Puts together what all tell. Whether it is other than before.
    fn put_together(&mut self) -> bool {
        let mut tellings = self.tellings.iter().map(|(_, told)| told);
        let Some(best) = tellings.next() else {
            return false;
        };
        let mut whole = best.clone();
        for next in tellings {
            whole.complete(next);
        }
        let is_news = *self.whole != whole;
        if is_news {
            self.whole = Arc::new(whole);
        }
        is_news
    }
}

/// So many runtimes have room for as many containers as one may have.
const RUNTIMES: usize = 4;

/// The most containers of a user's own runtime.
const MAX_OF_USER: usize = 1_024;

/// The most containers that are remembered to be in one cgroup.
const MAX_CLAIMS: usize = 8;

/// The paths above a path, but the root, and the path itself.
pub(super) fn at_or_above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'/' && *at > 0)
        .map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

/// Whether a cgroup can have processes of others: a container that was not given one of its own (Podman
/// with `--cgroups=disabled`) is in its caller's.
fn is_everyones(path: &[u8]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    last.is_empty()
        || last.ends_with(b".slice")
        || last.ends_with(b".service")
        || last == b"init.scope"
        || (last.starts_with(b"session-") && last.ends_with(b".scope"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Runtime, RuntimeMetadata};

    const DOCKER: Informant = Informant {
        rank: 0,
        number: 7,
        user: None,
    };
    const CONTAINERD: Informant = Informant {
        rank: 5,
        number: 1,
        user: None,
    };
    const ID: &str = "4f1e7e2c6a9b3d5f8c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60";

    fn told(id: &str, runtime: Runtime, name: &str) -> RuntimeContainer {
        RuntimeContainer {
            id: id.to_owned(),
            runtime: RuntimeMetadata::of(runtime),
            names: Names {
                name: name.to_owned(),
                ..Names::default()
            },
            ..RuntimeContainer::default()
        }
    }

    fn key(id: &str) -> ContainerRef {
        ContainerRef {
            id_namespace: String::new(),
            id: id.to_owned(),
        }
    }

    #[test]
    fn the_better_one_is_believed_and_the_other_completes_it_whoever_came_first() {
        for first_is_better in [true, false] {
            let mut roster = Roster::new(10);
            let mut from_docker = told(ID, Runtime::Docker, "web");
            from_docker.restarts = Some(2);
            let mut from_containerd = told(ID, Runtime::Containerd, ID);
            from_containerd.id_namespace = "k8s.io".to_owned();
            from_containerd.pid = Some(42);
            let mut tellings = [(DOCKER, from_docker), (CONTAINERD, from_containerd)];
            if !first_is_better {
                tellings.reverse();
            }
            for (informant, told) in tellings {
                assert_eq!(roster.tell(informant, told, true), Some(key(ID)));
            }
            let whole = roster.get(&key(ID)).unwrap();
            assert_eq!(whole.names.name, "web");
            assert_eq!(whole.runtime.runtime, Runtime::Docker);
            assert_eq!((whole.pid, whole.restarts), (Some(42), Some(2)));
            // What the better one knows goes when it goes; the other stays.
            roster.removed(DOCKER, key(ID));
            assert_eq!(roster.get(&key(ID)).unwrap().names.name, ID);
            roster.removed(CONTAINERD, key(ID));
            assert_eq!(roster.get(&key(ID)), None);
        }
    }

    #[test]
    fn chosen_ids_are_told_apart_by_their_namespace() {
        let mut roster = Roster::new(10);
        for namespace in ["one", "two"] {
            let mut of = told("web", Runtime::Containerd, namespace);
            of.id_namespace = namespace.to_owned();
            roster.tell(CONTAINERD, of, true).unwrap();
        }
        for namespace in ["one", "two"] {
            let key = ContainerRef {
                id_namespace: namespace.to_owned(),
                id: "web".to_owned(),
            };
            assert_eq!(roster.get(&key).unwrap().names.name, namespace);
        }
    }

    #[test]
    fn a_list_takes_away_what_is_gone_but_not_what_was_told_since_it_was_asked_for() {
        let mut roster = Roster::new(10);
        for id in ["gone", "stays", "new"] {
            roster.tell(DOCKER, told(id, Runtime::Docker, "before"), true);
        }
        roster.tell(CONTAINERD, told("others", Runtime::Containerd, ""), true);
        let list = vec![
            told("stays", Runtime::Docker, "after"),
            told("removed-since", Runtime::Docker, ""),
        ];
        let since = ["new", "removed-since"];
        let relisted = roster.relist(DOCKER, list, |key| since.contains(&key.id.as_str()));
        let news = relisted.news;
        assert_eq!(news, [key("stays")]);
        let there = |id: &str| roster.get(&key(id)).is_some();
        assert!(there("stays") && there("new") && there("others"));
        assert!(!there("gone") && !there("removed-since"));
    }

    #[test]
    fn no_more_are_kept_than_there_may_be_and_the_rest_is_counted() {
        let mut roster = Roster::new(2);
        for id in ["a", "b", "c", "d"] {
            roster.tell(DOCKER, told(id, Runtime::Docker, ""), true);
        }
        assert_eq!((roster.containers().count(), roster.refused()), (2, 2));
        // Another runtime has room of its own.
        for id in ["x", "y", "z"] {
            roster.tell(CONTAINERD, told(id, Runtime::Containerd, ""), true);
        }
        assert_eq!((roster.containers().count(), roster.refused()), (4, 3));
        // One that goes makes room.
        roster.removed(CONTAINERD, key("x"));
        assert!(
            roster
                .tell(CONTAINERD, told("z", Runtime::Containerd, ""), true)
                .is_some()
        );
        // Those that are known can change.
        assert!(
            roster
                .tell(DOCKER, told("a", Runtime::Docker, "renamed"), true)
                .is_some()
        );
    }

    #[test]
    fn a_place_is_the_outermost_and_nobodys_when_two_claim_it() {
        let mut roster = Roster::new(10);
        assert!(roster.place(b"/my/path", &key("a")));
        assert!(!roster.place(b"/my/path", &key("a")), "no news");
        assert!(roster.place(b"/my/path/deeper", &key("b")));
        assert_eq!(roster.placed(b"/my/path"), Some((8, &key("a"))));
        assert_eq!(roster.placed(b"/my/path/deeper/x"), Some((8, &key("a"))));
        assert_eq!(roster.placed(b"/my/paths"), None);
        assert!(roster.place(b"/my/path", &key("c")));
        assert_eq!(roster.placed(b"/my/path/deeper/x"), Some((15, &key("b"))));
        assert_eq!(roster.placed(b"/my/path"), None);
        // Whoever is left has it.
        for id in ["a", "c"] {
            roster.tell(DOCKER, told(id, Runtime::Docker, ""), true);
        }
        assert_eq!(roster.removed(DOCKER, key("a")), [b"/my/path".to_vec()]);
        assert_eq!(roster.placed(b"/my/path"), Some((8, &key("c"))));
        assert_eq!(roster.removed(DOCKER, key("c")), [b"/my/path".to_vec()]);
        assert_eq!(roster.placed(b"/my/path"), None);
        for everyones in ["/", "", "/user.slice", "/a/b.service", "/x/session-3.scope"] {
            assert!(
                !roster.place(everyones.as_bytes(), &key("a")),
                "{everyones}"
            );
        }
    }

    #[test]
    fn a_pod_is_known_by_its_containers_until_the_last_is_gone() {
        let mut roster = Roster::new(10);
        let mut of = told(ID, Runtime::Containerd, "");
        of.pod_uid = "uid".to_owned();
        of.names.pod = "web-0".to_owned();
        of.names.namespace = "shop".to_owned();
        roster.tell(CONTAINERD, of.clone(), true);
        let pod = roster.pod("uid").unwrap();
        let names = (pod.names.namespace.as_str(), pod.names.pod.as_str());
        assert_eq!(names, ("shop", "web-0"));
        roster.relist(CONTAINERD, Vec::new(), |_| false);
        assert_eq!(roster.pod("uid"), None);
    }

    #[test]
    fn an_exit_is_told_with_its_code() {
        let mut roster = Roster::new(10);
        roster.tell(DOCKER, told(ID, Runtime::Docker, "web"), true);
        assert!(roster.exited(DOCKER, key(ID), Some(137), None).is_some());
        let of = roster.get(&key(ID)).unwrap();
        assert_eq!((of.exit_code, of.state), (Some(137), RuntimeState::Exited));
    }
}
