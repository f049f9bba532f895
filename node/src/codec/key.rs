//! Where rows are: which column family, under which key. Part of the durable format.
//!
//! A key is one byte for the kind of row, then its parts, numbers as eight bytes, most significant first, and
//! text last, so that keys sort by their parts and every part can be read back.

use anneal_statemachine::{
    digest::Digest,
    id::{InstanceId, RequestId, ResourceId, Revision, StackId, Subject, Text},
    row::RowKey,
};

use super::DecodeError;

/// Rows that a start reads whole: what memory is made from.
pub const STATE: &str = "state";
/// Definitions and blobs, under their digests; memory wants definitions without their bodies.
pub const CONTENT: &str = "content";
/// What instances offer and were made from: read one by one, never by the state machine.
pub const VALUES: &str = "values";
/// Earlier revisions and answered requests.
pub const HISTORY: &str = "history";
/// Events, by stack.
pub const EVENTS: &str = "events";

/// Every column family.
pub const FAMILIES: [&str; 5] = [STATE, CONTENT, VALUES, HISTORY, EVENTS];

const CLUSTER: u8 = 1;
const STACK: u8 = 2;
const RESOURCE: u8 = 3;
const INSTANCE: u8 = 4;
const TROUBLE_RESOURCE: u8 = 5;
const TROUBLE_INSTANCE: u8 = 6;
const ENGINE: u8 = 7;
const STAGE: u8 = 8;
const STAGED: u8 = 9;
const TOMBSTONE: u8 = 10;
const DEFINITION: u8 = 11;
const BLOB: u8 = 12;
const REFERENCE_ID: u8 = 13;
const ATTRIBUTE: u8 = 14;
const PRIVATE: u8 = 15;
const PROPERTIES: u8 = 16;
const REQUEST: u8 = 17;
const REVISION: u8 = 18;
const PAST: u8 = 19;

/// The column family of a row.
pub fn family(key: &RowKey) -> &'static str {
    match key {
        RowKey::Cluster
        | RowKey::Stack(_)
        | RowKey::Resource(_)
        | RowKey::Instance(_)
        | RowKey::Trouble(_)
        | RowKey::Engine(_)
        | RowKey::Stage(_)
        | RowKey::Staged(..)
        | RowKey::Tombstone(_) => STATE,
        RowKey::Definition(_) | RowKey::Blob(_) => CONTENT,
        RowKey::Attribute(..) | RowKey::Private(_) | RowKey::Properties(_) => VALUES,
        RowKey::Request(_) | RowKey::Revision(..) | RowKey::Past(..) => HISTORY,
    }
}

/// The key of a row within its family.
pub fn encode(key: &RowKey) -> Vec<u8> {
    match key {
        RowKey::Cluster => vec![CLUSTER],
        RowKey::Stack(stack) => build(STACK, &[stack.0], b""),
        RowKey::Resource(resource) => build(RESOURCE, &[resource.0], b""),
        RowKey::Instance(instance) => build(INSTANCE, &[instance.0], b""),
        RowKey::Trouble(Subject::Resource(id)) => build(TROUBLE_RESOURCE, &[id.0], b""),
        RowKey::Trouble(Subject::Instance(id)) => build(TROUBLE_INSTANCE, &[id.0], b""),
        RowKey::Engine(member) => build(ENGINE, &[*member], b""),
        RowKey::Stage(request) => build(STAGE, &[], &request.0),
        RowKey::Staged(request, item) => {
            let mut key = build(STAGED, &[], &request.0);
            key.extend_from_slice(&item.to_be_bytes());
            key
        }
        RowKey::Tombstone(instance) => build(TOMBSTONE, &[instance.0], b""),
        RowKey::Definition(digest) => build(DEFINITION, &[], &digest.0),
        RowKey::Blob(digest) => build(BLOB, &[], &digest.0),
        RowKey::Attribute(instance, None) => build(REFERENCE_ID, &[instance.0], b""),
        RowKey::Attribute(instance, Some(name)) => build(ATTRIBUTE, &[instance.0], name.as_bytes()),
        RowKey::Private(instance) => build(PRIVATE, &[instance.0], b""),
        RowKey::Properties(instance) => build(PROPERTIES, &[instance.0], b""),
        RowKey::Request(request) => build(REQUEST, &[], &request.0),
        RowKey::Revision(stack, revision) => build(REVISION, &[stack.0, revision.0], b""),
        RowKey::Past(stack, revision, name) => build(PAST, &[stack.0, revision.0], name.as_bytes()),
    }
}

