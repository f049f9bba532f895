//! `OS::Heat::Value`: its property `value`, read as its property `type` says, is its attribute `value`.

use async_trait::async_trait;
use serde_json::{Number, Value};

use super::{as_reported, no_outside, physical_name, single};
use crate::call::CallContext;
use crate::compare::{Comparison, Recorded};
use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{from_private, given, optional_text, to_private};
use crate::request::{
    Applied, ApplyRequest, Diagnostic, LookUpRequest, Made, Observed, Plan, PlanRequest,
    ReadRequest, Values,
};
use crate::schema::{AttributeSchema, Kind, OnChange, PropertySchema, TypeSchema};
use crate::value::as_number;

const TYPES: [&str; 5] = [
    "string",
    "number",
    "comma_delimited_list",
    "json",
    "boolean",
];

/// The provider of `OS::Heat::Value`.
pub struct ValueProvider {
    schemas: Vec<TypeSchema>,
}

impl Default for ValueProvider {
    fn default() -> Self {
        let mut schema = TypeSchema::new(
            "OS::Heat::Value",
            "Gives a name to a value: its attribute is its property.",
        );
        schema.properties = vec![
            PropertySchema::new("value", &[Kind::Any], "The value.").required(),
            PropertySchema::new("type", &[Kind::String], "What the value must be.").words(&TYPES),
        ];
        schema.attributes = vec![AttributeSchema::new(
            "value",
            Kind::Any,
            "The value, of the type that was asked for.",
        )];
        schema.capabilities = no_outside();
        Self {
            schemas: vec![schema],
        }
    }
}

/// The value as its type says, with the conversions that Heat makes for properties, and no others.
fn typed(properties: &Values) -> Result<Value, String> {
    let value = given(properties, "value").ok_or("required property `value` is missing")?;
    let Some(type_name) = optional_text(properties, "type").map_err(|failure| failure.message)?
    else {
        return Ok(value.clone());
    };
    let converted = match (type_name.as_str(), value) {
        ("string", Value::String(_)) => Some(value.clone()),
        // Booleans become Python's words for them, as in Heat.
        ("string", Value::Bool(flag)) => Some(if *flag { "True" } else { "False" }.into()),
        ("string", Value::Number(number)) if !number.is_f64() => Some(number.to_string().into()),
        ("number", Value::Number(_)) => Some(value.clone()),
        ("number", Value::String(text)) => number(text),
        ("boolean", Value::Bool(_)) => Some(value.clone()),
        ("boolean", Value::Number(number)) if !number.is_f64() => {
            Some((number.as_i64() != Some(0)).into())
        }
        ("boolean", Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            _ => None,
        },
        ("comma_delimited_list", Value::Array(_)) | ("json", Value::Object(_)) => {
            Some(value.clone())
        }
        _ => None,
    };
    converted.ok_or_else(|| format!("the value is not of type {type_name}"))
}

fn number(text: &str) -> Option<Value> {
    let whole = text.trim().parse::<i64>().ok().map(Number::from);
    whole
        .or_else(|| Number::from_f64(as_number(&text.into())?))
        .map(Value::Number)
}

fn made(physical_id: String, properties: &Values) -> Result<Applied, Failure> {
    let value = typed(properties).map_err(Failure::refused)?;
    let private = to_private(&Recorded::of(properties));
    Ok(Applied::Done(Made {
        physical_id,
        attributes: single("value", value),
        private,
        ..Made::default()
    }))
}

#[async_trait]
impl Provider for ValueProvider {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn validate(
        &self,
        _type_name: &str,
        properties: &Values,
        unknown: &[PropertyPath],
    ) -> Vec<Diagnostic> {
        let mut found = self.schemas[0].check(properties, unknown);
        if found.is_empty()
            && unknown.is_empty()
            && let Err(message) = typed(properties)
        {
            found.push(Diagnostic {
                path: PropertyPath::property("value"),
                message,
            });
        }
        found
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let mut plan = match request.prior {
            None => Plan::create(),
            Some(prior) => {
                let mut compared = Comparison::new(&request);
                if let Some(was) = from_private::<Recorded>(prior.private) {
                    compared.recorded(&was, &self.schemas[0], request.properties, |_| {
                        OnChange::InPlace
                    });
                }
                compared.into_plan()
            }
        };
        if request.unknown.is_empty() {
            plan.attributes = single(
                "value",
                typed(request.properties).map_err(Failure::refused)?,
            );
        }
        Ok(plan)
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        match request {
            ApplyRequest::Create { properties, .. } => made(physical_name(ctx), properties),
            ApplyRequest::Update {
                prior, properties, ..
            } => made(
                prior
                    .physical_id
                    .map_or_else(|| physical_name(ctx), str::to_owned),
                properties,
            ),
            ApplyRequest::Delete { .. } => Ok(Applied::Deleted),
        }
    }

    async fn read(
        &self,
        _ctx: &CallContext,
        request: ReadRequest<'_>,
    ) -> Result<Observed, Failure> {
        Ok(as_reported(request, None))
    }

    async fn look_up(
        &self,
        _ctx: &CallContext,
        _request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_converted_as_heat_converts_it() {
        let typed = |value: Value, type_name: &str| {
            typed(
                json!({"value": value, "type": type_name})
                    .as_object()
                    .unwrap(),
            )
            .ok()
        };
        assert_eq!(typed(json!("3"), "number"), Some(json!(3)));
        assert_eq!(typed(json!("3.5"), "number"), Some(json!(3.5)));
        assert_eq!(typed(json!("three"), "number"), None);
        assert_eq!(typed(json!(true), "string"), Some(json!("True")));
        assert_eq!(typed(json!("TRUE"), "boolean"), Some(json!(true)));
        assert_eq!(typed(json!("yes"), "boolean"), None);
        assert_eq!(typed(json!("a,b"), "comma_delimited_list"), None);
        assert_eq!(
            typed(json!(["a", 1]), "comma_delimited_list"),
            Some(json!(["a", 1]))
        );
        assert_eq!(typed(json!({"a": 1}), "json"), Some(json!({"a": 1})));
        assert_eq!(typed(json!([1]), "json"), None);
    }
}
