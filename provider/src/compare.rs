//! From properties compared one by one to a plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::read_values::digest;
use crate::request::{Plan, PlanRequest, PlannedAction, Values};
use crate::schema::{OnChange, TypeSchema};

/// The digests of the properties that something was made of, by name: small, and telling no secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Recorded(BTreeMap<String, String>);

impl Recorded {
    /// Records properties; one that is null is not there.
    pub(crate) fn of(properties: &Values) -> Self {
        let there = properties.iter().filter(|(_, value)| !value.is_null());
        Self(
            there
                .map(|(name, value)| (name.clone(), value_digest(value)))
                .collect(),
        )
    }

    /// Which properties are not what was recorded. To write out a default changes nothing.
    pub(crate) fn changed(&self, schema: &TypeSchema, properties: &Values) -> Vec<PropertyPath> {
        self.changed_to(schema, &Self::of(properties))
    }

    /// The same, against what was recorded of other properties.
    pub(crate) fn changed_to(&self, schema: &TypeSchema, now: &Self) -> Vec<PropertyPath> {
        let names: std::collections::BTreeSet<&String> =
            self.0.keys().chain(now.0.keys()).collect();
        let differs = |name: &&&String| {
            let default = schema
                .property(name)
                .and_then(|property| property.default.as_ref())
                .map(value_digest);
            let value =
                |recorded: &Self| recorded.0.get(**name).cloned().or_else(|| default.clone());
            value(self) != value(now)
        };
        names
            .iter()
            .filter(differs)
            .map(|name| PropertyPath::property(name))
            .collect()
    }
}

fn value_digest(value: &Value) -> String {
    digest(canonical(value).to_string().as_bytes())
}

/// The same value with the keys of all maps in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let ordered: BTreeMap<&String, &Value> = entries.iter().collect();
            Value::Object(
                ordered
                    .into_iter()
                    .map(|(name, value)| (name.clone(), canonical(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// Gathers which properties differ, and what that asks for.
pub(crate) struct Comparison<'a> {
    unknown: &'a [PropertyPath],
    changed: Vec<PropertyPath>,
    replaced: Vec<PropertyPath>,
}

impl<'a> Comparison<'a> {
    /// Starts with what is not known yet, which may turn out to be a change.
    pub(crate) fn new(request: &PlanRequest<'a>) -> Self {
        Self {
            unknown: request.unknown,
            changed: request.unknown.to_vec(),
            replaced: Vec::new(),
        }
    }

    /// Compares one property, unless its value is not known yet.
    pub(crate) fn property(
        &mut self,
        name: &str,
        update: OnChange,
        differs: impl FnOnce() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let path = PropertyPath::property(name);
        if !self
            .unknown
            .iter()
            .any(|unknown| path.covers(unknown) || unknown.covers(&path))
            && differs()?
        {
            match update {
                OnChange::Replace => self.replaced.push(path),
                OnChange::InPlace | OnChange::Depends => self.changed.push(path),
            }
        }
        Ok(())
    }

    /// Compares all properties with those that were recorded.
    pub(crate) fn recorded(
        &mut self,
        was: &Recorded,
        schema: &TypeSchema,
        properties: &Values,
        on_change: impl Fn(&str) -> OnChange,
    ) {
        for path in was.changed(schema, properties) {
            if self.unknown.iter().any(|unknown| path.covers(unknown)) {
                continue;
            }
            match on_change(path.top().unwrap_or_default()) {
                OnChange::Replace => self.replaced.push(path),
                OnChange::InPlace | OnChange::Depends => self.changed.push(path),
            }
        }
    }

    /// The plan for an instance that is there.
    pub(crate) fn into_plan(self) -> Plan {
        let action = match (self.replaced.is_empty(), self.changed.is_empty()) {
            (false, _) => PlannedAction::Replace {
                because: self.replaced,
            },
            (true, false) => PlannedAction::Update {
                changed: self.changed,
            },
            (true, true) => PlannedAction::Nothing,
        };
        Plan {
            action,
            attributes: Values::new(),
        }
    }
}

impl Plan {
    /// It would be made; its attributes are not known before.
    pub fn create() -> Self {
        Self {
            action: PlannedAction::Create,
            attributes: Values::new(),
        }
    }
}
