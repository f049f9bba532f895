//! Gives parameters their values: what is given, else the environment's defaults, else the template's.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Declaration, ParameterKind};
use crate::constraint::{self, Patterns};
use crate::definition::{ParameterValue, ParameterValues};
use crate::fit::number_of;
use crate::problem::{Collector, Position, SourceId};
use crate::value::{Value, number_text};

/// A value that someone gave, and where.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) value: Json,
    pub(crate) source: SourceId,
    /// None if it was given outside of any text.
    pub(crate) position: Option<Position>,
}

/// Values of all declared parameters; none for one whose problem has been told.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    values: BTreeMap<String, Option<ParameterValue>>,
}

impl Parameters {
    pub(crate) fn get(&self, name: &str) -> Option<Option<&ParameterValue>> {
        self.values.get(name).map(Option::as_ref)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    pub(crate) fn set(&mut self, name: String, value: Option<ParameterValue>) {
        self.values.insert(name, value);
    }

    /// All values, when nothing is wrong.
    pub(crate) fn into_values(self) -> ParameterValues {
        self.values
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect()
    }
}

/// Values for all declared parameters.
pub(crate) fn resolve(
    declared: &[Declaration],
    given: &BTreeMap<String, Given>,
    defaults: &BTreeMap<String, Given>,
    previous: Option<&ParameterValues>,
    template: SourceId,
    collector: &mut Collector,
) -> Parameters {
    let mut parameters = Parameters::default();
    resolve_into(
        &mut parameters,
        declared,
        given,
        defaults,
        previous,
        template,
        collector,
    );
    parameters
}

/// Values for these parameters, added to those there are.
pub(crate) fn resolve_into(
    parameters: &mut Parameters,
    declared: &[Declaration],
    given: &BTreeMap<String, Given>,
    defaults: &BTreeMap<String, Given>,
    previous: Option<&ParameterValues>,
    template: SourceId,
    collector: &mut Collector,
) {
    for declaration in declared {
        let value = resolve_one(declaration, given, defaults, template, collector);
        if let (Some(value), Some(before)) = (
            &value,
            previous.and_then(|values| values.get(&declaration.name)),
        ) {
            check_immutable(declaration, value, before, given, template, collector);
        }
        parameters.set(declaration.name.clone(), value);
    }
    for (name, given) in given
        .iter()
        .filter(|(name, _)| parameters.get(name).is_none())
    {
        let message = format!("unknown parameter {name:?}");
        let position = given.position.unwrap_or_default();
        let path = format!("parameters.{name}");
        collector.unknown_word(
            given.source,
            position,
            path,
            message,
            name,
            parameters.names(),
        );
    }
}

fn resolve_one(
    declaration: &Declaration,
    given: &BTreeMap<String, Given>,
    defaults: &BTreeMap<String, Given>,
    template: SourceId,
    collector: &mut Collector,
) -> Option<ParameterValue> {
    let name = &declaration.name;
    let explicit = given.get(name).filter(|given| !given.value.is_null());
    let (json, source, position) = match explicit.or_else(|| defaults.get(name)) {
        Some(Given {
            value,
            source,
            position: Some(position),
        }) => (value, *source, *position),
        Some(Given {
            value,
            position: None,
            ..
        }) => (value, template, declaration.position),
        None => match &declaration.default {
            Some((value, position)) => (value, template, *position),
            None => {
                let message = "it has no value: none is given, and it has no default";
                collector.error(
                    template,
                    declaration.position,
                    format!("parameters.{name}"),
                    message,
                );
                return None;
            }
        },
    };
    let mut problem = |message: String| {
        collector.error(source, position, format!("parameters.{name}"), message);
    };
    let value = match coerced(json, declaration.kind) {
        Ok(value) => value,
        Err(wanted) => {
            let shown = if declaration.hidden {
                "the value".to_owned()
            } else {
                shortened(json)
            };
            problem(format!("{shown} is not {wanted}"));
            return None;
        }
    };
    let mut patterns = Patterns::default();
    let mut fits = true;
    for item in &declaration.constraints {
        if !constraint::satisfied(&value, &item.constraint, &mut patterns) {
            fits = false;
            let shown = if declaration.hidden {
                "the value".to_owned()
            } else {
                shortened(&value.to_json())
            };
            let words = constraint::in_words(&item.constraint);
            let why = item
                .description
                .as_ref()
                .map(|text| format!(" ({text})"))
                .unwrap_or_default();
            problem(format!("{shown} does not satisfy {words}{why}"));
        }
    }
    fits.then(|| ParameterValue {
        value: value.to_json(),
        hidden: declaration.hidden,
        given: explicit.is_some(),
    })
}

fn check_immutable(
    declaration: &Declaration,
    value: &ParameterValue,
    before: &ParameterValue,
    given: &BTreeMap<String, Given>,
    template: SourceId,
    collector: &mut Collector,
) {
    if !declaration.immutable || value.value == before.value {
        return;
    }
    let place = given
        .get(&declaration.name)
        .and_then(|given| given.position.map(|position| (given.source, position)));
    let (source, position) = place.unwrap_or((template, declaration.position));
    let path = format!("parameters.{}", declaration.name);
    collector.error(
        source,
        position,
        path,
        "it is immutable: its value cannot change in an update",
    );
}

/// How many characters of a value a message repeats.
const SHOWN_CHARACTERS: usize = 40;

fn shortened(value: &Json) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_CHARACTERS {
        return text;
    }
    let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
    format!("{start}…")
}

