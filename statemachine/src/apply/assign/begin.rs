//! Starting an action that may start: the assignment, the effect and its key, what the instance
//! requires meanwhile.

use crate::command::AssignItem;
use crate::digest::Digest;
use crate::event::EventKind;
use crate::id::{InstanceId, ResourceId, Token};
use crate::row::{Action, AssignmentRow, EffectRow, InstanceRow, Observed, Role};
use crate::rules::look::aim_of;
use crate::rules::settle::{desired_fingerprint, footing};
use crate::rules::unmake::makes_way;
use crate::turn::Turn;

impl Turn<'_> {
    pub(super) fn begin_make(
        &mut self,
        item: &AssignItem,
        id: ResourceId,
        action: Action,
        place: Option<(u32, u32)>,
        inputs_known: bool,
    ) -> InstanceId {
        let definition = self
            .state
            .resource(id)
            .definition()
            .expect("only what is desired is made");
        let aim = inputs_known
            .then(|| desired_fingerprint(self.state, id))
            .flatten();
        let instance = match self.state.resource(id).current {
            Some(current) => current,
            None => self.add_planned(id, definition),
        };
        let row = &self.state.instance(instance).row;
        let before = row.requires.clone();
        if action == Action::Create && row.is_absent() {
            let bound = self
                .state
                .resource(id)
                .desired()
                .is_some_and(|desired| desired.traits.host_bound);
            let host = self.state.engines[&item.engine.member].row.host.clone();
            self.set_host(instance, bound.then_some(host));
        }
        let after = footing(self.state, id);
        let mut both: Vec<InstanceId> = before.iter().chain(after.iter()).copied().collect();
        both.sort();
        both.dedup();
        self.set_requires(instance, both.into());
        let effect = self.effect(instance, action, definition, aim, item.not_after_ms);
        let assignment = AssignmentRow {
            requires_before: before,
            requires_after: after,
            ..self.assignment(item, action, definition, place)
        };
        let traits = self
            .state
            .resource(id)
            .desired()
            .expect("only what is desired is made")
            .traits;
        self.edit(instance, |row| {
            if action == Action::Create {
                row.definition = definition;
                row.traits = traits;
            }
            row.effect = Some(Box::new(effect));
            row.assignment = Some(Box::new(assignment));
        });
        instance
    }

    /// A new instance, of which nothing is there yet.
    fn add_planned(&mut self, resource: ResourceId, definition: Digest) -> InstanceId {
        let id = self.next_instance();
        let desired = self
            .state
            .resource(resource)
            .desired()
            .expect("only what is desired is made");
        let row = InstanceRow {
            resource,
            role: Role::Current,
            origin: id,
            traits: desired.traits,
            host: None,
            physical_id: None,
            definition,
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
            last_change: self.index,
        };
        self.add_instance(id, row);
        id
    }

    pub(super) fn begin_look(&mut self, item: &AssignItem, id: InstanceId) {
        let row = &self.state.instance(id).row;
        let mut effect = row.effect.clone();
        let definition = effect
            .as_ref()
            .map_or(row.definition, |effect| effect.definition);
        if let Some(effect) = &mut effect
            && effect.aim.is_none()
        {
            effect.aim = aim_of(self.state, id, definition);
        }
        let assignment = self.assignment(item, Action::Look, definition, None);
        self.edit(id, |row| {
            row.effect = effect;
            row.assignment = Some(Box::new(assignment));
        });
    }

    pub(super) fn begin_delete(
        &mut self,
        item: &AssignItem,
        id: InstanceId,
        place: Option<(u32, u32)>,
    ) {
        let row = &self.state.instance(id).row;
        let definition = row.definition;
        let first_delete = !row.delete_begun;
        // Those that require what makes way for its successor require it no longer.
        let cut = match makes_way(self.state, id) {
            true => self.cut_requirers(id),
            false => Box::default(),
        };
        self.tell_makes_way(id, &cut);
        let effect = self.effect(id, Action::Delete, definition, None, item.not_after_ms);
        let requires = self.state.instance(id).row.requires.clone();
        let assignment = AssignmentRow {
            first_delete,
            cut,
            requires_before: requires.clone(),
            requires_after: requires,
            ..self.assignment(item, Action::Delete, definition, place)
        };
        self.edit(id, |row| {
            row.delete_begun = true;
            row.effect = Some(Box::new(effect));
            row.assignment = Some(Box::new(assignment));
        });
    }

    /// It is deleted although others stand on it, which people should not have to guess.
    fn tell_makes_way(&mut self, id: InstanceId, cut: &[InstanceId]) {
        let Some(first) = cut.first() else { return };
        let owner = self.state.instance(*first).row.resource;
        let first = &self.state.resource(owner).row.name;
        let more = match cut.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text =
            format!("makes way for its successor, though {first}{more} still referred to it");
        self.tell_instance(id, EventKind::Replacing, text);
    }

    fn assignment(
        &self,
        item: &AssignItem,
        action: Action,
        definition: Digest,
        place: Option<(u32, u32)>,
    ) -> AssignmentRow {
        AssignmentRow {
            engine: item.engine,
            token: Token(self.index),
            action,
            definition,
            not_after_ms: item.not_after_ms,
            chunk: place,
            lost: false,
            since_ms: self.stamp.state_ms,
            requires_before: Box::default(),
            requires_after: Box::default(),
            first_delete: false,
            cut: Box::default(),
        }
    }

    /// The effect aimed at: the one under way if it is the same goal, with its key; else a new one.
    fn effect(
        &self,
        id: InstanceId,
        action: Action,
        definition: Digest,
        aim: Option<Digest>,
        not_after_ms: u64,
    ) -> EffectRow {
        let same = self
            .state
            .instance(id)
            .row
            .effect
            .as_deref()
            .filter(|effect| {
                effect.action == action
                    && effect.definition == definition
                    && effect.aim == aim
                    && (aim.is_some() || action == Action::Delete)
            });
        match same {
            Some(effect) => EffectRow {
                not_after_ms: effect.not_after_ms.max(not_after_ms),
                ..effect.clone()
            },
            None => EffectRow {
                key: self.index,
                action,
                definition,
                aim,
                not_after_ms,
                in_doubt: false,
                seen_absent: false,
            },
        }
    }
}
