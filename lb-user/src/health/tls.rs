//! Checks over TLS.

use std::{net::SocketAddr, sync::Arc};

use tokio::{fs, net::TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    },
};

use super::probe::Failure;
use crate::config::types::Tls;

/// Makes a connection one over TLS.
pub(super) async fn wrap<'s>(
    tls: &Tls,
    peer: SocketAddr,
    stream: &'s mut TcpStream,
) -> Result<TlsStream<&'s mut TcpStream>, Failure> {
    let name = match &tls.server_name {
        Some(name) => ServerName::try_from(name.clone()).map_err(|error| host(error.to_string()))?,
        None => ServerName::from(peer.ip()),
    };
    let connector = TlsConnector::from(Arc::new(config(tls).await?));
    connector
        .connect(name, stream)
        .await
        .map_err(|error| Failure::of_backend(format!("TLS: {error}")))
}

/// Made for each check: what the files hold may change, and what lies about between checks is the memory of thousands.
async fn config(tls: &Tls) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| host(error.to_string()))?;
    let builder = if tls.verify {
        builder.with_root_certificates(roots(tls).await?)
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    };
    Ok(builder.with_no_client_auth())
}

/// Who may have signed a certificate.
async fn roots(tls: &Tls) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &tls.ca_file else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        return if added > 0 {
            Ok(roots)
        } else {
            Err(host(
                "this host trusts no certificates: install some, or write `ca_file`",
            ))
        };
    };
    let cannot = |error: String| {
        host(format!(
            "cannot use the certificates in {}: {error}",
            file.display()
        ))
    };
    let text = fs::read(file).await.map_err(|error| cannot(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| cannot(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| cannot(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(cannot("there are none".to_owned()));
    }
    Ok(roots)
}

fn host(what: impl Into<String>) -> Failure {
    Failure::Host(std::io::Error::other(what.into()))
}

/// Takes any certificate for right, as `verify = false` says; who does not hold its key is refused all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
