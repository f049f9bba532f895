//! Putting rows where they belong, and the indexes that follow from single rows. What follows from the
//! rules is worked out afterwards, by the rules.

use crate::id::Subject;
use crate::id::{InstanceId, RequestId, ResourceId, Revision, StackId, Text};
use crate::load::LoadError;
use crate::row::{
    DesiredRow, InstanceRow, RevisionRow, Role, RowKey, RowValue, StageRow, StagedRow, TroubleRow,
};
use crate::state::instance::Instance;
use crate::state::stack::Past;
use crate::state::{Engine, Resource, Span, Stack, Stage, State, Trouble};

/// Rows that can only be placed once others are.
#[derive(Default)]
struct Later {
    resources: Vec<(ResourceId, Box<crate::row::ResourceRow>)>,
    instances: Vec<(InstanceId, Box<InstanceRow>)>,
    troubles: Vec<(Subject, TroubleRow)>,
    revisions: Vec<(StackId, Revision, Box<RevisionRow>)>,
    pasts: Vec<(StackId, Revision, Text, Option<Box<DesiredRow>>)>,
    stages: Vec<(RequestId, StageRow)>,
    staged: Vec<(RequestId, u32, Box<[StagedRow]>)>,
}

pub(super) fn fill(rows: impl IntoIterator<Item = (RowKey, RowValue)>) -> Result<State, LoadError> {
    let mut state = State::default();
    let mut later = Later::default();
    for (key, value) in rows {
        place(&mut state, &mut later, key, value)?;
    }
    place_stacks(&mut state);
    for (id, row) in later.resources {
        place_resource(&mut state, id, *row)?;
    }
    link_resources(&mut state)?;
    for (id, row) in later.instances {
        place_instance(&mut state, id, row)?;
    }
    count_busy(&mut state);
    for (subject, row) in later.troubles {
        place_trouble(&mut state, subject, &row)?;
    }
    for (stack, revision, row) in later.revisions {
        place_revision(&mut state, stack, revision, *row)?;
    }
    for (stack, revision, name, before) in later.pasts {
        place_past(&mut state, stack, revision, name, before)?;
    }
    for (id, row) in later.stages {
        state.stages.insert(id, Stage::new(row));
    }
    for (id, first, items) in later.staged {
        place_staged(&mut state, id, first, items)?;
    }
    let buried: Vec<_> = state
        .tombstones
        .iter()
        .map(|(id, row)| (*id, row.definition))
        .collect();
    for (id, definition) in buried {
        hold_definition(&mut state, definition, RowKey::Tombstone(id))?;
    }
    Ok(state)
}

fn place(
    state: &mut State,
    later: &mut Later,
    key: RowKey,
    value: RowValue,
) -> Result<(), LoadError> {
    match (key, value) {
        (RowKey::Cluster, RowValue::Cluster(row)) => state.cluster = row,
        (RowKey::Stack(id), RowValue::Stack(row)) => {
            state.stacks.insert(id, Stack::new(*row));
        }
        (RowKey::Resource(id), RowValue::Resource(row)) => later.resources.push((id, row)),
        (RowKey::Instance(id), RowValue::Instance(row)) => later.instances.push((id, row)),
        // Read by others only.
        (RowKey::Attribute(..), RowValue::Attribute(_))
        | (RowKey::Private(_), RowValue::Private(_))
        | (RowKey::Properties(_), RowValue::Properties(_)) => {}
        (RowKey::Trouble(subject), RowValue::Trouble(row)) => later.troubles.push((subject, row)),
        (RowKey::Definition(digest), RowValue::Definition(row)) => {
            state
                .catalogue
                .add_definition(digest, &row.type_name, &row.references);
        }
        (RowKey::Blob(digest), RowValue::Blob(_)) => {
            state.catalogue.add_blob(digest);
        }
        (RowKey::Engine(member), RowValue::Engine(row)) => {
            state.engines.insert(member, Engine::new(*row));
        }
        (RowKey::Request(id), RowValue::Request(outcome)) => {
            state.requests.insert(id, outcome);
        }
        (RowKey::Revision(stack, revision), RowValue::Revision(row)) => {
            later.revisions.push((stack, revision, row))
        }
        (RowKey::Past(stack, revision, name), RowValue::Past(before)) => {
            later.pasts.push((stack, revision, name, before));
        }
        (RowKey::Stage(id), RowValue::Stage(row)) => later.stages.push((id, row)),
        (RowKey::Staged(id, first), RowValue::Staged(items)) => {
            later.staged.push((id, first, items))
        }
        (RowKey::Tombstone(id), RowValue::Tombstone(row)) => {
            state.tombstones.insert(id, *row);
        }
        (key, _) => return Err(LoadError::WrongKind(key)),
    }
    Ok(())
}

