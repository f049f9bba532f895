//! The engines of the simulation: they read their assignments from the rows, carry them out step by step against
//! the world, and hand in reports. They follow the design's §5 as far as an honest engine does; chance decides
//! everything that may go wrong. They must not know the state machine, only its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use anneal_statemachine::command::{ActionResult, Input, ReportItem};
use anneal_statemachine::digest::{fingerprint, missing_value, value_digest};
use anneal_statemachine::id::{EngineRef, InstanceId, ResourceId, Text, Token};
use anneal_statemachine::row::{Action, InstanceRow, Role, RowKey, RowValue};

use super::blueprint::evaluate;
use super::calls::failure;
use super::coverage::Coverage;
use super::dice::Dice;
use super::world::{Answer, Call, Content, Verb, World};
use crate::reference::{Reference, Rows};

/// How often things go wrong, in percent; all zero when the faults are off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A call fails before it had any effect.
    pub before: u64,
    /// A create stops half-way.
    pub half_way: u64,
    /// A call ends without a verdict.
    pub no_verdict: u64,
    /// What was made is not well.
    pub unhealthy: u64,
    /// An engine declines what it could do.
    pub decline: u64,
    /// An engine acts on an old view of the state.
    pub stale: u64,
    /// A permanent error among the errors.
    pub permanent: u64,
    /// A call that nobody waits for outlives its time.
    pub overrun: u64,
    /// A report is kept back, doubled or reordered.
    pub post: u64,
}

/// How far an engine is with an assignment.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Seen in the rows.
    Known,
    /// The call has begun.
    Begun,
    /// The provider has carried it out.
    Effected(Answer),
    /// The report is written.
    Told(Box<ReportItem>),
}

/// One assignment, on its engine.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its token.
    pub token: Token,
    /// Create, update, delete or look.
    pub action: Action,
    /// Number and place, if it travels in a chunk.
    pub chunk: Option<(u32, u32)>,
    /// End of the call's time.
    pub not_after_ms: u64,
    /// How far it is.
    pub stage: Stage,
    /// What is called, once known.
    pub call: Option<Call>,
    /// Values used.
    pub inputs: Vec<Input>,
    /// What a look compares with.
    pub aim: Option<Content>,
}

/// One engine process on one member.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Its member.
    pub member: u64,
    /// Its machine.
    pub host: String,
    /// Its registration, while the process runs.
    pub name: Option<EngineRef>,
    /// Until when it may act, on its own clock.
    pub lease_until_ms: u64,
    /// It gets no answers to heartbeats, and does nothing.
    pub frozen: bool,
    /// Its replica: the state of some entry, not always the last.
    pub replica: Rc<Rows>,
    /// What it carries out.
    pub running: BTreeMap<InstanceId, Running>,
}

/// What one step of an engine led to.
#[derive(Debug, Default)]
pub struct StepResult {
    /// A report to be handed in.
    pub report: Option<ReportItem>,
    /// A line for the story.
    pub said: Option<String>,
}

impl Engine {
    /// Compares what it runs with what the rows say that it must run.
    pub fn fetch(&mut self, rows: &Rows) {
        let Some(me) = self.name else { return };
        let mine: BTreeMap<InstanceId, &InstanceRow> = assigned_to(rows, me).collect();
        self.running.retain(|instance, running| {
            let stands = mine.get(instance).and_then(|row| row.assignment.as_ref());
            stands.is_some_and(|assignment| assignment.token == running.token)
        });
        for (instance, row) in mine {
            let assignment = row.assignment.as_ref().expect("assigned");
            self.running.entry(instance).or_insert_with(|| Running {
                token: assignment.token,
                action: assignment.action,
                chunk: assignment.chunk,
                not_after_ms: assignment.not_after_ms,
                stage: Stage::Known,
                call: None,
                inputs: Vec::new(),
                aim: None,
            });
        }
    }

