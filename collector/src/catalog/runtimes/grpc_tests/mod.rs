//! The runtimes that speak gRPC, against servers that say what a test has them say.

mod containerd;
mod cri;
mod server;

use std::time::Instant;

use tokio::net::UnixListener;

use super::{
    CONNECT_TIME, Connector, Endpoint, Protocol, containerd::ContainerdConnector, cri::CriConnector,
};
use crate::catalog::{LabelSelection, provider::Unavailable};
use server::{Answer, Server};

fn connectors(address: &str) -> [Box<dyn Connector>; 2] {
    let endpoint = |protocol| Endpoint {
        protocol,
        address: address.to_owned(),
    };
    let labels = std::sync::Arc::new(LabelSelection {
        container: vec!["team".to_owned()],
        pod: vec!["app".to_owned()],
    });
    [
        Box::new(ContainerdConnector::new(
            endpoint(Protocol::Containerd),
            std::sync::Arc::clone(&labels),
        )),
        Box::new(CriConnector::new(endpoint(Protocol::Cri), labels)),
    ]
}

#[tokio::test]
async fn a_socket_that_accepts_and_never_answers_costs_the_time_to_connect() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
        }
    });
    for connector in connectors(path.to_str().unwrap()) {
        let start = Instant::now();
        let error = connector.connect().await.unwrap_err();
        assert!(matches!(error.why, Unavailable::NotYet { .. }), "{error:?}");
        assert!(error.to_string().contains("no answer from"), "{error}");
        assert!(start.elapsed() < 2 * CONNECT_TIME);
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_may_come() {
    let folder = tempfile::tempdir().unwrap();
    for connector in connectors(folder.path().join("none").to_str().unwrap()) {
        let error = connector.connect().await.unwrap_err();
        assert!(matches!(error.why, Unavailable::NotYet { .. }), "{error:?}");
        assert!(error.to_string().contains("No such file"), "{error}");
    }
}

#[tokio::test]
async fn a_server_of_something_else_is_never_the_runtime() {
    let server = Server::start(|_| Answer::UNIMPLEMENTED);
    for connector in connectors(server.address()) {
        let error = connector.connect().await.unwrap_err();
        assert!(matches!(error.why, Unavailable::Never { .. }), "{error:?}");
    }
}
