//! Observe: differences that background observation found. One whose instance has, or has had, an
//! assignment since the reading began is dropped.

use crate::command::ObserveItem;
use crate::outcome::Outcome;
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn observe(&mut self, items: &[ObserveItem]) -> Outcome {
        let mut taken = Vec::with_capacity(items.len());
        for item in items {
            let fresh = self
                .state
                .instances
                .get(&item.instance)
                .is_some_and(|instance| {
                    let row = &instance.row;
                    row.last_change == item.last_change
                        && row.assignment.is_none()
                        && row.is_present()
                });
            taken.push(fresh && self.drifted(item.instance, &item.seen));
            self.drain();
        }
        Outcome::Observed(taken)
    }
}
