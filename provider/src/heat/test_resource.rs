//! `OS::Heat::TestResource`: stores a string, slowly or not at all, as it is told.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{as_reported, no_outside, physical_name, single};
use crate::call::CallContext;
use crate::compare::Comparison;
use crate::failure::{Failure, FailureClass};
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{boolean, from_private, given, number, optional_text, to_private};
use crate::request::{
    Applied, ApplyRequest, LookUpRequest, Made, Observed, Plan, PlanRequest, Prior, ReadRequest,
    Values,
};
use crate::schema::{AttributeSchema, Kind, Nested, OnChange, PropertySchema, TypeSchema};
use crate::wait::wait_seconds;

const DEFAULT_VALUE: &str = "test_string";
const NO_CLIENT: &str = "polling an OpenStack client means nothing here; use the wait properties";

/// The provider of `OS::Heat::TestResource`.
pub struct TestResourceProvider {
    schemas: Vec<TypeSchema>,
}

impl Default for TestResourceProvider {
    fn default() -> Self {
        Self {
            schemas: vec![schema()],
        }
    }
}

fn schema() -> TypeSchema {
    let seconds =
        |name: &str, description: &str| PropertySchema::new(name, &[Kind::Number], description);
    let mut schema = TypeSchema::new(
        "OS::Heat::TestResource",
        "Stores a string. For tests: it waits, fails and is replaced as it is told.",
    );
    schema.properties = vec![
        PropertySchema::new("value", &[Kind::String], "The string.").default(DEFAULT_VALUE),
        PropertySchema::new(
            "update_replace",
            &[Kind::Boolean],
            "A changed `value` replaces it.",
        )
        .default(false),
        PropertySchema::new(
            "update_replace_value",
            &[Kind::String],
            "Any change of this replaces it.",
        )
        .on_change(OnChange::Replace),
        PropertySchema::new("fail", &[Kind::Boolean], "Create and update fail.").default(false),
        seconds("wait_secs", "How long an action takes; -1 is for ever.").default(0),
        PropertySchema::new(
            "action_wait_secs",
            &[Kind::Map],
            "The same for each action.",
        )
        .nested(Nested::Keys(vec![
            seconds("create", "How long a create takes."),
            seconds("update", "How long an update takes."),
            seconds("delete", "How long a delete takes."),
        ])),
        seconds("attr_wait_secs", "How long it takes to tell the attribute.")
            .default(0)
            .at_least(0.0),
        seconds(
            "constraint_prop_secs",
            "How long it takes to check the properties.",
        )
        .default(0)
        .at_least(0.0),
        PropertySchema::new("client_name", &[Kind::String], "A client to poll.").default(""),
        PropertySchema::new(
            "entity_name",
            &[Kind::String],
            "An entity of the client to poll.",
        )
        .default(""),
    ];
    schema.attributes = vec![AttributeSchema::new("output", Kind::String, "The string.")];
    schema.capabilities = no_outside();
    schema
}

/// What is kept with the instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    value: String,
    update_replace_value: Option<String>,
    delete_wait_seconds: f64,
    fail: bool,
}

/// The properties, read.
struct Told {
    value: String,
    update_replace: bool,
    update_replace_value: Option<String>,
    fail: bool,
    create_wait_seconds: f64,
    update_wait_seconds: f64,
    delete_wait_seconds: f64,
    attribute_wait_seconds: f64,
    check_wait_seconds: f64,
}

impl Told {
    fn of(properties: &Values) -> Result<Self, Failure> {
        let empty = Values::new();
        let per_action = given(properties, "action_wait_secs")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let wait_seconds = number(properties, "wait_secs", 0.0)?;
        for name in ["client_name", "entity_name"] {
            if optional_text(properties, name)?.is_some_and(|given| !given.is_empty()) {
                return Err(Failure::refused(format!("property `{name}`: {NO_CLIENT}")));
            }
        }
        Ok(Self {
            value: optional_text(properties, "value")?.unwrap_or_else(|| DEFAULT_VALUE.to_owned()),
            update_replace: boolean(properties, "update_replace", false)?,
            update_replace_value: optional_text(properties, "update_replace_value")?,
            fail: boolean(properties, "fail", false)?,
            create_wait_seconds: number(per_action, "create", wait_seconds)?,
            update_wait_seconds: number(per_action, "update", wait_seconds)?,
            delete_wait_seconds: number(per_action, "delete", wait_seconds)?,
            attribute_wait_seconds: number(properties, "attr_wait_secs", 0.0)?,
            check_wait_seconds: number(properties, "constraint_prop_secs", 0.0)?,
        })
    }

