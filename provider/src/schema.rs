//! What a resource type has: properties, attributes, and what its provider can promise about it.
//!
//! Serialises to what `anneal provider schema` prints. Knows nothing about any one type.

mod check;

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::path::PropertyPath;
use crate::request::{Diagnostic, Values};

pub use check::nearest;

/// One resource type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeSchema {
    /// Its name in templates.
    pub name: String,
    /// What it is, in a sentence or two.
    pub description: String,
    /// Its properties, in the order in which people should read them.
    pub properties: Vec<PropertySchema>,
    /// Whether any other property is accepted too, unseen.
    pub any_property: bool,
    /// Its attributes.
    pub attributes: Vec<AttributeSchema>,
    /// Whether it may have any other attribute too; one that it does not report is null.
    pub any_attribute: bool,
    /// What `get_resource` gives.
    pub reference: Reference,
    /// Where its instances live.
    pub scope: Scope,
    /// What its provider can promise.
    pub capabilities: Capabilities,
    /// How much its provider asks of the outside world at a time, over all engines of a cluster.
    pub limits: Limits,
    /// How long an action may take unless the resource says otherwise. None: no bound of its own.
    #[serde(rename = "default_timeout_seconds", serialize_with = "seconds")]
    pub default_timeout: Option<Duration>,
}

/// What `get_resource` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The physical id.
    PhysicalId,
    /// The value of this attribute.
    Attribute(String),
}

/// Where a type's instances live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Somewhere that every engine can reach.
    ClusterWide,
    /// On the host of the engine that made them.
    HostBound,
    /// On the host, unless this property has this value.
    HostBoundUnless {
        /// The property that says so.
        property: String,
        /// The value that makes it cluster-wide.
        value: String,
    },
}

/// On what a promise depends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// It always holds.
    Always,
    /// It never holds.
    Never,
    /// It holds for resources that have this property.
    WithProperty(String),
    /// It holds for resources that have any of these properties.
    WithAnyProperty(Vec<String>),
}

impl When {
    /// Whether it holds for a resource with these properties.
    pub fn holds(&self, properties: &Values) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::WithProperty(name) => has(properties, name),
            Self::WithAnyProperty(names) => names.iter().any(|name| has(properties, name)),
        }
    }
}

fn has(properties: &Values, name: &str) -> bool {
    properties.get(name).is_some_and(|value| !value.is_null())
}

/// What a provider can promise about a type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Two calls with the same idempotency key have one effect.
    pub honours_keys: When,
    /// Having seen a fencing token, the outside world refuses smaller ones.
    pub fences: When,
    /// It can find out what is there. Without it an Unknown needs a person.
    pub looks: When,
    /// It finds an object also if the call that made it was lost before it told the id. Without it such a call needs a
    /// person, though what has an id is looked at.
    pub finds: When,
    /// Physical ids are names: creation is exclusive and answers Conflict, and only its own is deleted.
    pub named: bool,
    /// There is no outside: the physical id is made from the instance id, and an Unknown create is absent.
    pub derived_id: bool,
    /// A running action ends soon after it is cancelled.
    pub cancellable: bool,
    /// How long after a call its effect may still be invisible to a look.
    #[serde(rename = "lag_ms", serialize_with = "millis")]
    pub lag: Duration,
}

impl Capabilities {
    /// Promises nothing but that it can look.
    pub const fn plain() -> Self {
        Self {
            honours_keys: When::Never,
            fences: When::Never,
            looks: When::Always,
            finds: When::Always,
            named: false,
            derived_id: false,
            cancellable: false,
            lag: Duration::ZERO,
        }
    }
}

/// How much may be asked of the outside world at a time. None: as much as engines can carry out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Actions that may begin in a second. A second's worth may begin at once.
    pub max_calls_per_second: Option<u32>,
    /// Actions that may be under way.
    pub max_concurrent_calls: Option<u32>,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text. Numbers and booleans are taken as their text.
    String,
    /// A whole number, also as text.
    Integer,
    /// A number, also as text.
    Number,
    /// A boolean, also as one of Heat's words for it.
    Boolean,
    /// A list.
    List,
    /// A map.
    Map,
    /// Octal digits as written, such as `0644`.
    Mode,
    /// Anything.
    Any,
}

/// What a change of a property does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// The instance is changed.
    InPlace,
    /// A successor is made.
    Replace,
    /// It depends; the type's description says on what.
    Depends,
}

/// What a value must fulfil beyond its kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// A number within these bounds, both included.
    Range {
        /// Lower bound.
        min: Option<f64>,
        /// Upper bound.
        max: Option<f64>,
    },
    /// A length (characters, items) within these bounds, both included.
    Length {
        /// Lower bound.
        min: Option<usize>,
        /// Upper bound.
        max: Option<usize>,
    },
    /// One of these; of a list, each item.
    AllowedValues(Vec<Value>),
}

