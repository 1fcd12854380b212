//! Who answers at a socket where Docker's words are understood: Docker, or Podman.

pub(super) mod client;

mod event;

use serde::Deserialize;

use super::{
    NotConnected,
    http::{CallLimits, HttpClient, not_there},
};
use crate::catalog::provider::Unavailable;

/// The most bytes of its answer.
const MAX_VERSION: usize = 1 << 20;

/// Who answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Engine {
    #[serde(default)]
    pub(super) version: String,
    #[serde(flatten)]
    pub(super) api: ApiRange,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    #[serde(default)]
    name: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default, rename = "APIVersion")]
    newest: String,
    #[serde(default, rename = "MinAPIVersion")]
    oldest: String,
}

/// The versions of an API that are spoken.
#[derive(Default, Deserialize)]
pub(super) struct ApiRange {
    #[serde(default, rename = "ApiVersion")]
    newest: String,
    #[serde(default, rename = "MinAPIVersion")]
    oldest: String,
}

impl Engine {
    /// Asks, within the time that connecting may take.
    pub(super) async fn ask(http: &HttpClient) -> Result<Self, NotConnected> {
        const CALL: &str = "/version";
        let limits = CallLimits {
            answer: http.limits().connect,
            bytes: MAX_VERSION,
            ..*http.limits()
        };
        let text = http.with_limits(limits).get(CALL).await;
        let text = text.map_err(|error| not_there(&error))?.ok_or_else(|| {
            let address = http.address();
            Unavailable::not_yet(format!("{address} is not a runtime's: it has no {CALL}"))
        })?;
        serde_json::from_str(&text)
            .map_err(|error| not_there(&http.malformed(CALL, error.to_string())))
    }

    /// Podman's own API, if it is Podman.
    pub(super) fn podman_api(&self) -> Option<ApiRange> {
        let is_podman = |component: &&Component| component.name == "Podman Engine";
        let podman = self.components.iter().find(is_podman)?;
        let details = podman.details.as_ref();
        Some(details.map_or_else(ApiRange::default, |details| ApiRange {
            newest: details.newest.clone(),
            oldest: details.oldest.clone(),
        }))
    }
}

impl ApiRange {
    /// The version to speak: `wanted`, or the one next to it.
    pub(super) fn nearest(&self, wanted: &[u32]) -> Option<String> {
        let newest = numbers(&self.newest)?;
        let oldest = numbers(&self.oldest).unwrap_or_default();
        let spoken = oldest.max(wanted.to_vec()).min(newest);
        let spoken: Vec<_> = spoken.iter().map(u32::to_string).collect();
        Some(spoken.join("."))
    }
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    // A version of Podman that is not released ends in `-dev`.
    let version = version.split('-').next()?;
    let numbers = version.split('.').map(|number| number.parse().ok());
    numbers.collect()
}
