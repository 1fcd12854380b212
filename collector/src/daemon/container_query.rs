//! Questions about single containers, answered by the thread that follows the runtimes.
//!
//! In: who is meant, as it was asked over HTTP. Out: what the provider tells. A question waits in a short
//! queue, so that many of them keep neither names nor scrapes waiting.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::state::State;
use crate::{
    catalog::{
        ContainerRef, Runtime, RuntimeMetadata,
        details::{Details, Known, VALIDITY, Which},
        provider::{answers::Provider, capability::Answer},
        system::Places,
    },
    host::CgroupKey,
};

/// Questions that wait; further ones are refused.
const MAX_WAITING: usize = 16;

/// A question, and where its answer goes.
#[derive(Debug)]
pub struct Question {
    which: Which,
    answer: oneshot::Sender<Answer<Details>>,
}

/// Where questions are asked.
#[derive(Clone, Debug)]
pub struct Inquiry(mpsc::Sender<Question>);

/// A pair of ends: who asks, and who answers.
#[must_use]
pub fn inquiry() -> (Inquiry, mpsc::Receiver<Question>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Inquiry(sender), receiver)
}

impl Inquiry {
    /// Asks; `None` when too many are asking, or nobody answers any more.
    pub async fn ask(&self, which: Which) -> Option<Answer<Details>> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Question { which, answer }).ok()?;
        answered.await.ok()
    }
}

/// Answers questions, one after the other.
pub(super) async fn answer_all(
    mut questions: mpsc::Receiver<Question>,
    provider: &Provider,
    state: &State,
) {
    while let Some(Question { which, answer }) = questions.recv().await {
        // Who asked may have gone.
        drop(answer.send(details(&which, provider, state).await));
    }
    std::future::pending::<()>().await;
}

async fn details(which: &Which, provider: &Provider, state: &State) -> Answer<Details> {
    let key = match which {
        Which::Called(name) => Ok(state.called(name)),
        Which::OfPid(pid) => provider.container_of_pid(*pid, VALIDITY).await,
        Which::OfCgroup(id) => {
            let hierarchy = state.pipeline().task_hierarchy();
            let key = CgroupKey { hierarchy, id: *id };
            provider.container_of_cgroup(key, VALIDITY).await
        }
        Which::InPod(named) => provider.container_of_pod_name(named, VALIDITY).await,
        Which::Own => provider.own_container().await,
    };
    match key?.and_then(|key| state.known(&key)) {
        Some(known) => Ok(Some(Details::look(provider, known).await)),
        None => Ok(None),
    }
}

impl State {
    /// The container with this id, or the only one whose id begins so, or that has this name.
    fn called(&self, text: &str) -> Option<ContainerRef> {
        if text.is_empty() {
            return None;
        }
        let pipeline = self.pipeline();
        let mut keys = pipeline.containers();
        let is_whole_id = |(key, _): &(ContainerRef, _)| key.id == text;
        if keys.iter().any(is_whole_id) {
            keys.retain(is_whole_id);
        } else {
            keys.retain(|(key, told)| {
                let name = told.as_ref().map_or("", |told| told.names.name.as_str());
                name == text || key.id.starts_with(text)
            });
        }
        match keys.as_slice() {
            [(key, _)] => Some(key.clone()),
            _ => None,
        }
    }

    /// A container, by what tells it from all others.
    fn known(&self, key: &ContainerRef) -> Option<Known> {
        let key = key.clone().key();
        let pipeline = self.pipeline();
        if let Some(told) = pipeline.roster().get(&key) {
            return Some(Known {
                key,
                runtime: told.runtime,
                told: Some(Arc::clone(told)),
            });
        }
        let (key, told) = pipeline
            .containers()
            .into_iter()
            .find(|(of, _)| *of == key)?;
        let runtime = told
            .as_ref()
            .map_or(RuntimeMetadata::of(Runtime::Unknown), |told| told.runtime);
        Some(Known { key, runtime, told })
    }
}

impl Places for State {
    fn paths_of(&self, container: &ContainerRef) -> Vec<Vec<u8>> {
        self.pipeline().cgroups_of(container)
    }

    fn at(&self, key: CgroupKey) -> Option<ContainerRef> {
        self.pipeline().container_at(key)
    }

    fn below(&self, path: &[u8]) -> Option<ContainerRef> {
        self.pipeline().container_of_path(path)
    }
}
