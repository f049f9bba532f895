//! How much each engine has, and where the next action goes.
//!
//! Pure: time is an argument. Knows nothing of stacks or leases: it is told which engines take work. Two kinds of load are
//! counted apart: calls, which wait for an outside world, and inline actions of types that have none, which
//! cost an engine some microseconds each and travel in large batches. Engines with room are kept in the order of their
//! load, so that a choice costs what it passes over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::window::Window;

/// What an action costs its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A provider call of its own.
    Call,
    /// A type with no outside.
    Inline,
}

impl Weight {
    const ALL: [Self; 2] = [Self::Call, Self::Inline];
}

/// What part of what an engine can take it has, in this many parts: what is compared is a whole number.
const FULL: u64 = 1 << 20;

/// What is known of one engine.
#[derive(Clone, Debug, Default)]
struct Room {
    /// Provider calls at a time.
    capacity: u32,
    /// Calls that it has been given.
    calls: u32,
    /// Inline actions that it has been given.
    inline: u32,
    window: Window,
}

impl Room {
    /// What it has and what it may have, of this weight.
    fn of(&self, weight: Weight) -> (u32, u32) {
        match weight {
            Weight::Call => (self.calls, self.capacity),
            Weight::Inline => (self.inline, self.window.size()),
        }
    }

    fn free(&self, weight: Weight) -> u32 {
        let (has, most) = self.of(weight);
        most.saturating_sub(has)
    }

    /// Its place among those with room, if it has some.
    fn place(&self, weight: Weight) -> Option<u64> {
        let (has, most) = self.of(weight);
        (has < most).then(|| u64::from(has) * FULL / u64::from(most))
    }

    fn count(&mut self, weight: Weight) -> &mut u32 {
        match weight {
            Weight::Call => &mut self.calls,
            Weight::Inline => &mut self.inline,
        }
    }

    fn is_idle(&self) -> bool {
        self.calls == 0 && self.inline == 0
    }
}

/// The engines that take work, with what they have.
#[derive(Debug)]
pub struct Loads<E> {
    rooms: BTreeMap<E, Room>,
    /// What those have that take no work now: an engine that is out of reach for a moment goes on with what it was given.
    away: BTreeMap<E, Room>,
    /// Those with room, the least loaded first.
    calls: BTreeSet<(u64, E)>,
    inline: BTreeSet<(u64, E)>,
}

impl<E> Default for Loads<E> {
    fn default() -> Self {
        Self {
            rooms: BTreeMap::new(),
            away: BTreeMap::new(),
            calls: BTreeSet::new(),
            inline: BTreeSet::new(),
        }
    }
}

impl<E: Ord + Copy> Loads<E> {
    /// Takes in which engines take work, in their order. Counts are kept, also of those that do not.
    pub fn engines(&mut self, engines: impl Iterator<Item = (E, u32)> + Clone) {
        let known = self
            .rooms
            .iter()
            .map(|(engine, room)| (*engine, room.capacity));
        if engines.clone().eq(known) {
            return;
        }
        self.away.append(&mut self.rooms);
        self.calls.clear();
        self.inline.clear();
        for (engine, capacity) in engines {
            let room = Room {
                capacity,
                ..self.away.remove(&engine).unwrap_or_default()
            };
            for weight in Weight::ALL {
                let place = room.place(weight);
                self.order(weight)
                    .extend(place.map(|place| (place, engine)));
            }
            self.rooms.insert(engine, room);
        }
        self.away.retain(|_, room| !room.is_idle());
    }

    /// The least loaded engine with room, among those that `fits` admits.
    pub fn lightest(&self, weight: Weight, mut fits: impl FnMut(&E) -> bool) -> Option<E> {
        let order = match weight {
            Weight::Call => &self.calls,
            Weight::Inline => &self.inline,
        };
        let mut engines = order.iter().map(|(_, engine)| *engine);
        engines.find(|engine| fits(engine))
    }

    /// The least loaded of these with room.
    pub fn lightest_of(&self, weight: Weight, engines: impl Iterator<Item = E>) -> Option<E> {
        let place = |engine: E| Some((self.rooms.get(&engine)?.place(weight)?, engine));
        engines.filter_map(place).min().map(|(_, engine)| engine)
    }

