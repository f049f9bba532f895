//! Guilty recordings.

use super::*;

fn event(index: u64, sequence: u32) -> Heard {
    Heard::Event(Event {
        index,
        sequence,
        stack_id: 5,
        stack: "s".to_owned(),
        ..Event::default()
    })
}

fn recording(start: Start, heard: Vec<Heard>) -> Recording {
    Recording {
        watcher: "w".to_owned(),
        scope: Scope::All,
        start,
        heard,
        end: End::Broken,
    }
}

fn whole() -> Recording {
    let heard = vec![
        Heard::Progress(6),
        event(7, 0),
        event(7, 1),
        event(9, 0),
        Heard::Progress(11),
        event(12, 0),
        Heard::Progress(12),
    ];
    recording(Start::Now, heard)
}

#[test]
fn recordings_of_the_same_are_innocent_whatever_part_they_are_of() {
    let early = recording(
        Start::Oldest,
        vec![event(3, 0), Heard::Progress(7), event(9, 0)],
    );
    let resumed = recording(
        Start::After((9, 0)),
        vec![Heard::Progress(11), event(12, 0)],
    );
    let after_all = recording(Start::After((7, 0)), vec![event(7, 1), event(9, 0)]);
    let nothing = recording(Start::Now, Vec::new());
    let all = [whole(), early, resumed, after_all, nothing];
    assert_eq!(broken_watches(&all), [""; 0]);
}

#[test]
fn an_event_twice_or_out_of_order_or_from_before_the_cursor_is_guilty() {
    let twice = recording(
        Start::Now,
        vec![Heard::Progress(6), event(7, 0), event(7, 0)],
    );
    assert_eq!(broken_watches(&[twice]).len(), 1);
    let back = recording(
        Start::Now,
        vec![Heard::Progress(6), event(7, 1), event(7, 0)],
    );
    assert_eq!(broken_watches(&[back]).len(), 1);
    let again = recording(Start::After((9, 0)), vec![event(9, 0), event(12, 0)]);
    assert_eq!(broken_watches(&[again]).len(), 1);
}

#[test]
fn an_event_of_what_was_said_to_be_over_is_guilty() {
    let late = recording(Start::Now, vec![Heard::Progress(7), event(7, 1)]);
    assert_eq!(broken_watches(&[late]).len(), 1);
    let less = recording(Start::Now, vec![Heard::Progress(7), Heard::Progress(6)]);
    assert_eq!(broken_watches(&[less]).len(), 1);
}

#[test]
fn a_gap_is_guilty_also_after_the_last_event_and_between_two_parts() {
    let gap = recording(
        Start::Now,
        vec![Heard::Progress(6), event(7, 0), event(9, 0)],
    );
    assert_eq!(broken_watches(&[whole(), gap]).len(), 1);
    let end = recording(Start::After((9, 0)), vec![Heard::Progress(12)]);
    assert_eq!(broken_watches(&[whole(), end]).len(), 1);
    let resumed = recording(Start::After((7, 0)), vec![event(9, 0)]);
    assert_eq!(
        broken_watches(&[whole(), resumed]).len(),
        1,
        "7/1 is missing"
    );
    let told = Recording {
        end: End::HistoryGone,
        ..recording(Start::After((7, 0)), Vec::new())
    };
    assert_eq!(
        broken_watches(&[whole(), told]),
        [""; 0],
        "an error is no gap"
    );
}

#[test]
fn what_one_heard_and_the_other_did_not_or_otherwise_was_not_committed() {
    let mut other = whole();
    other.heard.insert(3, event(8, 0));
    assert_eq!(broken_watches(&[whole(), other]).len(), 1);
    let mut other = whole();
    other.heard[1] = Heard::Event(Event {
        index: 7,
        stack_id: 5,
        stack: "s".to_owned(),
        text: "otherwise".to_owned(),
        ..Event::default()
    });
    assert_eq!(broken_watches(&[whole(), other]).len(), 1);
}

#[test]
fn a_watch_of_one_stack_hears_all_of_it_and_nothing_else() {
    let of = |name: &str, heard| Recording {
        scope: Scope::Named(name.to_owned()),
        ..recording(Start::After((6, 0)), heard)
    };
    let all = vec![event(7, 0), event(7, 1), event(9, 0), event(12, 0)];
    assert_eq!(broken_watches(&[whole(), of("s", all.clone())]), [""; 0]);
    assert_eq!(
        broken_watches(&[whole(), of("s", all[..1].to_vec())]),
        [""; 0]
    );
    assert_eq!(
        broken_watches(&[whole(), of("t", all[..1].to_vec())]).len(),
        1
    );
}

#[test]
fn a_watch_of_a_stack_that_is_gone_has_heard_all_up_to_that_and_nothing_of_what_is_found_later() {
    let deleted = |index| {
        Heard::Event(Event {
            index,
            stack_id: 5,
            stack: "s".to_owned(),
            kind: "deleted".to_owned(),
            ..Event::default()
        })
    };
    let all = vec![
        event(7, 0),
        event(9, 0),
        deleted(12),
        event(15, 0),
        deleted(16),
    ];
    let whole = recording(Start::After((6, 0)), all.clone());
    let of_one = |heard: &[Heard]| Recording {
        scope: Scope::Named("s".to_owned()),
        end: End::Gone,
        ..recording(Start::After((6, 0)), heard.to_vec())
    };
    assert_eq!(broken_watches(&[whole.clone(), of_one(&all[..3])]), [""; 0]);
    let missed = broken_watches(&[whole, of_one(&all[..1])]);
    assert_eq!(missed.len(), 2, "9/0 and the end: {missed:?}");
}

#[test]
fn what_somebody_heard_all_of_is_covered() {
    assert!(is_covered(&[whole()], 7) && is_covered(&[whole()], 12));
    assert!(!is_covered(&[whole()], 6) && !is_covered(&[whole()], 13));
    let ends_with_an_event = recording(Start::After((6, 0)), vec![event(7, 0)]);
    assert!(
        !is_covered(&[ends_with_an_event], 7),
        "there may be more at 7"
    );
}

#[test]
fn revisions_are_counted_up_one_by_one() {
    let revised = |index, text: &str| Event {
        index,
        stack_id: 5,
        kind: "revised".to_owned(),
        text: text.to_owned(),
        ..Event::default()
    };
    let heard = |events: &[Event]| {
        let heard = events.iter().cloned().map(Heard::Event);
        recording(Start::Now, heard.collect())
    };
    let right = [
        revised(5, "revision 1"),
        revised(8, "revision 2: back to revision 1"),
    ];
    let expected = BTreeMap::from([((5, 1), 5), ((5, 2), 8)]);
    assert_eq!(revisions(&[heard(&right)]), (expected, Vec::new()));
    let parts = [heard(&right[..1]), heard(&[revised(12, "revision 4")])];
    assert_eq!(
        revisions(&parts).1,
        [""; 0],
        "nobody claims to have heard 3"
    );
    let lost = [revised(5, "revision 1"), revised(8, "revision 3")];
    assert_eq!(revisions(&[heard(&lost)]).1.len(), 1);
}
