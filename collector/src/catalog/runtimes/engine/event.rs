//! What an engine tells of what happens, as it is written: both write it alike.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::Dialect;
use crate::catalog::{
    ContainerRef, RuntimeState,
    runtimes::{
        RuntimeEvent,
        told_json::{Labels, is_id, told_epoch},
    },
};

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
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: String,
    #[serde(borrow, rename = "Attributes")]
    attributes: Option<&'a RawValue>,
}

impl Event<'_> {
    /// What it means; `None` when it is of no container, or of nothing that is asked for.
    pub(super) fn into_event<D: Dialect>(
        self,
        dialect: &D,
    ) -> serde_json::Result<Option<RuntimeEvent>> {
        if self.r#type != "container" || !is_id(&self.actor.id) {
            return Ok(None);
        }
        let of = ContainerRef {
            id_namespace: String::new(),
            id: self.actor.id,
        };
        let at = told_epoch(self.time, Some(self.time_nano));
        let labels = &dialect.api().labels;
        let attributes = Labels::read(self.actor.attributes, D::EVENT_KEYS, labels)?;
        if !D::ACTIONS.contains(&self.action.as_str()) {
            return Ok(None);
        }
        let state = match self.action.as_str() {
            "die" | "died" => {
                let code = attributes.get(D::EXIT_CODE);
                let code = code.and_then(|code| code.parse().ok());
                return Ok(Some(RuntimeEvent::Exited { of, code, at }));
            }
            "destroy" | "remove" => return Ok(Some(RuntimeEvent::Removed { of })),
            "create" => RuntimeState::Created,
            "start" | "restart" | "unpause" => RuntimeState::Running,
            "pause" => RuntimeState::Paused,
            _ => RuntimeState::Unknown,
        };
        let mut told = dialect.told_by_event(&of.id, &attributes);
        told.state = state;
        told.started = at.filter(|_| self.action == "start");
        let told = Some(Box::new(told));
        Ok(Some(RuntimeEvent::Changed { of, told }))
    }
}
