//! Making, changing and deleting an object.

use super::exchange::{Answer, exchange};
use super::told::{Action, Names, Told};
use super::{HttpProvider, without_effect, wrong_fields};
use crate::call::CallContext;
use crate::failure::{Failure, FailureClass};
use crate::path::PropertyPath;
use crate::request::{Applied, Prior};
use crate::schema::OnChange;

/// What a change of a property does.
fn on_change(name: &str, told: &Told) -> Option<OnChange> {
    match name {
        "url" => Some(OnChange::Replace),
        "create" | "body" if told.create.is_none() => None,
        "create" | "body" if told.update.is_none() => Some(OnChange::Replace),
        "create" | "body" | "update" => Some(OnChange::InPlace),
        _ => None,
    }
}

impl HttpProvider {
    pub(super) async fn send(
        &self,
        ctx: &CallContext,
        told: &Told,
        action: &Action,
        id: Option<&str>,
    ) -> Result<Answer, Failure> {
        if action.needs_id() {
            // What is left of a path without its id is the collection; with one of these, what holds that.
            let id = id.filter(|id| !["", ".", ".."].contains(id));
            id.ok_or_else(|| Failure::refused("the id of the object is not known"))?;
        }
        let names = Names { ctx, id };
        let is_change = matches!(action.method.as_str(), "POST" | "PUT" | "PATCH");
        let body = action
            .body
            .as_ref()
            .or(told.body.as_ref().filter(|_| is_change));
        exchange(&self.client, told, action, &names, body).await
    }

    pub(super) async fn create(&self, ctx: &CallContext, told: Told) -> Result<Applied, Failure> {
        let Some(action) = &told.create else {
            let action = told
                .read
                .as_ref()
                .expect("without a create there is a read");
            let answer = self
                .send(ctx, &told, action, None)
                .await
                .map_err(without_effect)?;
            if !action.expects(answer.status) {
                return Err(without_effect(Failure {
                    class: FailureClass::Transient,
                    ..answer.failure("read")
                }));
            }
            return Ok(Applied::Done(told.made(told.place(), Some(&answer), None)));
        };
        let answer = self.send(ctx, &told, action, None).await?;
        if !action.expects(answer.status) {
            return Err(answer.failure("create"));
        }
        let made = self.made_by(told, &answer)?;
        ctx.report_physical_id(&made.physical_id);
        Ok(Applied::Done(made))
    }

    pub(super) async fn update(
        &self,
        ctx: &CallContext,
        prior: Prior<'_>,
        told: Told,
    ) -> Result<Applied, Failure> {
        let was = Told::known(prior);
        let changed = match was
            .as_ref()
            .and_then(|was| was.made_of.as_ref())
            .zip(told.made_of.as_ref())
        {
            Some((was, now)) => was.changed_to(&self.schemas[0], now),
            None => Vec::new(),
        };
        let effect = |path: &PropertyPath| on_change(path.top().unwrap_or_default(), &told);
        let because: Vec<PropertyPath> = changed
            .iter()
            .filter(|path| effect(path) == Some(OnChange::Replace))
            .cloned()
            .collect();
        if !because.is_empty() {
            return Ok(Applied::NeedsReplace { because });
        }
        let id = told.id_or_place(prior.physical_id);
        let quiet = !changed.is_empty() && changed.iter().all(|path| effect(path).is_none());
        if let Some(action) = told
            .update
            .as_ref()
            .filter(|_| told.create.is_some() && !quiet)
        {
            let answer = self.send(ctx, &told, action, Some(&id)).await?;
            return match () {
                () if answer.says_absent() => Ok(Applied::Gone),
                () if !action.expects(answer.status) => Err(answer.failure("update")),
                () => {
                    let told = told.having_seen(&answer);
                    Ok(Applied::Done(told.made(
                        id,
                        Some(&answer),
                        prior.attributes,
                    )))
                }
            };
        }
        // Nothing is to be changed there, but there may be other attributes to take from it.
        let told = Told {
            seen_fields: was.map(|was| was.seen_fields).unwrap_or_default(),
            ..told
        };
        let Some(action) = &told.read else {
            return Ok(Applied::Done(told.made(id, None, prior.attributes)));
        };
        let answer = self
            .send(ctx, &told, action, Some(&id))
            .await
            .map_err(without_effect)?;
        match () {
            () if answer.says_absent() => Ok(Applied::Gone),
            () if !action.expects(answer.status) => Err(without_effect(answer.failure("read"))),
            () if told.create.is_some() && !wrong_fields(&told, &answer).is_empty() => {
                // It has drifted, and there is no way to change it.
                let because = wrong_fields(&told, &answer)
                    .into_iter()
                    .map(|one| one.path)
                    .collect();
                Ok(Applied::NeedsReplace { because })
            }
            () => Ok(Applied::Done(told.made(
                id,
                Some(&answer),
                prior.attributes,
            ))),
        }
    }

    pub(super) async fn delete(
        &self,
        ctx: &CallContext,
        prior: Prior<'_>,
    ) -> Result<Applied, Failure> {
        let told =
            Told::known(prior).ok_or_else(|| Failure::refused("how to delete it is not known"))?;
        let Some(action) = told.delete.as_ref().filter(|_| told.create.is_some()) else {
            return Ok(Applied::Deleted);
        };
        let answer = self.send(ctx, &told, action, prior.physical_id).await?;
        match () {
            () if action.expects(answer.status) => Ok(Applied::Deleted),
            () if answer.says_absent() => Ok(Applied::Gone),
            () => Err(answer.failure("delete")),
        }
    }
}
