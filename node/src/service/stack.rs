//! A stack as the wire has it. What is read under the state's lock is copied there and dressed up outside.

use anneal_proto::v1;
use anneal_statemachine::{
    StateMachine,
    command::{Drift, OnFailure, StackOptions},
    digest::Digest,
    id::StackId,
    row::StackRow,
    view::{Counts, Phase, StackView, Status},
};

use super::outputs::Showing;
use crate::submit::stored_head;

/// Failed resources that a stack's reason names.
const NAMED: usize = 3;
/// Resources looked at to find them: the reason is read with every listing, and must stay cheap.
const LOOKED_AT: usize = 1000;

/// A stack without its outputs, and where these are.
pub(crate) struct Seen {
    pub(crate) stack: v1::Stack,
    pub(crate) head: Option<Digest>,
}

/// Copies what is to be shown of a stack; under the lock.
pub(crate) fn see(state: &StateMachine, id: StackId) -> Option<Seen> {
    let view = state.stack(id).filter(|view| view.row.named)?;
    let stack = v1::Stack {
        name: view.row.name.to_string(),
        namespace: view.row.namespace.to_string(),
        id: id.0,
        revision: view.row.revision.0,
        status: view.status.word().to_owned(),
        reason: reason(state, &view),
        counts: Some(counts(&view.counts)),
        outputs: Vec::new(),
        options: Some(options(&view.row.options)),
        settled_revision: view.row.settled_revision.0,
        description: String::new(),
        created_ms: view.row.created_wall_ms,
        updated_ms: view.row.revised_wall_ms,
        stuck: view.status != Status::Converged && !view.can_move,
    };
    Some(Seen {
        stack,
        head: view.row.head,
    })
}

/// Adds what stands in the head: description and outputs.
pub(crate) fn dress(seen: Seen, showing: &Showing<'_>) -> v1::Stack {
    let mut stack = seen.stack;
    let Some(head) = seen
        .head
        .and_then(|digest| stored_head(showing.replica, digest).ok())
    else {
        return stack;
    };
    stack.outputs = head
        .outputs
        .iter()
        .map(|output| showing.output(output))
        .collect();
    stack.description = head.description;
    stack
}

/// A stack that is gone, as the last that is said about it.
pub(crate) fn gone(namespace: &str, name: &str, id: u64) -> v1::Stack {
    v1::Stack {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        id,
        status: Status::Deleted.word().to_owned(),
        counts: Some(v1::Counts::default()),
        ..Default::default()
    }
}

fn counts(counts: &Counts) -> v1::Counts {
    v1::Counts {
        waiting: counts.waiting,
        ready: counts.ready,
        in_flight: counts.in_flight,
        settled: counts.settled,
        failed: counts.failed,
        on_hold: counts.on_hold,
        unwanted: counts.unwanted,
        total: counts.total(),
    }
}

/// The options as the wire has them; everything is said.
pub(crate) fn options(options: &StackOptions) -> v1::StackOptions {
    let on_failure = match options.on_failure {
        OnFailure::Continue => v1::OnFailure::Continue,
        OnFailure::Halt => v1::OnFailure::Halt,
        OnFailure::Rollback => v1::OnFailure::Rollback,
    };
    let drift = match options.drift {
        Drift::Heal => v1::DriftPolicy::Heal,
        Drift::Report => v1::DriftPolicy::Report,
    };
    v1::StackOptions {
        on_failure: on_failure.into(),
        timeout_ms: Some(options.timeout_ms.unwrap_or_default()),
        drift: drift.into(),
        observe_interval_ms: Some(options.observe_interval_ms),
        parallelism: Some(options.parallelism.unwrap_or_default()),
        protect: Some(options.protect),
    }
}

/// Why it is not converged, most important first.
pub(crate) fn reason(state: &StateMachine, view: &StackView<'_>) -> String {
    let mut reasons = Vec::new();
    if let Some(stops) = view.stops {
        reasons.push(stops.to_string());
    }
    for (phase, count) in [
        (Phase::Failed, view.counts.failed),
        (Phase::OnHold, view.counts.on_hold),
    ] {
        if count > 0 {
            reasons.push(named(state, view.id, phase, count));
        }
    }
    if reasons.is_empty() && !view.can_move && view.status != Status::Converged {
        reasons.extend(first_reason(state, view.id, view.row));
    }
    if view.drifted > 0 {
        reasons.push(format!("{} drifted, which is only reported", view.drifted));
    }
    reasons.join("; ")
}

fn named(state: &StateMachine, stack: StackId, phase: Phase, count: u64) -> String {
    let mut names: Vec<String> = state
        .resources_after(stack, None)
        .take(LOOKED_AT)
        .filter_map(|id| state.resource(id))
        .filter(|resource| resource.phase == Some(phase))
        .take(NAMED)
        .map(|resource| resource.name.to_string())
        .collect();
    let more = count.saturating_sub(names.len() as u64);
    if more > 0 && !names.is_empty() {
        names.push(format!("{more} more"));
    }
    let what = match phase {
        Phase::OnHold => "on hold, a person decides",
        _ => "failed",
    };
    match names.is_empty() {
        true => format!("{count} {what}"),
        false => format!("{what}: {}", names.join(", ")),
    }
}

/// Nothing can move, nothing failed: what the first that waits says.
fn first_reason(state: &StateMachine, stack: StackId, row: &StackRow) -> Option<String> {
    let waits = |id| {
        let resource = state.resource(id)?;
        let unwanted = resource.phase == Some(Phase::Unwanted);
        if resource.phase == Some(Phase::Settled) {
            return None;
        }
        let reason = state.explain(id)?;
        let from_stack = unwanted && row.deleting;
        let to_go = if from_stack { " (to be deleted)" } else { "" };
        Some(format!("{}{to_go}: {reason}", resource.name))
    };
    state
        .resources_after(stack, None)
        .take(LOOKED_AT)
        .find_map(waits)
}
