//! Whether a value satisfies its constraints. The same for properties and parameters.

use std::collections::BTreeMap;

use regex::Regex;

use crate::function::same;
use crate::schema::Constraint;
use crate::value::{Value, number_text};

/// Compiled patterns: a type's pattern is used by every resource of it.
#[derive(Debug, Default)]
pub(crate) struct Patterns(BTreeMap<String, Result<Regex, String>>);

impl Patterns {
    /// The pattern, made to match the whole of a text.
    pub(crate) fn compile(&mut self, pattern: &str) -> Result<&Regex, String> {
        if !self.0.contains_key(pattern) {
            let compiled = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                let what = error.to_string();
                format!(
                    "the pattern cannot be used: {}",
                    what.lines().last().unwrap_or_default()
                )
            });
            self.0.insert(pattern.to_owned(), compiled);
        }
        match &self.0[pattern] {
            Ok(regex) => Ok(regex),
            Err(message) => Err(message.clone()),
        }
    }
}

/// A number as it is shown in a message: whole ones without a fraction.
fn shown_float(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else {
        value.to_string()
    }
}

fn bounds(min: Option<String>, max: Option<String>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("between {min} and {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "anything".to_owned(),
    }
}

/// What the constraint says, for messages: `range: between 1 and 5`.
pub(crate) fn in_words(constraint: &Constraint) -> String {
    match constraint {
        Constraint::Length { min, max } => {
            format!(
                "length: {}",
                bounds(min.map(|n| n.to_string()), max.map(|n| n.to_string()))
            )
        }
        Constraint::Range { min, max } => format!(
            "range: {}",
            bounds(min.map(shown_float), max.map(shown_float))
        ),
        Constraint::Modulo { step, offset } => {
            format!("modulo: {offset} more than a multiple of {step}")
        }
        Constraint::AllowedValues(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("allowed_values: {}", values.join(", "))
        }
        Constraint::AllowedPattern(pattern) => format!("allowed_pattern: {pattern}"),
    }
}

/// Whether a known value satisfies the constraint. A constraint on a kind of value that it does not apply
/// to is satisfied: the kind is checked elsewhere.
pub(crate) fn satisfied(value: &Value, constraint: &Constraint, patterns: &mut Patterns) -> bool {
    let value = value.unmarked().0;
    match constraint {
        Constraint::Length { min, max } => {
            let length = match value {
                Value::Text(text) => text.chars().count(),
                Value::List(items) => items.len(),
                Value::Map(entries) => entries.len(),
                _ => return true,
            } as u64;
            min.is_none_or(|min| length >= min) && max.is_none_or(|max| length <= max)
        }
        Constraint::Range { min, max } => match value {
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
            }
            _ => true,
        },
        Constraint::Modulo { step, offset } => match value {
            Value::Number(number) => match number.as_i64() {
                Some(number) => {
                    *step != 0
                        && i128::from(number).rem_euclid(i128::from(*step).abs())
                            == i128::from(*offset).rem_euclid(i128::from(*step).abs())
                }
                None => false,
            },
            _ => true,
        },
        Constraint::AllowedValues(allowed) => match value {
            Value::List(items) => items.iter().all(|item| is_allowed(item, allowed)),
            other => is_allowed(other, allowed),
        },
        Constraint::AllowedPattern(pattern) => match value {
            Value::Text(text) => patterns
                .compile(pattern)
                .is_ok_and(|regex| regex.is_match(text)),
            _ => true,
        },
    }
}

fn is_allowed(value: &Value, allowed: &[serde_json::Value]) -> bool {
    let value = value.unmarked().0;
    value.is_pending()
        || allowed.iter().any(|candidate| {
            let candidate = Value::from_json(candidate);
            same(value, &candidate)
                || match (value, &candidate) {
                    (Value::Text(text), Value::Number(number))
                    | (Value::Number(number), Value::Text(text)) => *text == number_text(number),
                    _ => false,
                }
        })
}
