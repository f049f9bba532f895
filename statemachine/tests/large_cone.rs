//! A resource on which very many stand: when it settles, they are told bit by bit, nothing starts until all know, and a
//! member that restarts in the middle goes on alike.

mod member;

use anneal_statemachine::command::{
    ActionResult, AssignItem, AssignWork, Change, ChangeStack, CommandKind, Difference, Done,
    RegisterEngine, ReportItem, SetResource,
};
use anneal_statemachine::id::{EngineRef, RequestId, StackId};
use anneal_statemachine::outcome::{Outcome, StackStops};
use anneal_statemachine::view::Work;

use member::{Member, item};

/// Two and a half times what one entry tells.
const DEPENDENTS: usize = 6_250;

/// A hub that is being made, and all that stand on it.
fn hub_in_flight() -> (Member, StackId, CommandKind) {
    let mut member = Member::new();
    let engine = EngineRef {
        member: 1,
        incarnation: 1,
    };
    member.apply(CommandKind::RegisterEngine(RegisterEngine {
        member: 1,
        host: "a".into(),
        address: "127.0.0.1:7400".into(),
        capacity: 1,
        offers: vec!["thing".into()],
        labels: Vec::new(),
        follows: None,
    }));
    let dependents = (0..DEPENDENTS).map(|at| item(&format!("leaf{at}"), Some("hub")));
    let difference = Difference {
        set: std::iter::once(item("hub", None))
            .chain(dependents)
            .collect(),
        ..Difference::default()
    };
    member.apply(CommandKind::ChangeStack(ChangeStack {
        request: RequestId::default(),
        namespace: "default".into(),
        name: "large".into(),
        change: Change::Create { difference },
    }));
    let stack = member
        .machine
        .stack_named("default", "large")
        .expect("it was made");
    let Some(Work::Make(hub)) = member.machine.ready_in(stack, 0).next() else {
        panic!("the hub is ready");
    };
    let definition = member
        .machine
        .work(Work::Make(hub))
        .expect("it is ready")
        .definition;
    let assigned = member.apply(CommandKind::Assign {
        items: vec![AssignItem {
            work: AssignWork::Make {
                resource: hub,
                definition,
            },
            engine,
            not_after_ms: 1,
            chunk: None,
        }],
    });
    let Outcome::Assigned(answers) = assigned.outcome else {
        panic!("an assign is answered item by item");
    };
    let given = answers[0].clone().expect("the hub may start");
    let report = CommandKind::Report {
        items: vec![ReportItem {
            instance: given.instance,
            token: given.token,
            engine,
            result: ActionResult::Done(Done {
                physical_id: Some("hub-1".into()),
                ..Done::default()
            }),
        }],
    };
    (member, stack, report)
}

#[test]
fn a_very_large_cone_is_told_bit_by_bit_and_survives_a_restart_in_the_middle() {
    let (mut member, stack, report) = hub_in_flight();
    member.apply(report);
    let mut advances = 0;
    while member.machine.wants_advance() {
        let view = member.machine.stack(stack).expect("it is there");
        assert_eq!(
            view.stops,
            Some(StackStops::Queue),
            "nothing starts until all know"
        );
        assert_eq!(member.machine.ready_in(stack, 0).count(), 0);
        let mut restarted = member.restarted();
        let counts = restarted.machine.stack(stack).expect("it is there").counts;
        assert_eq!(counts, view.counts, "a restart in the middle counts alike");
        let alike = restarted.apply(CommandKind::Advance);
        assert_eq!(
            member.apply(CommandKind::Advance),
            alike,
            "and goes on alike"
        );
        advances += 1;
        assert!(advances < 10, "it comes to an end");
    }
    assert_eq!(advances, 2, "three entries tell all of them");
    assert_eq!(member.machine.ready_in(stack, 0).count(), DEPENDENTS);
}

#[test]
fn a_very_large_cone_hears_bit_by_bit_that_its_hub_has_changed() {
    let (mut member, stack, report) = hub_in_flight();
    member.apply(report);
    while member.machine.wants_advance() {
        member.apply(CommandKind::Advance);
    }
    let base = member
        .machine
        .stack(stack)
        .expect("it is there")
        .row
        .revision;
    let hub = member
        .machine
        .resource_named(stack, "hub")
        .expect("it is there");
    let changed = SetResource {
        definition: item("hub, changed", None).definition,
        ..item("hub", None)
    };
    member.apply(CommandKind::ChangeStack(ChangeStack {
        request: RequestId([1; 16]),
        namespace: "default".into(),
        name: "large".into(),
        change: Change::Update {
            base,
            difference: Difference {
                set: vec![changed],
                ..Difference::default()
            },
        },
    }));
    let mut advances = 0;
    while member.machine.wants_advance() {
        let view = member.machine.stack(stack).expect("it is there");
        assert_eq!(
            view.stops,
            Some(StackStops::Queue),
            "nothing starts until all have heard"
        );
        let mut restarted = member.restarted();
        let counts = restarted.machine.stack(stack).expect("it is there").counts;
        assert_eq!(counts, view.counts, "a restart in the middle counts alike");
        let alike = restarted.apply(CommandKind::Advance);
        let applied = member.apply(CommandKind::Advance);
        assert_eq!(applied, alike, "and goes on alike");
        assert!(
            applied.rows.len() < 10,
            "a member that merely waits costs no row"
        );
        advances += 1;
        assert!(advances < 10, "it comes to an end");
    }
    assert_eq!(advances, 2, "three entries tell all of them");
    let ready: Vec<Work> = member.machine.ready_in(stack, 0).collect();
    assert_eq!(ready, [Work::Make(hub)], "only the hub is to be updated");
}

#[test]
fn what_vanishes_while_its_cone_is_being_told_is_untold_again() {
    use anneal_statemachine::command::{ObserveItem, Seen};
    let (mut member, stack, report) = hub_in_flight();
    member.apply(report);
    let hub = member
        .machine
        .resource_named(stack, "hub")
        .expect("it is there");
    let current = member
        .machine
        .resource(hub)
        .expect("it is there")
        .current
        .expect("it was made");
    let item = ObserveItem {
        instance: current.id,
        last_change: current.row.last_change,
        seen: Seen::Vanished,
    };
    member.apply(CommandKind::Observe { items: vec![item] });
    assert!(
        !member.machine.wants_advance(),
        "nobody is left to be told anything"
    );
    let ready: Vec<Work> = member.machine.ready_in(stack, 0).collect();
    assert_eq!(ready, [Work::Make(hub)], "only the hub is to be made again");
    let counts = member.machine.stack(stack).expect("it is there").counts;
    assert_eq!(counts.waiting, DEPENDENTS as u64);
    let restarted = member.restarted();
    assert_eq!(
        restarted.machine.stack(stack).expect("it is there").counts,
        counts
    );
}
