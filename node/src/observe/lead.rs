//! The leader's side of observation: which instances to read next, by whom, and what to propose of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anneal_proto::engine::v1::{self as proto, from_leader, observation_answer::Found};
use anneal_proto::log::v1::Observed;
use anneal_statemachine::StateMachine;
use anneal_statemachine::command::{CommandKind, ObserveItem, Seen};
use anneal_statemachine::event::EventKind;
use anneal_statemachine::id::{EngineRef, InstanceId, ResourceId, StackId, Text};
use anneal_statemachine::view::Phase;
use prost::Message;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::walk::{TURN_READS, Walks};
use super::{CheckRequest, Checked, FoundDrift, Masked, NotRead, Settings};
use crate::budget::Budget;
use crate::codec;
use crate::lease::hub::{Answer, Hub};
use crate::replica::{Changes, Leadership, ProposeError, Replica};

/// Reads asked for and not answered, over all engines, at most.
const MAX_ASKED: usize = 256;
/// Resources looked at under the replica's lock in one go.
const PAGE: usize = 256;
/// Pages looked through in one go.
const MAX_PAGES: usize = 16;
/// A read that nobody answered by then is not waited for any more: longer than an engine gives a read.
const ANSWER_TIME: Duration = Duration::from_secs(40);
/// Differences in one log entry, at most.
const MAX_ENTRY_ITEMS: usize = 256;

/// A read that was asked for.
struct Asked {
    resource: Text,
    until: Instant,
    /// The check that waits for it; none for the background's own.
    check: Option<u64>,
}

/// An instance to be read.
struct Target {
    stack: StackId,
    resource: ResourceId,
    instance: InstanceId,
    name: Text,
    type_name: Text,
    host: Option<Text>,
}

/// A check under way.
struct Check {
    stack: StackId,
    after: Option<Text>,
    listed: bool,
    open: usize,
    checked: Checked,
    reply: oneshot::Sender<Checked>,
}

/// Observation of one leadership.
pub(super) struct Lead {
    replica: Replica,
    leadership: Leadership,
    hub: Arc<Hub>,
    began: Instant,
    walks: Walks<StackId, Text>,
    budget: Budget,
    asked: BTreeMap<InstanceId, Asked>,
    checks: BTreeMap<u64, Check>,
    last_check: u64,
    last_request: u64,
    last_engine: Option<EngineRef>,
    found: VecDeque<ObserveItem>,
}

