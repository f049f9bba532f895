//! Names: what happens when two want the same physical id.

use crate::command::ErrorClass;
use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId, Subject, Text};
use crate::row::Role;
use crate::rules::failure::Count;
use crate::turn::Turn;

impl Turn<'_> {
    /// A making found its name held. `holder` is the instance that holds it, if one is known.
    pub(crate) fn conflict(&mut self, id: ResourceId, holder: Option<InstanceId>, message: Text) {
        let Some(holder) = holder else {
            self.count_failure(
                Subject::Resource(id),
                Count::new(ErrorClass::Conflict, message),
            );
            return;
        };
        let instance = &self.state.instance(holder).row;
        match instance.role {
            // A successor that conflicts with its own predecessor: that one goes first.
            Role::Deposed { since, .. } if instance.resource == id => {
                let role = Role::Deposed {
                    since,
                    before_successor: true,
                };
                self.set_role(holder, role);
                self.tell_resource(
                    id,
                    EventKind::Replacing,
                    "its name is taken: the old one goes first",
                );
            }
            _ if !self.state.wanted(holder) => self.wait_for_holder(id, holder, message),
            _ => {
                let mut count = Count::new(ErrorClass::Conflict, message);
                count.holder = Some(holder);
                self.count_failure(Subject::Resource(id), count);
            }
        }
    }

    /// The holder of a name that a making waits for has let go of it, or changed its mind.
    pub(crate) fn holder_gone(&mut self, id: ResourceId) {
        let holder = self
            .state
            .resource(id)
            .trouble
            .as_ref()
            .and_then(|trouble| trouble.holder);
        if let Some(holder) = holder
            && !self.state.instances.contains_key(&holder)
        {
            self.clear_trouble(Subject::Resource(id));
        }
    }
}
