//! What engines and their executors read: who is there, what each holds, and whether it may still begin.

use crate::StateMachine;
use crate::digest::Digest;
use crate::id::{EngineRef, InstanceId, ResourceId, StackId, Text, Token};
use crate::row::{Action, EngineRow, Observed};
use crate::rules::settle::footing;
use crate::state::{Engine, State};

/// An engine.
#[derive(Clone, Debug)]
pub struct EngineView<'s> {
    /// Its member and incarnation.
    pub engine: EngineRef,
    /// Its row.
    pub row: &'s EngineRow,
    /// Actions in flight on it.
    pub in_flight: usize,
}

/// What an executor needs to know about one assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentView {
    /// The stack.
    pub stack: StackId,
    /// The resource.
    pub resource: ResourceId,
    /// The resource's name.
    pub name: Text,
    /// The instance.
    pub instance: InstanceId,
    /// The instance id that its object is tagged with.
    pub origin: InstanceId,
    /// The fencing token.
    pub token: Token,
    /// Whose it is.
    pub engine: EngineRef,
    /// What is to be done.
    pub action: Action,
    /// The type.
    pub type_name: Text,
    /// The definition aimed at, or, for a delete, made by.
    pub definition: Digest,
    /// The definition that the instance was last known to be made by.
    pub known_definition: Digest,
    /// For a look: what the lost action was.
    pub lost_action: Option<Action>,
    /// The idempotency key is (instance, action, this).
    pub key: u64,
    /// The fingerprint aimed at, if known.
    pub aim: Option<Digest>,
    /// The call must not run after this state time. Milliseconds.
    pub not_after_ms: u64,
    /// When it was given, in state time. Milliseconds.
    pub since_ms: u64,
    /// Chunk number within the entry, and place in it.
    pub chunk: Option<(u32, u32)>,
    /// The provider's id, if known.
    pub physical_id: Option<Text>,
    /// What is known of the instance.
    pub observed: Observed,
    /// Something else is wanted by now, or the stack starts nothing: if not begun, it is declined.
    pub revoked: bool,
    /// If begun, it is to be cancelled.
    pub cancel: bool,
}

/// What an assigned make stands on, as this replica sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Footing {
    /// All that it requires is settled, as it was when it was given.
    Firm,
    /// These, given in the same chunk, come first.
    InChunk(Vec<InstanceId>),
    /// This resource is not what it was: the action is to be declined.
    Moved(Text),
}

impl StateMachine {
    /// All engines that are known, in member order.
    pub fn engines(&self) -> impl Iterator<Item = EngineView<'_>> {
        self.state
            .engines
            .iter()
            .map(|(member, engine)| view(*member, engine))
    }

    /// One member's engine.
    pub fn engine(&self, member: u64) -> Option<EngineView<'_>> {
        self.state
            .engines
            .get(&member)
            .map(|engine| view(member, engine))
    }

    /// Whether what lived on a host is still being forgotten: until that is through, its engines are given nothing.
    pub fn is_forgetting(&self, host: &Text) -> bool {
        self.state.cluster.forgetting.contains(host)
    }

    /// What this incarnation must be running: nothing else, and all of it.
    pub fn assignments_of(&self, engine: EngineRef) -> impl Iterator<Item = AssignmentView> {
        let found = self
            .state
            .engines
            .get(&engine.member)
            .filter(move |found| found.is(engine));
        let held = found.into_iter().flat_map(|found| found.holds.iter());
        held.filter_map(|instance| self.assignment(*instance))
    }

    /// The assignment in flight on an instance.
    pub fn assignment(&self, id: InstanceId) -> Option<AssignmentView> {
        let state = &self.state;
        let row = &state.instances.get(&id)?.row;
        let flight = row.flight()?;
        let resource = state.resource(row.resource);
        let superseded = superseded(state, id);
        let stack = state.stack(resource.row.stack);
        let effect = row.effect.as_ref();
        Some(AssignmentView {
            stack: resource.row.stack,
            resource: row.resource,
            name: resource.row.name.clone(),
            instance: id,
            origin: row.origin,
            token: flight.token,
            engine: flight.engine,
            action: flight.action,
            type_name: state
                .catalogue
                .definition(flight.definition)
                .type_name
                .clone(),
            definition: flight.definition,
            known_definition: row.definition,
            lost_action: effect
                .filter(|_| flight.action == Action::Look)
                .map(|effect| effect.action),
            key: effect.map_or(flight.token.0, |effect| effect.key),
            aim: effect.and_then(|effect| effect.aim),
            not_after_ms: flight.not_after_ms,
            since_ms: flight.since_ms,
            chunk: flight.chunk,
            physical_id: row.physical_id.clone(),
            observed: row.observed,
            revoked: superseded || stack.stops().is_some(),
            // A deletion that has begun is never taken back: to cut it short would only be to look, and to delete again.
            cancel: row.traits.cancellable
                && (stack.row.cancelling || (superseded && flight.action != Action::Delete)),
        })
    }

    /// What an assigned make stands on.
    pub fn footing(&self, id: InstanceId) -> Option<Footing> {
        let state = &self.state;
        let row = &state.instances.get(&id)?.row;
        let flight = row.flight()?;
        let mut in_chunk = Vec::new();
        for required in state.resource(row.resource).row.requires.iter() {
            let below = state.resource(*required);
            let built_on = below
                .current
                .filter(|current| row.requires.binary_search(current).is_ok());
            let Some(built_on) = built_on else {
                return Some(Footing::Moved(below.row.name.clone()));
            };
            if below.settled {
                continue;
            }
            let same_chunk = state.instance(built_on).row.flight().is_some_and(|other| {
                other.token == flight.token
                    && other.engine == flight.engine
                    && flight.chunk.is_some()
                    && other.chunk.map(|(number, _)| number)
                        == flight.chunk.map(|(number, _)| number)
            });
            if !same_chunk {
                return Some(Footing::Moved(below.row.name.clone()));
            }
            in_chunk.push(built_on);
        }
        Some(match in_chunk.is_empty() {
            true => Footing::Firm,
            false => Footing::InChunk(in_chunk),
        })
    }

    /// The instance of the named resource that this instance was (or is being) built on.
    pub fn built_on(&self, id: InstanceId, name: &str) -> Option<InstanceId> {
        let state = &self.state;
        let row = &state.instances.get(&id)?.row;
        let stack = state.resource(row.resource).row.stack;
        let resource = state.stack(stack).names.get(name)?;
        let mut requires = row.requires.iter().copied();
        requires.find(|required| {
            state
                .instances
                .get(required)
                .is_some_and(|other| other.row.resource == *resource)
        })
    }
}

fn view(member: u64, engine: &Engine) -> EngineView<'_> {
    EngineView {
        engine: EngineRef {
            member,
            incarnation: engine.row.incarnation,
        },
        row: &engine.row,
        in_flight: engine.holds.len(),
    }
}

/// Something else is wanted by now than what is in flight.
fn superseded(state: &State, id: InstanceId) -> bool {
    let row = &state.instance(id).row;
    let resource = state.resource(row.resource);
    row.flight().is_some_and(|flight| match flight.action {
        Action::Create | Action::Update => {
            !state.wanted(id)
                || resource.definition() != Some(flight.definition)
                || footing(state, row.resource) != flight.requires_after
        }
        Action::Delete => {
            flight.first_delete
                && row.is_current()
                && !row.condemned
                && resource.definition().is_some()
        }
        Action::Look => false,
    })
}
