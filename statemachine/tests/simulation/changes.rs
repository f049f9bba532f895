//! Laws over what one entry may change. They must not know how the state machine decides.

use anneal_statemachine::command::{ActionResult, Command, CommandKind};
use anneal_statemachine::id::{InstanceId, StackId};
use anneal_statemachine::outcome::{Applied, Outcome};
use anneal_statemachine::row::{Action, InstanceRow, LeaseState, Observed, RowKey};

use crate::reference::Reference;

use super::laws::{Broken, Memory, broken};

/// Laws over what one entry did. `before` is the state that it met.
pub fn check_entry(
    memory: &mut Memory,
    before: &Reference,
    command: &Command,
    index: u64,
    applied: &Applied,
    after: &Reference,
) -> Result<(), Broken> {
    rejections_write_nothing(applied)?;
    for change in &applied.rows {
        match &change.key {
            RowKey::Instance(id) => {
                let old = before.instances.get(id).copied();
                let new = after.instances.get(id).copied();
                instance_changed(memory, before, command, index, *id, old, new)?;
                declined_is_as_before(command, after, *id, old, new)?;
            }
            RowKey::Resource(id) => {
                if !after.resources.contains_key(id) {
                    memory.gone_resources.insert(*id);
                } else if memory.gone_resources.contains(id) {
                    return broken("ids are never used again", format!("r{id} is back"));
                }
            }
            RowKey::Stack(id) => stack_changed(before, after, *id, command)?,
            RowKey::Engine(member) => {
                let alive = |r: &Reference| r.engines.get(member).map(|e| (e.incarnation, e.lease));
                if let (Some((was, LeaseState::Expired)), Some((is, lease))) =
                    (alive(before), alive(after))
                    && was == is
                    && lease != LeaseState::Expired
                {
                    return broken(
                        "an expired engine stays so",
                        format!("engine {member}.{is} is {lease:?}"),
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn rejections_write_nothing(applied: &Applied) -> Result<(), Broken> {
    if !matches!(applied.outcome, Outcome::Rejected(_)) {
        return Ok(());
    }
    for change in &applied.rows {
        // A staged change that is refused is dropped.
        let of_stage = matches!(
            change.key,
            RowKey::Stage(_) | RowKey::Staged(..) | RowKey::Definition(_) | RowKey::Blob(_)
        );
        if !matches!(change.key, RowKey::Request(_)) && !of_stage {
            return broken(
                "a rejection changes nothing",
                format!("{:?} wrote {change:?}", applied.outcome),
            );
        }
    }
    Ok(())
}

fn stack_changed(
    before: &Reference,
    after: &Reference,
    id: StackId,
    command: &Command,
) -> Result<(), Broken> {
    let (Some(old), Some(new)) = (before.stacks.get(&id), after.stacks.get(&id)) else {
        return Ok(());
    };
    if new.revision < old.revision {
        return broken(
            "revisions only grow",
            format!("stack {id}: {} after {}", new.revision, old.revision),
        );
    }
    if new.revision.0 > old.revision.0 + 1 {
        return broken(
            "one change, one revision",
            format!("stack {id}: {:?}", command.kind),
        );
    }
    if new.settled_revision < old.settled_revision || new.settled_revision > new.revision {
        let text = format!(
            "stack {id}: {} after {}",
            new.settled_revision, old.settled_revision
        );
        return broken("the settled revision only grows", text);
    }
    Ok(())
}

fn instance_changed(
    memory: &mut Memory,
    before: &Reference,
    command: &Command,
    index: u64,
    id: InstanceId,
    old: Option<&InstanceRow>,
    new: Option<&InstanceRow>,
) -> Result<(), Broken> {
    let Some(new) = new else {
        if let Some(old) = old {
            memory.gone.insert(id);
            unknown_is_not_absent(before, command, id, old, None)?;
        }
        return Ok(());
    };
    if memory.gone.contains(&id) {
        return broken("ids are never used again", format!("i{id} is back"));
    }
    token_grows(memory, command, index, id, old, new)?;
    let Some(old) = old else { return Ok(()) };
    if old.resource != new.resource || old.origin != new.origin {
        return broken(
            "an instance stays what it is",
            format!("i{id}: {old:?} became {new:?}"),
        );
    }
    if old.seen_present && !new.seen_present {
        return broken(
            "what was seen was seen",
            format!("i{id} is no longer known to have been there"),
        );
    }
    if old.host.is_some() && old.host != new.host && old.physical_id.is_some() {
        return broken(
            "an instance does not move",
            format!("i{id} went from {:?} to {:?}", old.host, new.host),
        );
    }
    unknown_is_not_absent(before, command, id, old, Some(new))?;
    deletion_is_one_way(command, id, old, new)?;
    if let Some(assignment) = &new.assignment
        && assignment.token.0 == index
    {
        started_rightly(before, id, new)?;
    }
    Ok(())
}

fn token_grows(
    memory: &mut Memory,
    command: &Command,
    index: u64,
    id: InstanceId,
    old: Option<&InstanceRow>,
    new: &InstanceRow,
) -> Result<(), Broken> {
    let Some(assignment) = &new.assignment else {
        return Ok(());
    };
    let last = memory.tokens.entry(id).or_insert(0);
    let had = old
        .and_then(|row| row.assignment.as_ref())
        .map(|a| (a.token, a.engine, a.action));
    if had == Some((assignment.token, assignment.engine, assignment.action)) {
        return Ok(());
    }
    if !matches!(command.kind, CommandKind::Assign { .. }) || assignment.token.0 != index {
        return broken(
            "only an assign gives work",
            format!("i{id} got {assignment:?} in entry {index}"),
        );
    }
    if assignment.token.0 <= *last {
        return broken(
            "tokens only grow",
            format!("i{id} got {} after {last}", assignment.token),
        );
    }
    *last = assignment.token.0;
    if let Some(running) = old.and_then(|row| row.assignment.as_ref())
        && !running.lost
    {
        return broken(
            "one assignment an instance",
            format!("i{id} had {running:?}, got {assignment:?}"),
        );
    }
    Ok(())
}

/// An `Unknown` ends by what a provider saw of this very instance, by a person's word, or because it never had an
/// outside.
fn unknown_is_not_absent(
    before: &Reference,
    command: &Command,
    id: InstanceId,
    old: &InstanceRow,
    new: Option<&InstanceRow>,
) -> Result<(), Broken> {
    let ended = match new {
        None => true,
        Some(new) => new.observed == Observed::Absent,
    };
    if old.observed != Observed::Unknown || !ended || old.traits.derived_id {
        return Ok(());
    }
    let seen = match &command.kind {
        CommandKind::Report { items } => items.iter().any(|item| {
            // Another's id can show that this one's object is not its own.
            item.instance == id && has_seen(&item.result)
                || new.is_none() && old.physical_id.is_some() && names(&item.result)
        }),
        CommandKind::Resolve { .. } | CommandKind::ForgetHost { .. } => true,
        // What is left of forgetting its host is carried on.
        CommandKind::Advance => old
            .host
            .as_ref()
            .is_some_and(|host| before.forgetting.contains(host)),
        _ => false,
    };
    if seen {
        return Ok(());
    }
    let text = format!(
        "i{id} became {:?} by {:?}",
        new.map(|n| n.observed),
        command.kind
    );
    broken("unknown is never absent", text)
}

/// A provider has seen what there is; an attempt that failed proves nothing about an earlier one.
fn has_seen(result: &ActionResult) -> bool {
    matches!(
        result,
        ActionResult::Done(_) | ActionResult::Looked(_) | ActionResult::Gone
    )
}

fn names(result: &ActionResult) -> bool {
    matches!(
        result,
        ActionResult::Done(_)
            | ActionResult::Looked(_)
            | ActionResult::LatePhysicalId { .. }
            | ActionResult::Failed(_)
            | ActionResult::NoVerdict { .. }
    )
}

/// What was declined never began: it requires what it did before, unless it has settled since.
fn declined_is_as_before(
    command: &Command,
    after: &Reference,
    id: InstanceId,
    old: Option<&InstanceRow>,
    new: Option<&InstanceRow>,
) -> Result<(), Broken> {
    let (Some(old), Some(new), CommandKind::Report { items }) = (old, new, &command.kind) else {
        return Ok(());
    };
    let Some(assignment) = old.assignment.as_ref() else {
        return Ok(());
    };
    // The first report under its token is the one that counts.
    let first = items.iter().find(|item| {
        item.instance == id
            && item.token == assignment.token
            && item.engine == assignment.engine
            && !matches!(item.result, ActionResult::LatePhysicalId { .. })
    });
    let declined = first.is_some_and(|item| matches!(item.result, ActionResult::Declined { .. }));
    let before = &assignment.requires_before;
    let more = new.requires.iter().find(|below| !before.contains(below));
    match more {
        Some(more)
            if declined && assignment.action == Action::Update && !after.settled[&new.resource] =>
        {
            let text = format!("i{id} declined its update, and requires i{more}");
            broken("what is declined is as before", text)
        }
        _ => Ok(()),
    }
}

fn deletion_is_one_way(
    command: &Command,
    id: InstanceId,
    old: &InstanceRow,
    new: &InstanceRow,
) -> Result<(), Broken> {
    if !old.delete_begun || new.delete_begun {
        return Ok(());
    }
    let declined = match &command.kind {
        CommandKind::Report { items } => items.iter().any(|item| {
            item.instance == id && matches!(item.result, ActionResult::Declined { .. })
        }),
        _ => false,
    };
    let first = old.assignment.as_ref().is_some_and(|a| a.first_delete);
    if declined && first {
        return Ok(());
    }
    broken(
        "deletion is one-way",
        format!("i{id} is wanted back by {:?}", command.kind),
    )
}

/// What was assigned in this entry was admissible in the state before it, as far as no earlier item of the
/// same entry is concerned.
fn started_rightly(before: &Reference, id: InstanceId, new: &InstanceRow) -> Result<(), Broken> {
    let assignment = new.assignment.as_ref().expect("checked");
    if assignment.chunk.is_some() {
        return Ok(());
    }
    let obstacle = match assignment.action {
        Action::Create | Action::Update => before.make_obstacle(new.resource),
        Action::Delete => before.delete_obstacle(id),
        Action::Look => before.look_obstacle(id),
    };
    match obstacle {
        None => Ok(()),
        Some(obstacle) => broken(
            "nothing starts too early",
            format!(
                "{} of i{id} (r{}) although {obstacle:?}",
                assignment.action, new.resource
            ),
        ),
    }
}
