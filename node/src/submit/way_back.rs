//! The automatic answer to a failure under `on_failure: rollback`: the way back to the last settled revision, proposed
//! as a change that names the failed one. The state machine takes it once, and only if it is still due.

use anneal_statemachine::{
    id::{RequestId, StackId},
    outcome::Rejection,
};
use async_trait::async_trait;

use super::{
    propose::Changing,
    reading::Stored as _,
    refusal::Refused,
    submitter::{Asked, Submitter},
};
use crate::{dispatch::WayBack, replica::Leadership};

#[async_trait]
impl WayBack for Submitter {
    async fn roll_back(&self, _: &Leadership, stack: StackId) -> Result<(), String> {
        let names = self.replica.read(|state| {
            let row = state.stack(stack)?.row;
            Some((row.namespace.to_string(), row.name.to_string()))
        });
        let Some((namespace, name)) = names else {
            return Ok(());
        };
        let Some(now) = self.replica.stack(&namespace, &name) else {
            return Ok(());
        };
        // A newer change of somebody else's; what it replaced is known only once it is taken in. The stack stays due until then.
        if now.in_motion {
            return Ok(());
        }
        let (failed, to) = (now.revision, now.settled_revision);
        let asked = Asked {
            request: RequestId(*uuid::Uuid::now_v7().as_bytes()),
            namespace,
            name,
            base: None,
        };
        let changing = Changing::Rollback {
            base: failed,
            to,
            failed: Some(failed),
        };
        match self.go_back(&asked, now, to, changing).await {
            // Somebody changed the stack first, and that is the answer now.
            Err(Refused::Rejected(Rejection::BaseMoved { .. } | Rejection::RollbackNotDue(_))) => {
                Ok(())
            }
            Err(refused) => Err(refused.to_string()),
            Ok(_) => Ok(()),
        }
    }
}
