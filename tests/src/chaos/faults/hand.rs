//! Faults that are done by hand behind the cluster's back.

use super::{super::run::Run, Failure, Kind, Seen};

/// Objects that are touched at a time, at most.
const MOST_OBJECTS: u32 = 4;

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // Objects are removed and changed.
        Kind::new("hand", &[], |run, _| Box::pin(run.by_hand())),
    ]
}

impl Run {
    async fn by_hand(&mut self) -> Result<Seen, Failure> {
        let inventory = self.cloud.inventory().await?;
        let mut done = 0;
        for _ in 0..MOST_OBJECTS {
            let Some(object) = self.chance.one(&inventory) else {
                break;
            };
            let (id, remove) = (object.id.clone(), self.chance.per_mille(500));
            let value = self.chance.between(0, 1_000_000);
            let happened = if remove {
                self.cloud.remove(&id).await?
            } else {
                self.cloud.change(&id, value).await?
            };
            done += u32::from(happened);
        }
        if done == 0 {
            return Err("there was nothing to change by hand".into());
        }
        Ok(format!("{done} objects removed or changed"))
    }
}
