//! Comparing an object with what was said of it, field by field.
//!
//! Only what was declared is compared: a server adds fields of its own, and does not tell secrets.

use serde_json::Value;

use crate::path::PropertyPath;
use crate::request::PropertyDifference;

/// The declared fields that an answer tells, as JSON pointers.
pub(super) fn told_fields(desired: &Value, found: &Value) -> Vec<String> {
    let mut told = Vec::new();
    leaves(desired, &mut String::new(), &mut |pointer, _| {
        if found.pointer(pointer).is_some() {
            told.push(pointer.to_owned());
        }
    });
    told
}

/// Where an object is not as declared. A field that is missing differs only if it was once told.
pub(super) fn differences(
    desired: &Value,
    found: &Value,
    once_told: &[String],
) -> Vec<PropertyDifference> {
    let mut differences = Vec::new();
    leaves(desired, &mut String::new(), &mut |pointer, wanted| {
        let there = found.pointer(pointer);
        let missing = there.is_none() && once_told.iter().any(|told| told == pointer);
        if missing || there.is_some_and(|there| !same(wanted, there)) {
            let steps = pointer.split('/').skip(1);
            let path = steps.fold(PropertyPath::property("body"), |path, step| path.name(step));
            let found = there.cloned().unwrap_or_default();
            differences.push(PropertyDifference {
                path,
                desired: wanted.clone(),
                found,
            });
        }
    });
    differences
}

/// Numbers are the same however they are written.
fn same(wanted: &Value, there: &Value) -> bool {
    match (wanted, there) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => one
            .iter()
            .all(|(name, value)| other.get(name).is_some_and(|there| same(value, there))),
        (one, other) => one == other,
    }
}

/// Everything in a value that is not a map with something in it. Values that a request fills in anew each time
/// are none of them.
fn leaves(value: &Value, pointer: &mut String, each: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                let length = pointer.len();
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                leaves(value, pointer, each);
                pointer.truncate(length);
            }
        }
        Value::String(text)
            if ["{id}", "{key}", "{instance}", "{token}"].contains(&text.as_str()) => {}
        other => each(pointer, other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn declared_fields_are_compared_and_no_others() {
        let desired = json!({"name": "web", "size": 2, "tags": ["a"], "password": "x", "key": "{key}", "net": {"port": 80}});
        let made = json!({"name": "web", "size": 2.0, "tags": ["a"], "net": {"port": 80, "ip": "::1"}, "at": 7});
        let told = told_fields(&desired, &made);
        assert_eq!(told, ["/name", "/size", "/tags", "/net/port"]);
        assert!(differences(&desired, &made, &told).is_empty());

        let found = json!({"name": "web", "size": 3, "net": {}});
        let paths: Vec<String> = differences(&desired, &found, &told)
            .iter()
            .map(|one| one.path.to_string())
            .collect();
        assert_eq!(paths, ["body.size", "body.tags", "body.net.port"]);
    }
}
