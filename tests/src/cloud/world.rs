//! The objects, and what calls do to them. No clock, no network: effects are values.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::journal::{Body, Did, Operation};

/// An object that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its id; never used again.
    pub id: String,
    /// The tag that it was made with.
    pub instance: String,
    /// What its owner said.
    #[serde(flatten)]
    pub body: Body,
}

/// What a call brings.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) instance: String,
    pub(crate) key: Option<String>,
    /// The token, if it is to fence.
    pub(crate) fence: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) body: Option<Body>,
}

/// All objects.
#[derive(Debug, Default)]
pub struct World {
    objects: BTreeMap<String, Object>,
    made: u64,
    /// Answers by key.
    answers: HashMap<String, Object>,
    /// The largest fencing token seen, by tag.
    seen: HashMap<String, u64>,
}

impl World {
    /// Every object.
    pub fn inventory(&self) -> Vec<Object> {
        self.objects.values().cloned().collect()
    }

    /// Takes a call: what it did, and the objects to answer with.
    pub(crate) fn take(
        &mut self,
        call: &Call,
        honours_keys: bool,
        fences: bool,
    ) -> (Did, Vec<Object>) {
        if let Some(token) = call.fence.filter(|_| fences) {
            let seen = self.seen.entry(call.instance.clone()).or_default();
            if token < *seen {
                return (Did::Fenced { seen: *seen }, Vec::new());
            }
            *seen = token;
        }
        match call.operation {
            Operation::Find => {
                let of_tag = |object: &&Object| object.instance == call.instance;
                let found: Vec<_> = self.objects.values().filter(of_tag).cloned().collect();
                (Did::Looked { found: found.len() }, found)
            }
            Operation::Read => match self.named(call) {
                Some(object) => (Did::Looked { found: 1 }, vec![object]),
                None => (Did::Missing, Vec::new()),
            },
            Operation::Create => self.create(call, honours_keys),
            Operation::Update => self.update(call),
            Operation::Delete => {
                let gone = call.id.as_ref().and_then(|id| self.objects.remove(id));
                match gone {
                    Some(Object { id, .. }) => (Did::Deleted { id }, Vec::new()),
                    None => (Did::Missing, Vec::new()),
                }
            }
        }
    }

    fn named(&self, call: &Call) -> Option<Object> {
        self.objects.get(call.id.as_ref()?).cloned()
    }

    fn create(&mut self, call: &Call, honours_keys: bool) -> (Did, Vec<Object>) {
        let Some(body) = call.body.clone() else {
            return (Did::Refused, Vec::new());
        };
        let key = call.key.as_ref().filter(|_| honours_keys);
        if let Some(first) = key.and_then(|key| self.answers.get(key)) {
            let id = first.id.clone();
            return (Did::Replayed { id }, vec![first.clone()]);
        }
        self.made += 1;
        let object = Object {
            id: format!("o{}", self.made),
            instance: call.instance.clone(),
            body: body.clone(),
        };
        self.objects.insert(object.id.clone(), object.clone());
        if let Some(key) = key {
            self.answers.insert(key.clone(), object.clone());
        }
        let id = object.id.clone();
        (Did::Created { id, body }, vec![object])
    }

    fn update(&mut self, call: &Call) -> (Did, Vec<Object>) {
        let Some(body) = call.body.clone() else {
            return (Did::Refused, Vec::new());
        };
        match call.id.as_ref().and_then(|id| self.objects.get_mut(id)) {
            Some(object) => {
                object.body = body.clone();
                let id = object.id.clone();
                (Did::Updated { id, body }, vec![object.clone()])
            }
            None => (Did::Missing, Vec::new()),
        }
    }

    /// Removes an object behind everybody's back; whether it was there.
    pub fn remove_by_hand(&mut self, id: &str) -> bool {
        self.objects.remove(id).is_some()
    }

    /// Changes an object behind everybody's back; whether it was there.
    pub fn change_by_hand(&mut self, id: &str, value: u64) -> bool {
        let object = self.objects.get_mut(id);
        object.map(|object| object.body.value = value).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(key: &str, token: u64) -> Call {
        Call {
            operation: Operation::Create,
            instance: "i".to_owned(),
            key: Some(key.to_owned()),
            fence: Some(token),
            id: None,
            body: Some(Body::default()),
        }
    }

    #[test]
    fn a_key_has_one_effect_only_where_keys_are_honoured() {
        let mut world = World::default();
        world.take(&create("k", 1), true, true);
        let (again, _) = world.take(&create("k", 2), true, true);
        assert_eq!(again, Did::Replayed { id: "o1".into() });
        let (careless, _) = world.take(&create("k", 3), false, true);
        assert!(matches!(careless, Did::Created { .. }));
        assert_eq!(world.inventory().len(), 2);
    }

    #[test]
    fn a_look_with_a_token_makes_it_refuse_smaller_ones() {
        let mut world = World::default();
        let look = Call {
            operation: Operation::Find,
            body: None,
            ..create("k", 5)
        };
        world.take(&look, true, true);
        let (late, _) = world.take(&create("k", 4), true, true);
        assert_eq!(late, Did::Fenced { seen: 5 });
        let (open, _) = world.take(&create("k", 4), true, false);
        assert!(matches!(open, Did::Created { .. }));
    }
}
