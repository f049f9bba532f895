//! How much each engine has, and where the next action goes.
//!
//! Pure. Knows nothing of stacks or leases: it is told which engines take work. Two kinds of load are counted
//! apart: calls, which wait for an outside world, and inline actions of types that have none, which
//! cost an engine some microseconds each and travel in large batches.

use std::collections::BTreeMap;

/// What an action costs its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A provider call of its own.
    Call,
    /// A type with no outside.
    Inline,
}

/// Inline actions that an engine may have at a time: enough to keep it busy over some commits, and few enough that
/// what comes after them, of another stack, waits for some tenths of a second only.
pub const INLINE_CAPACITY: u32 = 1_024;

/// What is known of one engine that takes work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Provider calls at a time.
    pub capacity: u32,
    /// Calls that it has been given.
    pub calls: u32,
    /// Inline actions that it has been given.
    pub inline: u32,
}

impl Room {
    /// What is free for actions of this weight.
    pub fn free(&self, weight: Weight) -> u32 {
        match weight {
            Weight::Call => self.capacity.saturating_sub(self.calls),
            Weight::Inline => INLINE_CAPACITY.saturating_sub(self.inline),
        }
    }

    /// Whether this one is less loaded than another, in proportion to what each can take.
    fn lighter_than(&self, other: &Self, weight: Weight) -> bool {
        let (mine, theirs) = match weight {
            Weight::Call => (
                u64::from(self.calls) * u64::from(other.capacity),
                u64::from(other.calls) * u64::from(self.capacity),
            ),
            Weight::Inline => (u64::from(self.inline), u64::from(other.inline)),
        };
        mine < theirs
    }
}

/// The engines that take work, with what they have.
#[derive(Debug)]
pub struct Loads<E> {
    rooms: BTreeMap<E, Room>,
    /// What those have that take no work now: an engine that is out of reach for a moment goes on with what it was given.
    away: BTreeMap<E, Room>,
}

impl<E> Default for Loads<E> {
    fn default() -> Self {
        Self {
            rooms: BTreeMap::new(),
            away: BTreeMap::new(),
        }
    }
}

impl<E: Ord + Copy> Loads<E> {
    /// Takes in which engines take work. Counts are kept, also of those that do not.
    pub fn engines(&mut self, engines: impl IntoIterator<Item = (E, u32)>) {
        self.away.append(&mut self.rooms);
        for (engine, capacity) in engines {
            let (calls, inline) = self
                .away
                .remove(&engine)
                .map_or((0, 0), |room| (room.calls, room.inline));
            let room = Room {
                capacity,
                calls,
                inline,
            };
            self.rooms.insert(engine, room);
        }
        self.away
            .retain(|_, room| room.calls > 0 || room.inline > 0);
    }

    /// The least loaded engine with room, among those that `fits` admits.
    pub fn lightest(&self, weight: Weight, mut fits: impl FnMut(&E) -> bool) -> Option<E> {
        let mut best: Option<(&E, &Room)> = None;
        for (engine, room) in &self.rooms {
            let lighter = best.is_none_or(|(_, other)| room.lighter_than(other, weight));
            // Whether it fits is by far the dearest question: it is asked of few.
            if room.free(weight) > 0 && lighter && fits(engine) {
                best = Some((engine, room));
            }
        }
        best.map(|(engine, _)| *engine)
    }

    /// What an engine has room for.
    pub fn free(&self, engine: &E, weight: Weight) -> u32 {
        self.rooms.get(engine).map_or(0, |room| room.free(weight))
    }

    /// An engine is given an action.
    pub fn add(&mut self, engine: E, weight: Weight) {
        let room = match self.rooms.get_mut(&engine) {
            Some(room) => room,
            None => self.away.entry(engine).or_default(),
        };
        *Self::count(room, weight) += 1;
    }

    /// An engine has one action less.
    pub fn remove(&mut self, engine: E, weight: Weight) {
        let room = self.rooms.get_mut(&engine);
        if let Some(room) = room.or_else(|| self.away.get_mut(&engine)) {
            let count = Self::count(room, weight);
            *count = count.saturating_sub(1);
        }
    }

    /// Whether any engine at all could take an action of this weight.
    pub fn any_room(&self, weight: Weight) -> bool {
        self.rooms.values().any(|room| room.free(weight) > 0)
    }

    fn count(room: &mut Room, weight: Weight) -> &mut u32 {
        match weight {
            Weight::Call => &mut room.calls,
            Weight::Inline => &mut room.inline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_spread_in_proportion_to_capacity() {
        let mut loads = Loads::default();
        loads.engines([(1, 10), (2, 20)]);
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
        loads.engines([(1, 1), (2, 1)]);
        loads.add(1, Weight::Call);
        assert_eq!(loads.lightest(Weight::Call, |engine| *engine == 1), None);
        loads.remove(1, Weight::Call);
        assert_eq!(loads.lightest(Weight::Call, |engine| *engine == 1), Some(1));
    }

    #[test]
    fn an_engine_that_was_out_of_reach_still_has_what_it_had() {
        let mut loads = Loads::default();
        loads.engines([(1, 4)]);
        loads.add(1, Weight::Call);
        loads.add(1, Weight::Call);
        loads.engines([(2, 4)]);
        assert_eq!(loads.free(&1, Weight::Call), 0, "it takes nothing");
        loads.remove(1, Weight::Call);
        loads.engines([(1, 4), (2, 4)]);
        assert_eq!(loads.free(&1, Weight::Call), 3);
    }

    #[test]
    fn one_that_is_gone_and_has_nothing_is_forgotten() {
        let mut loads = Loads::default();
        loads.engines([(1, 4)]);
        loads.add(1, Weight::Call);
        loads.engines([]);
        loads.remove(1, Weight::Call);
        loads.engines([(2, 4)]);
        assert!(loads.away.is_empty());
    }
}
