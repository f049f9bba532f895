//! Guilty evidence.

use super::*;
use crate::{
    chaos::content::{Content, Dialect, Item},
    judge::{Event, Heard, LocalRead, Recording, Sample, Scope, Seen, Start},
};

fn content(value: u64) -> Content {
    let item = Item {
        value,
        needs: BTreeSet::new(),
        mutable: true,
        dialect: Dialect::Fenced,
    };
    Content::from([("r".to_owned(), item)])
}

fn did(called_ns: u64, did: Did) -> Recorded {
    Recorded {
        client: "c".to_owned(),
        stack: "s".to_owned(),
        called_ns,
        returned_ns: called_ns + 5,
        did,
    }
}

fn changed(called_ns: u64, asked: Asked, revision: u64, index: u64) -> Recorded {
    let outcome = Outcome::Ok {
        stack_id: 7,
        revision,
        changed: true,
        index,
    };
    let changed = Did::Changed {
        asked,
        base: None,
        outcome,
    };
    did(called_ns, changed)
}

fn seen(revision: u64) -> Option<Seen> {
    Some(Seen {
        id: 7,
        revision,
        status: "converged".to_owned(),
    })
}

fn revised(index: u64, revision: u64) -> Heard {
    Heard::Event(Event {
        index,
        stack_id: 7,
        stack: "s".to_owned(),
        kind: "revised".to_owned(),
        text: format!("revision {revision}"),
        ..Event::default()
    })
}

/// A stack is made and changed, and everybody sees it.
fn innocent() -> Evidence {
    Evidence {
        operations: vec![
            changed(0, Asked::Create(content(1)), 1, 7),
            did(10, Did::Shown(seen(1))),
            changed(20, Asked::Up(content(2)), 2, 9),
            did(30, Did::Shown(seen(2))),
        ],
        local: vec![LocalRead {
            client: "c".to_owned(),
            member: "m".to_owned(),
            stack: "s".to_owned(),
            called_ns: 40,
            returned_ns: 45,
            seen: seen(1),
        }],
        samples: vec![Sample {
            called_ns: 0,
            returned_ns: 1,
            member_id: 1,
            term: 1,
            leader: 1,
            applied_index: 9,
        }],
        watches: vec![Recording {
            watcher: "w".to_owned(),
            scope: Scope::All,
            start: Start::Now,
            heard: vec![Heard::Progress(6), revised(7, 1), revised(9, 2)],
            end: End::Broken,
        }],
        ..Evidence::default()
    }
}

/// The verdicts that say guilty.
fn guilty(evidence: &Evidence) -> Vec<String> {
    let guilty = rule(evidence).guilty.into_iter();
    guilty.map(|(verdict, _)| verdict).collect()
}

#[test]
fn what_is_right_passes_and_what_was_not_recorded_does_not() {
    let ruling = rule(&innocent());
    assert_eq!((ruling.exit_code(), ruling.linear), (0, 1), "{ruling:?}");
    let unwatched = Evidence {
        samples: Vec::new(),
        ..innocent()
    };
    assert_eq!(rule(&unwatched).exit_code(), 2);
}

#[test]
fn a_stale_read_is_told_with_what_it_contradicts() {
    let mut evidence = innocent();
    evidence.operations[3] = did(30, Did::Shown(seen(1)));
    let ruling = rule(&evidence);
    assert_eq!(ruling.exit_code(), 1);
    let [(verdict, story)] = ruling.guilty.as_slice() else {
        panic!("{ruling:?}");
    };
    assert_eq!(verdict, "not linearizable");
    assert_eq!(story.lines().count(), 4, "{story}");
    assert!(
        story.contains("up") && story.contains("revision: 1"),
        "{story}"
    );
}

#[test]
fn an_acknowledged_revision_of_which_no_event_tells_or_a_later_one_is_guilty() {
    let mut evidence = innocent();
    evidence.watches[0].heard.pop();
    assert_eq!(guilty(&evidence), [""; 0], "nobody listened then");
    evidence.watches[0].heard.push(Heard::Progress(9));
    assert_eq!(guilty(&evidence), ["acknowledged, and no event"]);
    evidence.watches[0].heard.pop();
    evidence.watches[0].heard.push(revised(10, 2));
    assert_eq!(guilty(&evidence), ["acknowledged, and no event"]);
}

#[test]
fn what_was_refused_because_nobody_could_be_asked_must_not_have_happened() {
    let mut evidence = innocent();
    let Did::Changed { outcome, .. } = &mut evidence.operations[2].did else {
        panic!("it is a change");
    };
    *outcome = Outcome::Refused("unavailable".to_owned());
    assert_eq!(guilty(&evidence), ["not linearizable"]);
}
