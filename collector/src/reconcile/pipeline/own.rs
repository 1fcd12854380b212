//! Which cgroup and container are cgscope's own, and what that means for who preempted whom.
//!
//! In: what this process finds out about itself. Out: the class of a cgroup in the windows. Never here: how
//! it is found out.

use std::sync::Arc;

use super::Pipeline;
use crate::{
    catalog::{ContainerRef, Owner, OwnerId},
    host::CgroupKey,
    reconcile::listing::OwnContainer,
    window::Class,
};

/// What is cgscope's own, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// The cgroup that its threads are in, where tasks are attributed.
    pub(super) cgroup: Option<CgroupKey>,
    /// The container that it runs in.
    pub(super) container: Option<ContainerRef>,
    /// Whether it is left out of what others were preempted by.
    pub(super) is_left_out: bool,
}

impl Own {
    /// What a cgroup is to others.
    ///
    /// Who shares cgscope's cgroup or container is taken for it: that is as far as the kernel tells them
    /// apart. In the root are all that nobody put elsewhere, so that it is never taken for cgscope.
    pub(super) fn class(&self, key: CgroupKey, owner: &Owner) -> Class {
        if self.is_left_out && (self.is_own_cgroup(key, owner) || self.is_in_own_container(owner)) {
            return Class::Own(owner.class);
        }
        owner.class.map_or(Class::System, Class::Container)
    }

    fn is_own_cgroup(&self, key: CgroupKey, owner: &Owner) -> bool {
        self.cgroup == Some(key) && owner.path() != b"/"
    }

    fn is_in_own_container(&self, owner: &Owner) -> bool {
        self.container.is_some() && container_of(owner) == self.container
    }
}

fn container_of(owner: &Owner) -> Option<ContainerRef> {
    owner.identity.container.as_ref()?.key()
}

impl Pipeline {
    /// Says whether cgscope is left out of what others were preempted by, and which cgroup it is in.
    pub fn know_own_cgroup(&mut self, cgroup: Option<CgroupKey>, is_left_out: bool) {
        self.own = Own {
            cgroup,
            container: None,
            is_left_out,
        };
        self.class_all();
        if let Some((owner, _)) = cgroup.and_then(|key| self.table.owner_of(key)) {
            self.meet_own_container(owner);
        }
    }

    /// Says which container cgscope runs in.
    pub fn know_own_container(&mut self, container: ContainerRef) {
        let container = Some(container.key());
        if self.own.container != container {
            self.own.container = container;
            self.class_all();
        }
    }

    /// The container that cgscope runs in, once that is known.
    #[must_use]
    pub const fn own_container(&self) -> Option<&ContainerRef> {
        self.own.container.as_ref()
    }

    /// The same, with what its runtime tells.
    #[must_use]
    pub fn own_container_told(&self) -> Option<OwnContainer> {
        let of = self.own_container()?.clone();
        let told = self.table.roster().get(&of).map(Arc::clone);
        Some(OwnContainer { of, told })
    }

    /// cgscope's own cgroup is this owner's, who may be a container.
    pub(super) fn meet_own_container(&mut self, owner: OwnerId) {
        if let Some(container) = self.table.owner(owner).and_then(container_of) {
            self.know_own_container(container);
        }
    }

    fn class_all(&mut self) {
        let of_all: Vec<_> = self
            .table
            .owners()
            .flat_map(|(_, of)| of.live_keys().map(|key| (key, self.own.class(key, of))))
            .collect();
        for (key, class) in of_all {
            self.set_class(key, class);
        }
    }
}
