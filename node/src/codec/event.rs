//! Events as rows; what their key says is not said again.

use std::collections::BTreeMap;

use anneal_proto::log::v1 as proto;
use anneal_statemachine::{
    event::{Event, EventKind},
    id::{InstanceId, ResourceId, Revision, StackId},
};
use bytes::Bytes;
use prost::Message;

use super::{DecodeError, key, parts};

/// Events of one row at most: what a reader of a few of them reads besides.
const TOGETHER: usize = 64;

/// The rows of the events of one entry.
pub fn event_rows(events: &[Event]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut by_stack: BTreeMap<Option<StackId>, Vec<&Event>> = BTreeMap::new();
    for event in events {
        by_stack.entry(event.stack).or_default().push(event);
    }
    by_stack.into_values().flat_map(|events| {
        let rows = events.chunks(TOGETHER);
        let rows = rows.map(|row| (event_key(row[0]), encode_events(row)));
        rows.collect::<Vec<_>>()
    })
}

/// The key of the row that begins with an event.
pub fn event_key(event: &Event) -> Vec<u8> {
    key::event(event.stack, event.index, event.ordinal)
}

/// The bytes of events of one entry about one stack.
///
/// # Panics
/// If there are none.
pub fn encode_events(events: &[&Event]) -> Vec<u8> {
    let (first, later) = events.split_first().expect("a row is of some event");
    let wall_ms = first.wall_ms;
    let first = later_event(first);
    let row = proto::EventRow {
        wall_ms,
        resource: first.resource,
        resource_name: first.resource_name,
        instance: first.instance,
        revision: first.revision,
        kind: first.kind,
        text: first.text,
        later: later.iter().map(|event| later_event(event)).collect(),
    };
    row.encode_to_vec()
}

fn later_event(event: &Event) -> proto::LaterEvent {
    let (resource, resource_name) = match &event.resource {
        Some((id, name)) => (Some(id.0), parts::text(name)),
        None => (None, String::new()),
    };
    proto::LaterEvent {
        ordinal: event.ordinal,
        resource,
        resource_name,
        instance: event.instance.map(|instance| instance.0),
        revision: event.revision.0,
        kind: event.kind.word().to_owned(),
        text: event.text.clone(),
    }
}

/// The events under a key.
pub fn decode_events(key: &[u8], bytes: Bytes) -> Result<Vec<Event>, DecodeError> {
    let (stack, index, ordinal) = key::decode_event(key)?;
    let row = proto::EventRow::decode(bytes)?;
    let wall_ms = row.wall_ms;
    let first = proto::LaterEvent {
        ordinal,
        resource: row.resource,
        resource_name: row.resource_name,
        instance: row.instance,
        revision: row.revision,
        kind: row.kind,
        text: row.text,
    };
    let events = std::iter::once(first).chain(row.later).map(|event| {
        let known = EventKind::ALL.iter().find(|kind| kind.word() == event.kind);
        let kind = *known.ok_or_else(|| DecodeError::Unknown {
            what: "kind of event",
            value: event.kind.clone(),
        })?;
        let name = event.resource_name;
        Ok(Event {
            index,
            ordinal: event.ordinal,
            wall_ms,
            stack,
            resource: event.resource.map(|id| (ResourceId(id), name.into())),
            instance: event.instance.map(InstanceId),
            revision: Revision(event.revision),
            kind,
            text: event.text,
        })
    });
    events.collect()
}
