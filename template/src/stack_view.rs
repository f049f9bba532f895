//! What a patch asks of the stored stack: look-ups of single things, so that its cost does not depend on the
//! stack's size. Knows nothing of how a stack is stored.

use crate::definition::{Fragment, Head, ParameterValues};

/// A stored stack, seen through single look-ups.
pub trait StackView {
    /// The stored head ([`Compiled::head`](crate::Compiled)).
    fn head(&self) -> Head;
    /// The stored environment ([`Compiled::environment`](crate::Compiled)).
    fn environment(&self) -> String;
    /// The stored values of all parameters.
    fn parameters(&self) -> ParameterValues;
    /// The resolved type of a resource that has a definition.
    fn type_of(&self, resource: &str) -> Option<String>;
    /// What the user wrote of a resource, with a definition or left out by a condition.
    fn fragment(&self, resource: &str) -> Option<Fragment>;
    /// Resources whose fragment depends on a parameter ([`Fragment::parameters`]).
    fn users_of_parameter(&self, parameter: &str) -> Vec<String>;
    /// Resources whose definition refers to, or depends on, this one.
    fn dependents_of(&self, resource: &str) -> Vec<String>;
    /// Resources that this one's definition refers to or depends on.
    fn dependencies_of(&self, resource: &str) -> Vec<String>;
}
