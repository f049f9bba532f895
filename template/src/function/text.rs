//! Functions that make text: `str_replace` and its strict kin, `list_join`, `str_split`.

use crate::limits::Limits;
use crate::value::{Entries, Value, json_text, number_text};

/// Bytes that a replacement may look through: length of the template times number of placeholders. Some
/// seconds of work.
const REPLACE_WORK_BYTES: usize = 1 << 33;

/// What a replacement insists on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    Lenient,
    /// Every placeholder occurs.
    EveryKey,
    /// Every placeholder occurs, and none is replaced by nothing.
    EveryKeyAndValue,
}

pub(super) fn check_replace(arguments: &Value) -> Result<(), String> {
    let form = || "takes a map of template and params".to_owned();
    let Value::Map(entries) = arguments else {
        return Err(form());
    };
    let (Some(template), Some(params)) = (entries.get("template"), entries.get("params")) else {
        return Err(form());
    };
    if let Some(key) = entries
        .keys()
        .find(|key| !matches!(key.as_str(), "template" | "params"))
    {
        return Err(format!("takes template and params, not {key:?}"));
    }
    match template.unmarked().0 {
        Value::Text(_) | Value::Call(_) | Value::Unknown => {}
        other => {
            return Err(format!(
                "the template must be a string, not {}",
                other.in_words()
            ));
        }
    }
    match params.unmarked().0 {
        Value::Map(_) | Value::Call(_) | Value::Unknown => Ok(()),
        other => Err(format!("params must be a map, not {}", other.in_words())),
    }
}

pub(super) fn replace(
    arguments: &Value,
    strictness: Strictness,
    limits: &Limits,
) -> Result<Value, String> {
    check_replace(arguments)?;
    let Value::Map(entries) = arguments else {
        return Err("takes a map".to_owned());
    };
    let (Value::Text(template), Value::Map(params)) = (&entries["template"], &entries["params"])
    else {
        return Err("takes a map of template and params".to_owned());
    };
    if template.len().saturating_mul(params.len()) > REPLACE_WORK_BYTES {
        return Err(format!(
            "{} placeholders are too many for a template of {} bytes",
            params.len(),
            template.len()
        ));
    }
    let (keys, values) = replacements(params, strictness)?;
    let (pieces, found) = cut(template, &keys);
    if strictness != Strictness::Lenient {
        let missing: Vec<String> = keys
            .iter()
            .zip(&found)
            .filter(|(_, found)| !**found)
            .map(|(key, _)| format!("{key:?}"))
            .collect();
        if !missing.is_empty() {
            return Err(format!("not found in the template: {}", missing.join(", ")));
        }
    }
    let length: usize = pieces.iter().map(|piece| piece.text(&values).len()).sum();
    if length > limits.scalar_bytes {
        return Err(format!(
            "the result is {length} bytes long; at most {} are taken",
            limits.scalar_bytes
        ));
    }
    Ok(Value::Text(
        pieces.iter().map(|piece| piece.text(&values)).collect(),
    ))
}

/// Placeholders, longest first and then by alphabet, and the texts to put there.
fn replacements(
    params: &Entries,
    strictness: Strictness,
) -> Result<(Vec<&str>, Vec<String>), String> {
    let mut pairs: Vec<(&str, &Value)> = params
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| b.chars().count().cmp(&a.chars().count()).then(a.cmp(b)));
    let mut values = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        if key.is_empty() {
            return Err("a placeholder must not be empty".to_owned());
        }
        let empty = match value {
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            _ => false,
        };
        if empty && strictness == Strictness::EveryKeyAndValue {
            return Err(format!("the value of {key:?} is empty"));
        }
        values.push(replacement_text(value));
    }
    Ok((pairs.into_iter().map(|(key, _)| key).collect(), values))
}

fn replacement_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number_text(number),
        other => json_text(other),
    }
}

enum Piece<'a> {
    /// Text of the template in which later placeholders may still be found.
    Raw(&'a str),
    /// The text of the placeholder with this number; never looked through again.
    Put(usize),
}