fn place_stacks(state: &mut State) {
    let mut blobs = Vec::new();
    for (id, stack) in &mut state.stacks {
        stack.unsettling = stack.row.unsettling.len();
        if stack.row.named {
            let names = state
                .stack_names
                .entry(stack.row.namespace.clone())
                .or_default();
            names.insert(stack.row.name.clone(), *id);
        }
        for telling in &stack.row.telling {
            state.told.insert(telling.resource, telling.through);
        }
        for unsettling in &stack.row.unsettling {
            let span = Span {
                after: unsettling.after,
                through: unsettling.through,
            };
            state.unsettling.insert(unsettling.resource, span);
        }
        if stack.takes_in() {
            state.queues.insert(*id);
        }
        blobs.extend([stack.row.head, stack.row.parameters].into_iter().flatten());
    }
    for blob in blobs {
        state.catalogue.add_blob(blob);
        state.catalogue.hold_blob(blob);
    }
}

fn dangling(key: RowKey, what: impl std::fmt::Debug) -> LoadError {
    LoadError::Dangling(key, format!("{what:?}"))
}

fn hold_definition(
    state: &mut State,
    digest: crate::digest::Digest,
    by: RowKey,
) -> Result<(), LoadError> {
    if state.catalogue.find(digest).is_none() {
        return Err(dangling(by, digest));
    }
    state.catalogue.hold_definition(digest);
    Ok(())
}

fn hold_desired(state: &mut State, desired: &DesiredRow, by: &RowKey) -> Result<(), LoadError> {
    if let Some(definition) = desired.definition {
        hold_definition(state, definition, by.clone())?;
    }
    if !state.catalogue.has_blob(desired.fragment) {
        return Err(dangling(by.clone(), desired.fragment));
    }
    state.catalogue.hold_blob(desired.fragment);
    Ok(())
}

fn place_resource(
    state: &mut State,
    id: ResourceId,
    row: crate::row::ResourceRow,
) -> Result<(), LoadError> {
    let key = RowKey::Resource(id);
    if let Some(desired) = &row.desired {
        hold_desired(state, desired, &key)?;
    }
    let stack = state
        .stacks
        .get_mut(&row.stack)
        .ok_or_else(|| dangling(key, row.stack))?;
    stack.names.insert(row.name.clone(), id);
    if let Some(desired) = &row.desired {
        stack.declared.count_desired(Some(desired));
        for parameter in &desired.parameters_used {
            stack.parameter_users.insert((parameter.clone(), id));
        }
        if desired.definition.is_some() {
            stack.desired += 1;
            if desired.protects() {
                stack.protected.insert(id);
            }
        }
    }
    state.resources.insert(id, Resource::new(row));
    Ok(())
}

/// Nothing is settled to begin with, but what some take for settled.
fn link_resources(state: &mut State) -> Result<(), LoadError> {
    for (id, resource) in state.resources.iter_mut() {
        for required in &resource.row.requires {
            let span = state.unsettling.get(required);
            let taken = span.is_some_and(|span| span.contains(id));
            resource.unsettled += u32::from(!taken);
            state.dependents.insert((*required, id));
        }
    }
    match state
        .dependents
        .iter()
        .find(|(required, _)| !state.resources.contains_key(required))
    {
        Some((required, by)) => Err(dangling(RowKey::Resource(*by), required)),
        None => Ok(()),
    }
}

