//! What spans of our own work are called, and what is on them: the one place for these names.

/// Names of spans.
pub mod span {
    /// An object is processed: the root.
    pub const PROCESS_OBJECT: &str = "cgscope.process_object";
    /// It is there, or has changed.
    pub const ADD_UPDATE: &str = "cgscope.add_update";
    /// It is gone.
    pub const DELETE: &str = "cgscope.delete";
    /// Its runtime is asked about it.
    pub const INSPECT: &str = "cgscope.inspect";
    /// The cgroup of its first process is looked up.
    pub const FIND_CGROUP: &str = "cgscope.find_cgroup";
    /// What is known of it is given to the pipeline, which names its cgroups.
    pub const TELL_PIPELINE: &str = "cgscope.tell_pipeline";
}

/// Keys of attributes.
pub mod key {
    /// Whose work it is: always [`COMPONENT_NAME`](super::COMPONENT_NAME).
    pub const COMPONENT: &str = "cgscope.component";
    /// The loop: the endpoint of the runtime that it follows, as it is configured.
    pub const CONTROLLER_NAME: &str = "cgscope.controller.name";
    /// Seconds between two lists, of a runtime that tells events.
    pub const CONTROLLER_RELIST: &str = "cgscope.controller.relist_seconds";
    /// Seconds between two lists, of a runtime that tells none.
    pub const CONTROLLER_POLL: &str = "cgscope.controller.poll_seconds";
    /// Seconds from an event to the look that it calls for.
    pub const CONTROLLER_SETTLE: &str = "cgscope.controller.settle_seconds";
    /// Looks at the same time.
    pub const CONTROLLER_WORKERS: &str = "cgscope.controller.concurrent_workers";
    /// How often an object is tried again.
    pub const CONTROLLER_MAX_RETRIES: &str = "cgscope.controller.max_retries";
    /// Seconds to the first time again.
    pub const CONTROLLER_RETRY_DELAY: &str = "cgscope.controller.retry_delay_seconds";
    /// What the object was called when its processing began; the one item of baggage, and on every span
    /// of the trace.
    pub const OBJECT_KEY: &str = "cgscope.object.key";
    /// Its namespace, as it is known at the end.
    pub const OBJECT_NAMESPACE: &str = "cgscope.object.namespace";
    /// Its name, as it is known at the end.
    pub const OBJECT_NAME: &str = "cgscope.object.name";
    /// Why it is processed: `event`, `list` or `question`.
    pub const OBJECT_ORIGIN: &str = "cgscope.object.origin";
    /// How often it has been processed, this time included: 1 and the retries.
    pub const OBJECT_TIMES_PROCESSED: &str = "cgscope.object.times_processed";
    /// Whether it is tried again.
    pub const OBJECT_IS_RETRY: &str = "cgscope.object.is_retry";
    /// Whether something happened to it meanwhile, so that it is processed once more.
    pub const OBJECT_OUTDATED: &str = "cgscope.object.outdated";
    /// Whether the runtime has it.
    pub const OBJECT_FOUND: &str = "cgscope.object.found";
    /// The id of the container, as OpenTelemetry calls it.
    pub const CONTAINER_ID: &str = "container.id";
    /// A process, as OpenTelemetry calls it.
    pub const PROCESS_ID: &str = "process.pid";
    /// The kind of an error, as OpenTelemetry calls it.
    pub const ERROR_TYPE: &str = "error.type";
    /// An error in words, as OpenTelemetry calls it.
    pub const EXCEPTION_MESSAGE: &str = "exception.message";
    /// The kind of an error of an event, as OpenTelemetry calls it.
    pub const EXCEPTION_TYPE: &str = "exception.type";
    /// Why it is forgotten.
    pub const FORGET_REASON: &str = "cgscope.forget.reason";
    /// Whether all went well.
    pub const SUCCESS: &str = "cgscope.success";
}

/// Names of events on the root span.
pub mod event {
    /// The key was made baggage.
    pub const BAGGAGE: &str = "cgscope.baggage";
    /// Processing begins.
    pub const PROCESS_OBJECT: &str = "cgscope.process_object";
    /// It failed.
    pub const ERROR: &str = "cgscope.error";
    /// It is not tried again.
    pub const FORGET: &str = "cgscope.forget";
    /// It is done, well or not.
    pub const SUCCESS: &str = "cgscope.success";
}

/// The value of [`key::COMPONENT`], and the name of the instrumentation scope.
pub const COMPONENT_NAME: &str = "cgscope";
