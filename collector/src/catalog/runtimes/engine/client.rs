//! An engine that answers, whichever of the two it is.
//!
//! In: what is its own in an engine's words ([`Dialect`]). Out: a [`RuntimeClient`]. The calls, what is kept of
//! their answers and the stream of events are the same for both.

use std::{fmt, future::Future, sync::Arc, time::SystemTime};

use async_trait::async_trait;

use super::event::Event;
use crate::catalog::{
    ContainerRef, LabelSelection, Runtime, RuntimeContainer,
    runtimes::{
        CallError, EventStream, Listed, RuntimeClient, RuntimeEvent,
        details::{Details, TellsDetails, add_details, inspect},
        http::{CallLimits, HttpClient, ObjectStream},
        told_json::{Labels, is_id, read_list},
    },
};

/// The most bytes of what is told of one container.
const MAX_INSPECTION: usize = 4 << 20;

/// What is an engine's own.
pub(in crate::catalog::runtimes) trait Dialect:
    TellsDetails + fmt::Debug
{
    /// Who it is.
    const RUNTIME: Runtime;
    /// The call for all containers, below the API's base.
    const LIST: &'static str;
    /// The call for events, below the API's base, up to where its arguments go on.
    const EVENTS: &'static str;
    /// What happens to containers and is told of.
    const ACTIONS: &'static [&'static str];
    /// The attributes of an event that are read.
    const EVENT_KEYS: &'static [&'static str];
    /// The one of them that has the exit code.
    const EXIT_CODE: &'static str;

    /// How it is asked.
    fn api(&self) -> &EngineApi;

    /// Begins a stream of events.
    fn open_events(
        &self,
        call: &str,
    ) -> impl Future<Output = Result<ObjectStream, CallError>> + Send;

    /// One item of the list.
    fn read_item(&self, item: &str) -> serde_json::Result<RuntimeContainer>;

    /// What an event tells of its container, but for what happened to it.
    fn told_by_event(&self, id: &str, attributes: &Labels) -> RuntimeContainer;
}

/// How an engine is asked, and what is kept of its answers.
#[derive(Debug)]
pub(in crate::catalog::runtimes) struct EngineApi {
    pub(in crate::catalog::runtimes) http: HttpClient,
    /// For calls about one container, or pod.
    pub(in crate::catalog::runtimes) one: HttpClient,
    pub(in crate::catalog::runtimes) base: String,
    pub(in crate::catalog::runtimes) labels: Arc<LabelSelection>,
    pub(in crate::catalog::runtimes) details: Details,
}

impl EngineApi {
    /// Below this base.
    pub(in crate::catalog::runtimes) fn new(
        http: HttpClient,
        base: String,
        labels: Arc<LabelSelection>,
    ) -> Self {
        let limits = *http.limits();
        Self {
            one: http.with_limits(CallLimits {
                bytes: MAX_INSPECTION.min(limits.bytes),
                ..limits
            }),
            http,
            base,
            labels,
            details: Details::default(),
        }
    }
}

/// An engine that answers.
#[derive(Debug)]
pub(in crate::catalog::runtimes) struct EngineClient<D> {
    pub(in crate::catalog::runtimes) version: String,
    pub(in crate::catalog::runtimes) dialect: Arc<D>,
}

#[async_trait]
impl<D: Dialect> RuntimeClient for EngineClient<D> {
    fn runtime(&self) -> Runtime {
        D::RUNTIME
    }

    fn version(&self) -> &str {
        &self.version
    }

    async fn events(&self) -> Result<Option<Box<dyn EventStream>>, CallError> {
        let api = self.dialect.api();
        let call = events_call(&format!("{}{}", api.base, D::EVENTS), D::ACTIONS);
        let objects = self.dialect.open_events(&call).await?;
        Ok(Some(Box::new(EngineEvents {
            number: api.details.begin_stream(),
            dialect: Arc::clone(&self.dialect),
            objects,
            call,
        })))
    }

    async fn list(&self) -> Result<Listed, CallError> {
        let EngineApi { http, base, .. } = self.dialect.api();
        let call = format!("{base}{}", D::LIST);
        let text = http.get(&call).await?;
        let text = text.ok_or_else(|| http.malformed(&call, "there is no such list"))?;
        let mut listed = read_list(&text, |item| self.dialect.read_item(item.get()).ok())
            .map_err(|error| http.malformed(&call, error.to_string()))?;
        drop(text);
        add_details(&self.dialect, &mut listed, http.limits().answer).await;
        Ok(listed)
    }

    async fn inspect(&self, of: &ContainerRef) -> Result<Option<RuntimeContainer>, CallError> {
        if !is_id(&of.id) {
            return Ok(None);
        }
        inspect(&*self.dialect, &of.id).await
    }
}

/// The call for what happens to containers from now on. `since` is for what happens between the daemon's
/// answer and when it listens: it answers first.
fn events_call(path: &str, actions: &[&str]) -> String {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let filters = serde_json::json!({"type": ["container"], "event": actions}).to_string();
    let mut call = format!(
        "{path}since={}.{:09}&filters=",
        since.as_secs(),
        since.subsec_nanos()
    );
    for character in filters.chars() {
        match character {
            '{' => call.push_str("%7B"),
            '}' => call.push_str("%7D"),
            '[' => call.push_str("%5B"),
            ']' => call.push_str("%5D"),
            '"' => call.push_str("%22"),
            plain => call.push(plain),
        }
    }
    call
}

#[derive(Debug)]
struct EngineEvents<D: Dialect> {
    number: u64,
    dialect: Arc<D>,
    objects: ObjectStream,
    call: String,
}

impl<D: Dialect> Drop for EngineEvents<D> {
    fn drop(&mut self) {
        self.dialect.api().details.end_stream(self.number);
    }
}

#[async_trait]
impl<D: Dialect> EventStream for EngineEvents<D> {
    async fn next(&mut self) -> Result<RuntimeEvent, CallError> {
        let next = self.next_or_error().await;
        if next.is_err() {
            self.dialect.api().details.end_stream(self.number);
        }
        next
    }
}

impl<D: Dialect> EngineEvents<D> {
    async fn next_or_error(&mut self) -> Result<RuntimeEvent, CallError> {
        let api = self.dialect.api();
        loop {
            let text = self.objects.next().await?;
            let event = serde_json::from_str::<Event<'_>>(&text)
                .and_then(|event| event.into_event(&*self.dialect))
                .map_err(|error| api.http.malformed(&self.call, error.to_string()))?;
            if let Some(event) = event {
                api.details.changed(&event.of().id);
                return Ok(event);
            }
        }
    }
}
