//! Connections to other members, by address and purpose; made when first used, and made again when broken.
//!
//! Knows nothing of what is sent.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig,
};

/// Waiting for a connection: above a round trip anywhere, below what a caller waits for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A silent connection is asked for a sign of life this often, and given up after as long again: a cut
/// line is noticed within two of these.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// Errors travel in headers, with every problem of a template: more than the usual 16 KiB.
const HEADER_BYTES: u32 = 256 * 1024;

/// What a connection is for. Each has its own, so that a heartbeat does not wait behind a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Log entries.
    Log,
    /// Raft's heartbeats and elections.
    Heartbeat,
    /// Checkpoints.
    Checkpoint,
    /// All else: reads, forwarded calls, engine traffic.
    Calls,
}

/// The certificates with which members prove to each other, and to clients, who they are. All PEM.
#[derive(Clone)]
pub struct Tls {
    /// Whom to trust.
    pub ca: Vec<u8>,
    /// This member's certificate.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl Tls {
    /// For the listener: who calls must have a certificate too.
    pub fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(Identity::from_pem(&self.certificate, &self.key))
            .client_ca_root(Certificate::from_pem(&self.ca))
    }

    /// For calls to other members.
    pub fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.ca))
            .identity(Identity::from_pem(&self.certificate, &self.key))
    }
}

/// Connections by address and purpose; clones share them.
#[derive(Clone, Default)]
pub struct Channels {
    tls: Option<Arc<Tls>>,
    open: Arc<Mutex<HashMap<(String, Purpose), Channel>>>,
}

impl Channels {
    /// Connections in plain text, or with certificates.
    pub fn new(tls: Option<Tls>) -> Self {
        Self {
            tls: tls.map(Arc::new),
            open: Arc::default(),
        }
    }

    /// The connection to HOST:PORT.
    ///
    /// # Errors
    /// If the address is not HOST:PORT or the certificates are not usable.
    pub fn get(&self, address: &str, purpose: Purpose) -> Result<Channel, tonic::transport::Error> {
        let mut open = self.open.lock().expect("no holder panics");
        if let Some(channel) = open.get(&(address.to_owned(), purpose)) {
            return Ok(channel.clone());
        }
        let channel = self.endpoint(address)?.connect_lazy();
        open.insert((address.to_owned(), purpose), channel.clone());
        Ok(channel)
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .http2_adaptive_window(true)
            .http2_max_header_list_size(HEADER_BYTES);
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.client()),
            None => Ok(endpoint),
        }
    }
}