/// What is inside a list or map.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nested {
    /// A map with these keys and no others.
    Keys(Vec<PropertySchema>),
    /// A list or map whose every value is of one of these kinds.
    EachOf(Vec<Kind>),
    /// A list of maps with these keys and no others.
    ListOfKeys(Vec<PropertySchema>),
}

/// One property, or one key of a nested map.
#[derive(Clone, Debug, Serialize)]
pub struct PropertySchema {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it may be: any of these.
    pub kinds: Vec<Kind>,
    /// Whether it must be there.
    pub required: bool,
    /// What it is when it is not there.
    pub default: Option<Value>,
    /// What it must fulfil.
    pub constraints: Vec<Constraint>,
    /// What is inside.
    pub nested: Option<Nested>,
    /// What a change of it does.
    pub update: OnChange,
    /// Whether its value is secret.
    pub secret: bool,
    /// Why it is refused although it is known.
    pub refused: Option<String>,
}

/// One attribute.
#[derive(Clone, Debug, Serialize)]
pub struct AttributeSchema {
    /// Its name.
    pub name: String,
    /// What it tells.
    pub description: String,
    /// What it is.
    pub kind: Kind,
    /// Whether its value is secret.
    pub secret: bool,
    /// The property that it is computed from in a way that does not show it, such as a digest: it is secret if that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computed_from: Option<String>,
}

impl TypeSchema {
    /// A type with no properties and attributes yet, cluster-wide, that promises nothing.
    pub fn new(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            properties: Vec::new(),
            any_property: false,
            attributes: Vec::new(),
            any_attribute: false,
            reference: Reference::PhysicalId,
            scope: Scope::ClusterWide,
            capabilities: Capabilities::plain(),
            limits: Limits::default(),
            default_timeout: None,
        }
    }

    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&PropertySchema> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&AttributeSchema> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// Whether `get_attr` may ask for this name.
    pub fn has_attribute(&self, name: &str) -> bool {
        self.any_attribute || self.attribute(name).is_some()
    }

    /// Whether a resource with these properties lives on the host of its engine.
    pub fn is_host_bound(&self, properties: &Values) -> bool {
        match &self.scope {
            Scope::ClusterWide => false,
            Scope::HostBound => true,
            Scope::HostBoundUnless { property, value } => {
                properties.get(property).and_then(Value::as_str) != Some(value.as_str())
            }
        }
    }

    /// Everything that is wrong with these properties, as far as the schema tells; values at `unknown`
    /// paths are taken to be right.
    pub fn check(&self, properties: &Values, unknown: &[PropertyPath]) -> Vec<Diagnostic> {
        check::check(self, properties, unknown)
    }
}

impl PropertySchema {
    /// A property that may be left out, and whose change is made in place.
    pub fn new(name: &str, kinds: &[Kind], description: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            kinds: kinds.to_vec(),
            required: false,
            default: None,
            constraints: Vec::new(),
            nested: None,
            update: OnChange::InPlace,
            secret: false,
            refused: None,
        }
    }

    /// It must be there.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// What it is when it is not there.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// What a change of it does.
    #[must_use]
    pub fn on_change(mut self, update: OnChange) -> Self {
        self.update = update;
        self
    }

    /// Its value is secret.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// It is known, but means nothing here.
    #[must_use]
    pub fn refused(mut self, reason: &str) -> Self {
        self.refused = Some(reason.to_owned());
        self
    }

    /// One more thing that it must fulfil.
    #[must_use]
    pub fn constraint(mut self, constraint: Constraint) -> Self {
        self.constraints.push(constraint);
        self
    }

    /// It must be one of these words.
    #[must_use]
    pub fn words(self, words: &[&str]) -> Self {
        self.constraint(Constraint::AllowedValues(
            words.iter().map(|word| Value::from(*word)).collect(),
        ))
    }

    /// It must be at least this.
    #[must_use]
    pub fn at_least(self, min: f64) -> Self {
        self.constraint(Constraint::Range {
            min: Some(min),
            max: None,
        })
    }

    /// What is inside.
    #[must_use]
    pub fn nested(mut self, nested: Nested) -> Self {
        self.nested = Some(nested);
        self
    }
}

impl AttributeSchema {
    /// An attribute whose value is not secret.
    pub fn new(name: &str, kind: Kind, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            kind,
            secret: false,
            computed_from: None,
        }
    }

    /// It is computed from a property, and as secret as that.
    #[must_use]
    pub fn computed_from(mut self, property: &str) -> Self {
        self.computed_from = Some(property.to_owned());
        self
    }

    /// Its value is secret.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

fn seconds<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    value
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}

fn millis<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    u64::try_from(value.as_millis())
        .unwrap_or(u64::MAX)
        .serialize(serializer)
}
