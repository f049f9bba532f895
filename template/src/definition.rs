//! What comes out of a compilation. Plain data; knows nothing of how it is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::problem::Problem;

/// Contents of files by the path that templates call them by.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// Parameter values by name.
pub type ParameterValues = BTreeMap<String, ParameterValue>;

/// A whole template, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// All but the resources.
    pub head: Head,
    /// Normal form (JSON) of the merged environments, without the parameter values.
    pub environment: String,
    /// Every declared parameter's value.
    pub parameters: ParameterValues,
    /// Every resource of the text: those with a definition first, dependencies before dependents, then
    /// those that a condition leaves out, by name.
    pub resources: Vec<CompiledResource>,
    /// Outputs by name.
    pub outputs: Vec<CompiledOutput>,
    /// What is odd but not wrong.
    pub warnings: Vec<Problem>,
}

/// A template without its resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    /// Normal form (JSON): version, description, parameter schema and groups, conditions, outputs.
    pub text: String,
    /// Files that the outputs include; sorted by path.
    pub files: Vec<FileContent>,
}

/// One resource of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledResource {
    /// Its name.
    pub name: String,
    /// What the user wrote.
    pub fragment: Fragment,
    /// What it should be; none if its condition is false.
    pub definition: Option<Definition>,
}

/// A resource as the user wrote it, with all that it takes to compile it again without the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fragment {
    /// Normal form (JSON) of the resource.
    pub text: String,
    /// Parameters that it depends on, by way of conditions too; sorted.
    pub parameters: Vec<String>,
    /// Files that it includes; sorted by path.
    pub files: Vec<FileContent>,
}

/// A file that a fragment includes.
#[derive(Clone, Debug, PartialEq)]
pub struct FileContent {
    /// The path as the template has it.
    pub path: String,
    /// All of it.
    pub content: Arc<[u8]>,
}

/// What a resource should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Name of the resource type, with the environment's aliases resolved.
    pub type_name: Arc<str>,
    /// Canonical, versioned bytes of type and properties (`body.rs` has the format): equal meaning, equal
    /// bytes. For [`evaluate`](fn@crate::evaluate).
    pub body: Vec<u8>,
    /// What of other resources the body refers to; sorted, each once.
    pub references: Vec<Reference>,
    /// What must be settled before this one beyond what it refers to; sorted, each once; only resources
    /// that have a definition.
    pub depends_on: Vec<String>,
    /// What never reaches a provider.
    pub meta: Arc<Meta>,
}

/// A use of another resource's value. Counts per whole attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The resource referred to.
    pub resource: String,
    /// Its attribute; none is its reference id.
    pub attribute: Option<String>,
}

/// What a resource says beside type and properties. A change of it alone never calls a provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Free text.
    pub description: Option<String>,
    /// Free data.
    pub metadata: serde_json::Map<String, Json>,
    /// What becomes of the outside object when the resource goes.
    pub deletion_policy: DeletionPolicy,
    /// In which order an object is replaced.
    pub replacement_policy: ReplacementPolicy,
    /// Where a host-bound resource may live.
    pub placement: Placement,
    /// What to do about drift; none is as the stack says.
    pub drift: Option<DriftPolicy>,
    /// Its deletion and replacement are refused.
    pub protect: bool,
    /// Bound of one provider call, milliseconds; none is the provider's default.
    pub timeout_ms: Option<u64>,
    /// Physical id of an object that exists already and is only referred to.
    pub external_id: Option<String>,
}

/// What becomes of the outside object when the resource goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// It is deleted.
    #[default]
    Delete,
    /// It is left alone and forgotten.
    Retain,
}

/// In which order an object is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplacementPolicy {
    /// The successor is made before the old one is deleted.
    #[default]
    CreateFirst,
    /// The old one is deleted before the successor is made.
    DeleteFirst,
}

/// What to do about drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftPolicy {
    /// Mend it.
    Heal,
    /// Only tell.
    Report,
}

/// Where a host-bound resource may live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Exactly this host id.
    pub host: Option<String>,
    /// Only engines with all these labels.
    pub labels: BTreeMap<String, String>,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledOutput {
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Canonical bytes of the value, null if its condition is false. For
    /// [`evaluate_output`](crate::evaluate_output).
    pub body: Vec<u8>,
    /// What of resources the value refers to; sorted, each once.
    pub references: Vec<Reference>,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterValue {
    /// The value, of the declared type.
    pub value: Json,
    /// Masked wherever it is shown.
    pub hidden: bool,
    /// Given by the user, not a default.
    pub given: bool,
}
