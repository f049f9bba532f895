//! What the dispatcher may read without scanning: each piece of work in its stack's lists, and each
//! resource in its stack's counts. Knows nothing of who reads them.

use crate::digest::Digest;
use crate::id::{InstanceId, ResourceId, StackId, Text};
use crate::outcome::WaitReason;
use crate::row::Action;
use crate::rules::Standing;
use crate::rules::look::look_standing;
use crate::rules::make::make_standing;
use crate::rules::placement::{instance_host, required_host};
use crate::rules::unmake::delete_standing;
use crate::state::resource::Job;
use crate::state::{Slot, State};
use crate::turn::Turn;
use crate::view::{Phase, Work};

impl Turn<'_> {
    /// Lists what can be done for the resource and its instances.
    pub(crate) fn place_work(&mut self, id: ResourceId) {
        let instances: Vec<_> = self.state.instances_of(id).collect();
        for instance in instances {
            let unwanted = !self.state.wanted(instance);
            self.count_unwanted(instance, unwanted);
            self.place_instance(instance);
        }
        let standing = make_standing(self.state, id, |_| false);
        let slot = self.slot_of_make(id, &standing);
        let resource = self.state.resource_mut(id);
        let before = std::mem::replace(&mut resource.slot, slot);
        let stack = resource.row.stack;
        self.move_slot(stack, before, slot, |_| Work::Make(id));
    }

    fn place_instance(&mut self, id: InstanceId) {
        let look = look_standing(self.state, id);
        let standing = match look {
            Standing::Nothing => delete_standing(self.state, id, |_| false),
            other => other,
        };
        let slot = self.slot_of_instance(id, &standing);
        self.set_instance_slot(id, slot);
    }

    pub(crate) fn clear_slot_of_instance(&mut self, id: InstanceId) {
        self.set_instance_slot(id, Slot::None);
    }

    fn set_instance_slot(&mut self, id: InstanceId, slot: Slot) {
        let instance = self.state.instance_mut(id);
        let before = std::mem::replace(&mut instance.slot, slot);
        if before == slot {
            return;
        }
        let (owner, requires) = (instance.row.resource, instance.row.requires.clone());
        let stack = self.state.resource(owner).row.stack;
        self.move_slot(stack, before, slot, |job| match job {
            Job::Look => Work::Look(id),
            _ => Work::Delete(id),
        });
        if (before == Slot::None) == (slot == Slot::None) {
            return;
        }
        for required in requires {
            if let Some(instance) = self.state.instances.get(&required)
                && instance.row.may_make_way()
            {
                let owner = instance.row.resource;
                self.enqueue(owner);
            }
        }
    }

    fn slot_of_make(&mut self, id: ResourceId, standing: &Standing) -> Slot {
        let resource = self.state.resource(id);
        let Some(definition) = resource.definition().filter(|_| starts(standing)) else {
            return Slot::None;
        };
        let stack = resource.row.stack;
        let host = required_host(self.state, id).ok().flatten();
        let lane = self.lane(stack, definition, host.as_ref());
        slot(standing, Job::Make, lane)
    }

    fn slot_of_instance(&mut self, id: InstanceId, standing: &Standing) -> Slot {
        if !starts(standing) {
            return Slot::None;
        }
        let row = &self.state.instance(id).row;
        let stack = self.state.resource(row.resource).row.stack;
        let definition = row.definition;
        let host = instance_host(self.state, id);
        let lane = self.lane(stack, definition, host.as_ref());
        let job = match standing {
            Standing::Now(Action::Look) | Standing::Later(Action::Look, ..) => Job::Look,
            _ => Job::Delete,
        };
        slot(standing, job, lane)
    }

    fn lane(&mut self, stack: StackId, definition: Digest, host: Option<&Text>) -> u32 {
        let known = self.state.catalogue.definition(definition);
        let type_name = known.type_name.clone();
        self.state.stack_mut(stack).lane(&type_name, host)
    }

    fn move_slot(&mut self, stack: StackId, before: Slot, after: Slot, work: impl Fn(Job) -> Work) {
        if before == after {
            return;
        }
        let lists = self.state.stack_mut(stack);
        match before {
            Slot::None => {}
            Slot::Ready(job, lane) => {
                lists.ready.remove(&work(job));
                lists.lanes[lane as usize].count -= 1;
            }
            Slot::Later(job, from_ms, lane) => {
                lists.later.remove(&(from_ms, work(job)));
                lists.lanes[lane as usize].count -= 1;
            }
        }
        match after {
            Slot::None => {}
            Slot::Ready(job, lane) => {
                lists.ready.insert(work(job), lane);
                lists.lanes[lane as usize].count += 1;
            }
            Slot::Later(job, from_ms, lane) => {
                lists.later.insert((from_ms, work(job)));
                lists.lanes[lane as usize].count += 1;
            }
        }
        match lists.ready.is_empty() && lists.later.is_empty() {
            true => self.state.active.remove(&stack),
            false => self.state.active.insert(stack),
        };
        self.stack_moved(stack);
    }

    /// Keeps the stack's counts per phase.
    pub(crate) fn count_phase(&mut self, id: ResourceId) {
        let phase = phase_of(self.state, id);
        let resource = self.state.resource_mut(id);
        let before = std::mem::replace(&mut resource.phase, phase);
        if before == phase {
            return;
        }
        let stack = resource.row.stack;
        let counts = &mut self.state.stack_mut(stack).counts;
        if let Some(before) = before {
            *counts.of_mut(before) -= 1;
        }
        if let Some(phase) = phase {
            *counts.of_mut(phase) += 1;
        }
        self.stack_moved(stack);
    }
}

