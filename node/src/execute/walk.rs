//! Carrying out duties: one, or the steps of a chunk one after the other, without the log in between.
//!
//! Every step is checked in the replica just before its call. What can't be begun is declined; what follows from
//! it then finds its footing missing, and is declined too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use anneal_provider::{BootTime, Progress};
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{ActionResult, ReportItem};
use anneal_statemachine::id::{InstanceId, Text, Token};
use anneal_statemachine::row::Action;
use anneal_statemachine::view::AssignmentView;
use prost::Message;
use tokio_util::sync::CancellationToken;

use super::call::{self, call_now};
use super::facts::{self, Facts, NotBegun, Walked};
use super::ledger::Duty;
use super::order::{Definitions, Order, Prepared, Surroundings};
use super::verdict;
use crate::codec;
use crate::failpoint::{self, Failpoint};
use crate::lease::Engine;
use crate::replica::{COMMAND_BYTES, Replica, Rows};

/// What everything that runs here shares.
pub(super) struct Shared {
    pub(super) replica: Replica,
    pub(super) engine: Arc<Engine>,
    pub(super) surroundings: Surroundings,
    definitions: Mutex<Definitions>,
    running: Mutex<BTreeMap<InstanceId, Running>>,
}

/// A call under way.
pub(super) struct Running {
    pub(super) token: Token,
    cancel: CancellationToken,
    cancellable: bool,
}

/// What becomes of a step.
enum Step {
    /// Nobody waits for an answer any more.
    Dropped,
    Ended(ActionResult),
    Ask(Box<Order>),
}

