//! The difference between what was declared and what the stack is, by digest. Pure; knows nothing of texts.

use std::collections::HashMap;

use anneal_proto::v1;
use anneal_statemachine::{
    command::{Blob, Difference, Drift, OnFailure, Policy, SetResource, StackOptions},
    id::{StackId, Text},
    row::DesiredRow,
};

use super::reading::{StackNow, Stored, each_desired};

/// A whole declaration, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// What every resource should be, in dependency order.
    pub(crate) resources: Vec<SetResource>,
    pub(crate) head: Blob,
    pub(crate) parameters: Blob,
    pub(crate) options: StackOptions,
}

/// What leads from nothing to what was declared.
pub(crate) fn from_nothing(declared: Declared) -> Difference {
    Difference {
        set: declared.resources,
        remove: Vec::new(),
        head: Some(declared.head),
        parameters: Some(declared.parameters),
        options: Some(declared.options),
    }
}

/// What leads from what the stack is to what was declared.
pub(crate) fn from_now(stored: &dyn Stored, now: &StackNow, declared: Declared) -> Difference {
    let (set, remove) = resources(stored, now.id, declared.resources);
    Difference {
        set,
        remove,
        head: Some(declared.head).filter(|head| now.head != Some(head.digest)),
        parameters: Some(declared.parameters)
            .filter(|parameters| now.parameters != Some(parameters.digest)),
        options: Some(declared.options).filter(|options| now.options != *options),
    }
}

fn resources(
    stored: &dyn Stored,
    stack: StackId,
    declared: Vec<SetResource>,
) -> (Vec<SetResource>, Vec<Text>) {
    let places: HashMap<Text, usize> = declared
        .iter()
        .enumerate()
        .map(|(place, set)| (set.name.clone(), place))
        .collect();
    let mut unchanged = vec![false; declared.len()];
    let mut remove = Vec::new();
    each_desired(stored, stack, |name, desired| match places.get(&name) {
        Some(&place) => unchanged[place] = is_same(&desired, &declared[place]),
        None => remove.push(name),
    });
    let mut unchanged = unchanged.into_iter();
    let set = declared
        .into_iter()
        .filter(|_| !unchanged.next().unwrap_or_default())
        .collect();
    (set, remove)
}

/// Whether setting it would change nothing at all.
pub(crate) fn is_same(desired: &DesiredRow, set: &SetResource) -> bool {
    let beside =
        desired.fragment == set.fragment.digest && *desired.parameters_used == *set.parameters_used;
    let within = match &set.definition {
        None => desired.definition.is_none(),
        Some(definition) => {
            desired.definition == Some(definition.digest)
                && *desired.depends_on == *definition.depends_on
                && desired.policy.as_deref().unwrap_or(&Policy::default()) == &definition.policy
                && desired.traits == definition.traits
        }
    };
    beside && within
}

/// The options as they are to be: what is not given stays.
pub(crate) fn options(given: Option<v1::StackOptions>, before: StackOptions) -> StackOptions {
    let given = given.unwrap_or_default();
    let on_failure = match given.on_failure() {
        v1::OnFailure::Unspecified => before.on_failure,
        v1::OnFailure::Continue => OnFailure::Continue,
        v1::OnFailure::Halt => OnFailure::Halt,
        v1::OnFailure::Rollback => OnFailure::Rollback,
    };
    let drift = match given.drift() {
        v1::DriftPolicy::Unspecified => before.drift,
        v1::DriftPolicy::Heal => Drift::Heal,
        v1::DriftPolicy::Report => Drift::Report,
    };
    let some_unless_zero = |given: u64| Some(given).filter(|given| *given > 0);
    StackOptions {
        on_failure,
        timeout_ms: given.timeout_ms.map_or(before.timeout_ms, some_unless_zero),
        drift,
        observe_interval_ms: given
            .observe_interval_ms
            .unwrap_or(before.observe_interval_ms),
        parallelism: match given.parallelism {
            None => before.parallelism,
            Some(0) => None,
            some => some,
        },
        protect: given.protect.unwrap_or(before.protect),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use anneal_statemachine::{
        command::{Definition, TypeTraits},
        digest::definition_digest,
        id::Revision,
    };
    use bytes::Bytes;

    use super::*;
    use crate::submit::{fake::Shelf, stored::blob};

    pub(crate) fn resource(name: &str, body: &'static str) -> SetResource {
        SetResource {
            name: name.into(),
            definition: Some(Definition {
                digest: definition_digest("T", body.as_bytes()),
                type_name: "T".into(),
                body: Bytes::from(body),
                references: Vec::new(),
                depends_on: Vec::new(),
                policy: Policy::default(),
                traits: TypeTraits::default(),
            }),
            fragment: blob(body.as_bytes().to_vec()),
            parameters_used: Vec::new(),
        }
    }

    pub(crate) fn declared(resources: Vec<SetResource>) -> Declared {
        Declared {
            resources,
            head: blob(b"head".to_vec()),
            parameters: blob(b"parameters".to_vec()),
            options: StackOptions::default(),
        }
    }

    fn names(set: &[SetResource]) -> Vec<&str> {
        set.iter().map(|set| &*set.name).collect()
    }

    #[test]
    fn the_same_declaration_again_is_no_difference() {
        let resources = || {
            (0..1200)
                .map(|n| resource(&format!("r{n}"), "body"))
                .collect()
        };
        let shelf = Shelf::with(from_nothing(declared(resources())));
        let now = shelf.stack("default", "web").unwrap();
        let difference = from_now(&shelf, &now, declared(resources()));
        assert_eq!(difference, Difference::default());
    }

    #[test]
    fn only_what_is_new_gone_or_different_is_in_the_difference() {
        let shelf = Shelf::with(from_nothing(declared(vec![
            resource("a", "1"),
            resource("b", "1"),
            resource("c", "1"),
        ])));
        let now = shelf.stack("default", "web").unwrap();
        let declaration = declared(vec![
            resource("d", "1"),
            resource("b", "2"),
            resource("c", "1"),
        ]);
        let difference = from_now(&shelf, &now, declaration);
        assert_eq!(
            names(&difference.set),
            ["d", "b"],
            "in the order of the declaration"
        );
        assert_eq!(difference.remove, ["a".into()]);
        assert_eq!((difference.head, difference.options), (None, None));
    }

    #[test]
    fn a_policy_alone_is_a_difference_and_the_default_one_is_none() {
        let shelf = Shelf::with(from_nothing(declared(vec![resource("a", "1")])));
        let before = shelf.desired(StackId(1), "a").unwrap();
        let mut after = resource("a", "1");
        assert!(is_same(&before, &after));
        after.definition.as_mut().unwrap().policy.protect = true;
        assert!(!is_same(&before, &after));
        after.definition = None;
        assert!(!is_same(&before, &after));
        let left_out = DesiredRow {
            definition: None,
            revision: Revision(9),
            ..before
        };
        assert!(is_same(&left_out, &after));
    }

    #[test]
    fn options_that_are_not_given_stay_and_zero_means_none() {
        let before = StackOptions {
            timeout_ms: Some(5),
            parallelism: Some(3),
            protect: true,
            ..StackOptions::default()
        };
        assert_eq!(options(None, before.clone()), before);
        let given = v1::StackOptions {
            timeout_ms: Some(0),
            parallelism: Some(0),
            on_failure: v1::OnFailure::Halt.into(),
            ..Default::default()
        };
        let after = options(Some(given), before);
        assert_eq!((after.timeout_ms, after.parallelism), (None, None));
        assert_eq!(after.on_failure, OnFailure::Halt);
        assert!(after.protect);
    }
}
