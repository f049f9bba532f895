//! What may start now, what is in its way, and which phase follows: by the words of the design's rules.

use anneal_statemachine::id::{InstanceId, ResourceId, Subject};
use anneal_statemachine::row::{Action, Observed, Role, StackRow, Stop};

use super::*;

impl Reference<'_> {
    /// What keeps a whole stack from starting anything.
    pub fn stack_obstacle(&self, stack: &StackRow) -> Option<Obstacle> {
        let word = if takes_in(stack) {
            "queue"
        } else if stack.paused {
            "paused"
        } else {
            match stack.stop {
                Some(Stop::Halted) => "halted",
                Some(Stop::TimedOut) => "timed out",
                Some(Stop::RollbackDue) => "rollback due",
                None => return None,
            }
        };
        Some(Obstacle::Stack(word))
    }

    pub fn trouble_obstacle(&self, subject: Subject) -> Option<Obstacle> {
        let trouble = self.trouble(subject)?;
        if trouble.failed {
            return Some(Obstacle::Failed);
        }
        (trouble.not_before_ms > self.now_ms).then_some(Obstacle::BackingOff)
    }

    /// Why the making of a resource can't start now.
    pub fn make_obstacle(&self, resource: ResourceId) -> Option<Obstacle> {
        if !self.wanted(resource) || self.settled[&resource] {
            return Some(Obstacle::NoNeed);
        }
        let current = self.current.get(&resource).copied();
        if let Some(current) = current {
            if self.in_flight(current) {
                return Some(Obstacle::InFlight);
            }
            if let Some(obstacle) = self.make_obstacle_of_instance(current) {
                return Some(obstacle);
            }
        }
        let row = self.resources[&resource];
        let unsettled = row
            .requires
            .iter()
            .filter(|below| !self.stands_firm_on(resource, **below));
        let unsettled = unsettled.count();
        if unsettled > 0 {
            return Some(Obstacle::Requires(unsettled));
        }
        if self.hosts_differ(resource) {
            return Some(Obstacle::HostsDiffer);
        }
        if let Some(current) = current {
            let above = self.requirers_in_flight(current);
            if above > 0 {
                return Some(Obstacle::RequirersInFlight(above));
            }
        }
        if let Some(first) = self.predecessor_first(resource) {
            return Some(Obstacle::PredecessorFirst(first));
        }
        if let Some(holder) = self.name_held(resource) {
            return Some(Obstacle::NameHeld(holder));
        }
        if let Some(obstacle) = self.trouble_obstacle(Subject::Resource(resource)) {
            return Some(obstacle);
        }
        self.stack_of(resource)
            .and_then(|stack| self.stack_obstacle(stack))
    }

    /// Who holds the name that it needs, and goes.
    pub fn name_held(&self, resource: ResourceId) -> Option<InstanceId> {
        let holder = self.trouble(Subject::Resource(resource))?.holder?;
        (self.instances.contains_key(&holder) && self.unwanted(holder)).then_some(holder)
    }

    pub fn make_obstacle_of_instance(&self, current: InstanceId) -> Option<Obstacle> {
        let row = self.instances[&current];
        if row.observed == Observed::Unknown && self.waits_for_person(current) {
            return Some(Obstacle::OnHold(current));
        }
        if row.observed == Observed::Unknown && !self.again_under_key(current) {
            return Some(Obstacle::LookFirst);
        }
        self.unwanted(current)
            .then_some(Obstacle::UnwantedFirst(current))
    }

    /// Nobody but a person can tell what there is.
    pub fn waits_for_person(&self, instance: InstanceId) -> bool {
        let row = self.instances[&instance];
        row.observed == Observed::Unknown && (row.on_hold || !row.traits.can_look)
    }

    /// Never seen, not found by a look, still wanted just so, and its provider honours keys: it is made again
    /// under the same key, although it is `Unknown`.
    pub fn again_under_key(&self, instance: InstanceId) -> bool {
        let row = self.instances[&instance];
        let Some(effect) = &row.effect else {
            return false;
        };
        let definition = self.resources[&row.resource]
            .desired
            .as_ref()
            .and_then(|desired| desired.definition);
        let below = &self.resources[&row.resource].requires;
        row.observed == Observed::Unknown
            && row.traits.honours_keys
            && !row.seen_present
            && effect.seen_absent
            && effect.action == Action::Create
            && !self.unwanted(instance)
            && below
                .iter()
                .all(|below| self.stands_firm_on(row.resource, *below))
            && definition == Some(effect.definition)
            && effect.aim.is_some()
            && effect.aim == self.desired_fingerprint(row.resource)
    }

    /// How many of those that require an instance are being acted on.
    pub fn requirers_in_flight(&self, instance: InstanceId) -> usize {
        self.requirers.get(&instance).map_or(0, |above| {
            above.iter().filter(|a| self.in_flight(**a)).count()
        })
    }

    /// A deposed instance that has to go before its successor is made.
    pub fn predecessor_first(&self, resource: ResourceId) -> Option<InstanceId> {
        let deposed = self.deposed.get(&resource)?;
        deposed
            .iter()
            .find(|id| {
                matches!(
                    self.instances[id].role,
                    Role::Deposed {
                        before_successor: true,
                        ..
                    }
                )
            })
            .copied()
    }

    /// Why an instance can't be looked at now.
    pub fn look_obstacle(&self, instance: InstanceId) -> Option<Obstacle> {
        let row = self.instances[&instance];
        if row.observed != Observed::Unknown {
            return Some(Obstacle::NoNeed);
        }
        if self.in_flight(instance) {
            return Some(Obstacle::InFlight);
        }
        if self.waits_for_person(instance) {
            return Some(Obstacle::OnHold(instance));
        }
        let making = self.trouble(Subject::Resource(row.resource));
        let making_waits =
            making.is_some_and(|trouble| trouble.failed) || self.name_held(row.resource).is_some();
        if self.again_under_key(instance) && !making_waits {
            return Some(Obstacle::NoNeed);
        }
        let looking = self.trouble(Subject::Instance(instance));
        if looking.is_some_and(|trouble| trouble.failed) {
            return Some(Obstacle::Failed);
        }
        if let Some(below) = row
            .requires
            .iter()
            .find(|below| self.is_looked_at_first(**below))
        {
            return Some(Obstacle::LookOrder(*below));
        }
        if let Some(until_ms) = self.late_effect_until(instance)
            && self.now_ms < until_ms
        {
            return Some(Obstacle::LateEffect);
        }
        if let Some(obstacle) = self.trouble_obstacle(Subject::Instance(instance)) {
            return Some(obstacle);
        }
        self.stack_of(row.resource)
            .and_then(|stack| self.stack_obstacle(stack))
    }

    /// Somebody is going to look at it.
    pub fn is_looked_at_first(&self, below: InstanceId) -> bool {
        let failed = self
            .trouble(Subject::Instance(below))
            .is_some_and(|trouble| trouble.failed);
        let unknown = self
            .instances
            .get(&below)
            .is_some_and(|row| row.observed == Observed::Unknown);
        unknown && !self.waits_for_person(below) && !failed
    }

    /// Seen absent once: a lost call may still land until then.
    pub fn late_effect_until(&self, instance: InstanceId) -> Option<u64> {
        let row = self.instances[&instance];
        let effect = row.effect.as_ref().filter(|effect| effect.seen_absent)?;
        // At any moment of the last millisecond of its time it may still land.
        Some(effect.not_after_ms + 1 + u64::from(row.traits.lag_ms))
    }

    /// Why an instance can't be deleted now.
    pub fn delete_obstacle(&self, instance: InstanceId) -> Option<Obstacle> {
        let row = self.instances[&instance];
        if !self.unwanted(instance) {
            return Some(Obstacle::NoNeed);
        }
        if self.in_flight(instance) {
            return Some(Obstacle::InFlight);
        }
        if self.waits_for_person(instance) {
            return Some(Obstacle::OnHold(instance));
        }
        match row.observed {
            Observed::Unknown => return Some(Obstacle::LookFirst),
            Observed::Absent => return Some(Obstacle::NoNeed),
            Observed::Present { .. } => {}
        }
        let first = self.makes_way(instance);
        let above = self.requirers.get(&instance).cloned().unwrap_or_default();
        let in_the_way = above
            .iter()
            .any(|a| !first || self.keeps_from_going_first(*a));
        if in_the_way {
            return Some(Obstacle::StillRequired);
        }
        let deposed = matches!(
            row.role,
            Role::Deposed {
                before_successor: false,
                ..
            }
        );
        // What failed half-way, or was found late, was not deposed by a successor.
        if deposed && !row.condemned && self.wanted(row.resource) && !self.settled[&row.resource] {
            return Some(Obstacle::SuccessorNotSettled);
        }
        if let Some(obstacle) = self.trouble_obstacle(Subject::Instance(instance)) {
            return Some(obstacle);
        }
        self.stack_of(row.resource)
            .and_then(|stack| self.stack_obstacle(stack))
    }

    /// It goes although others require it: what is made next of its resource waits for that, and they for what is made.
    pub fn makes_way(&self, instance: InstanceId) -> bool {
        let row = self.instances[&instance];
        let first = match row.role {
            Role::Current => self.unwanted(instance),
            Role::Deposed {
                before_successor, ..
            } => before_successor,
        };
        first && self.wanted(row.resource)
    }

    /// What requires an instance that goes before its successor, and must be waited for all the same.
    pub fn keeps_from_going_first(&self, above: InstanceId) -> bool {
        self.in_flight(above)
            || self.instances[&above].observed == Observed::Unknown
            || (self.unwanted(above)
                && matches!(
                    self.delete_obstacle(above),
                    None | Some(Obstacle::BackingOff | Obstacle::Stack(_))
                ))
    }

    /// Where a resource stands; nothing if it is not counted. What only waits for time counts as waiting, and what
    /// stops a whole stack changes no phase: both would cost more than O(1).
    pub fn phase(&self, resource: ResourceId) -> Option<Phase> {
        let current = self.current.get(&resource).copied();
        if !self.wanted(resource) {
            let something = current.is_some() || self.deposed.contains_key(&resource);
            return something.then_some(Phase::Unwanted);
        }
        if self.settled[&resource] {
            return Some(Phase::Settled);
        }
        let make = self.make_obstacle(resource);
        let mut work = vec![(make, Subject::Resource(resource))];
        if let Some(current) = current {
            if self.in_flight(current) {
                return Some(Phase::InFlight);
            }
            let gave_up =
                self.trouble_obstacle(Subject::Resource(resource)) == Some(Obstacle::Failed);
            let unknown = self.instances[&current].observed == Observed::Unknown;
            if gave_up && !unknown && self.unwanted(current) {
                // Its remains are still deleted, which mends nothing.
                return Some(Phase::Failed);
            }
            if self.waits_for_person(current) {
                return Some(Phase::OnHold);
            }
            work.push((self.look_obstacle(current), Subject::Instance(current)));
            work.push((self.delete_obstacle(current), Subject::Instance(current)));
        }
        let timed = |subject: &Subject| {
            let late = match subject {
                Subject::Instance(id) => self.late_effect_until(*id).is_some(),
                Subject::Resource(_) => false,
            };
            late || self.trouble(*subject).is_some()
        };
        let free = |o: &Option<Obstacle>| matches!(o, None | Some(Obstacle::Stack(_)));
        if work
            .iter()
            .any(|(obstacle, subject)| free(obstacle) && !timed(subject))
        {
            return Some(Phase::Ready);
        }
        let failed = |o: &Option<Obstacle>| matches!(o, Some(Obstacle::Failed));
        if work.iter().any(|(obstacle, _)| failed(obstacle))
            || work[0].0 == Some(Obstacle::HostsDiffer)
        {
            return Some(Phase::Failed);
        }
        Some(Phase::Waiting)
    }
}
