//! Whether a value fits the schema of its property, and the value in the kind the schema has, by Heat's
//! rules. Knows values, not where they are written.

use serde_json::{Map, Number, Value as Json};

use crate::constraint::{self, Patterns};
use crate::evaluate::{EvaluateError, Evaluated, push_pointer};
use crate::place::Step;
use crate::schema::{Kind, Nested, PropertySchema, TypeSchema};
use crate::value::{Entries, Value};

/// One way in which a value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// From the property's value to the spot.
    pub(crate) path: Vec<PathStep>,
    pub(crate) message: String,
    /// A key that is not known, and the ones that are.
    pub(crate) unknown: Option<(String, Vec<String>)>,
}

/// One step towards a misfit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathStep {
    Key(String),
    Index(usize),
}

impl PathStep {
    pub(crate) fn as_step(&self) -> Step<'_> {
        match self {
            Self::Key(key) => Step::Key(key),
            Self::Index(index) => Step::Index(*index),
        }
    }
}

/// Turns a value into what the schema has. What is pending fits everything.
pub(crate) struct Fitting<'p> {
    pub(crate) patterns: &'p mut Patterns,
    pub(crate) misfits: Vec<Misfit>,
    path: Vec<PathStep>,
}

/// How many characters of a value a message repeats.
const SHOWN_CHARACTERS: usize = 40;

impl<'p> Fitting<'p> {
    pub(crate) fn new(patterns: &'p mut Patterns) -> Self {
        Self {
            patterns,
            misfits: Vec::new(),
            path: Vec::new(),
        }
    }

    fn misfit(&mut self, message: String) {
        self.misfits.push(Misfit {
            path: self.path.clone(),
            message,
            unknown: None,
        });
    }

    /// The value as the schema has it. Where it does not fit, a misfit is noted.
    pub(crate) fn fit(&mut self, value: Value, schema: &PropertySchema, secret: bool) -> Value {
        let secret = secret || schema.secret;
        match value {
            Value::Sensitive(inner) => return self.fit(*inner, schema, true).marked(true),
            Value::Call(_) | Value::Unknown => return value.marked(schema.secret),
            _ => {}
        }
        let Some(value) = self.in_kind(value, schema, secret) else {
            return Value::Null;
        };
        let value = match &schema.nested {
            Some(nested) => self.inside(value, nested, secret),
            None => value,
        };
        for constraint in &schema.constraints {
            if !constraint::satisfied(&value, constraint, self.patterns) {
                let message = format!(
                    "{} does not satisfy {}",
                    shown(&value, secret),
                    constraint::in_words(constraint)
                );
                self.misfit(message);
            }
        }
        value.marked(schema.secret)
    }

    fn in_kind(&mut self, value: Value, schema: &PropertySchema, secret: bool) -> Option<Value> {
        let kinds = &schema.kinds;
        if kinds.is_empty() || kinds.iter().any(|kind| is_of(&value, *kind)) {
            return Some(value);
        }
        if let Some(converted) = kinds.iter().find_map(|kind| converted(&value, *kind)) {
            return Some(converted);
        }
        let wanted: Vec<&str> = kinds.iter().map(|kind| kind.in_words()).collect();
        let mut message = format!("{} is not {}", shown(&value, secret), wanted.join(" or "));
        if kinds.contains(&Kind::String) && matches!(value, Value::Number(_)) {
            message.push_str("; quote it");
        }
        self.misfit(message);
        None
    }

