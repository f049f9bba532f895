//! Proposes a worked-out difference: in one entry, or in parts and one entry that switches. Knows nothing of how it was
//! worked out.

use std::{collections::VecDeque, iter::zip};

use anneal_statemachine::{
    command::{Change, CommandKind, CommitStaged, Difference, StagePart},
    id::{RequestId, Revision},
    outcome::{Outcome, Rejection},
};

use super::{
    reading::Stored,
    refusal::{Refused, Unavailable},
    stage::{self, Proposal},
    submitter::{Answer, Asked, Submitter, answer},
};
use crate::replica::{Pending, ProposeError};

/// Parts on their way through the log at once: while one is applied, the next are written and replicated.
const PARTS_AT_A_TIME: usize = 4;

/// What is to become of a difference.
pub(super) enum Changing {
    /// A new stack.
    Create,
    /// The next revision of one that was at this.
    Update(Revision),
    /// Back from one to another.
    Rollback {
        base: Revision,
        to: Revision,
        /// It is the automatic answer to this one's failure.
        failed: Option<Revision>,
    },
}

impl Changing {
    fn with(self, difference: Difference) -> Change {
        match self {
            Self::Create => Change::Create { difference },
            Self::Update(base) => Change::Update { base, difference },
            Self::Rollback { base, to, failed } => Change::Rollback {
                base,
                to,
                difference,
                failed,
            },
        }
    }
}

/// A part that was handed to Raft, or could not be.
struct UnderWay {
    part: StagePart,
    pending: Result<Pending, ProposeError>,
}

impl Submitter {
    pub(super) async fn propose(
        &self,
        asked: &Asked,
        changing: Changing,
        difference: Difference,
    ) -> Result<Answer, Refused> {
        let Proposal { parts, rest } = divided(difference).await?;
        let change = asked.with(changing.with(rest));
        // A new name for each attempt: the parts of one that was overtaken must not mix with those of the next.
        let stage = RequestId(*uuid::Uuid::now_v7().as_bytes());
        let stack = self.replica.stack(&asked.namespace, &asked.name);
        let stack = stack.map(|now| now.id);
        let parts = zip(0.., parts).map(|(part, content)| StagePart {
            stage,
            part,
            stack,
            set: content.set,
            remove: content.remove,
        });
        let kind = match self.stage(parts).await? {
            0 => CommandKind::ChangeStack(change),
            parts => CommandKind::CommitStaged(CommitStaged {
                stage,
                parts,
                change,
            }),
        };
        self.commit(kind).await.and_then(answer)
    }

    /// How many parts there were.
    async fn stage(&self, parts: impl Iterator<Item = StagePart>) -> Result<u32, Refused> {
        let mut count = 0;
        let mut under_way = VecDeque::with_capacity(PARTS_AT_A_TIME);
        for part in parts {
            if under_way.len() == PARTS_AT_A_TIME
                && let Some(first) = under_way.pop_front()
            {
                self.staged(first).await?;
            }
            let kind = CommandKind::StagePart(part.clone());
            let pending = self.replica.submit_as_leader(kind).await;
            under_way.push_back(UnderWay { part, pending });
            count += 1;
        }
        for part in under_way {
            self.staged(part).await?;
        }
        Ok(count)
    }

    /// Waits for a part. One that did not get into the log, or came there without the one before it, is proposed again on its
    /// own; taken twice it counts once.
    async fn staged(&self, UnderWay { part, pending }: UnderWay) -> Result<(), Refused> {
        let committed = match pending {
            Ok(pending) => self.replica.committed(pending).await,
            Err(error) => Err(error),
        };
        match committed.map(|committed| committed.outcome) {
            Ok(Outcome::Rejected(Rejection::StageIncomplete { .. })) | Err(_) => {
                let again = self.commit(CommandKind::StagePart(part)).await;
                again.map(drop).map_err(certain)
            }
            Ok(Outcome::Rejected(rejection)) => Err(rejection.into()),
            Ok(_) => Ok(()),
        }
    }
}

/// Sees what must be divided: a large difference is measured beside all that must go on meanwhile.
async fn divided(difference: Difference) -> Result<Proposal, Refused> {
    if !stage::is_large(&difference) {
        return Ok(stage::split(difference)?);
    }
    let divided = tokio::task::spawn_blocking(move || stage::split(difference)).await;
    let divided = divided.map_err(|error| Refused::Internal(error.to_string()))?;
    Ok(divided?)
}

/// A part that may or may not have been staged changes nothing either way.
fn certain(refused: Refused) -> Refused {
    match refused {
        Refused::Unavailable(unavailable) => Refused::Unavailable(Unavailable {
            outcome_unknown: false,
            ..unavailable
        }),
        other => other,
    }
}
