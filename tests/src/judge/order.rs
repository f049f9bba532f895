//! Out of order: something was made or changed to refer to what did not exist, or removed while it was referred to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Event, calls};
use crate::cloud::{Body, Did, Happened, Record};

/// So begins what is told of an instance that is deleted although others refer to it, as its successor can't be made before.
const MAKES_WAY: &str = "makes way for its successor";

/// Effects that came too early or too late. What was removed by hand excuses both; that the cluster had said before that
/// it is to make way excuses the removal of what was made before that was said.
pub fn out_of_order<'a>(
    journal: &[Record],
    events: impl IntoIterator<Item = &'a Event>,
) -> Vec<String> {
    let mut ways: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
    for event in events {
        if event.kind == "replacing" && event.text.starts_with(MAKES_WAY) {
            let whose = (event.stack.as_str(), event.resource.as_str());
            ways.entry(whose).or_default().insert(event.index);
        }
    }
    let calls = calls(journal);
    let token = |call: u64| calls.get(&call).map_or(0, |call| call.token);
    let mut live: BTreeMap<&str, (u64, &Body)> = BTreeMap::new();
    let mut by_hand: BTreeSet<&str> = BTreeSet::new();
    let mut guilty = Vec::new();
    for record in journal {
        match &record.what {
            Happened::RemovedByHand { id } => {
                live.remove(id.as_str());
                by_hand.insert(id);
            }
            Happened::Effect(Did::Created { id, body } | Did::Updated { id, body }) => {
                for other in &body.refs {
                    if !live.contains_key(other.as_str()) && !by_hand.contains(other.as_str()) {
                        guilty.push(format!(
                            "call {}: {id} ({}/{}) refers to {other}, which does not exist",
                            record.call, body.stack, body.name
                        ));
                    }
                }
                let made = live.get(id.as_str()).map(|(made, _)| *made);
                live.insert(id, (made.unwrap_or_else(|| token(record.call)), body));
            }
            Happened::Effect(Did::Deleted { id }) => {
                let gone = live.remove(id.as_str());
                let makes_way = gone.is_some_and(|(made, body)| {
                    let said = ways.get(&(body.stack.as_str(), body.name.as_str()));
                    let then = made + 1..=token(record.call);
                    said.is_some_and(|said| !then.is_empty() && said.range(then).next().is_some())
                });
                if makes_way {
                    continue;
                }
                for (user, (_, body)) in &live {
                    if body.refs.contains(id) {
                        guilty.push(format!(
                            "call {}: {id} ({}) was removed while {user} ({}/{}) refers to it",
                            record.call,
                            gone.map_or("?", |(_, body)| &body.name),
                            body.stack,
                            body.name
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cloud::Operation,
        judge::guilty::{Story, body, created},
    };

    fn user_of(story: Story, id: &str, of: &[&str]) -> Story {
        story.call(Operation::Create, id, Some("k"), 9, created(id, of))
    }

    #[test]
    fn what_refers_to_nothing_was_made_too_early() {
        let early = user_of(Story::default(), "o2", &["o1"]).creates("i", "k", 1, "o1");
        assert_eq!(out_of_order(&early.told(), []).len(), 1);
        let right = user_of(Story::default().creates("i", "k", 1, "o1"), "o2", &["o1"]);
        assert_eq!(out_of_order(&right.told(), []), [""; 0]);
    }

    #[test]
    fn what_is_still_referred_to_was_removed_too_early() {
        let base = || user_of(Story::default().creates("i", "k", 1, "o1"), "o2", &["o1"]);
        let early = base().deletes("i", 3, "o1");
        assert_eq!(out_of_order(&early.told(), []).len(), 1);
        let did = Did::Updated {
            id: "o2".to_owned(),
            body: body(&[]),
        };
        let right = base()
            .call(Operation::Update, "o2", Some("u"), 4, did)
            .deletes("i", 5, "o1");
        assert_eq!(out_of_order(&right.told(), []), [""; 0]);
    }

    #[test]
    fn what_is_said_to_make_way_may_go_first() {
        let base = Story::default().creates("i", "k", 2, "o1");
        let journal = user_of(base, "o2", &["o1"]).deletes("i", 12, "o1").told();
        let said = |index, resource: &str| Event {
            index,
            stack: "s".to_owned(),
            resource: resource.to_owned(),
            kind: "replacing".to_owned(),
            text: format!("{MAKES_WAY}, though r2 still referred to it"),
            ..Event::default()
        };
        assert_eq!(out_of_order(&journal, &[said(12, "r")]), [""; 0]);
        assert_eq!(
            out_of_order(&journal, &[said(13, "r")]).len(),
            1,
            "said after it"
        );
        assert_eq!(
            out_of_order(&journal, &[said(2, "r")]).len(),
            1,
            "said of an earlier one"
        );
        assert_eq!(
            out_of_order(&journal, &[said(12, "q")]).len(),
            1,
            "said of another"
        );
    }

    #[test]
    fn a_hand_excuses() {
        let base = Story::default()
            .creates("i", "k", 1, "o1")
            .removed_by_hand("o1");
        assert_eq!(
            out_of_order(&user_of(base, "o2", &["o1"]).told(), []),
            [""; 0]
        );
    }
}
