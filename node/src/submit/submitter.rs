//! Takes changes of stacks on the leader: works each out off the async threads, proposes it, and works it out again if
//! the stack moved meanwhile. Knows nothing of gRPC.

use std::{sync::Arc, time::Duration};

use anneal_proto::v1;
use anneal_statemachine::{
    command::{Change, ChangeStack, CommandKind, Difference},
    id::{RequestId, Revision, StackId, Text},
    outcome::{Outcome, Rejection},
};
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};

use super::{
    plan::plan_id,
    prepare::{Prepared, Workshop},
    propose::Changing,
    reading::{StackNow, Stored},
    receive::Received,
    refusal::{Refused, TooLarge, Unavailable},
    rollback::rollback_difference,
};
use crate::{
    preview,
    replica::{COMMAND_BYTES, Committed, LeaderHint, ProposeError, ReadError, Replica},
};

/// Submissions worked out at once. More would only share the same cores, each holding its texts in memory meanwhile.
const BENCHES: usize = 2;
/// A change that others overtake this often is given up: it would never get through.
const ATTEMPTS: u32 = 10;
/// A large change that is being taken in gets this long before the next one is told to come again.
const MOTION_PATIENCE: Duration = Duration::from_secs(60);

/// A leader that a quorum has acknowledged within this most probably still is one.
const LIKELY_WITHIN: Duration = Duration::from_millis(500);

/// A leader makes sure within this that it still is one, and has everything decided before, or says that it can't.
/// Below the time after which clients go elsewhere.
const SURE_WITHIN: Duration = Duration::from_millis(1500);

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The stack.
    pub stack: StackId,
    /// Its newest revision.
    pub revision: Revision,
    /// A revision was made, or a flag changed.
    pub changed: bool,
    /// The log index of the change; of now, if it was answered before.
    pub index: u64,
    /// What is odd but not wrong.
    pub warnings: Vec<v1::Problem>,
}

/// A change that was asked for: who, and of what.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The client's request.
    pub request: RequestId,
    /// The stack's namespace.
    pub namespace: String,
    /// The stack's name.
    pub name: String,
    /// Refuse if the stack is not at this revision.
    pub base: Option<Revision>,
}

/// Takes changes. Clones share its bounds.
#[derive(Clone)]
pub struct Submitter {
    pub(crate) replica: Replica,
    pub(crate) workshop: Workshop,
    benches: Arc<Semaphore>,
}

impl Submitter {
    /// One for a member.
    pub fn new(replica: Replica, workshop: Workshop) -> Self {
        Self {
            replica,
            workshop,
            benches: Arc::new(Semaphore::new(BENCHES)),
        }
    }

