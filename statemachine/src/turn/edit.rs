//! Changing instances: the only place where an instance's row changes. It keeps the table of legal
//! changes, the indexes, and wakes whom a change may concern.

use crate::id::{InstanceId, ResourceId, Text};
use crate::row::{InstanceRow, Role, RowKey, TombstoneRow};
use crate::state::instance::{Instance, Stance};
use crate::turn::Turn;

impl Turn<'_> {
    /// Adds an instance to its resource.
    pub(crate) fn add_instance(&mut self, id: InstanceId, row: InstanceRow) {
        assert!(
            Stance::None.may_become(Stance::of(&row)),
            "an instance begins absent or as a late find"
        );
        let resource = self.state.resource_mut(row.resource);
        match row.role {
            Role::Current => {
                assert!(
                    resource.current.is_none(),
                    "a resource has at most one current instance"
                );
                resource.current = Some(id);
            }
            Role::Deposed { since, .. } => resource.depose(since, id),
        }
        for definition in row.definitions().into_iter().flatten() {
            self.hold_definition(definition);
        }
        for required in row.requires.iter() {
            self.state.required_by.insert((*required, id));
        }
        if let Some(host) = &row.host {
            self.state.hosts.insert((host.clone(), id));
        }
        if let Some(physical_id) = &row.physical_id {
            let type_name = self
                .state
                .catalogue
                .definition(row.definition)
                .type_name
                .clone();
            self.state
                .held
                .take(&type_name, row.host.as_deref(), physical_id, id);
        }
        let (owner, current) = (row.resource, row.is_current());
        let before = self.state.instances.insert(id, Instance::new(row));
        assert!(before.is_none(), "instance ids are never used again");
        self.touched.instances.insert(id);
        if current {
            self.disturb(owner);
        }
        self.enqueue(owner);
    }

    /// Changes an instance's row in everything but its role, host, physical id and requirements. If it
    /// is the current one of a settled resource, the resource is settled no more.
    pub(crate) fn edit(&mut self, id: InstanceId, change: impl FnOnce(&mut InstanceRow)) {
        let instance = self.state.instance_mut(id);
        let before = Stance::of(&instance.row);
        let observed_before = instance.row.observed;
        let holder_before = instance.row.flight().map(|flight| flight.engine);
        let definitions_before = instance.row.definitions();
        change(&mut instance.row);
        instance.row.last_change = self.index;
        let after = Stance::of(&instance.row);
        let observed_after = instance.row.observed;
        assert!(
            before.may_become(after),
            "an instance goes from {before:?} to {after:?}, which the table forbids"
        );
        let holder_after = instance.row.flight().map(|flight| flight.engine);
        let definitions_after = instance.row.definitions();
        let owner = instance.row.resource;
        let current = instance.row.is_current();
        if definitions_before != definitions_after {
            definitions_after
                .iter()
                .flatten()
                .for_each(|digest| self.hold_definition(*digest));
            definitions_before
                .iter()
                .flatten()
                .for_each(|digest| self.drop_definition(*digest));
        }
        if holder_before != holder_after {
            let engines = &mut self.state.engines;
            if let Some(engine) = holder_before.and_then(|engine| engines.get_mut(&engine.member)) {
                engine.holds.remove(&id);
            }
            if let Some(engine) = holder_after.and_then(|engine| engines.get_mut(&engine.member)) {
                engine.holds.insert(id);
            }
        }
        self.touched.instances.insert(id);
        match (holder_before.is_some(), holder_after.is_some()) {
            (false, true) => self.flight_began(id),
            (true, false) => self.flight_ended(id),
            _ => {}
        }
        // A late report may put in doubt what runs, too.
        if before != after || observed_before != observed_after {
            self.wake_neighbours(id);
        }
        if current {
            self.disturb(owner);
        }
        self.enqueue(owner);
    }

    /// Changes what neither rule nor neighbour looks at.
    pub(crate) fn note(&mut self, id: InstanceId, change: impl FnOnce(&mut InstanceRow)) {
        let instance = self.state.instance_mut(id);
        let before = Stance::of(&instance.row);
        change(&mut instance.row);
        assert_eq!(
            before,
            Stance::of(&instance.row),
            "a note changes no stance"
        );
        self.touched.instances.insert(id);
        let owner = instance_owner(self, id);
        self.enqueue(owner);
    }

    fn flight_began(&mut self, id: InstanceId) {
        let row = &self.state.instance(id).row;
        let (requires, owner) = (row.requires.clone(), row.resource);
        for required in requires.iter() {
            self.count_busy(*required, true);
        }
        let stack = self.state.resource(owner).row.stack;
        self.state.stack_mut(stack).running += 1;
        self.stack_moved(stack);
    }

    fn flight_ended(&mut self, id: InstanceId) {
        let row = &self.state.instance(id).row;
        let (requires, owner) = (row.requires.clone(), row.resource);
        for required in requires.iter() {
            self.count_busy(*required, false);
        }
        let stack = self.state.resource(owner).row.stack;
        self.state.stack_mut(stack).running -= 1;
        self.stack_moved(stack);
    }

    fn count_busy(&mut self, required: InstanceId, began: bool) {
        let Some(instance) = self.state.instances.get_mut(&required) else {
            return;
        };
        if began {
            instance.busy_requirers += 1;
        } else {
            instance.busy_requirers -= 1;
        }
        let crossed = instance.busy_requirers == u32::from(began);
        let (owner, current) = (instance.row.resource, instance.row.is_current());
        if crossed && !(current && self.state.resource(owner).settled) {
            self.enqueue(owner);
        }
    }

    /// An instance's stance moved: who goes before or after it may have to be seen anew.
    fn wake_neighbours(&mut self, id: InstanceId) {
        let below: Vec<InstanceId> = self.state.instance(id).row.requires.to_vec();
        for required in below {
            if let Some(instance) = self.state.instances.get(&required)
                && instance.row.may_make_way()
            {
                let owner = instance.row.resource;
                self.enqueue(owner);
            }
        }
        self.wake_unknown_requirers(id);
    }

    /// Those built on the instance that wait for it to be looked at first.
    pub(crate) fn wake_unknown_requirers(&mut self, id: InstanceId) {
        let above: Vec<ResourceId> = self
            .state
            .requirers_of(id)
            .filter_map(|requirer| self.state.instances.get(&requirer))
            .filter(|instance| instance.row.is_unknown())
            .map(|instance| instance.row.resource)
            .collect();
        for owner in above {
            self.enqueue(owner);
        }
    }

    /// Sets what an instance requires, as far as it is (still) there. Ids must be sorted and without
    /// repetition.
    pub(crate) fn set_requires(&mut self, id: InstanceId, requires: Box<[InstanceId]>) {
        let instances = &self.state.instances;
        let requires = match requires
            .iter()
            .all(|required| instances.contains_key(required))
        {
            true => requires,
            false => requires
                .iter()
                .copied()
                .filter(|required| instances.contains_key(required))
                .collect(),
        };
        let instance = self.state.instance_mut(id);
        if instance.row.requires == requires {
            return;
        }
        let busy = instance.row.flight().is_some();
        let before = std::mem::replace(&mut instance.row.requires, requires.clone());
        self.touched.instances.insert(id);
        for added in requires.iter().filter(|x| before.binary_search(x).is_err()) {
            self.state.required_by.insert((*added, id));
            if busy {
                self.count_busy(*added, true);
            }
            self.wake_deposed(*added);
        }
        for removed in before.iter().filter(|x| requires.binary_search(x).is_err()) {
            self.state.required_by.remove(&(*removed, id));
            if busy {
                self.count_busy(*removed, false);
            }
            self.wake_deposed(*removed);
        }
        let owner = instance_owner(self, id);
        self.enqueue(owner);
    }

    /// Who requires the instance has changed; if it is on its way out, that may matter.
    fn wake_deposed(&mut self, id: InstanceId) {
        if let Some(instance) = self.state.instances.get(&id)
            && (instance.unwanted || !instance.row.is_current())
        {
            let owner = instance.row.resource;
            self.enqueue(owner);
        }
    }

    /// Sets what an instance is to its resource.
    pub(crate) fn set_role(&mut self, id: InstanceId, role: Role) {
        let instance = self.state.instance_mut(id);
        let before = std::mem::replace(&mut instance.row.role, role);
        let owner = instance.row.resource;
        if before == Role::Current || role == Role::Current {
            self.disturb(owner);
            self.unsettle_all(owner);
        }
        let resource = self.state.resource_mut(owner);
        match (before, role) {
            (Role::Current, Role::Deposed { since, .. }) => {
                resource.current = None;
                resource.depose(since, id);
            }
            (Role::Deposed { .. }, Role::Current) => {
                assert!(
                    resource.current.is_none(),
                    "a resource has at most one current instance"
                );
                resource.undepose(id);
                resource.current = Some(id);
            }
            _ => {}
        }
        self.touched.instances.insert(id);
        self.enqueue(owner);
    }

    /// Who holds this physical id, if another instance does.
    pub(crate) fn other_holder(&self, id: InstanceId, physical_id: &str) -> Option<InstanceId> {
        let row = &self.state.instance(id).row;
        let type_name = &self.state.catalogue.definition(row.definition).type_name;
        self.state
            .held
            .holder(type_name, row.host.as_deref(), physical_id)
            .filter(|holder| *holder != id)
    }

    /// Sets an instance's physical id, which no other instance holds.
    pub(crate) fn set_physical_id(&mut self, id: InstanceId, physical_id: Option<Text>) {
        let row = &self.state.instance(id).row;
        if row.physical_id == physical_id {
            return;
        }
        let type_name = self
            .state
            .catalogue
            .definition(row.definition)
            .type_name
            .clone();
        let host = row.host.clone();
        let before = row.physical_id.clone();
        if let Some(before) = &before {
            self.state
                .held
                .free(&type_name, host.as_deref(), before, id);
        }
        if let Some(after) = &physical_id {
            self.state.held.take(&type_name, host.as_deref(), after, id);
        }
        self.state.instance_mut(id).row.physical_id = physical_id;
        self.touched.instances.insert(id);
    }

    /// Sets where an instance lives. Only before it has a physical id.
    pub(crate) fn set_host(&mut self, id: InstanceId, host: Option<Text>) {
        let row = &mut self.state.instance_mut(id).row;
        if row.host == host {
            return;
        }
        assert!(
            row.physical_id.is_none(),
            "what has a physical id does not move"
        );
        let before = std::mem::replace(&mut row.host, host.clone());
        if let Some(before) = before {
            self.state.hosts.remove(&(before, id));
        }
        if let Some(host) = host {
            self.state.hosts.insert((host, id));
        }
        self.touched.instances.insert(id);
    }

    /// Takes those that require an instance off it.
    pub(crate) fn cut_requirers(&mut self, id: InstanceId) -> Box<[InstanceId]> {
        let requirers: Box<[InstanceId]> = self.state.requirers_of(id).collect();
        for requirer in &requirers {
            let requires = &self.state.instance(*requirer).row.requires;
            let without = requires
                .iter()
                .copied()
                .filter(|required| *required != id)
                .collect();
            self.set_requires(*requirer, without);
        }
        requirers
    }

    /// Takes an instance out of the state.
    pub(crate) fn forget(&mut self, id: InstanceId) {
        let stance = Stance::of(&self.state.instance(id).row);
        if self.state.instance(id).row.flight().is_some() {
            // Ends its flight first, so that all counts follow.
            self.edit(id, |row| row.assignment = None);
        }
        assert!(
            stance.may_become(Stance::None),
            "nothing is forgotten from {stance:?}"
        );
        if self.state.instance(id).row.is_current() {
            let owner = instance_owner(self, id);
            self.disturb(owner);
            self.unsettle_all(owner);
        }
        self.clear_trouble(crate::id::Subject::Instance(id));
        self.clear_slot_of_instance(id);
        self.count_unwanted(id, false);
        self.wake_neighbours(id);
        if self.state.instance(id).row.lost_once {
            self.bury(id);
        }
        self.cut_requirers(id);
        self.set_requires(id, Box::default());
        self.set_physical_id(id, None);
        let instance = self
            .state
            .instances
            .remove(&id)
            .expect("the instance exists");
        let row = &instance.row;
        for definition in row.definitions().into_iter().flatten() {
            self.drop_definition(definition);
        }
        if let Some(host) = &row.host {
            self.state.hosts.remove(&(host.clone(), id));
        }
        for output in row.outputs.iter() {
            self.remove(RowKey::Attribute(id, output.name.clone()));
        }
        if row.seen_present {
            self.remove(RowKey::Private(id));
            self.remove(RowKey::Properties(id));
        }
        self.touched.instances.insert(id);
        let owner = row.resource;
        let stack = {
            let resource = self.state.resource_mut(owner);
            if resource.current == Some(id) {
                resource.current = None;
            }
            resource.undepose(id);
            resource.row.stack
        };
        self.state.stack_mut(stack).drifted.remove(&id);
        self.stack_moved(stack);
        self.enqueue(owner);
        self.wake_blocked(id);
    }

    /// Keeps what a late physical id will need.
    fn bury(&mut self, id: InstanceId) {
        let row = &self.state.instance(id).row;
        let resource = &self.state.resource(row.resource).row;
        let stack = &self.state.stack(resource.stack).row;
        let tombstone = TombstoneRow {
            stack: resource.stack,
            namespace: stack.namespace.clone(),
            stack_name: stack.name.clone(),
            resource: resource.name.clone(),
            definition: row.definition,
            traits: row.traits,
            host: row.host.clone(),
            token: crate::id::Token(self.index),
            wall_ms: self.stamp.wall_ms,
            retained: None,
        };
        self.hold_definition(tombstone.definition);
        self.state.tombstones.insert(id, tombstone);
        self.touch_tombstone(id);
    }

    /// Those whose making waits for this instance to let go of a name.
    pub(crate) fn wake_blocked(&mut self, holder: InstanceId) {
        let waiting: Vec<ResourceId> = self
            .state
            .blocked
            .range((holder, ResourceId(0))..=(holder, ResourceId(u64::MAX)))
            .map(|(_, resource)| *resource)
            .collect();
        for resource in waiting {
            self.enqueue(resource);
        }
    }
}

fn instance_owner(turn: &Turn<'_>, id: InstanceId) -> ResourceId {
    turn.state.instance(id).row.resource
}
