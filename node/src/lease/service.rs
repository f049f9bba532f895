//! The gRPC service that engines call on the leader.
//!
//! Only the door: it checks who is meant, and hands over to the hub of the present leadership.

use anneal_proto::engine::v1::{
    FromEngine, FromLeader, RegisterReply, RegisterRequest,
    engines_server::{Engines, EnginesServer},
};
use futures_util::stream::BoxStream;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::reach::{CurrentHub, not_leading, register};
use crate::network::MESSAGE_BYTES;
use crate::replica::Replica;

/// The leader's door for engines; on a member that does not lead, every call is refused.
pub struct EngineService {
    replica: Replica,
    hub: CurrentHub,
}

impl EngineService {
    /// The service, ready to be added to a server.
    pub fn server(replica: Replica, hub: CurrentHub) -> EnginesServer<Self> {
        EnginesServer::new(Self { replica, hub })
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }
}

#[tonic::async_trait]
impl Engines for EngineService {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterReply>, Status> {
        self.replica.addressee().check(request.metadata())?;
        let engine = register(&self.replica, request.into_inner()).await?;
        Ok(Response::new(RegisterReply {
            incarnation: engine.incarnation,
        }))
    }

    type AttachStream = BoxStream<'static, Result<FromLeader, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<FromEngine>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        self.replica.addressee().check(request.metadata())?;
        let hub = self.hub.borrow().clone().ok_or_else(not_leading)?;
        let outbound = hub.attach(request.into_inner()).await?;
        let outbound = ReceiverStream::new(outbound).map(Ok);
        Ok(Response::new(Box::pin(outbound)))
    }
}
