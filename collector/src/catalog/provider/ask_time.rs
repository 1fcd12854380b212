//! How long an answer may take.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

use super::capability::{Answer, Capability, CollectError};

/// What one collector may take to answer.
pub const ASK_TIME: Duration = Duration::from_secs(10);

/// An answer, or the error that it has not come.
pub(super) async fn within_time<T>(
    capability: Capability,
    answer: impl Future<Output = Answer<T>>,
) -> Answer<T> {
    timeout(ASK_TIME, answer).await.unwrap_or_else(|_elapsed| {
        let error = format!("no answer within {ASK_TIME:?} to: {capability}");
        Err(CollectError::new(error))
    })
}
