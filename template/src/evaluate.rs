//! What a definition's properties are, once what it refers to is known. Knows bodies, no templates.

use serde_json::{Map, Value as Json};

use crate::body::{self, BodyError};
use crate::definition::Reference;
use crate::function::{self, Function};
use crate::limits::Limits;
use crate::value::{Entries, Value};

/// Values of resources, as they are known at the moment.
pub trait Lookup {
    /// The id of the stack.
    fn stack_id(&self) -> Option<String>;
    /// What `get_resource` gives; none if not known yet.
    fn reference_id(&self, resource: &str) -> Option<Known>;
    /// A whole attribute; none if not known yet. An attribute that a resource does not report is null.
    fn attribute(&self, resource: &str, attribute: &str) -> Option<Known>;
}

/// A known value.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The value.
    pub value: Json,
    /// To be masked wherever it is shown.
    pub sensitive: bool,
}

/// A definition's properties.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The resource type.
    pub type_name: String,
    /// Its properties.
    pub properties: Map<String, Json>,
    /// JSON pointers into the properties: what is to be masked.
    pub sensitive: Vec<String>,
}

/// A definition's properties as far as they are known.
#[derive(Clone, Debug, PartialEq)]
pub struct PartlyEvaluated {
    /// The resource type.
    pub type_name: String,
    /// Its properties; what is unknown is null.
    pub properties: Map<String, Json>,
    /// JSON pointers into the properties: what is unknown.
    pub unknown: Vec<String>,
    /// JSON pointers into the properties: what is to be masked.
    pub sensitive: Vec<String>,
}

/// An output's value.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedOutput {
    /// The value; what is unknown is null.
    pub value: Json,
    /// JSON pointers into the value: what is unknown.
    pub unknown: Vec<String>,
    /// JSON pointers into the value: what is to be masked. The empty one is all of it.
    pub sensitive: Vec<String>,
}

/// Why a body has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// Something that it refers to is not known yet.
    #[error("{} of {} is not known yet", .0.attribute.as_deref().unwrap_or("the id"), .0.resource)]
    NotKnown(Reference),
    /// The id of the stack is not known yet.
    #[error("the id of the stack is not known yet")]
    StackIdNotKnown,
    /// A function refuses the values it was given. The user's fault, and permanent for these values.
    #[error("{path}: {function}: {message}")]
    Function {
        /// Where, as a JSON pointer.
        path: String,
        /// Which function.
        function: &'static str,
        /// Why.
        message: String,
    },
    /// A value does not fit the schema. The user's fault, and permanent for these values.
    #[error("{path}: {message}")]
    Value {
        /// Where, as a JSON pointer.
        path: String,
        /// Why.
        message: String,
    },
    /// The bytes are no body: a bug, or written by a newer release.
    #[error("the definition cannot be read: {0}")]
    Body(String),
}

impl From<BodyError> for EvaluateError {
    fn from(error: BodyError) -> Self {
        Self::Body(error.to_string())
    }
}

/// A definition's properties; an error if anything that it refers to is not known.
pub fn evaluate(body: &[u8], lookup: &dyn Lookup) -> Result<Evaluated, EvaluateError> {
    let (type_name, properties) = body::decode_resource(body)?;
    let properties = Evaluation::new(lookup, false).entries(properties)?;
    let found = Findings::in_entries(&properties);
    Ok(Evaluated {
        type_name,
        properties: json_entries(&properties),
        sensitive: found.sensitive,
    })
}

/// A definition's properties as far as they are known.
pub fn evaluate_partial(
    body: &[u8],
    lookup: &dyn Lookup,
) -> Result<PartlyEvaluated, EvaluateError> {
    let (type_name, properties) = body::decode_resource(body)?;
    let properties = Evaluation::new(lookup, true).entries(properties)?;
    let found = Findings::in_entries(&properties);
    let properties = json_entries(&properties);
    Ok(PartlyEvaluated {
        type_name,
        properties,
        unknown: found.unknown,
        sensitive: found.sensitive,
    })
}

/// An output's value as far as it is known.
pub fn evaluate_output(body: &[u8], lookup: &dyn Lookup) -> Result<EvaluatedOutput, EvaluateError> {
    let value = Evaluation::new(lookup, true).value(body::decode_output(body)?)?;
    let mut found = Findings::default();
    found.look(&value, &mut String::new(), false);
    Ok(EvaluatedOutput {
        value: value.to_json(),
        unknown: found.unknown,
        sensitive: found.sensitive,
    })
}

