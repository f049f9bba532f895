//! `OS::Heat::None`: takes anything, does nothing. A million of them are made in a benchmark, so no call
//! copies a property.

use async_trait::async_trait;

use super::{as_reported, no_outside};
use crate::call::CallContext;
use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::request::{
    Applied, ApplyRequest, Diagnostic, ImportRequest, LookUpRequest, Made, Observed, Plan,
    PlanRequest, PlannedAction, ReadRequest, Values,
};
use crate::schema::TypeSchema;

/// The provider of `OS::Heat::None`.
pub struct NoneProvider {
    schemas: Vec<TypeSchema>,
}

impl Default for NoneProvider {
    fn default() -> Self {
        let mut schema = TypeSchema::new(
            "OS::Heat::None",
            "A placeholder: accepts any property, has any attribute (null), and does nothing.",
        );
        schema.any_property = true;
        schema.any_attribute = true;
        schema.capabilities = no_outside();
        Self {
            schemas: vec![schema],
        }
    }
}

fn made(ctx: &CallContext) -> Made {
    Made {
        physical_id: ctx.instance_id.clone(),
        ..Made::default()
    }
}

#[async_trait]
impl Provider for NoneProvider {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn validate(
        &self,
        _type_name: &str,
        _properties: &Values,
        _unknown: &[PropertyPath],
    ) -> Vec<Diagnostic> {
        Vec::new()
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        // Its properties mean nothing, so no change of them is one.
        let action = if request.prior.is_some() {
            PlannedAction::Nothing
        } else {
            PlannedAction::Create
        };
        Ok(Plan {
            action,
            attributes: Values::new(),
        })
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        Ok(match request {
            ApplyRequest::Create { .. } => Applied::Done(made(ctx)),
            ApplyRequest::Update { prior, .. } => Applied::Done(Made {
                physical_id: prior.physical_id.unwrap_or(&ctx.instance_id).to_owned(),
                ..Made::default()
            }),
            ApplyRequest::Delete { .. } => Applied::Deleted,
        })
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

    async fn import(
        &self,
        _ctx: &CallContext,
        request: ImportRequest<'_>,
    ) -> Result<Made, Failure> {
        Ok(Made {
            physical_id: request.physical_id.to_owned(),
            ..Made::default()
        })
    }
}
