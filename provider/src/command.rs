//! `Anneal::Command`: whatever scripts make, look at, change and delete.

mod act;
mod schema;
mod told;

use async_trait::async_trait;
use serde_json::Value;

use self::act::physical_id_of;
use self::schema::{on_change, schema};
use self::told::Told;
use crate::call::CallContext;
use crate::companion::Companion;
use crate::compare::Comparison;
use crate::failure::Failure;
use crate::instance_record::InstanceRecords;
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::given;
use crate::request::{
    ActionKind, Applied, ApplyRequest, Diagnostic, Found, ImportRequest, LookUpRequest, Made,
    Observed, Plan, PlanRequest, Prior, ReadRequest, Values,
};
use crate::schema::{OnChange, TypeSchema};

/// What its creation was told: the commands that read and delete it.
const RECORDS: InstanceRecords = InstanceRecords { kind: "commands" };

/// The provider of `Anneal::Command`.
pub struct CommandProvider {
    schemas: Vec<TypeSchema>,
    companion: Companion,
}

impl CommandProvider {
    /// One that runs its commands under guards started from `companion`.
    pub fn new(companion: Companion) -> Self {
        Self {
            schemas: vec![schema()],
            companion,
        }
    }
}

#[async_trait]
impl Provider for CommandProvider {
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
        for name in ["create", "update", "read", "delete"] {
            let path = PropertyPath::property(name);
            let empty = given(properties, name)
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty);
            if empty && !unknown.contains(&path) {
                found.push(Diagnostic {
                    path,
                    message: "at least the program's name is needed".to_owned(),
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
        if let Some(was) = Told::known(prior).and_then(|was| was.made_of) {
            let has_update = given(request.properties, "update").is_some();
            let effect = |name: &str| on_change(name, has_update).unwrap_or(OnChange::InPlace);
            compared.recorded(&was, &self.schemas[0], request.properties, effect);
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
                self.create(ctx, &Told::of(properties)?).await
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => self.update(ctx, prior, &Told::of(properties)?).await,
            ApplyRequest::Delete { prior, .. } => self.delete(ctx, prior).await,
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        let prior = request.prior;
        let aimed = request
            .aim
            .and_then(|aim| aim.properties)
            .map(Told::of)
            .transpose()?;
        let told = aimed.or_else(|| Told::known_here(ctx, prior));
        let lost_create = request
            .aim
            .is_some_and(|aim| aim.action == ActionKind::Create);
        let Some(told) = told else {
            if !lost_create || prior.physical_id.is_some() {
                return Err(not_known());
            }
            return never_begun(ctx).map(|()| Observed::absent());
        };
        let Some(printed) = self.look_at(ctx, &told, prior).await? else {
            return Ok(Observed::absent());
        };
        // A lost create cannot be told from a finished one; only an update makes sure, if there is one.
        let as_aimed = match request.aim.map(|aim| aim.action) {
            None => true,
            Some(ActionKind::Create) => told.update.is_none(),
            Some(ActionKind::Update | ActionKind::Delete) => false,
        };
        let mut attributes = prior.attributes.cloned().unwrap_or_default();
        let physical_id = prior
            .physical_id
            .map(str::to_owned)
            .or_else(|| physical_id_of(&printed));
        attributes.extend(printed);
        let told = if as_aimed {
            told
        } else {
            Told {
                made_of: None,
                ..told
            }
        };
        let made = told.made(
            physical_id.unwrap_or_else(|| ctx.idempotency_key.clone()),
            attributes,
        );
        Ok(Observed::Present(Box::new(Found {
            made,
            as_aimed,
            differences: Vec::new(),
        })))
    }

    async fn look_up(
        &self,
        ctx: &CallContext,
        request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        let told = match request.properties {
            Some(properties) => Some(Told::of(properties)?),
            None => RECORDS.recall(ctx),
        };
        let Some(told) = told else {
            return never_begun(ctx).map(|()| None);
        };
        let found = self.look_at(ctx, &told, Prior::default()).await?;
        Ok(found
            .map(|printed| physical_id_of(&printed).unwrap_or_else(|| ctx.idempotency_key.clone())))
    }

    /// The look is one run of `read`, which is told no physical id if none is known.
    async fn look(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        self.read(ctx, request).await
    }

    async fn import(&self, ctx: &CallContext, request: ImportRequest<'_>) -> Result<Made, Failure> {
        let told = Told::of(request.properties)?;
        let prior = Prior {
            physical_id: Some(request.physical_id),
            ..Prior::default()
        };
        match self.look_at(ctx, &told, prior).await? {
            Some(attributes) => Ok(told.made(request.physical_id.to_owned(), attributes)),
            None => Err(Failure::refused(format!(
                "`read` says that {} is not there",
                request.physical_id
            ))),
        }
    }
}

/// Of what this host has no record: a create writes that before its command runs.
fn never_begun(ctx: &CallContext) -> Result<(), Failure> {
    if ctx.host_bound {
        Ok(())
    } else {
        Err(not_known())
    }
}

fn not_known() -> Failure {
    Failure::cannot_tell("the command that reads it is not known")
}
