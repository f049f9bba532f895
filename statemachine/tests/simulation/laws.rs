//! What must hold after every entry, whatever happened: laws over the rows, and over what one entry may change in
//! them. They judge by the design; they must not know how the state machine decides.

use std::collections::{BTreeMap, BTreeSet};

use anneal_statemachine::digest::Digest;
use anneal_statemachine::id::{InstanceId, ResourceId, Revision, StackId, Subject, Text};
use anneal_statemachine::row::{Action, DesiredRow, InstanceRow, Observed, Role, RowKey, RowValue};

use crate::reference::{Obstacle, Reference, Rows, takes_in};

/// A law that was broken.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Which law; shrinking keeps it.
    pub law: &'static str,
    /// How.
    pub text: String,
}

/// Shorthand for a broken law.
pub fn broken<T>(law: &'static str, text: impl Into<String>) -> Result<T, Broken> {
    Err(Broken {
        law,
        text: text.into(),
    })
}

/// What laws must remember from entry to entry.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The largest token that each instance has had.
    pub tokens: BTreeMap<InstanceId, u64>,
    /// Instances that were there once: ids are never used again.
    pub gone: BTreeSet<InstanceId>,
    /// Resources likewise.
    pub gone_resources: BTreeSet<ResourceId>,
}

/// Laws over a state.
pub fn check_state(rows: &Rows, now: &Reference) -> Result<(), Broken> {
    one_current(rows)?;
    references_exist(rows, now)?;
    requires_what_is_declared(now)?;
    names_are_unique(now)?;
    footing_has_no_circle(now)?;
    content_is_counted(rows)?;
    nothing_left_to_move(now)
}

fn one_current(rows: &Rows) -> Result<(), Broken> {
    let mut seen = BTreeSet::new();
    for (key, value) in rows {
        if let (RowKey::Instance(id), RowValue::Instance(row)) = (key, value)
            && row.role == Role::Current
            && !seen.insert(row.resource)
        {
            return broken(
                "one current instance",
                format!("r{} has two, i{id} is the second", row.resource),
            );
        }
    }
    Ok(())
}

fn references_exist(rows: &Rows, now: &Reference) -> Result<(), Broken> {
    const LAW: &str = "rows belong to something";
    for (id, row) in &now.resources {
        if !now.stacks.contains_key(&row.stack) {
            return broken(
                LAW,
                format!("r{id} is of stack {}, which is not there", row.stack),
            );
        }
        for below in &row.requires {
            if !now.resources.contains_key(below) {
                return broken(LAW, format!("r{id} requires r{below}, which is not there"));
            }
        }
    }
    for (id, row) in &now.instances {
        if !now.resources.contains_key(&row.resource) {
            return broken(
                LAW,
                format!("i{id} is of r{}, which is not there", row.resource),
            );
        }
        for below in &row.requires {
            if !now.instances.contains_key(below) {
                return broken(LAW, format!("i{id} requires i{below}, which is not there"));
            }
        }
        if row.observed == Observed::Absent && row.physical_id.is_some() {
            return broken("nothing has no id", format!("i{id} is absent: {row:?}"));
        }
        if row.seen_present && row.observed == Observed::Absent {
            return broken(
                "gone is forgotten",
                format!("i{id} was there, and is kept as absent"),
            );
        }
        for output in &row.outputs {
            if !rows.contains_key(&RowKey::Attribute(*id, output.name.clone())) {
                return broken(
                    LAW,
                    format!("i{id} offers {:?} without a value", output.name),
                );
            }
        }
    }
    for (key, value) in rows {
        let owned = match key {
            RowKey::Attribute(id, name) => now.instances.get(id).is_some_and(|row| {
                row.outputs.iter().any(|o| {
                    o.name == *name
                        && matches!(value, RowValue::Attribute(a) if a.digest == o.digest)
                })
            }),
            RowKey::Private(id)
            | RowKey::Properties(id)
            | RowKey::Trouble(Subject::Instance(id)) => now.instances.contains_key(id),
            RowKey::Trouble(Subject::Resource(id)) => now.resources.contains_key(id),
            RowKey::Revision(stack, _) => now.stacks.contains_key(stack),
            // What a forgotten revision replaced goes bit by bit, the oldest first.
            RowKey::Past(stack, revision, _) => {
                let kept =
                    RowKey::Revision(*stack, Revision(0))..RowKey::Revision(*stack, *revision);
                now.stacks.contains_key(stack) && rows.range(kept).next().is_none()
                    || rows.contains_key(&RowKey::Revision(*stack, *revision))
            }
            RowKey::Staged(request, _) => rows.contains_key(&RowKey::Stage(*request)),
            _ => true,
        };
        if !owned {
            return broken(LAW, format!("{key:?} belongs to nothing: {value:?}"));
        }
    }
    Ok(())
}

