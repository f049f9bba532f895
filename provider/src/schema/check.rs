//! Are these properties what the schema says? All that is wrong, not the first of it.
//!
//! Takes values as Heat does: a number where text is asked for, and text that reads as a number, are right.

use serde_json::Value;

use super::{Constraint, Kind, Nested, PropertySchema, TypeSchema};
use crate::path::PropertyPath;
use crate::request::{Diagnostic, Values};
use crate::value::{as_boolean, as_integer, as_mode, as_number, as_text};

/// A suggestion is made for a word that differs by at most a third of its letters.
const NEAREST_SHARE: usize = 3;

/// The known word that was probably meant, if one is near enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, found) = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()?;
    (distance <= (word.chars().count() / NEAREST_SHARE).max(1)).then_some(found)
}

pub(super) fn check(
    schema: &TypeSchema,
    properties: &Values,
    unknown: &[PropertyPath],
) -> Vec<Diagnostic> {
    let mut checker = Checker {
        unknown,
        found: Vec::new(),
    };
    checker.keys(
        &PropertyPath::default(),
        &schema.properties,
        properties,
        schema.any_property,
        "property",
    );
    checker.found
}

struct Checker<'a> {
    unknown: &'a [PropertyPath],
    found: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn is_unknown(&self, path: &PropertyPath) -> bool {
        self.unknown.iter().any(|unknown| unknown.covers(path))
    }

    fn say(&mut self, path: PropertyPath, message: String) {
        self.found.push(Diagnostic { path, message });
    }

    fn keys(
        &mut self,
        at: &PropertyPath,
        known: &[PropertySchema],
        values: &Values,
        any: bool,
        noun: &str,
    ) {
        if self.is_unknown(at) {
            return;
        }
        for property in known.iter().filter(|property| property.required) {
            let path = at.name(&property.name);
            let missing = values.get(&property.name).is_none_or(Value::is_null);
            if missing && !self.is_unknown(&path) {
                self.say(
                    path,
                    format!("required {noun} `{}` is missing", property.name),
                );
            }
        }
        for (name, value) in values {
            let path = at.name(name);
            match known.iter().find(|property| property.name == *name) {
                Some(property) => self.value(&path, property, value),
                None if any => {}
                None => {
                    let meant = nearest(name, known.iter().map(|property| property.name.as_str()));
                    let meant = meant
                        .map(|word| format!("; did you mean `{word}`?"))
                        .unwrap_or_default();
                    self.say(path, format!("unknown {noun} `{name}`{meant}"));
                }
            }
        }
    }

    fn value(&mut self, path: &PropertyPath, property: &PropertySchema, value: &Value) {
        // Null is how a template says "as if it were not there".
        if value.is_null() || self.is_unknown(path) {
            return;
        }
        if !property.kinds.iter().any(|kind| is_kind(value, *kind)) {
            self.say(
                path.clone(),
                format!(
                    "{} expected, but it is {}",
                    kinds(&property.kinds),
                    shape(value)
                ),
            );
            return;
        }
        if let Some(reason) = &property.refused {
            self.say(path.clone(), reason.clone());
            return;
        }
        for constraint in &property.constraints {
            if let Some(message) = broken(constraint, value) {
                self.say(path.clone(), message);
            }
        }
        match (&property.nested, value) {
            (Some(Nested::Keys(known)), Value::Object(values)) => {
                self.keys(path, known, values, false, "key")
            }
            (Some(Nested::ListOfKeys(known)), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let at = path.index(index);
                    match item {
                        Value::Object(values) => self.keys(&at, known, values, false, "key"),
                        _ if self.is_unknown(&at) => {}
                        other => {
                            self.say(at, format!("a map expected, but it is {}", shape(other)))
                        }
                    }
                }
            }
            (Some(Nested::EachOf(allowed)), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.item(path.index(index), allowed, item);
                }
            }
            (Some(Nested::EachOf(allowed)), Value::Object(values)) => {
                for (name, item) in values {
                    self.item(path.name(name), allowed, item);
                }
            }
            _ => {}
        }
    }

    fn item(&mut self, at: PropertyPath, allowed: &[Kind], item: &Value) {
        if !self.is_unknown(&at) && !allowed.iter().any(|kind| is_kind(item, *kind)) {
            self.say(
                at,
                format!("{} expected, but it is {}", kinds(allowed), shape(item)),
            );
        }
    }
}

