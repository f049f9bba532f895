//! Histories of a stack, legal and illegal.

use super::*;
use crate::{
    chaos::content::{Dialect, Item, Patch},
    judge::linear::{Budget, Entry, Linear, check},
};

fn content(value: u64) -> Content {
    let item = Item {
        value,
        needs: Default::default(),
        mutable: true,
        dialect: Dialect::Fenced,
    };
    Content::from([("r".to_owned(), item)])
}

fn ok(id: u64, revision: u64, changed: bool) -> Outcome {
    Outcome::Ok {
        stack_id: id,
        revision,
        changed,
        index: 0,
    }
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused(why.to_owned())
}

fn at(called_ns: u64, returned_ns: u64, did: Did) -> Entry<Recorded> {
    let is_unknown = matches!(
        &did,
        Did::Changed {
            outcome: Outcome::Unknown(_),
            ..
        }
    );
    Entry {
        called_ns,
        returned_ns: (!is_unknown).then_some(returned_ns),
        operation: Recorded {
            client: "c".to_owned(),
            stack: "s".to_owned(),
            called_ns,
            returned_ns,
            did,
        },
    }
}

fn asked(called_ns: u64, asked: Asked, outcome: Outcome) -> Entry<Recorded> {
    on(called_ns, asked, None, outcome)
}

fn on(called_ns: u64, asked: Asked, base: Option<u64>, outcome: Outcome) -> Entry<Recorded> {
    let did = Did::Changed {
        asked,
        base,
        outcome,
    };
    at(called_ns, called_ns + 5, did)
}

fn shown(called_ns: u64, id: u64, revision: u64, status: &str) -> Entry<Recorded> {
    let seen = Seen {
        id,
        revision,
        status: status.to_owned(),
    };
    at(called_ns, called_ns + 5, Did::Shown(Some(seen)))
}

fn read(called_ns: u64, value: u64) -> Entry<Recorded> {
    let values = BTreeMap::from([("r".to_owned(), value)]);
    at(called_ns, called_ns + 5, Did::Read(Some(values)))
}

fn is_legal(history: &[Entry<Recorded>]) -> bool {
    match check(&StackModel, history, Budget { steps: 10_000 }) {
        Linear::Ok => true,
        Linear::Illegal => false,
        Linear::Undecided => panic!("so short a history is decided"),
    }
}

fn created() -> Entry<Recorded> {
    asked(0, Asked::Create(content(1)), ok(7, 1, true))
}

fn unknown() -> Outcome {
    Outcome::Unknown("no answer".to_owned())
}

#[test]
fn a_stack_is_made_changed_taken_back_and_gone() {
    let history = [
        created(),
        asked(10, Asked::Create(content(2)), refused("stack_exists")),
        asked(20, Asked::Up(content(3)), ok(7, 2, true)),
        asked(30, Asked::Up(content(3)), ok(7, 2, false)),
        read(40, 3),
        asked(
            50,
            Asked::Rollback {
                to: 1,
                content: Content::new(),
            },
            ok(7, 3, true),
        ),
        read(60, 1),
        asked(70, Asked::Pause, ok(7, 3, true)),
        shown(80, 7, 3, "paused"),
        asked(90, Asked::Resume, ok(7, 3, true)),
        asked(100, Asked::Delete, ok(7, 4, true)),
        shown(110, 7, 4, "deleting"),
        at(120, 125, Did::Shown(None)),
        asked(130, Asked::Delete, refused("stack_not_found")),
        asked(140, Asked::Up(content(9)), ok(11, 1, true)),
    ];
    assert!(is_legal(&history));
}

#[test]
fn a_stale_or_an_early_read_is_illegal() {
    let changed = asked(20, Asked::Up(content(3)), ok(7, 2, true));
    assert!(!is_legal(&[
        created(),
        changed.clone(),
        shown(30, 7, 1, "converged")
    ]));
    assert!(!is_legal(&[created(), changed.clone(), read(30, 1)]));
    assert!(!is_legal(&[
        created(),
        shown(10, 7, 2, "converged"),
        changed.clone()
    ]));
    assert!(
        is_legal(&[created(), changed.clone(), shown(22, 7, 1, "converged")]),
        "they overlap"
    );
    assert!(
        !is_legal(&[created(), changed, at(30, 35, Did::Shown(None))]),
        "nobody deleted it"
    );
}

#[test]
fn a_lost_update_is_illegal() {
    let both = [
        created(),
        on(20, Asked::Up(content(3)), Some(1), ok(7, 2, true)),
        on(21, Asked::Up(content(4)), Some(1), ok(7, 2, true)),
    ];
    assert!(!is_legal(&both));
    let late = on(21, Asked::Up(content(4)), Some(1), refused("base_moved"));
    assert!(is_legal(&[both[0].clone(), both[1].clone(), late.clone()]));
    assert!(!is_legal(&[created(), late]), "nobody moved it");
    let deleted = [
        created(),
        asked(10, Asked::Delete, ok(7, 2, true)),
        on(
            20,
            Asked::Patch(Patch::default()),
            Some(1),
            refused("base_moved"),
        ),
    ];
    assert!(is_legal(&deleted), "that it is to go is another reason");
    let patch = |value| {
        Asked::Patch(Patch {
            set: content(value),
            ..Patch::default()
        })
    };
    let overwritten = [
        created(),
        asked(10, patch(5), ok(7, 2, true)),
        asked(20, patch(6), ok(7, 3, true)),
        read(30, 5),
    ];
    assert!(!is_legal(&overwritten));
}

#[test]
fn an_unknown_change_takes_effect_late_or_never_but_once() {
    let late = [
        created(),
        asked(10, Asked::Up(content(2)), unknown()),
        shown(20, 7, 1, "converged"),
        asked(30, Asked::Up(content(3)), ok(7, 2, true)),
        read(40, 2),
    ];
    assert!(is_legal(&late));
    assert!(is_legal(&late[..4]));
    let skipped = [
        late[0].clone(),
        late[1].clone(),
        shown(20, 7, 3, "converged"),
    ];
    assert!(!is_legal(&skipped), "one change makes one revision");
}

#[test]
fn what_an_unknown_request_made_has_the_id_that_is_seen_first() {
    let made = asked(0, Asked::Create(content(1)), unknown());
    assert!(is_legal(&[
        made.clone(),
        shown(10, 7, 1, "converged"),
        shown(20, 7, 1, "converged")
    ]));
    assert!(!is_legal(&[
        made,
        shown(10, 7, 1, "converged"),
        shown(20, 8, 1, "converged")
    ]));
}

#[test]
fn a_stack_that_is_gone_does_not_come_back() {
    let history = [
        created(),
        asked(10, Asked::Delete, ok(7, 2, true)),
        at(20, 25, Did::Shown(None)),
        shown(30, 7, 2, "deleting"),
    ];
    assert!(!is_legal(&history));
    assert!(is_legal(&history[..3]));
}
