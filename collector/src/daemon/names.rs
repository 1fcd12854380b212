//! What the runtimes tell, on its way to the pipeline.
//!
//! In: news of containers. Out: the same with the cgroup of a container's first process, where its id does
//! not tell which cgroups are its.

use super::state::State;
use crate::{
    catalog::{
        ContainerRef, Flavor, Informant, News, Role, RuntimeContainer,
        following::{Audience, Told, Unnamed},
    },
    host::process::cgroup_of,
};

/// Processes that are looked up for one list. Few containers are not where their id says.
const MAX_LOOKED_UP: usize = 1_024;

impl Audience for State {
    fn tell(&self, informant: Informant, news: News) {
        let news = match informant.user {
            Some(user) => news.of_user(user),
            None => news,
        };
        let unplaced = self.unplaced(&news);
        self.pipeline().tell(informant, news);
        for (of, path) in unplaced {
            self.pipeline().place(&of, &path);
        }
    }

    fn unnamed(&self, most: usize) -> Vec<Unnamed> {
        self.pipeline().unnamed(most)
    }
}

impl State {
    /// Where the containers are that this is about and that have no cgroups yet: by their first processes.
    fn unplaced(&self, news: &News) -> Vec<(ContainerRef, Vec<u8>)> {
        let told = match news {
            News::Told { of, .. } => std::slice::from_ref(&**of),
            News::All { containers, .. } => containers,
            News::Exited { .. } | News::Removed { .. } => &[],
        };
        let (hierarchy, unplaced) = {
            let pipeline = self.pipeline();
            let unplaced = told.iter().filter_map(|of| {
                let pid = of.pid.filter(|_| may_be_placed(of))?;
                let key = of.key();
                (!pipeline.has_cgroups_of(&key)).then_some((key, pid))
            });
            let unplaced: Vec<_> = unplaced.take(MAX_LOOKED_UP).collect();
            (pipeline.task_hierarchy(), unplaced)
        };
        let placed = unplaced
            .into_iter()
            .filter_map(|(of, pid)| Some((of, cgroup_of(&self.host_root, pid, hierarchy)?)));
        placed.collect()
    }
}

/// Whether a container is where its first process is: in a virtual machine all have the same one.
fn may_be_placed(of: &RuntimeContainer) -> bool {
    of.runtime.flavor == Flavor::Default || of.role == Role::Sandbox
}

impl Told for State {
    fn find(&self, fits: &dyn Fn(&RuntimeContainer) -> bool) -> Option<ContainerRef> {
        let pipeline = self.pipeline();
        let fitting = pipeline.roster().containers().filter(|of| fits(of));
        fitting.max_by_key(|of| of.started).map(|of| of.key())
    }
}
