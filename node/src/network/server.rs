//! The service that receives what other members' clients send, and hands it to Raft.
//!
//! A call that is not meant for this member is refused before anything in it is looked at.

use std::{future::ready, pin::Pin};

use anneal_proto::peer::v1::{
    self as proto,
    peer_server::{Peer, PeerServer},
};
use futures_util::{Stream, StreamExt};
use openraft::alias::SnapshotOf;
use tonic::{Request, Response, Status, Streaming};

use super::{Addressee, MESSAGE_BYTES, receive_checkpoint};
use crate::{
    codec::{self, DecodeError},
    replica::{
        Replica,
        types::{CheckpointMeta, TypeConfig},
    },
    storage::checkpoint::CheckpointData,
};

/// Receives for one member.
pub struct PeerService {
    addressee: Addressee,
    replica: Replica,
}

impl PeerService {
    /// The service of a member, to be added to its listener.
    pub fn server(addressee: Addressee, replica: Replica) -> PeerServer<Self> {
        PeerServer::new(Self { addressee, replica })
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    }

    fn take<T>(&self, request: Request<T>) -> Result<T, Status> {
        self.addressee.check(request.metadata())?;
        Ok(request.into_inner())
    }
}

fn garbled(error: DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Peer for PeerService {
    type AppendStream = Answers<proto::AppendResponse>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        // The first that is broken ends the stream; the sender begins anew.
        let replica = self.replica.clone();
        let requests = self
            .take(request)?
            .map(move |request| {
                replica.heard();
                let request = codec::peer::read_append_request(request?);
                request.map_err(|error| {
                    tracing::warn!(%error, "an append cannot be read");
                    garbled(error)
                })
            })
            .take_while(|request| ready(request.is_ok()))
            .filter_map(|request| ready(request.ok()));
        let results = self.replica.raft().stream_append(requests);
        let answers = results.map(|result| match result {
            Ok(result) => Ok(codec::peer::append_response(&result)),
            Err(fatal) => Err(stopped(fatal)),
        });
        // An idle stream would not notice.
        let replica = self.replica.clone();
        let end = async move { replica.stopped().await };
        Ok(Response::new(Box::pin(answers.take_until(Box::pin(end)))))
    }

    async fn vote(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<Response<proto::VoteResponse>, Status> {
        let request = codec::peer::read_vote_request(self.take(request)?).map_err(garbled)?;
        let response = self.replica.raft().vote(request).await.map_err(stopped)?;
        Ok(Response::new(codec::peer::vote_response(&response)))
    }

    async fn pre_vote(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<Response<proto::VoteResponse>, Status> {
        let request = codec::peer::read_vote_request(self.take(request)?).map_err(garbled)?;
        let response = self
            .replica
            .raft()
            .pre_vote(request)
            .await
            .map_err(stopped)?;
        Ok(Response::new(codec::peer::vote_response(&response)))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferLeaderRequest>,
    ) -> Result<Response<proto::TransferLeaderResponse>, Status> {
        let request = codec::peer::read_transfer_request(self.take(request)?).map_err(garbled)?;
        let raft = self.replica.raft();
        let response = raft
            .handle_transfer_leader(request)
            .await
            .map_err(stopped)?;
        Ok(Response::new(codec::peer::transfer_response(&response)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::SnapshotResponse>, Status> {
        let parts = self.take(request)?;
        let checkpoints = self.replica.checkpoints().clone();
        let received = receive_checkpoint::receive(checkpoints, parts).await?;
        let vote = codec::required(received.head.vote, "the vote of a checkpoint");
        let vote = codec::raft::read_vote(vote.map_err(garbled)?);
        let snapshot: SnapshotOf<TypeConfig, CheckpointData> = SnapshotOf::<TypeConfig, _> {
            meta: CheckpointMeta {
                last_log_id: received.position.last,
                last_membership: received.position.membership,
            },
            snapshot: CheckpointData::Received(received.staging),
        };
        let raft = self.replica.raft();
        let response = raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(stopped)?;
        let vote = Some(codec::raft::vote(&response.vote));
        Ok(Response::new(proto::SnapshotResponse { vote }))
    }

    async fn read_index(
        &self,
        request: Request<proto::ReadIndexRequest>,
    ) -> Result<Response<proto::ReadIndexResponse>, Status> {
        let proto::ReadIndexRequest {} = self.take(request)?;
        let index = self
            .replica
            .read_index()
            .await
            .map_err(|error| error.status())?;
        Ok(Response::new(proto::ReadIndexResponse { index }))
    }

    async fn progress(
        &self,
        request: Request<proto::ProgressRequest>,
    ) -> Result<Response<proto::ProgressResponse>, Status> {
        let proto::ProgressRequest {} = self.take(request)?;
        let (last_log_index, applied_index) = self.replica.progress();
        Ok(Response::new(proto::ProgressResponse {
            last_log_index,
            applied_index,
        }))
    }
}