    /// Why an update of what was kept replaces it.
    fn replaces(&self, kept: &Kept) -> Vec<PropertyPath> {
        if self.update_replace_value != kept.update_replace_value {
            vec![PropertyPath::property("update_replace_value")]
        } else if self.update_replace && self.value != kept.value {
            vec![PropertyPath::property("value")]
        } else {
            Vec::new()
        }
    }

    async fn made(
        &self,
        ctx: &CallContext,
        physical_id: String,
        value: String,
    ) -> Result<Applied, Failure> {
        wait_seconds(ctx, self.attribute_wait_seconds).await?;
        let kept = Kept {
            value: value.clone(),
            update_replace_value: self.update_replace_value.clone(),
            delete_wait_seconds: self.delete_wait_seconds,
            fail: self.fail,
        };
        let attributes = single("output", value.into());
        Ok(Applied::Done(Made {
            physical_id,
            attributes,
            private: to_private(&kept),
            ..Made::default()
        }))
    }
}

fn told_to_fail(ctx: &CallContext) -> Failure {
    Failure::nothing_done(
        FailureClass::Permanent,
        format!("Test Resource failed {}", ctx.resource),
    )
}

async fn create(ctx: &CallContext, told: &Told) -> Result<Applied, Failure> {
    wait_seconds(ctx, told.check_wait_seconds).await?;
    wait_seconds(ctx, told.create_wait_seconds).await?;
    if told.fail {
        return Err(told_to_fail(ctx));
    }
    told.made(ctx, physical_name(ctx), told.value.clone()).await
}

async fn update(ctx: &CallContext, prior: Prior<'_>, told: &Told) -> Result<Applied, Failure> {
    wait_seconds(ctx, told.check_wait_seconds).await?;
    let kept = from_private::<Kept>(prior.private);
    if let Some(kept) = &kept {
        let because = told.replaces(kept);
        if !because.is_empty() {
            return Ok(Applied::NeedsReplace { because });
        }
    }
    // An empty new value counts as none, as in Heat.
    let kept_value = kept.map(|kept| kept.value);
    let changed = kept_value.as_ref() != Some(&told.value) && !told.value.is_empty();
    if changed {
        wait_seconds(ctx, told.update_wait_seconds).await?;
    }
    if told.fail {
        return Err(told_to_fail(ctx));
    }
    let value = if changed {
        told.value.clone()
    } else {
        kept_value.unwrap_or_default()
    };
    told.made(
        ctx,
        prior
            .physical_id
            .map_or_else(|| physical_name(ctx), str::to_owned),
        value,
    )
    .await
}

#[async_trait]
impl Provider for TestResourceProvider {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn validate(
        &self,
        _type_name: &str,
        properties: &Values,
        unknown: &[PropertyPath],
    ) -> Vec<crate::request::Diagnostic> {
        let mut found = self.schemas[0].check(properties, unknown);
        for name in ["client_name", "entity_name"] {
            if given(properties, name).is_some_and(|value| value != "") {
                let path = PropertyPath::property(name);
                found.push(crate::request::Diagnostic {
                    path,
                    message: NO_CLIENT.to_owned(),
                });
            }
        }
        found
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let Some(prior) = request.prior else {
            return Ok(Plan::create());
        };
        let mut compared = Comparison::new(&request);
        if let Some(kept) = from_private::<Kept>(prior.private) {
            let told = Told::of(request.properties)?;
            let on_value = if told.update_replace {
                OnChange::Replace
            } else {
                OnChange::InPlace
            };
            compared.property("value", on_value, || Ok(told.value != kept.value))?;
            compared.property("update_replace_value", OnChange::Replace, || {
                Ok(told.update_replace_value != kept.update_replace_value)
            })?;
            compared.property("fail", OnChange::InPlace, || Ok(told.fail != kept.fail))?;
            compared.property("action_wait_secs", OnChange::InPlace, || {
                Ok(told
                    .delete_wait_seconds
                    .total_cmp(&kept.delete_wait_seconds)
                    .is_ne())
            })?;
        }
        Ok(compared.into_plan())
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        match request {
            ApplyRequest::Create { properties, .. } => create(ctx, &Told::of(properties)?).await,
            ApplyRequest::Update {
                prior, properties, ..
            } => update(ctx, prior, &Told::of(properties)?).await,
            ApplyRequest::Delete { prior, .. } => {
                let kept = from_private::<Kept>(prior.private).unwrap_or_default();
                wait_seconds(ctx, kept.delete_wait_seconds).await?;
                Ok(Applied::Deleted)
            }
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
