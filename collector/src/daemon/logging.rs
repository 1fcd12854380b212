//! The daemon's log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::exit::Failure;

/// Parses a log filter: a level, or levels of modules. What is not named logs errors.
pub fn filter(text: &str) -> Result<Targets, Failure> {
    text.split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .try_fold(
            Targets::new().with_default(LevelFilter::ERROR),
            add_directive,
        )
        .ok_or_else(|| {
            Failure::Usage(format!(
                "the log filter {text:?} is not understood; write info, debug, or \
                 collector::drain=debug,info"
            ))
        })
}

fn add_directive(targets: Targets, directive: &str) -> Option<Targets> {
    let (module, level) = match directive.split_once('=') {
        Some((module, level)) => (Some(module.trim_end()), level.trim_start()),
        None => (None, directive),
    };
    // Nothing would be a level, too.
    let level: LevelFilter = (!level.is_empty()).then(|| level.parse().ok())??;
    match module {
        None => Some(targets.with_default(level)),
        Some(module) => is_module(module).then(|| targets.with_target(module, level)),
    }
}

fn is_module(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
    !name.is_empty() && name.chars().all(is_part)
}

/// Starts logging what the filter lets through.
pub fn start(text: &str) -> Result<(), Failure> {
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter(text)?)
        .try_init()
        .map_err(|error| Failure::Internal(format!("cannot start the log: {error}")))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_for_all_and_a_module_has_its_own() {
        let of = |text| filter(text).unwrap();
        assert!(of("info").would_enable("collector::drain", &Level::INFO));
        assert!(!of("info").would_enable("collector::drain", &Level::DEBUG));
        for text in [
            "collector::drain=debug,info",
            " INFO ,\tcollector::drain = debug,",
        ] {
            let filter = of(text);
            assert!(filter.would_enable("collector::drain::drainer", &Level::DEBUG));
            assert!(
                !filter.would_enable("collector::window", &Level::DEBUG),
                "{text}"
            );
            assert!(
                filter.would_enable("collector::window", &Level::INFO),
                "{text}"
            );
        }
        assert!(of("").would_enable("collector", &Level::ERROR));
        assert!(!of("off").would_enable("collector", &Level::ERROR));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for odd in [
            "inof",
            "a=b=c",
            "collector=",
            "=info",
            "  1. \u{feff}[",
            "\u{fc}=info",
            "collector[span]=info",
            "[{field=.*x...................y}]=info",
        ] {
            let refused = filter(odd).unwrap_err().to_string();
            assert!(refused.contains("collector::drain=debug"), "{refused}");
        }
    }
}
