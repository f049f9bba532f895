//! Values that a stack's resources offer, as expressions look them up, and whether they may be shown. Reads one moment.

use anneal_provider::{Reference, Registry};
use anneal_statemachine::{
    StateMachine,
    id::{InstanceId, StackId, Text},
    row::{AttributeRow, Observed},
};
use anneal_template::{Known, Lookup};

use crate::{replica::Replica, submit::read_parameters};

/// What is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    /// Whatever may not be shown to everybody, for whatever reason.
    Any,
    /// Only what comes from a hidden parameter: a type's own secrets do not count.
    Hidden,
}

/// Looks values up in a replica.
pub(crate) struct StackValues<'a> {
    pub(crate) replica: &'a Replica,
    pub(crate) registry: &'a Registry,
    pub(crate) stack: StackId,
    pub(crate) secret: Secret,
}

/// The current instance of a resource, if it is there, and its type.
pub(crate) fn present(
    state: &StateMachine,
    stack: StackId,
    resource: &str,
) -> Option<(InstanceId, Text)> {
    let resource = state.resource(state.resource_named(stack, resource)?)?;
    let current = resource.current?;
    let is_present = matches!(current.row.observed, Observed::Present { .. });
    let (type_name, _) = state.definition(current.row.definition)?;
    is_present.then(|| (current.id, type_name.clone()))
}

/// Whether a sensitive attribute (`None`: the reference id) is so because its type says so.
pub(crate) fn is_secret_by_type(
    registry: &Registry,
    type_name: &str,
    attribute: Option<&str>,
) -> bool {
    let Some(schema) = registry.schema(type_name) else {
        return false;
    };
    let name = match (attribute, &schema.reference) {
        (Some(name), _) => name,
        (None, Reference::Attribute(name)) => name,
        (None, Reference::PhysicalId) => return false,
    };
    schema
        .attribute(name)
        .is_some_and(|attribute| attribute.secret)
}

impl StackValues<'_> {
    fn find(&self, resource: &str, attribute: Option<&str>) -> Option<Known> {
        let name = attribute.map(Text::from);
        let (type_name, row) = self.replica.read_then(
            |state| present(state, self.stack, resource),
            |present, rows| {
                let (instance, type_name) = present?;
                let row = rows.attribute(instance, name.as_ref()).ok()?;
                Some((type_name, row))
            },
        )?;
        let Some(row) = row else {
            // It is there, and does not report this.
            return Some(Known {
                value: serde_json::Value::Null,
                sensitive: false,
            });
        };
        let is_hidden = || {
            !is_secret_by_type(self.registry, &type_name, attribute)
                && has_hidden_parameters(self.replica, self.stack)
        };
        Some(Known {
            value: read_value(&row)?,
            sensitive: row.sensitive && (self.secret == Secret::Any || is_hidden()),
        })
    }
}

/// Whether a stack has hidden parameters at all. Without any, what is secret in it comes from a type that makes secrets, by
/// whatever way it came.
pub(crate) fn has_hidden_parameters(replica: &Replica, stack: StackId) -> bool {
    let parameters = replica.read_then(
        |state| state.stack(stack)?.row.parameters,
        |parameters, rows| rows.blob(parameters?).ok().flatten(),
    );
    let Some(parameters) = parameters else {
        return false;
    };
    // What can't be read is not shown.
    !read_parameters(&parameters)
        .is_ok_and(|values| !values.values().any(|parameter| parameter.hidden))
}

/// The value of a row; `None` if it is not JSON, which an engine never reports.
pub(crate) fn read_value(row: &AttributeRow) -> Option<serde_json::Value> {
    serde_json::from_slice(&row.bytes).ok()
}

impl Lookup for StackValues<'_> {
    fn stack_id(&self) -> Option<String> {
        Some(self.stack.to_string())
    }

    fn reference_id(&self, resource: &str) -> Option<Known> {
        self.find(resource, None)
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Option<Known> {
        self.find(resource, Some(attribute))
    }
}
