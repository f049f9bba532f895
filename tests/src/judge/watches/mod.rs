//! Watches: ordered, unique, without a gap, resumable, the same for everybody, never of what was not committed.
//!
//! Several watchers record what they hear. What one of them heard, every other that covers that part of the log must
//! have heard too, and word for word: an event of an entry that was not committed would be in one recording alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// After the last event of an entry.
const END_OF_ENTRY: u32 = u32::MAX;

/// An event as it was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The log index.
    pub index: u64,
    /// Its place within the index.
    pub sequence: u32,
    /// When the entry was made. Milliseconds since 1970.
    pub time_ms: u64,
    /// The stack's id.
    pub stack_id: u64,
    /// Its name.
    pub stack: String,
    /// The resource; empty: the stack itself.
    pub resource: String,
    /// What kind of event.
    pub kind: String,
    /// In words.
    pub text: String,
}

impl Event {
    fn place(&self) -> Place {
        (self.index, self.sequence)
    }
}

/// A log index and a place within it.
pub type Place = (u64, u32);

/// What a watch is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every stack of the namespace.
    All,
    /// The stack that had this name when it began.
    Named(String),
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With what comes.
    Now,
    /// With the oldest that is kept.
    Oldest,
    /// After what was heard before.
    After(Place),
}

/// One thing that was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// Something happened.
    Event(Event),
    /// Everything up to this index was said.
    Progress(u64),
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The watcher, or the connection, broke it off.
    Broken,
    /// The stack is gone, and everything about it was said.
    Gone,
    /// The member said that its history no longer reaches back: an error, where there would have been a gap.
    HistoryGone,
}

/// What one watch heard from its beginning to its end: of one stream of one member, or of a client that goes from one to
/// the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Who watched.
    pub watcher: String,
    /// What.
    pub scope: Scope,
    /// From where.
    pub start: Start,
    /// What it heard, in order.
    pub heard: Vec<Heard>,
    /// How it ended.
    pub end: End,
}

impl Recording {
    fn events(&self) -> impl Iterator<Item = &Event> {
        self.heard.iter().filter_map(|heard| match heard {
            Heard::Event(event) => Some(event),
            Heard::Progress(_) => None,
        })
    }

    /// After what, and up to what, it has heard everything, as it was told.
    fn covers(&self) -> Option<(Place, Place)> {
        let mut begins = match self.start {
            Start::After(place) => Some(place),
            Start::Now | Start::Oldest => None,
        };
        let mut ends = begins;
        for heard in &self.heard {
            let place = match heard {
                Heard::Event(event) => event.place(),
                Heard::Progress(index) => (*index, END_OF_ENTRY),
            };
            if begins.is_none() && matches!(heard, Heard::Progress(_)) {
                begins = Some(place);
            }
            ends = ends.max(Some(place));
        }
        Some((begins?, ends?))
    }

    fn name(&self) -> String {
        let Self {
            watcher,
            scope,
            start,
            ..
        } = self;
        format!("{watcher} ({scope:?} from {start:?})")
    }
}

/// Every event that anybody heard, by its place.
pub fn all_events(recordings: &[Recording]) -> BTreeMap<Place, &Event> {
    let events = recordings.iter().flat_map(Recording::events);
    events.map(|event| (event.place(), event)).collect()
}

/// What is wrong with the recordings, each for itself and one against the other.
pub fn broken_watches(recordings: &[Recording]) -> Vec<String> {
    let mut guilty = Vec::new();
    let mut union: BTreeMap<Place, (&Event, &Recording)> = BTreeMap::new();
    for recording in recordings {
        guilty.extend(out_of_order(recording));
        for event in recording.events() {
            let (first, heard_by) = union.entry(event.place()).or_insert((event, recording));
            if *first != event {
                guilty.push(format!(
                    "{} heard {event:?}, and {} heard {first:?}",
                    recording.name(),
                    heard_by.name()
                ));
            }
        }
    }
    for recording in recordings {
        guilty.extend(gaps(recording, &union));
    }
    guilty
}

