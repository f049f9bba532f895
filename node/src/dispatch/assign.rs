//! Proposes what the selector decides, batch after batch, and keeps count of what engines have.
//!
//! Wakes when something was applied, an engine's standing changed, or a back-off ended; never by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anneal_provider::Registry;
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::CommandKind;
use anneal_statemachine::event::EventKind;
use anneal_statemachine::id::{EngineRef, InstanceId, Text, Token};
use anneal_statemachine::outcome::{Outcome, Refusal};
use anneal_statemachine::row::LeaseState;
use anneal_statemachine::view::AssignmentView;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::broadcast;

use super::load::Weight;
use super::rest::Resting;
use super::select::{Candidate, Moment, Picked, Selector};
use crate::failpoint::{self, Failpoint};
use crate::lease::hub::Hub;
use crate::replica::{Changes, Committed, Leadership, ProposeError, Replica};

/// Batches proposed and not yet decided, at most: enough to keep the log busy over a round trip.
const MAX_PENDING_BATCHES: usize = 3;
/// After a batch that was not decided: a quorum that was lost, or a leadership that moves, is not back at once.
const UNDECIDED_REST: Duration = Duration::from_millis(50);

/// What is due and was not taken waits for something else than time, and hides what is due after it.
const DUE_AND_NOT_TAKEN: Duration = Duration::from_secs(1);

/// Between decisions while one after the other finds only such work as nobody can take, with more behind it.
const UNSEEN: Duration = Duration::from_millis(50);

type Decided = (Vec<Picked>, Result<Committed, ProposeError>);

/// An assignment that counts for its engine's load.
struct Counted {
    engine: EngineRef,
    token: Token,
    type_name: Text,
    weight: Weight,
}

/// An assignment that was just given.
struct Given {
    instance: InstanceId,
    counted: Counted,
}

/// Assigns for one leadership.
pub(super) struct Assigner {
    replica: Replica,
    leadership: Leadership,
    hub: Arc<Hub>,
    selector: Selector,
    counted: BTreeMap<InstanceId, Counted>,
    resting: Resting,
    /// Nothing is proposed before this.
    not_before: Option<Instant>,
    pending: FuturesUnordered<BoxFuture<'static, Decided>>,
}

