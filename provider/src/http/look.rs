//! Finding an object after a create that was lost: by its tag, at its place, or by the create itself, sent again
//! to a server that knows the key.
//!
//! Never says that nothing is there unless the server does: what cannot be found out is for a person to say.

use serde_json::Value;

use super::exchange::Answer;
use super::told::{Action, Told};
use super::{HttpProvider, without_effect};
use crate::call::CallContext;
use crate::failure::Failure;
use crate::request::{ActionKind, Found, Made};

/// What a server that honours keys answers again if it refused the first request too.
const REFUSED: [u16; 4] = [400, 404, 410, 422];

/// What became of a lost create.
pub(super) enum Lost {
    /// Nothing.
    Absent,
    /// An object with this id.
    Known(String),
    /// What the create was answered with, now that it was sent again.
    Made(Box<Found>),
}

impl HttpProvider {
    /// Finds what a lost call has made. `lost` is what it was to do, if that is known.
    pub(super) async fn find(
        &self,
        ctx: &CallContext,
        told: &Told,
        lost: Option<ActionKind>,
    ) -> Result<Lost, Failure> {
        let Some(create) = &told.create else {
            return Ok(Lost::Known(told.place()));
        };
        let at_its_place = told.read.as_ref().filter(|read| !read.needs_id());
        if let Some(action) = told.find.as_ref().or(at_its_place) {
            return self.find_by(ctx, told, action).await;
        }
        if told.idempotency_header.is_some() && lost == Some(ActionKind::Create) {
            return self.create_again(ctx, told, create).await;
        }
        Err(Failure::cannot_tell(
            "without `find` or `idempotency_header` a lost create is not found",
        ))
    }

    async fn find_by(
        &self,
        ctx: &CallContext,
        told: &Told,
        action: &Action,
    ) -> Result<Lost, Failure> {
        let sent = self.send(ctx, told, action, None).await;
        let answer = sent.map_err(without_effect)?;
        if answer.says_absent() && !action.expects(answer.status) {
            return Ok(Lost::Absent);
        }
        if !action.expects(answer.status) {
            return Err(without_effect(answer.failure("find")));
        }
        let object = answer.parsed("find")?;
        let items = if told.find.is_some() {
            object.pointer(&told.find_items)
        } else {
            Some(&object)
        };
        let one = match items {
            None | Some(Value::Null) if told.find.is_some() => return Ok(Lost::Absent),
            Some(Value::Array(items)) if told.find.is_some() => match items.as_slice() {
                [] => return Ok(Lost::Absent),
                [one] => Some(one),
                // Perhaps the server has not heeded the tag: none of them may be taken for ours, or deleted.
                many => {
                    let message = format!("`find` gave {} objects, not one at most", many.len());
                    return Err(Failure::cannot_tell(message));
                }
            },
            one => one,
        };
        let id = one.and_then(|one| told.id_in(one));
        match id.or_else(|| (!told.needs_id()).then(|| told.place())) {
            Some(id) => Ok(Lost::Known(id)),
            None => Err(Failure::cannot_tell(format!(
                "`find` gave an object without an id at {}",
                told.id
            ))),
        }
    }

    /// The key makes sure that both requests together have one effect, and its answer tells of it.
    async fn create_again(
        &self,
        ctx: &CallContext,
        told: &Told,
        create: &Action,
    ) -> Result<Lost, Failure> {
        let answer = self.send(ctx, told, create, None).await?;
        if !create.expects(answer.status) {
            return if REFUSED.contains(&answer.status) {
                Ok(Lost::Absent)
            } else {
                Err(answer.failure("create"))
            };
        }
        let made = self.made_by(told.clone(), &answer)?;
        Ok(Lost::Made(Box::new(Found {
            made,
            as_aimed: true,
            differences: Vec::new(),
        })))
    }

    /// What a create was answered with.
    pub(super) fn made_by(&self, told: Told, answer: &Answer) -> Result<Made, Failure> {
        let id = told.id_in(&answer.json());
        let Some(id) = id.or_else(|| (!told.needs_id()).then(|| told.place())) else {
            let message = format!("create was answered without an id at {}", told.id);
            return Err(Failure::no_verdict(
                crate::failure::FailureClass::Permanent,
                message,
            ));
        };
        let told = told.having_seen(answer);
        Ok(told.made(id, Some(answer), None))
    }
}
