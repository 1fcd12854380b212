//! The daemon's log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::exit::Failure;

/// Parses a log filter.
pub fn filter(text: &str) -> Result<EnvFilter, Failure> {
    // The parser finds its way from a directive's first letter but takes the parts from its first
    // blank on: with a blank before it, it reads other names than were written, or panics.
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    EnvFilter::try_new(directives.join(",")).map_err(|error| {
        Failure::Usage(format!(
            "the log filter {text:?} is not understood ({error}); write info, debug, or \
             collector::drain=debug,info"
        ))
    })
}

/// Starts logging what the filter lets through.
pub fn start(text: &str) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_env_filter(filter(text)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| Failure::Internal(format!("cannot start the log: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_a_directive_do_not_change_it() {
        let plain = filter("collector::drain=debug,info").unwrap().to_string();
        let spaced = filter(" collector::drain=debug ,\tinfo,").unwrap();
        assert_eq!(spaced.to_string(), plain);
    }

    #[test]
    fn a_filter_of_any_characters_is_taken_or_refused() {
        for odd in [
            "  1. \u{feff}[",
            "\u{3000}ü=ü",
            "info=\u{feff}",
            "[{=\"\u{e9}}]=",
        ] {
            match filter(odd) {
                Ok(_) => {}
                Err(Failure::Usage(message)) => {
                    assert!(message.contains("log filter"), "{message}");
                }
                Err(other) => panic!("{odd:?}: {other}"),
            }
        }
    }
}
