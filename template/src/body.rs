//! The bytes of a definition: canonical JSON in which only what waits for resources is left to compute.
//! Knows values and functions, no templates.
//!
//! Version 1. A resource is `{"properties":P,"type":T,"v":1}`, an output `{"v":1,"value":V}`; keys are sorted
//! and there is no space, so equal meaning is equal bytes. Plain data stands for itself; beside it there are
//!
//! | form | meaning |
//! |---|---|
//! | `{"$call":["get_attr",["web","address"]]}` | a function and its arguments |
//! | `{"$sensitive":V}` | V, to be masked wherever it is shown |
//! | `{"$$x":V}` | a map whose key is `$x`: a key that starts with `$` gets another one |

use serde_json::{Map, Value as Json};

use crate::function::Function;
use crate::value::{Call, Entries, Value, float_text};

/// The version this code writes, and the only one it reads.
const VERSION: u64 = 1;
/// Levels of lists and maps in a body: serde_json follows no more than 127, and every literal that
/// [`Limits`](crate::Limits) lets through by default has fewer.
pub(crate) const LEVELS: usize = 126;
const CALL: &str = "$call";
const SENSITIVE: &str = "$sensitive";
const ESCAPE: char = '$';

/// Why bytes are no body. Never the user's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("version {0} is not known to this release")]
    Version(u64),
    #[error("{0}")]
    Form(&'static str),
}

/// Bytes of a resource's body.
pub(crate) fn encode_resource(type_name: &str, properties: &Entries) -> Vec<u8> {
    let mut out = String::from("{\"properties\":");
    write_entries(properties, &mut out);
    out.push_str(",\"type\":");
    write_text(type_name, &mut out);
    out.push_str(",\"v\":1}");
    // There may be 10^6 of them.
    out.shrink_to_fit();
    out.into_bytes()
}

/// Bytes of an output's body.
pub(crate) fn encode_output(value: &Value) -> Vec<u8> {
    let mut out = String::from("{\"v\":1,\"value\":");
    write(value, &mut out);
    out.push('}');
    out.into_bytes()
}

/// Levels that the body of a resource will have.
pub(crate) fn levels_of_resource(properties: &Entries) -> usize {
    2 + properties.values().map(levels).max().unwrap_or_default()
}

/// Levels that the body of an output will have.
pub(crate) fn levels_of_output(value: &Value) -> usize {
    1 + levels(value)
}

fn levels(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(levels).max().unwrap_or_default(),
        Value::Map(entries) => 1 + entries.values().map(levels).max().unwrap_or_default(),
        Value::Sensitive(inner) => 1 + levels(inner),
        Value::Call(call) => 2 + levels(&call.arguments),
        _ => 0,
    }
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Unknown => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (count, item) in items.iter().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => write_entries(entries, out),
        Value::Sensitive(inner) => {
            out.push_str("{\"$sensitive\":");
            write(inner, out);
            out.push('}');
        }
        Value::Call(call) => {
            out.push_str("{\"$call\":[");
            write_text(call.function.name(), out);
            out.push(',');
            write(&call.arguments, out);
            out.push_str("]}");
        }
    }
}

