//! Runtimes tell whose cgroups are.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::CgroupTable;
use crate::catalog::{
    Container, ContainerRef, Informant, News, Owner, OwnerId, RuntimeContainer,
    naming::{Moves, Telling},
    roster::at_or_above,
};

/// What came of what a runtime told.
#[derive(Debug, Default)]
pub struct Heard {
    /// The owners that are another container's now.
    pub moved: Vec<OwnerId>,
    /// The containers that a list has no more, as they were known.
    pub gone: Vec<Arc<RuntimeContainer>>,
}

impl CgroupTable {
    /// Takes what a runtime tells, and names those whom it is about.
    pub fn tell(&mut self, informant: Informant, news: News) -> Heard {
        let Telling {
            renamed,
            moves,
            gone,
        } = self.naming.tell(informant, news);
        for owner in &renamed {
            if let Some(owner) = self.owners.get_mut(owner) {
                self.naming.name(Arc::make_mut(&mut owner.identity));
            }
        }
        Heard {
            moved: self.follow_moves(moves),
            gone,
        }
    }

    /// The first process of a container is in this cgroup. The owners that are another container's now.
    pub fn place(&mut self, container: &ContainerRef, path: &[u8]) -> Vec<OwnerId> {
        self.follow_moves(Moves {
            claims: vec![(path.to_vec(), container.clone())],
            freed: Vec::new(),
        })
    }

    fn follow_moves(&mut self, moves: Moves) -> Vec<OwnerId> {
        let Moves {
            mut claims,
            freed: mut changed,
        } = moves;
        claims.retain(|(path, key)| self.naming.is_news_of_place(path, key));
        if !claims.is_empty() {
            let containers = self.containers_below();
            claims.retain(|(path, _)| containers.get(path).is_none_or(|count| *count < 2));
        }
        for (path, key) in claims {
            if self.naming.place(&path, &key) {
                changed.push(path);
            }
        }
        if changed.is_empty() {
            Vec::new()
        } else {
            self.recognize_below(&changed)
        }
    }

    /// How many containers are known below each path. What is above two of them, as what runtimes have for all
    /// of theirs, is not one container's, whoever says so.
    fn containers_below(&self) -> HashMap<Vec<u8>, usize> {
        let mut below: HashMap<Vec<u8>, usize> = HashMap::new();
        let is_there = |owner: &&Owner| owner.exited.is_none();
        for owner in self.owners.values().filter(is_there) {
            if owner.identity.own_container().is_some() {
                let above = at_or_above(&owner.path).filter(|above| *above != owner.path);
                for above in above {
                    *below.entry(above.to_vec()).or_default() += 1;
                }
            }
        }
        below
    }

    /// Looks again whose cgroups and those below them are, now that it is known whose places they are.
    /// Of what is gone, less can be found than could: it keeps the container that it has, as does what its path
    /// tells of.
    fn recognize_below(&mut self, places: &[Vec<u8>]) -> Vec<OwnerId> {
        let places: HashSet<&[u8]> = places.iter().map(Vec::as_slice).collect();
        let mut changed = Vec::new();
        for (id, owner) in &mut self.owners {
            let is_below = at_or_above(&owner.path).any(|above| places.contains(above));
            if !is_below || (owner.exited.is_some() && owner.identity.container.is_some()) {
                continue;
            }
            let container = self.naming.container(&owner.path);
            let known = owner.identity.container.as_ref();
            let is_same =
                container.as_ref().and_then(Container::key) == known.and_then(Container::key);
            let was_placed = known.is_some_and(|of| of.place.is_some());
            if is_same || (container.is_none() && !was_placed) {
                continue;
            }
            let identity = Arc::make_mut(&mut owner.identity);
            owner.class = self.naming.give_to(*id, container, identity);
            changed.push(*id);
        }
        changed
    }
}
