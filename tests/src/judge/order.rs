//! Out of order: something was made or changed to refer to what did not exist, or removed while it was referred to.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::{Body, Did, Happened, Record};

/// Effects that came too early or too late. What was removed by hand excuses both.
pub fn out_of_order(journal: &[Record]) -> Vec<String> {
    let mut live: BTreeMap<&str, &Body> = BTreeMap::new();
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
                live.insert(id, body);
            }
            Happened::Effect(Did::Deleted { id }) => {
                let gone = live.remove(id.as_str());
                for (user, body) in &live {
                    if body.refs.contains(id) {
                        guilty.push(format!(
                            "call {}: {id} ({}) was removed while {user} ({}/{}) refers to it",
                            record.call,
                            gone.map_or("?", |body| &body.name),
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
        assert_eq!(out_of_order(&early.told()).len(), 1);
        let right = user_of(Story::default().creates("i", "k", 1, "o1"), "o2", &["o1"]);
        assert_eq!(out_of_order(&right.told()), [""; 0]);
    }

    #[test]
    fn what_is_still_referred_to_was_removed_too_early() {
        let base = || user_of(Story::default().creates("i", "k", 1, "o1"), "o2", &["o1"]);
        let early = base().deletes("i", 3, "o1");
        assert_eq!(out_of_order(&early.told()).len(), 1);
        let did = Did::Updated {
            id: "o2".to_owned(),
            body: body(&[]),
        };
        let right = base()
            .call(Operation::Update, "o2", Some("u"), 4, did)
            .deletes("i", 5, "o1");
        assert_eq!(out_of_order(&right.told()), [""; 0]);
    }

    #[test]
    fn a_hand_excuses() {
        let base = Story::default()
            .creates("i", "k", 1, "o1")
            .removed_by_hand("o1");
        assert_eq!(out_of_order(&user_of(base, "o2", &["o1"]).told()), [""; 0]);
    }
}