/// It may start, now or later.
fn starts(standing: &Standing) -> bool {
    matches!(standing, Standing::Now(_) | Standing::Later(..))
}

fn slot(standing: &Standing, job: Job, lane: u32) -> Slot {
    match standing {
        Standing::Now(_) => Slot::Ready(job, lane),
        Standing::Later(_, from_ms, _) => Slot::Later(job, *from_ms, lane),
        Standing::Waits(_) | Standing::Nothing => Slot::None,
    }
}

/// It has failed for good, and what its attempt left behind is still to be deleted, which mends nothing.
pub(crate) fn failed_leaving(state: &State, id: ResourceId) -> bool {
    let resource = state.resource(id);
    let failed = resource
        .trouble
        .as_ref()
        .is_some_and(|trouble| trouble.failed);
    let left = resource.current.filter(|current| {
        let row = &state.instance(*current).row;
        !row.is_unknown() && row.flight().is_none() && !state.wanted(*current)
    });
    failed && left.is_some()
}

/// The phase that the resource is counted in.
pub(crate) fn phase_of(state: &State, id: ResourceId) -> Option<Phase> {
    let resource = state.resource(id);
    let current = resource.current.map(|current| state.instance(current));
    if resource.definition().is_none() {
        let something = current.is_some() || resource.has_deposed();
        return something.then_some(Phase::Unwanted);
    }
    if resource.settled {
        return Some(Phase::Settled);
    }
    let ready = |slot: Slot| matches!(slot, Slot::Ready(..));
    if let Some(current) = current {
        if current.row.flight().is_some() {
            return Some(Phase::InFlight);
        }
        if failed_leaving(state, id) {
            return Some(Phase::Failed);
        }
        if ready(current.slot) || ready(resource.slot) {
            return Some(Phase::Ready);
        }
        if current.row.is_unknown() && (current.row.on_hold || !current.row.traits.can_look) {
            return Some(Phase::OnHold);
        }
        if current
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.failed)
        {
            return Some(Phase::Failed);
        }
    }
    if ready(resource.slot) {
        return Some(Phase::Ready);
    }
    let failed = matches!(
        make_standing(state, id, |_| false),
        Standing::Waits(WaitReason::Failed { .. } | WaitReason::HostsDiffer(..))
    );
    Some(if failed {
        Phase::Failed
    } else {
        Phase::Waiting
    })
}
