//! Which container the daemon itself runs in.
//!
//! In: the cgroup that it is in, as far as the pipeline knows it, and what the provider tells. Out: one line
//! of the log, and the pipeline that knows. On most hosts it is in none, which is never certain: who would
//! know may come later.

use std::time::Duration;

use super::state::State;
use crate::{catalog::provider::answers::Provider, error_chain};

/// Between the first two looks. It doubles from look to look.
const FIRST: Duration = Duration::from_millis(500);

/// Between two looks at most: each reads two small files.
const LONGEST: Duration = Duration::from_mins(1);

/// Looks until it is found, and then does nothing more.
pub(super) async fn find_own_container(provider: &Provider, state: &State) {
    let mut delay = FIRST;
    let mut collectors = provider.watch();
    let found = loop {
        if let Some(known) = state.pipeline().own_container() {
            break known.clone();
        }
        match provider.own_container().await {
            Ok(Some(found)) => break found,
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(
                    "cannot tell which container this is: {}",
                    error_chain(&error)
                );
            }
        }
        // Who comes may know.
        tokio::select! {
            () = tokio::time::sleep(delay) => delay = (delay * 2).min(LONGEST),
            Ok(()) = collectors.changed() => {}
        }
    };
    tracing::info!("this runs in the container {}", found.id.escape_debug());
    state.pipeline().know_own_container(found);
    std::future::pending::<()>().await;
}
