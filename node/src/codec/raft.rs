//! Log entries, votes and memberships as protobuf, and the record that a log entry is on disk.
//!
//! Knows nothing of commands: to it they are bytes.

use std::collections::{BTreeMap, BTreeSet};

use anneal_proto::log::v1 as proto;
use bytes::{BufMut, Bytes, BytesMut};
use openraft::vote::RaftLeaderId;
use prost::Message;

use super::{DecodeError, required};
use crate::replica::types::{
    Entry, EntryPayload, LeadershipId, LogId, MemberNode, Membership, Proposal, StoredMembership,
    Vote,
};

/// Bytes of a log record before its entry: a CRC-32C.
const CRC_BYTES: usize = 4;

/// A log id for the wire.
pub fn log_id(id: &LogId) -> proto::LogId {
    proto::LogId {
        term: id.leader_id.term,
        leader_id: id.leader_id.node_id,
        index: id.index,
    }
}

/// A log id from the wire.
pub fn read_log_id(id: proto::LogId) -> LogId {
    LogId::new(
        LeadershipId {
            term: id.term,
            node_id: id.leader_id,
        },
        id.index,
    )
}

/// A vote for the wire.
pub fn vote(vote: &Vote) -> proto::Vote {
    proto::Vote {
        term: vote.leader_id.term,
        member_id: *vote.leader_id.node_id(),
        committed: vote.committed,
    }
}

/// A vote from the wire.
pub fn read_vote(vote: proto::Vote) -> Vote {
    if vote.committed {
        Vote::new_committed(vote.term, vote.member_id)
    } else {
        Vote::new(vote.term, vote.member_id)
    }
}

/// An entry for the wire; its command is shared, not copied.
pub fn entry(entry: &Entry) -> proto::Entry {
    use proto::entry::Payload;
    let payload = match &entry.payload {
        EntryPayload::Blank => Payload::Blank(proto::Blank {}),
        EntryPayload::Normal(proposal) => Payload::Command(proposal.command.clone()),
        EntryPayload::Membership(value) => Payload::Membership(membership(value)),
    };
    proto::Entry {
        id: Some(log_id(&entry.log_id)),
        payload: Some(payload),
    }
}

/// An entry from the wire.
pub fn read_entry(entry: proto::Entry) -> Result<Entry, DecodeError> {
    use proto::entry::Payload;
    let payload = match required(entry.payload, "the payload of a log entry")? {
        Payload::Blank(proto::Blank {}) => EntryPayload::Blank,
        Payload::Command(command) => EntryPayload::Normal(Proposal { command }),
        Payload::Membership(value) => EntryPayload::Membership(read_membership(value)?),
    };
    let log_id = read_log_id(required(entry.id, "the id of a log entry")?);
    Ok(Entry { log_id, payload })
}

/// A membership for the wire.
pub fn membership(membership: &Membership) -> proto::Membership {
    proto::Membership {
        voter_sets: membership
            .get_joint_config()
            .iter()
            .map(|set| proto::VoterSet {
                member_ids: set.iter().copied().collect(),
            })
            .collect(),
        members: membership
            .nodes()
            .map(|(id, node)| proto::MemberNode {
                id: *id,
                address: node.address.clone(),
                becomes_voter: node.becomes_voter,
            })
            .collect(),
    }
}

/// A membership from the wire.
pub fn read_membership(membership: proto::Membership) -> Result<Membership, DecodeError> {
    let sets: Vec<BTreeSet<u64>> = membership
        .voter_sets
        .into_iter()
        .map(|set| set.member_ids.into_iter().collect())
        .collect();
    let nodes: BTreeMap<u64, MemberNode> = membership
        .members
        .into_iter()
        .map(|member| {
            let proto::MemberNode {
                id,
                address,
                becomes_voter,
            } = member;
            (
                id,
                MemberNode {
                    address,
                    becomes_voter,
                },
            )
        })
        .collect();
    Membership::new(sets, nodes).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// A stored membership for the wire.
pub fn stored_membership(stored: &StoredMembership) -> proto::StoredMembership {
    proto::StoredMembership {
        id: stored.log_id().as_ref().map(log_id),
        membership: Some(membership(stored.membership())),
    }
}

/// A stored membership from the wire.
pub fn read_stored_membership(
    stored: proto::StoredMembership,
) -> Result<StoredMembership, DecodeError> {
    let membership = read_membership(stored.membership.unwrap_or_default())?;
    Ok(StoredMembership::new(
        stored.id.map(read_log_id),
        membership,
    ))
}

/// What the log store keeps under an entry's index: a CRC-32C of the index and the entry, then the entry.
pub fn record(value: &Entry) -> Bytes {
    let message = entry(value);
    let mut bytes = BytesMut::with_capacity(CRC_BYTES + message.encoded_len());
    bytes.put_u32_le(0);
    message
        .encode(&mut bytes)
        .expect("the buffer is as large as the message");
    let crc = record_crc(value.log_id.index, &bytes[CRC_BYTES..]);
    bytes[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    bytes.freeze()
}

/// The entry of a record, if the record is what was written under this index.
pub fn read_record(index: u64, record: Bytes) -> Result<Entry, DecodeError> {
    let damaged = |what: &str| {
        Err(DecodeError::Malformed(format!(
            "log record {index} is damaged: {what}"
        )))
    };
    if record.len() < CRC_BYTES {
        return damaged("it is cut short");
    }
    let written = u32::from_le_bytes(record[..CRC_BYTES].try_into().expect("four bytes"));
    let body = record.slice(CRC_BYTES..);
    if record_crc(index, &body) != written {
        return damaged("its checksum does not match");
    }
    let entry = read_entry(proto::Entry::decode(body)?)?;
    if entry.log_id.index != index {
        return damaged("it carries another index");
    }
    Ok(entry)
}

fn record_crc(index: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&index.to_be_bytes()), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(index: u64, command: &'static [u8]) -> Entry {
        Entry {
            log_id: LogId::new(
                LeadershipId {
                    term: 3,
                    node_id: 2,
                },
                index,
            ),
            payload: EntryPayload::Normal(Proposal {
                command: Bytes::from_static(command),
            }),
        }
    }

    #[test]
    fn a_record_reads_back_as_the_entry_that_was_written() {
        let nodes = BTreeMap::from([
            (
                1,
                MemberNode {
                    address: "a:1".into(),
                    becomes_voter: true,
                },
            ),
            (
                7,
                MemberNode {
                    address: "b:2".into(),
                    becomes_voter: false,
                },
            ),
        ]);
        let membership = Membership::new(vec![BTreeSet::from([1])], nodes).unwrap();
        let blank = Entry {
            payload: EntryPayload::Blank,
            ..normal(8, b"")
        };
        let changed = Entry {
            payload: EntryPayload::Membership(membership),
            ..normal(9, b"")
        };
        for entry in [normal(7, b"command"), blank, changed] {
            let read = read_record(entry.log_id.index, record(&entry)).unwrap();
            assert_eq!(read, entry);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_record_is_found() {
        let good = record(&normal(7, b"command"));
        for position in 0..good.len() {
            let mut bad = good.to_vec();
            bad[position] ^= 0x10;
            assert!(
                read_record(7, bad.into()).is_err(),
                "byte {position} flipped unnoticed"
            );
        }
    }

    #[test]
    fn a_record_under_another_index_is_refused() {
        assert!(read_record(8, record(&normal(7, b"command"))).is_err());
    }
}
