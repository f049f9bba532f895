//! Sees to it that the membership has this member, at the address where it listens.

use std::time::Duration;

use anneal_proto::{log::v1::Identity, peer::v1::EnlistRequest};

use tonic::Code;

use super::{Context, identity::client};
use crate::replica::{MembershipError, types::MemberNode};

/// Between two attempts.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// One member is asked for no longer.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// So many looks in a row that find the member in no membership, and nothing new in its log, say that it was removed: one
/// that joins sees memberships from before its time.
const LOOKS: u32 = 25;

/// Ends once the membership is right, the member was removed, or it stops.
pub(super) async fn keep(context: Context, identity: Identity) {
    tokio::select! {
        () = context.stop.cancelled() => {}
        () = enlist(&context, &identity) => {}
    }
}

enum Standing {
    Right,
    Absent,
    Missing,
}

fn standing(context: &Context) -> Standing {
    let membership = context.replica.membership();
    match membership.get_node(&context.replica.member_id()) {
        Some(node) if node.address == context.address => Standing::Right,
        Some(_) => Standing::Missing,
        // One that was never let in has seen no membership at all.
        None if membership.nodes().next().is_some() => Standing::Absent,
        None => Standing::Missing,
    }
}

async fn enlist(context: &Context, identity: &Identity) {
    let mut absent = 0;
    let mut progress = context.replica.progress();
    loop {
        let answer = match standing(context) {
            Standing::Right => return,
            Standing::Missing => ask_for_a_place(context, identity).await,
            // It was let in once, and does not ask again: its id would come back with it.
            Standing::Absent => {
                let before = std::mem::replace(&mut progress, context.replica.progress());
                absent = if before == progress { absent + 1 } else { 0 };
                match absent {
                    LOOKS => Answer::Removed,
                    _ => Answer::Asked,
                }
            }
        };
        if answer == Answer::Removed {
            tracing::error!(
                "this member was removed from its cluster; its directory is of no more use"
            );
            return;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// What came of asking.
#[derive(PartialEq, Eq)]
enum Answer {
    /// The membership will say.
    Asked,
    /// It was removed.
    Removed,
}

/// Asks to be put into the membership, or, once it was let in, for its new address to be put there: a member that was
/// removed while it was away must not let itself in again.
async fn ask_for_a_place(context: &Context, identity: &Identity) -> Answer {
    let moves = context.replica.was_let_in();
    let node = MemberNode {
        address: context.address.clone(),
        becomes_voter: identity.becomes_voter,
    };
    let me = context.replica.member_id();
    match context.replica.enlist(me, node, moves).await {
        Ok(()) => Answer::Asked,
        Err(MembershipError::NoSuchMember(_)) => Answer::Removed,
        Err(_) => ask(context, identity, moves).await,
    }
}

async fn ask(context: &Context, identity: &Identity, moves: bool) -> Answer {
    let known = context.replica.membership();
    let known = known.nodes().map(|(_, node)| node.address.clone());
    let leader = context.replica.leader().map(|leader| leader.address);
    let all = leader.into_iter().chain(identity.join.clone()).chain(known);
    for address in all.filter(|address| *address != context.address) {
        let Ok(mut client) = client(context.replica.channels(), &address) else {
            continue;
        };
        let request = EnlistRequest {
            cluster_id: identity.cluster_id.clone(),
            member_id: identity.member_id,
            address: context.address.clone(),
            becomes_voter: identity.becomes_voter,
            moves,
        };
        match tokio::time::timeout(ASK_TIMEOUT, client.enlist(request)).await {
            Ok(Ok(_)) => return Answer::Asked,
            Ok(Err(status)) if moves && status.code() == Code::NotFound => return Answer::Removed,
            Ok(Err(status)) => {
                tracing::debug!(address, error = status.message(), "not enlisted yet");
            }
            Err(_) => tracing::debug!(address, "no answer"),
        }
    }
    Answer::Asked
}
