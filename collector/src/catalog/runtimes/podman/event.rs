//! What Podman tells of what happens, as it is written.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::catalog::{
    ContainerRef, Names, Role, Runtime, RuntimeContainer, RuntimeMetadata, RuntimeState,
    runtimes::{
        RuntimeEvent,
        told_json::{Labels, is_id, told_epoch},
    },
};

use super::{ACTIONS, Inner, container::key, put_into_pod};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event<'a> {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    action: String,
    #[serde(borrow)]
    actor: Actor<'a>,
    #[serde(default, rename = "time")]
    time: i64,
    #[serde(default, rename = "timeNano")]
    time_nano: u64,
}

#[derive(Deserialize)]
pub(super) struct Actor<'a> {
    #[serde(rename = "ID")]
    id: String,
    #[serde(borrow, rename = "Attributes")]
    attributes: Option<&'a RawValue>,
}

impl Event<'_> {
    pub(super) fn into_event(
        self,
        inner: &Inner,
    ) -> Result<Option<RuntimeEvent>, serde_json::Error> {
        if self.r#type != "container" || !is_id(&self.actor.id) {
            return Ok(None);
        }
        let of = ContainerRef {
            id_namespace: String::new(),
            id: self.actor.id,
        };
        let at = told_epoch(self.time, Some(self.time_nano));
        let labels = Labels::read(self.actor.attributes, &key::ALL, &inner.labels)?;
        let state = match self.action.as_str() {
            "died" | "die" => {
                let code = labels.get(key::EXIT_CODE);
                let code = code.and_then(|code| code.parse().ok());
                return Ok(Some(RuntimeEvent::Exited { of, code, at }));
            }
            "remove" | "destroy" => return Ok(Some(RuntimeEvent::Removed { of })),
            "create" => RuntimeState::Created,
            "start" | "restart" | "unpause" => RuntimeState::Running,
            "pause" => RuntimeState::Paused,
            action if ACTIONS.contains(&action) => RuntimeState::Unknown,
            _ => return Ok(None),
        };
        let mut told = RuntimeContainer {
            id: of.id.clone(),
            runtime: RuntimeMetadata::of(Runtime::Podman),
            names: Names {
                name: labels.text(key::NAME),
                image: labels.text(key::IMAGE),
                ..Names::default()
            },
            labels: inner.labels.of_container(|key| labels.get(key)),
            state,
            started: at.filter(|_| self.action == "start"),
            ..RuntimeContainer::default()
        };
        if let Some(pod) = labels.get(key::POD).and_then(|pod| inner.known_pod(pod)) {
            if pod.infra == told.id {
                told.role = Role::Sandbox;
            }
            put_into_pod(&mut told, pod);
        }
        let told = Some(Box::new(told));
        Ok(Some(RuntimeEvent::Changed { of, told }))
    }
}
