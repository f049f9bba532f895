//! What a provider said, in the state machine's words.
//!
//! Pure. Knows nothing of assignments. Whatever is not certainly a verdict becomes none: the instance is then
//! looked at, which costs a read; to believe too much could cost an orphan.

use std::collections::BTreeSet;

use anneal_provider::{Applied, Failure, FailureClass, Made, Observed, TypeSchema, Verdict};
use anneal_statemachine::command::{
    ActionResult, Done, ErrorClass, Failure as Failed, Input, Left, Looked, Value,
};
use bytes::Bytes;

use super::{
    secrets::{Secrets, carries, masked},
    values::offered,
};

/// What an action used, which its report carries beside the provider's answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// The evaluated properties, in canonical form.
    pub(crate) properties: Option<Bytes>,
    /// Every value that the definition refers to.
    pub(crate) inputs: Vec<Input>,
    /// What was secret among the properties.
    pub(crate) secrets: Secrets,
}

/// The end of a create, update or delete.
pub(crate) fn of_apply(
    schema: &TypeSchema,
    used: Used,
    answer: Result<Applied, Failure>,
) -> ActionResult {
    match answer.map_err(|failure| without_secrets(failure, &used.secrets)) {
        Ok(Applied::Done(made)) => {
            let secrets = used.secrets.clone();
            ActionResult::Done(done(schema, made, Some(used), &secrets))
        }
        Ok(Applied::Deleted) => ActionResult::Done(Done::default()),
        Ok(Applied::NeedsReplace { because }) => {
            let paths: Vec<String> = because.iter().map(ToString::to_string).collect();
            ActionResult::NeedsReplace {
                because: paths.join(", ").into(),
            }
        }
        Ok(Applied::Gone) => ActionResult::Gone,
        Ok(Applied::Conflict {
            physical_id,
            message,
        }) => ActionResult::Conflict {
            message: masked(message, &used.secrets.texts).into(),
            physical_id: Some(physical_id.into()),
        },
        Err(failure) => of_failure(schema, &used.secrets, failure),
    }
}

/// The end of a look. `used` is what the lost action aimed at, if it is still known.
pub(crate) fn of_look(
    schema: &TypeSchema,
    used: Option<Used>,
    secrets: Secrets,
    answer: Result<Observed, Failure>,
) -> ActionResult {
    let secrets = used.as_ref().map_or(secrets, |used| used.secrets.clone());
    let answer = answer.map_err(|failure| without_secrets(failure, &secrets));
    match answer {
        Ok(Observed::Absent { .. }) => ActionResult::Looked(Looked::Absent),
        Ok(Observed::Present(found)) if found.as_aimed && used.is_some() => {
            ActionResult::Looked(Looked::AsAimed(done(schema, found.made, used, &secrets)))
        }
        // Without the aim's inputs nobody can say which fingerprint it has: an update will tell.
        Ok(Observed::Present(found)) => {
            ActionResult::Looked(Looked::Otherwise(done(schema, found.made, None, &secrets)))
        }
        Err(failure) if failure.verdict == Verdict::CannotTell => {
            ActionResult::Looked(Looked::CannotLook {
                message: failure.message.into(),
            })
        }
        Err(failure) => of_failure(schema, &secrets, failure),
    }
}

/// A call that ended without the provider's saying so.
pub(crate) fn no_verdict(message: impl Into<String>, physical_id: Option<&str>) -> ActionResult {
    ActionResult::NoVerdict {
        message: message.into().into(),
        physical_id: physical_id.map(Into::into),
    }
}

/// A result that can't be reported: what was made is there, and can't be used.
pub(crate) fn too_large(result: ActionResult, bytes: usize) -> ActionResult {
    let physical_id = match result {
        ActionResult::Done(done)
        | ActionResult::Looked(Looked::AsAimed(done) | Looked::Otherwise(done)) => done.physical_id,
        _ => None,
    };
    ActionResult::Failed(Failed {
        class: ErrorClass::Permanent,
        before_effect: false,
        left_something: true,
        message: format!(
            "what it reports comes to {} MiB, which is more than can be kept",
            bytes >> 20
        )
        .into(),
        retry_after_ms: None,
        left: None,
        physical_id: physical_id.filter(|id| id.len() < MAX_TOLD_ID_BYTES),
    })
}

/// A physical id that is told of what is too large.
const MAX_TOLD_ID_BYTES: usize = 4_096;

/// An action that was not begun, and will not be.
pub(crate) fn declined(reason: impl Into<String>) -> ActionResult {
    ActionResult::Declined {
        reason: reason.into().into(),
    }
}

/// What a provider says of a failure may repeat what it was given.
fn without_secrets(failure: Failure, secrets: &Secrets) -> Failure {
    Failure {
        message: masked(failure.message, &secrets.texts),
        ..failure
    }
}

fn of_failure(schema: &TypeSchema, secrets: &Secrets, failure: Failure) -> ActionResult {
    let retry_after_ms = failure
        .retry_after
        .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let (before_effect, left) = match failure.verdict {
        // If the outside world said when to come back, a failure that is none yet tells that too.
        Verdict::Unknown if retry_after_ms.is_some() => (false, None),
        Verdict::Unknown | Verdict::CannotTell => return no_verdict(failure.message, None),
        Verdict::NothingDone if failure.class == FailureClass::Aborted => {
            return declined(failure.message);
        }
        Verdict::NothingDone => (true, None),
        Verdict::LeftBehind(made) => (false, Some(made)),
    };
    ActionResult::Failed(Failed {
        class: match failure.class {
            FailureClass::Transient | FailureClass::Aborted => ErrorClass::Transient,
            FailureClass::Quota => ErrorClass::Quota,
            FailureClass::Permanent => ErrorClass::Permanent,
        },
        before_effect,
        left_something: left.is_some(),
        message: failure.message.into(),
        retry_after_ms,
        left: left.as_ref().map(|made| {
            Box::new(Left {
                values: values(schema, made, secrets),
                private: made.private.clone(),
            })
        }),
        physical_id: left.map(|made| made.physical_id.into()),
    })
}

