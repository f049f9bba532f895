//! Late reports: they change nothing, except that a physical id in them is kept. No orphans.

use crate::command::ActionResult;
use crate::digest::Digest;
use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId, StackId, Text};
use crate::outcome::Judgement;
use crate::row::{
    Action, EffectRow, InstanceRow, Observed, ResourceRow, Role, StackRow, TombstoneRow,
};
use crate::state::{Resource, Stack};
use crate::turn::Turn;

impl Turn<'_> {
    pub(super) fn late_for_known(&mut self, id: InstanceId, result: ActionResult) -> Judgement {
        let Some(physical_id) = result.physical_id().cloned() else {
            return Judgement::Late;
        };
        let row = &self.state.instance(id).row;
        let known = row.physical_id.as_ref() == Some(&physical_id);
        if known || row.traits.derived_id || self.other_holder(id, &physical_id).is_some() {
            return Judgement::Late;
        }
        self.tell_instance(
            id,
            EventKind::IdKept,
            format!("a late report told of {physical_id}"),
        );
        if self.state.instance(id).row.physical_id.is_some() {
            self.add_find(id, physical_id, is_certain(&result));
            return Judgement::IdKept;
        }
        self.set_physical_id(id, Some(physical_id));
        let effect = self.doubt(self.state.instance(id).row.definition);
        self.edit(id, |row| {
            row.observed = Observed::Unknown;
            row.lost_once = true;
            let effect = row.effect.get_or_insert(effect);
            effect.in_doubt = true;
            effect.seen_absent = false;
        });
        Judgement::IdKept
    }

    /// A call of which nothing more is known than that it is over by now.
    fn doubt(&self, definition: Digest) -> Box<EffectRow> {
        Box::new(EffectRow {
            key: self.index,
            action: Action::Create,
            definition,
            aim: None,
            not_after_ms: self.stamp.state_ms,
            in_doubt: true,
            seen_absent: false,
        })
    }

    /// Something besides what the instance is known to be: to be deleted on its own.
    pub(super) fn add_find(&mut self, beside: InstanceId, physical_id: Text, certain: bool) {
        let id = self.next_instance();
        let row = &self.state.instance(beside).row;
        let find = InstanceRow {
            seen_present: certain,
            effect: Some(self.doubt(row.definition)),
            ..found(row.resource, row.origin, row, physical_id, self.index)
        };
        self.add_instance(id, find);
    }

    /// Sets an instance's id. One that was only heard of so far is not forgotten over it: an earlier attempt may have made
    /// that too.
    pub(crate) fn take_id(&mut self, id: InstanceId, physical_id: Option<Text>) {
        let heard = self.heard_id(id).cloned();
        let other = heard.filter(|heard| physical_id.as_ref() != Some(heard));
        self.set_physical_id(id, physical_id);
        if let Some(other) = other {
            self.add_find(id, other, false);
        }
    }

    /// Its id, if that was only heard of, and never seen to be the instance's. (What is itself such a find has been asked for
    /// by its id; an answer with another says that this one is not there.)
    pub(super) fn heard_id(&self, id: InstanceId) -> Option<&Text> {
        let row = &self.state.instance(id).row;
        let heard = row.physical_id.as_ref();
        heard.filter(|_| !row.seen_present && row.origin == id)
    }

    pub(super) fn late_for_forgotten(&mut self, id: InstanceId, result: ActionResult) -> Judgement {
        let Some(tombstone) = self.state.tombstones.get(&id).cloned() else {
            return Judgement::UnknownInstance;
        };
        let told = result.physical_id().cloned();
        let Some(physical_id) = told.filter(|_| !tombstone.traits.derived_id) else {
            return Judgement::Late;
        };
        if tombstone.retained.as_ref() == Some(&physical_id) {
            return Judgement::Late;
        }
        let type_name = &self
            .state
            .catalogue
            .definition(tombstone.definition)
            .type_name;
        let held = self
            .state
            .held
            .holder(type_name, tombstone.host.as_deref(), &physical_id);
        if held.is_some() {
            return Judgement::Late;
        }
        let stack = self.stack_of_find(&tombstone);
        let resource = self.resource_of_find(stack, &tombstone);
        let template = InstanceRow {
            traits: tombstone.traits,
            host: tombstone.host.clone(),
            definition: tombstone.definition,
            ..blank(resource, id)
        };
        let find = InstanceRow {
            seen_present: is_certain(&result),
            effect: Some(self.doubt(tombstone.definition)),
            ..found(resource, id, &template, physical_id.clone(), self.index)
        };
        let find_id = self.next_instance();
        self.add_instance(find_id, find);
        self.tell_instance(
            find_id,
            EventKind::IdKept,
            format!("a late report told of {physical_id}"),
        );
        Judgement::IdKept
    }

    pub(crate) fn drop_tombstone(&mut self, id: InstanceId) {
        if let Some(tombstone) = self.state.tombstones.remove(&id) {
            self.drop_definition(tombstone.definition);
            self.touch_tombstone(id);
        }
    }

    /// The find's stack; if that is gone, one of the same id that holds no name.
    fn stack_of_find(&mut self, tombstone: &TombstoneRow) -> StackId {
        let id = tombstone.stack;
        if !self.state.stacks.contains_key(&id) {
            let row = StackRow {
                named: false,
                deleting: true,
                ..blank_stack(tombstone, self.index, self.stamp.wall_ms)
            };
            self.state.stacks.insert(id, Stack::new(row));
            self.edit_stack(id);
        }
        id
    }

    fn resource_of_find(&mut self, stack: StackId, tombstone: &TombstoneRow) -> ResourceId {
        if let Some(id) = self.state.stack(stack).names.get(&tombstone.resource) {
            return *id;
        }
        let id = self.next_resource();
        let row = ResourceRow {
            stack,
            name: tombstone.resource.clone(),
            desired: None,
            last_policy: None,
            requires: Box::default(),
            replacing: None,
        };
        self.state.resources.insert(id, Resource::new(row));
        let names = &mut self.state.stack_mut(stack).names;
        names.insert(tombstone.resource.clone(), id);
        self.touch_resource(id);
        id
    }
}

