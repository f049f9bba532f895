//! Done without a call: the cluster says that it made or changed something, and no call did.

use std::collections::{BTreeMap, BTreeSet};

use super::{Event, calls};
use crate::cloud::{Did, Record};

/// Events that tell of a creation or an update of which the cloud knows nothing: no call for the resource, under a token
/// from before the event and after the last one told before it, that had such an effect or repeated its answer. An update
/// may also find by a look that the object is as it should be, after a way back for instance, and leave it; whether it was,
/// shows in what there is at the end.
pub fn done_without_a_call<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    journal: &[Record],
) -> Vec<String> {
    let mut created: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
    let mut updated = created.clone();
    for call in calls(journal).into_values() {
        let whose = (call.stack, call.name);
        match call.did {
            Some(Did::Created { .. }) => drop(created.entry(whose).or_default().insert(call.token)),
            Some(Did::Updated { .. }) => drop(updated.entry(whose).or_default().insert(call.token)),
            Some(Did::Replayed { .. }) => {
                created.entry(whose.clone()).or_default().insert(call.token);
                updated.entry(whose).or_default().insert(call.token);
            }
            Some(Did::Looked { found: 1.. }) => {
                updated.entry(whose).or_default().insert(call.token);
            }
            _ => {}
        }
    }
    let mut events: Vec<&Event> = events.into_iter().collect();
    events.sort_by_key(|event| event.index);
    let mut told: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut guilty = Vec::new();
    for event in events {
        let calls = match event.kind.as_str() {
            "created" => &created,
            "updated" => &updated,
            _ => continue,
        };
        // Tokens of one stack's resource: one from before the stack was made is of an earlier stack of that name.
        let whose = (event.stack.clone(), event.resource.clone());
        let before = told.insert(whose.clone(), event.index).unwrap_or(0);
        let from = before.max(event.stack_id);
        let has_call = calls
            .get(&whose)
            .is_some_and(|tokens| tokens.range(from..event.index).next().is_some());
        if !has_call {
            guilty.push(format!(
                "index {}: {}/{} is said to be {}, and no call did it",
                event.index, event.stack, event.resource, event.kind
            ));
        }
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::guilty::Story;

    fn event(kind: &str, index: u64, stack_id: u64) -> Event {
        Event {
            index,
            stack_id,
            stack: "s".to_owned(),
            resource: "r".to_owned(),
            kind: kind.to_owned(),
            ..Event::default()
        }
    }

    #[test]
    fn what_is_said_to_be_made_was_made_by_a_call_from_before() {
        let event = |index, stack_id| event("created", index, stack_id);
        let journal = Story::default().creates("i", "k", 7, "o1").told();
        assert_eq!(done_without_a_call(&[event(8, 3)], &journal), [""; 0]);
        assert_eq!(done_without_a_call(&[event(7, 3)], &journal).len(), 1);
        assert_eq!(done_without_a_call(&[event(12, 9)], &journal).len(), 1);
        assert_eq!(done_without_a_call(&[event(8, 3)], &[]).len(), 1);
    }

    #[test]
    fn an_update_may_find_that_nothing_is_to_be_done_but_it_has_to_look() {
        let updated = event("updated", 8, 3);
        let judged = |story: Story| done_without_a_call([&updated], &story.told()).len();
        assert_eq!(judged(Story::default().looks("i", 7, 1)), 0);
        assert_eq!(judged(Story::default().looks("i", 7, 0)), 1);
        assert_eq!(judged(Story::default().looks("i", 8, 1)), 1);
    }

    #[test]
    fn what_one_event_told_of_is_nothing_for_the_next() {
        let twice = [event("updated", 8, 3), event("updated", 12, 3)];
        let judged = |story: Story| done_without_a_call(&twice, &story.told()).len();
        assert_eq!(judged(Story::default().looks("i", 7, 1)), 1);
        assert_eq!(
            judged(Story::default().looks("i", 7, 1).looks("i", 9, 1)),
            0
        );
    }
}
