//! A patch of what has not begun, a pause and a cancel, in the midst of a convergence.

use std::time::Instant;

use serde_json::Value;

use crate::bench::{
    ground::Ground,
    operation::STACK,
    patch::document,
    shape::{Change, Shape},
};

/// One change, and what followed.
pub(super) struct Sample {
    /// From the start of the command line to its return, milliseconds.
    pub(super) committed_ms: f64,
    /// To the moment when all that had begun is at its end, or the patched resource is settled; milliseconds.
    pub(super) effective_ms: f64,
    /// Resources whose making was reported after a pause or a cancel. Whether one of them began after it is not to be seen
    /// from outside: there is no event of a start.
    pub(super) made_after: Option<u64>,
    /// Whether a patched resource was first made as it was declared before. It may have begun before the patch.
    pub(super) made_outdated: Option<bool>,
}

/// The kinds of change with what was seen of each. A change that came too late, to a stack that had converged or a
/// resource that had begun, is no sample.
pub(super) fn measure(
    ground: &Ground,
    size: usize,
    rounds: u32,
) -> Result<Vec<(&'static str, Vec<Sample>)>, String> {
    let [mut patches, mut pauses, mut cancels] = [Vec::new(), Vec::new(), Vec::new()];
    ground.put("bench.json", &Shape::Flat.template(size, Change::Nothing))?;
    for round in 0..rounds {
        // Each in a convergence of its own: the one before may have taken most of it.
        let converging = |change: &dyn Fn() -> Result<Option<Sample>, String>| {
            ground.timed(&["stack", "create", STACK, "-f", "bench.json"])?;
            let sample = change()?;
            ground.converged(STACK, Instant::now())?;
            ground.timed_to_end(&["stack", "delete", STACK])?;
            Ok::<_, String>(sample)
        };
        patches.extend(converging(&|| patch(ground, size, round))?);
        pauses.extend(converging(&|| interrupt(ground, "pause"))?);
        cancels.extend(converging(&|| interrupt(ground, "cancel"))?);
    }
    Ok(vec![
        ("patch of a resource not begun", patches),
        ("pause", pauses),
        ("cancel", cancels),
    ])
}

/// Patches the last resource, if it has not begun.
fn patch(ground: &Ground, size: usize, round: u32) -> Result<Option<Sample>, String> {
    let name = format!("r{}", size - 1);
    ground.put("patch.json", &document(size - 1, round))?;
    let began = Instant::now();
    let committed = ground.timed(&["stack", "patch", STACK, "-f", "patch.json"])?;
    let show = ["resource", "show", STACK, &name];
    let ((), settled) = ground.until("the patched resource settles", began, || {
        Ok((ground.json(&show)?["phase"] == "settled").then_some(()))
    })?;
    let of_stack = events(ground, &[])?;
    let of_resource = events(ground, &["--resource", &name])?;
    let changed = last(&of_stack, "revised");
    let made = last(&of_resource, "created");
    // Made before the change: it came too late.
    if made <= changed {
        return Ok(None);
    }
    // Then it has to be updated, too.
    let outdated = last(&of_resource, "updated").is_some();
    Ok(Some(Sample {
        committed_ms: committed.as_secs_f64() * 1e3,
        effective_ms: settled.max(committed).as_secs_f64() * 1e3,
        made_after: None,
        made_outdated: Some(outdated),
    }))
}

/// Pauses or cancels, waits until nothing runs, and resumes.
fn interrupt(ground: &Ground, verb: &str) -> Result<Option<Sample>, String> {
    let began = Instant::now();
    let committed = ground.timed(&["stack", verb, STACK])?;
    let ((), quiet) = ground.until("nothing runs", began, || {
        let shown = ground.json(&["stack", "show", STACK])?;
        Ok((shown["counts"]["in_flight"] == 0).then_some(()))
    })?;
    let shown = ground.json(&["stack", "show", STACK])?;
    let interrupted = shown["counts"]["settled"] != shown["counts"]["total"];
    let after = made_after(
        &events(ground, &[])?,
        if verb == "pause" {
            "paused"
        } else {
            "cancelled"
        },
    );
    ground.timed(&["stack", "resume", STACK])?;
    Ok(interrupted.then(|| Sample {
        committed_ms: committed.as_secs_f64() * 1e3,
        effective_ms: quiet.max(committed).as_secs_f64() * 1e3,
        made_after: Some(after),
        made_outdated: None,
    }))
}

fn events(ground: &Ground, of: &[&str]) -> Result<Vec<Value>, String> {
    match ground.json(&[&["stack", "events", STACK], of].concat())? {
        Value::Array(events) => Ok(events),
        other => Err(format!("`stack events` is no listing: {other}")),
    }
}

/// Log index of the last event of a kind.
fn last(events: &[Value], kind: &str) -> Option<u64> {
    let of_kind = events.iter().filter(|event| event["kind"] == kind);
    of_kind.filter_map(|event| event["index"].as_u64()).max()
}

/// How many were made after the last event of a kind.
fn made_after(events: &[Value], kind: &str) -> u64 {
    let changed = last(events, kind);
    let made = events.iter().filter(|event| event["kind"] == "created");
    let after = made.filter(|event| event["index"].as_u64() > changed);
    after.count() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_ends_after_the_last_pause_counts() {
        let event = |index: u64, kind: &str| json!({"index": index, "kind": kind});
        let events = [
            event(1, "paused"),
            event(2, "created"),
            event(3, "paused"),
            event(4, "created"),
            event(4, "created"),
            event(5, "created"),
        ];
        assert_eq!(made_after(&events, "paused"), 3);
        assert_eq!(last(&events, "resumed"), None);
    }
}
