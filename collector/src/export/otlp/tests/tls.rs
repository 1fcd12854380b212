//! TLS with certificates of one's own.

use std::{fs, path::PathBuf, sync::Arc};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use super::{
    super::{OtlpProtocol, OtlpSettings, Sender, TlsFiles},
    BOTH, outbox, send,
    server::{Collector, answer, on_each, read_request},
    settings,
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut of = CertificateParams::new([]).unwrap();
    of.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(of, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, signed by an authority.
fn signed(by: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let of = CertificateParams::new([name.to_owned()]).unwrap();
    (of.signed_by(&key, by).unwrap(), key)
}

/// A collector that speaks TLS, and knows clients of an authority if one is given; where.
async fn start(protocol: OtlpProtocol, by: &Authority, clients: Option<&Authority>) -> String {
    let (certificate, key) = signed(by, "localhost");
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let chain = vec![certificate.der().clone()];
    let mut config = config.with_single_cert(chain, key).unwrap();
    if protocol == OtlpProtocol::Grpc {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = on_each(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            match protocol {
                OtlpProtocol::Grpc => {
                    let taking = Collector::new(|_| Ok(ExportTraceServiceResponse::default()));
                    taking.serve(stream).await;
                }
                OtlpProtocol::HttpProtobuf => {
                    while read_request(&mut stream).await.is_some() {
                        stream.write_all(&answer("200 OK", b"")).await.unwrap();
                    }
                }
            }
        }
    })
    .await;
    address.replace("127.0.0.1", "localhost")
}

fn over_tls(protocol: OtlpProtocol, address: &str, tls: TlsFiles) -> OtlpSettings {
    let plain = settings(protocol, address);
    let endpoint = plain.endpoint.to_string().replace("http:", "https:");
    OtlpSettings {
        endpoint: endpoint.parse().unwrap(),
        tls,
        ..plain
    }
}

#[tokio::test]
async fn only_whom_the_certificate_says_is_trusted_and_only_who_has_one_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (ours, other) = (authority(), authority());
    let certificate = Some(file("ca", ours.pem()));
    let wrong = Some(file("other", other.pem()));
    let (client, key) = signed(&ours, "cgscope");
    let client = Some((
        file("client", client.pem()),
        file("key", key.serialize_pem()),
    ));
    for protocol in BOTH {
        let one_way = start(protocol, &ours, None).await;
        let both_ways = start(protocol, &ours, Some(&ours)).await;
        for (address, certificate, client, expected) in [
            (&one_way, &certificate, &None, 3),
            (&one_way, &wrong, &None, 0),
            (&both_ways, &certificate, &client, 3),
            (&both_ways, &certificate, &None, 0),
        ] {
            let tls = TlsFiles {
                certificate: certificate.clone(),
                client: client.clone(),
            };
            let account = send(&over_tls(protocol, address, tls), 3).await;
            assert_eq!(
                account.sent, expected,
                "{protocol:?}, {certificate:?}, {client:?}"
            );
        }
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "nothing").unwrap();
    let (of, key) = signed(&authority(), "cgscope");
    let good = folder.path().join("good.pem");
    fs::write(&good, of.pem()).unwrap();
    let good_key = folder.path().join("key.pem");
    fs::write(&good_key, key.serialize_pem()).unwrap();
    let absent = folder.path().join("absent.pem");
    let client = |certificate: &PathBuf, key: &PathBuf| TlsFiles {
        certificate: Some(good.clone()),
        client: Some((certificate.clone(), key.clone())),
    };
    let trusting = |path: &PathBuf| TlsFiles {
        certificate: Some(path.clone()),
        client: None,
    };
    for protocol in BOTH {
        for (tls, parts) in [
            (
                trusting(&absent),
                ["absent.pem", "certificate", "No such file"],
            ),
            (trusting(&empty), ["empty.pem", "certificate", "PEM"]),
            (client(&good, &empty), ["empty.pem", "client key", "PEM"]),
            (
                client(&empty, &good_key),
                ["empty.pem", "client certificate", "PEM"],
            ),
            (client(&good, &good), ["good.pem", "client key", "PEM"]),
        ] {
            let settings = over_tls(protocol, "localhost:1", tls);
            let error = Sender::new(&settings, outbox(&settings)).unwrap_err();
            let error = crate::error_chain(&error);
            for part in parts {
                assert!(error.contains(part), "{part} not in {error}");
            }
        }
    }
}
