//! What would become of one resource: create, update, replace, take back or nothing, with the reason. Asks the
//! provider for its plan; falls back on the schema where it has none.

use std::collections::BTreeSet;

use anneal_provider::{
    OnChange, PlanRequest, PlannedAction, Prior, PropertyPath, TypeSchema, Values,
};
use anneal_statemachine::{
    command::Definition,
    id::{InstanceId, Text},
    row::{InstanceRow, Observed},
};
use anneal_template::{Lookup, PartlyEvaluated, evaluate_partial};

use super::walk::Walk;
use crate::submit::{Refused, property_path};

/// What would be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Weighed {
    pub(super) action: &'static str,
    pub(super) properties: Vec<String>,
    pub(super) because: String,
    pub(super) unknown: bool,
    /// Attributes that are known already; `None`: all stay as they are.
    pub(super) attributes: Option<Values>,
}

/// What there is of a resource.
#[derive(Debug, Clone, Default)]
pub(super) struct There {
    pub(super) current: Option<(InstanceId, InstanceRow, Text)>,
    /// Healthy deposed instances.
    pub(super) deposed: Vec<InstanceRow>,
}

impl Weighed {
    pub(super) fn plain(action: &'static str) -> Self {
        Self {
            action,
            ..Self::default()
        }
    }
}

impl Walk<'_> {
    /// What would become of a resource that should be as defined.
    pub(super) fn weigh(
        &self,
        definition: &Definition,
        there: &There,
        lookup: &dyn Lookup,
    ) -> Result<Weighed, Refused> {
        let again = there
            .deposed
            .iter()
            .any(|it| it.definition == definition.digest);
        let current = there.current.as_ref();
        let going = current.is_some_and(|(_, row, _)| row.delete_begun || row.condemned);
        let current = current.filter(|(_, row, _)| is_there(row) && !going);
        let Some((instance, row, type_name)) = current else {
            return match again {
                true => Ok(Weighed::plain("take_back")),
                false => self.weigh_new(definition, going, lookup),
            };
        };
        if **type_name != *definition.type_name {
            let because = format!(
                "its type changes from {type_name} to {}",
                definition.type_name
            );
            return Ok(Weighed {
                because,
                ..self.replacing(definition)
            });
        }
        let after = evaluate(&definition.body, lookup)?;
        let kept = self.stored_definition(row)?;
        let values = self.values();
        let before = match self.replica_properties(*instance)? {
            Some(properties) => properties,
            None => evaluate(&kept, &values)?.properties,
        };
        let mut changed = changed(&before, &after);
        if changed.is_empty() && row.definition == definition.digest {
            return Ok(Weighed::plain("unchanged"));
        }
        if again {
            return Ok(Weighed::plain("take_back"));
        }
        let unknown: Vec<PropertyPath> = after
            .unknown
            .iter()
            .map(|pointer| property_path(&after.properties, pointer))
            .collect();
        let private = self.private(*instance)?;
        let prior = Prior {
            properties: Some(&before),
            attributes: None,
            physical_id: row.physical_id.as_deref(),
            private: &private,
        };
        let request = PlanRequest {
            type_name: &definition.type_name,
            prior: Some(prior),
            properties: &after.properties,
            unknown: &unknown,
        };
        let planned = self.plan(request);
        let mut weighed = Weighed {
            unknown: !unknown.is_empty(),
            attributes: Some(Values::new()),
            ..Weighed::plain("update")
        };
        match planned {
            Some((PlannedAction::Replace { because }, _)) => {
                weighed.action = "replace";
                let paths: Vec<String> = because.iter().map(PropertyPath::to_string).collect();
                weighed.because = format!("{} can't be changed in place", paths.join(", "));
            }
            Some((PlannedAction::Update { changed: paths }, attributes)) => {
                changed.extend(
                    paths
                        .iter()
                        .filter_map(PropertyPath::top)
                        .map(str::to_owned),
                );
                weighed.attributes = Some(attributes);
            }
            Some((_, attributes)) => weighed.attributes = Some(attributes),
            None => self.by_schema(definition, &changed, &mut weighed),
        }
        weighed.properties = changed.into_iter().collect();
        Ok(weighed)
    }

    fn weigh_new(
        &self,
        definition: &Definition,
        going: bool,
        lookup: &dyn Lookup,
    ) -> Result<Weighed, Refused> {
        let unknown = match definition.references.is_empty() {
            true => false,
            false => !evaluate(&definition.body, lookup)?.unknown.is_empty(),
        };
        Ok(Weighed {
            unknown,
            attributes: Some(Values::new()),
            because: match going {
                true => "what is there is being deleted".to_owned(),
                false => String::new(),
            },
            ..Weighed::plain("create")
        })
    }

    fn replacing(&self, definition: &Definition) -> Weighed {
        Weighed {
            unknown: !definition.references.is_empty(),
            attributes: Some(Values::new()),
            ..Weighed::plain("replace")
        }
    }

    fn by_schema(
        &self,
        definition: &Definition,
        changed: &BTreeSet<String>,
        weighed: &mut Weighed,
    ) {
        let Some(schema) = self.schema(&definition.type_name) else {
            return;
        };
        let of = |wanted: OnChange| -> Vec<&str> {
            let names = changed.iter().map(String::as_str);
            names
                .filter(|name| on_change(schema, name) == wanted)
                .collect()
        };
        let (replacing, depending) = (of(OnChange::Replace), of(OnChange::Depends));
        if !replacing.is_empty() {
            weighed.action = "replace";
            weighed.because = format!("{} can't be changed in place", replacing.join(", "));
        } else if !depending.is_empty() {
            weighed.because = format!("a change of {} may replace it", depending.join(", "));
        }
    }
}

fn on_change(schema: &TypeSchema, property: &str) -> OnChange {
    let property = schema.property(property);
    property.map_or(OnChange::Depends, |property| property.update)
}

fn is_there(row: &InstanceRow) -> bool {
    row.observed != Observed::Absent || row.seen_present
}

pub(super) fn evaluate(body: &[u8], lookup: &dyn Lookup) -> Result<PartlyEvaluated, Refused> {
    evaluate_partial(body, lookup)
        .map_err(|error| Refused::Internal(format!("a definition can't be evaluated: {error}")))
}

/// Properties that differ, or whose value is not known yet.
fn changed(before: &Values, after: &PartlyEvaluated) -> BTreeSet<String> {
    let mut changed: BTreeSet<String> = before
        .keys()
        .chain(after.properties.keys())
        .filter(|name| before.get(*name) != after.properties.get(*name))
        .cloned()
        .collect();
    let unknown = after.unknown.iter();
    changed.extend(
        unknown
            .map(|pointer| property_path(&after.properties, pointer))
            .filter_map(|path| path.top().map(str::to_owned)),
    );
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(json: serde_json::Value) -> Values {
        json.as_object().cloned().unwrap()
    }

    #[test]
    fn what_differs_and_what_is_not_known_yet_has_changed() {
        let before = values(json!({"same": 1, "other": 1, "gone": 1, "address": "a"}));
        let after = PartlyEvaluated {
            type_name: "T".to_owned(),
            properties: values(json!({"same": 1, "other": 2, "new": [null], "address": null})),
            unknown: vec!["/new/0".to_owned(), "/address".to_owned()],
            sensitive: Vec::new(),
        };
        let names: Vec<String> = changed(&before, &after).into_iter().collect();
        assert_eq!(names, ["address", "gone", "new", "other"]);
    }
}
