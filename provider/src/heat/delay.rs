//! `OS::Heat::Delay`: waits when it is created or deleted.

use async_trait::async_trait;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{as_reported, no_outside, physical_name};
use crate::call::CallContext;
use crate::compare::{Comparison, Recorded};
use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{from_private, given, number, to_private};
use crate::request::{
    Applied, ApplyRequest, Diagnostic, LookUpRequest, Made, Observed, Plan, PlanRequest,
    ReadRequest, Values,
};
use crate::schema::{Kind, Nested, OnChange, PropertySchema, TypeSchema};
use crate::wait::wait_seconds;

const CREATE: &str = "CREATE";
const DELETE: &str = "DELETE";

/// The provider of `OS::Heat::Delay`.
pub struct DelayProvider {
    schemas: Vec<TypeSchema>,
}

impl Default for DelayProvider {
    fn default() -> Self {
        let seconds = |name: &str, description: &str| {
            PropertySchema::new(name, &[Kind::Number], description).at_least(0.0)
        };
        let mut schema = TypeSchema::new(
            "OS::Heat::Delay",
            "Waits: after what it depends on and before what depends on it, or on deletion the other way round.",
        );
        schema.properties = vec![
            seconds("min_wait", "Seconds to wait at least.").default(0),
            seconds(
                "max_jitter",
                "A random part of this is added, times `jitter_multiplier`.",
            )
            .default(0),
            seconds(
                "jitter_multiplier",
                "Seconds by which `max_jitter` is multiplied.",
            )
            .default(1.0),
            PropertySchema::new(
                "actions",
                &[Kind::List],
                "When to wait: CREATE, DELETE or both.",
            )
            .default(json!([CREATE]))
            .nested(Nested::EachOf(vec![Kind::String])),
        ];
        schema.capabilities = no_outside();
        Self {
            schemas: vec![schema],
        }
    }
}

/// The properties, read; kept with the instance for its deletion.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    min_wait_seconds: f64,
    max_jitter_seconds: f64,
    on_create: bool,
    on_delete: bool,
    made_of: Recorded,
}

impl Told {
    fn of(properties: &Values) -> Result<Self, Failure> {
        let wrong = wrong_actions(properties);
        if let Some(diagnostic) = wrong.first() {
            return Err(Failure::refused(format!(
                "property `{}`: {}",
                diagnostic.path, diagnostic.message
            )));
        }
        let actions = actions(properties);
        Ok(Self {
            min_wait_seconds: number(properties, "min_wait", 0.0)?,
            max_jitter_seconds: number(properties, "max_jitter", 0.0)?
                * number(properties, "jitter_multiplier", 1.0)?,
            on_create: actions.iter().any(|action| action == CREATE),
            on_delete: actions.iter().any(|action| action == DELETE),
            made_of: Recorded::of(properties),
        })
    }

    async fn wait(&self, ctx: &CallContext) -> Result<(), Failure> {
        let jitter = rand::rng().random::<f64>() * self.max_jitter_seconds;
        wait_seconds(ctx, self.min_wait_seconds + jitter).await
    }

    fn made(&self, physical_id: String, ctx: &CallContext) -> Applied {
        // Heat gives a Delay no physical id, so that it is referred to by its name.
        let reference_id = Some(ctx.resource.to_string());
        Applied::Done(Made {
            physical_id,
            reference_id,
            private: to_private(self),
            ..Made::default()
        })
    }
}

fn actions(properties: &Values) -> Vec<Value> {
    given(properties, "actions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_else(|| vec![CREATE.into()])
}

fn wrong_actions(properties: &Values) -> Vec<Diagnostic> {
    let wrong = |(index, action): (usize, &Value)| {
        let message = match action.as_str()? {
            CREATE | DELETE => return None,
            "SUSPEND" | "RESUME" => {
                "stacks are not suspended here; only CREATE and DELETE mean something".to_owned()
            }
            other => format!("`{other}` is not one of {CREATE}, {DELETE}"),
        };
        Some(Diagnostic {
            path: PropertyPath::property("actions").index(index),
            message,
        })
    };
    actions(properties)
        .iter()
        .enumerate()
        .filter_map(wrong)
        .collect()
}

#[async_trait]
impl Provider for DelayProvider {
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
        found.extend(wrong_actions(properties));
        found
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let Some(prior) = request.prior else {
            return Ok(Plan::create());
        };
        let mut compared = Comparison::new(&request);
        if let Some(was) = from_private::<Told>(prior.private) {
            compared.recorded(&was.made_of, &self.schemas[0], request.properties, |_| {
                OnChange::InPlace
            });
        }
        Ok(compared.into_plan())
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        match request {
            ApplyRequest::Create { properties, .. } => {
                let told = Told::of(properties)?;
                if told.on_create {
                    told.wait(ctx).await?;
                }
                Ok(told.made(physical_name(ctx), ctx))
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => {
                let physical_id = prior
                    .physical_id
                    .map_or_else(|| physical_name(ctx), str::to_owned);
                Ok(Told::of(properties)?.made(physical_id, ctx))
            }
            ApplyRequest::Delete { prior, .. } => {
                if let Some(told) =
                    from_private::<Told>(prior.private).filter(|told| told.on_delete)
                {
                    told.wait(ctx).await?;
                }
                Ok(Applied::Deleted)
            }
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        Ok(as_reported(request, Some(ctx.resource.to_string())))
    }

    async fn look_up(
        &self,
        _ctx: &CallContext,
        _request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}