    /// Takes a submission, as leader.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub async fn submit(&self, received: Received) -> Result<Answer, Refused> {
        let header = &received.header;
        let asked = Asked {
            request: received.request_id()?,
            namespace: header.namespace.clone(),
            name: header.name.clone(),
            base: header.base_revision.map(Revision),
        };
        // What is accepted is decided by the log, whatever this member knew when it was worked out. What is refused must
        // follow from everything decided before.
        let mut sure = !self.replica.heard_quorum_within(LIKELY_WITHIN);
        if sure {
            self.make_sure().await?;
        }
        if let Some(answer) = self.answered(asked.request) {
            return answer;
        }
        let exactly = asked.base.is_some() || header.plan_id.is_some();
        let received = Arc::new(received);
        for _ in 0..ATTEMPTS {
            let before = self.replica.stack(&asked.namespace, &asked.name);
            match self.attempt(&asked, &received).await {
                Err(refused) if !exactly && is_overtaken(&refused) => {}
                Err(refused) if sure || matches!(refused, Refused::Unavailable(_)) => {
                    return Err(refused);
                }
                Err(refused) => {
                    self.make_sure().await?;
                    sure = true;
                    if let Some(answer) = self.answered(asked.request) {
                        return answer;
                    }
                    if self.replica.stack(&asked.namespace, &asked.name) == before {
                        return Err(refused);
                    }
                }
                answer => return answer,
            }
        }
        Err(Refused::TooBusy(ATTEMPTS))
    }

    /// Works a submission out, and proposes it.
    async fn attempt(&self, asked: &Asked, received: &Arc<Received>) -> Result<Answer, Refused> {
        let prepared = self.prepare(asked.clone(), Arc::clone(received)).await?;
        let change = match &prepared.base {
            None => Changing::Create,
            Some(now) => Changing::Update(now.revision),
        };
        let warnings = prepared.warnings;
        let answer = self.propose(asked, change, prepared.difference).await?;
        Ok(Answer { warnings, ..answer })
    }

    /// Works a submission out: it is what was planned, and replaces nothing protected, as far as that can be told ahead.
    /// What only a provider can tell fails when it acts.
    async fn prepare(&self, asked: Asked, received: Arc<Received>) -> Result<Prepared, Refused> {
        let (namespace, name) = (asked.namespace.clone(), asked.name.clone());
        let (prepared, spares) = self
            .work(move |workshop, replica, runtime| {
                let prepared = workshop.prepare(&received, replica, runtime)?;
                if let Some(plan_id) = &received.header.plan_id {
                    check_plan(plan_id, &asked, &prepared)?;
                }
                let spares = preview::protected_in(replica, &prepared).is_empty();
                Ok((prepared, spares))
            })
            .await?;
        if spares {
            return Ok(prepared);
        }
        self.wait_for_rest(&namespace, &name).await?;
        self.work(move |workshop, replica, runtime| {
            preview::spare_protected(workshop, replica, runtime, &prepared)?;
            Ok(prepared)
        })
        .await
    }

    /// Compiles a submission on its own.
    ///
    /// # Errors
    /// As [`Refused`] says; problems of the texts among them.
    pub async fn validate(&self, received: Received) -> Result<Vec<v1::Problem>, Refused> {
        self.work(move |workshop, _, runtime| workshop.validate(&received, runtime))
            .await
            .map(|validated| validated.warnings)
    }

    /// Goes back to a revision, or to the last settled one, as leader.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub async fn rollback(&self, asked: &Asked, to: Option<Revision>) -> Result<Answer, Refused> {
        self.make_sure().await?;
        if let Some(answer) = self.answered(asked.request) {
            return answer;
        }
        for _ in 0..ATTEMPTS {
            self.wait_for_rest(&asked.namespace, &asked.name).await?;
            let now = self.stack(asked)?;
            if now.in_motion {
                continue;
            }
            let to = to.unwrap_or(now.settled_revision);
            if to > now.revision {
                return Err(Rejection::RevisionNotFound(to).into());
            }
            let base = now.revision;
            let failed = None;
            let changing = Changing::Rollback { base, to, failed };
            let went_back = match to == now.revision && !now.deleting {
                true => self.propose(asked, changing, Difference::default()).await,
                false => self.go_back(asked, now, to, changing).await,
            };
            match went_back {
                Err(refused) if asked.base.is_none() && is_overtaken(&refused) => {}
                other => return other,
            }
        }
        Err(Refused::TooBusy(ATTEMPTS))
    }

    /// Works out the way back, and proposes it.
    pub(super) async fn go_back(
        &self,
        asked: &Asked,
        now: StackNow,
        to: Revision,
        changing: Changing,
    ) -> Result<Answer, Refused> {
        let difference = self
            .work(move |_, replica, _| rollback_difference(replica, &now, to))
            .await?;
        self.propose(asked, changing, difference).await
    }

    /// Proposes a change that needs no working out, as leader.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub async fn change(&self, asked: &Asked, change: Change) -> Result<Answer, Refused> {
        self.make_sure().await?;
        if let Some(answer) = self.answered(asked.request) {
            return answer;
        }
        if asked.base.is_some() {
            self.stack(asked)?;
        }
        let kind = CommandKind::ChangeStack(asked.with(change));
        self.commit(kind).await.and_then(answer)
    }

    /// Proposes a command about a stack that leaves its revision as it is, as leader.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub async fn about(
        &self,
        asked: &Asked,
        kind: impl FnOnce(RequestId, StackId) -> CommandKind,
    ) -> Result<Answer, Refused> {
        self.make_sure().await?;
        let now = self.stack(asked)?;
        let committed = self.commit(kind(asked.request, now.id)).await?;
        match committed.outcome {
            Outcome::Rejected(rejection) => Err(rejection.into()),
            _ => Ok(Answer {
                changed: true,
                index: committed.index,
                ..self.as_it_is(&now)
            }),
        }
    }

    /// Proposes a command, as leader; a rejection is an error.
    ///
    /// # Errors
    /// As [`Refused`] says.
    pub async fn commit(&self, kind: CommandKind) -> Result<Committed, Refused> {
        let committed = self.replica.commit(kind).await.map_err(unavailable)?;
        match committed.outcome {
            Outcome::Rejected(rejection) => Err(rejection.into()),
            _ => Ok(committed),
        }
    }

    /// Makes sure that what is answered from here on follows from everything decided before. A leader that was deposed
    /// without knowing it would find no stack, and one just elected not know what it answered before.
    ///
    /// # Errors
    /// Unavailable: this member can't be sure.
    pub(crate) async fn make_sure(&self) -> Result<(), Refused> {
        let sure = self.replica.linearize_within(SURE_WITHIN).await;
        sure.map(drop).map_err(unsure)
    }

    /// The stack that is asked about, at the base that is asked for.
    fn stack(&self, asked: &Asked) -> Result<StackNow, Refused> {
        let now = self
            .replica
            .stack(&asked.namespace, &asked.name)
            .ok_or_else(|| Rejection::StackNotFound {
                name: asked.name.as_str().into(),
            })?;
        match asked.base {
            Some(base) if base != now.revision => Err(Rejection::BaseMoved {
                current: now.revision,
            }
            .into()),
            _ => Ok(now),
        }
    }

    fn as_it_is(&self, now: &StackNow) -> Answer {
        Answer {
            stack: now.id,
            revision: now.revision,
            changed: false,
            index: *self.replica.applied().borrow(),
            warnings: Vec::new(),
        }
    }

    /// What a request was answered, if it was: working it out again would be judged by what it did itself.
    fn answered(&self, request: RequestId) -> Option<Result<Answer, Refused>> {
        let outcome = self
            .replica
            .read(|state| state.answered(request).cloned())?;
        let index = *self.replica.applied().borrow();
        Some(answer(Committed { index, outcome }))
    }

    /// Does something lengthy off the async threads, when its turn comes.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Workshop, &Replica, &Handle) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let permit = Arc::clone(&self.benches)
            .acquire_owned()
            .await
            .map_err(|_| Refused::Internal("this member is stopping".to_owned()))?;
        let (workshop, replica) = (self.workshop.clone(), self.replica.clone());
        let runtime = Handle::current();
        let worked = tokio::task::spawn_blocking(move || {
            // Kept until the work is over, even if nobody waits for it any more.
            let _permit = permit;
            job(&workshop, &replica, &runtime)
        });
        worked.await.map_err(|error| {
            Refused::Internal(format!("the submission broke the compiler: {error}"))
        })?
    }

    /// Waits until no large change of the stack is being taken in, for what looks at the resources as they are.
    pub(crate) async fn wait_for_rest(&self, namespace: &str, name: &str) -> Result<(), Refused> {
        let mut applied = self.replica.applied();
        let rest = async {
            while self
                .replica
                .stack(namespace, name)
                .is_some_and(|now| now.in_motion)
            {
                if applied.changed().await.is_err() {
                    break;
                }
            }
        };
        timeout(MOTION_PATIENCE, rest).await.map_err(|_| {
            Refused::Unavailable(Unavailable {
                reason: "in_motion",
                message: format!("an earlier change of stack {name} is still being taken in"),
                ..Unavailable::default()
            })
        })
    }
}

