//! Calls that only the leader may answer: here, or one hop on. A call that was forwarded once is never forwarded again,
//! and names the member that it is meant for: whoever listens at that address by now may be another.

use std::{future::Future, time::Duration};

use tokio::time::timeout;
use tonic::{
    Request, Response, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::Channel,
};

use super::{reads::outage, status::unavailable};
use crate::{
    network::{Addressee, Purpose},
    replica::{LeaderHint, LeadershipView, Replica},
    submit::Unavailable,
};

/// Marks a call that came from another member.
const FORWARDED: &str = "anneal-forwarded";
/// A member that has just lost its leader waits this long for the next before it says that there is none.
const ELECTION_PATIENCE: Duration = Duration::from_millis(1500);
/// A leader that does not answer a brisk call within this is taken to be frozen or cut off.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Where a call is to be answered.
pub(crate) enum Place {
    /// This member leads.
    Here,
    /// That one does.
    There(There),
}

/// Another member that leads.
pub(crate) struct There {
    leader: LeaderHint,
    addressee: Addressee,
    channel: Channel,
}

/// Finds out where a call that only the leader may answer is to be answered.
///
/// # Errors
/// Unavailable: no leader, or this one was thought to be it and is not.
pub(crate) async fn place(replica: &Replica, metadata: &MetadataMap) -> Result<Place, Status> {
    let was_forwarded = metadata.contains_key(FORWARDED);
    if was_forwarded {
        replica.addressee().check(metadata).map_err(strayed)?;
    }
    match leadership(replica).await? {
        // Once it was elected it is the one to ask, though not yet ready: what it answers from, it makes sure of first.
        LeadershipView::Leading(_) | LeadershipView::Elected => Ok(Place::Here),
        LeadershipView::None => Err(outage(replica, "no leader is known").await),
        LeadershipView::Follower(leader) if was_forwarded => Err(unavailable(Unavailable {
            reason: "not_leader",
            message: format!(
                "member {} at {} leads by now",
                leader.member_id, leader.address
            ),
            leader: leader.member_id,
            leader_address: leader.address,
            outcome_unknown: false,
        })),
        LeadershipView::Follower(leader) => {
            let channel = replica.channels().get(&leader.address, Purpose::Calls);
            let addressee = Addressee {
                cluster_id: replica.addressee().cluster_id.clone(),
                member_id: leader.member_id,
            };
            match channel {
                Ok(channel) => Ok(Place::There(There {
                    leader,
                    addressee,
                    channel,
                })),
                Err(error) => Err(unreachable(&leader, &error.to_string(), false)),
            }
        }
    }
}

/// Who leads; waits for a moment if nobody does.
async fn leadership(replica: &Replica) -> Result<LeadershipView, Status> {
    let mut leadership = replica.leadership();
    let known = leadership.wait_for(|view| *view != LeadershipView::None);
    let view = match timeout(ELECTION_PATIENCE, known).await {
        Ok(Ok(view)) => Some(view.clone()),
        Ok(Err(_)) | Err(_) => None,
    };
    match view {
        Some(view) => Ok(view),
        None => Err(outage(replica, "no leader is known").await),
    }
}

impl There {
    /// Asks the leader; brisk.
    ///
    /// # Errors
    /// Its own, or that it can't be reached.
    pub(crate) async fn ask<M, T, Answer>(
        self,
        message: M,
        ask: impl FnOnce(Channel, Request<M>) -> Answer,
    ) -> Result<Response<T>, Status>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let leader = self.leader.clone();
        match timeout(ANSWER_WITHIN, self.ask_patiently(message, ask)).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = format!("no answer within {} s", ANSWER_WITHIN.as_secs());
                Err(unreachable(&leader, &why, true))
            }
        }
    }

    /// Asks the leader, for as long as the connection shows signs of life.
    ///
    /// # Errors
    /// Its own, or that it can't be reached.
    pub(crate) async fn ask_patiently<M, T, Answer>(
        self,
        message: M,
        ask: impl FnOnce(Channel, Request<M>) -> Answer,
    ) -> Result<Response<T>, Status>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let mut request = self.addressee.address(message);
        let mark = MetadataValue::from_static("1");
        request.metadata_mut().insert(FORWARDED, mark);
        let answer = ask(self.channel, request).await;
        answer.map_err(|status| match status.details().is_empty() {
            false => status,
            true => unreachable(&self.leader, status.message(), was_sent(&status)),
        })
    }
}

/// A call for another member. Nothing was done, and who sent it will have found out who leads when it tries again.
fn strayed(status: Status) -> Status {
    unavailable(Unavailable {
        reason: "wrong_member",
        message: status.message().to_owned(),
        ..Unavailable::default()
    })
}

/// The connection was there, so the call may have arrived.
fn was_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return false;
        }
        source = error.source();
    }
    true
}

/// Without its address: a client that followed the hint would only find the same.
fn unreachable(leader: &LeaderHint, why: &str, outcome_unknown: bool) -> Status {
    unavailable(Unavailable {
        reason: "leader_unreachable",
        message: format!("leader {} at {}: {why}", leader.member_id, leader.address),
        leader: leader.member_id,
        leader_address: String::new(),
        outcome_unknown,
    })
}
