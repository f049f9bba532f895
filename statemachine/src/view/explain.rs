//! Resources and instances as people see them, each with the reason why nothing happens to it now.

use crate::StateMachine;
use crate::command::{Drift, Policy};
use crate::digest::Digest;
use crate::id::{InstanceId, ResourceId, StackId, Subject, Text};
use crate::outcome::WaitReason;
use crate::row::{DesiredRow, InstanceRow};
use crate::rules::Standing;
use crate::rules::drift::drift_policy;
use crate::rules::look::look_standing;
use crate::rules::make::make_standing;
use crate::rules::placement::{instance_host, required_host};
use crate::rules::settle::desired_fingerprint;
use crate::rules::slots::failed_leaving;
use crate::rules::unmake::delete_standing;
use crate::state::State;
use crate::view::{Phase, Work};

/// A resource.
#[derive(Clone, Debug)]
pub struct ResourceView<'s> {
    /// Its id.
    pub id: ResourceId,
    /// Its stack.
    pub stack: StackId,
    /// Its name.
    pub name: &'s Text,
    /// What it should be; `None`: nothing, and it is in no template.
    pub desired: Option<&'s DesiredRow>,
    /// How it is to be treated; `None`: in the default way.
    pub policy: Option<&'s Policy>,
    /// Where it stands; `None`: nothing is desired and nothing is there, so it is not listed.
    pub phase: Option<Phase>,
    /// Its current instance.
    pub current: Option<InstanceView<'s>>,
    /// The type, of what is desired or else of what is there.
    pub type_name: Option<&'s Text>,
    /// How many things that it requires are not settled.
    pub unsettled: u32,
    /// Failed attempts at its present goal. The words are in its `Trouble` row.
    pub attempts: u32,
    /// The fingerprint that it should have, once all that it requires is settled.
    pub wanted_fingerprint: Option<Digest>,
}

/// An instance.
#[derive(Clone, Copy, Debug)]
pub struct InstanceView<'s> {
    /// Its id.
    pub id: InstanceId,
    /// Its row.
    pub row: &'s InstanceRow,
    /// It is wanted.
    pub wanted: bool,
}