    /// What an engine has room for.
    pub fn free(&self, engine: &E, weight: Weight) -> u32 {
        self.rooms.get(engine).map_or(0, |room| room.free(weight))
    }

    /// An engine is given an action.
    pub fn add(&mut self, engine: E, weight: Weight) {
        self.change(engine, weight, |room| {
            *room.count(weight) += 1;
            if room.free(Weight::Inline) == 0 {
                room.window.filled();
            }
        });
    }

    /// An engine has one action less.
    pub fn remove(&mut self, engine: E, weight: Weight) {
        self.change(engine, weight, |room| {
            let count = room.count(weight);
            *count = count.saturating_sub(1);
        });
    }

    /// An inline action that was given to an engine so long ago has ended now.
    pub fn took(&mut self, engine: E, way: Duration, now: Instant) {
        self.change(engine, Weight::Inline, |room| room.window.took(way, now));
    }

    /// Whether any engine at all could take an action of this weight.
    pub fn any_room(&self, weight: Weight) -> bool {
        match weight {
            Weight::Call => !self.calls.is_empty(),
            Weight::Inline => !self.inline.is_empty(),
        }
    }

    /// How many inline actions all engines that take work may have.
    pub fn most_inline(&self) -> u64 {
        let rooms = self.rooms.values();
        rooms.map(|room| u64::from(room.window.size())).sum()
    }

    fn order(&mut self, weight: Weight) -> &mut BTreeSet<(u64, E)> {
        match weight {
            Weight::Call => &mut self.calls,
            Weight::Inline => &mut self.inline,
        }
    }

    /// Changes what an engine has of a weight, and its place.
    fn change(&mut self, engine: E, weight: Weight, change: impl FnOnce(&mut Room)) {
        let Some(room) = self.rooms.get_mut(&engine) else {
            return change(self.away.entry(engine).or_default());
        };
        let before = room.place(weight);
        change(room);
        let after = room.place(weight);
        if before == after {
            return;
        }
        let order = self.order(weight);
        if let Some(place) = before {
            order.remove(&(place, engine));
        }
        order.extend(after.map(|place| (place, engine)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_spread_in_proportion_to_capacity() {
        let mut loads = Loads::default();
        loads.engines([(1, 10), (2, 20)].into_iter());
        for _ in 0..30 {
            let engine = loads.lightest(Weight::Call, |_| true).expect("room");
            loads.add(engine, Weight::Call);
        }
        assert_eq!(loads.rooms[&1].calls, 10);
        assert_eq!(loads.rooms[&2].calls, 20);
        assert_eq!(loads.lightest(Weight::Call, |_| true), None, "all are full");
        assert!(loads.any_room(Weight::Inline), "inline work still fits");
    }

    #[test]
    fn what_does_not_fit_elsewhere_waits_for_its_host() {
        let mut loads = Loads::default();
        loads.engines([(1, 1), (2, 1)].into_iter());
        loads.add(1, Weight::Call);
        assert_eq!(loads.lightest(Weight::Call, |engine| *engine == 1), None);
        loads.remove(1, Weight::Call);
        assert_eq!(loads.lightest(Weight::Call, |engine| *engine == 1), Some(1));
    }

    #[test]
    fn an_engine_that_was_out_of_reach_still_has_what_it_had() {
        let mut loads = Loads::default();
        loads.engines([(1, 4)].into_iter());
        loads.add(1, Weight::Call);
        loads.add(1, Weight::Call);
        loads.engines([(2, 4)].into_iter());
        assert_eq!(loads.free(&1, Weight::Call), 0, "it takes nothing");
        loads.remove(1, Weight::Call);
        loads.engines([(1, 4), (2, 4)].into_iter());
        assert_eq!(loads.free(&1, Weight::Call), 3);
    }

    #[test]
    fn one_that_is_gone_and_has_nothing_is_forgotten() {
        let mut loads = Loads::default();
        loads.engines([(1, 4)].into_iter());
        loads.add(1, Weight::Call);
        loads.engines([].into_iter());
        loads.remove(1, Weight::Call);
        loads.engines([(2, 4)].into_iter());
        assert!(loads.away.is_empty());
    }
}
