//! The way back to an earlier revision: what the changes since then replaced, put together. The newest change is
//! undone first, so what an older one replaced wins. Pure, over stored rows.

use std::collections::BTreeMap;

use anneal_statemachine::{
    command::{Blob, Definition, Difference, Policy, SetResource},
    digest::Digest,
    id::{Revision, StackId, Text},
    row::DesiredRow,
};
use anneal_template::Needs;

use super::{
    reading::{StackNow, Stored, each_desired},
    refusal::Refused,
};

/// The difference that leads from the newest revision back to `to`.
///
/// # Errors
/// If a change since then is not kept any more, or rows can't be read.
pub fn rollback_difference(
    stored: &dyn Stored,
    now: &StackNow,
    to: Revision,
) -> Result<Difference, Refused> {
    if to == Revision(0) {
        return Ok(to_nothing(stored, now));
    }
    let mut back = Back {
        head: now.head,
        parameters: now.parameters,
        options: now.options.clone(),
        resources: BTreeMap::new(),
    };
    for undone in (to.0 + 1..=now.revision.0).rev().map(Revision) {
        back.undo(stored, now.id, undone)?;
    }
    back.difference(stored, now)
}

/// Before the first revision nothing was.
fn to_nothing(stored: &dyn Stored, now: &StackNow) -> Difference {
    let mut remove = Vec::new();
    each_desired(stored, now.id, |name, _| remove.push(name));
    Difference {
        remove,
        ..Difference::default()
    }
}

/// The stack as it was, as far as it was touched since.
struct Back {
    head: Option<Digest>,
    parameters: Option<Digest>,
    options: anneal_statemachine::command::StackOptions,
    resources: BTreeMap<Text, Option<DesiredRow>>,
}

impl Back {
    fn undo(
        &mut self,
        stored: &dyn Stored,
        stack: StackId,
        undone: Revision,
    ) -> Result<(), Refused> {
        let replaced = stored
            .revision(stack, undone)?
            .ok_or(Refused::RevisionGone(undone.0.saturating_sub(1)))?;
        self.head = replaced.head;
        self.parameters = replaced.parameters;
        self.options = replaced.options;
        self.resources.extend(stored.past(stack, undone)?);
        Ok(())
    }

    fn difference(self, stored: &dyn Stored, now: &StackNow) -> Result<Difference, Refused> {
        let mut set = Vec::new();
        let mut remove = Vec::new();
        for (name, was) in self.resources {
            let is = stored.desired(now.id, &name);
            match (was, is) {
                (None, None) => {}
                (None, Some(_)) => remove.push(name),
                (Some(was), is) if is.as_ref().is_some_and(|is| is_as_it_was(is, &was)) => {}
                (Some(was), _) => set.push(set_again(stored, name, was)?),
            }
        }
        Ok(Difference {
            set: in_order(set),
            remove,
            head: blob_again(stored, now.head, self.head)?,
            parameters: blob_again(stored, now.parameters, self.parameters)?,
            options: Some(self.options).filter(|options| *options != now.options),
        })
    }
}

/// The revision that said so does not matter.
fn is_as_it_was(is: &DesiredRow, was: &DesiredRow) -> bool {
    DesiredRow {
        revision: was.revision,
        ..is.clone()
    } == *was
}

fn set_again(stored: &dyn Stored, name: Text, was: DesiredRow) -> Result<SetResource, Refused> {
    let definition = match was.definition {
        None => None,
        Some(digest) => {
            let kept = stored.definition(digest)?;
            Some(Definition {
                digest,
                type_name: kept.type_name,
                body: kept.body,
                references: kept.references.into(),
                depends_on: was.depends_on.into(),
                policy: was.policy.map_or_else(Policy::default, |policy| *policy),
                traits: was.traits,
            })
        }
    };
    Ok(SetResource {
        name,
        definition,
        fragment: Blob {
            digest: was.fragment,
            bytes: stored.blob(was.fragment)?,
        },
        parameters_used: was.parameters_used.into(),
    })
}

/// A stack that had no head, before its first revision, keeps the one it has: nothing can be less than nothing.
fn blob_again(
    stored: &dyn Stored,
    is: Option<Digest>,
    was: Option<Digest>,
) -> Result<Option<Blob>, Refused> {
    match was {
        Some(digest) if is != Some(digest) => {
            let bytes = stored.blob(digest)?;
            Ok(Some(Blob { digest, bytes }))
        }
        _ => Ok(None),
    }
}

