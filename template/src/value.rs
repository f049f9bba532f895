//! Values while they are computed: JSON, plus what is not known yet and what is secret. Knows no template.

use indexmap::IndexMap;
use serde_json::{Number, Value as Json};

use crate::function::Function;

/// Entries of a map, in the order they were written.
pub(crate) type Entries = IndexMap<String, Value>;

/// A value, or an expression that becomes one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Value>),
    Map(Entries),
    /// To be masked wherever it is shown.
    Sensitive(Box<Value>),
    /// A function that waits for values of resources.
    Call(Box<Call>),
    /// A value that a preview cannot know.
    Unknown,
}

/// A function and what it is given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) arguments: Value,
}

impl Value {
    pub(crate) fn call(function: Function, arguments: Value) -> Self {
        Self::Call(Box::new(Call {
            function,
            arguments,
        }))
    }

    pub(crate) fn marked(self, sensitive: bool) -> Self {
        match self {
            Self::Sensitive(_) => self,
            value if sensitive => Self::Sensitive(Box::new(value)),
            value => value,
        }
    }

    /// The value without its own mark, and whether it had one.
    pub(crate) fn unmarked(&self) -> (&Self, bool) {
        match self {
            Self::Sensitive(inner) => (inner.unmarked().0, true),
            value => (value, false),
        }
    }

    /// Takes all marks off, inside too; whether there were any.
    pub(crate) fn strip(&mut self) -> bool {
        let mut found = false;
        while let Self::Sensitive(inner) = self {
            found = true;
            *self = std::mem::replace(inner, Self::Null);
        }
        match self {
            Self::List(items) => items.iter_mut().for_each(|item| found |= item.strip()),
            Self::Map(entries) => entries
                .values_mut()
                .for_each(|value| found |= value.strip()),
            _ => {}
        }
        found
    }

    /// Whether anything in it is to be masked.
    pub(crate) fn is_marked(&self) -> bool {
        match self {
            Self::Sensitive(_) => true,
            Self::List(items) => items.iter().any(Self::is_marked),
            Self::Map(entries) => entries.values().any(Self::is_marked),
            _ => false,
        }
    }

    /// Whether anything in it waits for a value of a resource.
    pub(crate) fn is_pending(&self) -> bool {
        match self {
            Self::Call(_) | Self::Unknown => true,
            Self::Sensitive(inner) => inner.is_pending(),
            Self::List(items) => items.iter().any(Self::is_pending),
            Self::Map(entries) => entries.values().any(Self::is_pending),
            _ => false,
        }
    }

    /// Whether anything in it is unknown for good.
    pub(crate) fn has_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Call(call) => call.arguments.has_unknown(),
            Self::Sensitive(inner) => inner.has_unknown(),
            Self::List(items) => items.iter().any(Self::has_unknown),
            Self::Map(entries) => entries.values().any(Self::has_unknown),
            _ => false,
        }
    }

    pub(crate) fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(number.clone()),
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => Self::Map(
                map.iter()
                    .map(|(k, v)| (k.clone(), Self::from_json(v)))
                    .collect(),
            ),
        }
    }

    /// The value as JSON, without marks; what is pending is null.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Null | Self::Call(_) | Self::Unknown => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(number) => Json::Number(number.clone()),
            Self::Text(text) => Json::String(text.clone()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(k, v)| (k.clone(), v.to_json()))
                    .collect(),
            ),
            Self::Sensitive(inner) => inner.to_json(),
        }
    }

    /// What the value is, in words with article.
    pub(crate) fn in_words(&self) -> &'static str {
        match self.unmarked().0 {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Sensitive(_) | Self::Call(_) | Self::Unknown => "a value not known yet",
        }
    }
}

/// Text of a float as Python and YAML 1.1 write it.
pub(crate) fn float_text(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() {
            "-0.0".to_owned()
        } else {
            "0.0".to_owned()
        };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&power) {
        return format!("{value:?}");
    }
    // A point, always: without one YAML 1.1 would take it for text.
    let point = if digits.contains('.') { "" } else { ".0" };
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}{point}e{sign}{:02}", power.abs())
}

/// Text of a number as Python's `str` writes it.
pub(crate) fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float_text(value).replace(".0e", "e"),
        _ => number.to_string(),
    }
}

/// JSON text as Python's `json.dumps` writes it with sorted keys: Heat's functions put it into strings.
pub(crate) fn json_text(value: &Value) -> String {
    let mut out = String::new();
    write_json_text(value, &mut out);
    out
}

fn write_json_text(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Call(_) | Value::Unknown => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::Text(text) => write_ascii_string(text, out),
        Value::Sensitive(inner) => write_json_text(inner, out),
        Value::List(items) => {
            out.push('[');
            for (count, item) in items.iter().enumerate() {
                if count > 0 {
                    out.push_str(", ");
                }
                write_json_text(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (count, (key, value)) in sorted.into_iter().enumerate() {
                if count > 0 {
                    out.push_str(", ");
                }
                write_ascii_string(key, out);
                out.push_str(": ");
                write_json_text(value, out);
            }
            out.push('}');
        }
    }
}

fn write_ascii_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_json_become_the_text_that_python_makes() {
        assert_eq!(float_text(1.5), "1.5");
        assert_eq!(float_text(1e20), "1.0e+20");
        assert_eq!(number_text(&Number::from_f64(1e20).unwrap()), "1e+20");
        assert_eq!(number_text(&Number::from_f64(100.0).unwrap()), "100.0");
        assert_eq!(number_text(&Number::from_f64(0.00001).unwrap()), "1e-05");
        let value = Value::from_json(&serde_json::json!({"b": [1, "é😀\n"], "a": null}));
        assert_eq!(
            json_text(&value),
            r#"{"a": null, "b": [1, "\u00e9\ud83d\ude00\n"]}"#
        );
    }
}
