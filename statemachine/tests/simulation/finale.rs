//! The end of a history: faults off, everything driven on. It must come to rest within a bound, the world must be what
//! was declared, and one more round must do nothing. It judges by the world, not by the state.

use std::collections::{BTreeMap, BTreeSet};

use anneal_statemachine::command::{Change, CommandKind, Difference, Drift};
use anneal_statemachine::id::{InstanceId, ResourceId, StackId, Subject};
use anneal_statemachine::row::{Observed, Role};

use super::blueprint::{Blueprint, in_order};
use super::dice::Dice;
use super::engines::{Faults, Stage};
use super::laws::{Broken, broken};
use super::sim::Sim;
use super::users::Meant;
use super::world::{Content, attributes};
use crate::reference::{Obstacle, Phase, Reference};

/// Rounds of driving on within which everything must come to rest. A round lets every engine take every step that
/// it can; a resource needs a look, a delete and a create at most, times the length of the longest chain.
const MOST_ROUNDS: usize = 400;
/// How often people forgive failures before what still fails is taken to have its reasons.
const MOST_PARDONS: usize = 4;

impl Sim {
    /// Drives everything to its end and judges it.
    pub fn finish(&mut self, seed: u64) -> Result<(), Broken> {
        self.say(|| "--- the faults are off ---".into());
        let overrun = self.faults.overrun;
        self.faults = Faults::default();
        let mut dice = Dice::new(seed ^ 0xf1a1);
        let mut rounds = 0;
        if dice.percent(50) {
            // Everything has been judged by the time that the last calls land, if they still can.
            self.come_to_rest(&mut dice, &mut rounds)?;
        }
        self.faults.overrun = overrun;
        while !self.landing.is_empty() {
            self.land(&mut dice);
        }
        self.delayed.clear();
        let mut pardons = 0;
        loop {
            self.come_to_rest(&mut dice, &mut rounds)?;
            if self.mend(&mut pardons)? {
                continue;
            }
            if self.observe_all()? {
                continue;
            }
            break;
        }
        self.nothing_more()?;
        self.judge()?;
        self.reload_twin()?;
        self.replay()
    }

    fn come_to_rest(&mut self, dice: &mut Dice, rounds: &mut usize) -> Result<(), Broken> {
        loop {
            *rounds += 1;
            if *rounds > MOST_ROUNDS {
                let stuck = self.open_ends();
                return broken(
                    "it comes to rest",
                    format!("not within {MOST_ROUNDS} rounds: {stuck}"),
                );
            }
            for at in 0..self.engines.len() {
                self.engines[at].frozen = false;
                if self.engines[at].name.is_none() || self.is_unfit(at) {
                    self.register(at)?;
                }
                self.engines[at].lease_until_ms = self.now_ms + super::config::LEASE_MS;
            }
            let mut moved = self.tend(dice)?;
            moved |= self.dispatch_all(dice)?;
            moved |= self.move_all(dice)?;
            while !self.letters.is_empty() {
                moved = true;
                self.deliver(dice)?;
            }
            let queued = self.reference().wants_advance();
            if !moved && !queued && !self.pass_to_next_moment() {
                return Ok(());
            }
        }
    }

    fn dispatch_all(&mut self, dice: &mut Dice) -> Result<bool, Broken> {
        if self.lead.is_some() {
            return self.lead_to_the_end();
        }
        let mut moved = false;
        while self.dispatch(dice, true)? {
            moved = true;
        }
        Ok(moved)
    }

    /// Drained or unknown under its name: it has to register again.
    fn is_unfit(&self, at: usize) -> bool {
        let now = self.reference();
        let engine = &self.engines[at];
        now.engines.get(&engine.member).is_none_or(|row| {
            row.lease != anneal_statemachine::row::LeaseState::Live
                || engine
                    .name
                    .is_none_or(|name| name.incarnation != row.incarnation)
        })
    }

    fn move_all(&mut self, dice: &mut Dice) -> Result<bool, Broken> {
        let mut moved = false;
        for at in 0..self.engines.len() {
            for _ in 0..40 {
                let busy = self.with_engine(at, false, |engine, around, _| {
                    engine.fetch(around.rows);
                    engine
                        .running
                        .values()
                        .any(|r| !matches!(r.stage, Stage::Told(_)))
                });
                if !busy {
                    break;
                }
                moved = true;
                self.move_engine(at, dice)?;
            }
            // What was told and got lost on its way is told again.
            let again: Vec<_> = self.engines[at]
                .running
                .values()
                .filter_map(|running| match &running.stage {
                    Stage::Told(report) => Some((**report).clone()),
                    _ => None,
                })
                .filter(|report| !self.letters.contains(report))
                .collect();
            self.letters.extend(again);
        }
        Ok(moved)
    }

