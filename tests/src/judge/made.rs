//! Made twice: more than one object for one instance.

use std::collections::{BTreeMap, BTreeSet};

use super::calls;
use crate::cloud::{Did, Happened, Record};

#[derive(Default)]
struct Instance {
    live: BTreeSet<String>,
    /// The key of the last create that had an effect.
    key: Option<Option<String>>,
    looked_since: bool,
}

/// Instances that were made twice: two of their objects existed at a time, or one was made a second time, under
/// another key, without anybody having looked in between; or a second time under the very key.
pub fn made_twice(journal: &[Record]) -> Vec<String> {
    let calls = calls(journal);
    let mut instances: BTreeMap<&str, Instance> = BTreeMap::new();
    let mut whose: BTreeMap<&str, &str> = BTreeMap::new();
    let mut guilty = Vec::new();
    for record in journal {
        let gone = match &record.what {
            Happened::RemovedByHand { id } | Happened::Effect(Did::Deleted { id }) => id,
            Happened::Effect(did) => {
                let Some(call) = calls.get(&record.call) else {
                    continue;
                };
                let instance = instances.entry(&call.instance).or_default();
                match did {
                    Did::Looked { .. } | Did::Missing => instance.looked_since = true,
                    Did::Created { id, .. } => {
                        let place = format!(
                            "{}/{} ({}) call {}",
                            call.stack, call.name, call.instance, record.call
                        );
                        if !instance.live.is_empty() {
                            guilty.push(format!(
                                "{place}: {id} was made while {:?} exist",
                                instance.live
                            ));
                        } else if instance.key.as_ref().is_some_and(|key| *key == call.key)
                            && call.key.is_some()
                        {
                            guilty.push(format!("{place}: {id} was made again under its key"));
                        } else if instance.key.is_some() && !instance.looked_since {
                            guilty.push(format!("{place}: {id} was made again without a look"));
                        }
                        instance.live.insert(id.clone());
                        instance.key = Some(call.key.clone());
                        instance.looked_since = false;
                        whose.insert(id, &call.instance);
                    }
                    _ => {}
                }
                continue;
            }
            _ => continue,
        };
        if let Some(instance) = whose
            .get(gone.as_str())
            .and_then(|whose| instances.get_mut(whose))
        {
            instance.live.remove(gone);
        }
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::guilty::Story;

    #[test]
    fn two_objects_of_one_instance_at_a_time_are_one_too_many() {
        let story = Story::default().creates("i", "k", 1, "o1");
        assert_eq!(made_twice(&story.told()), [""; 0]);
        let story = Story::default()
            .creates("i", "k", 1, "o1")
            .looks("i", 2, 1)
            .creates("i", "k2", 2, "o2");
        assert_eq!(made_twice(&story.told()).len(), 1);
    }

    #[test]
    fn a_second_key_without_a_look_is_guilty_even_if_the_first_object_is_gone() {
        let blind = Story::default()
            .creates("i", "k", 1, "o1")
            .removed_by_hand("o1")
            .creates("i", "k2", 2, "o2");
        assert_eq!(made_twice(&blind.told()).len(), 1);
        let looking = Story::default()
            .creates("i", "k", 1, "o1")
            .removed_by_hand("o1")
            .looks("i", 2, 0)
            .creates("i", "k2", 3, "o2");
        assert_eq!(made_twice(&looking.told()), [""; 0]);
    }

    #[test]
    fn other_instances_have_objects_of_their_own() {
        let story = Story::default()
            .creates("i", "k", 1, "o1")
            .creates("j", "l", 2, "o2")
            .deletes("i", 3, "o1");
        assert_eq!(made_twice(&story.told()), [""; 0]);
    }
}