    fn inside(&mut self, value: Value, nested: &Nested, secret: bool) -> Value {
        match (value, nested) {
            (Value::List(items), Nested::Each(schema)) => {
                let mut fitted = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    self.path.push(PathStep::Index(index));
                    fitted.push(self.fit(item, schema, secret));
                    self.path.pop();
                }
                Value::List(fitted)
            }
            (Value::Map(entries), Nested::Each(schema)) => {
                let mut fitted = Entries::with_capacity(entries.len());
                for (key, value) in entries {
                    self.path.push(PathStep::Key(key.clone()));
                    fitted.insert(key, self.fit(value, schema, secret));
                    self.path.pop();
                }
                Value::Map(fitted)
            }
            (Value::Map(entries), Nested::Keys(schemas)) => {
                let mut fitted = Entries::with_capacity(entries.len());
                for (key, value) in entries {
                    self.path.push(PathStep::Key(key.clone()));
                    self.known_key(key, value, schemas, secret, &mut fitted);
                    self.path.pop();
                }
                for (key, _) in schemas
                    .iter()
                    .filter(|(key, schema)| missing(schema, fitted.contains_key(*key)))
                {
                    self.misfit(format!("{key:?} is required"));
                }
                Value::Map(fitted)
            }
            (value, _) => value,
        }
    }

    fn known_key(
        &mut self,
        key: String,
        value: Value,
        schemas: &std::collections::BTreeMap<String, PropertySchema>,
        secret: bool,
        fitted: &mut Entries,
    ) {
        match schemas.get(&key) {
            // Null is as if it were not there.
            Some(_) if value == Value::Null => {}
            Some(schema) => {
                if let Some(reason) = &schema.refused {
                    self.misfit(reason.clone());
                }
                let value = self.fit(value, schema, secret);
                fitted.insert(key, value);
            }
            None => {
                let message = format!("{key:?} is not known here");
                let known = schemas.keys().cloned().collect();
                self.misfits.push(Misfit {
                    path: self.path.clone(),
                    message,
                    unknown: Some((key, known)),
                });
            }
        }
    }
}

fn missing(schema: &PropertySchema, present: bool) -> bool {
    !present && schema.required && schema.default.is_none()
}

/// The value in a message, unless it is a secret.
fn shown(value: &Value, secret: bool) -> String {
    match value {
        _ if secret => "the value".to_owned(),
        Value::List(_) | Value::Map(_) => value.in_words().to_owned(),
        scalar => {
            let text = scalar.to_json().to_string();
            if text.chars().count() <= SHOWN_CHARACTERS {
                return text;
            }
            let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
            format!("{start}…")
        }
    }
}

fn is_of(value: &Value, kind: Kind) -> bool {
    match (value, kind) {
        (_, Kind::Any)
        | (Value::Text(_), Kind::String)
        | (Value::Number(_), Kind::Number)
        | (Value::Bool(_), Kind::Boolean)
        | (Value::List(_), Kind::List)
        | (Value::Map(_), Kind::Map) => true,
        (Value::Number(number), Kind::Integer) => !number.is_f64(),
        _ => false,
    }
}