    /// One step with one of its assignments. `reference` is its replica.
    pub fn step(
        &mut self,
        instance: InstanceId,
        around: &mut Around,
        reference: &Reference,
        dice: &mut Dice,
    ) -> StepResult {
        let Some(running) = self.running.get(&instance) else {
            return StepResult::default();
        };
        match running.stage.clone() {
            Stage::Known => self.begin(instance, around, reference, dice),
            Stage::Begun => self.effect(instance, around, dice),
            Stage::Effected(answer) => self.tell(instance, &answer, around, dice),
            Stage::Told(report) => StepResult {
                report: Some(*report),
                said: None,
            },
        }
    }

    pub fn begin(
        &mut self,
        instance: InstanceId,
        around: &mut Around,
        reference: &Reference,
        dice: &mut Dice,
    ) -> StepResult {
        let me = self.name.expect("a running engine has registered");
        let running = self.running[&instance].clone();
        let Some(row) = reference.instances.get(&instance).copied() else {
            return StepResult::default();
        };
        if around.now_ms >= self.lease_until_ms {
            return StepResult::default();
        }
        if let Some(footing) = self.footing(instance, &running, row, reference) {
            match footing {
                Footing::NotYet => return StepResult::default(),
                Footing::Lost(reason) => return self.decline(instance, reason, around),
            }
        }
        if superseded(&running, row, reference) {
            around.coverage.note("engine declines what was superseded");
            return self.decline(instance, "superseded", around);
        }
        if dice.percent(around.faults.decline) {
            return self.decline(instance, "not today", around);
        }
        let Some((call, inputs, aim)) = self.prepare(&running, row, reference, around) else {
            return self.decline(instance, "a value is missing", around);
        };
        let said = Some(format!(
            "engine {me} begins {} of i{instance} (token {}, key {})",
            running.action, running.token, call.key
        ));
        if dice.percent(around.faults.before) {
            around.coverage.note("provider fails before any effect");
            let result = ActionResult::Failed(failure(dice, around.faults.permanent, true, None));
            return self.told(instance, result, said);
        }
        let running = self.running.get_mut(&instance).expect("present above");
        running.stage = Stage::Begun;
        running.call = Some(call);
        running.inputs = inputs;
        running.aim = aim;
        StepResult { report: None, said }
    }

    /// What a step in a chunk stands on: earlier steps, and the state outside the chunk.
    fn footing(
        &self,
        instance: InstanceId,
        running: &Running,
        row: &InstanceRow,
        reference: &Reference,
    ) -> Option<Footing> {
        let (chunk, place) = running.chunk?;
        if running.action == Action::Look {
            return None;
        }
        let stands_on: BTreeSet<InstanceId> = match running.action {
            Action::Delete => reference
                .requirers
                .get(&instance)
                .cloned()
                .unwrap_or_default(),
            _ => row.requires.iter().copied().collect(),
        };
        for other in stands_on {
            let in_chunk = self.running.get(&other).filter(|r| {
                r.token == running.token && r.chunk.is_some_and(|(c, p)| c == chunk && p < place)
            });
            if let Some(earlier) = in_chunk {
                match &earlier.stage {
                    Stage::Told(report) if ended_well(&report.result) => {}
                    Stage::Told(_) => {
                        return Some(Footing::Lost("an earlier step did not end well"));
                    }
                    _ => return Some(Footing::NotYet),
                }
                continue;
            }
            if running.action == Action::Delete {
                return Some(Footing::Lost("something outside still requires it"));
            }
            let settled = reference.instances.get(&other).is_some_and(|below| {
                below.role == Role::Current && reference.settled.get(&below.resource) == Some(&true)
            });
            if !settled {
                return Some(Footing::Lost("its footing moved"));
            }
        }
        None
    }

