//! The environment variables that OpenTelemetry gives to every program, `OTEL_…`.

use std::{collections::BTreeMap, env};

use percent_encoding::percent_decode_str;

use crate::reconcile::delivery::OtlpSignal;

/// Those that are set. An empty one is as good as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtelEnvironment {
    variables: BTreeMap<String, String>,
}

impl OtelEnvironment {
    /// This process's.
    #[must_use]
    pub fn of_this_process() -> Self {
        let text = |of: std::ffi::OsString| of.to_string_lossy().into_owned();
        Self::of(env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// These, as far as they are OpenTelemetry's.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter();
        Self {
            variables: variables
                .filter(|(name, value)| name.starts_with("OTEL_") && !value.trim().is_empty())
                .map(|(name, value)| (name, value.trim().to_owned()))
                .collect(),
        }
    }

    /// A variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Why nothing of a signal may be sent, whatever else is configured; `None` when it may.
    #[must_use]
    pub fn off(&self, signal: OtlpSignal) -> Option<String> {
        let disabled = self.get("OTEL_SDK_DISABLED");
        if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Some("OTEL_SDK_DISABLED is true".to_owned());
        }
        let name = format!("OTEL_{}_EXPORTER", signal.name().to_uppercase());
        let exporter = self.get(&name);
        let is_none = exporter.is_some_and(|value| value.eq_ignore_ascii_case("none"));
        is_none.then(|| format!("{name} is none"))
    }

    /// What `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say; the latter goes before. What is not
    /// understood is left out as a whole, as the specification of resources has it, and said.
    pub fn resource(&self, warnings: &mut Vec<String>) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut attributes = Vec::new();
        if let Some(text) = self.get(NAME) {
            match pairs(text) {
                Ok(pairs) => attributes = pairs,
                Err(reason) => {
                    warnings.push(format!("{NAME} is left out: {reason}; write key=value,…"));
                }
            }
        }
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            attributes.retain(|(key, _)| key != "service.name");
            attributes.push(("service.name".to_owned(), name.to_owned()));
        }
        attributes
    }
}

/// `key=value,key=value`, in which values are percent-encoded.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (number, pair) in (1..).zip(text.split(',')) {
        if pair.trim().is_empty() {
            continue;
        }
        // Values may be secrets: a mistake is told by its place.
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("its part {number} has no `=`"))?;
        let decoded = |text: &str| {
            percent_decode_str(text.trim())
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .ok()
                .ok_or_else(|| format!("its part {number} is not UTF-8"))
        };
        let (key, value) = (decoded(key)?, decoded(value)?);
        if key.is_empty() {
            return Err(format!("its part {number} has no key"));
        }
        pairs.retain(|(known, _)| *known != key);
        pairs.push((key, value));
    }
    Ok(pairs)
}
