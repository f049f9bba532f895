//! Bytes from disk and from other members that are not what they should be: an error, never a panic, and what is read
//! all the same is written again so that it reads the same.
//!
//! The bytes are made up, or golden ones cut, flipped and spliced. More of them: `PROPTEST_CASES=100000`.

mod samples;

use std::fmt::Debug;

use anneal_node::codec::{self, peer, raft};
use anneal_proto::{log::v1 as log, peer::v1 as wire};
use anneal_statemachine::event::Event;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

const GOLDEN: [&str; 6] = [
    include_str!("golden/commands.txt"),
    include_str!("golden/entry_events.txt"),
    include_str!("golden/events.txt"),
    include_str!("golden/keys.txt"),
    include_str!("golden/records.txt"),
    include_str!("golden/rows.txt"),
];

fn golden() -> Vec<Vec<u8>> {
    let lines = GOLDEN.iter().flat_map(|file| file.lines());
    let hex = lines.filter_map(|line| line.split(' ').nth(1));
    hex.filter(|hex| *hex != "-")
        .map(|hex| {
            let digits = hex.as_bytes().chunks(2);
            digits
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect()
        })
        .collect()
}

/// One way to spoil bytes.
#[derive(Clone, Debug)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Drop(usize, usize),
    Insert(usize, Vec<u8>),
    Append(usize, usize),
}

impl Harm {
    fn of(&self, mut bytes: Vec<u8>, others: &[Vec<u8>]) -> Vec<u8> {
        let length = bytes.len();
        match self {
            Harm::Flip(at, bit) if length > 0 => bytes[at % length] ^= 1 << (bit % 8),
            Harm::Cut(at) => bytes.truncate(at % (length + 1)),
            Harm::Drop(at, count) if length > 0 => {
                let at = at % length;
                bytes.drain(at..(at + count % 8).min(length));
            }
            Harm::Insert(at, more) => {
                let at = at % (length + 1);
                bytes.splice(at..at, more.iter().copied());
            }
            Harm::Append(which, from) => {
                let other = &others[which % others.len()];
                bytes.extend(&other[from % (other.len() + 1)..]);
            }
            Harm::Flip(..) | Harm::Drop(..) => {}
        }
        bytes
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        1 => any::<usize>().prop_map(Harm::Cut),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(at, count)| Harm::Drop(at, count)),
        // Lengths and counts that promise more than there is.
        1 => (any::<usize>(), prop::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 1..10))
            .prop_map(|(at, more)| Harm::Insert(at, more)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(which, from)| Harm::Append(which, from)),
    ]
}

/// Bytes made up, or golden ones spoilt.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let golden = golden();
    let picked = (
        any::<prop::sample::Index>(),
        prop::collection::vec(harm(), 0..4),
    );
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..64),
        5 => picked.prop_map(move |(index, harms)| {
            let bytes = index.get(&golden).clone();
            harms.iter().fold(bytes, |bytes, harm| harm.of(bytes, &golden))
        }),
    ]
}

/// What reads, reads the same again after it was written.
fn stable<T: Debug, E: Debug>(
    bytes: &[u8],
    read: impl Fn(Bytes) -> Result<T, E>,
    write: impl Fn(&T) -> Vec<u8>,
) -> Result<(), TestCaseError> {
    if let Ok(value) = read(Bytes::copy_from_slice(bytes)) {
        let again = read(write(&value).into());
        prop_assert_eq!(format!("{:?}", Ok::<_, E>(value)), format!("{again:?}"));
    }
    Ok(())
}

/// The same for a message within a frame that prost reads.
fn stable_message<M: Message + Default, T: Debug>(
    bytes: &[u8],
    read: fn(M) -> Result<T, codec::DecodeError>,
    write: fn(&T) -> M,
) -> Result<(), TestCaseError> {
    stable(
        bytes,
        |bytes| read(M::decode(bytes)?),
        |value| write(value).encode_to_vec(),
    )
}

