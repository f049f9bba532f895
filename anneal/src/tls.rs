//! The files of mutual TLS, read.
//!
//! Knows nothing of who uses them.

use std::path::Path;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::cli::Tls;
use crate::exit::{Failure, Outcome};

/// What the three files hold, as PEM.
pub(crate) struct Pem {
    /// The authority that signed the other side's certificate.
    pub(crate) ca: Vec<u8>,
    /// This side's certificate.
    pub(crate) cert: Vec<u8>,
    /// Its key.
    pub(crate) key: Vec<u8>,
}

impl Pem {
    /// Reads all three, or none if none is named.
    pub(crate) fn read(tls: &Tls) -> Outcome<Option<Self>> {
        match (&tls.tls_ca, &tls.tls_cert, &tls.tls_key) {
            (None, None, None) => Ok(None),
            (Some(ca), Some(cert), Some(key)) => Ok(Some(Self {
                ca: file(ca)?,
                cert: file(cert)?,
                key: file(key)?,
            })),
            _ => Err(incomplete()),
        }
    }

    /// For the client side of connections.
    pub(crate) fn for_client(self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.ca))
            .identity(Identity::from_pem(self.cert, self.key))
    }
}

/// Some of the files are named, and some are not.
pub(crate) fn incomplete() -> Failure {
    Failure::Usage("mutual TLS needs all three of --tls-ca, --tls-cert and --tls-key".into())
}

fn file(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Failure::refused(format!("cannot read {}: {error}", path.display())))
}