/// Does the report say that the thing is there, and not only that it may be?
fn is_certain(result: &ActionResult) -> bool {
    matches!(result, ActionResult::Done(_) | ActionResult::Looked(_))
}

/// A late find: it is `Unknown` until looked at, and never wanted.
fn found(
    resource: ResourceId,
    origin: InstanceId,
    like: &InstanceRow,
    physical_id: Text,
    index: u64,
) -> InstanceRow {
    InstanceRow {
        role: Role::Deposed {
            since: index,
            before_successor: false,
        },
        origin,
        traits: like.traits,
        host: like.host.clone(),
        physical_id: Some(physical_id),
        definition: like.definition,
        observed: Observed::Unknown,
        condemned: true,
        lost_once: true,
        last_change: index,
        ..blank(resource, origin)
    }
}

fn blank(resource: ResourceId, origin: InstanceId) -> InstanceRow {
    InstanceRow {
        resource,
        role: Role::Current,
        origin,
        traits: Default::default(),
        host: None,
        physical_id: None,
        definition: Default::default(),
        fingerprint: None,
        outputs: Box::default(),
        requires: Box::default(),
        observed: Observed::Absent,
        seen_present: false,
        delete_begun: false,
        condemned: false,
        lost_once: false,
        on_hold: false,
        drift: None,
        assignment: None,
        effect: None,
        last_change: 0,
    }
}

fn blank_stack(tombstone: &TombstoneRow, index: u64, wall_ms: u64) -> StackRow {
    StackRow {
        namespace: tombstone.namespace.clone(),
        name: tombstone.stack_name.clone(),
        named: true,
        revision: Default::default(),
        settled_revision: Default::default(),
        options: Default::default(),
        head: None,
        parameters: None,
        paused: false,
        cancelling: false,
        deleting: false,
        stop: None,
        rolling_back: false,
        deadline: None,
        events_from: index,
        queue: Vec::new(),
        telling: Vec::new(),
        unsettling: Vec::new(),
        created_wall_ms: wall_ms,
        revised_wall_ms: wall_ms,
    }
}
