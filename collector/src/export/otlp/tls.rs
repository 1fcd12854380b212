//! Certificates and keys of the way to a collector.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::settings::TlsFiles;

/// A larger file is no certificate of ours.
const MAX_BYTES: u64 = 1 << 20;

/// What is configured of TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}, the {what} of TLS; name a readable PEM file")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file has something else in it.
    #[error("{path} has no {what} in it: {reason}; name a PEM file that has one")]
    NotOne {
        /// Which.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The system trusts nobody.
    #[error(
        "this system trusts no certificates; install ca-certificates, or name a file with `certificate`"
    )]
    NoRoots {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no cipher for it.
    #[error("TLS cannot be used in this process")]
    Cipher {
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The client's certificate and key do not belong together, or are of a kind that is not known.
    #[error(
        "the client certificate {path} and its key cannot be used; name a pair that belongs together"
    )]
    Identity {
        /// The certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What the files have.
#[derive(Debug)]
pub(super) struct Loaded<'a> {
    files: &'a TlsFiles,
    /// In PEM, which it is parsed from.
    certificate: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Loaded<'a> {
    pub(super) fn read(files: &'a TlsFiles) -> Result<Self, TlsError> {
        let certificate = files.certificate.as_deref();
        let client = files.client.as_ref();
        Ok(Self {
            files,
            certificate: certificate
                .map(|path| read(path, "certificate"))
                .transpose()?,
            client: client
                .map(|(certificate, key)| {
                    let certificate = read(certificate, "client certificate")?;
                    Ok((certificate, read(key, "client key")?))
                })
                .transpose()?,
        })
    }

    /// For HTTP. What it takes is what gRPC takes too, which says less of what is wrong.
    pub(super) fn for_http(&self) -> Result<ClientConfig, TlsError> {
        let builder = builder()?;
        let builder = match (&self.certificate, &self.files.certificate) {
            (Some(pem), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, path, "certificate")? {
                    roots
                        .add(certificate)
                        .map_err(|error| not_one(path, "certificate", &error))?;
                }
                builder.with_root_certificates(roots)
            }
            _ => builder
                .with_native_roots()
                .map_err(|source| TlsError::NoRoots { source })?,
        };
        let (Some((certificate, key)), Some((path, key_path))) = (&self.client, &self.files.client)
        else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate, path, "client certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| not_one(key_path, "client key", &error))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|source| TlsError::Identity {
                path: path.clone(),
                source,
            })
    }

    /// For gRPC.
    pub(super) fn for_grpc(&self) -> Result<ClientTlsConfig, TlsError> {
        // Says what is wrong now, and not at the first connection.
        self.for_http()?;
        let mut config = ClientTlsConfig::new();
        config = match &self.certificate {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.client {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        Ok(config)
    }
}

/// Trusts nobody: for a connection without TLS.
pub(super) fn none() -> Result<ClientConfig, TlsError> {
    let config = builder()?.with_root_certificates(RootCertStore::empty());
    Ok(config.with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Cipher { source })
}

fn not_one(path: &Path, what: &'static str, error: &dyn std::error::Error) -> TlsError {
    TlsError::NotOne {
        path: path.to_owned(),
        what,
        reason: error.to_string(),
    }
}

fn certificates(
    pem: &[u8],
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| not_one(path, what, &error))?;
    if certificates.is_empty() {
        return Err(TlsError::NotOne {
            path: path.to_owned(),
            what,
            reason: "no part of it begins like one".to_owned(),
        });
    }
    Ok(certificates)
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable {
        path: path.to_owned(),
        what,
        source,
    };
    // A device or a pipe may have no end, and opening a pipe may wait for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is not a file")));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    Ok(bytes)
}
