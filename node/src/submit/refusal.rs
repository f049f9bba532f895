//! Why a submission is not carried out, as one type. Three kinds in it are told apart: what the user must mend, what
//! the state machine refused, and what may go better at another time or member. Knows nothing of gRPC.

use std::borrow::Cow;

use anneal_proto::v1;
use anneal_statemachine::outcome::Rejection;
use anneal_template as template;

/// A text that does not compile, with every problem.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", headline(problems, *total))]
pub struct Invalid {
    /// The problems that are listed.
    pub problems: Vec<v1::Problem>,
    /// How many there are, listed or not.
    pub total: usize,
}

/// A bound that would be passed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} {what}")]
pub struct TooLarge {
    what: Cow<'static, str>,
    limit: usize,
}

impl TooLarge {
    /// A bound on so many of something.
    pub fn new(what: impl Into<Cow<'static, str>>, limit: usize) -> Self {
        let what = what.into();
        Self { what, limit }
    }
}

/// What is known when nobody can take a change now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unavailable {
    /// A stable word: `no_leader`, `not_joined`, `leadership_lost`, …
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// The leader's id, if known.
    pub leader: u64,
    /// The leader's address, if known.
    pub leader_address: String,
    /// It was proposed, and may still be committed.
    pub outcome_unknown: bool,
}

/// Why a submission is not carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The request makes no sense in itself.
    #[error("{0}")]
    Argument(String),
    /// The texts do not compile.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A bound would be passed.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The state machine says no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The plan was made for another base, or is not what the texts lead to any more.
    #[error("the plan {plan_id} is stale: what would be done now is plan {now}")]
    PlanStale {
        /// As given.
        plan_id: String,
        /// What it would be.
        now: String,
    },
    /// It would replace what must not be replaced.
    #[error("resource {name} is protected, and this would replace it: {because}")]
    Protected {
        /// The resource.
        name: String,
        /// Why it can't be changed in place.
        because: String,
    },
    /// The stack is being deleted, which a patch or rollback can't undo.
    #[error("stack {0} is being deleted")]
    Deleting(String),
    /// What a stored revision needs is not kept any more.
    #[error("revision {0} is not kept any more")]
    RevisionGone(u64),
    /// The base keeps moving: too many others change this stack at the same time.
    #[error("the stack was changed by others {0} times while this was computed")]
    TooBusy(u32),
    /// Nobody can do it now.
    #[error("{}", .0.message)]
    Unavailable(Unavailable),
    /// The stored rows contradict themselves, or can't be read.
    #[error("{0}")]
    Internal(String),
}

impl Refused {
    /// Rows can't be read.
    pub fn storage(error: impl std::fmt::Display) -> Self {
        Self::Internal(format!("the stored state can't be read: {error}"))
    }
}

impl From<template::Problems> for Invalid {
    fn from(problems: template::Problems) -> Self {
        Self {
            problems: problems.list.iter().map(problem).collect(),
            total: problems.total,
        }
    }
}

impl From<template::Problems> for Refused {
    fn from(problems: template::Problems) -> Self {
        Self::Invalid(problems.into())
    }
}

/// A problem as the wire has it.
pub(crate) fn problem(problem: &template::Problem) -> v1::Problem {
    let severity = match problem.severity {
        template::Severity::Error => "error",
        template::Severity::Warning => "warning",
    };
    v1::Problem {
        severity: severity.to_owned(),
        source: problem.source.to_string(),
        line: problem.line,
        column: problem.column,
        field: problem.path.clone(),
        message: problem.message.clone(),
        suggestion: problem.suggestion.clone().unwrap_or_default(),
    }
}

/// The first problem, and how many more there are.
fn headline(problems: &[v1::Problem], total: usize) -> String {
    let Some(first) = problems.first() else {
        return "the template is not valid".to_owned();
    };
    let mut text = String::new();
    if !first.source.is_empty() {
        text.push_str(&first.source);
        if first.line > 0 {
            text.push_str(&format!(":{}:{}", first.line, first.column));
        }
        text.push_str(": ");
    }
    if !first.field.is_empty() {
        text.push_str(&format!("{}: ", first.field));
    }
    text.push_str(&first.message);
    if total > 1 {
        text.push_str(&format!(" (and {} more)", total - 1));
    }
    text
}
