//! Refusals and operating errors as gRPC statuses with details. The one place that knows which code means what.

use anneal_proto::v1;
use anneal_statemachine::outcome::Rejection;
use prost::Message as _;
use tonic::{Code, Status};

use crate::{
    replica::{MembershipError, ReadError},
    submit::{Refused, Unavailable, unsure},
};

/// Details travel in a header; this many bytes of problems fit into what clients take.
const PROBLEMS_BYTES: usize = 32 * 1024;
/// The message travels in a header too.
const MESSAGE_BYTES: usize = 4 * 1024;

/// A status with a stable word for its reason.
pub(crate) fn status(code: Code, reason: &str, message: &str) -> Status {
    let detail = v1::ErrorDetail {
        reason: reason.to_owned(),
        ..Default::default()
    };
    with_detail(code, message, &detail)
}

fn with_detail(code: Code, message: &str, detail: &v1::ErrorDetail) -> Status {
    let end = message.floor_char_boundary(MESSAGE_BYTES);
    Status::with_details(code, &message[..end], detail.encode_to_vec().into())
}

/// A refusal of a change.
pub(crate) fn refused(refused: Refused) -> Status {
    let message = refused.to_string();
    match refused {
        Refused::Argument(_) => status(Code::InvalidArgument, "invalid_argument", &message),
        Refused::Invalid(invalid) => {
            let detail = v1::ErrorDetail {
                reason: "invalid_template".to_owned(),
                problems: listed(invalid.problems),
                ..Default::default()
            };
            with_detail(Code::InvalidArgument, &message, &detail)
        }
        Refused::TooLarge(_) => status(Code::ResourceExhausted, "too_large", &message),
        Refused::Rejected(rejection) => rejected(&rejection),
        Refused::PlanStale { .. } => status(Code::FailedPrecondition, "plan_stale", &message),
        Refused::Protected { .. } => {
            status(Code::FailedPrecondition, "resource_protected", &message)
        }
        Refused::Deleting(_) => status(Code::FailedPrecondition, "deleting", &message),
        Refused::RevisionGone(_) => status(Code::NotFound, "revision_gone", &message),
        Refused::TooBusy(_) => status(Code::Aborted, "too_busy", &message),
        Refused::Unavailable(known) => unavailable(known),
        Refused::Internal(_) => {
            tracing::error!(%message, "a request failed inside");
            status(Code::Internal, "internal", &message)
        }
    }
}

/// The first problems, as many as fit.
fn listed(problems: Vec<v1::Problem>) -> Vec<v1::Problem> {
    let mut bytes = 0;
    problems
        .into_iter()
        .take_while(|problem| {
            bytes += problem.encoded_len();
            bytes <= PROBLEMS_BYTES
        })
        .collect()
}

/// A deterministic "no".
fn rejected(rejection: &Rejection) -> Status {
    let (code, reason) = match rejection {
        Rejection::AlreadyExists { .. } => (Code::AlreadyExists, "stack_exists"),
        Rejection::StackNotFound { .. } => (Code::NotFound, "stack_not_found"),
        Rejection::ResourceNotFound { .. } => (Code::NotFound, "resource_not_found"),
        Rejection::RevisionNotFound(_) => (Code::NotFound, "revision_not_found"),
        Rejection::BaseMoved { .. } => (Code::Aborted, "base_moved"),
        Rejection::RollbackNotDue(_) => (Code::FailedPrecondition, "rollback_not_due"),
        Rejection::StackProtected { .. } => (Code::FailedPrecondition, "stack_protected"),
        Rejection::ResourceProtected { .. } => (Code::FailedPrecondition, "resource_protected"),
        Rejection::DanglingReference { .. } => (Code::InvalidArgument, "dangling_reference"),
        Rejection::DuplicateResource { .. } => (Code::InvalidArgument, "duplicate_resource"),
        Rejection::TooManyResources { .. } => (Code::ResourceExhausted, "too_many_resources"),
        Rejection::RequestTooOld { .. } => (Code::FailedPrecondition, "request_too_old"),
        Rejection::StageIncomplete { .. } => (Code::Aborted, "stage_incomplete"),
        Rejection::EngineNotLive(_) => (Code::FailedPrecondition, "engine_not_live"),
        Rejection::HostIsLive(_) => (Code::FailedPrecondition, "host_is_live"),
        Rejection::HostNotFound(_) => (Code::NotFound, "host_not_found"),
        Rejection::NotOnHold { .. } => (Code::FailedPrecondition, "not_on_hold"),
        Rejection::PhysicalIdHeld { .. } => (Code::FailedPrecondition, "physical_id_held"),
        _ => (Code::FailedPrecondition, "rejected"),
    };
    let detail = v1::ErrorDetail {
        reason: reason.to_owned(),
        revision: match rejection {
            Rejection::BaseMoved { current } => current.0,
            _ => 0,
        },
        ..Default::default()
    };
    with_detail(code, &rejection.to_string(), &detail)
}

/// Nobody can do it now.
pub(crate) fn unavailable(known: Unavailable) -> Status {
    let detail = v1::ErrorDetail {
        reason: known.reason.to_owned(),
        leader: known.leader,
        leader_address: known.leader_address,
        outcome_unknown: known.outcome_unknown,
        ..Default::default()
    };
    with_detail(Code::Unavailable, &known.message, &detail)
}

/// A read that can't be served now.
pub(crate) fn unreadable(error: ReadError) -> Status {
    refused(unsure(error))
}

/// A change of the membership that was not made.
pub(crate) fn membership(error: MembershipError) -> Status {
    let message = error.to_string();
    let (code, reason) = match error {
        MembershipError::NotLeader(hint) => return unreadable(ReadError::NotLeader(hint)),
        MembershipError::Unavailable(_) => (Code::Unavailable, "no_quorum"),
        MembershipError::Stopped(_) => (Code::Unavailable, "stopped"),
        MembershipError::NoSuchMember(_) => (Code::NotFound, "no_such_member"),
        MembershipError::LosesQuorum { .. } => (Code::FailedPrecondition, "loses_quorum"),
        MembershipError::NotVoter(_) => (Code::FailedPrecondition, "not_voter"),
        MembershipError::NoSuccessor => (Code::FailedPrecondition, "no_successor"),
    };
    status(code, reason, &message)
}

/// Rows can't be read: the disk, or a bug. The member has been told by whoever read them, and is about to end.
pub(crate) fn storage(error: impl std::fmt::Display) -> Status {
    refused(Refused::storage(error))
}

#[cfg(test)]
mod tests {
    use anneal_statemachine::id::Revision;

    use super::*;
    use crate::submit::Invalid;

    fn detail(status: &Status) -> v1::ErrorDetail {
        v1::ErrorDetail::decode(status.details()).unwrap()
    }

    #[test]
    fn a_moved_base_says_which_revision_won() {
        let current = Revision(9);
        let status = rejected(&Rejection::BaseMoved { current });
        assert_eq!(status.code(), Code::Aborted);
        assert_eq!(detail(&status).reason, "base_moved");
        assert_eq!(detail(&status).revision, 9);
    }

    #[test]
    fn a_thousand_problems_fit_into_a_header_and_the_message_counts_them() {
        let problem = v1::Problem {
            message: "x".repeat(200),
            ..Default::default()
        };
        let invalid = Invalid {
            problems: vec![problem; 1000],
            total: 1000,
        };
        let status = refused(invalid.into());
        assert!(status.details().len() < PROBLEMS_BYTES + 1024);
        assert!(detail(&status).problems.len() > 100);
        assert!(status.message().ends_with("(and 999 more)"));
    }
}
