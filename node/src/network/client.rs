//! The client that Raft sends with: one connection per member and purpose.
//!
//! A member that cannot be reached, or is not the one meant, is unreachable: Raft then waits longer between
//! attempts. Knows nothing of what is in entries.

use std::{future::Future, time::Duration};

use anneal_proto::peer::v1::{AppendRequest, AppendResponse, peer_client::PeerClient};
use futures_util::{Stream, StreamExt};
use openraft::{
    OptionalSend, RaftNetworkFactory,
    alias::SnapshotOf,
    base::{BoxFuture, BoxStream},
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{
        Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    },
    raft::{
        AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use tonic::{Request, Status, Streaming, transport::Channel};

use super::{Addressee, Channels, MESSAGE_BYTES, Purpose, send_checkpoint};
use crate::{
    codec::{self, DecodeError},
    replica::types::{MemberNode, TypeConfig, Vote},
    storage::checkpoint::CheckpointData,
};

/// A stream to a member that does not answer its opening is given up after this, or Raft's own limit if that
/// is longer: long enough for a member that waits for a CPU.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// A stream for entries that cannot be opened is reported no sooner than this, doubled for each time before, since Raft
/// tries again at once: its own back-off begins with the first request of a stream that is open.
const REOPEN_DELAY: Duration = Duration::from_millis(50);
/// But it doubles no more often: to 0.8 s, so that a member that is back is not kept waiting.
const REOPEN_DOUBLINGS: u32 = 4;

/// Makes the connections of one member to the others.
#[derive(Clone)]
pub struct PeerNetwork {
    cluster_id: String,
    channels: Channels,
}

impl PeerNetwork {
    /// For a member of this cluster.
    pub fn new(cluster_id: String, channels: Channels) -> Self {
        Self {
            cluster_id,
            channels,
        }
    }

    fn connection(&self, target: u64, node: &MemberNode, purpose: Purpose) -> PeerConnection {
        let addressee = Addressee {
            cluster_id: self.cluster_id.clone(),
            member_id: target,
        };
        let channel = self
            .channels
            .get(&node.address, purpose)
            .map_err(|error| error.to_string());
        PeerConnection {
            addressee,
            channel,
            purpose,
            failures: 0,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for PeerNetwork {
    type Network = PeerConnection;

    async fn new_client(&mut self, target: u64, node: &MemberNode) -> PeerConnection {
        self.connection(target, node, Purpose::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &MemberNode) -> PeerConnection {
        self.connection(target, node, Purpose::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &MemberNode) -> PeerConnection {
        self.connection(target, node, Purpose::Checkpoint)
    }
}

/// The way to one member.
pub struct PeerConnection {
    addressee: Addressee,
    channel: Result<Channel, String>,
    purpose: Purpose,
    /// Streams that could not be opened since one could.
    failures: u32,
}

impl PeerConnection {
    fn client(&self) -> Result<PeerClient<Channel>, Unreachable<TypeConfig>> {
        let channel = self.channel.clone().map_err(Unreachable::from_string)?;
        Ok(PeerClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES))
    }

    async fn open(
        &self,
        request: Request<impl Stream<Item = AppendRequest> + Send + 'static>,
        patience: Duration,
    ) -> Result<Streaming<AppendResponse>, Unreachable<TypeConfig>> {
        let mut client = self.client()?;
        let opened = tokio::time::timeout(patience, client.append(request)).await;
        let opened = opened
            .map_err(|_| Unreachable::from_string("no answer to the opening of a stream"))?
            .map_err(|status| unreachable(&status))?;
        Ok(opened.into_inner())
    }

    /// Heartbeats come at their own pace; other streams would be opened again at once.
    async fn hold_back(&mut self, error: &Unreachable<TypeConfig>) {
        if self.purpose == Purpose::Heartbeat {
            return;
        }
        if self.failures == 0 {
            tracing::warn!(member = self.addressee.member_id, %error, "cannot be reached");
        }
        tokio::time::sleep(REOPEN_DELAY * 2u32.pow(self.failures.min(REOPEN_DOUBLINGS))).await;
        self.failures += 1;
    }

    fn request<T>(&self, message: T, option: &RPCOption) -> Request<T> {
        let mut request = self.addressee.address(message);
        request.set_timeout(option.soft_ttl());
        request
    }
}

fn unreachable(status: &Status) -> Unreachable<TypeConfig> {
    Unreachable::from_string(format!("{:?}: {}", status.code(), status.message()))
}

fn garbled(error: &DecodeError) -> Unreachable<TypeConfig> {
    Unreachable::new(error)
}

impl NetBackoff<TypeConfig> for PeerConnection {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

type AppendResults<'s> =
    BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

impl NetStreamAppend<TypeConfig> for PeerConnection {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<AppendResults<'s>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let requests = input.map(|request| codec::peer::append_request(&request));
            let request = self.addressee.address(requests);
            let patience = option.soft_ttl().max(OPEN_TIMEOUT);
            let answers = match self.open(request, patience).await {
                Ok(answers) => answers,
                Err(error) => {
                    self.hold_back(&error).await;
                    return Err(error.into());
                }
            };
            if std::mem::take(&mut self.failures) > 0 {
                tracing::info!(member = self.addressee.member_id, "reached again");
            }
            let answers = answers.map(|answer| {
                let answer = answer.map_err(|status| unreachable(&status))?;
                let result = codec::peer::read_append_response(answer);
                Ok(result.map_err(|error| garbled(&error))?)
            });
            let answers: AppendResults<'s> = Box::pin(answers);
            Ok(answers)
        })
    }
}

impl NetVote<TypeConfig> for PeerConnection {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = self.request(codec::peer::vote_request(&request), &option);
        let answer = self
            .client()?
            .vote(request)
            .await
            .map_err(|status| unreachable(&status))?;
        let response = codec::peer::read_vote_response(answer.into_inner());
        Ok(response.map_err(|error| garbled(&error))?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = self.request(codec::peer::vote_request(&request), &option);
        let mut client = self.client()?;
        let answer = client
            .pre_vote(request)
            .await
            .map_err(|status| unreachable(&status))?;
        let response = codec::peer::read_vote_response(answer.into_inner());
        Ok(response.map_err(|error| garbled(&error))?)
    }
}

impl NetTransferLeader<TypeConfig> for PeerConnection {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = self.request(codec::peer::transfer_request(&request), &option);
        let mut client = self.client()?;
        let answer = client
            .transfer_leader(request)
            .await
            .map_err(|status| unreachable(&status))?;
        let response = codec::peer::read_transfer_response(answer.into_inner());
        Ok(response.map_err(|error| garbled(&error))?)
    }
}

impl NetSnapshot<TypeConfig> for PeerConnection {
    type SnapshotData = CheckpointData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, CheckpointData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let checkpoint = match snapshot.snapshot {
            CheckpointData::Kept(checkpoint) => checkpoint,
            CheckpointData::Received(_) => {
                let why = "a checkpoint that was received is kept before it is sent on";
                return Err(Unreachable::from_string(why).into());
            }
        };
        let parts = send_checkpoint::parts(&vote, checkpoint);
        let request = self.addressee.address(parts);
        let mut client = self.client()?;
        tokio::select! {
            closed = cancel => Err(closed.into()),
            () = tokio::time::sleep(option.hard_ttl()) => {
                let why = format!("the checkpoint was not taken within {:?}", option.hard_ttl());
                Err(Unreachable::from_string(why).into())
            }
            answer = client.install_snapshot(request) => {
                let answer = answer.map_err(|status| unreachable(&status))?.into_inner();
                let vote = codec::required(answer.vote, "the vote of the answer");
                let vote = vote.map_err(|error| garbled(&error))?;
                Ok(SnapshotResponse::new(codec::raft::read_vote(vote)))
            }
        }
    }
}