/// What is spoilt below was sound before, or nothing would be learnt.
#[test]
fn sound_samples_are_read() {
    for sample in samples::commands::all() {
        let read = codec::decode_command(codec::encode_command(&sample.value));
        assert_eq!(read.as_ref(), Ok(&sample.value), "{}", sample.name);
    }
    for sample in samples::entries::all() {
        let record = raft::record(&sample.value);
        let read = raft::read_record(sample.value.log_id.index, record);
        assert_eq!(read.as_ref(), Ok(&sample.value), "{}", sample.name);
    }
    assert!(golden().len() > 50);
}

proptest! {
    #[test]
    fn commands(bytes in hostile()) {
        stable(&bytes, codec::decode_command, |command| codec::encode_command(command).to_vec())?;
        stable_message::<log::Report, _>(&bytes, codec::read_report, codec::report)?;
        stable_message::<log::Observed, _>(&bytes, codec::read_observed, codec::observed)?;
    }

    #[test]
    fn rows_of_every_kind(bytes in hostile()) {
        for sample in samples::rows::all() {
            let (key, _) = sample.value;
            stable(&bytes, |bytes| codec::decode_row(&key, bytes), |row| codec::encode_row(row).to_vec())?;
        }
    }

    #[test]
    fn keys(bytes in hostile()) {
        stable(&bytes, |bytes| codec::key::decode(&bytes), codec::key::encode)?;
        stable(&bytes, |bytes| codec::key::decode_event(&bytes), |(stack, index, ordinal)| {
            codec::key::event(*stack, *index, *ordinal)
        })?;
    }

    #[test]
    fn events(key in hostile(), bytes in hostile()) {
        let first = |sample: &samples::Sample<Vec<Event>>| codec::event_key(&sample.value[0]);
        let several = samples::events::of_one_entry().iter().map(first).collect::<Vec<_>>();
        let single = samples::events::all();
        for key in single.iter().map(|sample| codec::event_key(&sample.value)).chain(several).chain([key]) {
            let encode = |events: &Vec<Event>| codec::encode_events(&events.iter().collect::<Vec<_>>());
            stable(&bytes, |bytes| codec::decode_events(&key, bytes), encode)?;
        }
    }

    #[test]
    fn log_records(bytes in hostile()) {
        for sample in samples::entries::all() {
            let index = sample.value.log_id.index;
            let stable = |record: &[u8]| {
                stable(record, |bytes| raft::read_record(index, bytes), |entry| raft::record(entry).to_vec())
            };
            stable(&bytes)?;
            // The same with a checksum that matches, so that more than the checksum is read.
            for body in [&bytes[..], bytes.get(4..).unwrap_or_default()] {
                let mut record = crc32c(index, body).to_le_bytes().to_vec();
                record.extend(body);
                stable(&record)?;
            }
        }
    }

    #[test]
    fn what_members_send_each_other(bytes in hostile()) {
        stable_message::<log::Entry, _>(&bytes, raft::read_entry, raft::entry)?;
        stable_message::<log::StoredMembership, _>(&bytes, raft::read_stored_membership, raft::stored_membership)?;
        stable_message::<wire::AppendRequest, _>(&bytes, peer::read_append_request, peer::append_request)?;
        stable_message::<wire::AppendResponse, _>(&bytes, peer::read_append_response, peer::append_response)?;
        stable_message::<wire::VoteRequest, _>(&bytes, peer::read_vote_request, peer::vote_request)?;
        stable_message::<wire::VoteResponse, _>(&bytes, peer::read_vote_response, peer::vote_response)?;
        stable_message::<wire::TransferLeaderRequest, _>(&bytes, peer::read_transfer_request, peer::transfer_request)?;
        stable_message::<wire::TransferLeaderResponse, _>(&bytes, peer::read_transfer_response, peer::transfer_response)?;
    }
}

fn crc32c(index: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&index.to_be_bytes()), body)
}