/// Each event once, after the cursor, in the order of the log, and none of what was said to be over.
fn out_of_order(recording: &Recording) -> Vec<String> {
    let mut guilty = Vec::new();
    let mut last = match recording.start {
        Start::After(place) => place,
        Start::Now | Start::Oldest => (0, 0),
    };
    let mut id = None;
    for heard in &recording.heard {
        match heard {
            Heard::Event(event) => {
                if event.place() <= last {
                    guilty.push(format!(
                        "{} heard {event:?} after {last:?}",
                        recording.name()
                    ));
                }
                let own = *id.get_or_insert(event.stack_id);
                let is_of_another = match &recording.scope {
                    Scope::All => false,
                    Scope::Named(name) => *name != event.stack || own != event.stack_id,
                };
                if is_of_another {
                    guilty.push(format!(
                        "{} heard {event:?}, which is none of its stack",
                        recording.name()
                    ));
                }
                last = last.max(event.place());
            }
            Heard::Progress(index) => {
                if *index < last.0 {
                    guilty.push(format!(
                        "{} heard that all is said up to {index} after {last:?}",
                        recording.name()
                    ));
                }
                last = last.max((*index, END_OF_ENTRY));
            }
        }
    }
    guilty
}

/// What others heard in the part of the log that a recording covers, and it did not.
fn gaps(recording: &Recording, union: &BTreeMap<Place, (&Event, &Recording)>) -> Vec<String> {
    let Some((begins, mut ends)) = recording.covers() else {
        return Vec::new();
    };
    let id = match recording.scope {
        Scope::All => None,
        Scope::Named(_) => match recording.events().next() {
            Some(event) => Some(event.stack_id),
            // Which stack it was of can't be told.
            None => return Vec::new(),
        },
    };
    if recording.end == End::Gone {
        // That it is gone is the last word about it, whatever is found of it later.
        let last_word = union.range(begins..).find(|(_, (event, _))| {
            event.kind == "deleted" && id.is_none_or(|id| id == event.stack_id)
        });
        ends = last_word.map_or(ends, |(place, _)| ends.max(*place));
    }
    let heard: BTreeMap<Place, &Event> = recording
        .events()
        .map(|event| (event.place(), event))
        .collect();
    let between = union.range(begins..=ends).filter(|(place, (event, _))| {
        **place > begins && id.is_none_or(|id| id == event.stack_id) && !heard.contains_key(*place)
    });
    let told = between.map(|(_, (event, by))| {
        let (name, by) = (recording.name(), by.name());
        format!("{name} missed {event:?}, which {by} heard")
    });
    told.collect()
}

/// Whether some recording of all stacks has heard everything that there is at a log index.
pub fn is_covered(recordings: &[Recording], index: u64) -> bool {
    let covers = |recording: &Recording| {
        let Some((begins, ends)) = recording.covers() else {
            return false;
        };
        begins < (index, 0) && (index, END_OF_ENTRY) <= ends
    };
    let all = recordings.iter().filter(|one| one.scope == Scope::All);
    all.into_iter().any(covers)
}

/// The stacks and revisions that events tell of, with their log indexes; and what is guilty: revisions of a stack that
/// somebody did not hear counted up one by one.
pub fn revisions(recordings: &[Recording]) -> (BTreeMap<(u64, u64), u64>, Vec<String>) {
    let mut revisions = BTreeMap::new();
    let mut guilty = Vec::new();
    for recording in recordings {
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        for event in recording.events().filter(|event| event.kind == "revised") {
            let words = event.text.trim_start_matches("revision ");
            let digits = words.split(':').next().unwrap_or_default();
            let Ok(revision) = digits.parse::<u64>() else {
                guilty.push(format!("{event:?} names no revision"));
                continue;
            };
            // What was before its beginning it does not know.
            let before = newest.insert(event.stack_id, revision);
            if before.is_some_and(|before| revision != before + 1) {
                guilty.push(format!("{event:?} came after revision {before:?}"));
            }
            revisions.insert((event.stack_id, revision), event.index);
        }
    }
    (revisions, guilty)
}

#[cfg(test)]
mod tests;