impl<'a> Piece<'a> {
    fn text(&self, values: &'a [String]) -> &'a str {
        match self {
            Self::Raw(text) => text,
            Self::Put(key) => &values[*key],
        }
    }
}

/// Cuts the template at the placeholders; says which of them were found.
fn cut<'a>(template: &'a str, keys: &[&str]) -> (Vec<Piece<'a>>, Vec<bool>) {
    let mut pieces = vec![Piece::Raw(template)];
    let mut found = vec![false; keys.len()];
    for (number, key) in keys.iter().enumerate() {
        if !template.contains(key) {
            continue;
        }
        let mut next = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let Piece::Raw(text) = piece else {
                next.push(piece);
                continue;
            };
            for (count, part) in text.split(key).enumerate() {
                if count > 0 {
                    found[number] = true;
                    next.push(Piece::Put(number));
                }
                if !part.is_empty() {
                    next.push(Piece::Raw(part));
                }
            }
        }
        pieces = next;
    }
    (pieces, found)
}

pub(super) fn check_join(arguments: &Value) -> Result<(), String> {
    let form = || "takes [delimiter, list, …]".to_owned();
    let Value::List(items) = arguments else {
        return Err(form());
    };
    let [delimiter, lists @ ..] = items.as_slice() else {
        return Err(form());
    };
    if lists.is_empty() {
        return Err(form());
    }
    match delimiter.unmarked().0 {
        Value::Text(_) | Value::Call(_) | Value::Unknown => {}
        other => {
            return Err(format!(
                "the delimiter must be a string, not {}",
                other.in_words()
            ));
        }
    }
    for list in lists {
        match list.unmarked().0 {
            Value::List(_) | Value::Null | Value::Call(_) | Value::Unknown => {}
            other => return Err(format!("joins lists, not {}", other.in_words())),
        }
    }
    Ok(())
}

pub(super) fn join(arguments: &Value, limits: &Limits) -> Result<Value, String> {
    check_join(arguments)?;
    let Value::List(items) = arguments else {
        return Err("takes a list".to_owned());
    };
    let Value::Text(delimiter) = &items[0] else {
        return Err("the delimiter must be a string".to_owned());
    };
    let mut joined = String::new();
    let mut first = true;
    for list in &items[1..] {
        let Value::List(parts) = list else { continue };
        for part in parts {
            if !first {
                joined.push_str(delimiter);
            }
            first = false;
            match part {
                Value::Null => {}
                Value::Text(text) => joined.push_str(text),
                Value::List(_) | Value::Map(_) => joined.push_str(&json_text(part)),
                other => {
                    return Err(format!(
                        "joins strings, maps and lists, not {}; quote it",
                        other.in_words()
                    ));
                }
            }
            if joined.len() > limits.scalar_bytes {
                return Err(format!(
                    "the result is longer than {} bytes",
                    limits.scalar_bytes
                ));
            }
        }
    }
    Ok(Value::Text(joined))
}

pub(super) fn check_split(arguments: &Value) -> Result<(), String> {
    let form = || "takes [delimiter, text, index?]".to_owned();
    let Value::List(items) = arguments else {
        return Err(form());
    };
    if !(2..=3).contains(&items.len()) {
        return Err(form());
    }
    match items[0].unmarked().0 {
        Value::Text(delimiter) if delimiter.is_empty() => {
            return Err("the delimiter must not be empty".to_owned());
        }
        Value::Text(_) | Value::Call(_) | Value::Unknown => {}
        _ => return Err(form()),
    }
    match items[1].unmarked().0 {
        Value::Text(_) | Value::Null | Value::Call(_) | Value::Unknown => Ok(()),
        _ => Err(form()),
    }
}

pub(super) fn split(arguments: &Value, limits: &Limits) -> Result<Value, String> {
    check_split(arguments)?;
    let Value::List(items) = arguments else {
        return Err("takes a list".to_owned());
    };
    let (Value::Text(delimiter), Value::Text(text)) = (&items[0], &items[1]) else {
        return Ok(Value::Null);
    };
    let parts: Vec<&str> = text
        .split(delimiter.as_str())
        .take(limits.list_items + 1)
        .collect();
    if parts.len() > limits.list_items {
        return Err(format!(
            "the result has more than {} items",
            limits.list_items
        ));
    }
    let Some(index) = items.get(2) else {
        return Ok(Value::List(
            parts
                .into_iter()
                .map(|part| Value::Text(part.to_owned()))
                .collect(),
        ));
    };
    let number: i64 = match index {
        Value::Number(number) => number.as_i64(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
    .ok_or_else(|| "the index must be a whole number".to_owned())?;
    let place = if number < 0 {
        parts.len() as i64 + number
    } else {
        number
    };
    match usize::try_from(place)
        .ok()
        .and_then(|place| parts.get(place))
    {
        Some(part) => Ok(Value::Text((*part).to_owned())),
        None => Err(format!(
            "the index must be between 0 and {}",
            parts.len() - 1
        )),
    }
}
