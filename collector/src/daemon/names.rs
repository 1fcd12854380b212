//! What the runtimes tell, on its way to the pipeline.
//!
//! In: news of containers. Out: the same with the cgroup of a container's first process, where its id does
//! not tell which cgroups are its.

use std::sync::Arc;

use opentelemetry::KeyValue;

use super::state::State;
use crate::{
    catalog::{
        ContainerRef, Flavor, Informant, Names, News, Role, RuntimeContainer,
        following::{Audience, Told, Unnamed},
    },
    host::process::cgroup_of,
    trace::own::{
        Step, Steps,
        names::{key, span},
    },
};

/// Processes that are looked up for one list. Few containers are not where their id says.
const MAX_LOOKED_UP: usize = 1_024;

impl Audience for State {
    fn tell(
        &self,
        informant: Informant,
        news: News,
        steps: Steps<'_, ContainerRef>,
    ) -> Vec<Arc<RuntimeContainer>> {
        let news = match informant.user {
            Some(user) => news.of_user(user),
            None => news,
        };
        let unplaced = self.unplaced(&news, steps);
        let _telling = steps.children(span::TELL_PIPELINE);
        let gone = self.pipeline().tell(informant, news);
        for (of, path) in unplaced {
            self.pipeline().place(&of, &path);
        }
        gone
    }

    fn names_of(&self, key: &ContainerRef) -> Option<Names> {
        let pipeline = self.pipeline();
        pipeline.roster().get(key).map(|told| told.names.clone())
    }

    fn unnamed(&self, most: usize) -> Vec<Unnamed> {
        self.pipeline().unnamed(most)
    }
}

impl State {
    /// Where the containers are that this is about and that have no cgroups yet: by their first processes.
    fn unplaced(
        &self,
        news: &News,
        steps: Steps<'_, ContainerRef>,
    ) -> Vec<(ContainerRef, Vec<u8>)> {
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
        let placed = unplaced.into_iter().filter_map(|(of, pid)| {
            let looking = steps.of(&of).map_or_else(Step::default, |step| {
                let step = step.child(span::FIND_CGROUP);
                step.say(|| KeyValue::new(key::PROCESS_ID, i64::from(pid)));
                step
            });
            let path = cgroup_of(&self.host_root, pid, hierarchy);
            looking.say(|| KeyValue::new(key::OBJECT_FOUND, path.is_some()));
            Some((of, path?))
        });
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
