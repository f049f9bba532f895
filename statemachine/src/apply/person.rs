//! What a person decides about one resource: try again, or say what is there.

use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId, StackId, Subject, Text};
use crate::outcome::{Outcome, Rejection};
use crate::row::{Observed, Stop};
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn retry(&mut self, stack: StackId, name: &Text) -> Outcome {
        let id = match self.find_resource(stack, name) {
            Ok(id) => id,
            Err(rejection) => return Outcome::Rejected(rejection),
        };
        self.clear_trouble(Subject::Resource(id));
        let instances: Vec<_> = self.state.instances_of(id).collect();
        for instance in instances {
            self.clear_trouble(Subject::Instance(instance));
            let row = &self.state.instance(instance).row;
            if row.on_hold && row.traits.can_look && row.is_unknown() {
                // The provider could not look last time; perhaps it can now.
                self.note(instance, |row| row.on_hold = false);
            }
        }
        if matches!(
            self.state.stack(stack).row.stop,
            Some(Stop::Halted | Stop::TimedOut)
        ) {
            self.edit_stack(stack).stop = None;
            self.start_timeout(stack);
        }
        self.tell_resource(id, EventKind::Resolved, "it is tried again");
        Outcome::Taken
    }

    pub(crate) fn resolve(
        &mut self,
        stack: StackId,
        name: &Text,
        instance: Option<InstanceId>,
        physical_id: Option<Text>,
    ) -> Outcome {
        match self.check_resolve(stack, name, instance, physical_id.as_ref()) {
            Ok(id) => {
                self.resolved(id, physical_id);
                Outcome::Taken
            }
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }

    fn check_resolve(
        &self,
        stack: StackId,
        name: &Text,
        instance: Option<InstanceId>,
        physical_id: Option<&Text>,
    ) -> Result<InstanceId, Rejection> {
        let resource = self.find_resource(stack, name)?;
        let waits = |id: &InstanceId| {
            let row = &self.state.instance(*id).row;
            row.is_unknown()
                && (row.on_hold || !row.traits.can_look)
                && instance.is_none_or(|wanted| wanted == *id)
        };
        let found = self.state.instances_of(resource).find(waits);
        let id = found.ok_or_else(|| Rejection::NotOnHold { name: name.clone() })?;
        let holder = physical_id.and_then(|physical_id| self.other_holder(id, physical_id));
        if let Some((physical_id, holder)) = physical_id.zip(holder)
            && !self.state.instance(holder).row.traits.named
        {
            let physical_id = physical_id.clone();
            return Err(Rejection::PhysicalIdHeld { physical_id });
        }
        Ok(id)
    }

    fn resolved(&mut self, id: InstanceId, physical_id: Option<Text>) {
        let Some(physical_id) = physical_id else {
            self.tell_instance(id, EventKind::Resolved, "a person says: nothing is there");
            if self.state.instance(id).row.seen_present {
                self.forget(id);
            } else {
                self.becomes_absent(id);
            }
            return;
        };
        self.tell_instance(
            id,
            EventKind::Resolved,
            format!("a person says: it is there as {physical_id}"),
        );
        if let Some(holder) = self.other_holder(id, &physical_id) {
            let text = format!("a person says: instance {id} has its name");
            self.tell_instance(holder, EventKind::Gone, text);
            // Where ids are names, a person's word is newer than what was known of the holder. What
            // still runs on that will find nothing.
            match self.state.instance(holder).row.flight() {
                Some(_) => self.set_physical_id(holder, None),
                None => self.forget(holder),
            }
        }
        self.take_id(id, Some(physical_id));
        self.edit(id, |row| {
            row.observed = Observed::Present { healthy: true };
            row.seen_present = true;
            row.on_hold = false;
            row.fingerprint = None;
            row.effect = None;
            row.assignment = None;
        });
    }

    pub(crate) fn find_resource(
        &self,
        stack: StackId,
        name: &Text,
    ) -> Result<ResourceId, Rejection> {
        let Some(found) = self.state.stacks.get(&stack) else {
            let name = stack.to_string().into();
            return Err(Rejection::StackNotFound { name });
        };
        found
            .names
            .get(name)
            .copied()
            .ok_or_else(|| Rejection::ResourceNotFound { name: name.clone() })
    }
}