    /// Lets time pass to when something may start again. False if nothing waits for time.
    fn pass_to_next_moment(&mut self) -> bool {
        let now = self.reference();
        let work = super::leader::candidates(&now);
        let waits = work.iter().any(|c| {
            matches!(
                c.obstacle,
                Some(Obstacle::BackingOff | Obstacle::LateEffect)
            )
        });
        let running = now.instances.keys().any(|id| now.in_flight(*id));
        if waits || running {
            self.wait(200);
        }
        waits || running
    }

    /// People do their part: resume, decide, forgive. True if anything was done.
    fn mend(&mut self, pardons: &mut usize) -> Result<bool, Broken> {
        let now = self.reference();
        let held: Vec<InstanceId> = now
            .instances
            .keys()
            .filter(|id| now.waits_for_person(**id) && !now.in_flight(**id))
            .copied()
            .collect();
        let paused: Vec<String> = now
            .stacks
            .values()
            .filter(|row| row.paused && row.named)
            .map(|row| row.name.to_string())
            .collect();
        let mut done = false;
        for instance in held {
            if self
                .reference()
                .instances
                .get(&instance)
                .is_some_and(|row| row.observed == Observed::Unknown)
            {
                self.resolve(instance)?;
                done = true;
            }
        }
        for name in paused {
            let wall_ms = self.wall_ms();
            let entry = self.users.change(&name, Change::Resume, wall_ms);
            self.ask(
                vec![entry],
                &Meant {
                    stack: name,
                    blueprint: None,
                },
            )?;
            done = true;
        }
        if done || *pardons >= MOST_PARDONS {
            return Ok(done);
        }
        *pardons += 1;
        self.forgive()
    }

    /// Unchanged updates forget failures and stops.
    fn forgive(&mut self) -> Result<bool, Broken> {
        let now = self.reference();
        let unhappy: Vec<(StackId, String)> = now
            .stacks
            .iter()
            .filter(|(id, row)| {
                row.named && !row.deleting && (row.stop.is_some() || self.has_failures(**id))
            })
            .map(|(id, row)| (*id, row.name.to_string()))
            .collect();
        let deleting: Vec<String> = now
            .stacks
            .iter()
            .filter(|(id, row)| {
                row.named && row.deleting && (row.stop.is_some() || self.has_failures(**id))
            })
            .map(|(_, row)| row.name.to_string())
            .collect();
        let done = !unhappy.is_empty() || !deleting.is_empty();
        for (id, name) in unhappy {
            let base = self.reference().stacks[&id].revision;
            let wall_ms = self.wall_ms();
            let change = Change::Update {
                base,
                difference: Difference::default(),
            };
            let entry = self.users.change(&name, change, wall_ms);
            let meant = Meant {
                stack: name,
                blueprint: None,
            };
            if self.ask(vec![entry], &meant)?.is_none() {
                return broken("an unchanged update is taken", meant.stack);
            }
            self.coverage.note("failures are forgiven");
        }
        for name in deleting {
            let wall_ms = self.wall_ms();
            let entry = self
                .users
                .change(&name, Change::Delete { base: None }, wall_ms);
            let meant = Meant {
                stack: name,
                blueprint: Some(Blueprint::new()),
            };
            self.ask(vec![entry], &meant)?;
        }
        Ok(done)
    }

    fn has_failures(&self, stack: StackId) -> bool {
        let now = self.reference();
        let of_stack = |resource: ResourceId| {
            now.resources
                .get(&resource)
                .is_some_and(|r| r.stack == stack)
        };
        let resources = now
            .resources
            .iter()
            .filter(|(_, row)| row.stack == stack)
            .map(|(id, _)| *id);
        let instances = now
            .instances
            .iter()
            .filter(|(_, row)| of_stack(row.resource))
            .map(|(id, _)| *id);
        let subjects = resources
            .map(Subject::Resource)
            .chain(instances.map(Subject::Instance));
        subjects
            .into_iter()
            .any(|subject| now.trouble(subject).is_some_and(|t| t.failed))
    }

