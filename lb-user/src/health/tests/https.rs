//! Checks over TLS, with certificates made for the test.

use std::{fs, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::NamedTempFile;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::{servers::server, *};

/// A server with a certificate for these names, and the certificate.
async fn tls_server(names: &[&str]) -> (SocketAddr, NamedTempFile) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not trust us is gone by now.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nUP").await;
        }
    })
    .await;
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), cert.pem()).unwrap();
    (address, file)
}

async fn https(address: SocketAddr, more: &str) -> (Outcome, String) {
    result(address, &format!("type = \"https\"\n{more}")).await
}

#[tokio::test]
async fn https_ca_file() {
    let (address, certificate) = tls_server(&["127.0.0.1"]).await;
    let trusted = format!("ca_file = {:?}\nbody = \"UP\"", certificate.path());
    assert_eq!(https(address, &trusted).await, ok("HTTP 200"));
    let (_, other) = tls_server(&["127.0.0.1"]).await;
    let (outcome, detail) = https(address, &format!("ca_file = {:?}", other.path())).await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(detail.starts_with("TLS: invalid peer certificate"), "{detail}");
}

#[tokio::test]
async fn https_server_name() {
    let (address, certificate) = tls_server(&["db.example"]).await;
    let trusted = format!("ca_file = {:?}\n", certificate.path());
    let (outcome, detail) = https(address, &trusted).await;
    assert_eq!(outcome, Outcome::Failed, "{detail}");
    let named = trusted + "server_name = \"db.example\"";
    assert_eq!(https(address, &named).await, ok("HTTP 200"));
}

#[tokio::test]
async fn https_verify() {
    let (address, _) = tls_server(&["nobody.example"]).await;
    assert_eq!(https(address, "verify = false").await, ok("HTTP 200"));
}

#[tokio::test]
async fn https_of_a_server_without_it() {
    let address = answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let (outcome, detail) = https(address, "verify = false").await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(detail.starts_with("TLS: "), "{detail}");
}
