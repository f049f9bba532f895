//! The durable format, pinned: what was written once is read for ever.
//!
//! Each line of a file in `golden/` is a name and the bytes that a release has written. A line is never changed or removed; a new
//! kind of command or row adds one.

mod samples;

use std::{collections::BTreeSet, fmt::Debug};

use anneal_node::codec;
use bytes::Bytes;
use samples::{Sample, commands, entries, events, rows};

/// No bytes at all, in a file.
const NONE: &str = "-";

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return NONE.into();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<char> = hex.replace(NONE, "").chars().collect();
    let byte = |pair: &[char]| {
        u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// Holds every sample against its line: written as before, and read as it is.
fn hold<T: Debug + PartialEq>(
    golden: &str,
    samples: &[Sample<T>],
    write: impl Fn(&T) -> Vec<u8>,
    read: impl Fn(&T, Bytes) -> T,
) {
    let mut problems = Vec::new();
    for Sample { name, value } in samples {
        let written = hex(&write(value));
        let lines = golden.lines().filter_map(|line| line.split_once(' '));
        match lines.into_iter().find(|(known, _)| known == name) {
            None => problems.push(format!("{name} {written}")),
            Some((_, known)) => {
                assert_eq!(known, written, "{name} is written differently than before");
                assert_eq!(
                    &read(value, bytes(known)),
                    value,
                    "{name} is read as something else"
                );
            }
        }
    }
    assert!(
        problems.is_empty(),
        "these lines are missing:\n{}",
        problems.join("\n")
    );
    let names: BTreeSet<_> = samples.iter().map(|sample| sample.name).collect();
    for line in golden.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(names.contains(name), "nothing reads {name} any more");
    }
}

#[test]
fn commands_are_written_and_read_as_ever() {
    hold(
        include_str!("golden/commands.txt"),
        &commands::all(),
        |command| codec::encode_command(command).to_vec(),
        |_, bytes| codec::decode_command(bytes).unwrap(),
    );
}

#[test]
fn rows_and_their_keys_are_written_and_read_as_ever() {
    let samples = rows::all();
    hold(
        include_str!("golden/rows.txt"),
        &samples,
        |(_, value)| codec::encode_row(value).to_vec(),
        |(key, _), bytes| (key.clone(), codec::decode_row(key, bytes).unwrap()),
    );
    hold(
        include_str!("golden/keys.txt"),
        &samples,
        |(key, _)| codec::key::encode(key),
        |(_, value), bytes| (codec::key::decode(&bytes).unwrap(), value.clone()),
    );
}

#[test]
fn events_are_written_and_read_as_ever() {
    hold(
        include_str!("golden/events.txt"),
        &events::all(),
        |event| codec::encode_events(&[event]),
        |event, bytes| {
            let mut events = codec::decode_events(&codec::event_key(event), bytes).unwrap();
            assert_eq!(events.len(), 1);
            events.remove(0)
        },
    );
}

#[test]
fn events_of_one_entry_are_written_and_read_as_ever() {
    hold(
        include_str!("golden/entry_events.txt"),
        &events::of_one_entry(),
        |events| codec::encode_events(&events.iter().collect::<Vec<_>>()),
        |events, bytes| codec::decode_events(&codec::event_key(&events[0]), bytes).unwrap(),
    );
}

#[test]
fn events_of_one_entry_are_in_rows_of_their_stacks_and_none_is_lost() {
    let sample = events::all().remove(0).value;
    let events: Vec<_> = (0..300)
        .map(|ordinal| anneal_statemachine::event::Event {
            ordinal,
            stack: [sample.stack, None][ordinal as usize % 7 / 6],
            ..sample.clone()
        })
        .collect();
    let mut found = Vec::new();
    let mut rows = 0;
    for (key, row) in codec::event_rows(&events) {
        rows += 1;
        found.extend(codec::decode_events(&key, row.into()).unwrap());
    }
    assert_eq!(rows, 6, "five of the stack, one of the cluster");
    found.sort_by_key(|event| event.ordinal);
    assert_eq!(found, events);
}

#[test]
fn log_records_are_written_and_read_as_ever() {
    hold(
        include_str!("golden/records.txt"),
        &entries::all(),
        |entry| codec::raft::record(entry).to_vec(),
        |entry, bytes| codec::raft::read_record(entry.log_id.index, bytes).unwrap(),
    );
}

#[test]
fn a_command_of_a_newer_release_is_refused_and_not_skipped() {
    // A field that no release has used for a kind of command: 2047, an empty message.
    let newer = Bytes::from_static(&[0x08, 0x01, 0xfa, 0x7f, 0x00]);
    assert!(codec::decode_command(newer).is_err());
}
