//! Taking properties that were checked against their schema, with a clear error if they were not.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::request::Values;
use crate::value::{as_boolean, as_mode, as_number, as_text};

/// The value of a property; null counts as not there.
pub(crate) fn given<'a>(properties: &'a Values, name: &str) -> Option<&'a Value> {
    properties.get(name).filter(|value| !value.is_null())
}

/// The text of a property that must be there.
pub(crate) fn text(properties: &Values, name: &str) -> Result<String, Failure> {
    optional_text(properties, name)?
        .ok_or_else(|| Failure::refused(format!("required property `{name}` is missing")))
}

/// The text of a property that may be left out.
pub(crate) fn optional_text(properties: &Values, name: &str) -> Result<Option<String>, Failure> {
    read(properties, name, "a string", as_text)
}

/// A boolean property.
pub(crate) fn boolean(properties: &Values, name: &str, default: bool) -> Result<bool, Failure> {
    Ok(read(properties, name, "a boolean", as_boolean)?.unwrap_or(default))
}

/// A number property.
pub(crate) fn number(properties: &Values, name: &str, default: f64) -> Result<f64, Failure> {
    Ok(read(properties, name, "a number", as_number)?.unwrap_or(default))
}

/// A property that is a number of seconds, fractions allowed.
pub(crate) fn optional_seconds(
    properties: &Values,
    name: &str,
) -> Result<Option<Duration>, Failure> {
    let seconds = read(properties, name, "a number of seconds", as_number)?;
    seconds
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|_| {
                Failure::refused(format!(
                    "property `{name}`: {seconds} seconds is not a time"
                ))
            })
        })
        .transpose()
}

/// File permissions.
pub(crate) fn mode(properties: &Values, name: &str, default: u32) -> Result<u32, Failure> {
    Ok(read(properties, name, "an octal mode such as \"0644\"", as_mode)?.unwrap_or(default))
}

/// A map from names to text.
pub(crate) fn text_map(properties: &Values, name: &str) -> Result<Vec<(String, String)>, Failure> {
    let wrong = || Failure::refused(format!("property `{name}`: a map of strings expected"));
    match given(properties, name) {
        None => Ok(Vec::new()),
        Some(Value::Object(entries)) => {
            let entry = |(key, value): (&String, &Value)| Some((key.clone(), as_text(value)?));
            entries
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|pair| entry(pair).ok_or_else(wrong))
                .collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// A program to run: a list of arguments as it is, a string by `sh -c`.
pub(crate) fn program(properties: &Values, name: &str) -> Result<Option<Vec<String>>, Failure> {
    let wrong = || {
        Failure::refused(format!(
            "property `{name}`: a string or a list of at least one string expected"
        ))
    };
    match given(properties, name) {
        None => Ok(None),
        Some(Value::Array(items)) => {
            let arguments: Option<Vec<String>> = items.iter().map(as_text).collect();
            Ok(Some(
                arguments
                    .filter(|arguments| !arguments.is_empty())
                    .ok_or_else(wrong)?,
            ))
        }
        Some(other) => {
            let script = as_text(other).ok_or_else(wrong)?;
            Ok(Some(vec!["sh".to_owned(), "-c".to_owned(), script]))
        }
    }
}

fn read<T>(
    properties: &Values,
    name: &str,
    expected: &str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, Failure> {
    given(properties, name)
        .map(|value| {
            convert(value)
                .ok_or_else(|| Failure::refused(format!("property `{name}`: {expected} expected")))
        })
        .transpose()
}

/// A provider's own bytes, as this crate's providers write them.
pub(crate) fn to_private<T: Serialize>(value: &T) -> bytes::Bytes {
    serde_json::to_vec(value)
        .expect("private data has only text keys")
        .into()
}

/// Reads them back; none if there are none, or if another version wrote what this one cannot read.
pub(crate) fn from_private<T: DeserializeOwned>(private: &[u8]) -> Option<T> {
    if private.is_empty() {
        None
    } else {
        serde_json::from_slice(private).ok()
    }
}

/// SHA-256, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
