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
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let enabled = args.trace_own.or(file.enable_tracing).unwrap_or(false);
        let ratio = match file.sampling_ratio {
            Some(value) => Ratio::new(value).ok_or_else(|| ConfigError::OutOfRange {
                name: "trace.own.sampling_ratio",
                value: value.to_string(),
                range: "from 0 to 1",
            })?,
            None if enabled => of_environment(environment, warnings).unwrap_or(DEFAULT_RATIO),
            None => DEFAULT_RATIO,
        };
        Ok(Self { enabled, ratio })
    }
}

/// What the variables of OpenTelemetry say of sampling. All our traces begin here: those samplers that go by
/// a parent do as the others. What is not understood is said and left out, as the specification of variables has it.
fn of_environment(environment: &OtelEnvironment, warnings: &mut Vec<String>) -> Option<Ratio> {
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let sampler = environment.get("OTEL_TRACES_SAMPLER")?;
    match sampler.to_ascii_lowercase().as_str() {
        "always_on" | "parentbased_always_on" => Some(Ratio(1.0)),
        "always_off" | "parentbased_always_off" => Some(Ratio(0.0)),
        "traceidratio" | "parentbased_traceidratio" => {
            let all = Ratio(1.0);
            let Some(argument) = environment.get(ARGUMENT) else {
                return Some(all);
            };
            let ratio = argument.parse().ok().and_then(Ratio::new);
            if ratio.is_none() {
                warnings.push(format!(
                    "{ARGUMENT} is left out: {argument:?} is not from 0 to 1; all of our own work is traced"
                ));
            }
            Some(ratio.unwrap_or(all))
        }
        _ => {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER is left out: {sampler:?} is none of always_on, always_off, traceidratio, and these \
                 after parentbased_; or set sampling_ratio below [trace.own] in the configuration file"
            ));
            None
        }
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
            &mut Vec::new(),
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
        for (file, part) in [
            ("sampling_ratio = 1.5", "trace.own.sampling_ratio is 1.5"),
            ("sampling_ratio = -0.1", "from 0 to 1"),
            ("sampling_ratio = nan", "NaN"),
        ] {
            let error = decide(file, &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{part:?} not in {error:?}");
        }
    }

    #[test]
    fn a_sampler_that_is_not_understood_is_said_and_left_out() {
        let sampler = |value| ("OTEL_TRACES_SAMPLER", value);
        let argument = ("OTEL_TRACES_SAMPLER_ARG", "1%");
        for (variables, ratio, part) in [
            (&[sampler("xray")][..], "0.01", "\"xray\""),
            (&[sampler("TraceIDRatio"), argument], "1", "\"1%\""),
        ] {
            let mut warnings = Vec::new();
            let found = of_environment(&environment(variables), &mut warnings);
            let found = found.unwrap_or(DEFAULT_RATIO).get().to_string();
            assert_eq!(found, ratio, "{variables:?}");
            assert!(
                matches!(&warnings[..], [one] if one.contains(part)),
                "{warnings:?}"
            );
        }
    }
}
