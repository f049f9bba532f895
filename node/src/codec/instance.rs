//! The row of an instance.

use anneal_proto::log::v1 as proto;
use anneal_statemachine::{
    id::{InstanceId, ResourceId, Token},
    row::{Action, AssignmentRow, EffectRow, InstanceRow, Observed, Output, ReportedDrift, Role},
};

use super::{DecodeError, parts};

pub(super) fn instance(row: &InstanceRow) -> proto::InstanceRow {
    let deposed = match row.role {
        Role::Current => None,
        Role::Deposed {
            since,
            before_successor,
        } => Some(proto::Deposed {
            since,
            before_successor,
        }),
    };
    proto::InstanceRow {
        resource: row.resource.0,
        deposed,
        origin: row.origin.0,
        traits: Some(parts::traits(&row.traits)),
        host: parts::optional_text(&row.host),
        physical_id: parts::optional_text(&row.physical_id),
        definition: parts::digest(&row.definition),
        fingerprint: row.fingerprint.as_ref().map(parts::digest),
        outputs: row.outputs.iter().map(output).collect(),
        requires: numbers(&row.requires),
        observed: observed(row.observed).into(),
        seen_present: row.seen_present,
        delete_begun: row.delete_begun,
        condemned: row.condemned,
        lost_once: row.lost_once,
        on_hold: row.on_hold,
        drift: drift(row.drift).into(),
        assignment: row.assignment.as_deref().map(assignment),
        effect: row.effect.as_deref().map(effect),
        last_change: row.last_change,
    }
}

pub(super) fn read_instance(row: proto::InstanceRow) -> Result<InstanceRow, DecodeError> {
    let role = match row.deposed {
        None => Role::Current,
        Some(proto::Deposed {
            since,
            before_successor,
        }) => Role::Deposed {
            since,
            before_successor,
        },
    };
    Ok(InstanceRow {
        resource: ResourceId(row.resource),
        role,
        origin: InstanceId(row.origin),
        traits: parts::read_traits(row.traits),
        host: parts::read_optional_text(row.host),
        physical_id: parts::read_optional_text(row.physical_id),
        definition: parts::read_digest(&row.definition)?,
        fingerprint: parts::read_optional_digest(row.fingerprint)?,
        outputs: row
            .outputs
            .into_iter()
            .map(read_output)
            .collect::<Result<_, _>>()?,
        requires: read_numbers(row.requires),
        observed: read_observed(row.observed)?,
        seen_present: row.seen_present,
        delete_begun: row.delete_begun,
        condemned: row.condemned,
        lost_once: row.lost_once,
        on_hold: row.on_hold,
        drift: read_drift(row.drift)?,
        assignment: row
            .assignment
            .map(read_assignment)
            .transpose()?
            .map(Box::new),
        effect: row.effect.map(read_effect).transpose()?.map(Box::new),
        last_change: row.last_change,
    })
}

fn numbers(ids: &[InstanceId]) -> Vec<u64> {
    ids.iter().map(|id| id.0).collect()
}

fn read_numbers(ids: Vec<u64>) -> Box<[InstanceId]> {
    ids.into_iter().map(InstanceId).collect()
}

fn observed(observed: Observed) -> proto::ObservedState {
    match observed {
        Observed::Absent => proto::ObservedState::Absent,
        Observed::Unknown => proto::ObservedState::Unknown,
        Observed::Present { healthy: true } => proto::ObservedState::Present,
        Observed::Present { healthy: false } => proto::ObservedState::PresentUnhealthy,
    }
}

fn read_observed(value: i32) -> Result<Observed, DecodeError> {
    Ok(
        match parts::read_enum::<proto::ObservedState>(value, "observed state")? {
            proto::ObservedState::Absent => Observed::Absent,
            proto::ObservedState::Unknown => Observed::Unknown,
            proto::ObservedState::Present => Observed::Present { healthy: true },
            proto::ObservedState::PresentUnhealthy => Observed::Present { healthy: false },
        },
    )
}

