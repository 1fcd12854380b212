//! The configuration file, as it stands.

use std::{
    fs::File,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    catalog::CatalogFileConfig,
    otlp::OtlpFileConfig,
    trace::TraceFileConfig,
    value::{ByteSize, SignalSet, duration},
};

/// The keys of the file: those of `run`'s flags, those about containers' names below `[catalog]`,
/// those about traces below `[trace]`, and `export.<set>.enabled` for `--export-<set>`. All optional, none else allowed.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    pub(super) listen: Option<SocketAddr>,
    pub(super) cgroup_root: Option<PathBuf>,
    pub(super) host_root: Option<PathBuf>,
    #[serde(default, deserialize_with = "duration")]
    pub(super) interval: Option<Duration>,
    pub(super) signals: Option<SignalSet>,
    pub(super) log: Option<String>,
    pub(super) btf: Option<PathBuf>,
    pub(super) samples_ring: Option<ByteSize>,
    #[serde(default, deserialize_with = "duration")]
    pub(super) retention: Option<Duration>,
    pub(super) max_cgroups: Option<usize>,
    pub(super) lock_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) export: ExportConfig,
    #[serde(default)]
    pub(super) catalog: CatalogFileConfig,
    #[serde(default)]
    pub(super) trace: TraceFileConfig,
}

/// The part of the file that is about what is exported.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportConfig {
    #[serde(default)]
    pub(super) containerd: NameSetConfig,
    #[serde(default)]
    pub(super) cadvisor: NameSetConfig,
    #[serde(default)]
    pub(super) otlp: OtlpFileConfig,
}

/// One set of names that others gave.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameSetConfig {
    pub(super) enabled: Option<bool>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}; name a readable TOML file with --config")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file says something that is not understood. The cause names line and column.
    #[error("the configuration file {path} is not understood")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// What a key or a variable says of the way to a collector.
    #[error("{name} is {value}, which {reason}; {remedy}")]
    Otlp {
        /// Which.
        name: String,
        /// What it was given, unless that may be a secret.
        value: String,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// A value that is understood but cannot be.
    #[error("{name} is {value}, and must be {range}")]
    OutOfRange {
        /// The key or flag.
        name: &'static str,
        /// What it was given.
        value: String,
        /// What it can be.
        range: &'static str,
    },
}

/// A larger file is none of ours.
const MAX_BYTES: u64 = 1 << 20;

impl FileConfig {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        // A device or a pipe may have no end, and opening a pipe may wait for ever.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::other("it is not a file")));
        }
        let file = File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(unreadable(std::io::Error::other("it has over 1 MiB")));
        }
        Self::parse(path, &text)
    }

    /// Parses the text of the file at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|source| ConfigError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}