fn done(schema: &TypeSchema, made: Made, used: Option<Used>, secrets: &Secrets) -> Done {
    let used = used.unwrap_or_default();
    Done {
        values: values(schema, &made, secrets),
        physical_id: Some(made.physical_id.into()),
        private: Some(made.private),
        properties: used.properties,
        inputs: used.inputs,
        unhealthy: false,
    }
}

fn values(schema: &TypeSchema, made: &Made, secrets: &Secrets) -> Vec<Value> {
    let secret: BTreeSet<&str> = schema
        .attributes
        .iter()
        .filter(|attribute| {
            let computed_from = attribute.computed_from.as_deref();
            attribute.secret || computed_from.is_some_and(|property| secrets.are_in(property))
        })
        .map(|attribute| attribute.name.as_str())
        .chain(made.secret_attributes.iter().map(String::as_str))
        .collect();
    let reference = made.reference_id.as_ref().unwrap_or(&made.physical_id);
    // The reference id may itself be a secret: that of a random string is its value.
    let reference_secret = made.attributes.iter().any(|(name, found)| {
        secret.contains(name.as_str()) && found.as_str() == Some(reference.as_str())
    });
    let reference = serde_json::Value::from(reference.as_str());
    let reference_secret = reference_secret || carries(&reference, &secrets.texts);
    let mut values = vec![offered(None, &reference, reference_secret)];
    for (name, found) in &made.attributes {
        let sensitive = secret.contains(name.as_str()) || carries(found, &secrets.texts);
        values.push(offered(Some(name), found, sensitive));
    }
    values
}

#[cfg(test)]
mod tests {
    use anneal_provider::AttributeSchema;
    use anneal_provider::Kind;
    use serde_json::json;

    use super::*;

    fn schema() -> TypeSchema {
        let mut schema = TypeSchema::new("T", "A type.");
        schema.attributes = vec![AttributeSchema::new("token", Kind::String, "A secret.").secret()];
        schema
    }

    #[test]
    fn what_a_create_left_is_told_with_all_that_is_needed_to_delete_it() {
        let made = Made {
            physical_id: "i-1".to_owned(),
            attributes: [("token".to_owned(), json!("t"))].into_iter().collect(),
            private: Bytes::from_static(b"how to delete it"),
            ..Made::default()
        };
        let failure = Failure::left_behind(FailureClass::Transient, made, "half-way");
        let ActionResult::Failed(failed) = of_apply(&schema(), Used::default(), Err(failure))
        else {
            panic!("it failed");
        };
        assert_eq!(failed.physical_id.as_deref(), Some("i-1"));
        let left = failed.left.expect("it says what it left");
        assert_eq!(left.private, "how to delete it");
        let named: Vec<_> = left
            .values
            .iter()
            .map(|value| (value.name.as_deref(), value.sensitive))
            .collect();
        assert_eq!(named, [(None, false), (Some("token"), true)]);
    }

    #[test]
    fn when_to_come_back_is_told_also_if_nobody_knows_what_was_done() {
        let wait = std::time::Duration::from_secs(7);
        let lost = |wait| Failure::no_verdict(FailureClass::Transient, "502").after(wait);
        let ActionResult::Failed(failed) =
            of_apply(&schema(), Used::default(), Err(lost(Some(wait))))
        else {
            panic!("it says when");
        };
        assert_eq!(failed.retry_after_ms, Some(7_000));
        assert!(
            !failed.before_effect && !failed.left_something,
            "it is in doubt"
        );
        let ended = of_apply(&schema(), Used::default(), Err(lost(None)));
        assert!(matches!(ended, ActionResult::NoVerdict { .. }));
    }

    #[test]
    fn a_look_that_can_never_tell_asks_for_a_person_and_an_action_is_only_in_doubt() {
        let blind = || Failure::cannot_tell("there is no way to look");
        let found = of_look(&schema(), None, Secrets::default(), Err(blind()));
        assert!(
            matches!(found, ActionResult::Looked(Looked::CannotLook { message }) if &*message == "there is no way to look")
        );
        let ended = of_apply(&schema(), Used::default(), Err(blind()));
        assert!(matches!(ended, ActionResult::NoVerdict { .. }));
    }

    #[test]
    fn a_look_that_is_not_told_the_aim_keeps_its_secrets_all_the_same() {
        let secrets = || Secrets {
            texts: vec!["swordfish".to_owned()],
            at: Vec::new(),
        };
        let failure = Failure::no_verdict(FailureClass::Transient, "no swordfish here");
        let failed = of_look(&schema(), None, secrets(), Err(failure));
        let ActionResult::NoVerdict { message, .. } = failed else {
            panic!("it is no verdict");
        };
        assert_eq!(&*message, "no *** here");
        let made = Made {
            physical_id: "i-1".to_owned(),
            attributes: [("url".to_owned(), json!("x:swordfish@y"))]
                .into_iter()
                .collect(),
            ..Made::default()
        };
        let found = of_look(
            &schema(),
            None,
            secrets(),
            Ok(Observed::present(made, Vec::new())),
        );
        let ActionResult::Looked(Looked::Otherwise(done)) = found else {
            panic!("it is there");
        };
        assert!(done.values.iter().any(|value| value.sensitive));
    }
}
