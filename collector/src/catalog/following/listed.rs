//! The containers of one list, as they are processed: all together, each with a trace of its own.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::SystemTime,
};

use super::{looks::Origin, objects};
use crate::{
    catalog::{ContainerRef, Informant, RuntimeContainer},
    trace::own::{Action, Beginning, LoopTracer, Processing, Step, Steps},
};

/// Those containers of one list that are recorded: no more than the list has.
#[derive(Debug, Default)]
pub(super) struct ListedWork {
    began: Option<SystemTime>,
    processings: Vec<Processing>,
    steps: HashMap<ContainerRef, Step>,
}

impl ListedWork {
    /// Begins with all that are not left alone for something newer.
    pub(super) fn begin(
        tracer: &LoopTracer,
        informant: Informant,
        containers: &[RuntimeContainer],
        newer: &HashSet<ContainerRef>,
    ) -> Self {
        if !tracer.is_on() {
            return Self::default();
        }
        let mut work = Self {
            began: Some(SystemTime::now()),
            ..Self::default()
        };
        for container in containers {
            if !newer.is_empty() && newer.contains(&container.key()) {
                continue;
            }
            let object = || objects::object(&container.key(), Some(&container.names));
            let processing = tracer.begin(Beginning::now(Origin::List.name()), object);
            if processing.is_recorded() {
                let step = processing.step(Action::AddUpdate);
                work.steps.insert(informant.key_of(&container.key()), step);
                work.processings.push(processing);
            }
        }
        work
    }

    /// Where spans about them belong.
    pub(super) fn steps(&self) -> Steps<'_, ContainerRef> {
        if self.steps.is_empty() {
            Steps::None
        } else {
            Steps::Many(&self.steps)
        }
    }

    /// They are processed, and those that the list has no more are gone.
    pub(super) fn end(self, tracer: &LoopTracer, gone: &[Arc<RuntimeContainer>]) {
        let Self {
            began,
            processings,
            steps,
        } = self;
        drop(steps);
        for processing in processings {
            processing.succeed();
        }
        for container in gone {
            let beginning = Beginning {
                at: began,
                ..Beginning::now(Origin::List.name())
            };
            let object = || objects::object(&container.key(), Some(&container.names));
            let processing = tracer.begin(beginning, object);
            drop(processing.step(Action::Delete));
            processing.succeed();
        }
    }
}
