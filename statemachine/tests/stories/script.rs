//! The words of a story: how resources and types are written. Knows nothing of the state machine's
//! behaviour.
//!
//! A resource is `name:type`, `=content` after it, then `<-` and what it refers to (`dir.path`: an
//! attribute, `dir`: the reference id), then policies: `!protect`, `!delete_first`, `!retain`.

use anneal_statemachine::command::{
    Blob, Definition, DeletionPolicy, Difference, OnFailure, Policy, Reference, ReplacementPolicy,
    SetResource, StackOptions, TypeTraits,
};
use anneal_statemachine::digest::{blob_digest, definition_digest};
use bytes::Bytes;

/// What a type in a story can do, by its name.
pub(crate) fn traits(type_name: &str) -> TypeTraits {
    let plain = TypeTraits {
        can_look: true,
        ..TypeTraits::default()
    };
    match type_name {
        // Files and processes of one machine.
        "file" => TypeTraits {
            host_bound: true,
            named: true,
            ..plain
        },
        // A cloud that honours keys.
        "server" => TypeTraits {
            honours_keys: true,
            lag_ms: 1000,
            ..plain
        },
        // One that refuses smaller tokens.
        "fenced" => TypeTraits {
            fences: true,
            ..plain
        },
        // One that promises nothing.
        "plain" => TypeTraits {
            lag_ms: 2000,
            ..plain
        },
        "blind" => TypeTraits {
            can_look: false,
            ..plain
        },
        // Looks at what it knows the id of.
        "by_id" => TypeTraits {
            by_id_only: true,
            ..plain
        },
        "value" => TypeTraits {
            derived_id: true,
            ..plain
        },
        other => panic!("no story knows the type {other}"),
    }
}

/// Every type of the stories.
pub(crate) const TYPES: [&str; 7] = [
    "blind", "by_id", "fenced", "file", "plain", "server", "value",
];

pub(crate) fn blob(text: &str) -> Blob {
    Blob {
        digest: blob_digest(text.as_bytes()),
        bytes: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn resource(text: &str) -> SetResource {
    let mut parts = text.split('!');
    let declared = parts.next().expect("there is always a first part");
    let mut policy = Policy::default();
    for word in parts {
        match word {
            "protect" => policy.protect = true,
            "delete_first" => policy.replacement = ReplacementPolicy::DeleteFirst,
            "retain" => policy.deletion = DeletionPolicy::Retain,
            other => panic!("no story knows the policy {other}"),
        }
    }
    let (declared, refers) = declared.split_once("<-").unwrap_or((declared, ""));
    let (name, what) = declared.split_once(':').expect("a resource is name:type");
    let type_name = what
        .split('=')
        .next()
        .expect("there is always a first part");
    let references = refers
        .split(',')
        .filter(|refers| !refers.is_empty())
        .map(|refers| {
            let (resource, attribute) = match refers.split_once('.') {
                Some((resource, attribute)) => (resource, Some(attribute.into())),
                None => (refers, None),
            };
            Reference {
                resource: resource.into(),
                attribute,
            }
        });
    let body = format!("{what}<-{refers}");
    SetResource {
        name: name.into(),
        definition: Some(Definition {
            digest: definition_digest(type_name, body.as_bytes()),
            type_name: type_name.into(),
            body: body.clone().into(),
            references: references.collect(),
            depends_on: Vec::new(),
            policy,
            traits: traits(type_name),
        }),
        fragment: blob(text),
        parameters_used: Vec::new(),
    }
}

/// Resources, removals (`-name`) and options (`on_failure=…`, `timeout=…`) of a change.
pub(crate) fn difference(words: &[&str]) -> Difference {
    let mut difference = Difference::default();
    for word in words {
        if let Some(name) = word.strip_prefix('-') {
            difference.remove.push(name.into());
        } else if let Some(value) = word.strip_prefix("on_failure=") {
            difference
                .options
                .get_or_insert_with(StackOptions::default)
                .on_failure = match value {
                "continue" => OnFailure::Continue,
                "halt" => OnFailure::Halt,
                "rollback" => OnFailure::Rollback,
                other => panic!("no story knows on_failure {other}"),
            };
        } else if let Some(value) = word.strip_prefix("timeout=") {
            difference
                .options
                .get_or_insert_with(StackOptions::default)
                .timeout_ms = Some(milliseconds(value));
        } else {
            difference.set.push(resource(word));
        }
    }
    difference
}

/// `5s` or `250ms`.
pub(crate) fn milliseconds(text: &str) -> u64 {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.trim_end_matches('s'), 1000),
    };
    number
        .parse::<u64>()
        .expect("a time is a number with a unit")
        * unit
}
