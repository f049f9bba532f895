//! Changing what one resource should be: its definition, what it requires, who uses which parameter.
//! The one place where desired state changes.

use crate::command::SetResource;
use crate::id::{ResourceId, Revision, StackId, Text};
use crate::row::{DesiredRow, ResourceRow, RowKey, RowValue};
use crate::state::Resource;
use crate::turn::Turn;
use std::collections::btree_map::Entry;

/// A resource as the state keeps it.
pub(crate) fn desired_row(item: &SetResource, revision: Revision) -> DesiredRow {
    let definition = item.definition.as_ref();
    DesiredRow {
        definition: definition.map(|definition| definition.digest),
        fragment: item.fragment.digest,
        depends_on: definition
            .map(|definition| definition.depends_on.clone().into())
            .unwrap_or_default(),
        parameters_used: item.parameters_used.clone().into(),
        policy: definition
            .map(|definition| &definition.policy)
            .filter(|policy| **policy != Default::default())
            .map(|policy| Box::new(policy.clone())),
        traits: definition
            .map(|definition| definition.traits)
            .unwrap_or_default(),
        revision,
    }
}

impl Turn<'_> {
    /// Makes an item's content known and held, for as long as its row is.
    pub(crate) fn take_item(&mut self, item: &SetResource, revision: Revision) -> DesiredRow {
        if let Some(definition) = &item.definition {
            self.take_definition(definition);
        }
        self.take_blob(&item.fragment);
        desired_row(item, revision)
    }

    /// Sets what a resource should be. `desired` is held already; what was desired before goes into
    /// the revision's past. How many edges that took down and put up.
    pub(crate) fn desire(
        &mut self,
        stack: StackId,
        name: &Text,
        desired: Option<DesiredRow>,
        revision: Revision,
    ) -> usize {
        let id = match self.state.stack(stack).names.get(name) {
            Some(id) => *id,
            None if desired.is_none() => return 0,
            None => self.add_resource(stack, name),
        };
        let resource = self.state.resource_mut(id);
        if resource.row.desired.is_none() && desired.is_none() {
            return 0;
        }
        self.disturb(id);
        let keeps_edges = self.has_edges_of(id, desired.as_ref());
        self.unlink(id);
        let dropped = match keeps_edges {
            true => 0,
            false => self.drop_edges(id),
        };
        let resource = self.state.resource_mut(id);
        if let Some(definition) = &resource.row.desired
            && definition.definition.is_some()
        {
            resource.row.last_policy = definition.policy.clone();
        }
        let before = std::mem::replace(&mut resource.row.desired, desired);
        self.remember(stack, name, before, revision);
        self.link(id);
        let added = match keeps_edges {
            true => 0,
            false => self.add_edges(id),
        };
        self.touch_resource(id);
        self.enqueue(id);
        dropped + added
    }

    /// It requires by name just what this would require: most changes are of properties.
    fn has_edges_of(&self, id: ResourceId, desired: Option<&DesiredRow>) -> bool {
        let before = self.state.resource(id).desired();
        let (Some(before), Some(after)) = (before, desired) else {
            return false;
        };
        before.definition.is_some()
            && after.definition.is_some()
            && self.required_names(before).eq(self.required_names(after))
    }

    /// Names of what this requires; one may come twice.
    fn required_names<'a>(&'a self, desired: &'a DesiredRow) -> impl Iterator<Item = &'a Text> {
        let definition = desired.definition;
        let references =
            definition.map(|definition| &self.state.catalogue.definition(definition).references);
        let referred = references.into_iter().flatten();
        let depends_on = desired.depends_on.iter();
        depends_on.chain(referred.map(|reference| &reference.resource))
    }

    fn add_resource(&mut self, stack: StackId, name: &Text) -> ResourceId {
        let id = self.next_resource();
        let row = ResourceRow {
            stack,
            name: name.clone(),
            desired: None,
            last_policy: None,
            requires: Box::default(),
            replacing: None,
        };
        self.state.resources.insert(id, Resource::new(row));
        self.state.stack_mut(stack).names.insert(name.clone(), id);
        self.touch_resource(id);
        self.stack_moved(stack);
        id
    }

    /// It requires nothing any more. How many edges that took down.
    fn drop_edges(&mut self, id: ResourceId) -> usize {
        let resource = self.state.resource_mut(id);
        let requires = std::mem::take(&mut resource.row.requires);
        resource.unsettled = 0;
        for required in &requires {
            self.state.dependents.remove(&(*required, id));
            // It may have stood only because this one named it.
            let other = self.state.resource(*required);
            if other.desired().is_none() && other.current.is_none() && !other.has_deposed() {
                self.enqueue(*required);
            }
        }
        requires.len()
    }

    /// It requires what its desired state says. How many edges that put up.
    fn add_edges(&mut self, id: ResourceId) -> usize {
        let resource = self.state.resource(id);
        let stack = resource.row.stack;
        let Some(desired) = resource.desired() else {
            return 0;
        };
        let names: Vec<Text> = self.required_names(desired).cloned().collect();
        let mut requires: Vec<ResourceId> = names
            .iter()
            .map(|name| self.resource_or_shell(stack, name))
            .collect();
        requires.sort();
        requires.dedup();
        let mut unsettled = 0;
        for required in &requires {
            self.state.dependents.insert((*required, id));
            unsettled += u32::from(!self.state.takes_for_settled(*required, id));
        }
        let count = requires.len();
        let resource = self.state.resource_mut(id);
        resource.unsettled = unsettled;
        resource.row.requires = requires.into();
        count
    }

    /// Takes a resource out of all lists that its desired state put it in.
    fn unlink(&mut self, id: ResourceId) {
        let resource = self.state.resource(id);
        let stack_id = resource.row.stack;
        let (parameters, defined) = match resource.desired() {
            Some(desired) => (
                desired.parameters_used.clone(),
                desired.definition.is_some(),
            ),
            None => (Box::default(), false),
        };
        let stack = self.state.stack_mut(stack_id);
        for parameter in parameters {
            stack.parameter_users.remove(&(parameter, id));
        }
        stack.protected.remove(&id);
        stack.desired -= u64::from(defined);
        self.stack_moved(stack_id);
    }

    /// Puts it into the lists that its desired state asks for.
    fn link(&mut self, id: ResourceId) {
        let resource = self.state.resource(id);
        let stack_id = resource.row.stack;
        let Some(desired) = resource.desired() else {
            return;
        };
        let parameters = desired.parameters_used.clone();
        let definition = desired.definition;
        let protect = resource.policy().is_some_and(|policy| policy.protect);
        let stack = self.state.stack_mut(stack_id);
        for parameter in parameters {
            stack.parameter_users.insert((parameter, id));
        }
        if definition.is_none() {
            return;
        }
        stack.desired += 1;
        if protect {
            stack.protected.insert(id);
        }
    }

    /// The resource of this name. A name that is not there yet gets a shell, which never settles:
    /// whoever named it waits, and says so.
    fn resource_or_shell(&mut self, stack: StackId, name: &Text) -> ResourceId {
        match self.state.stack(stack).names.get(name) {
            Some(id) => *id,
            None => self.add_resource(stack, name),
        }
    }

    /// Keeps what a revision replaced. Of the first revision nothing is kept: before it, nothing was.
    fn remember(
        &mut self,
        stack: StackId,
        name: &Text,
        before: Option<DesiredRow>,
        revision: Revision,
    ) {
        let past = self.state.stack_mut(stack).past.get_mut(&revision);
        let Some(past) = past.filter(|_| revision > Revision(1)) else {
            if let Some(before) = before {
                self.drop_desired(&before);
            }
            return;
        };
        let Entry::Vacant(item) = past.items.entry(name.clone()) else {
            // Set twice by one revision: what was before the first time counts.
            if let Some(before) = before {
                self.drop_desired(&before);
            }
            return;
        };
        let before = before.map(Box::new);
        item.insert(before.clone());
        self.put(
            RowKey::Past(stack, revision, name.clone()),
            RowValue::Past(before),
        );
    }
}