impl Shared {
    pub(super) fn new(replica: Replica, engine: Arc<Engine>, surroundings: Surroundings) -> Self {
        Self {
            replica,
            engine,
            surroundings,
            definitions: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Carries out what can be done without waiting. What is left is to be walked.
    pub(super) fn walk_now(
        &self,
        mut duties: VecDeque<Duty>,
        walked: &mut Walked,
    ) -> VecDeque<Duty> {
        while let Some(duty) = duties.front() {
            if !duty.derived || !self.engine.holds_lease() {
                break;
            }
            let result = match self.prepare(duty, walked) {
                Step::Dropped => None,
                Step::Ended(result) => Some(result),
                Step::Ask(order) => {
                    let ctx = self.context(&order, CancellationToken::new(), None);
                    if !ctx.may_act() {
                        break;
                    }
                    match call_now(&*order.provider, &ctx, order.ask()) {
                        Some(said) => Some(self.ended(*order, said, walked, None)),
                        None => break,
                    }
                }
            };
            if let Some(duty) = duties.pop_front()
                && let Some(result) = result
            {
                self.report(&duty, result);
            }
        }
        duties
    }

    /// Carries out duties one after the other.
    pub(super) async fn walk(self: Arc<Self>, duties: VecDeque<Duty>, mut walked: Walked) {
        for duty in duties {
            if !self.lease(&duty).await {
                return;
            }
            match self.prepare(&duty, &walked) {
                Step::Dropped => {}
                Step::Ended(result) => self.report(&duty, result),
                Step::Ask(order) => {
                    // It ends once its result is on its way: a member that stops waits for both.
                    let under_way = UnderWay::begin(&self, &order);
                    let result = self.ask(*order, under_way.cancel.clone(), &mut walked);
                    self.report(&duty, result.await);
                }
            }
        }
    }

    async fn ask(
        &self,
        order: Order,
        cancel: CancellationToken,
        walked: &mut Walked,
    ) -> ActionResult {
        let early = Arc::new(EarlyId {
            engine: Arc::clone(&self.engine),
            assignment: order.facts.assignment.clone(),
            known: Mutex::default(),
        });
        let ctx = self.context(&order, cancel, Some(early.clone()));
        if !ctx.may_act() {
            return verdict::declined(NotBegun::TooLate.to_string());
        }
        // What came between the look at the state and the entry among what runs has cancelled nothing.
        if self.is_void(&order) {
            return verdict::declined(NotBegun::Revoked.to_string());
        }
        failpoint::pass(Failpoint::CallBegins);
        let said = call::call(&*order.provider, &ctx, order.ask()).await;
        failpoint::pass(Failpoint::CallEnded);
        self.ended(order, said, walked, early.take().as_deref())
    }

    fn ended(
        &self,
        order: Order,
        said: call::Said,
        walked: &mut Walked,
        early: Option<&str>,
    ) -> ActionResult {
        let (instance, action) = (
            order.facts.assignment.instance,
            order.facts.assignment.action,
        );
        let name = order.facts.assignment.name.clone();
        let mut result = order.end(said);
        match &mut result {
            ActionResult::Done(done) if action != Action::Delete => {
                walked.done.insert(instance);
                walked.produced.add(name, done.values.clone());
            }
            ActionResult::Done(_) | ActionResult::Gone => {
                walked.done.insert(instance);
            }
            ActionResult::NoVerdict { physical_id, .. } if physical_id.is_none() => {
                *physical_id = early.map(Text::from);
            }
            ActionResult::Failed(failed)
                if !failed.before_effect && failed.physical_id.is_none() =>
            {
                failed.physical_id = early.map(Text::from);
            }
            _ => {}
        }
        result
    }

    /// Waits for the lease; false if the assignment's incarnation is over.
    async fn lease(&self, duty: &Duty) -> bool {
        let mut end = self.engine.lease_end();
        loop {
            if *self.engine.incarnation().borrow() != Some(duty.assignment.engine) {
                return false;
            }
            if self.engine.holds_lease() {
                return true;
            }
            end.mark_unchanged();
            if self.engine.holds_lease() {
                return true;
            }
            if end.changed().await.is_err() {
                return false;
            }
        }
    }

    fn prepare(&self, duty: &Duty, walked: &Walked) -> Step {
        if *self.engine.draining().borrow() && duty.assignment.action != Action::Look {
            return Step::Ended(verdict::declined(NotBegun::Draining.to_string()));
        }
        match self.try_prepare(duty, walked) {
            Ok(Ok(Prepared::Ask(order))) => Step::Ask(order),
            Ok(Ok(Prepared::Ended(result))) => Step::Ended(result),
            Ok(Err(NotBegun::Over)) => Step::Dropped,
            Ok(Err(reason)) => Step::Ended(verdict::declined(reason.to_string())),
            // The member can't go on without its rows; until it stops, nothing is begun on a guess.
            Err(error) => {
                tracing::error!(instance = %duty.assignment.instance, %error, "rows can't be read");
                Step::Ended(verdict::declined(format!(
                    "this member can't read its rows: {error}"
                )))
            }
        }
    }

    fn try_prepare(
        &self,
        duty: &Duty,
        walked: &Walked,
    ) -> std::io::Result<Result<Prepared, NotBegun>> {
        let reader = self.replica.rows();
        let newest = reader.newest();
        let definition = lock(&self.definitions).get(&newest, duty.assignment.definition)?;
        let Some(definition) = definition else {
            return Ok(Err(NotBegun::NoDefinition));
        };
        let references = &definition.references;
        let gather = |machine: &StateMachine| facts::gather(machine, duty, references, walked);
        let surroundings = &self.surroundings;
        let finish = |facts: Result<Facts, NotBegun>, rows: &Rows<'_>| match facts {
            Ok(facts) => {
                let definition = Arc::clone(&definition);
                Order::prepare(surroundings, rows, definition, facts, walked).map(Ok)
            }
            Err(reason) => Ok(Err(reason)),
        };
        if references.is_empty() {
            return finish(self.replica.read(gather), &newest);
        }
        // Values must be of the very instances that memory says are current.
        self.replica.read_then(gather, finish)
    }

    fn context(
        &self,
        order: &Order,
        cancel: CancellationToken,
        early: Option<Arc<EarlyId>>,
    ) -> anneal_provider::CallContext {
        let not_after = self.engine.moment_of(order.facts.assignment.not_after_ms);
        // Without a lease there is no idea of state time either, and no call is made.
        let not_after = not_after.unwrap_or(BootTime { boot_ms: 0 });
        let progress = early.map(|early| early as Arc<dyn Progress>);
        order.context(&self.surroundings, not_after, cancel, progress)
    }

    fn report(&self, duty: &Duty, result: ActionResult) {
        tracing::debug!(
            instance = %duty.assignment.instance,
            token = %duty.assignment.token,
            action = %duty.assignment.action,
            result = word(&result),
            "an action ended"
        );
        send(&self.engine, &duty.assignment, result);
    }

    /// Cancels what runs and fits.
    pub(super) fn cancel(&self, fits: impl Fn(InstanceId, &Running) -> bool) {
        for (instance, running) in &*lock(&self.running) {
            if fits(*instance, running) {
                running.cancel.cancel();
            }
        }
    }

    /// Ends, where the provider can, what runs for a goal that is none any more; a cancelled stack ends everything.
    pub(super) fn cancel_superseded(&self) {
        let cancellable: Vec<(InstanceId, Token)> = lock(&self.running)
            .iter()
            .filter(|(_, call)| call.cancellable && !call.cancel.is_cancelled())
            .map(|(instance, call)| (*instance, call.token))
            .collect();
        if cancellable.is_empty() {
            return;
        }
        let over: Vec<(InstanceId, Token)> = self.replica.read(|machine| {
            let over = |(instance, _): &(InstanceId, Token)| {
                let assignment = machine.assignment(*instance);
                assignment.is_none_or(|assignment| assignment.cancel)
            };
            cancellable.into_iter().filter(over).collect()
        });
        if !over.is_empty() {
            self.cancel(|instance, call| over.contains(&(instance, call.token)));
        }
    }

    /// Whether an order that is about to be carried out must not be any more.
    fn is_void(&self, order: &Order) -> bool {
        let (instance, token) = (
            order.facts.assignment.instance,
            order.facts.assignment.token,
        );
        self.replica.read(|machine| {
            machine.assignment(instance).is_none_or(|now| {
                now.token != token || now.revoked || (now.cancel && now.action != Action::Look)
            })
        })
    }
}

/// Counts a call for as long as it runs, however it ends.
struct UnderWay<'a> {
    shared: &'a Shared,
    instance: InstanceId,
    token: Token,
    cancel: CancellationToken,
}

