//! The options of `trace-forwarder`: names, defaults and mistakes of Kata's own forwarder.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// What `service.name` is unless told otherwise.
pub const DEFAULT_TRACE_NAME: &str = "kata-agent";

/// The port that agents connect to.
pub const DEFAULT_PORT: u32 = 10_240;

/// Stands for any context id.
const ANY: &str = "any";

/// The levels of Kata's programs, and which of ours they are.
const LEVELS: [(&str, &str); 6] = [
    ("trace", "trace"),
    ("debug", "debug"),
    ("info", "info"),
    ("warn", "warn"),
    ("error", "error"),
    ("critical", "error"),
];

/// Flags of `trace-forwarder`.
#[derive(Clone, Debug, Args)]
pub struct ForwarderArgs {
    /// The `service.name` of all spans.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TRACE_NAME, value_parser = parse_trace_name)]
    pub trace_name: String,
    /// Where the OpenTelemetry collector is. How it is spoken to is in OpenTelemetry's environment variables
    /// (`OTEL_EXPORTER_OTLP_…`), as is this; the flag goes before [default: `http://localhost:4317`, or port 4318
    /// where they say HTTP].
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    pub otlp_endpoint: Option<String>,
    /// The port to listen on.
    #[arg(long, value_name = "PORT", default_value = "10240", value_parser = parse_port)]
    pub vsock_port: u32,
    /// The context id (CID) to listen on, or any. For virtual machines with VSOCK of the host's kernel (QEMU).
    #[arg(long, value_name = "CID", default_value = ANY, value_parser = parse_cid)]
    pub vsock_cid: CidValue,
    /// The socket of a virtual machine's monitor, for hybrid VSOCK (Cloud Hypervisor, Firecracker): what is
    /// listened on is `PATH_PORT`, and `AF_VSOCK` is not. Needs root, until the socket is open. Can be given
    /// more than once.
    #[arg(long = "socket-path", value_name = "PATH", action = ArgAction::Append, value_parser = parse_socket_path)]
    pub socket_paths: Vec<PathBuf>,
    /// Print spans as OTLP's JSON, a line for each batch, and send none.
    #[arg(long)]
    pub dump_only: bool,
    /// What to log, on standard error.
    #[arg(long, short = 'l', value_name = "LEVEL", default_value = "info", value_parser = LEVELS.map(|(name, _)| name))]
    pub log_level: String,
}

/// A context id; any when `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CidValue(pub Option<u32>);

/// What a flag was given cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOption {
    /// `--trace-name`.
    #[error("the trace name must not be blank")]
    BlankTraceName,
    /// `--otlp-endpoint`.
    #[error("the OTLP endpoint must not be blank; write it like http://localhost:4317")]
    BlankEndpoint,
    /// `--vsock-port`.
    #[error("the VSOCK port must not be empty")]
    EmptyPort,
    /// `--vsock-port`.
    #[error("the VSOCK port must be a whole number of 32 bits")]
    PortNotNumeric,
    /// `--vsock-port`.
    #[error("the VSOCK port must not be zero")]
    PortZero,
    /// `--vsock-cid`.
    #[error("the VSOCK CID must not be empty; write a number, or any")]
    EmptyCid,
    /// `--vsock-cid`.
    #[error("the VSOCK CID must be a whole number of 32 bits, or any")]
    CidNotNumeric,
    /// `--socket-path`.
    #[error("the path of the hybrid VSOCK socket must not be empty")]
    EmptySocketPath,
}

impl ForwarderArgs {
    /// The log filter.
    #[must_use]
    pub fn log(&self) -> &'static str {
        let level = LEVELS.iter().find(|(name, _)| *name == self.log_level);
        level.map_or("info", |(_, level)| level)
    }
}

fn parse_trace_name(text: &str) -> Result<String, BadOption> {
    unless_blank(text, BadOption::BlankTraceName)
}

fn parse_endpoint(text: &str) -> Result<String, BadOption> {
    unless_blank(text, BadOption::BlankEndpoint)
}

fn unless_blank(text: &str, blank: BadOption) -> Result<String, BadOption> {
    if text.trim().is_empty() {
        return Err(blank);
    }
    Ok(text.to_owned())
}

fn parse_port(text: &str) -> Result<u32, BadOption> {
    if text.is_empty() {
        return Err(BadOption::EmptyPort);
    }
    match text.parse() {
        Ok(0) => Err(BadOption::PortZero),
        Ok(port) => Ok(port),
        Err(_) => Err(BadOption::PortNotNumeric),
    }
}

fn parse_cid(text: &str) -> Result<CidValue, BadOption> {
    match text {
        "" => Err(BadOption::EmptyCid),
        ANY => Ok(CidValue(None)),
        number => match number.parse() {
            Ok(cid) => Ok(CidValue(Some(cid))),
            Err(_) => Err(BadOption::CidNotNumeric),
        },
    }
}

fn parse_socket_path(text: &str) -> Result<PathBuf, BadOption> {
    if text.is_empty() {
        return Err(BadOption::EmptySocketPath);
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::daemon::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<ForwarderArgs, String> {
        let words = ["cgscope", "trace-forwarder"].iter().chain(arguments);
        match Cli::try_parse_from(words) {
            Ok(Cli {
                command: Command::TraceForwarder(args),
            }) => Ok(args),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_defaults_are_those_of_kata() {
        let args = parsed(&[]).unwrap();
        assert_eq!(args.trace_name, "kata-agent");
        assert_eq!(args.vsock_port, 10_240);
        assert_eq!(args.vsock_cid, CidValue(None));
        assert!(!args.dump_only && args.socket_paths.is_empty());
        assert_eq!((args.log(), args.otlp_endpoint), ("info", None));
    }

    #[test]
    fn every_option_of_kata_is_taken_as_it_is_written_there() {
        let args = parsed(&[
            "--trace-name",
            "mine",
            "--otlp-endpoint",
            "http://collector:4317",
            "--vsock-port=999",
            "--vsock-cid",
            "123",
            "--socket-path",
            "/run/vc/vm/a/clh.sock",
            "--dump-only",
            "-l",
            "critical",
        ])
        .unwrap();
        assert_eq!(
            (args.vsock_port, args.vsock_cid),
            (999, CidValue(Some(123)))
        );
        assert_eq!((args.log(), args.trace_name.as_str()), ("error", "mine"));
        assert!(args.dump_only);
    }

    #[test]
    fn each_mistake_has_its_own_message() {
        use BadOption as Bad;
        for (flag, value, expected) in [
            ("--trace-name", "", Bad::BlankTraceName),
            ("--trace-name", " \t", Bad::BlankTraceName),
            ("--otlp-endpoint", "", Bad::BlankEndpoint),
            ("--vsock-port", "", Bad::EmptyPort),
            ("--vsock-port", "1 foo", Bad::PortNotNumeric),
            ("--vsock-port", "0", Bad::PortZero),
            ("--vsock-cid", "", Bad::EmptyCid),
            ("--vsock-cid", "1 foo", Bad::CidNotNumeric),
            ("--vsock-cid", "ANY", Bad::CidNotNumeric),
            ("--socket-path", "", Bad::EmptySocketPath),
        ] {
            let refused = parsed(&[flag, value]).unwrap_err();
            assert!(refused.contains(&expected.to_string()), "{refused}");
        }
        assert!(parsed(&["--log-level", "loud"]).is_err());
    }
}
