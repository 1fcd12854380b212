//! What Docker tells of what happens, as it is written.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::catalog::{
    ContainerRef, LabelSelection, RuntimeState,
    runtimes::{
        RuntimeEvent,
        told_json::{Labels, is_id, told_epoch},
    },
};

use super::{
    ACTIONS,
    container::{container, key},
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
pub(super) struct Actor<'a> {
    #[serde(rename = "ID")]
    id: String,
    #[serde(borrow, rename = "Attributes")]
    attributes: Option<&'a RawValue>,
}

impl Event<'_> {
    pub(super) fn into_event(
        self,
        chosen: &LabelSelection,
    ) -> Result<Option<RuntimeEvent>, serde_json::Error> {
        if self.r#type != "container" || !is_id(&self.actor.id) {
            return Ok(None);
        }
        let of = ContainerRef {
            id_namespace: String::new(),
            id: self.actor.id,
        };
        let at = told_epoch(self.time, Some(self.time_nano));
        let labels = Labels::read(self.actor.attributes, &key::ALL, chosen)?;
        let state = match self.action.as_str() {
            "die" => {
                let code = labels
                    .get(key::EVENT_EXIT_CODE)
                    .and_then(|code| code.parse().ok());
                return Ok(Some(RuntimeEvent::Exited { of, code, at }));
            }
            "destroy" => return Ok(Some(RuntimeEvent::Removed { of })),
            "create" => RuntimeState::Created,
            "start" | "restart" | "unpause" => RuntimeState::Running,
            "pause" => RuntimeState::Paused,
            action if ACTIONS.contains(&action) => RuntimeState::Unknown,
            _ => return Ok(None),
        };
        let mut told = container(
            of.id.clone(),
            &labels.text(key::EVENT_NAME),
            &labels.text(key::EVENT_IMAGE),
            &labels,
            chosen,
        );
        told.state = state;
        if self.action == "start" {
            told.started = at;
        }
        let told = Some(Box::new(told));
        Ok(Some(RuntimeEvent::Changed { of, told }))
    }
}