fn place_instance(
    state: &mut State,
    id: InstanceId,
    row: Box<InstanceRow>,
) -> Result<(), LoadError> {
    let key = RowKey::Instance(id);
    for definition in row.definitions().into_iter().flatten() {
        hold_definition(state, definition, key.clone())?;
    }
    let resource = state
        .resources
        .get_mut(&row.resource)
        .ok_or_else(|| dangling(key.clone(), row.resource))?;
    match row.role {
        Role::Current => resource.current = Some(id),
        Role::Deposed { since, .. } => resource.depose(since, id),
    }
    let stack = resource.row.stack;
    let stack = state
        .stacks
        .get_mut(&stack)
        .ok_or_else(|| dangling(key, stack))?;
    if row.drift.is_some() {
        stack.drifted.insert(id);
    }
    if let Some(flight) = row.flight() {
        stack.running += 1;
        if let Some(engine) = state.engines.get_mut(&flight.engine.member) {
            engine.holds.insert(id);
        }
    }
    for required in &row.requires {
        state.required_by.insert((*required, id));
    }
    if let Some(host) = &row.host {
        state.hosts.insert((host.clone(), id));
    }
    if let Some(physical_id) = &row.physical_id {
        let type_name = state.catalogue.definition(row.definition).type_name.clone();
        state
            .held
            .take(&type_name, row.host.as_deref(), physical_id, id);
    }
    state.instances.insert(id, Instance::new(*row));
    Ok(())
}

fn count_busy(state: &mut State) {
    let busy: Vec<InstanceId> = {
        let instances = state.instances.iter().map(|(_, instance)| instance);
        let running = instances.filter(|instance| instance.row.flight().is_some());
        running
            .flat_map(|instance| instance.row.requires.iter().copied())
            .collect()
    };
    for required in busy {
        if let Some(instance) = state.instances.get_mut(&required) {
            instance.busy_requirers += 1;
        }
    }
}

fn place_trouble(state: &mut State, subject: Subject, row: &TroubleRow) -> Result<(), LoadError> {
    let key = RowKey::Trouble(subject);
    let trouble = Some(Box::new(Trouble::of(row)));
    let owner = match subject {
        Subject::Resource(id) => {
            let resource = state
                .resources
                .get_mut(&id)
                .ok_or_else(|| dangling(key.clone(), id))?;
            resource.trouble = trouble;
            if let Some(holder) = row.holder {
                state.blocked.insert((holder, id));
            }
            id
        }
        Subject::Instance(id) => {
            let instance = state
                .instances
                .get_mut(&id)
                .ok_or_else(|| dangling(key.clone(), id))?;
            instance.trouble = trouble;
            instance.row.resource
        }
    };
    let stack = state.resource(owner).row.stack;
    let stack = state
        .stacks
        .get_mut(&stack)
        .ok_or_else(|| dangling(key, stack))?;
    stack.troubled.insert(subject);
    Ok(())
}

fn place_revision(
    state: &mut State,
    id: StackId,
    revision: Revision,
    row: RevisionRow,
) -> Result<(), LoadError> {
    let key = RowKey::Revision(id, revision);
    for blob in [row.head, row.parameters].into_iter().flatten() {
        if !state.catalogue.has_blob(blob) {
            return Err(dangling(key, blob));
        }
        state.catalogue.hold_blob(blob);
    }
    let stack = state.stacks.get_mut(&id).ok_or_else(|| dangling(key, id))?;
    let items = Default::default();
    stack.past.insert(revision, Past { row, items });
    Ok(())
}

fn place_past(
    state: &mut State,
    id: StackId,
    revision: Revision,
    name: Text,
    before: Option<Box<DesiredRow>>,
) -> Result<(), LoadError> {
    let key = RowKey::Past(id, revision, name.clone());
    if let Some(before) = &before {
        hold_desired(state, before, &key)?;
    }
    let stack = state
        .stacks
        .get_mut(&id)
        .ok_or_else(|| dangling(key.clone(), id))?;
    match stack.past.get_mut(&revision) {
        Some(past) => past.items.insert(name, before),
        None => {
            // The revision is forgotten already, and this is on its way.
            state.queues.insert(id);
            let forgotten = stack.forgotten_past.entry(revision);
            forgotten.or_default().insert(name, before)
        }
    };
    Ok(())
}

fn place_staged(
    state: &mut State,
    id: RequestId,
    first: u32,
    items: Box<[StagedRow]>,
) -> Result<(), LoadError> {
    let key = RowKey::Staged(id, first);
    let done = match state.stages.get(&id) {
        Some(stage) => stage.row.done,
        None => return Err(dangling(key, id)),
    };
    let left = items.iter().skip(done.saturating_sub(first) as usize);
    for desired in left.filter_map(|item| item.desired.as_ref()) {
        hold_desired(state, desired, &key)?;
    }
    let stage = state.stages.get_mut(&id).expect("looked up before");
    stage.add(first, items);
    Ok(())
}
