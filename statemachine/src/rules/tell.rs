//! Telling dependents that something they require is settled, a bounded number an entry. What is left
//! waits in the stack's row; until it is through, nothing of the stack starts. Knows nothing of why a
//! resource is settled.
//!
//! Depth first: what a told dependent leads to comes before the next dependent. So few resources are
//! ever half-way through, however large the cone.

use crate::id::ResourceId;
use crate::rules::unsettle::ALL;
use crate::turn::Turn;

impl Turn<'_> {
    /// A resource is settled: its dependents are to know.
    pub(crate) fn begin_telling(&mut self, id: ResourceId) {
        if self.loading {
            let through = self.state.told.get(&id).copied().unwrap_or(ALL);
            let dependents = self.state.dependents_of(id);
            let told: Vec<ResourceId> = dependents.take_while(|id| *id <= through).collect();
            told.into_iter()
                .for_each(|dependent| self.tell_one(dependent));
        } else if self.state.dependents_of(id).next().is_some() {
            self.state.told.insert(id, ResourceId(0));
            self.telling.push(id);
        }
    }

    fn tell_one(&mut self, dependent: ResourceId) {
        let resource = self.state.resource_mut(dependent);
        resource.unsettled -= 1;
        if resource.unsettled == 0 {
            self.enqueue(dependent);
        }
    }

    /// Tells the next dependent. False: nobody is left to be told in this entry.
    pub(crate) fn tell_next(&mut self) -> bool {
        let Some(id) = self.telling.last().copied() else {
            return false;
        };
        let Some(through) = self.state.told.get(&id).copied() else {
            // It is not settled any more, or was told about in another turn of the list.
            self.telling.pop();
            return true;
        };
        if self.tells_left == 0 {
            return false;
        }
        let from = (id, ResourceId(through.0 + 1));
        let mut rest = self.state.dependents.range(from..=(id, ALL));
        let next = rest.next().map(|(_, dependent)| *dependent);
        let last = rest.next().is_none();
        match next {
            Some(dependent) if !last => {
                self.state.told.insert(id, dependent);
            }
            _ => {
                // Off the list before what follows is put on it: a long chain makes no long list.
                self.state.told.remove(&id);
                self.telling.pop();
            }
        }
        if let Some(dependent) = next {
            self.tells_left -= 1;
            self.tell_one(dependent);
        }
        true
    }

    /// A resource is settled no more. Through whom it had told that it was.
    pub(crate) fn untell(&mut self, id: ResourceId) -> ResourceId {
        match self.state.told.remove(&id) {
            Some(through) => {
                self.respread.insert(self.state.resource(id).row.stack);
                through
            }
            None => ALL,
        }
    }
}
