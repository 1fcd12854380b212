//! What is configured of traces of Kata's agents.

use std::path::PathBuf;

use serde::Deserialize;

use crate::daemon::{
    cli::RunArgs,
    config::ConfigError,
    trace_forwarder::options::{DEFAULT_PORT, DEFAULT_TRACE_NAME},
};

/// As in the file, `[trace.forwarder]`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    enable_tracing: Option<bool>,
    trace_name: Option<String>,
    vsock: Option<bool>,
    vsock_port: Option<u32>,
    vsock_cid: Option<Cid>,
    socket_paths: Option<Vec<PathBuf>>,
    discover_sockets: Option<bool>,
}

/// A context id, or any.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a CID is a number of 32 bits, or \"any\"")]
enum Cid {
    Number(u32),
    Any(Any),
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Any {
    Any,
}

/// Decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwarderConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// The `service.name` of their spans.
    pub trace_name: String,
    /// Whether `AF_VSOCK` is listened on.
    pub vsock: bool,
    /// The port there, and the one that sockets of hybrid VSOCK are named for.
    pub vsock_port: u32,
    /// The context id that is listened on; any when `None`.
    pub vsock_cid: Option<u32>,
    /// Sockets of virtual machines' monitors that are listened beside.
    pub socket_paths: Vec<PathBuf>,
    /// Whether those of sandboxes that come are, too.
    pub discover_sockets: bool,
}

impl ForwarderConfig {
    pub(super) fn decide(args: &RunArgs, file: FileConfig) -> Self {
        let cid = match file.vsock_cid {
            Some(Cid::Number(cid)) => Some(cid),
            Some(Cid::Any(Any::Any)) | None => None,
        };
        Self {
            enabled: args
                .trace_forwarder
                .or(file.enable_tracing)
                .unwrap_or(false),
            trace_name: file
                .trace_name
                .unwrap_or_else(|| DEFAULT_TRACE_NAME.to_owned()),
            vsock: file.vsock.unwrap_or(true),
            vsock_port: file.vsock_port.unwrap_or(DEFAULT_PORT),
            vsock_cid: cid,
            socket_paths: file.socket_paths.unwrap_or_default(),
            discover_sockets: file.discover_sockets.unwrap_or(false),
        }
    }

    /// Refuses what cannot be.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refused = |name, value: &str, range| {
            Err(ConfigError::OutOfRange {
                name,
                value: value.to_owned(),
                range,
            })
        };
        if self.trace_name.trim().is_empty() {
            return refused("trace.forwarder.trace_name", "blank", "a name");
        }
        if self.vsock_port == 0 {
            return refused("trace.forwarder.vsock_port", "0", "1 or more");
        }
        if self.socket_paths.iter().any(|of| of.as_os_str().is_empty()) {
            return refused("trace.forwarder.socket_paths", "empty", "paths");
        }
        let listens = self.vsock || self.discover_sockets || !self.socket_paths.is_empty();
        if self.enabled && !listens {
            return refused(
                "trace.forwarder.vsock",
                "false",
                "true where there are no socket_paths and no discover_sockets: nothing is listened on",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(file: &str) -> Result<ForwarderConfig, String> {
        let file = toml::from_str(file).map_err(|error| error.to_string())?;
        let config = ForwarderConfig::decide(&RunArgs::default(), file);
        let checked = config.check().map_err(|error| error.to_string());
        checked.map(|()| config)
    }

    #[test]
    fn it_listens_where_kata_s_agents_come_unless_told_otherwise() {
        let config = decided("").unwrap();
        assert!(!config.enabled && config.vsock && !config.discover_sockets);
        assert_eq!((config.vsock_port, config.vsock_cid), (10_240, None));
        assert_eq!(config.trace_name, "kata-agent");
        let config = decided(
            "enable_tracing = true\nvsock_cid = 2\nvsock_port = 9\ntrace_name = 'mine'\n\
             socket_paths = ['/run/vc/vm/a/clh.sock']\ndiscover_sockets = true",
        );
        let config = config.unwrap();
        assert_eq!((config.vsock_port, config.vsock_cid), (9, Some(2)));
        assert_eq!(config.socket_paths.len(), 1);
        assert_eq!(decided("vsock_cid = 'any'").unwrap().vsock_cid, None);
    }

    #[test]
    fn what_cannot_be_listened_on_is_refused() {
        for (file, part) in [
            ("trace_name = ' '", "trace_name"),
            ("vsock_port = 0", "vsock_port"),
            ("vsock_cid = 'some'", "vsock_cid"),
            ("socket_paths = ['']", "socket_paths"),
            ("enable_tracing = true\nvsock = false", "socket_paths"),
            ("vsock_cid = -1", "a number of 32 bits, or \"any\""),
            ("port = 1", "port"),
        ] {
            let refused = decided(file).unwrap_err();
            assert!(refused.contains(part), "{part:?} not in {refused:?}");
        }
        assert!(decided("vsock = false").is_ok(), "it is off");
    }
}