impl Asked {
    pub(super) fn with(&self, change: Change) -> ChangeStack {
        ChangeStack {
            request: self.request,
            namespace: Text::from(self.namespace.as_str()),
            name: Text::from(self.name.as_str()),
            change,
        }
    }
}

pub(super) fn answer(committed: Committed) -> Result<Answer, Refused> {
    match committed.outcome {
        Outcome::Stack(stack) => Ok(Answer {
            stack: stack.stack,
            revision: stack.revision,
            changed: !stack.unchanged,
            index: committed.index,
            warnings: Vec::new(),
        }),
        Outcome::Rejected(rejection) => Err(rejection.into()),
        other => Err(Refused::Internal(format!(
            "a change of a stack was answered {other:?}"
        ))),
    }
}

fn check_plan(plan: &str, asked: &Asked, prepared: &Prepared) -> Result<(), Refused> {
    let now = plan_id(&asked.namespace, &asked.name, prepared);
    if now == plan {
        return Ok(());
    }
    Err(Refused::PlanStale {
        plan_id: plan.to_owned(),
        now,
    })
}

/// Somebody else's change came first: what was worked out is void.
fn is_overtaken(refused: &Refused) -> bool {
    use Rejection::{BaseMoved, StageIncomplete};
    matches!(
        refused,
        Refused::Rejected(BaseMoved { .. } | StageIncomplete { .. })
    )
}

/// What an operating error of a proposal means to a client.
pub(crate) fn unavailable(error: ProposeError) -> Refused {
    let message = error.to_string();
    let outcome_unknown = matches!(error, ProposeError::Unknown | ProposeError::Undecided);
    let (reason, hint) = match error {
        ProposeError::TooLarge { .. } => {
            return TooLarge::new("bytes in one entry of the log", COMMAND_BYTES).into();
        }
        ProposeError::NotLeader(hint) => ("not_leader", hint),
        ProposeError::Unavailable(_) | ProposeError::Undecided => ("no_quorum", None),
        ProposeError::Unknown => ("leadership_lost", None),
        ProposeError::Stopped(_) => ("stopped", None),
    };
    not_now(reason, message, hint, outcome_unknown)
}

/// What it means to a client that this member can't be sure of what was decided. Nothing was proposed.
pub(crate) fn unsure(error: ReadError) -> Refused {
    let message = error.to_string();
    let (reason, hint) = match error {
        ReadError::NotLeader(hint) => ("not_leader", hint),
        ReadError::Unavailable(_) => ("no_quorum", None),
        ReadError::Stopped(_) => ("stopped", None),
    };
    not_now(reason, message, hint, false)
}

fn not_now(
    reason: &'static str,
    message: String,
    hint: Option<LeaderHint>,
    outcome_unknown: bool,
) -> Refused {
    let (leader, leader_address) =
        hint.map_or_else(Default::default, |hint| (hint.member_id, hint.address));
    Refused::Unavailable(Unavailable {
        reason,
        message,
        leader,
        leader_address,
        outcome_unknown,
    })
}