impl Assigner {
    pub(super) fn new(
        replica: Replica,
        leadership: Leadership,
        hub: Arc<Hub>,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            replica,
            leadership,
            hub,
            selector: Selector::new(&registry),
            counted: BTreeMap::new(),
            resting: Resting::default(),
            not_before: None,
            pending: FuturesUnordered::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<(), ProposeError> {
        let mut changes = self.replica.changes();
        let mut stirred = self.hub.stirred();
        self.count_all();
        loop {
            while self.pending.len() < MAX_PENDING_BATCHES && self.propose().await? {}
            let wait = self.wait();
            tokio::select! {
                Some((picked, result)) = self.pending.next(), if !self.pending.is_empty() => {
                    self.decided(picked, result);
                }
                seen = changes.recv() => match seen {
                    Ok(changes) => self.applied(&changes),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.count_all(),
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                _ = stirred.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
            self.wake_rested();
            // Whatever else has come meanwhile is one more reason for the same decision.
            while let Ok(changes) = changes.try_recv() {
                self.applied(&changes);
            }
        }
    }

    /// Proposes one batch; false if there is nothing to propose.
    async fn propose(&mut self) -> Result<bool, ProposeError> {
        if self.not_before.is_some() {
            return Ok(false);
        }
        let candidates = self.candidates();
        if candidates.is_empty() {
            return Ok(false);
        }
        let now_ms = self.leadership.state_ms();
        let (selector, resting) = (&mut self.selector, &self.resting);
        let picked = self.replica.read(|machine| {
            selector.decide(&Moment {
                machine,
                now_ms,
                candidates: &candidates,
                aside: &|work| resting.rests(work),
            })
        });
        if picked.is_empty() {
            return Ok(false);
        }
        tracing::debug!(items = picked.len(), "assigning");
        let items = picked.iter().map(|picked| picked.item.clone()).collect();
        let submitted = self
            .replica
            .submit(&self.leadership, CommandKind::Assign { items });
        let submitted = submitted.await?;
        failpoint::pass(Failpoint::AssignProposed);
        self.pending
            .push(async move { (picked, submitted.committed().await) }.boxed());
        Ok(true)
    }

    fn candidates(&self) -> Vec<Candidate> {
        let live: Vec<Candidate> = self.replica.read(|machine| {
            machine
                .engines()
                .filter(|found| found.row.lease == LeaseState::Live)
                .map(|found| Candidate {
                    engine: found.engine,
                    row: found.row.clone(),
                })
                .collect()
        });
        live.into_iter()
            .filter(|found| self.hub.takes_work(found.engine))
            .collect()
    }

    fn decided(&mut self, picked: Vec<Picked>, result: Result<Committed, ProposeError>) {
        let answers = match result {
            Ok(Committed {
                outcome: Outcome::Assigned(answers),
                ..
            }) => answers,
            Ok(Committed { outcome, .. }) => {
                tracing::error!(?outcome, "an assignment got an answer that does not fit");
                Vec::new()
            }
            Err(error) => {
                tracing::debug!(%error, "a batch of assignments was not decided");
                self.not_before = Some(Instant::now() + UNDECIDED_REST);
                Vec::new()
            }
        };
        let mut answers = answers.into_iter();
        let mut given = Vec::new();
        for picked in picked {
            match answers.next() {
                Some(Ok(assigned)) => {
                    self.selector.decided(&picked, true);
                    given.extend(picked.weight.map(|weight| Given {
                        instance: assigned.instance,
                        counted: Counted {
                            engine: picked.item.engine,
                            token: assigned.token,
                            type_name: picked.type_name,
                            weight,
                        },
                    }));
                }
                Some(Err(refusal)) => self.refused(&picked, &refusal),
                None => self.selector.decided(&picked, false),
            }
        }
        self.count_given(given);
    }

    fn refused(&mut self, picked: &Picked, refusal: &Refusal) {
        tracing::debug!(work = ?picked.work, engine = %picked.item.engine, %refusal, "refused");
        self.selector.decided(picked, false);
        self.resting.refused(picked.work, Instant::now());
    }

    /// Counts what was given, but for what has ended already: its end may have been applied before this.
    fn count_given(&mut self, given: Vec<Given>) {
        let standing: Vec<bool> = self.replica.read(|machine| {
            given
                .iter()
                .map(|given| stands(machine, given.instance, given.counted.token))
                .collect()
        });
        for (Given { instance, counted }, stands) in given.into_iter().zip(standing) {
            if stands {
                self.counted.insert(instance, counted);
            } else {
                self.ended(&counted);
            }
        }
    }

    fn ended(&mut self, counted: &Counted) {
        self.selector
            .ended(counted.engine, &counted.type_name, counted.weight);
    }

    fn applied(&mut self, changes: &Changes) {
        if changes.all {
            self.count_all();
            return;
        }
        let now = Instant::now();
        for event in &changes.events {
            if let (EventKind::Declined, Some(instance)) = (event.kind, event.instance) {
                let resource = event.resource.as_ref().map(|(resource, _)| *resource);
                self.resting.declined(instance, resource, now);
            }
        }
        let touched = changes
            .instances
            .iter()
            .filter(|instance| self.counted.contains_key(instance));
        let ended: Vec<InstanceId> = self.replica.read(|machine| {
            touched
                .filter(|instance| !stands(machine, **instance, self.counted[instance].token))
                .copied()
                .collect()
        });
        for instance in ended {
            if let Some(counted) = self.counted.remove(&instance) {
                self.ended(&counted);
            }
        }
    }

    /// Begins the count anew from the state. Proposals under way stay counted by the selector.
    fn count_all(&mut self) {
        for counted in std::mem::take(&mut self.counted).into_values() {
            self.ended(&counted);
        }
        let candidates = self.candidates();
        let loads = candidates
            .iter()
            .map(|found| (found.engine, found.row.capacity));
        self.selector.engines(loads);
        let assigned: Vec<AssignmentView> = self.replica.read(|machine| {
            machine
                .engines()
                .flat_map(|found| machine.assignments_of(found.engine))
                .collect()
        });
        for assignment in assigned {
            let weight = self.selector.weight(&assignment.type_name);
            let first = assignment.chunk.is_none_or(|(_, place)| place == 0);
            if weight == Weight::Call && !first {
                continue;
            }
            let type_name = assignment.type_name;
            self.selector.began(assignment.engine, &type_name, weight);
            self.counted.insert(
                assignment.instance,
                Counted {
                    engine: assignment.engine,
                    token: assignment.token,
                    type_name,
                    weight,
                },
            );
        }
    }

    /// How long until something may start that could not before.
    fn wait(&self) -> Duration {
        let work_ms = self.replica.read(|machine| machine.due().work_ms);
        let now_ms = self.leadership.state_ms();
        let work = work_ms.map(|work_ms| match work_ms.saturating_sub(now_ms) {
            0 => DUE_AND_NOT_TAKEN,
            wait_ms => Duration::from_millis(wait_ms),
        });
        let work = work.unwrap_or(Duration::MAX);
        let rested = self.resting.next().into_iter().chain(self.not_before).min();
        let rested = rested.map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let unseen = if self.selector.was_cut_short() {
            UNSEEN
        } else {
            Duration::MAX
        };
        let rate_ms = self.selector.rate_wait_ms();
        let rate = rate_ms.map_or(Duration::MAX, Duration::from_millis);
        work.min(rested).min(unseen).min(rate)
    }

    fn wake_rested(&mut self) {
        let now = Instant::now();
        self.resting.wake(now);
        self.not_before = self.not_before.filter(|until| *until > now);
    }
}

fn stands(machine: &StateMachine, instance: InstanceId, token: Token) -> bool {
    let instance = machine.instance(instance);
    let assignment = instance.and_then(|instance| instance.row.assignment.as_deref());
    assignment.is_some_and(|assignment| assignment.token == token && !assignment.lost)
}
