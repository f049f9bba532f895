//! Running the commands, and taking what they say.

use std::time::Duration;

use serde_json::Value;

use super::schema::on_change;
use super::told::Told;
use super::{CommandProvider, RECORDS};
use crate::call::CallContext;
use crate::failure::{Failure, FailureClass, Verdict};
use crate::guard::{self, Ended, Guarded, HowEnded};
use crate::path::PropertyPath;
use crate::request::{Applied, Made, Prior, Values};
use crate::schema::OnChange;
use crate::value::as_text;

/// The kernel refuses a variable beyond 128 KiB, so larger attributes are not passed on.
const VARIABLE_MAX_BYTES: usize = 96 * 1024;
/// What `read` exits with when nothing is there.
const ABSENT_CODE: i32 = 1;

struct Run<'a> {
    action: &'a str,
    program: &'a [String],
    told: &'a Told,
    physical_id: Option<&'a str>,
    attributes: Option<&'a Values>,
}

impl CommandProvider {
    async fn run(&self, ctx: &CallContext, run: Run<'_>) -> Result<Ended, Failure> {
        let mut environment = run.told.environment.clone();
        let mut variable =
            |name: &str, value: String| environment.push((format!("ANNEAL_{name}"), value));
        variable("INSTANCE_ID", ctx.instance_id.clone());
        variable("IDEMPOTENCY_KEY", ctx.idempotency_key.clone());
        variable("FENCING_TOKEN", ctx.fencing_token.to_string());
        variable("ACTION", run.action.to_owned());
        variable("STACK", ctx.stack.to_string());
        variable("RESOURCE", ctx.resource.to_string());
        variable(
            "PHYSICAL_ID",
            run.physical_id.unwrap_or_default().to_owned(),
        );
        let attributes = run
            .attributes
            .map(|attributes| Value::Object(attributes.clone()).to_string());
        let attributes = attributes.filter(|text| text.len() <= VARIABLE_MAX_BYTES);
        variable("ATTRIBUTES", attributes.unwrap_or_default());
        let command = Guarded {
            program: run.program.to_vec(),
            environment,
            working_directory: run.told.working_directory.clone(),
            timeout: Some(run.told.timeout),
            // A look that nobody was assigned neither disturbs an action nor waits for one.
            exclusive: ctx.fencing_token > 0,
        };
        guard::run(&self.companion, ctx, command).await
    }

    pub(super) async fn create(&self, ctx: &CallContext, told: &Told) -> Result<Applied, Failure> {
        RECORDS.remember(ctx, told)?;
        let run = Run {
            action: "create",
            program: &told.create,
            told,
            physical_id: None,
            attributes: None,
        };
        let ended = self.run(ctx, run).await.inspect_err(|failure| {
            // What can't be run at all needs no deletion, and its record may hold secrets. Of what was only not run
            // now, somebody else may still be running it.
            if (failure.class, &failure.verdict) == (FailureClass::Permanent, &Verdict::NothingDone)
            {
                RECORDS.forget(ctx);
            }
        })?;
        let attributes = attributes_of(&ended);
        let physical_id =
            physical_id_of(&attributes).unwrap_or_else(|| ctx.idempotency_key.clone());
        let made = told.made(physical_id, attributes);
        if ended.how == HowEnded::Exited(0) {
            return Ok(Applied::Done(made));
        }
        let failure = failed("create", told, &ended, Some(made));
        // If it can be looked at, say whether there is anything to delete.
        match self.look_at(ctx, told, Prior::default()).await {
            Ok(None) => {
                RECORDS.forget(ctx);
                Err(Failure {
                    verdict: Verdict::NothingDone,
                    ..failure
                })
            }
            Ok(Some(_)) | Err(_) => Err(failure),
        }
    }

    pub(super) async fn update(
        &self,
        ctx: &CallContext,
        prior: Prior<'_>,
        told: &Told,
    ) -> Result<Applied, Failure> {
        let was = Told::known_here(ctx, prior).and_then(|was| was.made_of);
        let wanted = told.made_of.as_ref();
        let changed = match (&was, wanted) {
            (Some(was), Some(wanted)) => was.changed_to(&self.schemas[0], wanted),
            _ => Vec::new(),
        };
        let effect =
            |path: &PropertyPath| on_change(path.top().unwrap_or_default(), told.update.is_some());
        let because: Vec<PropertyPath> = changed
            .iter()
            .filter(|path| effect(path) == Some(OnChange::Replace))
            .cloned()
            .collect();
        if !because.is_empty() {
            return Ok(Applied::NeedsReplace { because });
        }
        let physical_id = prior.physical_id.unwrap_or(&ctx.idempotency_key).to_owned();
        let before = prior.attributes.cloned().unwrap_or_default();
        // With nothing to run for, only what is kept of it changes. If nobody knows what it was made of, or if
        // it has drifted, the update runs.
        let quiet = !changed.is_empty() && changed.iter().all(|path| effect(path).is_none());
        let Some(program) = told.update.as_ref().filter(|_| !quiet) else {
            return Ok(Applied::Done(told.made(physical_id, before)));
        };
        let (id, attributes) = (Some(physical_id.as_str()), prior.attributes);
        let run = Run {
            action: "update",
            program,
            told,
            physical_id: id,
            attributes,
        };
        let ended = self.run(ctx, run).await?;
        match ended.how {
            HowEnded::Exited(0) => {
                let printed = attributes_of(&ended);
                let attributes = if printed.is_empty() { before } else { printed };
                Ok(Applied::Done(told.made(physical_id, attributes)))
            }
            _ => {
                let unfinished = Told {
                    made_of: None,
                    ..told.clone()
                };
                Err(failed(
                    "update",
                    told,
                    &ended,
                    Some(unfinished.made(physical_id, before)),
                ))
            }
        }
    }

