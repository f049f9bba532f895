//! A cluster that answers from a script, so that what the binary makes of each answer can be held against a committed
//! copy. What a stack does is in its name: `web` converged, `broken` failed, `slow` never ends, `bad` does not
//! compile, `rolled` failed and went back, `nothing` is not there.

mod messages;
mod services;

use std::net::SocketAddr;
use std::thread;

use anneal_client::v1::cluster_server::ClusterServer;
use anneal_client::v1::events_server::EventsServer;
use anneal_client::v1::resources_server::ResourcesServer;
use anneal_client::v1::stacks_server::StacksServer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use services::Canned;

/// The running server; it ends with the value.
pub(crate) struct CannedCluster {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl CannedCluster {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("an address"))
                    .expect("somebody waits for the address");
                let serve = Server::builder()
                    .add_service(StacksServer::new(Canned))
                    .add_service(ResourcesServer::new(Canned))
                    .add_service(EventsServer::new(Canned))
                    .add_service(ClusterServer::new(Canned))
                    .serve_with_incoming(TcpListenerStream::new(listener));
                // Streams that never end would hold up an orderly end.
                tokio::select! {
                    served = serve => served.expect("the server serves"),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: told.recv().expect("the server starts"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// HOST:PORT.
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for CannedCluster {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended by itself already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}