/// What one requires comes before it; what is not set here exists.
fn in_order(set: Vec<SetResource>) -> Vec<SetResource> {
    let mut needs = Needs::among(set.len());
    let places: BTreeMap<&str, usize> = set.iter().map(|set| &*set.name).zip(0..).collect();
    for (place, set) in set.iter().enumerate() {
        let Some(definition) = &set.definition else {
            continue;
        };
        let referred = definition
            .references
            .iter()
            .map(|reference| &reference.resource);
        for name in referred.chain(&definition.depends_on) {
            if let Some(required) = places.get(&**name) {
                needs.add(place, *required);
            }
        }
    }
    let Ok(order) = needs.order() else {
        // An earlier revision was accepted without a circle; the check at the proposal says so if not.
        return set;
    };
    let mut set: Vec<Option<SetResource>> = set.into_iter().map(Some).collect();
    order
        .into_iter()
        .filter_map(|place| set[place].take())
        .collect()
}

#[cfg(test)]
mod tests {
    use anneal_statemachine::command::Reference;

    use super::*;
    use crate::submit::{
        difference::{
            from_nothing, from_now,
            tests::{declared, resource},
        },
        fake::Shelf,
        stored::blob,
    };

    fn change(shelf: &mut Shelf, resources: Vec<SetResource>) {
        let now = shelf.stack("default", "web").unwrap();
        let difference = from_now(shelf, &now, declared(resources));
        shelf.take(difference);
    }

    #[test]
    fn three_changes_are_undone_at_once_and_what_came_and_went_is_not_there() {
        let mut first = vec![resource("a", "1"), resource("b", "1")];
        let mut shelf = Shelf::with(from_nothing(declared(first.clone())));
        let before = shelf.content();
        change(
            &mut shelf,
            vec![resource("a", "2"), resource("passing", "1")],
        );
        change(&mut shelf, vec![resource("a", "3"), resource("new", "1")]);
        change(&mut shelf, vec![resource("a", "1"), resource("new", "1")]);

        let now = shelf.stack("default", "web").unwrap();
        let difference = rollback_difference(&shelf, &now, Revision(1)).unwrap();
        assert_eq!(
            difference.set,
            [first.remove(1)],
            "`a` is already as it was"
        );
        assert_eq!(difference.remove, ["new".into()]);
        shelf.take(difference);
        assert_eq!(shelf.content(), before);
    }

    #[test]
    fn back_to_nothing_removes_everything() {
        let shelf = Shelf::with(from_nothing(declared(vec![resource("a", "1")])));
        let now = shelf.stack("default", "web").unwrap();
        let difference = rollback_difference(&shelf, &now, Revision(0)).unwrap();
        assert_eq!(difference.remove, ["a".into()]);
        assert!(difference.set.is_empty() && difference.head.is_none());
    }

    #[test]
    fn a_revision_that_is_not_kept_is_said_to_be_gone() {
        let mut shelf = Shelf::with(from_nothing(declared(vec![resource("a", "1")])));
        change(&mut shelf, vec![resource("a", "2")]);
        change(&mut shelf, vec![resource("a", "3")]);
        shelf.forget(2);
        let now = shelf.stack("default", "web").unwrap();
        assert_eq!(
            rollback_difference(&shelf, &now, Revision(1)),
            Err(Refused::RevisionGone(1))
        );
        assert!(rollback_difference(&shelf, &now, Revision(2)).is_ok());
    }

    #[test]
    fn what_comes_back_comes_after_what_it_requires() {
        let mut dependent = resource("a", "1");
        let definition = dependent.definition.as_mut().unwrap();
        definition.references.push(Reference {
            resource: "z".into(),
            attribute: None,
        });
        definition.digest = anneal_statemachine::digest::definition_digest("T", b"a");
        let mut shelf = Shelf::with(from_nothing(declared(vec![resource("z", "1"), dependent])));
        change(&mut shelf, Vec::new());
        let now = shelf.stack("default", "web").unwrap();
        let set = rollback_difference(&shelf, &now, Revision(1)).unwrap().set;
        let names: Vec<&str> = set.iter().map(|set| &*set.name).collect();
        assert_eq!(names, ["z", "a"]);
        assert_eq!(set[0].fragment, blob(b"1".to_vec()));
    }
}
