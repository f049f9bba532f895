//! What a resource type takes and gives, as the caller tells it. Knows nothing of providers.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// The resource types that exist. The caller makes it from what its providers say.
pub trait Catalog {
    /// The schema of a type, by its exact name.
    fn resource_type(&self, name: &str) -> Option<&TypeSchema>;
    /// Names of all types, for suggestions.
    fn type_names(&self) -> Box<dyn Iterator<Item = &str> + '_>;
}

/// A catalog kept in a map.
#[derive(Clone, Debug, Default)]
pub struct MapCatalog {
    /// Schema by type name.
    pub types: BTreeMap<String, TypeSchema>,
}

impl Catalog for MapCatalog {
    fn resource_type(&self, name: &str) -> Option<&TypeSchema> {
        self.types.get(name)
    }

    fn type_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.types.keys().map(String::as_str))
    }
}

/// What one resource type takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeSchema {
    /// The properties it knows.
    pub properties: BTreeMap<String, PropertySchema>,
    /// The attributes it reports.
    pub attributes: BTreeMap<String, AttributeSchema>,
    /// Properties not listed are taken too, as they come (`OS::Heat::None`).
    pub any_property: bool,
    /// Attributes not listed may be asked for too (a command prints what it likes).
    pub any_attribute: bool,
    /// The reference id (what `get_resource` gives) is a secret.
    pub secret_reference_id: bool,
}

/// One attribute of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeSchema {
    /// Masked wherever it is shown.
    pub secret: bool,
}

/// One property of a type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PropertySchema {
    /// Kinds it may have, tried in order; none means any. A value that is of one of them already stays as
    /// it is, else the first kind that it can be read as wins.
    pub kinds: Vec<Kind>,
    /// It must be given, unless it has a default.
    pub required: bool,
    /// What the provider takes if it is not given. Not put into definitions: the provider does that.
    pub default: Option<Json>,
    /// What its value must satisfy.
    pub constraints: Vec<Constraint>,
    /// What is inside a list or a map.
    pub nested: Option<Nested>,
    /// Masked wherever it is shown.
    pub secret: bool,
    /// An unquoted literal is taken as the text that was written, not as the number YAML makes of it
    /// (`mode: 0644` is `"0644"`, not 420). Needs [`Kind::String`] among the kinds.
    pub as_written: bool,
    /// Why it is refused though it is known (a property that means nothing here).
    pub refused: Option<String>,
}

impl PropertySchema {
    /// A property of one kind, optional.
    pub fn of(kind: Kind) -> Self {
        Self {
            kinds: vec![kind],
            ..Self::default()
        }
    }

    /// The same, required.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// What kind of value a property has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Text; integers and booleans are turned into it.
    String,
    /// A whole number; text of one is turned into it.
    Integer,
    /// Any number; text of one is turned into it.
    Number,
    /// true or false; text of one is turned into it.
    Boolean,
    /// A list; JSON text of one is turned into it.
    List,
    /// A map; JSON text of one is turned into it.
    Map,
    /// Anything, as it comes.
    Any,
}

impl Kind {
    /// The kind in words, with article.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Any => "anything",
        }
    }
}

/// What is inside a list or a map.
#[derive(Clone, Debug, PartialEq)]
pub enum Nested {
    /// Every item of a list, every value of a map whose keys are free.
    Each(Box<PropertySchema>),
    /// The keys of a map that are known; others are errors.
    Keys(BTreeMap<String, PropertySchema>),
}

/// What a value must satisfy. The same for properties and for parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// Characters of a string, items of a list or map.
    Length {
        /// At least.
        min: Option<u64>,
        /// At most.
        max: Option<u64>,
    },
    /// A number, both ends included.
    Range {
        /// At least.
        min: Option<f64>,
        /// At most.
        max: Option<f64>,
    },
    /// A whole number that is `offset` more than a multiple of `step`.
    Modulo {
        /// Distance of allowed numbers.
        step: i64,
        /// The first of them.
        offset: i64,
    },
    /// One of these; every item of a list.
    AllowedValues(Vec<Json>),
    /// The whole string matches this regular expression.
    AllowedPattern(String),
}