impl Lead {
    pub(super) fn new(
        replica: Replica,
        leadership: Leadership,
        hub: Arc<Hub>,
        settings: Settings,
    ) -> Self {
        Self {
            replica,
            leadership,
            hub,
            began: Instant::now(),
            walks: Walks::default(),
            budget: Budget::new(settings.reads_per_second, 0),
            asked: BTreeMap::new(),
            checks: BTreeMap::new(),
            last_check: 0,
            last_request: 0,
            last_engine: None,
            found: VecDeque::new(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut answers: mpsc::Receiver<Answer>,
        mut requests: mpsc::Receiver<CheckRequest>,
    ) -> Result<(), ProposeError> {
        let mut changes = self.replica.changes();
        self.learn_all();
        loop {
            self.give_up_unanswered();
            self.go_on_with_checks();
            let wait = self.go_on_walking();
            self.propose().await?;
            self.end_checks();
            tokio::select! {
                answer = answers.recv() => match answer {
                    Some(answer) => self.take(answer),
                    None => return Ok(()),
                },
                Some(request) = requests.recv() => self.begin_check(request),
                seen = changes.recv() => match seen {
                    Ok(changes) => self.learn(&changes),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.learn_all(),
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                () = tokio::time::sleep(wait) => {}
            }
            while let Ok(answer) = answers.try_recv() {
                self.take(answer);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    // ------------------------------------------------------------ which stacks

    fn learn_all(&mut self) {
        let now: BTreeMap<StackId, u64> = self.replica.read(|machine| {
            let interval = |stack: anneal_statemachine::view::StackView<'_>| {
                (stack.id, stack.row.options.observe_interval_ms)
            };
            machine.stacks().map(interval).collect()
        });
        let gone: Vec<StackId> = self
            .walks
            .stacks()
            .filter(|stack| !now.contains_key(stack))
            .collect();
        for stack in gone {
            self.walks.forget(stack);
        }
        for (stack, interval_ms) in now {
            self.walks
                .set(stack, interval_ms, self.now_ms(), rand::random());
        }
    }

    fn learn(&mut self, changes: &Changes) {
        if changes.all {
            return self.learn_all();
        }
        let concerns = |kind| matches!(kind, EventKind::Revised | EventKind::Deleted);
        let touched = changes.events.iter().filter(|event| concerns(event.kind));
        for stack in touched.filter_map(|event| event.stack) {
            let interval_ms = self.replica.read(|machine| {
                machine
                    .stack(stack)
                    .map(|stack| stack.row.options.observe_interval_ms)
            });
            match interval_ms {
                Some(interval_ms) => {
                    self.walks
                        .set(stack, interval_ms, self.now_ms(), rand::random());
                }
                None => self.walks.forget(stack),
            }
        }
    }

    // ------------------------------------------------------------ the background

    /// Asks for what is due and within the budget; returns how long there is nothing to do.
    fn go_on_walking(&mut self) -> Duration {
        let mut pages = 0;
        loop {
            if pages == MAX_PAGES {
                // Whatever else waits has its turn: most resources may have nothing to be read.
                return Duration::ZERO;
            }
            let now_ms = self.now_ms();
            let reads = self.budget.available(now_ms).min(TURN_READS);
            let Some(next_at_ms) = self.walks.next_at_ms() else {
                return self.until_unanswered();
            };
            if next_at_ms > now_ms {
                let wait = Duration::from_millis(next_at_ms - now_ms);
                return wait.min(self.until_unanswered());
            }
            if reads == 0 {
                let wait = Duration::from_millis(self.budget.wait_ms().max(1));
                return wait.min(self.until_unanswered());
            }
            if self.asked.len() + reads > MAX_ASKED {
                // The next answer, or its absence, wakes us.
                return self.until_unanswered();
            }
            let Some((stack, after)) = self.walks.turn(now_ms) else {
                return self.until_unanswered();
            };
            let page = self
                .replica
                .read(|machine| page(machine, stack, after.as_ref(), reads));
            self.budget.spend(page.targets.len());
            pages += 1;
            self.walks
                .visited(stack, page.last, page.ended, now_ms, rand::random());
            for (target, refused) in self.ask(page.targets, None) {
                tracing::debug!(resource = %target.name, refused, "not observed");
            }
        }
    }

    fn until_unanswered(&self) -> Duration {
        let first = self.asked.values().map(|asked| asked.until).min();
        first.map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    // ------------------------------------------------------------ checks

    fn begin_check(&mut self, request: CheckRequest) {
        self.last_check += 1;
        let check = Check {
            stack: request.stack,
            after: None,
            listed: false,
            open: 0,
            checked: Checked::default(),
            reply: request.reply,
        };
        self.checks.insert(self.last_check, check);
    }

    fn go_on_with_checks(&mut self) {
        let unlisted: Vec<u64> = self
            .checks
            .iter()
            .filter(|(_, check)| !check.listed)
            .map(|(id, _)| *id)
            .collect();
        for id in unlisted {
            while self.asked.len() < MAX_ASKED && self.list_some(id) {}
        }
    }

    /// Asks for the next page of a check; false if there is none, or it has to wait.
    fn list_some(&mut self, id: u64) -> bool {
        let Some(check) = self.checks.get(&id).filter(|check| !check.listed) else {
            return false;
        };
        let room = MAX_ASKED - self.asked.len();
        let (stack, after) = (check.stack, check.after.clone());
        let page = self
            .replica
            .read(|machine| page(machine, stack, after.as_ref(), room));
        // One that is read for another reason is waited for, and listed again.
        if page
            .targets
            .iter()
            .any(|target| self.asked.contains_key(&target.instance))
        {
            return false;
        }
        let asked = page.targets.len();
        let refused = self.ask(page.targets, Some(id));
        let Some(check) = self.checks.get_mut(&id) else {
            return false;
        };
        check.after = page.last.or(after);
        check.listed = page.ended;
        check.open += asked - refused.len();
        check
            .checked
            .failures
            .extend(refused.into_iter().map(|(target, message)| NotRead {
                resource: target.name,
                message,
            }));
        true
    }

    /// Answers checks that have heard everything. What they found has been proposed by now.
    fn end_checks(&mut self) {
        let ended: Vec<u64> = self
            .checks
            .iter()
            .filter(|(_, check)| check.listed && check.open == 0)
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            if let Some(check) = self.checks.remove(&id) {
                // Whoever asked may have given up.
                let _ = check.reply.send(check.checked);
            }
        }
    }

    // ------------------------------------------------------------ asking

    /// Asks engines; returns what nobody can be asked for, and why.
    fn ask(&mut self, targets: Vec<Target>, check: Option<u64>) -> Vec<(Target, String)> {
        let mut requests: BTreeMap<EngineRef, Vec<Target>> = BTreeMap::new();
        let mut refused = Vec::new();
        // One that is being read already is not asked about again: its answer counts for whoever asked first.
        let (asked, targets): (Vec<Target>, Vec<Target>) = targets
            .into_iter()
            .partition(|target| self.asked.contains_key(&target.instance));
        debug_assert!(
            check.is_none() || asked.is_empty(),
            "a check waits for its turn"
        );
        for target in targets {
            match self.pick(&target) {
                Some(engine) => requests.entry(engine).or_default().push(target),
                None => {
                    let host = target
                        .host
                        .as_ref()
                        .map_or(String::new(), |host| format!(" of host {host}"));
                    let why = format!("no live engine{host} offers the type {}", target.type_name);
                    refused.push((target, why));
                }
            }
        }
        for (engine, targets) in requests {
            self.last_request += 1;
            let instances = targets.iter().map(|target| proto::ObservedInstance {
                stack: target.stack.0,
                resource: target.resource.0,
                instance: target.instance.0,
            });
            let request = proto::ObservationRequest {
                sequence: self.last_request,
                instances: instances.collect(),
            };
            if !self
                .hub
                .send(engine, from_leader::Message::Observe(request))
            {
                let why = || format!("engine {engine} can't be reached");
                refused.extend(targets.into_iter().map(|target| (target, why())));
                continue;
            }
            for target in targets {
                let asked = Asked {
                    resource: target.name,
                    until: Instant::now() + ANSWER_TIME,
                    check,
                };
                self.asked.insert(target.instance, asked);
            }
        }
        refused
    }

    /// The next engine in turn that can read it.
    fn pick(&mut self, target: &Target) -> Option<EngineRef> {
        let mut fitting: Vec<EngineRef> = self.replica.read(|machine| {
            let offers = |row: &anneal_statemachine::row::EngineRow| {
                row.offers.contains(&target.type_name)
                    && target.host.as_ref().is_none_or(|host| *host == row.host)
            };
            machine
                .engines()
                .filter(|found| offers(found.row))
                .map(|found| found.engine)
                .collect()
        });
        self.hub.retain_takers(&mut fitting);
        let after = fitting
            .iter()
            .find(|engine| Some(**engine) > self.last_engine);
        let engine = after.or(fitting.first()).copied();
        self.last_engine = engine.or(self.last_engine);
        engine
    }

    // ------------------------------------------------------------ answers

    fn take(&mut self, answer: Answer) {
        let instance = InstanceId(answer.answer.instance);
        let Some(asked) = self.asked.remove(&instance) else {
            return;
        };
        let Some(found) = answer.answer.found else {
            return;
        };
        let mut note = |heard: &mut dyn FnMut(&mut Checked)| {
            if let Some(check) = asked.check.and_then(|id| self.checks.get_mut(&id)) {
                check.open -= 1;
                heard(&mut check.checked);
            }
        };
        match found {
            Found::Same(_) => note(&mut |checked| checked.read += 1),
            Found::PassedOver(_) => note(&mut |_| {}),
            Found::Failed(failed) => {
                tracing::debug!(resource = %asked.resource, reason = failed.reason, "not read");
                note(&mut |checked| {
                    checked.failures.push(NotRead {
                        resource: asked.resource.clone(),
                        message: failed.reason.clone(),
                    });
                });
            }
            Found::Different(different) => {
                let Some(item) = read_item(&different) else {
                    return note(&mut |_| {});
                };
                note(&mut |checked| {
                    checked.read += 1;
                    checked
                        .drifts
                        .extend(drift(&asked.resource, &item.seen, &different));
                });
                self.found.push_back(item);
            }
        }
    }

    fn give_up_unanswered(&mut self) {
        let now = Instant::now();
        let late: Vec<InstanceId> = self
            .asked
            .iter()
            .filter(|(_, asked)| asked.until <= now)
            .map(|(instance, _)| *instance)
            .collect();
        for instance in late {
            let Some(asked) = self.asked.remove(&instance) else {
                continue;
            };
            if let Some(check) = asked.check.and_then(|id| self.checks.get_mut(&id)) {
                check.open -= 1;
                check.checked.failures.push(NotRead {
                    resource: asked.resource,
                    message: "its engine did not answer".into(),
                });
            }
        }
    }

    /// Proposes what was found to differ.
    async fn propose(&mut self) -> Result<(), ProposeError> {
        while !self.found.is_empty() {
            let count = self.found.len().min(MAX_ENTRY_ITEMS);
            let items = self.found.drain(..count).collect();
            let command = CommandKind::Observe { items };
            let committed = self.replica.insist(&self.leadership, command).await?;
            for check in self.checks.values_mut() {
                check.checked.index = committed.index;
            }
        }
        Ok(())
    }
}

/// A part of a stack's resources.
struct Page {
    targets: Vec<Target>,
    last: Option<Text>,
    ended: bool,
}

/// The next settled instances that can be read, up to `most` of them.
fn page(machine: &StateMachine, stack: StackId, after: Option<&Text>, most: usize) -> Page {
    let mut page = Page {
        targets: Vec::new(),
        last: None,
        ended: true,
    };
    for (seen, id) in machine.resources_after(stack, after).enumerate() {
        if seen >= PAGE || page.targets.len() >= most {
            page.ended = false;
            break;
        }
        let Some(resource) = machine.resource(id) else {
            continue;
        };
        page.last = Some(resource.name.clone());
        let Some(current) = resource
            .current
            .filter(|_| resource.phase == Some(Phase::Settled))
        else {
            continue;
        };
        let traits = current.row.traits;
        let Some((type_name, _)) = machine.definition(current.row.definition) else {
            continue;
        };
        if traits.can_look && !traits.derived_id && current.row.assignment.is_none() {
            page.targets.push(Target {
                stack,
                resource: id,
                instance: current.id,
                name: resource.name.clone(),
                type_name: type_name.clone(),
                host: current.row.host.clone().filter(|_| traits.host_bound),
            });
        }
    }
    page
}

fn read_item(different: &proto::ObservedDifference) -> Option<ObserveItem> {
    let observed = Observed::decode(different.observed.clone()).map_err(Into::into);
    match observed.and_then(codec::read_observed) {
        Ok(item) => Some(item),
        Err(error) => {
            tracing::error!(%error, "an observation can't be read");
            None
        }
    }
}

fn drift(
    resource: &Text,
    seen: &Seen,
    different: &proto::ObservedDifference,
) -> Option<FoundDrift> {
    if *seen == Seen::Same {
        return None;
    }
    let difference = |difference: &proto::PropertyDifference| Masked {
        path: difference.path.clone(),
        desired: difference.desired.clone(),
        found: difference.found.clone(),
    };
    Some(FoundDrift {
        resource: resource.clone(),
        vanished: *seen == Seen::Vanished,
        differences: different.differences.iter().map(difference).collect(),
    })
}