    /// A last look at everything. True if anything differed and is being healed.
    fn observe_all(&mut self) -> Result<bool, Broken> {
        self.observations.clear();
        let now = self.reference();
        let mut items: Vec<_> = now
            .current
            .iter()
            .filter(|(resource, _)| now.settled[resource])
            .filter_map(|(_, instance)| self.see(&now, *instance))
            .collect();
        items.retain(|item| {
            let row = now.instances[&item.instance];
            let same = item.seen == anneal_statemachine::command::Seen::Same;
            !same && row.drift.is_none()
        });
        let any = !items.is_empty();
        for item in items {
            self.report_seen(item)?;
        }
        Ok(any)
    }

    fn nothing_more(&mut self) -> Result<(), Broken> {
        for kind in [
            CommandKind::Advance,
            CommandKind::FireDeadlines,
            CommandKind::Assign { items: Vec::new() },
            CommandKind::Report { items: Vec::new() },
        ] {
            let what = format!("{kind:?}");
            self.propose(kind)?;
            if self.wrote > 0 {
                return broken("a converged state writes nothing", what);
            }
        }
        Ok(())
    }

    fn open_ends(&self) -> String {
        let now = self.reference();
        let work = super::leader::candidates(&now);
        let open: Vec<String> = work
            .iter()
            .filter(|c| c.obstacle != Some(Obstacle::NoNeed))
            .map(|c| format!("{:?}: {:?}", c.work, c.obstacle))
            .collect();
        format!("{open:#?}")
    }

    /// Everything is as declared, or has a declared reason not to be.
    fn judge(&mut self) -> Result<(), Broken> {
        self.check_declared()?;
        let now = self.reference();
        let excused = self.excused(&now);
        for (id, row) in &now.resources {
            let phase = now.phase(*id);
            if phase.is_some_and(|phase| phase != Phase::Settled) && !excused.contains(id) {
                let text = format!(
                    "r{id} ({}) ends {phase:?}: {:?}; {}",
                    row.name,
                    now.make_obstacle(*id),
                    self.open_ends()
                );
                return broken("everything converges", text);
            }
        }
        for (id, row) in &now.instances {
            if matches!(row.role, Role::Deposed { .. }) && !excused.contains(&row.resource) {
                return broken(
                    "everything unwanted goes",
                    format!("i{id} is left: {row:?}"),
                );
            }
        }
        for (id, row) in &now.stacks {
            if !row.named {
                return broken(
                    "everything unwanted goes",
                    format!("stack {id} is left: {row:?}"),
                );
            }
            if row.deleting && now.resources.values().all(|r| r.stack != *id) {
                return broken(
                    "an empty stack that is deleted goes",
                    format!("stack {id} is left: {row:?}"),
                );
            }
        }
        self.compare_with_world(&now, &excused)
    }

    /// Resources that can't be reached for a declared reason, and all that hangs on them.
    fn excused(&self, now: &Reference) -> BTreeSet<ResourceId> {
        let mut excused: BTreeSet<ResourceId> = BTreeSet::new();
        for (id, row) in &now.resources {
            let stopped = now.stacks[&row.stack].stop.is_some();
            let differ = now.wanted(*id) && now.hosts_differ(*id);
            let protected = now.is_protected(*id);
            if self.is_name_taken(now, *id) || differ || stopped || protected {
                excused.insert(*id);
            }
        }
        loop {
            let more: Vec<ResourceId> = now
                .resources
                .keys()
                .filter(|id| !excused.contains(id))
                .filter(|id| self.hangs_on(now, **id, &excused))
                .copied()
                .collect();
            if more.is_empty() {
                return excused;
            }
            excused.extend(more);
        }
    }

    /// It requires an excused one, or waits for the name of one, or an instance of it is still required by one of those.
    fn hangs_on(&self, now: &Reference, id: ResourceId, excused: &BTreeSet<ResourceId>) -> bool {
        let below = now.resources[&id]
            .requires
            .iter()
            .any(|below| excused.contains(below));
        let above = now
            .instances
            .iter()
            .filter(|(_, row)| row.resource == id)
            .any(|(instance, _)| {
                now.requirers.get(instance).is_some_and(|above| {
                    above
                        .iter()
                        .any(|a| excused.contains(&now.instances[a].resource))
                })
            });
        let name = match now.make_obstacle(id) {
            // Nobody looks whether what is deposed is still there.
            Some(Obstacle::NameHeld(holder)) => excused.contains(&now.instances[&holder].resource),
            _ => false,
        };
        below || above || name
    }

