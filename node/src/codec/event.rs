//! Events as rows; what their key says is not said again.

use anneal_proto::log::v1 as proto;
use anneal_statemachine::{
    event::{Event, EventKind},
    id::{InstanceId, ResourceId, Revision},
};
use bytes::Bytes;
use prost::Message;

use super::{DecodeError, key, parts};

/// The key of an event.
pub fn event_key(event: &Event) -> Vec<u8> {
    key::event(event.stack, event.index, event.ordinal)
}

/// The bytes of an event.
pub fn encode_event(event: &Event) -> Vec<u8> {
    let (resource, resource_name) = match &event.resource {
        Some((id, name)) => (Some(id.0), parts::text(name)),
        None => (None, String::new()),
    };
    let row = proto::EventRow {
        wall_ms: event.wall_ms,
        resource,
        resource_name,
        instance: event.instance.map(|instance| instance.0),
        revision: event.revision.0,
        kind: event.kind.word().to_owned(),
        text: event.text.clone(),
    };
    row.encode_to_vec()
}

/// The event under a key.
pub fn decode_event(key: &[u8], bytes: Bytes) -> Result<Event, DecodeError> {
    let (stack, index, ordinal) = key::decode_event(key)?;
    let row = proto::EventRow::decode(bytes)?;
    let known = EventKind::ALL.iter().find(|kind| kind.word() == row.kind);
    let unknown = || DecodeError::Unknown {
        what: "kind of event",
        value: row.kind.clone(),
    };
    let kind = *known.ok_or_else(unknown)?;
    Ok(Event {
        index,
        ordinal,
        wall_ms: row.wall_ms,
        stack,
        resource: row
            .resource
            .map(|id| (ResourceId(id), row.resource_name.into())),
        instance: row.instance.map(InstanceId),
        revision: Revision(row.revision),
        kind,
        text: row.text,
    })
}