/// The row that a key names.
pub fn decode(key: &[u8]) -> Result<RowKey, DecodeError> {
    let (&kind, parts) = key
        .split_first()
        .ok_or(DecodeError::Missing("the kind of a row"))?;
    let mut parts = Parts(parts);
    let key = match kind {
        CLUSTER => RowKey::Cluster,
        STACK => RowKey::Stack(StackId(parts.number()?)),
        RESOURCE => RowKey::Resource(ResourceId(parts.number()?)),
        INSTANCE => RowKey::Instance(InstanceId(parts.number()?)),
        TROUBLE_RESOURCE => RowKey::Trouble(Subject::Resource(ResourceId(parts.number()?))),
        TROUBLE_INSTANCE => RowKey::Trouble(Subject::Instance(InstanceId(parts.number()?))),
        ENGINE => RowKey::Engine(parts.number()?),
        STAGE => RowKey::Stage(RequestId(parts.take()?)),
        STAGED => RowKey::Staged(RequestId(parts.take()?), u32::from_be_bytes(parts.take()?)),
        TOMBSTONE => RowKey::Tombstone(InstanceId(parts.number()?)),
        DEFINITION => RowKey::Definition(Digest(parts.take()?)),
        BLOB => RowKey::Blob(Digest(parts.take()?)),
        REFERENCE_ID => RowKey::Attribute(InstanceId(parts.number()?), None),
        ATTRIBUTE => RowKey::Attribute(InstanceId(parts.number()?), Some(parts.text()?)),
        PRIVATE => RowKey::Private(InstanceId(parts.number()?)),
        PROPERTIES => RowKey::Properties(InstanceId(parts.number()?)),
        REQUEST => RowKey::Request(RequestId(parts.take()?)),
        REVISION => RowKey::Revision(StackId(parts.number()?), Revision(parts.number()?)),
        PAST => {
            let stack = StackId(parts.number()?);
            RowKey::Past(stack, Revision(parts.number()?), parts.text()?)
        }
        other => {
            return Err(DecodeError::Unknown {
                what: "kind of row",
                value: other.to_string(),
            });
        }
    };
    match parts.0 {
        [] => Ok(key),
        _ => Err(DecodeError::Malformed(
            "a row key is longer than its parts".into(),
        )),
    }
}

/// Start of the keys of all attributes of an instance but its reference id.
pub fn attributes_of(instance: InstanceId) -> Vec<u8> {
    build(ATTRIBUTE, &[instance.0], b"")
}

/// Start of the keys of all revisions of a stack.
pub fn revisions_of(stack: StackId) -> Vec<u8> {
    build(REVISION, &[stack.0], b"")
}

/// Start of the keys of what one revision of a stack replaced, resource by resource.
pub fn past_of(stack: StackId, revision: Revision) -> Vec<u8> {
    build(PAST, &[stack.0, revision.0], b"")
}

/// The key of an event; events of the cluster as a whole are under stack 0.
pub fn event(stack: Option<StackId>, index: u64, ordinal: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(20);
    key.extend_from_slice(&stack.map_or(0, |stack| stack.0).to_be_bytes());
    key.extend_from_slice(&index.to_be_bytes());
    key.extend_from_slice(&ordinal.to_be_bytes());
    key
}

/// The key of the log index at which a namespace last lost a stack, and with it that stack's events. No stack has the
/// id that it begins with.
pub fn removed_in(namespace: &str) -> Vec<u8> {
    let mut key = u64::MAX.to_be_bytes().to_vec();
    key.extend_from_slice(namespace.as_bytes());
    key
}

/// Stack, log index and place of an event.
pub fn decode_event(key: &[u8]) -> Result<(Option<StackId>, u64, u32), DecodeError> {
    let mut parts = Parts(key);
    let stack = Some(parts.number()?)
        .filter(|stack| *stack != 0)
        .map(StackId);
    Ok((stack, parts.number()?, u32::from_be_bytes(parts.take()?)))
}

/// The first key after all that begin with a prefix.
pub fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

fn build(kind: u8, numbers: &[u64], rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + 8 * numbers.len() + rest.len());
    key.push(kind);
    for number in numbers {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key.extend_from_slice(rest);
    key
}

struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (part, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| DecodeError::Malformed("a row key is cut short".into()))?;
        self.0 = rest;
        Ok(*part)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    fn text(&mut self) -> Result<Text, DecodeError> {
        let bytes = std::mem::take(&mut self.0);
        let text = std::str::from_utf8(bytes);
        Ok(text
            .map_err(|_| DecodeError::Malformed("a name in a row key is no text".into()))?
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_namespace_has_lost_is_kept_where_it_ever_was() {
        let key = removed_in("shop");
        assert_eq!(key, b"\xff\xff\xff\xff\xff\xff\xff\xffshop");
        // After every event, of any stack.
        assert!(key > event(Some(StackId(u64::MAX - 1)), u64::MAX, u32::MAX));
    }

    #[test]
    fn every_key_reads_back() {
        let (stack, instance) = (StackId(9), InstanceId(u64::MAX));
        let request = RequestId([7; 16]);
        let keys = [
            RowKey::Cluster,
            RowKey::Stack(stack),
            RowKey::Resource(ResourceId(5)),
            RowKey::Instance(instance),
            RowKey::Attribute(instance, None),
            RowKey::Attribute(instance, Some("".into())),
            RowKey::Attribute(instance, Some("path".into())),
            RowKey::Private(instance),
            RowKey::Properties(instance),
            RowKey::Trouble(Subject::Resource(ResourceId(5))),
            RowKey::Trouble(Subject::Instance(instance)),
            RowKey::Definition(Digest([3; 32])),
            RowKey::Blob(Digest([4; 32])),
            RowKey::Engine(1),
            RowKey::Request(request),
            RowKey::Revision(stack, Revision(2)),
            RowKey::Past(stack, Revision(2), "web/3/server".into()),
            RowKey::Stage(request),
            RowKey::Staged(request, 300),
            RowKey::Tombstone(instance),
        ];
        let mut encoded: Vec<_> = keys.iter().map(encode).collect();
        for (key, bytes) in keys.iter().zip(&encoded) {
            assert_eq!(decode(bytes).as_ref(), Ok(key));
        }
        encoded.sort();
        encoded.dedup();
        assert_eq!(encoded.len(), keys.len(), "two rows share a key");
    }

    #[test]
    fn a_key_of_another_shape_is_refused() {
        for key in [&b""[..], b"\x02short", b"\x02numbernumber", b"\xf0"] {
            assert!(decode(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(after(b"ab"), b"ac");
        assert_eq!(after(b"a\xff"), b"b");
        assert_eq!(after(b"\xff"), b"");
    }
}
