//! Proposals: a command is stamped, encoded once, and bound to the leadership under which it is proposed.
//!
//! Knows nothing of what commands ask for.

use std::time::{Duration, Instant};

use anneal_statemachine::{
    command::{Command, CommandKind},
    outcome::Outcome,
};
use openraft::{
    errors::{ClientWriteError, ForwardReason, ForwardToLeader},
    impls::ProgressResponder,
    raft::ClientWriteResult,
};
use tokio::sync::oneshot;

use super::{
    LeaderHint, Leadership, ProposeError, Replica,
    types::{Proposal, TypeConfig},
};
use crate::{codec, network::MESSAGE_BYTES};

/// A leader that has just been elected, or whose followers are slow, hears from its quorum again within this; or
/// else it has lost it.
const QUORUM_PATIENCE: Duration = Duration::from_secs(3);
/// Between two attempts of one that is not given up.
const INSIST_AGAIN: Duration = Duration::from_millis(100);
/// Between two attempts within that time.
const QUORUM_RETRY: Duration = Duration::from_millis(10);

/// A proposal that waits for its outcome while no quorum has been heard of for this long is left to its fate, and its
/// proposer told so: a quorum that is gone for longer is not back at once. One that is only slow is waited for.
const UNHEARD_PATIENCE: Duration = Duration::from_secs(8);
/// Between two looks at whether there is a quorum.
const UNHEARD_LOOK: Duration = Duration::from_millis(250);

/// Bytes of one encoded command, at most. An entry that does not fit into a message could never be replicated, nor
/// could anything after it. A resource whose one scalar has the 16 MiB that a template may have, stored as its
/// definition and as its text, fits; what goes along with it in a message has room beside it.
pub const COMMAND_BYTES: usize = 40 << 20;
const _: () = assert!(COMMAND_BYTES + (16 << 20) <= MESSAGE_BYTES);

/// A decided and applied proposal.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its log index.
    pub index: u64,
    /// What the state machine answered; it can be a rejection.
    pub outcome: Outcome,
}

/// A proposal in Raft's hands. Dropping it does not take it back.
pub struct Pending {
    result: oneshot::Receiver<ClientWriteResult<TypeConfig>>,
}

impl Pending {
    /// Waits until it is applied.
    pub async fn committed(self) -> Result<Committed, ProposeError> {
        match self.result.await {
            Ok(Ok(response)) => {
                let outcome = response
                    .data
                    .0
                    .expect("an entry with a command has an outcome");
                Ok(Committed {
                    index: response.log_id.index,
                    outcome,
                })
            }
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(ProposeError::Unknown),
        }
    }
}

impl Replica {
    /// Proposes a command, if this member leads, and waits until it is applied.
    pub async fn propose(&self, kind: CommandKind) -> Result<Outcome, ProposeError> {
        Ok(self.commit(kind).await?.outcome)
    }

    /// As [`Self::propose`], with the index of the entry. A quorum that is gone ends the wait, but not the proposal.
    pub async fn commit(&self, kind: CommandKind) -> Result<Committed, ProposeError> {
        let leadership = self.leading().await?;
        self.while_heard(self.commit_as(&leadership, kind)).await
    }

    /// Hands a command to Raft, if this member leads, as [`Self::submit`] does.
    pub async fn submit_as_leader(&self, kind: CommandKind) -> Result<Pending, ProposeError> {
        let leadership = self.leading().await?;
        self.submit(&leadership, kind).await
    }

    /// Waits until a proposal is applied. A quorum that is gone ends the wait, but not the proposal.
    pub async fn committed(&self, pending: Pending) -> Result<Committed, ProposeError> {
        self.while_heard(pending.committed()).await
    }

    async fn while_heard(
        &self,
        decided: impl Future<Output = Result<Committed, ProposeError>>,
    ) -> Result<Committed, ProposeError> {
        tokio::select! {
            biased;
            committed = decided => committed,
            () = self.unheard() => Err(ProposeError::Undecided),
        }
    }

    /// Waits until this member has, as a leader, not heard of a quorum for some time.
    async fn unheard(&self) {
        let mut heard = Instant::now();
        while heard.elapsed() < UNHEARD_PATIENCE {
            tokio::time::sleep(UNHEARD_LOOK).await;
            let acknowledged = self.quorum_acknowledged();
            heard = acknowledged.map_or(heard, |at| at.max(heard));
        }
    }