fn is_kind(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::String => as_text(value).is_some(),
        Kind::Integer => as_integer(value).is_some(),
        Kind::Number => as_number(value).is_some(),
        Kind::Boolean => as_boolean(value).is_some(),
        Kind::List => value.is_array(),
        Kind::Map => value.is_object(),
        Kind::Mode => as_mode(value).is_some(),
        Kind::Any => true,
    }
}

fn broken(constraint: &Constraint, value: &Value) -> Option<String> {
    match constraint {
        Constraint::Range { min, max } => {
            let number = as_number(value)?;
            if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
                return Some(format!("{number} is out of range: {}", bounds(*min, *max)));
            }
            None
        }
        Constraint::Length { min, max } => {
            let length = match value {
                Value::Array(items) => items.len(),
                Value::Object(values) => values.len(),
                other => as_text(other)?.chars().count(),
            };
            if min.is_some_and(|min| length < min) || max.is_some_and(|max| length > max) {
                return Some(format!(
                    "its length {length} is out of range: {}",
                    bounds(*min, *max)
                ));
            }
            None
        }
        Constraint::AllowedValues(allowed) => match value {
            Value::Array(items) => items.iter().find_map(|item| broken(constraint, item)),
            one if allowed.contains(one) => None,
            other => {
                let words: Vec<String> = allowed.iter().filter_map(as_text).collect();
                let given = as_text(other).unwrap_or_else(|| shape(other).to_owned());
                let meant = nearest(&given, words.iter().map(String::as_str));
                let meant = meant
                    .map(|word| format!("; did you mean `{word}`?"))
                    .unwrap_or_default();
                Some(format!(
                    "`{given}` is not one of {}{meant}",
                    words.join(", ")
                ))
            }
        },
    }
}

fn bounds<T: std::fmt::Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "anything".to_owned(),
    }
}

fn kinds(kinds: &[Kind]) -> String {
    let words: Vec<&str> = kinds.iter().map(|kind| kind_word(*kind)).collect();
    words.join(" or ")
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Integer => "an integer",
        Kind::Number => "a number",
        Kind::Boolean => "a boolean",
        Kind::List => "a list",
        Kind::Map => "a map",
        Kind::Mode => "an octal mode such as \"0644\"",
        Kind::Any => "anything",
    }
}

/// What a value is, without telling its content, which may be secret.
fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> TypeSchema {
        let mut schema = TypeSchema::new("Test::Type", "");
        schema.properties = vec![
            PropertySchema::new("path", &[Kind::String], "").required(),
            PropertySchema::new("length", &[Kind::Integer], "").at_least(1.0),
            PropertySchema::new("restart", &[Kind::String], "").words(&["never", "always"]),
            PropertySchema::new("health", &[Kind::Map], "").nested(Nested::Keys(vec![
                PropertySchema::new("tcp", &[Kind::String], ""),
                PropertySchema::new("command", &[Kind::List], "")
                    .nested(Nested::EachOf(vec![Kind::String])),
            ])),
        ];
        schema
    }

    fn said(properties: Value, unknown: &[PropertyPath]) -> Vec<String> {
        let properties = properties.as_object().unwrap();
        let found = schema().check(properties, unknown);
        found
            .iter()
            .map(|diagnostic| format!("{}: {}", diagnostic.path, diagnostic.message))
            .collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_with_its_path() {
        let properties = json!({"lenght": 3, "length": 0, "restart": "alwayss",
            "health": {"tpc": 1, "command": [[], "x"]}});
        assert_eq!(
            said(properties, &[]),
            [
                "path: required property `path` is missing",
                "lenght: unknown property `lenght`; did you mean `length`?",
                "length: 0 is out of range: at least 1",
                "restart: `alwayss` is not one of never, always; did you mean `always`?",
                "health.tpc: unknown key `tpc`; did you mean `tcp`?",
                "health.command[0]: a string expected, but it is a list",
            ]
        );
    }

    #[test]
    fn what_is_not_known_yet_is_taken_to_be_right() {
        let unknown = [
            PropertyPath::property("path"),
            PropertyPath::property("health").name("command").index(0),
        ];
        assert!(
            said(
                json!({"path": null, "health": {"command": [null]}}),
                &unknown
            )
            .is_empty()
        );
    }

    #[test]
    fn text_and_numbers_are_taken_for_each_other() {
        assert!(said(json!({"path": 5, "length": "12"}), &[]).is_empty());
        assert_eq!(said(json!({"path": [], "length": "x"}), &[]).len(), 2);
    }
}