fn write_entries(entries: &Entries, out: &mut String) {
    let mut sorted: Vec<(&String, &Value)> = entries.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (count, (key, value)) in sorted.into_iter().enumerate() {
        if count > 0 {
            out.push(',');
        }
        if key.starts_with(ESCAPE) {
            write_text(&format!("{ESCAPE}{key}"), out);
        } else {
            write_text(key, out);
        }
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// A number; a float in a form that YAML 1.1 reads as one too.
pub(crate) fn write_number(number: &serde_json::Number, out: &mut String) {
    match number.as_f64() {
        Some(float) if number.is_f64() => out.push_str(&float_text(float)),
        _ => out.push_str(&number.to_string()),
    }
}

/// A JSON string.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 | 0x7f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// A resource's type and properties.
pub(crate) fn decode_resource(body: &[u8]) -> Result<(String, Entries), BodyError> {
    let mut fields = fields(body)?;
    let Some(Json::String(type_name)) = fields.remove("type") else {
        return Err(BodyError::Form("no type"));
    };
    let Some(Json::Object(properties)) = fields.remove("properties") else {
        return Err(BodyError::Form("no properties"));
    };
    Ok((type_name, decode_entries(properties)?))
}

/// An output's value.
pub(crate) fn decode_output(body: &[u8]) -> Result<Value, BodyError> {
    decode(
        fields(body)?
            .remove("value")
            .ok_or(BodyError::Form("no value"))?,
    )
}

fn fields(body: &[u8]) -> Result<Map<String, Json>, BodyError> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    let fields: Map<String, Json> = serde::Deserialize::deserialize(&mut parser)
        .map_err(|error| BodyError::Json(error.to_string()))?;
    match fields.get("v").and_then(Json::as_u64) {
        Some(VERSION) => Ok(fields),
        Some(other) => Err(BodyError::Version(other)),
        None => Err(BodyError::Form("no version")),
    }
}

fn decode(json: Json) -> Result<Value, BodyError> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(number) => Value::Number(number),
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(decode).collect::<Result<_, _>>()?),
        Json::Object(mut map) => match (map.len(), map.keys().next().map(String::as_str)) {
            (1, Some(SENSITIVE)) => {
                let inner = map
                    .remove(SENSITIVE)
                    .ok_or(BodyError::Form("nothing marked"))?;
                Value::Sensitive(Box::new(decode(inner)?))
            }
            (1, Some(CALL)) => decode_call(map.remove(CALL))?,
            _ => Value::Map(decode_entries(map)?),
        },
    })
}

fn decode_call(call: Option<Json>) -> Result<Value, BodyError> {
    let Some(Json::Array(parts)) = call else {
        return Err(BodyError::Form("a call is a list"));
    };
    let Ok([Json::String(name), arguments]) = <[Json; 2]>::try_from(parts) else {
        return Err(BodyError::Form("a call is a name and arguments"));
    };
    let function =
        Function::in_body(&name).ok_or(BodyError::Form("a call of no known function"))?;
    Ok(Value::Call(Box::new(Call {
        function,
        arguments: decode(arguments)?,
    })))
}

fn decode_entries(map: Map<String, Json>) -> Result<Entries, BodyError> {
    let mut entries = Entries::with_capacity(map.len());
    for (key, value) in map {
        let key = match key.strip_prefix(ESCAPE) {
            Some(rest) if rest.starts_with(ESCAPE) => rest.to_owned(),
            Some(_) => return Err(BodyError::Form("a key that means nothing")),
            None => key,
        };
        entries.insert(key, decode(value)?);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entries(json: Json) -> Entries {
        match Value::from_json(&json) {
            Value::Map(entries) => entries,
            _ => panic!("a map"),
        }
    }

    #[test]
    fn the_bytes_of_a_body_are_these() {
        let mut properties =
            entries(json!({"z": [1, 1.5, 1e20, null], "$call": "q\"\n\u{1}é", "$$": true}));
        let address = Value::List(vec![Value::Text("web".into()), Value::Text("ip".into())]);
        properties.insert(
            "a".into(),
            Value::call(Function::GetAttr, address).marked(true),
        );
        properties.insert("id".into(), Value::call(Function::StackId, Value::Null));
        let golden = concat!(
            r#"{"properties":{"$$$":true,"$$call":"q\"\n\u0001é","#,
            r#""a":{"$sensitive":{"$call":["get_attr",["web","ip"]]}},"#,
            r#""id":{"$call":["stack_id",null]},"z":[1,1.5,1.0e+20,null]},"type":"A::B","v":1}"#
        );
        let body = encode_resource("A::B", &properties);
        assert_eq!(String::from_utf8(body.clone()).unwrap(), golden);
        assert_eq!(
            decode_resource(&body).unwrap(),
            ("A::B".to_owned(), properties)
        );
    }

    #[test]
    fn the_order_of_keys_does_not_reach_the_bytes() {
        let (a, b) = (
            entries(json!({"x": {"b": 1, "a": 2}, "w": 0})),
            entries(json!({"w": 0, "x": {"a": 2, "b": 1}})),
        );
        assert_eq!(encode_resource("T", &a), encode_resource("T", &b));
    }

    #[test]
    fn bytes_of_a_newer_version_are_refused() {
        assert_eq!(
            decode_output(br#"{"v":2,"value":1}"#),
            Err(BodyError::Version(2))
        );
        assert!(decode_output(br#"{"v":1,"value":{"$what":1}}"#).is_err());
        assert!(decode_output(b"\xff").is_err());
    }
}