    /// As [`Self::propose`], under this leadership or not at all.
    pub async fn propose_as(
        &self,
        leadership: &Leadership,
        kind: CommandKind,
    ) -> Result<Outcome, ProposeError> {
        Ok(self.commit_as(leadership, kind).await?.outcome)
    }

    /// Proposes a command that may as well be applied twice, under this leadership, again and again until it is applied.
    /// Whoever leads no more is stopped by others: until then there may just be no quorum for a while.
    ///
    /// # Errors
    /// If the replica has stopped.
    pub async fn insist(
        &self,
        leadership: &Leadership,
        kind: CommandKind,
    ) -> Result<Committed, ProposeError> {
        loop {
            match self.commit_as(leadership, kind.clone()).await {
                Err(error @ ProposeError::Stopped(_)) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "a proposal was not decided; trying again");
                    tokio::time::sleep(INSIST_AGAIN).await;
                }
                committed => return committed,
            }
        }
    }

    async fn commit_as(
        &self,
        leadership: &Leadership,
        kind: CommandKind,
    ) -> Result<Committed, ProposeError> {
        let command = Command {
            stamp: leadership.stamp(),
            kind,
        };
        let deadline = Instant::now() + QUORUM_PATIENCE;
        loop {
            let pending = self.submit_command(leadership, &command).await?;
            match pending.committed().await {
                Err(ProposeError::Unavailable(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(QUORUM_RETRY).await;
                }
                result => return result,
            }
        }
    }

    /// Hands a command to Raft under this leadership, without waiting for the outcome: proposals submitted one after
    /// the other are decided in that order.
    pub async fn submit(
        &self,
        leadership: &Leadership,
        kind: CommandKind,
    ) -> Result<Pending, ProposeError> {
        let command = Command {
            stamp: leadership.stamp(),
            kind,
        };
        self.submit_command(leadership, &command).await
    }

    async fn submit_command(
        &self,
        leadership: &Leadership,
        command: &Command,
    ) -> Result<Pending, ProposeError> {
        let proposal = Proposal {
            command: codec::encode_command(command),
        };
        let bytes = proposal.command.len();
        if bytes > COMMAND_BYTES {
            return Err(ProposeError::TooLarge { bytes });
        }
        let (responder, result) = ProgressResponder::complete_only();
        let write = self
            .raft()
            .write(proposal)
            .with_leader(leadership.id)
            .responder(responder);
        write
            .await
            .map_err(|fatal| ProposeError::Stopped(fatal.to_string()))?;
        Ok(Pending { result })
    }

    /// This member's leadership; waits for a moment if it was just elected.
    async fn leading(&self) -> Result<Leadership, ProposeError> {
        use super::LeadershipView as View;
        let mut view = self.leadership();
        let ready = view.wait_for(|view| *view != View::Elected);
        let ready = match tokio::time::timeout(QUORUM_PATIENCE, ready).await {
            Ok(Ok(view)) => view.clone(),
            Ok(Err(_)) => return Err(ProposeError::Stopped("Raft has ended".into())),
            Err(_) => {
                let why = "this member was elected, and has not heard from a quorum since";
                return Err(ProposeError::Unavailable(why.into()));
            }
        };
        match ready {
            View::Leading(leadership) => Ok(leadership),
            View::Follower(hint) => Err(ProposeError::NotLeader(Some(hint))),
            View::None | View::Elected => Err(ProposeError::NotLeader(None)),
        }
    }
}

fn refused(error: ClientWriteError<TypeConfig>) -> ProposeError {
    match error {
        ClientWriteError::ForwardToLeader(forward) => match forward.reason {
            ForwardReason::LeaseExpired => {
                ProposeError::Unavailable("the leader waits to hear from a quorum".into())
            }
            ForwardReason::LeadershipTransfer => ProposeError::NotLeader(leader_hint(&forward)),
            ForwardReason::NotLeader => ProposeError::NotLeader(leader_hint(&forward)),
        },
        ClientWriteError::LogEntryDiscarded(_) => ProposeError::Unknown,
        // Neither is about proposals of commands.
        error @ (ClientWriteError::ChangeMembershipError(_)
        | ClientWriteError::PreconditionFailed(_)) => ProposeError::Unavailable(error.to_string()),
    }
}

pub(super) fn leader_hint(forward: &ForwardToLeader<TypeConfig>) -> Option<LeaderHint> {
    let address = forward.leader_node.as_ref()?.address.clone();
    Some(LeaderHint {
        member_id: forward.leader_id?,
        address,
    })
}