    pub fn prepare(
        &self,
        running: &Running,
        row: &InstanceRow,
        reference: &Reference,
        around: &mut Around,
    ) -> Option<(Call, Vec<Input>, Option<Content>)> {
        let assignment = row.assignment.as_ref()?;
        let digest = match (running.action, &row.effect) {
            (Action::Look, Some(effect)) => effect.definition,
            _ => assignment.definition,
        };
        let definition = reference.definition(digest)?;
        let mut inputs = Vec::new();
        let values_of = |name: &str, attribute: &str| {
            self.value(reference, around.rows, row.resource, name, attribute)
        };
        for wanted in &definition.references {
            let attribute = wanted.attribute.as_deref().unwrap_or("id");
            let digest = values_of(&wanted.resource, attribute)
                .map_or_else(missing_value, |v| value_digest(&v));
            inputs.push(Input {
                resource: wanted.resource.clone(),
                attribute: wanted.attribute.clone(),
                digest,
            });
        }
        let evaluated = evaluate(&definition.body, values_of);
        let kind = kind_of(around.world, &definition.type_name);
        let verb = match running.action {
            Action::Create => Verb::Create,
            Action::Update => Verb::Update,
            Action::Delete => Verb::Delete,
            Action::Look => Verb::Look,
        };
        let content = evaluated.map(|(_, content)| content);
        if content.is_none() && matches!(verb, Verb::Create | Verb::Update) {
            around.coverage.note("engine lacks a value");
            return None;
        }
        let physical = row
            .physical_id
            .as_ref()
            .map(|id| id.to_string())
            .or_else(|| {
                (around.world.kinds[kind].names && verb != Verb::Create)
                    .then(|| content.as_ref().and_then(|c| c.name.clone()))
                    .flatten()
            });
        let key = row.effect.as_ref().map_or(0, |effect| effect.key);
        // What a lost action aimed at is known only if the values are still those that it was given.
        let used = fingerprint(digest, &definition.references, &inputs);
        let aim = row.effect.as_ref().and_then(|effect| effect.aim);
        let knows_aim = running.action != Action::Look || aim == Some(used);
        let call = Call {
            kind,
            verb,
            instance: row.origin.0,
            key: format!("i{}/{:?}/{key}", row.origin, verb),
            token: running.token.0,
            not_after_ms: running.not_after_ms,
            host: self.host.clone(),
            physical,
            content: content.clone(),
            built_on: assignment.requires_after.iter().map(|id| id.0).collect(),
            by: self.name.map_or((0, 0), |me| (me.member, me.incarnation)),
            in_time: true,
        };
        Some((call, inputs, content.filter(|_| knows_aim)))
    }

    /// A referenced value: from a step of this engine that has just ended, or from the rows.
    pub fn value(
        &self,
        reference: &Reference,
        rows: &Rows,
        resource: ResourceId,
        name: &str,
        attribute: &str,
    ) -> Option<Vec<u8>> {
        let stack = reference.resources.get(&resource)?.stack;
        let below = reference.names.get(&(stack, Text::from(name)))?;
        let instance = reference.current.get(below)?;
        let attribute = (attribute != "id").then(|| Text::from(attribute));
        if let Some(Running {
            stage: Stage::Told(report),
            ..
        }) = self.running.get(instance)
            && let ActionResult::Done(done) = &report.result
        {
            return done
                .values
                .iter()
                .find(|v| v.name == attribute)
                .map(|v| v.bytes.to_vec());
        }
        match rows.get(&RowKey::Attribute(*instance, attribute)) {
            Some(RowValue::Attribute(row)) => Some(row.bytes.to_vec()),
            _ => None,
        }
    }

    pub fn decline(
        &mut self,
        instance: InstanceId,
        reason: &str,
        around: &mut Around,
    ) -> StepResult {
        around.coverage.note("an assignment is declined");
        let said = format!("the engine declines i{instance}: {reason}");
        self.told(
            instance,
            ActionResult::Declined {
                reason: reason.into(),
            },
            Some(said),
        )
    }