fn json_entries(entries: &Entries) -> Map<String, Json> {
    entries
        .iter()
        .map(|(key, value)| (key.clone(), value.to_json()))
        .collect()
}

struct Evaluation<'a> {
    lookup: &'a dyn Lookup,
    /// What is not known becomes unknown instead of an error.
    partial: bool,
    /// Where it is, as a JSON pointer.
    path: String,
    limits: Limits,
}

impl<'a> Evaluation<'a> {
    fn new(lookup: &'a dyn Lookup, partial: bool) -> Self {
        Self {
            lookup,
            partial,
            path: String::new(),
            limits: Limits::default(),
        }
    }

    fn entries(&mut self, entries: Entries) -> Result<Entries, EvaluateError> {
        let mut evaluated = Entries::with_capacity(entries.len());
        for (key, value) in entries {
            let length = self.path.len();
            push_pointer(&mut self.path, &key);
            let value = self.value(value)?;
            self.path.truncate(length);
            evaluated.insert(key, value);
        }
        Ok(evaluated)
    }

    fn value(&mut self, value: Value) -> Result<Value, EvaluateError> {
        match value {
            Value::List(items) => {
                let mut evaluated = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let length = self.path.len();
                    push_pointer(&mut self.path, &index.to_string());
                    evaluated.push(self.value(item)?);
                    self.path.truncate(length);
                }
                Ok(Value::List(evaluated))
            }
            Value::Map(entries) => self.entries(entries).map(Value::Map),
            Value::Sensitive(inner) => Ok(self.value(*inner)?.marked(true)),
            Value::Call(call) => {
                // A path within arguments would point to nothing the user wrote.
                let length = self.path.len();
                let arguments = self.value(call.arguments)?;
                self.path.truncate(length);
                self.call(call.function, arguments)
            }
            known => Ok(known),
        }
    }

    fn call(&self, function: Function, arguments: Value) -> Result<Value, EvaluateError> {
        if arguments.has_unknown() {
            return Ok(Value::Unknown);
        }
        match function {
            Function::StackId => match self.lookup.stack_id() {
                Some(id) => Ok(Value::Text(id)),
                None => self.unknown(EvaluateError::StackIdNotKnown),
            },
            Function::GetResource => match &arguments {
                Value::Text(resource) => {
                    self.known(self.lookup.reference_id(resource), resource, None)
                }
                _ => Err(EvaluateError::Body(
                    "get_resource names no resource".to_owned(),
                )),
            },
            Function::GetAttr => match &arguments {
                Value::List(parts) => self.attribute(parts),
                _ => Err(EvaluateError::Body(
                    "get_attr names no attribute".to_owned(),
                )),
            },
            _ => function::apply(function, arguments, &self.limits).map_err(|message| {
                EvaluateError::Function {
                    path: self.path.clone(),
                    function: function.name(),
                    message,
                }
            }),
        }
    }

    fn attribute(&self, parts: &[Value]) -> Result<Value, EvaluateError> {
        let [Value::Text(resource), Value::Text(attribute), path @ ..] = parts else {
            return Err(EvaluateError::Body(
                "get_attr names no attribute".to_owned(),
            ));
        };
        let whole = self.known(
            self.lookup.attribute(resource, attribute),
            resource,
            Some(attribute),
        )?;
        Ok(if whole == Value::Unknown {
            whole
        } else {
            function::select(&whole, path)
        })
    }

    fn known(
        &self,
        known: Option<Known>,
        resource: &str,
        attribute: Option<&str>,
    ) -> Result<Value, EvaluateError> {
        match known {
            Some(known) => Ok(Value::from_json(&known.value).marked(known.sensitive)),
            None => {
                let attribute = attribute.map(str::to_owned);
                self.unknown(EvaluateError::NotKnown(Reference {
                    resource: resource.to_owned(),
                    attribute,
                }))
            }
        }
    }

    fn unknown(&self, error: EvaluateError) -> Result<Value, EvaluateError> {
        if self.partial {
            Ok(Value::Unknown)
        } else {
            Err(error)
        }
    }
}

/// Adds a component to a JSON pointer.
pub(crate) fn push_pointer(pointer: &mut String, component: &str) {
    pointer.push('/');
    pointer.push_str(&component.replace('~', "~0").replace('/', "~1"));
}

#[derive(Default)]
struct Findings {
    unknown: Vec<String>,
    sensitive: Vec<String>,
}

