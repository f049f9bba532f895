//! Who is asked, and how: the endpoints, the namespace, the form of the answer, the limit of a call.
//!
//! Knows nothing of any single command.

use std::time::Duration;

use anneal_client::{Client, EndpointError, StackName};
use tokio::time::{Instant, sleep};

use crate::cli::{Common, Form, Patience, Tls, Wait};
use crate::embedded::{Embedded, Purpose};
use crate::exit::{Failure, Outcome};
use crate::refusal::failure;
use crate::tls::Pem;

/// Who is asked when no cluster is named and there is no embedded one: a member with default flags on this machine.
const DEFAULT_ENDPOINT: &str = "127.0.0.1:7400";

/// Time between two looks for the embedded engine; it takes some milliseconds to register.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a command was told about calls in general.
#[derive(Debug)]
pub(crate) struct Call {
    common: Common,
    limit: Duration,
}

/// A client, and the embedded member behind it if there is one.
pub(crate) struct Session {
    /// To ask.
    pub(crate) client: Client,
    embedded: Option<Embedded>,
}

impl Call {
    /// From the arguments.
    pub(crate) fn new(common: Common, limit: Duration) -> Self {
        Self { common, limit }
    }

    /// The form of the answer.
    pub(crate) fn form(&self) -> Form {
        self.common.output
    }

    /// The namespace of stacks.
    pub(crate) fn namespace(&self) -> &str {
        &self.common.namespace
    }

    /// The files of mutual TLS.
    pub(crate) fn tls(&self) -> &Tls {
        &self.common.tls
    }

    /// A stack of the namespace.
    pub(crate) fn stack(&self, name: &str) -> StackName {
        StackName::within(self.namespace(), name)
    }

    /// Whether a cluster is named.
    pub(crate) fn names_cluster(&self) -> bool {
        !self.common.endpoints.is_empty()
    }

    /// Asks the cluster that is named, else the embedded one if it exists, else the member of this machine.
    pub(crate) async fn open(&self, purpose: Purpose) -> Outcome<Session> {
        if self.names_cluster() {
            return self.to_endpoints(&self.common.endpoints.join(","));
        }
        match Embedded::open_existing(purpose).await? {
            Some(embedded) => self.to_embedded(embedded, purpose).await,
            None => self.to_endpoints(DEFAULT_ENDPOINT),
        }
    }

    /// Asks the cluster that is named, else the embedded one, which is made if it does not exist.
    pub(crate) async fn open_or_make(&self) -> Outcome<Session> {
        if self.names_cluster() {
            return self.to_endpoints(&self.common.endpoints.join(","));
        }
        let embedded = Embedded::open_or_make().await?;
        self.to_embedded(embedded, Purpose::Act).await
    }

    /// As [`Call::open`], for a command that changes something: an embedded member is an engine too if the change is
    /// to be followed.
    pub(crate) async fn open_to_change(&self, wait: &Wait) -> Outcome<Session> {
        let purpose = match wait.patience() {
            Patience::Committed => Purpose::Look,
            Patience::Endless | Patience::Limited(_) => Purpose::Act,
        };
        self.open(purpose).await
    }

    /// Opens, asks, and closes whatever the answer was.
    pub(crate) async fn with(
        &self,
        purpose: Purpose,
        ask: impl AsyncFnOnce(&Client) -> Outcome,
    ) -> Outcome {
        let session = self.open(purpose).await?;
        let outcome = ask(&session.client).await;
        session.close().await;
        outcome
    }

    fn to_endpoints(&self, endpoints: &str) -> Outcome<Session> {
        Ok(Session {
            client: self.client(endpoints, Pem::read(&self.common.tls)?)?,
            embedded: None,
        })
    }

    async fn to_embedded(&self, embedded: Embedded, purpose: Purpose) -> Outcome<Session> {
        let session = Session {
            client: self.client(embedded.address(), None)?,
            embedded: Some(embedded),
        };
        if purpose == Purpose::Act
            && let Err(failure) = self.engine_is_there(&session.client).await
        {
            session.close().await;
            return Err(failure);
        }
        Ok(session)
    }

    /// Waits until the embedded engine has registered: a stack that no engine can reach counts as failed.
    async fn engine_is_there(&self, client: &Client) -> Outcome {
        let deadline = Instant::now() + self.limit;
        loop {
            let engines = client.engines(false).await.map_err(failure)?;
            if engines.iter().any(|engine| engine.lease == "live") {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::refused(
                    "the embedded engine does not begin to work",
                ));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn client(&self, endpoints: &str, tls: Option<Pem>) -> Outcome<Client> {
        let usage = |error: EndpointError| Failure::Usage(error.to_string());
        let mut builder = Client::builder(endpoints).map_err(usage)?;
        if let Some(pem) = tls {
            builder = builder.tls(pem.for_client());
        }
        builder.call_deadline(self.limit).build().map_err(usage)
    }
}

impl Session {
    /// Whether the cluster lives in this process, and ends with it.
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Ends the embedded member in order: what runs is finished, for up to ten seconds.
    pub(crate) async fn close(self) {
        if let Some(embedded) = self.embedded {
            embedded.close().await;
        }
    }
}