/// The value as another kind, where Heat would take it for that.
fn converted(value: &Value, kind: Kind) -> Option<Value> {
    match (kind, value) {
        (Kind::String, Value::Bool(flag)) => {
            Some(Value::Text(if *flag { "True" } else { "False" }.to_owned()))
        }
        (Kind::String, Value::Number(number)) if !number.is_f64() => {
            Some(Value::Text(number.to_string()))
        }
        (Kind::String, Value::Null) => Some(Value::Text(String::new())),
        (Kind::Integer, Value::Bool(flag)) => Some(Value::Number(u8::from(*flag).into())),
        (Kind::Integer, Value::Number(number)) => whole(number.as_f64()?),
        (Kind::Integer, Value::Text(text)) => text
            .trim()
            .parse::<i64>()
            .ok()
            .map(|n| Value::Number(n.into())),
        (Kind::Number, Value::Text(text)) => number_of(text).map(Value::Number),
        (Kind::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("true") => {
            Some(Value::Bool(true))
        }
        (Kind::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("false") => {
            Some(Value::Bool(false))
        }
        (Kind::List, Value::Text(text)) => {
            parsed(text).filter(|value| matches!(value, Value::List(_)))
        }
        (Kind::Map, Value::Text(text)) => {
            parsed(text).filter(|value| matches!(value, Value::Map(_)))
        }
        _ => None,
    }
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str::<Json>(text)
        .ok()
        .map(|json| Value::from_json(&json))
}

/// A float without fraction as a whole number.
fn whole(value: f64) -> Option<Value> {
    // Beyond 2^53 a float names no single whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= EXACT).then(|| Value::Number((value as i64).into()))
}

/// The number a text stands for: whole if it can be.
pub(crate) fn number_of(text: &str) -> Option<Number> {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    }
}

/// Checks properties whose every value is known by now, and brings them into the kinds of their schema: the
/// engine's part of what the compiler does for literals.
pub fn fit_evaluated(evaluated: &mut Evaluated, schema: &TypeSchema) -> Result<(), EvaluateError> {
    let mut patterns = Patterns::default();
    let mut fitted = Map::with_capacity(evaluated.properties.len());
    for (name, json) in std::mem::take(&mut evaluated.properties) {
        let (Some(property), false) = (schema.properties.get(&name), json.is_null()) else {
            fitted.insert(name, json);
            continue;
        };
        let mut pointer = String::new();
        push_pointer(&mut pointer, &name);
        let secret = evaluated
            .sensitive
            .iter()
            .any(|s| *s == pointer || s.starts_with(&format!("{pointer}/")));
        let mut fitting = Fitting::new(&mut patterns);
        let value = fitting.fit(Value::from_json(&json), property, secret);
        if let Some(misfit) = fitting.misfits.into_iter().next() {
            for step in &misfit.path {
                match step {
                    PathStep::Key(key) => push_pointer(&mut pointer, key),
                    PathStep::Index(index) => push_pointer(&mut pointer, &index.to_string()),
                }
            }
            return Err(EvaluateError::Value {
                path: pointer,
                message: misfit.message,
            });
        }
        fitted.insert(name, value.to_json());
    }
    evaluated.properties = fitted;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Constraint;
    use serde_json::json;

    fn fitted(value: Json, schema: &PropertySchema) -> Result<Json, String> {
        let mut patterns = Patterns::default();
        let mut fitting = Fitting::new(&mut patterns);
        let value = fitting.fit(Value::from_json(&value), schema, false);
        match fitting.misfits.first() {
            Some(misfit) => Err(misfit.message.clone()),
            None => Ok(value.to_json()),
        }
    }

    #[test]
    fn values_are_turned_into_the_kind_of_their_property_as_heat_does() {
        let cases = [
            (Kind::String, json!(5), json!("5")),
            (Kind::String, json!(true), json!("True")),
            (Kind::Integer, json!("5"), json!(5)),
            (Kind::Integer, json!(5.0), json!(5)),
            (Kind::Number, json!("1.5"), json!(1.5)),
            (Kind::Boolean, json!("False"), json!(false)),
            (Kind::List, json!("[1]"), json!([1])),
            (Kind::Map, json!("{\"a\": 1}"), json!({"a": 1})),
            (Kind::Any, json!([{}]), json!([{}])),
        ];
        for (kind, given, wanted) in cases {
            assert_eq!(fitted(given, &PropertySchema::of(kind)), Ok(wanted));
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused_in_words() {
        let refused = |kind, value| fitted(value, &PropertySchema::of(kind)).unwrap_err();
        assert_eq!(
            refused(Kind::Integer, json!("abc")),
            "\"abc\" is not an integer"
        );
        assert_eq!(
            refused(Kind::String, json!(1.5)),
            "1.5 is not a string; quote it"
        );
        assert_eq!(refused(Kind::List, json!({})), "a map is not a list");
        assert_eq!(
            refused(Kind::Boolean, json!("yes")),
            "\"yes\" is not a boolean"
        );
    }

    #[test]
    fn a_string_stays_a_string_where_a_list_or_a_string_is_taken() {
        let schema = PropertySchema {
            kinds: vec![Kind::List, Kind::String],
            ..PropertySchema::default()
        };
        assert_eq!(fitted(json!("[1]"), &schema), Ok(json!("[1]")));
    }

    #[test]
    fn what_is_inside_is_checked_too() {
        let inner = PropertySchema {
            constraints: vec![Constraint::Range {
                min: Some(1.0),
                max: None,
            }],
            ..PropertySchema::of(Kind::Integer).required()
        };
        let keys = [("n".to_owned(), inner)].into_iter().collect();
        let map = PropertySchema {
            nested: Some(Nested::Keys(keys)),
            ..PropertySchema::of(Kind::Map)
        };
        let list = PropertySchema {
            nested: Some(Nested::Each(Box::new(map))),
            ..PropertySchema::of(Kind::List)
        };
        assert_eq!(fitted(json!([{"n": "2"}]), &list), Ok(json!([{"n": 2}])));
        assert_eq!(
            fitted(json!([{"n": 0}]), &list).unwrap_err(),
            "0 does not satisfy range: at least 1"
        );
        assert_eq!(fitted(json!([{}]), &list).unwrap_err(), "\"n\" is required");
        assert_eq!(
            fitted(json!([{"n": 1, "m": 1}]), &list).unwrap_err(),
            "\"m\" is not known here"
        );
    }

    #[test]
    fn a_secret_is_not_repeated_in_a_message() {
        let schema = PropertySchema {
            secret: true,
            ..PropertySchema::of(Kind::Integer)
        };
        assert_eq!(
            fitted(json!("hunter2"), &schema).unwrap_err(),
            "the value is not an integer"
        );
    }
}
