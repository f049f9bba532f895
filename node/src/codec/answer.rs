//! Answers to requests, as they are kept to be given again.
//!
//! Only what a request of a client can be answered is here; the answers to batches of the leader's own
//! are never kept.

use anneal_proto::log::v1::{self as proto, answer_row::Answer, rejection::Why};
use anneal_statemachine::{
    id::{Revision, StackId, Text},
    outcome::{Outcome, Rejection, StackAnswer},
};

use super::{DecodeError, parts, required};

pub(super) fn answer(outcome: &Outcome) -> proto::AnswerRow {
    let answer = match outcome {
        Outcome::Taken => Answer::Taken(proto::Nothing {}),
        Outcome::Stack(StackAnswer {
            stack,
            revision,
            unchanged,
        }) => {
            let (stack, revision, unchanged) = (stack.0, revision.0, *unchanged);
            Answer::Stack(proto::StackAnswer {
                stack,
                revision,
                unchanged,
            })
        }
        Outcome::Staged { parts } => Answer::StagedParts(*parts),
        Outcome::Registered(engine) => Answer::Registered(parts::engine(engine)),
        Outcome::Member(member) => Answer::Member(*member),
        Outcome::Advanced { more } => Answer::AdvancedMore(*more),
        Outcome::Fired { count } => Answer::Fired(*count),
        Outcome::Rejected(why) => Answer::Rejected(proto::Rejection {
            why: Some(rejection(why)),
        }),
        Outcome::Assigned(_) | Outcome::Reported(_) | Outcome::Observed(_) => {
            unreachable!("a batch of the leader's own carries no request")
        }
    };
    proto::AnswerRow {
        answer: Some(answer),
    }
}

pub(super) fn read_answer(row: proto::AnswerRow) -> Result<Outcome, DecodeError> {
    Ok(match required(row.answer, "an answer")? {
        Answer::Taken(proto::Nothing {}) => Outcome::Taken,
        Answer::Stack(proto::StackAnswer {
            stack,
            revision,
            unchanged,
        }) => {
            let (stack, revision) = (StackId(stack), Revision(revision));
            Outcome::Stack(StackAnswer {
                stack,
                revision,
                unchanged,
            })
        }
        Answer::StagedParts(parts) => Outcome::Staged { parts },
        Answer::Registered(engine) => Outcome::Registered(parts::read_engine(Some(engine))?),
        Answer::Member(member) => Outcome::Member(member),
        Answer::AdvancedMore(more) => Outcome::Advanced { more },
        Answer::Fired(count) => Outcome::Fired { count },
        Answer::Rejected(rejection) => {
            Outcome::Rejected(read_rejection(required(rejection.why, "a rejection")?)?)
        }
    })
}

fn rejection(rejection: &Rejection) -> Why {
    let text = |text: &Text| parts::text(text);
    match rejection {
        Rejection::AlreadyExists { name } => Why::AlreadyExists(text(name)),
        Rejection::StackNotFound { name } => Why::StackNotFound(text(name)),
        Rejection::ResourceNotFound { name } => Why::ResourceNotFound(text(name)),
        Rejection::RevisionNotFound(revision) => Why::RevisionNotFound(revision.0),
        Rejection::BaseMoved { current } => Why::BaseMoved(current.0),
        Rejection::RollbackNotDue(revision) => Why::RollbackNotDue(revision.0),
        Rejection::StackProtected { name } => Why::StackProtected(text(name)),
        Rejection::ResourceProtected { name } => Why::ResourceProtected(text(name)),
        Rejection::DanglingReference { resource, requires } => {
            let (resource, requires) = (text(resource), text(requires));
            Why::DanglingReference(proto::DanglingReference { resource, requires })
        }
        Rejection::DuplicateResource { name } => Why::DuplicateResource(text(name)),
        Rejection::TooManyResources { count, limit } => {
            Why::TooManyResources(proto::TooManyResources {
                count: *count,
                limit: *limit,
            })
        }
        Rejection::RequestTooOld { window_ms } => Why::RequestTooOldWindowMs(*window_ms),
        Rejection::StageIncomplete {
            stage,
            present,
            expected,
        } => Why::StageIncomplete(proto::StageIncomplete {
            stage: parts::request(stage),
            present: *present,
            expected: *expected,
        }),
        Rejection::NotACommit => Why::NotACommit(proto::Nothing {}),
        Rejection::EngineNotLive(engine) => Why::EngineNotLive(parts::engine(engine)),
        Rejection::EngineChanged(engine) => Why::EngineChanged(parts::engine(engine)),
        Rejection::HostIsLive(host) => Why::HostIsLive(text(host)),
        Rejection::HostNotFound(host) => Why::HostNotFound(text(host)),
        Rejection::NotOnHold { name } => Why::NotOnHold(text(name)),
        Rejection::PhysicalIdHeld { physical_id } => Why::PhysicalIdHeld(text(physical_id)),
        Rejection::FeatureLevelShrinks { present } => Why::FeatureLevelShrinks(*present),
    }
}

fn read_rejection(why: Why) -> Result<Rejection, DecodeError> {
    Ok(match why {
        Why::AlreadyExists(name) => Rejection::AlreadyExists { name: name.into() },
        Why::StackNotFound(name) => Rejection::StackNotFound { name: name.into() },
        Why::ResourceNotFound(name) => Rejection::ResourceNotFound { name: name.into() },
        Why::RevisionNotFound(revision) => Rejection::RevisionNotFound(Revision(revision)),
        Why::BaseMoved(current) => Rejection::BaseMoved {
            current: Revision(current),
        },
        Why::RollbackNotDue(revision) => Rejection::RollbackNotDue(Revision(revision)),
        Why::StackProtected(name) => Rejection::StackProtected { name: name.into() },
        Why::ResourceProtected(name) => Rejection::ResourceProtected { name: name.into() },
        Why::DanglingReference(proto::DanglingReference { resource, requires }) => {
            let (resource, requires) = (resource.into(), requires.into());
            Rejection::DanglingReference { resource, requires }
        }
        Why::DuplicateResource(name) => Rejection::DuplicateResource { name: name.into() },
        Why::TooManyResources(proto::TooManyResources { count, limit }) => {
            Rejection::TooManyResources { count, limit }
        }
        Why::RequestTooOldWindowMs(window_ms) => Rejection::RequestTooOld { window_ms },
        Why::StageIncomplete(proto::StageIncomplete {
            stage,
            present,
            expected,
        }) => {
            let stage = parts::read_request(&stage)?;
            Rejection::StageIncomplete {
                stage,
                present,
                expected,
            }
        }
        Why::NotACommit(proto::Nothing {}) => Rejection::NotACommit,
        Why::EngineNotLive(engine) => Rejection::EngineNotLive(parts::read_engine(Some(engine))?),
        Why::EngineChanged(engine) => Rejection::EngineChanged(parts::read_engine(Some(engine))?),
        Why::HostIsLive(host) => Rejection::HostIsLive(host.into()),
        Why::HostNotFound(host) => Rejection::HostNotFound(host.into()),
        Why::NotOnHold(name) => Rejection::NotOnHold { name: name.into() },
        Why::PhysicalIdHeld(physical_id) => Rejection::PhysicalIdHeld {
            physical_id: physical_id.into(),
        },
        Why::FeatureLevelShrinks(present) => Rejection::FeatureLevelShrinks { present },
    })
}