fn drift(drift: Option<ReportedDrift>) -> proto::ReportedDrift {
    match drift {
        None => proto::ReportedDrift::None,
        Some(ReportedDrift::Vanished) => proto::ReportedDrift::Vanished,
        Some(ReportedDrift::Changed) => proto::ReportedDrift::Changed,
        Some(ReportedDrift::Unhealthy) => proto::ReportedDrift::Unhealthy,
    }
}

fn read_drift(value: i32) -> Result<Option<ReportedDrift>, DecodeError> {
    Ok(
        match parts::read_enum::<proto::ReportedDrift>(value, "drift")? {
            proto::ReportedDrift::None => None,
            proto::ReportedDrift::Vanished => Some(ReportedDrift::Vanished),
            proto::ReportedDrift::Changed => Some(ReportedDrift::Changed),
            proto::ReportedDrift::Unhealthy => Some(ReportedDrift::Unhealthy),
        },
    )
}

fn output(output: &Output) -> proto::Output {
    proto::Output {
        name: parts::optional_text(&output.name),
        digest: parts::digest(&output.digest),
    }
}

fn read_output(output: proto::Output) -> Result<Output, DecodeError> {
    Ok(Output {
        name: parts::read_optional_text(output.name),
        digest: parts::read_digest(&output.digest)?,
    })
}

fn action(action: Action) -> i32 {
    let action = match action {
        Action::Create => proto::Action::Create,
        Action::Update => proto::Action::Update,
        Action::Delete => proto::Action::Delete,
        Action::Look => proto::Action::Look,
    };
    action.into()
}

fn read_action(value: i32) -> Result<Action, DecodeError> {
    Ok(match parts::read_enum::<proto::Action>(value, "action")? {
        proto::Action::Unspecified => return Err(DecodeError::Missing("an action")),
        proto::Action::Create => Action::Create,
        proto::Action::Update => Action::Update,
        proto::Action::Delete => Action::Delete,
        proto::Action::Look => Action::Look,
    })
}

fn assignment(row: &AssignmentRow) -> proto::AssignmentRow {
    proto::AssignmentRow {
        engine: Some(parts::engine(&row.engine)),
        token: row.token.0,
        action: action(row.action),
        definition: parts::digest(&row.definition),
        not_after_ms: row.not_after_ms,
        chunk: row
            .chunk
            .map(|(chunk, place)| proto::ChunkPlace { chunk, place }),
        lost: row.lost,
        since_ms: row.since_ms,
        requires_before: numbers(&row.requires_before),
        requires_after: numbers(&row.requires_after),
        first_delete: row.first_delete,
        cut: numbers(&row.cut),
    }
}

fn read_assignment(row: proto::AssignmentRow) -> Result<AssignmentRow, DecodeError> {
    Ok(AssignmentRow {
        engine: parts::read_engine(row.engine)?,
        token: Token(row.token),
        action: read_action(row.action)?,
        definition: parts::read_digest(&row.definition)?,
        not_after_ms: row.not_after_ms,
        chunk: row.chunk.map(|place| (place.chunk, place.place)),
        lost: row.lost,
        since_ms: row.since_ms,
        requires_before: read_numbers(row.requires_before),
        requires_after: read_numbers(row.requires_after),
        first_delete: row.first_delete,
        cut: read_numbers(row.cut),
    })
}

fn effect(row: &EffectRow) -> proto::EffectRow {
    proto::EffectRow {
        key: row.key,
        action: action(row.action),
        definition: parts::digest(&row.definition),
        aim: row.aim.as_ref().map(parts::digest),
        not_after_ms: row.not_after_ms,
        in_doubt: row.in_doubt,
        seen_absent: row.seen_absent,
    }
}

fn read_effect(row: proto::EffectRow) -> Result<EffectRow, DecodeError> {
    Ok(EffectRow {
        key: row.key,
        action: read_action(row.action)?,
        definition: parts::read_digest(&row.definition)?,
        aim: parts::read_optional_digest(row.aim)?,
        not_after_ms: row.not_after_ms,
        in_doubt: row.in_doubt,
        seen_absent: row.seen_absent,
    })
}
