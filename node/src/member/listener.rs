//! The one port: peers, engines and clients.

use std::time::Duration;

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::RoutesBuilder,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::ServingStatus;

use super::{Config, Context, MemberError, admission::AdmissionService, health, line::Line};
use crate::network::{PeerService, Tls};

/// Whoever called and is silent is asked for a sign of life this often: a client that vanished without a word would keep
/// its calls and what they hold for as long as the member runs. Before that, TCP asks.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// And given up after this: longer than a busy machine keeps a process waiting.
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// A port that is taken and not yet served.
pub(super) struct Listener {
    /// HOST:PORT, as it was asked for; with the real port if any was.
    pub(super) address: String,
    socket: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    /// Takes the configured port; `None` if none is.
    pub(super) async fn bind(
        config: &Config,
        tls: Option<Tls>,
    ) -> Result<Option<Self>, MemberError> {
        let Some(listen) = &config.listen else {
            return Ok(None);
        };
        let failed = |source| MemberError::Listen {
            address: listen.clone(),
            source,
        };
        let socket = TcpListener::bind(listen.as_str()).await.map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.port();
        let address = match listen.rsplit_once(':') {
            Some((host, "0")) => format!("{host}:{port}"),
            _ => listen.clone(),
        };
        Ok(Some(Self {
            address,
            socket,
            tls,
        }))
    }

    /// Serves peers, health, reflection and what parts have added, until the member stops and the last call has
    /// ended, or is cut by the token.
    pub(super) async fn serve(
        self,
        context: &Context,
        mut routes: RoutesBuilder,
    ) -> Result<(JoinHandle<()>, CancellationToken), MemberError> {
        let replica = &context.replica;
        let (reporter, health_service) = tonic_health::server::health_reporter();
        // It would be reported as serving until it is looked at.
        reporter
            .set_service_status("", ServingStatus::NotServing)
            .await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(anneal_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| MemberError::Part(format!("reflection: {error}")))?;
        routes
            .add_service(health_service)
            .add_service(reflection)
            .add_service(PeerService::server(
                replica.addressee().clone(),
                replica.clone(),
            ))
            .add_service(AdmissionService::server(replica.clone()));
        let mut server = Server::builder();
        if let Some(tls) = &self.tls {
            server =
                server
                    .tls_config(tls.server())
                    .map_err(|error| MemberError::Certificates {
                        path: "the certificates".into(),
                        why: error.to_string(),
                    })?;
        }
        let stop = context.stop.clone();
        let cut = CancellationToken::new();
        let calls = cut.clone();
        let incoming = TcpIncoming::from(self.socket)
            .with_keepalive(Some(KEEP_ALIVE))
            .map(move |stream| stream.and_then(|stream| Line::new(stream, calls.clone())));
        let serving = server
            .http2_adaptive_window(Some(true))
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(ALIVE_WITHIN))
            .add_routes(routes.routes())
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
        let health = tokio::spawn(health::report(context.clone(), reporter));
        replica.oversee_errand("the health report", health);
        let serving = tokio::spawn(watched(context.clone(), tokio::spawn(serving)));
        Ok((serving, cut))
    }
}

/// Waits until the listener has ended; a member that nobody can call any more ends too.
async fn watched(context: Context, serving: JoinHandle<Result<(), tonic::transport::Error>>) {
    match serving.await {
        Ok(Ok(())) if context.stop.is_cancelled() => {}
        Ok(Ok(())) => context.replica.fail("the listener has ended"),
        Ok(Err(error)) => {
            let error = std::error::Error::source(&error)
                .map_or(error.to_string(), |source| format!("{error}: {source}"));
            context
                .replica
                .fail(format_args!("the listener has ended: {error}"));
        }
        Err(error) if error.is_panic() => {
            context
                .replica
                .fail(format_args!("the listener has panicked: {error}"));
        }
        Err(_) => {}
    }
}
