//! The one interface to the outside world.

use async_trait::async_trait;

use crate::call::CallContext;
use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::request::{
    Applied, ApplyRequest, Diagnostic, ImportRequest, LookUpRequest, Made, Observed, Plan,
    PlanRequest, Prior, ReadRequest, Values,
};
use crate::schema::TypeSchema;

/// The adapter to one kind of outside world.
///
/// What an implementation may rely on, and must hold to:
/// * Calls for one instance never overlap, as long as its engine keeps its lease; calls for different
///   instances do.
/// * A call may be dropped at any await point (lease over, shutdown). That is no verdict, so it must leave
///   things such that a later `look` finds out. Nothing that it started may go on for long after that.
/// * `plan` and `validate` have no effect outside. `read` and `look_up` change nothing that a user would notice. A
///   `look` may carry out the lost create once more where the outside world makes one effect of both.
/// * What can not be found out is no absence: a look that will never tell fails with [`Failure::cannot_tell`], and a
///   person decides.
/// * Values of secret properties appear in no message and no difference.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The types it has. The same for as long as it lives.
    fn schemas(&self) -> &[TypeSchema];

    /// Everything that is wrong with these properties. Values at `unknown` paths are not known yet and are
    /// taken to be right.
    async fn validate(
        &self,
        type_name: &str,
        properties: &Values,
        unknown: &[PropertyPath],
    ) -> Vec<Diagnostic> {
        match self
            .schemas()
            .iter()
            .find(|schema| schema.name == type_name)
        {
            Some(schema) => schema.check(properties, unknown),
            None => Vec::new(),
        }
    }

    /// What `apply` would do, without doing it; for previews.
    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure>;

    /// Carries out an action. Whatever can not be told by [`Applied`] is a [`Failure`], whose verdict says
    /// what is known afterwards.
    async fn apply(&self, ctx: &CallContext, request: ApplyRequest<'_>)
    -> Result<Applied, Failure>;

    /// What is there, of an instance whose physical id is known.
    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure>;

    /// The physical id of what carries the mark or the idempotency key of this instance, if anything does.
    async fn look_up(
        &self,
        ctx: &CallContext,
        request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure>;

    /// The look that ends an `Unknown`: finds the physical id if it must, and reads.
    async fn look(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        if request.prior.physical_id.is_some() {
            return self.read(ctx, request).await;
        }
        let properties = request.aim.and_then(|aim| aim.properties);
        let sought = LookUpRequest {
            type_name: request.type_name,
            properties,
        };
        match self.look_up(ctx, sought).await? {
            None => Ok(Observed::absent()),
            Some(found) => {
                let prior = Prior {
                    physical_id: Some(&found),
                    ..request.prior
                };
                self.read(ctx, ReadRequest { prior, ..request }).await
            }
        }
    }

    /// Takes over an object that exists already.
    async fn import(
        &self,
        _ctx: &CallContext,
        request: ImportRequest<'_>,
    ) -> Result<Made, Failure> {
        Err(Failure::refused(format!(
            "{} cannot be imported",
            request.type_name
        )))
    }
}
