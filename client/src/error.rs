//! What can become of a call, as a type: refused, unavailable, or unknown. Made from a gRPC status here and nowhere
//! else.

use std::fmt;

use anneal_proto::v1;
use prost::Message as _;
use tonic::{Code, Status};

use crate::{endpoint::EndpointError, name::RequestId};

/// A "no" that a member gave, with its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// A stable word: `stack_exists`, `base_moved`, `invalid_template`, … Empty if the member gave none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// With an invalid template: every problem, with line and column.
    pub problems: Vec<v1::Problem>,
    /// With `base_moved`: the revision that won.
    pub revision: u64,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What one endpoint said, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// HOST:PORT.
    pub endpoint: String,
    /// For people.
    pub why: String,
}

/// The attempts of one call, as one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attempts(pub(crate) Vec<Attempt>);

impl Attempts {
    /// Keeps the last word of each endpoint; that there was none, only if there never was one.
    pub(crate) fn note(&mut self, endpoint: &str, why: String, silent: bool) {
        if silent && self.0.iter().any(|known| known.endpoint == endpoint) {
            return;
        }
        let endpoint = endpoint.to_owned();
        self.0.retain(|known| known.endpoint != endpoint);
        self.0.push(Attempt { endpoint, why });
    }
}

fn list(attempts: &[Attempt]) -> String {
    let lines: Vec<String> = attempts
        .iter()
        .map(|attempt| format!("{}: {}", attempt.endpoint, attempt.why))
        .collect();
    lines.join("; ")
}

/// Why a call did not give what was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The endpoint list can't be used.
    #[error(transparent)]
    Endpoints(#[from] EndpointError),
    /// There is no such stack, resource or member.
    #[error("{0}")]
    NotFound(Refusal),
    /// It exists already.
    #[error("{0}")]
    AlreadyExists(Refusal),
    /// The request can't be read or is wrong in itself; the problems say where.
    #[error("{0}")]
    Invalid(Refusal),
    /// The base that was given is not the current revision any more; the refusal names the one that won.
    #[error("{0}")]
    BaseMoved(Refusal),
    /// The state of the cluster forbids it: protected, being deleted, a plan that has gone stale, …
    #[error("{0}")]
    Refused(Refusal),
    /// A limit would be passed.
    #[error("{0}")]
    TooLarge(Refusal),
    /// The history no longer reaches back to where a watch wanted to start.
    #[error("{0}")]
    HistoryGone(Refusal),
    /// No member could do it now. Nothing was changed.
    #[error("unavailable: {}", list(.0))]
    Unavailable(Vec<Attempt>),
    /// No answer came to a request that was sent: it may be committed, now or later. Asking again with the same
    /// request id is safe, and tells.
    #[error("outcome unknown (request id {request_id}): {}", list(.attempts))]
    OutcomeUnknown {
        /// To ask again with.
        request_id: RequestId,
        /// What each endpoint said last.
        attempts: Vec<Attempt>,
    },
    /// A member answered against the protocol, or failed inside.
    #[error("{0}")]
    Internal(Refusal),
}

impl Error {
    /// The refusal in it, if a member gave one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::NotFound(refusal)
            | Self::AlreadyExists(refusal)
            | Self::Invalid(refusal)
            | Self::BaseMoved(refusal)
            | Self::Refused(refusal)
            | Self::TooLarge(refusal)
            | Self::HistoryGone(refusal)
            | Self::Internal(refusal) => Some(refusal),
            Self::Endpoints(_) | Self::Unavailable(_) | Self::OutcomeUnknown { .. } => None,
        }
    }

    /// Every problem that the refusal names.
    pub fn problems(&self) -> &[v1::Problem] {
        self.refusal().map_or(&[], |refusal| &refusal.problems)
    }
}

/// How a failed attempt is to be taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Final: every member would say the same.
    Final(Error),
    /// Another member, or the same one later, may do it.
    TryElsewhere {
        why: String,
        /// Something was sent and may still take effect.
        maybe_done: bool,
        /// The leader's address, if the member knew it.
        leader: Option<String>,
        /// Nothing was said at all.
        silent: bool,
    },
}

