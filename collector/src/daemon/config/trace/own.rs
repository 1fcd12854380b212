//! What is configured of traces of our own work.

use serde::Deserialize;

use crate::daemon::{
    cli::RunArgs,
    config::{ConfigError, OtelEnvironment},
};

/// As in the file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    enable_tracing: Option<bool>,
    sampling_ratio: Option<f64>,
}

impl Eq for FileConfig {}

/// Decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTraceConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// Of which part of all containers that are processed.
    pub ratio: Ratio,
}

/// A part of all: from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

/// It is never NaN.
impl Eq for Ratio {}

/// One in a hundred: what happens often is seen, and nobody notices that it is.
const DEFAULT_RATIO: Ratio = Ratio(0.01);

impl Ratio {
    /// If it is one.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// From 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl OwnTraceConfig {
    /// The file goes before `OTEL_TRACES_SAMPLER`, since that is not about cgscope alone. What is not traced
    /// is not refused for what the environment says.
    pub(super) fn decide(
        args: &RunArgs,
        file: &FileConfig,
        environment: &OtelEnvironment,
    ) -> Result<Self, ConfigError> {
        let enabled = args.trace_own.or(file.enable_tracing).unwrap_or(false);
        let ratio = match file.sampling_ratio {
            Some(value) => Ratio::new(value).ok_or_else(|| ConfigError::OutOfRange {
                name: "trace.own.sampling_ratio",
                value: value.to_string(),
                range: "from 0 to 1",
            })?,
            None if enabled => of_environment(environment)?.unwrap_or(DEFAULT_RATIO),
            None => DEFAULT_RATIO,
        };
        Ok(Self { enabled, ratio })
    }
}

/// What the variables of OpenTelemetry say of sampling. All our traces begin here: those samplers that go by
/// a parent do as the others.
fn of_environment(environment: &OtelEnvironment) -> Result<Option<Ratio>, ConfigError> {
    let Some(sampler) = environment.get("OTEL_TRACES_SAMPLER") else {
        return Ok(None);
    };
    match sampler {
        "always_on" | "parentbased_always_on" => Ok(Some(Ratio(1.0))),
        "always_off" | "parentbased_always_off" => Ok(Some(Ratio(0.0))),
        "traceidratio" | "parentbased_traceidratio" => {
            let Some(argument) = environment.get("OTEL_TRACES_SAMPLER_ARG") else {
                return Ok(Some(Ratio(1.0)));
            };
            let ratio = argument.parse().ok().and_then(Ratio::new);
            ratio.map(Some).ok_or_else(|| ConfigError::OutOfRange {
                name: "OTEL_TRACES_SAMPLER_ARG",
                value: format!("{argument:?}"),
                range: "from 0 to 1",
            })
        }
        _ => Err(ConfigError::OutOfRange {
            name: "OTEL_TRACES_SAMPLER",
            value: format!("{sampler:?}"),
            range: "one of always_on, always_off, traceidratio, and these after parentbased_; or set \
                    sampling_ratio below [trace.own] in the configuration file, which goes before it",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(file: &str, variables: &[(&str, &str)]) -> Result<OwnTraceConfig, ConfigError> {
        let args = RunArgs {
            trace_own: Some(true),
            ..RunArgs::default()
        };
        OwnTraceConfig::decide(
            &args,
            &toml::from_str(file).unwrap(),
            &environment(variables),
        )
    }

    fn environment(variables: &[(&str, &str)]) -> OtelEnvironment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        OtelEnvironment::of(variables.iter().map(owned))
    }

    #[test]
    fn the_file_goes_before_the_environment_and_that_before_one_in_a_hundred() {
        let ratio = |file: &str, variables: &[(&str, &str)]| {
            decide(file, variables).unwrap().ratio.get().to_string()
        };
        let on = ("OTEL_TRACES_SAMPLER", "parentbased_always_on");
        assert_eq!(ratio("", &[]), "0.01");
        assert_eq!(ratio("", &[on]), "1");
        assert_eq!(ratio("sampling_ratio = 0.5", &[on]), "0.5");
        assert_eq!(ratio("", &[("OTEL_TRACES_SAMPLER", "")]), "0.01");
        let by_ratio = ("OTEL_TRACES_SAMPLER", "traceidratio");
        assert_eq!(ratio("", &[by_ratio]), "1");
        let quarter = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
        assert_eq!(ratio("", &[by_ratio, quarter]), "0.25");
        assert_eq!(
            ratio("", &[("OTEL_TRACES_SAMPLER", "always_off"), quarter]),
            "0"
        );
    }

    #[test]
    fn what_is_no_ratio_or_no_sampler_is_refused_by_name_where_anything_is_traced() {
        let sampler = |value| ("OTEL_TRACES_SAMPLER", value);
        for (file, variables, part) in [
            (
                "sampling_ratio = 1.5",
                &[][..],
                "trace.own.sampling_ratio is 1.5",
            ),
            ("sampling_ratio = -0.1", &[], "from 0 to 1"),
            ("sampling_ratio = nan", &[], "NaN"),
            ("", &[sampler("xray")], "OTEL_TRACES_SAMPLER is \"xray\""),
            (
                "",
                &[sampler("traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1%")],
                "OTEL_TRACES_SAMPLER_ARG is \"1%\"",
            ),
        ] {
            let error = decide(file, variables).unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
        let args = RunArgs::default();
        let xray = environment(&[sampler("xray")]);
        let off = OwnTraceConfig::decide(&args, &FileConfig::default(), &xray).unwrap();
        assert!(!off.enabled);
    }
}
