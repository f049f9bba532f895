//! Parameters: what a template declares, and the values they get. Knows no resources.

mod declare;
mod resolve;

use serde_json::Value as Json;

use crate::problem::Position;
use crate::schema::Constraint;

pub(crate) use declare::{check_groups, declarations};
pub(crate) use resolve::{Given, Parameters, resolve, resolve_into};

/// Names that a template may use without declaring them.
pub(crate) const STACK_NAME: &str = "OS::stack_name";
pub(crate) const STACK_ID: &str = "OS::stack_id";
pub(crate) const PROJECT_ID: &str = "OS::project_id";
pub(crate) const PSEUDO: &[&str] = &[STACK_NAME, STACK_ID, PROJECT_ID];

/// What kind of value a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterKind {
    String,
    Number,
    CommaDelimitedList,
    Json,
    Boolean,
}

/// The words for the kinds.
const KINDS: &[(&str, ParameterKind)] = &[
    ("string", ParameterKind::String),
    ("number", ParameterKind::Number),
    ("comma_delimited_list", ParameterKind::CommaDelimitedList),
    ("json", ParameterKind::Json),
    ("boolean", ParameterKind::Boolean),
];

/// What a template says of a parameter.
#[derive(Clone, Debug)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) kind: ParameterKind,
    pub(crate) default: Option<(Json, Position)>,
    pub(crate) hidden: bool,
    pub(crate) immutable: bool,
    pub(crate) constraints: Vec<ParameterConstraint>,
    pub(crate) position: Position,
}

/// A constraint and what its author says of it.
#[derive(Clone, Debug)]
pub(crate) struct ParameterConstraint {
    pub(crate) constraint: Constraint,
    pub(crate) description: Option<String>,
}

#[cfg(test)]
mod tests;
