//! Types of the simulation as a registry of providers declares them. Nobody calls these providers: the simulation's
//! world is what carries actions out.

use std::sync::Arc;
use std::time::Duration;

use anneal_provider::{
    Applied, ApplyRequest, CallContext, Failure, Limits, LookUpRequest, Observed, Plan,
    PlanRequest, Provider, ReadRequest, Registry, TypeSchema,
};
use async_trait::async_trait;

/// How long a call may take: short, so that a history's end is not spent waiting for what may land late.
const CALL_TIME: Duration = Duration::from_secs(2);

struct Declared(Vec<TypeSchema>);

#[async_trait]
impl Provider for Declared {
    fn schemas(&self) -> &[TypeSchema] {
        &self.0
    }

    async fn plan(&self, _: PlanRequest<'_>) -> Result<Plan, Failure> {
        unreachable!("the world of the simulation is asked")
    }

    async fn apply(&self, _: &CallContext, _: ApplyRequest<'_>) -> Result<Applied, Failure> {
        unreachable!("the world of the simulation is asked")
    }

    async fn read(&self, _: &CallContext, _: ReadRequest<'_>) -> Result<Observed, Failure> {
        unreachable!("the world of the simulation is asked")
    }

    async fn look_up(
        &self,
        _: &CallContext,
        _: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        unreachable!("the world of the simulation is asked")
    }
}

/// A type as far as the dispatcher cares.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name.
    pub name: String,
    /// It has no outside.
    pub derived: bool,
    /// What its world bears.
    pub limits: Limits,
}

/// A registry of these types.
pub fn registry(kinds: &[Kind]) -> Registry {
    let schema = |kind: &Kind| {
        let mut schema = TypeSchema::new(&kind.name, "");
        schema.capabilities.derived_id = kind.derived;
        schema.limits = kind.limits;
        schema.default_timeout = Some(CALL_TIME);
        schema
    };
    let mut registry = Registry::empty();
    registry
        .add(Arc::new(Declared(kinds.iter().map(schema).collect())))
        .expect("types have different names");
    registry
}
