//! What a provider is asked, and what it answers.
//!
//! Values are plain JSON: expressions are evaluated before, secrets are masked after.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::path::PropertyPath;

/// Property or attribute values by name.
pub type Values = Map<String, Value>;

/// Why properties are not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Which property; the empty path means the resource as a whole.
    pub path: PropertyPath,
    /// What is wrong with it.
    pub message: String,
}

/// What is known of an instance from earlier calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prior<'a> {
    /// The properties it was last made to match, if the engine still knows them. The built-in providers
    /// do without: what they need is in `private`.
    pub properties: Option<&'a Values>,
    /// The attributes last reported.
    pub attributes: Option<&'a Values>,
    /// The physical id, if known.
    pub physical_id: Option<&'a str>,
    /// The provider's own bytes, as it last gave them.
    pub private: &'a [u8],
}

/// What would have to be done?
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The resource type.
    pub type_name: &'a str,
    /// What there is; nothing for a create.
    pub prior: Option<Prior<'a>>,
    /// What is wanted. Values at `unknown` paths are null.
    pub properties: &'a Values,
    /// Where values are not known yet.
    pub unknown: &'a [PropertyPath],
}

/// The answer to a [`PlanRequest`].
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What would be done.
    pub action: PlannedAction,
    /// Attributes known already now, for dependents' previews. Those that are missing are unknown.
    pub attributes: Values,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedAction {
    /// Nothing: what is there is what is wanted.
    Nothing,
    /// It would be made.
    Create,
    /// It would be changed in place.
    Update {
        /// Which properties differ.
        changed: Vec<PropertyPath>,
    },
    /// A successor would be made in its stead.
    Replace {
        /// Which properties can only be had by a replacement.
        because: Vec<PropertyPath>,
    },
}

/// An action to carry out. It never assumes that `plan` was called before.
#[derive(Clone, Copy, Debug)]
pub enum ApplyRequest<'a> {
    /// Make it.
    Create {
        /// The resource type.
        type_name: &'a str,
        /// What is wanted.
        properties: &'a Values,
    },
    /// Make it match, also if nothing was asked for anew but the world has drifted.
    Update {
        /// The resource type.
        type_name: &'a str,
        /// What there is.
        prior: Prior<'a>,
        /// What is wanted.
        properties: &'a Values,
    },
    /// Delete it.
    Delete {
        /// The resource type.
        type_name: &'a str,
        /// What there is.
        prior: Prior<'a>,
    },
}

impl<'a> ApplyRequest<'a> {
    /// The resource type.
    pub fn type_name(&self) -> &'a str {
        match self {
            Self::Create { type_name, .. }
            | Self::Update { type_name, .. }
            | Self::Delete { type_name, .. } => type_name,
        }
    }
}

/// How a provider knows what it made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Made {
    /// Its name in the outside world.
    pub physical_id: String,
    /// What `get_resource` gives, where that is not the physical id.
    pub reference_id: Option<String>,
    /// All its attributes.
    pub attributes: Values,
    /// Attributes whose values are secret although the schema does not say so.
    pub secret_attributes: Vec<String>,
    /// The provider's own bytes, given back to it with every later call.
    pub private: Bytes,
}

/// How an action ended, if it came to a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Created or updated: it is there, healthy, and as wanted.
    Done(Made),
    /// Deleted, and certain not to be there any more.
    Deleted,
    /// Update only: it cannot be had in place; nothing was changed.
    NeedsReplace {
        /// Which properties can only be had by a replacement.
        because: Vec<PropertyPath>,
    },
    /// Update or delete: nothing of this instance was there, and nothing was done.
    Gone,
    /// Create only: an object of that name is there and does not carry this instance's mark; nothing was done.
    Conflict {
        /// The name that is taken.
        physical_id: String,
        /// What is known of the object that has it, for people.
        message: String,
    },
}

/// Which action a lost call was carrying out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// It was to be made.
    Create,
    /// It was to be changed.
    Update,
    /// It was to be deleted.
    Delete,
}

/// What the lost call aimed at.
#[derive(Clone, Copy, Debug)]
pub struct Aim<'a> {
    /// Which action.
    pub action: ActionKind,
    /// The properties that it was to bring about. None if they are not known any more.
    pub properties: Option<&'a Values>,
    /// What is certain of them all the same.
    pub certain: Option<Certain<'a>>,
}

impl<'a> Aim<'a> {
    /// An aim that is known, or of which nothing is.
    pub fn new(action: ActionKind, properties: Option<&'a Values>) -> Self {
        Self {
            action,
            properties,
            certain: None,
        }
    }
}

/// What is certain of properties whose values from elsewhere are not known any more: enough, perhaps, to find the object,
/// and never enough to make it.
#[derive(Clone, Copy, Debug)]
pub struct Certain<'a> {
    /// The properties that refer to nothing else, whole.
    pub properties: &'a Values,
    /// The names of the others.
    pub left_out: &'a [String],
}

/// What is there?
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest<'a> {
    /// The resource type.
    pub type_name: &'a str,
    /// What was known of it.
    pub prior: Prior<'a>,
    /// After a lost call: what that aimed at. None for a background observation.
    pub aim: Option<Aim<'a>>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// Nothing of this instance.
    Absent {
        /// What is known of its end, for people ("process 12 was ended by signal 9").
        because: Option<String>,
    },
    /// It is there.
    Present(Box<Found>),
}

/// An instance that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// How it is known now. Attributes are those found.
    pub made: Made,
    /// Whether it is what was aimed at (with an aim), or what it was last made to be (without).
    pub as_aimed: bool,
    /// Where it is not, property by property. Empty if `as_aimed`.
    pub differences: Vec<PropertyDifference>,
}

/// One property that is not as it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PropertyDifference {
    /// Which property.
    pub path: PropertyPath,
    /// What it should be, or a digest of that where values are large or secret.
    pub desired: Value,
    /// What was found, in the same form; null if nothing.
    pub found: Value,
}

impl Observed {
    /// Nothing is there, and nothing is known of why.
    pub fn absent() -> Self {
        Self::Absent { because: None }
    }

    /// It is there, and differs from what it should be by `differences`.
    pub fn present(made: Made, differences: Vec<PropertyDifference>) -> Self {
        Self::Present(Box::new(Found {
            made,
            as_aimed: differences.is_empty(),
            differences,
        }))
    }
}

/// Take over what exists already.
#[derive(Clone, Copy, Debug)]
pub struct ImportRequest<'a> {
    /// The resource type.
    pub type_name: &'a str,
    /// Its name in the outside world.
    pub physical_id: &'a str,
    /// What will be wanted of it.
    pub properties: &'a Values,
}

/// Find what carries an instance's mark, when no physical id is known.
#[derive(Clone, Copy, Debug)]
pub struct LookUpRequest<'a> {
    /// The resource type.
    pub type_name: &'a str,
    /// The properties that the lost create was to bring about.
    pub properties: Option<&'a Values>,
}
