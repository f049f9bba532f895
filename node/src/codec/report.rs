//! What engines tell: results of actions, and differences seen by observation.

use anneal_proto::log::v1::{self as proto, looked, observed, report};
use anneal_statemachine::{
    command::{
        ActionResult, Done, Failure, Input, Left, Looked, ObserveItem, ReportItem, Seen, Value,
    },
    id::{InstanceId, Token},
};

use super::{DecodeError, parts, required};

/// The result of an action, for the wire.
pub fn report(item: &ReportItem) -> proto::Report {
    proto::Report {
        instance: item.instance.0,
        token: item.token.0,
        engine: Some(parts::engine(&item.engine)),
        result: Some(result(&item.result)),
    }
}

/// The result of an action, from the wire.
pub fn read_report(item: proto::Report) -> Result<ReportItem, DecodeError> {
    Ok(ReportItem {
        instance: InstanceId(item.instance),
        token: Token(item.token),
        engine: parts::read_engine(item.engine)?,
        result: read_result(required(item.result, "the result of a report")?)?,
    })
}

fn result(result: &ActionResult) -> report::Result {
    use report::Result;
    match result {
        ActionResult::Done(value) => Result::Done(done(value)),
        ActionResult::NeedsReplace { because } => Result::NeedsReplace(parts::text(because)),
        ActionResult::Declined { reason } => Result::Declined(parts::text(reason)),
        ActionResult::Failed(failure) => Result::Failed(proto::Failure {
            class: parts::error_class(failure.class),
            before_effect: failure.before_effect,
            left_something: failure.left_something,
            message: parts::text(&failure.message),
            retry_after_ms: failure.retry_after_ms,
            physical_id: parts::optional_text(&failure.physical_id),
            left: failure.left.as_deref().map(|left| proto::Left {
                values: left.values.iter().map(value).collect(),
                private: left.private.clone(),
            }),
        }),
        ActionResult::NoVerdict {
            message,
            physical_id,
        } => Result::NoVerdict(proto::NoVerdict {
            message: parts::text(message),
            physical_id: parts::optional_text(physical_id),
        }),
        ActionResult::Looked(found) => Result::Looked(proto::Looked {
            found: Some(looked(found)),
        }),
        ActionResult::Gone => Result::Gone(proto::Nothing {}),
        ActionResult::Conflict {
            message,
            physical_id,
        } => Result::Conflict(proto::Conflict {
            message: parts::text(message),
            physical_id: parts::optional_text(physical_id),
        }),
        ActionResult::LatePhysicalId { physical_id } => {
            Result::LatePhysicalId(parts::text(physical_id))
        }
    }
}

fn read_result(result: report::Result) -> Result<ActionResult, DecodeError> {
    use report::Result as From;
    Ok(match result {
        From::Done(done) => ActionResult::Done(read_done(done)?),
        From::NeedsReplace(because) => ActionResult::NeedsReplace {
            because: because.into(),
        },
        From::Declined(reason) => ActionResult::Declined {
            reason: reason.into(),
        },
        From::Failed(failure) => ActionResult::Failed(Failure {
            class: parts::read_error_class(failure.class)?,
            before_effect: failure.before_effect,
            left_something: failure.left_something,
            message: failure.message.into(),
            retry_after_ms: failure.retry_after_ms,
            physical_id: parts::read_optional_text(failure.physical_id),
            left: failure.left.map(read_left).transpose()?,
        }),
        From::NoVerdict(proto::NoVerdict {
            message,
            physical_id,
        }) => ActionResult::NoVerdict {
            message: message.into(),
            physical_id: parts::read_optional_text(physical_id),
        },
        From::Looked(looked) => {
            ActionResult::Looked(read_looked(required(looked.found, "what a look found")?)?)
        }
        From::Gone(proto::Nothing {}) => ActionResult::Gone,
        From::Conflict(proto::Conflict {
            message,
            physical_id,
        }) => ActionResult::Conflict {
            message: message.into(),
            physical_id: parts::read_optional_text(physical_id),
        },
        From::LatePhysicalId(physical_id) => ActionResult::LatePhysicalId {
            physical_id: physical_id.into(),
        },
    })
}

