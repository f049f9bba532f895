//! What a resource says beside its type and properties, read into types. Knows folding, no providers.

use std::collections::BTreeMap;

use crate::definition::{DeletionPolicy, DriftPolicy, Meta, Placement, ReplacementPolicy};
use crate::fold::Folder;
use crate::place::Step;
use crate::tree::Entry;
use crate::value::Value;

/// Reads one key into the meta data. Problems are told.
pub(crate) fn read<'t>(entry: Entry<'t>, meta: &mut Meta, folder: &mut Folder<'_, 't, '_>) {
    folder.place.enter(Step::Key(entry.name()));
    let outer = folder.constant.replace("what stands beside the properties");
    let folded = folder.fold(entry.value, None);
    folder.constant = outer;
    if let Ok(Some(mut value)) = folded {
        if value.strip() {
            folder.error(
                entry.value,
                "it would show the value of a hidden parameter: use that in properties only",
            );
        } else if let Err(message) = put(entry.name(), value, meta) {
            folder.error(entry.value, message);
        }
    }
    folder.place.leave();
}

fn put(key: &str, value: Value, meta: &mut Meta) -> Result<(), String> {
    // As if it were not there.
    if value == Value::Null {
        return Ok(());
    }
    match key {
        "description" => meta.description = Some(text(value)?),
        "external_id" => meta.external_id = Some(text(value)?),
        "metadata" => match value {
            Value::Map(entries) => {
                meta.metadata = entries
                    .iter()
                    .map(|(k, v)| (k.clone(), v.to_json()))
                    .collect()
            }
            other => return Err(format!("must be a map, not {}", other.in_words())),
        },
        "deletion_policy" => meta.deletion_policy = deletion_policy(&text(value)?)?,
        "replacement_policy" => {
            meta.replacement_policy = one_of(
                &text(value)?,
                &[
                    ("create_first", ReplacementPolicy::CreateFirst),
                    ("delete_first", ReplacementPolicy::DeleteFirst),
                ],
            )?;
        }
        "drift" => {
            meta.drift = Some(one_of(
                &text(value)?,
                &[("heal", DriftPolicy::Heal), ("report", DriftPolicy::Report)],
            )?);
        }
        "protect" => match value {
            Value::Bool(flag) => meta.protect = flag,
            other => return Err(format!("must be true or false, not {}", other.in_words())),
        },
        "timeout" => meta.timeout_ms = Some(timeout_ms(&value)?),
        "placement" => meta.placement = placement(value)?,
        "update_policy" => match value {
            Value::Map(entries) if entries.is_empty() => {}
            _ => return Err("no type here has an update policy".to_owned()),
        },
        _ => {}
    }
    Ok(())
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("must be a string, not {}", other.in_words())),
    }
}

fn one_of<T: Copy>(word: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("{word:?} is not one of {}", names.join(", ")))
}

fn deletion_policy(word: &str) -> Result<DeletionPolicy, String> {
    if word.eq_ignore_ascii_case("snapshot") {
        return Err(
            "the deletion policy snapshot is not supported; there are delete and retain".to_owned(),
        );
    }
    one_of(
        word,
        &[
            ("delete", DeletionPolicy::Delete),
            ("retain", DeletionPolicy::Retain),
        ],
    )
}

fn placement(value: Value) -> Result<Placement, String> {
    let Value::Map(entries) = value else {
        return Err(format!(
            "must be a map of host and labels, not {}",
            value.in_words()
        ));
    };
    let mut placement = Placement::default();
    for (key, value) in entries {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("host", value) => {
                placement.host = Some(text(value).map_err(|message| format!("host {message}"))?)
            }
            ("labels", Value::Map(labels)) => placement.labels = label_texts(labels)?,
            ("labels", other) => {
                return Err(format!("labels must be a map, not {}", other.in_words()));
            }
            (other, _) => return Err(format!("{other:?} is not one of host, labels")),
        }
    }
    Ok(placement)
}

fn label_texts(labels: crate::value::Entries) -> Result<BTreeMap<String, String>, String> {
    let pairs = labels.into_iter().map(|(name, value)| match value {
        Value::Text(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(flag) => Ok((name, flag.to_string())),
        other => Err(format!(
            "the label {name:?} must be a string, not {}",
            other.in_words()
        )),
    });
    pairs.collect()
}

/// Units of a duration, longest first, in milliseconds.
const UNITS_MS: &[(&str, f64)] = &[
    ("ms", 1.0),
    ("d", 86_400_000.0),
    ("h", 3_600_000.0),
    ("m", 60_000.0),
    ("s", 1_000.0),
];
/// No call waits longer than a year.
const LONGEST_MS: f64 = 366.0 * 86_400_000.0;

/// Seconds as a number, or text like `90s`, `1h30m`.
fn timeout_ms(value: &Value) -> Result<u64, String> {
    let ms = match value {
        Value::Number(number) => number.as_f64().map(|seconds| seconds * 1000.0),
        Value::Text(text) => duration_ms(text),
        _ => None,
    };
    match ms {
        Some(ms) if ms > 0.0 && ms <= LONGEST_MS => Ok((ms.ceil()) as u64),
        _ => Err("must be a duration: seconds as a number, or text like 90s or 1h30m".to_owned()),
    }
}

fn duration_ms(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Some(seconds * 1000.0);
    }
    let mut rest = text.trim();
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let (unit, ms) = UNITS_MS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        sum += number * ms;
        rest = rest[unit.len()..].trim_start();
    }
    Some(sum).filter(|_| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_or_a_duration_in_words() {
        let of = |text: &str| timeout_ms(&Value::Text(text.to_owned()));
        assert_eq!(timeout_ms(&Value::Number(90.into())), Ok(90_000));
        assert_eq!(of("1h30m"), Ok(5_400_000));
        assert_eq!(of("1m 500ms"), Ok(60_500));
        assert_eq!(of("1.5"), Ok(1_500));
        for wrong in ["", "5x", "-1s", "h", "0"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
