//! The schema of a resource type as people read it.
//!
//! Knows the JSON form that providers print, and leaves out what it does not know.

use std::fmt::Write as _;

use serde_json::Value;

use super::table;

/// The type, its properties and attributes.
pub(crate) fn show(schema: &Value) -> String {
    let mut text = format!("{}\n", word(schema, "name"));
    line(&mut text, 2, word(schema, "description"));
    text.push_str("\n  Properties:\n");
    let mut rows = Vec::new();
    properties(&mut rows, list(schema, "properties"), 4);
    if schema["any_property"] == true {
        rows.push(row("    (any other)", "", "", "is accepted too"));
    }
    text.push_str(&listing(rows));
    text.push_str("\n  Attributes:\n");
    let mut rows: Vec<_> = list(schema, "attributes")
        .iter()
        .map(|attribute| {
            let name = format!("    {}", word(attribute, "name"));
            let secret = if attribute["secret"] == true {
                "secret"
            } else {
                ""
            };
            row(
                &name,
                word(attribute, "kind"),
                secret,
                word(attribute, "description"),
            )
        })
        .collect();
    if schema["any_attribute"] == true {
        rows.push(row("    (any other)", "", "", "may be asked for too"));
    }
    text.push_str(&listing(rows));
    text
}

fn listing(rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return "    none\n".into();
    }
    table::page(None, rows, &mut table::Widths::default())
}

fn properties(rows: &mut Vec<Vec<String>>, found: &[Value], margin: usize) {
    for property in found {
        let name = format!("{:margin$}{}", "", word(property, "name"));
        rows.push(row(
            &name,
            &kinds(property),
            &notes(property),
            word(property, "description"),
        ));
        for key in ["keys", "list_of_keys"] {
            if let Some(nested) = property["nested"][key].as_array() {
                properties(rows, nested, margin + 2);
            }
        }
    }
}

fn kinds(property: &Value) -> String {
    let kinds: Vec<_> = list(property, "kinds")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    kinds.join(" or ")
}

fn notes(property: &Value) -> String {
    let mut notes = Vec::new();
    if property["required"] == true {
        notes.push("required".to_string());
    }
    if !property["default"].is_null() {
        notes.push(format!("default {}", property["default"]));
    }
    for constraint in list(property, "constraints") {
        notes.extend(limits(constraint));
    }
    match property["update"].as_str() {
        Some("replace") => notes.push("a change replaces".into()),
        Some("depends") => notes.push("a change may replace".into()),
        _ => {}
    }
    if property["secret"] == true {
        notes.push("secret".into());
    }
    if property["refused"].is_string() {
        notes.push("refused".into());
    }
    notes.join(", ")
}

fn limits(constraint: &Value) -> Option<String> {
    if let Some(values) = constraint["allowed_values"].as_array() {
        let values: Vec<_> = values.iter().map(Value::to_string).collect();
        return Some(format!("one of {}", values.join(" ")));
    }
    let (name, range) = ["range", "length"]
        .into_iter()
        .find_map(|name| Some((name, constraint.get(name)?)))?;
    let mut text = name.to_string();
    if !range["min"].is_null() {
        // Writing into a string cannot fail.
        let _ = write!(text, " from {}", range["min"]);
    }
    if !range["max"].is_null() {
        let _ = write!(text, " to {}", range["max"]);
    }
    Some(text)
}

fn row(name: &str, kind: &str, notes: &str, description: &str) -> Vec<String> {
    [name, kind, notes, description].map(String::from).to_vec()
}

fn line(text: &mut String, margin: usize, words: &str) {
    text.push_str(&format!("{:margin$}{words}\n", ""));
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_is_readable_without_knowing_its_json() {
        let text = show(&json!({
            "name": "Anneal::File",
            "description": "A file.",
            "properties": [
                {"name": "path", "kinds": ["string"], "required": true, "update": "replace", "description": "Where."},
                {"name": "mode", "kinds": ["mode"], "default": "0644", "description": "Octal digits."},
            ],
            "attributes": [{"name": "digest", "kind": "string", "description": "Of its content."}],
        }));
        assert!(text.starts_with("Anneal::File\n  A file.\n"), "{text}");
        assert!(text.contains("required, a change replaces"), "{text}");
        assert!(text.contains("default \"0644\""), "{text}");
        assert!(text.contains("digest"), "{text}");
    }

    #[test]
    fn a_schema_from_a_newer_member_does_not_panic() {
        for strange in [json!({}), json!([1]), json!({"properties": {"a": 1}})] {
            assert!(show(&strange).contains("Properties"));
        }
    }
}