/// A resource requires what its definition refers to and what it depends on, and nothing else.
fn requires_what_is_declared(now: &Reference) -> Result<(), Broken> {
    for (id, row) in &now.resources {
        let desired = row.desired.as_ref();
        let definition = desired.and_then(|desired| now.definition(desired.definition?));
        let mut declared = BTreeSet::new();
        if let (Some(desired), Some(definition)) = (desired, definition) {
            let references = definition.references.iter();
            let names = references.map(|reference| &reference.resource);
            let names = names.chain(&desired.depends_on);
            declared.extend(names.filter_map(|name| now.names.get(&(row.stack, name.clone()))));
        }
        let requires: BTreeSet<&ResourceId> = row.requires.iter().collect();
        if requires != declared {
            let text = format!("r{id} requires {requires:?}, and declares {declared:?}");
            return broken("what is declared is required", text);
        }
    }
    Ok(())
}

fn type_of(now: &Reference, row: &InstanceRow) -> Option<Text> {
    Some(now.definition(row.definition)?.type_name.clone())
}

fn names_are_unique(now: &Reference) -> Result<(), Broken> {
    let mut held = BTreeMap::new();
    for (id, row) in &now.instances {
        let Some(physical) = &row.physical_id else {
            continue;
        };
        let name = (type_of(now, row), row.host.clone(), physical.clone());
        if let Some(other) = held.insert(name.clone(), *id) {
            return broken(
                "names are unique",
                format!("i{other} and i{id} both hold {name:?}"),
            );
        }
    }
    Ok(())
}

fn footing_has_no_circle(now: &Reference) -> Result<(), Broken> {
    let mut open: BTreeSet<InstanceId> = now.instances.keys().copied().collect();
    loop {
        let free: Vec<InstanceId> = open
            .iter()
            .filter(|id| {
                now.instances[id]
                    .requires
                    .iter()
                    .all(|below| !open.contains(below))
            })
            .copied()
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|id| {
            open.remove(id);
        });
    }
    if open.is_empty() {
        Ok(())
    } else {
        broken("no circles", format!("these require each other: {open:?}"))
    }
}