    pub(super) async fn delete(
        &self,
        ctx: &CallContext,
        prior: Prior<'_>,
    ) -> Result<Applied, Failure> {
        let Some(told) = Told::known_here(ctx, prior) else {
            return Err(Failure::refused("the command that deletes it is not known"));
        };
        let Some(program) = &told.delete else {
            RECORDS.forget(ctx);
            return Ok(Applied::Deleted);
        };
        let Prior {
            physical_id,
            attributes,
            ..
        } = prior;
        let ended = self
            .run(
                ctx,
                Run {
                    action: "delete",
                    program,
                    told: &told,
                    physical_id,
                    attributes,
                },
            )
            .await?;
        match ended.how {
            HowEnded::Exited(0) => {
                RECORDS.forget(ctx);
                Ok(Applied::Deleted)
            }
            _ => {
                let physical_id = physical_id.unwrap_or(&ctx.idempotency_key).to_owned();
                let made = told.made(physical_id, attributes.cloned().unwrap_or_default());
                Err(failed("delete", &told, &ended, Some(made)))
            }
        }
    }

    /// Whether it is there, and what `read` printed of it. None if there is no `read`.
    pub(super) async fn look_at(
        &self,
        ctx: &CallContext,
        told: &Told,
        prior: Prior<'_>,
    ) -> Result<Option<Values>, Failure> {
        let Some(program) = &told.read else {
            return Err(Failure::cannot_tell(
                "a command without `read` can't be looked at",
            ));
        };
        let Prior {
            physical_id,
            attributes,
            ..
        } = prior;
        let ended = self
            .run(
                ctx,
                Run {
                    action: "read",
                    program,
                    told,
                    physical_id,
                    attributes,
                },
            )
            .await?;
        match ended.how {
            HowEnded::Exited(0) => Ok(Some(attributes_of(&ended))),
            HowEnded::Exited(ABSENT_CODE) => Ok(None),
            _ => Err(failed("read", told, &ended, None)),
        }
    }
}

/// The JSON object on the last line of output; nothing if there is none.
fn attributes_of(ended: &Ended) -> Values {
    let line = ended
        .last_line
        .as_deref()
        .map(str::trim)
        .filter(|line| line.starts_with('{'));
    line.and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_default()
}

pub(super) fn physical_id_of(attributes: &Values) -> Option<String> {
    attributes
        .get("id")
        .and_then(as_text)
        .filter(|id| !id.is_empty())
}

/// In the command's own words: how it ended, and the end of its error output.
fn failed(action: &str, told: &Told, ended: &Ended, made: Option<Made>) -> Failure {
    let how = match ended.how {
        HowEnded::Exited(code) => format!("`{action}` ended with exit code {code}"),
        HowEnded::Signalled(signal) => format!("`{action}` was killed by signal {signal}"),
        HowEnded::TimedOut { after_ms } => {
            // The call as a whole may have less time than the command alone.
            let time = Duration::from_millis(after_ms)
                .min(told.timeout)
                .as_secs_f64();
            let seconds = (time * 10.0).round() / 10.0;
            format!("`{action}` timed out after {seconds} seconds and was killed")
        }
    };
    let errors = ended.error_tail.trim_end();
    let message = if errors.is_empty() {
        how
    } else {
        format!("{how}: {errors}")
    };
    // The guard has ended all that it started, so nothing more will come of it.
    match made {
        Some(made) => Failure::left_behind(FailureClass::Transient, made, message),
        None => Failure::nothing_done(FailureClass::Transient, message),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hostile::spoilt;
    use crate::read_values::{from_private, to_private};

    const PRINTED: &[u8] = br#"{"id": "i-7", "port": 80, "list": [1.5e3, null, {"a": "\u00e9"}]}"#;

    fn told() -> Told {
        let properties = serde_json::json!({"create": "true", "timeout_seconds": 1.5, "environment": {"A": "b"}});
        Told::of(properties.as_object().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_a_command_prints_is_attributes_or_nothing(line in spoilt(PRINTED.to_vec())) {
            let ended = Ended {
                how: HowEnded::Exited(0),
                last_line: Some(String::from_utf8_lossy(&line).into_owned()),
                error_tail: String::new(),
            };
            let attributes = attributes_of(&ended);
            let _ = physical_id_of(&attributes);
            let text = serde_json::to_string(&attributes).unwrap();
            prop_assert_eq!(serde_json::from_str::<Values>(&text).unwrap(), attributes);
        }

        #[test]
        fn damaged_private_bytes_are_none_or_read_the_same_again(bytes in spoilt(to_private(&told()).to_vec())) {
            if let Some(told) = from_private::<Told>(&bytes) {
                let again = from_private::<Told>(&to_private(&told));
                prop_assert_eq!(format!("{:?}", Some(told)), format!("{again:?}"));
            }
        }
    }
}
