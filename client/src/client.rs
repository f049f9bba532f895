//! The client and its settings. What it can be asked is in the module of each service.

use std::{sync::Arc, time::Duration};

use tonic::transport::{Channel, ClientTlsConfig};

use crate::{
    call::{Caller, Effect, Pace},
    endpoint::{EndpointError, parse_endpoints},
    error::Error,
};

/// A call that is not done within this gives up, unless set otherwise. Streams, submissions and waits are not cut.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The largest answer that is taken, in bytes. One resource may carry a scalar of 16 MiB and its digests.
pub(crate) const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Typed calls to a cluster, over whichever of its members answers. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) caller: Arc<Caller>,
}

/// How a client is to behave.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    tls: Option<ClientTlsConfig>,
    call_deadline: Duration,
}

impl Client {
    /// A client with the defaults. Connects when it is first used.
    ///
    /// # Errors
    /// When the list is not HOST:PORT, comma-separated.
    pub fn connect(endpoints: &str) -> Result<Self, EndpointError> {
        Self::builder(endpoints)?.build()
    }

    /// A client with settings of its own.
    ///
    /// # Errors
    /// When the list is not HOST:PORT, comma-separated.
    pub fn builder(endpoints: &str) -> Result<ClientBuilder, EndpointError> {
        Ok(ClientBuilder {
            endpoints: parse_endpoints(endpoints)?,
            tls: None,
            call_deadline: CALL_DEADLINE,
        })
    }

    /// A call that only reads and whose answer comes at once.
    pub(crate) async fn read<T, Answer>(&self, ask: impl Fn(Channel) -> Answer) -> Result<T, Error>
    where
        Answer: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let answer = self.caller.call(Pace::Brisk, Effect::None, ask).await?;
        Ok(answer.into_inner())
    }

    /// A call that only reads, and may take its time.
    pub(crate) async fn read_patiently<T, Answer>(
        &self,
        ask: impl Fn(Channel) -> Answer,
    ) -> Result<T, Error>
    where
        Answer: Future<Output = Result<T, tonic::Status>>,
    {
        self.caller.call(Pace::Patient, Effect::None, ask).await
    }

    /// A call that changes something once, however often it is asked.
    pub(crate) async fn change<T, Answer>(
        &self,
        request_id: &crate::RequestId,
        ask: impl Fn(Channel) -> Answer,
    ) -> Result<T, Error>
    where
        Answer: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    {
        let effect = Effect::Of(request_id);
        let answer = self.caller.call(Pace::Brisk, effect, ask).await?;
        Ok(answer.into_inner())
    }
}

impl ClientBuilder {
    /// How long a call may take before it gives up.
    #[must_use]
    pub fn call_deadline(mut self, deadline: Duration) -> Self {
        self.call_deadline = deadline;
        self
    }

    /// Encrypted, and with a client certificate if the settings have one.
    #[must_use]
    pub fn tls(mut self, tls: ClientTlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The client. Connects when it is first used.
    ///
    /// # Errors
    /// When the TLS settings do not fit an endpoint.
    pub fn build(self) -> Result<Client, EndpointError> {
        let caller = Caller::new(self.endpoints, self.tls, self.call_deadline)?;
        Ok(Client {
            caller: Arc::new(caller),
        })
    }
}