    /// Another object holds the name that this resource declares.
    fn is_name_taken(&self, now: &Reference, id: ResourceId) -> bool {
        let row = now.resources[&id];
        let blueprint = self.users.newest(row.stack, now);
        let Some(declared) = blueprint.get(&*row.name) else {
            return false;
        };
        let Some(name) = declared.name.as_ref().filter(|_| now.wanted(id)) else {
            return false;
        };
        let mine = now.current.get(&id).map(|i| now.instances[i].origin.0);
        self.world
            .objects
            .values()
            .any(|o| o.kind == declared.kind && &o.physical == name && Some(o.tag) != mine)
    }

    fn compare_with_world(
        &self,
        now: &Reference,
        excused: &BTreeSet<ResourceId>,
    ) -> Result<(), Broken> {
        for (stack, row) in &now.stacks {
            let blueprint = if row.deleting {
                Blueprint::new()
            } else {
                self.users.newest(*stack, now)
            };
            let mut values = BTreeMap::new();
            for name in in_order(&blueprint) {
                let declared = &blueprint[&name];
                let Some(id) = now.names.get(&(*stack, name.as_str().into())) else {
                    continue;
                };
                if declared.disabled || excused.contains(id) {
                    continue;
                }
                let content = self.expected(&values, declared);
                let instance = now.current[id];
                let physical = now.instances[&instance]
                    .physical_id
                    .as_deref()
                    .unwrap_or_default()
                    .to_owned();
                if !self.world.kinds[declared.kind].derived {
                    let drift = now.policy(*id).drift.unwrap_or(row.options.drift);
                    self.object_is(now, instance, &content, drift)?;
                }
                for (attribute, value) in attributes(&physical, &content) {
                    values.insert((name.clone(), attribute), value);
                }
            }
        }
        self.no_orphans(now)
    }

    fn expected(
        &self,
        values: &BTreeMap<(String, String), Vec<u8>>,
        declared: &super::blueprint::Declared,
    ) -> Content {
        let body = declared.body();
        let value =
            |name: &str, attribute: &str| values.get(&(name.into(), attribute.into())).cloned();
        let evaluated = super::blueprint::evaluate(&body, value);
        evaluated
            .expect("everything below is settled, or excused with this")
            .1
    }

    fn object_is(
        &self,
        now: &Reference,
        instance: InstanceId,
        content: &Content,
        drift: Drift,
    ) -> Result<(), Broken> {
        let row = now.instances[&instance];
        let objects: Vec<_> = self
            .world
            .objects_of(row.origin.0)
            .map(|(_, o)| o)
            .filter(|o| {
                Some(o.physical.as_str()) == row.physical_id.as_deref() || !self.world.is_surplus(o)
            })
            .collect();
        if row.drift.is_some() && drift == Drift::Report {
            return Ok(());
        }
        match &objects[..] {
            [object]
                if object.content == *content
                    && Some(object.physical.as_str()) == row.physical_id.as_deref() =>
            {
                Ok(())
            }
            others => broken(
                "the world is as declared",
                format!(
                    "i{instance} should be {content:?} as {:?}, there is {others:?}",
                    row.physical_id
                ),
            ),
        }
    }

    fn no_orphans(&self, now: &Reference) -> Result<(), Broken> {
        let known: BTreeSet<u64> = now.instances.values().map(|row| row.origin.0).collect();
        let objects = self.world.objects.values();
        for object in objects.filter(|object| !self.world.is_surplus(object)) {
            if !known.contains(&object.tag) && !self.left_on_purpose.contains(&object.tag) {
                return broken("no orphans", format!("nobody knows {object:?}"));
            }
        }
        for (id, row) in &now.instances {
            let there =
                row.traits.derived_id || self.world.objects_of(row.origin.0).next().is_some();
            // What waits to be deleted is not observed: that somebody removed it comes out with its deletion.
            let removed = row.role != Role::Current && self.world.is_bereaved(row.origin.0);
            let told = row.drift.is_some() || now.is_protected(row.resource) || removed;
            if matches!(row.observed, Observed::Present { .. })
                && !there
                && !told
                && now.settled[&row.resource]
            {
                return broken("nothing is lost", format!("i{id} has no object: {row:?}"));
            }
        }
        Ok(())
    }
}