impl StateMachine {
    /// One resource.
    pub fn resource(&self, id: ResourceId) -> Option<ResourceView<'_>> {
        let state = &self.state;
        let resource = state.resources.get(&id)?;
        let current = resource.current.and_then(|current| self.instance(current));
        let definition = resource
            .definition()
            .or(current.map(|current| current.row.definition));
        Some(ResourceView {
            id,
            stack: resource.row.stack,
            name: &resource.row.name,
            desired: resource.desired(),
            policy: resource.policy(),
            phase: resource.phase,
            current,
            type_name: definition
                .map(|definition| &state.catalogue.definition(definition).type_name),
            unsettled: resource.unsettled,
            attempts: resource
                .trouble
                .as_ref()
                .map_or(0, |trouble| trouble.attempts),
            wanted_fingerprint: desired_fingerprint(state, id).filter(|_| resource.unsettled == 0),
        })
    }

    /// The resource of this name.
    pub fn resource_named(&self, stack: StackId, name: &str) -> Option<ResourceId> {
        self.state.stacks.get(&stack)?.names.get(name).copied()
    }

    /// Resources of a stack by name, after this name (`None`: all).
    pub fn resources_after(
        &self,
        stack: StackId,
        after: Option<&Text>,
    ) -> impl Iterator<Item = ResourceId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |after| Excluded(after.clone()));
        let stack = self.state.stacks.get(&stack).into_iter();
        stack.flat_map(move |stack| {
            stack
                .names
                .range::<Text, _>((from.clone(), Unbounded))
                .map(|(_, id)| *id)
        })
    }

    /// One instance.
    pub fn instance(&self, id: InstanceId) -> Option<InstanceView<'_>> {
        let instance = self.state.instances.get(&id)?;
        Some(InstanceView {
            id,
            row: &instance.row,
            wanted: self.state.wanted(id),
        })
    }

    /// A resource's deposed instances, oldest first.
    pub fn deposed(&self, id: ResourceId) -> impl Iterator<Item = InstanceView<'_>> {
        let resource = self.state.resources.get(&id).into_iter();
        let ids = resource.flat_map(|resource| resource.deposed());
        ids.filter_map(|id| self.instance(id))
    }

    /// Instances of a stack in name order, for background observation.
    pub fn current_instances(&self, stack: StackId) -> impl Iterator<Item = InstanceView<'_>> {
        let ids = self.resources_after(stack, None);
        ids.filter_map(|id| self.instance(self.state.resource(id).current?))
    }

    /// What is done about drift of an instance.
    pub fn drift_policy(&self, id: InstanceId) -> Option<Drift> {
        self.state.instances.get(&id)?;
        Some(drift_policy(&self.state, id))
    }

    /// Why nothing happens to the resource now; [`WaitReason::Settled`] if nothing has to.
    pub fn explain(&self, id: ResourceId) -> Option<WaitReason> {
        let state = &self.state;
        let resource = state.resources.get(&id)?;
        if failed_leaving(state, id) {
            let attempts = resource
                .trouble
                .as_ref()
                .map_or(0, |trouble| trouble.attempts);
            return Some(WaitReason::Failed { attempts });
        }
        let standing = make_standing(state, id, |_| false);
        let makes = matches!(standing, Standing::Now(_) | Standing::Later(..));
        if let Some(current) = resource.current
            && !resource.settled
            && !makes
        {
            // What is due for the instance comes before what the resource waits for.
            let instance = instance_standing(state, current);
            let due = matches!(instance, Standing::Now(_));
            let failed = matches!(standing, Standing::Waits(WaitReason::Failed { .. }));
            if due || (instance != Standing::Nothing && !failed) {
                return self.explain_instance(current);
            }
        }
        let type_name = resource
            .definition()
            .map(|definition| &state.catalogue.definition(definition).type_name);
        let host = required_host(state, id).ok().flatten();
        Some(self.reason(resource.row.stack, standing, type_name, host))
    }

    /// Why nothing happens to an instance now.
    pub fn explain_instance(&self, id: InstanceId) -> Option<WaitReason> {
        let state = &self.state;
        let row = &state.instances.get(&id)?.row;
        let standing = instance_standing(state, id);
        let type_name = Some(&state.catalogue.definition(row.definition).type_name);
        let host = instance_host(state, id);
        Some(self.reason(
            state.resource(row.resource).row.stack,
            standing,
            type_name,
            host,
        ))
    }

    /// The first resource found that holds a stack up for good, and why: what failed, what waits for a
    /// person, what no live engine can do. For the reason of a stack whose status is `failed`.
    pub fn held_up_by(&self, id: StackId) -> Option<(ResourceId, WaitReason)> {
        let stack = self.state.stacks.get(&id)?;
        let troubled = stack.troubled.iter().map(|subject| match subject {
            Subject::Resource(id) => *id,
            Subject::Instance(id) => self.state.instance(*id).row.resource,
        });
        let work = stack.ready.keys().map(|work| match work {
            Work::Make(id) => *id,
            Work::Look(id) | Work::Delete(id) => self.state.instance(*id).row.resource,
        });
        let on_hold = stack
            .names
            .values()
            .copied()
            .filter(|_| stack.counts.on_hold > 0);
        let explained = troubled
            .chain(work)
            .chain(on_hold)
            .filter_map(|id| Some((id, self.explain(id)?)));
        let mut stuck = explained.filter(|(_, reason)| {
            matches!(
                reason,
                WaitReason::Failed { .. }
                    | WaitReason::OnHold(_)
                    | WaitReason::HostGone(_)
                    | WaitReason::HostsDiffer(..)
                    | WaitReason::TypeNotOffered(_)
            )
        });
        stuck.next()
    }

    fn reason(
        &self,
        stack: StackId,
        standing: Standing,
        type_name: Option<&Text>,
        host: Option<Text>,
    ) -> WaitReason {
        let state = &self.state;
        let stops = state.stack(stack).stops();
        match (standing, stops) {
            (Standing::Nothing, _) => WaitReason::Settled,
            (Standing::Waits(reason), _) => reason,
            (Standing::Now(_) | Standing::Later(..), Some(stops)) => WaitReason::Stack(stops),
            (Standing::Later(_, _, reason), None) => reason,
            (Standing::Now(_), None) => match (type_name, host) {
                (Some(type_name), host) if !state.reachable(type_name, None) && host.is_none() => {
                    WaitReason::TypeNotOffered(type_name.clone())
                }
                (Some(type_name), Some(host)) if !state.reachable(type_name, Some(&host)) => {
                    WaitReason::HostGone(host)
                }
                _ => WaitReason::Ready,
            },
        }
    }
}

fn instance_standing(state: &State, id: InstanceId) -> Standing {
    match look_standing(state, id) {
        Standing::Nothing => delete_standing(state, id, |_| false),
        other => other,
    }
}
