//! From the client library's errors to what people read: what happened, where, and what to do about it.
//!
//! Knows the stable words of refusals and nothing of single commands.

use anneal_client::{Attempt, Error};

use crate::exit::{Failure, REFUSED};
use crate::output::problems::{self, Sources};
use crate::output::{self, text};

/// A failed call as the end of a command.
pub(crate) fn failure(error: Error) -> Failure {
    match &error {
        Error::Unavailable(attempts) => unavailable(attempts),
        Error::OutcomeUnknown {
            request_id,
            attempts,
        } => Failure::refused_with(
            format!(
                "the connection was lost after the request was sent: it may be committed, now or later (request id \
                 {request_id}){}",
                tried(attempts)
            ),
            "look at the stack before trying again: anneal stack show NAME",
        ),
        Error::Endpoints(error) => Failure::Usage(error.to_string()),
        other => match other.refusal() {
            Some(refusal) => {
                let message = match refusal.message.as_str() {
                    "" => format!("the member answered: {}", refusal.code.description()),
                    words => text::printable(words),
                };
                Failure::refused_with(message, advice(&error))
            }
            None => Failure::refused(error.to_string()),
        },
    }
}

/// The same for a submitted document: its problems are shown with the lines they are on.
pub(crate) fn with_sources(error: Error, sources: &Sources) -> Failure {
    if error.problems().is_empty() {
        return failure(error);
    }
    output::note(problems::show(error.problems(), sources).trim_end());
    output::note(&format!(
        "error: the template was refused: {}",
        problems::sum(error.problems())
    ));
    Failure::Silent(REFUSED)
}

fn unavailable(attempts: &[Attempt]) -> Failure {
    Failure::refused_with(
        format!("unavailable: no member could answer{}", tried(attempts)),
        "name the members with --endpoints or ANNEAL_ENDPOINTS, or start one: anneal serve --data-dir DIR",
    )
}

fn tried(attempts: &[Attempt]) -> String {
    attempts
        .iter()
        .map(|attempt| {
            format!(
                "\n  {}: {}",
                attempt.endpoint,
                text::indented(&attempt.why, 4)
            )
        })
        .collect()
}

fn advice(error: &Error) -> String {
    let refusal = error.refusal();
    let reason = refusal.map_or("", |refusal| refusal.reason.as_str());
    match (error, reason) {
        (Error::AlreadyExists(_), _) => {
            "to change it: anneal stack update; to do whichever fits: anneal up".into()
        }
        (Error::NotFound(_), "stack_not_found") => {
            "the stacks that there are: anneal stack list".into()
        }
        (Error::BaseMoved(refusal), _) if refusal.revision > 0 => format!(
            "revision {} has won; look at it, then decide anew",
            refusal.revision
        ),
        (Error::Refused(_), "stack_protected") => {
            "take the protection back first: anneal stack update NAME -f FILE --protect=false"
                .into()
        }
        (Error::Refused(_), "resource_protected") => {
            "take `protect: true` out of the resource first, in a change of its own".into()
        }
        (Error::HistoryGone(_), _) => "watch from now on with --from-now".into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_cluster_is_told_member_by_member() {
        let failure = failure(Error::Unavailable(vec![
            Attempt {
                endpoint: "127.0.0.1:1".into(),
                why: "connection refused".into(),
            },
            Attempt {
                endpoint: "127.0.0.1:2".into(),
                why: "no leader".into(),
            },
        ]));
        assert_eq!(failure.code(), 1);
        let text = failure.to_string();
        assert!(text.contains("127.0.0.1:1: connection refused"), "{text}");
        assert!(text.contains("127.0.0.1:2: no leader"), "{text}");
        assert!(text.contains("--endpoints"), "{text}");
    }
}
