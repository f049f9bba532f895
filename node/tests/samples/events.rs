//! Events: one for every kind, by its word.

use anneal_statemachine::{
    event::{Event, EventKind},
    id::{InstanceId, ResourceId, Revision, StackId},
};

use super::{Sample, sample};

pub(crate) fn all() -> Vec<Sample<Event>> {
    let event = |kind| Event {
        index: 70,
        ordinal: 2,
        wall_ms: 1_700_000_000_000,
        stack: Some(StackId(9)),
        resource: Some((ResourceId(4), "web/3/server".into())),
        instance: Some(InstanceId(5)),
        revision: Revision(6),
        kind,
        text: "in words".into(),
    };
    let mut all: Vec<_> = EventKind::ALL
        .iter()
        .map(|kind| sample(kind.word(), event(*kind)))
        .collect();
    let bare = Event {
        stack: None,
        resource: None,
        instance: None,
        text: String::new(),
        ..event(EventKind::EngineRegistered)
    };
    all.push(sample("of_the_cluster", bare));
    all
}

/// Events of one entry about one stack.
pub(crate) fn of_one_entry() -> Vec<Sample<Vec<Event>>> {
    let first = all().remove(0).value;
    let later = Event {
        ordinal: 5,
        resource: Some((ResourceId(8), "web/4/server".into())),
        text: "later".into(),
        ..first.clone()
    };
    let bare = Event {
        ordinal: 9,
        resource: None,
        instance: None,
        kind: EventKind::Converged,
        ..first.clone()
    };
    vec![sample("three", vec![first, later, bare])]
}