impl Findings {
    fn in_entries(entries: &Entries) -> Self {
        let mut found = Self::default();
        found.look_into(entries, &mut String::new(), false);
        found
    }

    fn look_into(&mut self, entries: &Entries, path: &mut String, masked: bool) {
        for (key, value) in entries {
            let length = path.len();
            push_pointer(path, key);
            self.look(value, path, masked);
            path.truncate(length);
        }
    }

    /// `masked`: something around it is in the list already.
    fn look(&mut self, value: &Value, path: &mut String, masked: bool) {
        match value {
            Value::Unknown | Value::Call(_) => self.unknown.push(path.clone()),
            Value::Sensitive(inner) => {
                if !masked {
                    self.sensitive.push(path.clone());
                }
                self.look(inner, path, true);
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let length = path.len();
                    push_pointer(path, &index.to_string());
                    self.look(item, path, masked);
                    path.truncate(length);
                }
            }
            Value::Map(entries) => self.look_into(entries, path, masked),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Attributes(Vec<(&'static str, &'static str, Json, bool)>);

    impl Lookup for Attributes {
        fn stack_id(&self) -> Option<String> {
            Some("7".to_owned())
        }

        fn reference_id(&self, resource: &str) -> Option<Known> {
            self.attribute(resource, "")
        }

        fn attribute(&self, resource: &str, attribute: &str) -> Option<Known> {
            let found = self
                .0
                .iter()
                .find(|(r, a, ..)| *r == resource && *a == attribute)?;
            Some(Known {
                value: found.2.clone(),
                sensitive: found.3,
            })
        }
    }

    fn body(properties: &str) -> Vec<u8> {
        format!(r#"{{"properties":{properties},"type":"T","v":1}}"#).into_bytes()
    }

    #[test]
    fn references_are_replaced_and_functions_over_them_computed() {
        let lookup = Attributes(vec![
            ("web", "", json!("id-1"), false),
            ("web", "ips", json!(["a", {"b": "c"}]), false),
        ]);
        let body = body(
            r#"{"id":{"$call":["get_resource","web"]},"ip":{"$call":["get_attr",["web","ips",1,"b"]]},
            "none":{"$call":["get_attr",["web","ips",9]]},"stack":{"$call":["stack_id",null]},
            "url":{"$call":["list_join",["/",["http:",{"$call":["get_attr",["web","ips","0"]]}]]]}}"#,
        );
        let evaluated = evaluate(&body, &lookup).unwrap();
        let expected =
            json!({"id": "id-1", "ip": "c", "none": null, "stack": "7", "url": "http:/a"});
        assert_eq!(Json::Object(evaluated.properties), expected);
        assert!(evaluated.sensitive.is_empty());
    }

    #[test]
    fn what_is_computed_from_a_secret_is_a_secret() {
        let lookup = Attributes(vec![("r", "value", json!("s3"), true)]);
        let body = body(
            r#"{"a":{"$call":["list_join",["",[{"$call":["get_attr",["r","value"]]}]]]},"b":{"c/d":[{"$sensitive":1},2]}}"#,
        );
        let evaluated = evaluate(&body, &lookup).unwrap();
        assert_eq!(evaluated.sensitive, ["/a", "/b/c~1d/0"]);
        assert_eq!(evaluated.properties["a"], json!("s3"));
    }

    #[test]
    fn an_engine_is_told_what_is_missing_and_a_preview_what_is_unknown() {
        let lookup = Attributes(vec![]);
        let body = body(
            r#"{"a":1,"b":[{"$call":["list_join",["",[{"$call":["get_attr",["r","value"]]}]]]}]}"#,
        );
        let missing = Reference {
            resource: "r".to_owned(),
            attribute: Some("value".to_owned()),
        };
        assert_eq!(
            evaluate(&body, &lookup),
            Err(EvaluateError::NotKnown(missing))
        );
        let partial = evaluate_partial(&body, &lookup).unwrap();
        assert_eq!(partial.unknown, ["/b/0"]);
        assert_eq!(
            Json::Object(partial.properties),
            json!({"a": 1, "b": [null]})
        );
    }

    #[test]
    fn a_function_that_refuses_its_values_says_where() {
        let lookup = Attributes(vec![("r", "value", json!(5), false)]);
        let body = body(
            r#"{"a":{"b":{"$call":["list_join",["",[{"$call":["get_attr",["r","value"]]}]]]}}}"#,
        );
        let error = evaluate(&body, &lookup).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/a/b: list_join: joins strings, maps and lists, not a number; quote it"
        );
    }
}
