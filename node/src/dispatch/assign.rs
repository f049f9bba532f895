//! Proposes what the chooser decides, batch after batch, and tells it what became of it.
//!
//! Wakes when something was applied, an engine's standing changed, or a back-off ended; never by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anneal_provider::Registry;
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::CommandKind;
use anneal_statemachine::id::EngineRef;
use anneal_statemachine::outcome::Outcome;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::broadcast;

use super::candidate::{Candidate, admitted};
use super::choose::Chooser;
use super::select::Picked;
use crate::failpoint::{self, Failpoint};
use crate::lease::hub::Hub;
use crate::replica::{Changes, Committed, Leadership, ProposeError, Replica};

/// Batches proposed and not yet decided, at most: one to be carried through the log and one to follow. Each more is one more
/// that a change of another stack waits for.
const MAX_PENDING_BATCHES: usize = 2;
/// After a batch that was not decided: a quorum that was lost, or a leadership that moves, is not back at once.
const UNDECIDED_REST: Duration = Duration::from_millis(50);

/// What is due and was not taken waits for something else than time, and hides what is due after it.
const DUE_AND_NOT_TAKEN: Duration = Duration::from_secs(1);

/// Between decisions while one after the other finds only such work as nobody can take, with more behind it.
const UNSEEN: Duration = Duration::from_millis(50);

type Decided = (Vec<Picked>, Result<Committed, ProposeError>);

/// Assigns for one leadership.
pub(super) struct Assigner {
    replica: Replica,
    leadership: Leadership,
    hub: Arc<Hub>,
    chooser: Chooser,
    /// Who takes work, in the order of their names.
    candidates: Vec<Candidate>,
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
            chooser: Chooser::new(&registry),
            candidates: Vec::new(),
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
        self.look_around();
        if self.candidates.is_empty() {
            return Ok(false);
        }
        let now_ms = self.leadership.state_ms();
        let (chooser, candidates) = (&mut self.chooser, &self.candidates);
        let decide =
            |machine: &StateMachine| chooser.decide(machine, now_ms, Instant::now(), candidates);
        let picked = self.replica.read(decide);
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

    /// Looks who takes work. What an engine is and offers stays so for as long as it has its name.
    fn look_around(&mut self) {
        let names = |machine: &StateMachine| admitted(machine).map(|found| found.engine).collect();
        let mut takers: Vec<EngineRef> = self.replica.read(names);
        self.hub.retain_takers(&mut takers);
        let known = self.candidates.iter().map(|known| known.engine);
        if known.eq(takers.iter().copied()) {
            return;
        }
        let mut candidates: Vec<Candidate> = self
            .replica
            .read(|machine| Candidate::all(machine).collect());
        candidates.retain(|found| takers.binary_search(&found.engine).is_ok());
        self.candidates = candidates;
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
        let chooser = &mut self.chooser;
        self.replica
            .read(|machine| chooser.decided(machine, picked, answers, Instant::now()));
    }

    fn applied(&mut self, changes: &Changes) {
        if changes.all {
            self.count_all();
            return;
        }
        let chooser = &mut self.chooser;
        let (instances, events) = (&changes.instances, &changes.events);
        self.replica
            .read(|machine| chooser.applied(machine, instances, events, Instant::now()));
    }

    fn count_all(&mut self) {
        self.look_around();
        let (chooser, candidates) = (&mut self.chooser, &self.candidates);
        self.replica
            .read(|machine| chooser.count_all(machine, candidates));
    }

    /// How long until something may start that could not before.
    fn wait(&self) -> Duration {
        let work_ms = self.replica.read(StateMachine::work_due_ms);
        let now_ms = self.leadership.state_ms();
        let work = work_ms.map(|work_ms| match work_ms.saturating_sub(now_ms) {
            0 => DUE_AND_NOT_TAKEN,
            wait_ms => Duration::from_millis(wait_ms),
        });
        let work = work.unwrap_or(Duration::MAX);
        let rested = self.chooser.rested().into_iter().chain(self.not_before);
        let rested = rested.min().map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let unseen = if self.chooser.was_cut_short() {
            UNSEEN
        } else {
            Duration::MAX
        };
        let rate = self.chooser.rate_wait().unwrap_or(Duration::MAX);
        work.min(rested).min(unseen).min(rate)
    }

    fn wake_rested(&mut self) {
        let now = Instant::now();
        self.chooser.wake(now);
        self.not_before = self.not_before.filter(|until| *until > now);
    }
}