impl<'a> UnderWay<'a> {
    fn begin(shared: &'a Shared, order: &Order) -> Self {
        let (instance, token) = (
            order.facts.assignment.instance,
            order.facts.assignment.token,
        );
        let cancel = CancellationToken::new();
        let running = Running {
            token,
            cancel: cancel.clone(),
            cancellable: order.facts.traits.cancellable,
        };
        lock(&shared.running).insert(instance, running);
        shared.engine.call_began();
        Self {
            shared,
            instance,
            token,
            cancel,
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.shared.running);
        if running
            .get(&self.instance)
            .is_some_and(|running| running.token == self.token)
        {
            running.remove(&self.instance);
        }
        drop(running);
        // Whatever of it still runs elsewhere has no right to any more.
        self.cancel.cancel();
        self.shared.engine.call_ended();
    }
}

/// Tells of a physical id as soon as it is known, so that the instance is found should this engine be lost, and
/// keeps it for the case that the call ends without a verdict.
struct EarlyId {
    engine: Arc<Engine>,
    assignment: AssignmentView,
    known: Mutex<Option<String>>,
}

impl EarlyId {
    fn take(&self) -> Option<String> {
        lock(&self.known).take()
    }
}

impl Progress for EarlyId {
    fn physical_id(&self, physical_id: &str) {
        let before = lock(&self.known).replace(physical_id.to_owned());
        if before.as_deref() != Some(physical_id) {
            let physical_id = physical_id.into();
            send(
                &self.engine,
                &self.assignment,
                ActionResult::LatePhysicalId { physical_id },
            );
        }
    }
}

/// A report with everything in it, at most: it has to fit into a log entry, with the small ones that come before it.
const MAX_REPORT_BYTES: usize = COMMAND_BYTES - (4 << 20);

/// Puts a result on its way to the leader.
fn send(engine: &Engine, assignment: &AssignmentView, result: ActionResult) {
    let mut item = ReportItem {
        instance: assignment.instance,
        token: assignment.token,
        engine: assignment.engine,
        result,
    };
    let mut report = codec::report(&item).encode_to_vec();
    if report.len() > MAX_REPORT_BYTES {
        item.result = verdict::too_large(item.result, report.len());
        report = codec::report(&item).encode_to_vec();
    }
    engine.report(assignment.stack, report.into());
}

fn word(result: &ActionResult) -> &'static str {
    match result {
        ActionResult::Done(_) => "done",
        ActionResult::NeedsReplace { .. } => "needs replacement",
        ActionResult::Declined { .. } => "declined",
        ActionResult::Failed(_) => "failed",
        ActionResult::NoVerdict { .. } => "no verdict",
        ActionResult::Looked(_) => "looked",
        ActionResult::Gone => "gone",
        ActionResult::Conflict { .. } => "conflict",
        ActionResult::LatePhysicalId { .. } => "late physical id",
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}
