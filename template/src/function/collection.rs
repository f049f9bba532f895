//! Functions over lists and maps: `map_merge`, `map_replace`, `list_concat`, `filter`, `contains`.

use std::collections::BTreeSet;

use super::same;
use crate::limits::Limits;
use crate::value::{Entries, Value, json_text, number_text};

pub(super) fn check_list(arguments: &Value) -> Result<(), String> {
    match arguments {
        Value::List(_) => Ok(()),
        other => Err(format!("takes a list, not {}", other.in_words())),
    }
}

pub(super) fn check_two(arguments: &Value) -> Result<(), String> {
    match arguments {
        Value::List(items) if items.len() == 2 => Ok(()),
        _ => Err("takes a list of two".to_owned()),
    }
}

fn items(arguments: Value) -> Result<(Vec<Value>, bool), String> {
    match arguments {
        Value::List(items) => Ok((items, false)),
        Value::Sensitive(inner) => items(*inner).map(|(items, _)| (items, true)),
        other => Err(format!("takes a list, not {}", other.in_words())),
    }
}

/// Later maps win; what is secret stays so key by key.
pub(super) fn map_merge(arguments: Value) -> Result<Value, String> {
    let (maps, all_secret) = items(arguments)?;
    let mut merged = Entries::new();
    for map in maps {
        let secret = matches!(map, Value::Sensitive(_));
        match map {
            Value::Map(entries) => merged.extend(entries),
            Value::Null => {}
            other => match other.unmarked().0 {
                Value::Map(entries) => {
                    merged.extend(
                        entries
                            .iter()
                            .map(|(key, value)| (key.clone(), value.clone().marked(secret))),
                    );
                }
                Value::Null => {}
                other => return Err(format!("merges maps, not {}", other.in_words())),
            },
        }
    }
    Ok(Value::Map(merged).marked(all_secret))
}

pub(super) fn list_concat(
    arguments: Value,
    unique: bool,
    limits: &Limits,
) -> Result<Value, String> {
    let (lists, all_secret) = items(arguments)?;
    let mut joined: Vec<Value> = Vec::new();
    for list in lists {
        let secret = matches!(list, Value::Sensitive(_));
        let parts = match list.unmarked().0 {
            Value::List(parts) => parts,
            Value::Null => continue,
            other => return Err(format!("joins lists, not {}", other.in_words())),
        };
        joined.extend(parts.iter().map(|part| part.clone().marked(secret)));
        if joined.len() > limits.list_items {
            return Err(format!(
                "the result has more than {} items",
                limits.list_items
            ));
        }
    }
    if unique {
        // Of equal items the last stays.
        let mut seen = BTreeSet::new();
        joined.reverse();
        joined.retain(|item| seen.insert(equality_key(item)));
        joined.reverse();
    }
    Ok(Value::List(joined).marked(all_secret))
}

fn two(arguments: &Value) -> Result<(&Value, &Value), String> {
    match arguments {
        Value::List(items) if items.len() == 2 => Ok((&items[0], &items[1])),
        _ => Err("takes a list of two".to_owned()),
    }
}

fn map_or_empty(value: Option<&Value>) -> Result<Entries, String> {
    match value {
        None | Some(Value::Null) => Ok(Entries::new()),
        Some(Value::Map(entries)) => Ok(entries.clone()),
        Some(other) => Err(format!("takes maps, not {}", other.in_words())),
    }
}

pub(super) fn map_replace(arguments: &Value) -> Result<Value, String> {
    let (input, replacements) = two(arguments)?;
    let input = map_or_empty(Some(input))?;
    let replacements = map_or_empty(Some(replacements))?;
    if let Some(key) = replacements
        .keys()
        .find(|key| !matches!(key.as_str(), "keys" | "values"))
    {
        return Err(format!("takes keys and values, not {key:?}"));
    }
    let keys = map_or_empty(replacements.get("keys"))?;
    let values = map_or_empty(replacements.get("values"))?;
    let mut replaced = Entries::new();
    for (key, value) in &input {
        let name = match keys.get(key) {
            None | Some(Value::Null) => key.clone(),
            Some(other) => scalar_key(other)
                .ok_or_else(|| format!("the new key for {key:?} must be a string"))?,
        };
        if name != *key && (input.contains_key(&name) || replaced.contains_key(&name)) {
            return Err(format!("the new key {name:?} exists already"));
        }
        let value = scalar_key(value)
            .and_then(|text| values.get(&text))
            .unwrap_or(value);
        replaced.insert(name, value.clone());
    }
    Ok(Value::Map(replaced))
}

/// A scalar as it would stand as a key.
fn scalar_key(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number_text(number)),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some("null".to_owned()),
        _ => None,
    }
}

pub(super) fn filter(arguments: &Value) -> Result<Value, String> {
    let (values, list) = two(arguments)?;
    let items = match list {
        Value::List(items) => items,
        Value::Null => return Ok(Value::Null),
        other => return Err(format!("filters a list, not {}", other.in_words())),
    };
    let unwanted: &[Value] = match values {
        Value::List(unwanted) => unwanted,
        Value::Null => &[],
        other => {
            return Err(format!(
                "filters a list of values out, not {}",
                other.in_words()
            ));
        }
    };
    let unwanted: BTreeSet<String> = unwanted.iter().map(equality_key).collect();
    let kept = items
        .iter()
        .filter(|item| !unwanted.contains(&equality_key(item)));
    Ok(Value::List(kept.cloned().collect()))
}

/// A text that equal values share: lists of up to 10^6 items are not compared each with each.
fn equality_key(value: &Value) -> String {
    match value {
        Value::Bool(flag) => equality_key(&Value::Number(u8::from(*flag).into())),
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number_text(number),
        },
        Value::List(items) => format!(
            "[{}]",
            items.iter().map(equality_key).collect::<Vec<_>>().join(",")
        ),
        Value::Map(entries) => {
            let mut keys: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{key:?}:{}", equality_key(value)))
                .collect();
            keys.sort();
            format!("{{{}}}", keys.join(","))
        }
        other => json_text(other.unmarked().0),
    }
}

pub(super) fn contains(arguments: &Value) -> Result<Value, String> {
    let (value, sequence) = two(arguments)?;
    let found = match (sequence, value) {
        (Value::List(items), _) => items.iter().any(|item| same(item, value)),
        (Value::Map(entries), Value::Text(key)) => entries.contains_key(key),
        (Value::Map(_), _) => false,
        (Value::Text(text), Value::Text(part)) => text.contains(part.as_str()),
        (other, _) => {
            return Err(format!(
                "looks into a list or a string, not {}",
                other.in_words()
            ));
        }
    };
    Ok(Value::Bool(found))
}