/// Reads a status: what a member said, or what the transport did.
pub(crate) fn judge(status: &Status) -> Verdict {
    let detail = v1::ErrorDetail::decode(status.details()).unwrap_or_default();
    let refusal = || Refusal {
        code: status.code(),
        reason: detail.reason.clone(),
        message: status.message().to_owned(),
        problems: detail.problems.clone(),
        revision: detail.revision,
    };
    if detail.reason == "base_moved" {
        return Verdict::Final(Error::BaseMoved(refusal()));
    }
    let error = match status.code() {
        Code::NotFound => Error::NotFound(refusal()),
        Code::AlreadyExists => Error::AlreadyExists(refusal()),
        Code::InvalidArgument => Error::Invalid(refusal()),
        Code::FailedPrecondition | Code::Aborted | Code::PermissionDenied => {
            Error::Refused(refusal())
        }
        Code::ResourceExhausted => Error::TooLarge(refusal()),
        Code::OutOfRange if detail.reason == "history_gone" => Error::HistoryGone(refusal()),
        Code::Unavailable => return elsewhere(status, &detail),
        // What the transport itself makes of a connection that broke; a member's own has a reason with it.
        Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal
            if detail.reason.is_empty() =>
        {
            return elsewhere(status, &detail);
        }
        _ => Error::Internal(refusal()),
    };
    Verdict::Final(error)
}

fn elsewhere(status: &Status, detail: &v1::ErrorDetail) -> Verdict {
    let said_by_member = !detail.reason.is_empty();
    let maybe_done = if said_by_member {
        detail.outcome_unknown
    } else {
        !never_connected(status)
    };
    Verdict::TryElsewhere {
        why: reason_of(status),
        maybe_done,
        leader: Some(detail.leader_address.clone()).filter(|address| !address.is_empty()),
        silent: false,
    }
}

/// The connection was never made, so nothing was sent.
fn never_connected(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The innermost cause, which is the one that says something.
fn reason_of(status: &Status) -> String {
    let mut innermost = None;
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        innermost = Some(error.to_string());
        source = error.source();
    }
    match innermost {
        Some(text) if !text.is_empty() => text,
        _ if status.message().is_empty() => status.code().description().to_owned(),
        _ => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: Code, detail: v1::ErrorDetail) -> Status {
        Status::with_details(code, "no", detail.encode_to_vec().into())
    }

    #[test]
    fn a_moved_base_names_the_revision_that_won() {
        let detail = v1::ErrorDetail {
            reason: "base_moved".into(),
            revision: 7,
            ..Default::default()
        };
        let Verdict::Final(Error::BaseMoved(refusal)) = judge(&status(Code::Aborted, detail))
        else {
            panic!("a moved base is final");
        };
        assert_eq!(refusal.revision, 7);
    }

    #[test]
    fn a_member_without_a_leader_is_passed_over_and_changed_nothing() {
        let detail = v1::ErrorDetail {
            reason: "no_leader".into(),
            leader_address: "b:2".into(),
            ..Default::default()
        };
        let expected = Verdict::TryElsewhere {
            why: "no".into(),
            maybe_done: false,
            leader: Some("b:2".into()),
            silent: false,
        };
        assert_eq!(judge(&status(Code::Unavailable, detail)), expected);
    }

    #[test]
    fn a_broken_connection_leaves_the_outcome_unknown() {
        let Verdict::TryElsewhere { maybe_done, .. } = judge(&Status::unknown("broken pipe"))
        else {
            panic!("another member may know");
        };
        assert!(maybe_done);
    }

    #[test]
    fn every_problem_of_a_template_is_kept_with_its_place() {
        let problem = v1::Problem {
            line: 3,
            column: 7,
            message: "unknown property".into(),
            ..Default::default()
        };
        let detail = v1::ErrorDetail {
            reason: "invalid_template".into(),
            problems: vec![problem.clone(), problem],
            ..Default::default()
        };
        let Verdict::Final(error) = judge(&status(Code::InvalidArgument, detail)) else {
            panic!("final");
        };
        assert_eq!(error.problems().len(), 2);
        assert_eq!(
            (error.problems()[0].line, error.problems()[0].column),
            (3, 7)
        );
    }
}