/// Every definition and blob that is named exists, and none is kept that nobody names.
fn content_is_counted(rows: &Rows) -> Result<(), Broken> {
    let mut definitions = BTreeSet::new();
    let mut blobs = BTreeSet::new();
    let mut desired = |row: &DesiredRow, definitions: &mut BTreeSet<Digest>| {
        definitions.extend(row.definition);
        blobs.insert(row.fragment);
    };
    let mut heads = BTreeSet::new();
    for (key, value) in rows {
        match value {
            RowValue::Stack(row) => heads.extend(row.head.into_iter().chain(row.parameters)),
            RowValue::Revision(row) => heads.extend(row.head.into_iter().chain(row.parameters)),
            RowValue::Resource(row) => {
                if let Some(row) = &row.desired {
                    desired(row, &mut definitions);
                }
            }
            RowValue::Past(Some(row)) => desired(row, &mut definitions),
            RowValue::Staged(items) => {
                let RowKey::Staged(stage, first) = key else {
                    continue;
                };
                let Some(RowValue::Stage(stage)) = rows.get(&RowKey::Stage(*stage)) else {
                    continue;
                };
                let left = items
                    .iter()
                    .skip(stage.done.saturating_sub(*first) as usize);
                for row in left.filter_map(|item| item.desired.as_ref()) {
                    desired(row, &mut definitions);
                }
            }
            RowValue::Instance(row) => {
                definitions.insert(row.definition);
                definitions.extend(row.assignment.as_ref().map(|a| a.definition));
                definitions.extend(row.effect.as_ref().map(|e| e.definition));
            }
            RowValue::Tombstone(row) => {
                definitions.insert(row.definition);
            }
            _ => {}
        }
    }
    blobs.extend(heads);
    for digest in &definitions {
        if !rows.contains_key(&RowKey::Definition(*digest)) {
            return broken(
                "content exists",
                format!("definition {digest:?} is named and not there"),
            );
        }
    }
    for digest in &blobs {
        if !rows.contains_key(&RowKey::Blob(*digest)) {
            return broken(
                "content exists",
                format!("blob {digest:?} is named and not there"),
            );
        }
    }
    for key in rows.keys() {
        let named = match key {
            RowKey::Definition(digest) => definitions.contains(digest),
            RowKey::Blob(digest) => blobs.contains(digest),
            _ => true,
        };
        if !named {
            return broken(
                "content is dropped with its last use",
                format!("{key:?} is left"),
            );
        }
    }
    Ok(())
}

/// What needs no action has been done: a right fingerprint settles, a fitting deposed instance is back.
fn nothing_left_to_move(now: &Reference) -> Result<(), Broken> {
    for (id, row) in &now.resources {
        let free = now
            .stacks
            .get(&row.stack)
            .is_some_and(|stack| !takes_in(stack));
        let ready = row.requires.iter().all(|below| now.settled[below]);
        if !now.wanted(*id) || now.settled[id] || !ready || !free {
            continue;
        }
        let Some(current) = now.current.get(id) else {
            continue;
        };
        let instance = now.instances[current];
        let right =
            instance.fingerprint.is_some() && instance.fingerprint == now.desired_fingerprint(*id);
        let well = instance.observed == Observed::Present { healthy: true }
            && instance.assignment.is_none()
            && !now.unwanted(*current);
        if right && well {
            let text = format!(
                "r{id}: i{current} is right, requires {:?}, and should stand on {:?}",
                instance.requires,
                now.present_requirements(*id)
            );
            return broken("a right fingerprint settles at once", text);
        }
    }
    Ok(())
}

/// Nothing was started on what an acting instance requires.
pub fn check_flights(now: &Reference) -> Result<(), Broken> {
    let flight = |id: &InstanceId| {
        let assignment = now.instances.get(id)?.assignment.as_ref()?;
        (!assignment.lost && assignment.action != Action::Look).then_some(assignment)
    };
    for id in now.instances.keys() {
        let Some(below) = flight(id) else { continue };
        for above in now.requirers.get(id).into_iter().flatten() {
            if let Some(above_flight) = flight(above)
                && above_flight.token < below.token
            {
                let text = format!(
                    "{} of i{id} began under {} of i{above}",
                    below.action, above_flight.action
                );
                return broken("nothing moves under an action", text);
            }
        }
    }
    Ok(())
}

/// The stack as it is desired in the rows is the one that was declared.
pub fn check_declared(
    now: &Reference,
    stack: StackId,
    declared: &BTreeMap<Text, Option<Digest>>,
) -> Result<(), Broken> {
    let found: BTreeMap<Text, Option<Digest>> = now
        .resources
        .values()
        .filter(|row| row.stack == stack)
        .filter_map(|row| Some((row.name.clone(), row.desired.as_ref()?.definition)))
        .collect();
    if found == *declared {
        return Ok(());
    }
    broken(
        "the newest revision is what was declared",
        format!("stack {stack}: {found:?}, not {declared:?}"),
    )
}

/// Explains an obstacle in a story.
pub fn because(obstacle: &Option<Obstacle>) -> String {
    obstacle
        .as_ref()
        .map_or_else(|| "nothing".into(), |o| format!("{o:?}"))
}
