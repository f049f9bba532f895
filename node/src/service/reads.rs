//! How a read begins: with everything that was decided before it, or with what this member has. In bounded time, with
//! what is known if it can't.

use std::time::Duration;

use tokio::time::timeout;
use tonic::Status;

use super::status::{unavailable, unreadable};
use crate::{
    replica::{LeadershipView, ReadError, Replica},
    submit::Unavailable,
};

/// A member that can't be sure of its state within this says so. Below the time after which clients go elsewhere.
const SURE_WITHIN: Duration = Duration::from_millis(1500);
/// Asking around who is there, for the message, takes no longer.
const ASKED_WITHIN: Duration = Duration::from_millis(400);

/// Makes sure that this member has everything that was decided before the call, unless told that it does not matter.
///
/// # Errors
/// Unavailable, with what is known.
pub(crate) async fn begin(replica: &Replica, local: bool) -> Result<(), Status> {
    if local {
        return Ok(());
    }
    match timeout(SURE_WITHIN, replica.linearize()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error @ ReadError::NotLeader(_))) if !leaderless(replica) => Err(unreadable(error)),
        Ok(Err(error)) => Err(outage(replica, &error.to_string()).await),
        Err(_) => {
            let (last, applied) = replica.progress();
            let why = format!(
                "this member could not make sure of its state in {} ms (its log ends at {last}, it has applied {applied})",
                SURE_WITHIN.as_millis()
            );
            Err(outage(replica, &why).await)
        }
    }
}

fn leaderless(replica: &Replica) -> bool {
    matches!(&*replica.leadership().borrow(), LeadershipView::None)
}

/// Unavailable, with who can be reached from here.
pub(crate) async fn outage(replica: &Replica, why: &str) -> Status {
    let reason = match leaderless(replica) {
        true => "no_leader",
        false => "no_quorum",
    };
    let (leader, leader_address) = match &*replica.leadership().borrow() {
        LeadershipView::Follower(hint) => (hint.member_id, hint.address.clone()),
        _ => Default::default(),
    };
    let around = match timeout(ASKED_WITHIN, replica.members()).await {
        Err(_) => "other members do not answer".to_owned(),
        Ok(members) => {
            let names = |reachable: bool| {
                let found: Vec<String> = members
                    .iter()
                    .filter(|member| member.reachable == reachable)
                    .map(|member| format!("{} at {}", member.id, member.address))
                    .collect();
                match found.is_empty() {
                    true => "none".to_owned(),
                    false => found.join(", "),
                }
            };
            format!(
                "members that answer: {}; that do not: {}",
                names(true),
                names(false)
            )
        }
    };
    unavailable(Unavailable {
        reason,
        message: format!("{why}; {around}"),
        leader,
        leader_address,
        outcome_unknown: false,
    })
}
