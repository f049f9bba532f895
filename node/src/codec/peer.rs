//! Raft's calls between members as protobuf.
//!
//! Knows nothing of how they are sent.

use anneal_proto::peer::v1 as proto;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::{
    DecodeError,
    raft::{entry, log_id, read_entry, read_log_id, read_vote, vote},
    required,
};
use crate::replica::types::TypeConfig;

/// An append for the wire.
pub fn append_request(request: &AppendEntriesRequest<TypeConfig>) -> proto::AppendRequest {
    proto::AppendRequest {
        vote: Some(vote(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id),
        entries: request.entries.iter().map(entry).collect(),
        commit: request.leader_commit.as_ref().map(log_id),
    }
}

/// An append from the wire.
pub fn read_append_request(
    request: proto::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, DecodeError> {
    Ok(AppendEntriesRequest {
        vote: read_vote(required(request.vote, "the vote of an append")?),
        prev_log_id: request.previous.map(read_log_id),
        entries: request
            .entries
            .into_iter()
            .map(read_entry)
            .collect::<Result<_, _>>()?,
        leader_commit: request.commit.map(read_log_id),
    })
}

/// The answer to an append for the wire.
pub fn append_response(result: &StreamAppendResult<TypeConfig>) -> proto::AppendResponse {
    use proto::append_response::Result;
    proto::AppendResponse {
        result: Some(match result {
            Ok(last) => Result::Matched(proto::Matched {
                last: last.as_ref().map(log_id),
            }),
            Err(StreamAppendError::Conflict(id)) => Result::Conflict(log_id(id)),
            Err(StreamAppendError::HigherVote(higher)) => Result::HigherVote(vote(higher)),
        }),
    }
}

/// The answer to an append from the wire.
pub fn read_append_response(
    response: proto::AppendResponse,
) -> Result<StreamAppendResult<TypeConfig>, DecodeError> {
    use proto::append_response::Result;
    Ok(
        match required(response.result, "the result of an append")? {
            Result::Matched(matched) => Ok(matched.last.map(read_log_id)),
            Result::Conflict(id) => Err(StreamAppendError::Conflict(read_log_id(id))),
            Result::HigherVote(higher) => Err(StreamAppendError::HigherVote(read_vote(higher))),
        },
    )
}

/// A request for a vote for the wire.
pub fn vote_request(request: &VoteRequest<TypeConfig>) -> proto::VoteRequest {
    proto::VoteRequest {
        vote: Some(vote(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

/// A request for a vote from the wire.
pub fn read_vote_request(
    request: proto::VoteRequest,
) -> Result<VoteRequest<TypeConfig>, DecodeError> {
    Ok(VoteRequest {
        vote: read_vote(required(request.vote, "the vote asked for")?),
        last_log_id: request.last.map(read_log_id),
        leadership_transfer: request.leadership_transfer,
    })
}

/// The answer to a request for a vote for the wire.
pub fn vote_response(response: &VoteResponse<TypeConfig>) -> proto::VoteResponse {
    proto::VoteResponse {
        vote: Some(vote(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id),
    }
}

/// The answer to a request for a vote from the wire.
pub fn read_vote_response(
    response: proto::VoteResponse,
) -> Result<VoteResponse<TypeConfig>, DecodeError> {
    Ok(VoteResponse {
        vote: read_vote(required(response.vote, "the vote of the answer")?),
        vote_granted: response.granted,
        last_log_id: response.last.map(read_log_id),
    })
}

/// The call to take leadership over for the wire.
pub fn transfer_request(
    request: &TransferLeaderRequest<TypeConfig>,
) -> proto::TransferLeaderRequest {
    proto::TransferLeaderRequest {
        from: Some(vote(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(log_id),
    }
}

/// The call to take leadership over from the wire.
pub fn read_transfer_request(
    request: proto::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, DecodeError> {
    let from = read_vote(required(request.from, "the leader's vote")?);
    Ok(TransferLeaderRequest::new(
        from,
        request.to,
        request.last.map(read_log_id),
    ))
}

/// The answer of the member called for the wire.
pub fn transfer_response(
    response: &TransferLeaderResponse<TypeConfig>,
) -> proto::TransferLeaderResponse {
    use proto::transfer_leader_response::Refusal;
    let refusal = match response {
        Ok(()) => None,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            let (expected, found) = (Some(vote(expected)), Some(vote(actual)));
            Some(Refusal::VoteChanged(proto::VoteChanged { expected, found }))
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            let (expected, found) = (expected.as_ref().map(log_id), actual.as_ref().map(log_id));
            Some(Refusal::LogNotFlushed(proto::LogNotFlushed {
                expected,
                found,
            }))
        }
    };
    proto::TransferLeaderResponse { refusal }
}

/// The answer of the member called from the wire.
pub fn read_transfer_response(
    response: proto::TransferLeaderResponse,
) -> Result<TransferLeaderResponse<TypeConfig>, DecodeError> {
    use proto::transfer_leader_response::Refusal;
    Ok(match response.refusal {
        None => Ok(()),
        Some(Refusal::VoteChanged(refusal)) => Err(TransferLeaderError::VoteChanged {
            expected: read_vote(required(refusal.expected, "the vote expected")?),
            actual: read_vote(required(refusal.found, "the vote found")?),
        }),
        Some(Refusal::LogNotFlushed(refusal)) => Err(TransferLeaderError::LogNotFlushed {
            expected: refusal.expected.map(read_log_id),
            actual: refusal.found.map(read_log_id),
        }),
    })
}