fn looked(found: &Looked) -> looked::Found {
    use looked::Found;
    match found {
        Looked::Absent => Found::Absent(proto::Nothing {}),
        Looked::AsAimed(found) => Found::AsAimed(done(found)),
        Looked::Otherwise(found) => Found::Otherwise(done(found)),
        Looked::CannotLook { message } => Found::CannotLook(parts::text(message)),
    }
}

fn read_looked(found: looked::Found) -> Result<Looked, DecodeError> {
    use looked::Found;
    Ok(match found {
        Found::Absent(proto::Nothing {}) => Looked::Absent,
        Found::AsAimed(found) => Looked::AsAimed(read_done(found)?),
        Found::Otherwise(found) => Looked::Otherwise(read_done(found)?),
        Found::CannotLook(message) => Looked::CannotLook {
            message: message.into(),
        },
    })
}

fn done(done: &Done) -> proto::Done {
    proto::Done {
        physical_id: parts::optional_text(&done.physical_id),
        values: done.values.iter().map(value).collect(),
        private: done.private.clone(),
        properties: done.properties.clone(),
        inputs: done
            .inputs
            .iter()
            .map(|input| proto::Input {
                resource: parts::text(&input.resource),
                attribute: parts::optional_text(&input.attribute),
                digest: parts::digest(&input.digest),
            })
            .collect(),
        unhealthy: done.unhealthy,
    }
}

fn read_done(done: proto::Done) -> Result<Done, DecodeError> {
    let input = |input: proto::Input| {
        Ok(Input {
            resource: input.resource.into(),
            attribute: parts::read_optional_text(input.attribute),
            digest: parts::read_digest(&input.digest)?,
        })
    };
    Ok(Done {
        physical_id: parts::read_optional_text(done.physical_id),
        values: done
            .values
            .into_iter()
            .map(read_value)
            .collect::<Result<_, _>>()?,
        private: done.private,
        properties: done.properties,
        inputs: done
            .inputs
            .into_iter()
            .map(input)
            .collect::<Result<_, DecodeError>>()?,
        unhealthy: done.unhealthy,
    })
}

fn read_left(left: proto::Left) -> Result<Box<Left>, DecodeError> {
    let values: Result<_, _> = left.values.into_iter().map(read_value).collect();
    Ok(Box::new(Left {
        values: values?,
        private: left.private,
    }))
}

fn value(value: &Value) -> proto::Value {
    proto::Value {
        name: parts::optional_text(&value.name),
        digest: parts::digest(&value.digest),
        content: value.bytes.clone(),
        sensitive: value.sensitive,
    }
}

fn read_value(value: proto::Value) -> Result<Value, DecodeError> {
    Ok(Value {
        name: parts::read_optional_text(value.name),
        digest: parts::read_digest(&value.digest)?,
        bytes: value.content,
        sensitive: value.sensitive,
    })
}

/// What observation saw, for the wire.
pub fn observed(item: &ObserveItem) -> proto::Observed {
    use observed::Seen as To;
    let seen = match &item.seen {
        Seen::Same => To::Same(proto::Nothing {}),
        Seen::Vanished => To::Vanished(proto::Nothing {}),
        Seen::Changed { difference } => To::Changed(parts::text(difference)),
        Seen::Unhealthy { message } => To::Unhealthy(parts::text(message)),
    };
    proto::Observed {
        instance: item.instance.0,
        last_change: item.last_change,
        seen: Some(seen),
    }
}

/// What observation saw, from the wire.
pub fn read_observed(item: proto::Observed) -> Result<ObserveItem, DecodeError> {
    use observed::Seen as From;
    let seen = match required(item.seen, "what was seen")? {
        From::Same(proto::Nothing {}) => Seen::Same,
        From::Vanished(proto::Nothing {}) => Seen::Vanished,
        From::Changed(difference) => Seen::Changed {
            difference: difference.into(),
        },
        From::Unhealthy(message) => Seen::Unhealthy {
            message: message.into(),
        },
    };
    Ok(ObserveItem {
        instance: InstanceId(item.instance),
        last_change: item.last_change,
        seen,
    })
}