    pub fn told(
        &mut self,
        instance: InstanceId,
        result: ActionResult,
        said: Option<String>,
    ) -> StepResult {
        let engine = self.name.expect("a running engine has registered");
        let running = self.running.get_mut(&instance).expect("it runs here");
        let report = ReportItem {
            instance,
            token: running.token,
            engine,
            result,
        };
        running.stage = Stage::Told(Box::new(report.clone()));
        StepResult {
            report: Some(report),
            said,
        }
    }

    /// The process ends. Calls under way may land later, or never; unsent reports may still be under way.
    pub fn crash(&mut self, around: &mut Around, dice: &mut Dice) -> Vec<ReportItem> {
        self.name = None;
        let mut letters = Vec::new();
        for (_, running) in std::mem::take(&mut self.running) {
            match running.stage {
                Stage::Begun if dice.percent(50) => {
                    let mut call = running.call.expect("begun");
                    call.in_time = false;
                    around
                        .coverage
                        .note("an engine is lost, its effect lands later");
                    around.landing.push(call);
                }
                Stage::Begun => around.coverage.note("an engine is lost before the effect"),
                Stage::Effected(_) => around.coverage.note("an engine is lost after the effect"),
                Stage::Told(report) if dice.percent(50) => letters.push(*report),
                Stage::Told(_) | Stage::Known => {}
            }
        }
        letters
    }
}

/// What an engine acts upon, besides itself.
pub struct Around<'a> {
    /// State time.
    pub now_ms: u64,
    /// The outside.
    pub world: &'a mut World,
    /// Calls whose engine no longer waits for them.
    pub landing: &'a mut Vec<Call>,
    /// The replica's rows.
    pub rows: &'a Rows,
    /// How often things go wrong.
    pub faults: Faults,
    /// What has happened.
    pub coverage: &'a mut Coverage,
}

enum Footing {
    NotYet,
    Lost(&'static str),
}

/// The assignments in the rows that an engine must carry out.
pub fn assigned_to(
    rows: &Rows,
    engine: EngineRef,
) -> impl Iterator<Item = (InstanceId, &InstanceRow)> {
    rows.range(RowKey::Instance(InstanceId(0))..=RowKey::Instance(InstanceId(u64::MAX)))
        .filter_map(move |(key, value)| match (key, value) {
            (RowKey::Instance(id), RowValue::Instance(row)) => {
                let assignment = row.assignment.as_ref()?;
                (assignment.engine == engine && !assignment.lost).then_some((*id, row.as_ref()))
            }
            _ => None,
        })
}

/// The instances that a resource stands on now, by what it declares.
pub fn stands_on(reference: &Reference, resource: ResourceId) -> BTreeSet<u64> {
    let Some(row) = reference.resources.get(&resource) else {
        return BTreeSet::new();
    };
    row.requires
        .iter()
        .filter_map(|below| reference.current.get(below))
        .map(|i| i.0)
        .collect()
}

/// The kind of provider of a type.
pub fn kind_of(world: &World, type_name: &str) -> usize {
    world
        .kinds
        .iter()
        .position(|k| k.name == type_name)
        .expect("every type has a provider")
}

fn superseded(running: &Running, row: &InstanceRow, reference: &Reference) -> bool {
    let assignment = row.assignment.as_ref().expect("it is assigned");
    match running.action {
        Action::Look => false,
        Action::Create | Action::Update => {
            let desired = reference
                .resources
                .get(&row.resource)
                .and_then(|r| r.desired.as_ref());
            !reference.wanted(row.resource)
                || desired.and_then(|d| d.definition) != Some(assignment.definition)
                || row.role != Role::Current
                || stands_on(reference, row.resource)
                    != assignment
                        .requires_after
                        .iter()
                        .map(|id| id.0)
                        .collect::<BTreeSet<u64>>()
        }
        Action::Delete => {
            assignment.first_delete
                && row.role == Role::Current
                && !row.condemned
                && reference.wanted(row.resource)
        }
    }
}

fn ended_well(result: &ActionResult) -> bool {
    match result {
        ActionResult::Done(done) => !done.unhealthy,
        ActionResult::Gone => true,
        _ => false,
    }
}