/// The value as the parameter's kind has it; else what it should have been.
fn coerced(json: &Json, kind: ParameterKind) -> Result<Value, &'static str> {
    match kind {
        ParameterKind::String => match json {
            Json::String(text) => Ok(Value::Text(text.clone())),
            Json::Number(number) => Ok(Value::Text(number_text(number))),
            Json::Bool(flag) => Ok(Value::Text(if *flag { "True" } else { "False" }.to_owned())),
            _ => Err("a string"),
        },
        ParameterKind::Number => match json {
            Json::Number(number) => Ok(Value::Number(number.clone())),
            Json::String(text) => number_of(text).map(Value::Number).ok_or("a number"),
            _ => Err("a number"),
        },
        ParameterKind::Boolean => boolean(json).map(Value::Bool).ok_or("a boolean"),
        ParameterKind::CommaDelimitedList => match json {
            Json::Array(items) => items
                .iter()
                .map(list_item)
                .collect::<Option<_>>()
                .map(Value::List),
            Json::String(text) if text.is_empty() => Some(Value::List(Vec::new())),
            Json::String(text) => Some(Value::List(
                text.split(',')
                    .map(|part| Value::Text(part.trim().to_owned()))
                    .collect(),
            )),
            _ => None,
        }
        .ok_or("a list, or text with commas"),
        ParameterKind::Json => match json {
            Json::Array(_) | Json::Object(_) => Ok(Value::from_json(json)),
            Json::String(text) => match serde_json::from_str::<Json>(text) {
                Ok(parsed @ (Json::Array(_) | Json::Object(_))) => Ok(Value::from_json(&parsed)),
                _ => Err("JSON of a map or a list"),
            },
            _ => Err("JSON of a map or a list"),
        },
    }
}

fn list_item(json: &Json) -> Option<Value> {
    match json {
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Number(number) => Some(Value::Text(number_text(number))),
        Json::Bool(flag) => Some(Value::Text(if *flag { "True" } else { "False" }.to_owned())),
        _ => None,
    }
}

fn boolean(json: &Json) -> Option<bool> {
    let word = match json {
        Json::Bool(flag) => return Some(*flag),
        Json::String(text) => text.trim().to_lowercase(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    match word.as_str() {
        "t" | "true" | "on" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "off" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}
