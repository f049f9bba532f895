//! While a large change is being taken in, entry by entry, what should be can be read and changed as if all of it had been
//! taken in already.

mod member;

use anneal_statemachine::command::{
    Change, ChangeStack, CommandKind, CommitStaged, Difference, SetResource, Settings,
    StackOptions, StagePart,
};
use anneal_statemachine::digest::definition_digest;
use anneal_statemachine::id::{RequestId, Revision, StackId, Text};
use anneal_statemachine::outcome::{Outcome, Rejection};
use anneal_statemachine::row::DesiredRow;

use member::{Member, item};

const PER_ENTRY: u32 = 3;

fn request(number: u8) -> RequestId {
    RequestId([number; 16])
}

fn settings(number: u8, change: impl FnOnce(&mut Settings)) -> CommandKind {
    let mut settings = Settings {
        items_per_entry: PER_ENTRY,
        ..Settings::default()
    };
    change(&mut settings);
    CommandKind::ClusterSettings {
        request: request(number),
        settings,
    }
}

fn change(number: u8, change: Change) -> ChangeStack {
    ChangeStack {
        request: request(number),
        namespace: "default".into(),
        name: "large".into(),
        change,
    }
}

/// A part of a staged change; what else a difference says is not among it.
fn part(stage: RequestId, part: u32, stack: Option<StackId>, content: Difference) -> CommandKind {
    CommandKind::StagePart(StagePart {
        stage,
        part,
        stack,
        set: content.set,
        remove: content.remove,
    })
}

/// Stages a difference and commits it.
fn commit(member: &mut Member, number: u8, mut whole: Difference, base: Option<u64>) -> Outcome {
    let stage = request(number + 100);
    let content = Difference {
        set: std::mem::take(&mut whole.set),
        remove: std::mem::take(&mut whole.remove),
        ..Difference::default()
    };
    let stack = base.and_then(|_| member.machine.stack_named("default", "large"));
    member.apply(part(stage, 0, stack, content));
    let last = match base {
        None => Change::Create { difference: whole },
        Some(base) => Change::Update {
            base: Revision(base),
            difference: whole,
        },
    };
    let commit = CommitStaged {
        stage,
        parts: 1,
        change: change(number, last),
    };
    member.apply(CommandKind::CommitStaged(commit)).outcome
}

fn setting(set: Vec<SetResource>) -> Difference {
    Difference {
        set,
        ..Difference::default()
    }
}

fn removing(names: &[&str]) -> Difference {
    Difference {
        remove: names.iter().map(|name| Text::from(*name)).collect(),
        ..Difference::default()
    }
}

fn protected(name: &str) -> SetResource {
    let mut item = item(name, None);
    let definition = item.definition.as_mut().expect("it has one");
    definition.policy.protect = true;
    item
}

/// What should be, as all readers see it; asked name by name it is the same.
fn declared(member: &Member, stack: StackId) -> Vec<(Text, DesiredRow)> {
    let all = member.machine.declared_after(stack, None);
    let mut protected = 0;
    for (name, desired) in all {
        assert_eq!(member.machine.declared(stack, name), desired, "{name}");
        protected += u64::from(desired.is_some_and(DesiredRow::protects));
    }
    assert_eq!(member.machine.protected(stack), protected);
    member
        .machine
        .declared_after(stack, None)
        .filter_map(|(name, desired)| Some((name.clone(), desired?.clone())))
        .map(|(name, desired)| {
            // A change that is staged has no revision yet.
            let revision = Revision(0);
            (
                name,
                DesiredRow {
                    revision,
                    ..desired
                },
            )
        })
        .collect()
}

/// A create of eleven, of which three are taken in.
fn in_motion() -> (Member, StackId) {
    let mut member = Member::new();
    member.apply(settings(250, |_| ()));
    let mut set = vec![protected("a0"), protected("z9")];
    set.extend((0..8).map(|at| item(&format!("r{at}"), None)));
    set.push(item("upon", Some("r7")));
    let outcome = commit(&mut member, 1, setting(set), None);
    let Outcome::Stack(answer) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(member.machine.wants_advance(), "more than one entry takes");
    (member, answer.stack)
}

/// Takes the rest in. What should be does not change meanwhile, and a restart in the middle knows it too.
fn take_in(member: &mut Member, stack: StackId) -> Vec<(Text, DesiredRow)> {
    let before = declared(member, stack);
    while member.machine.wants_advance() {
        assert_eq!(declared(&member.restarted(), stack), before);
        member.apply(CommandKind::Advance);
        assert_eq!(declared(member, stack), before);
    }
    assert!(member.machine.stages_of(stack).is_empty());
    before
}

fn names(declared: &[(Text, DesiredRow)]) -> Vec<&str> {
    declared.iter().map(|(name, _)| &**name).collect()
}

#[test]
fn what_is_declared_is_there_from_the_start() {
    let (mut member, stack) = in_motion();
    let all = take_in(&mut member, stack);
    let expected = [
        "a0", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "upon", "z9",
    ];
    assert_eq!(names(&all), expected);
    let r6 = Text::from("r6");
    let later = member.machine.declared_after(stack, Some(&r6));
    let later: Vec<&str> = later.map(|(name, _)| &**name).collect();
    assert_eq!(later, ["r7", "upon", "z9"]);
}

#[test]
fn a_newer_change_is_taken_at_once_and_counts_at_once() {
    let (mut member, stack) = in_motion();
    let new = SetResource {
        definition: item("other", None).definition,
        ..item("r5", None)
    };
    let patch = Difference {
        set: vec![new.clone(), item("s", None)],
        ..removing(&["r1"])
    };
    let update = Change::Update {
        base: Revision(1),
        difference: patch,
    };
    let outcome = member.apply(CommandKind::ChangeStack(change(2, update)));
    assert!(matches!(outcome.outcome, Outcome::Stack(_)));
    assert_eq!(member.machine.stages_of(stack).len(), 2);
    let now = member.machine.declared(stack, "r5").expect("it should be");
    let digest = new.definition.expect("it has one").digest;
    assert_eq!(now.definition, Some(digest));
    let all = take_in(&mut member, stack);
    assert!(names(&all).contains(&"s") && !names(&all).contains(&"r1"));
    let id = member
        .machine
        .resource_named(stack, "r5")
        .expect("it is there");
    let resource = member.machine.resource(id).expect("it is there");
    assert_eq!(
        resource.desired.expect("it should be").definition,
        Some(digest)
    );
}

#[test]
fn a_deletion_empties_it_at_once() {
    let (mut member, stack) = in_motion();
    let plain = setting(vec![item("a0", None), item("z9", None)]);
    let outcome = commit(&mut member, 2, plain, Some(1));
    assert!(matches!(outcome, Outcome::Stack(_)), "{outcome:?}");
    let delete = Change::Delete { base: None };
    let outcome = member.apply(CommandKind::ChangeStack(change(3, delete)));
    assert!(matches!(outcome.outcome, Outcome::Stack(_)), "{outcome:?}");
    assert!(declared(&member, stack).is_empty());
    let again = setting(vec![item("r3", None), item("new", None)]);
    let outcome = commit(&mut member, 4, again, Some(3));
    assert!(matches!(outcome, Outcome::Stack(_)), "{outcome:?}");
    let all = take_in(&mut member, stack);
    assert_eq!(names(&all), ["new", "r3"]);
}

#[test]
fn what_waits_to_be_protected_is_protected() {
    let (mut member, stack) = in_motion();
    let of = |member: &Member| -> Vec<Text> {
        let all = declared(member, stack).into_iter();
        all.filter(|(_, desired)| desired.protects())
            .map(|(name, _)| name)
            .collect()
    };
    let both: [Text; 2] = ["a0".into(), "z9".into()];
    assert_eq!(of(&member), both);
    assert_eq!(of(&member.restarted()), both);
    let refused = |outcome: Outcome| {
        let protects = |it: &Rejection| matches!(it, Rejection::ResourceProtected { .. });
        assert!(
            matches!(&outcome, Outcome::Rejected(why) if protects(why)),
            "{outcome:?}"
        );
    };
    let delete = Change::Delete { base: None };
    refused(
        member
            .apply(CommandKind::ChangeStack(change(2, delete)))
            .outcome,
    );
    let update = Change::Update {
        base: Revision(1),
        difference: removing(&["z9"]),
    };
    refused(
        member
            .apply(CommandKind::ChangeStack(change(3, update)))
            .outcome,
    );
    refused(commit(&mut member, 4, removing(&["r0", "z9"]), Some(1)));
    // Once that is taken back, though that waits too, it may go.
    let update = Change::Update {
        base: Revision(1),
        difference: setting(vec![item("z9", None)]),
    };
    member.apply(CommandKind::ChangeStack(change(5, update)));
    assert_eq!(of(&member), both[..1]);
    let outcome = commit(&mut member, 6, removing(&["z9"]), Some(2));
    assert!(matches!(outcome, Outcome::Stack(_)), "{outcome:?}");
    let all = take_in(&mut member, stack);
    assert!(!names(&all).contains(&"z9"));
}

#[test]
fn what_parts_would_spoil_is_told_by_the_first_name_and_after_a_restart_by_the_same() {
    let mut member = Member::new();
    member.apply(settings(250, |_| ()));
    let names = ["a", "b", "c", "d"];
    commit(&mut member, 1, setting(names.map(protected).into()), None);
    advances(&mut member);
    let stack = member.machine.stack_named("default", "large");
    let other_type = |name: &str| {
        let mut item = protected(name);
        let definition = item.definition.as_mut().expect("it has one");
        definition.type_name = "another".into();
        definition.digest = definition_digest("another", &definition.body);
        item
    };
    let kept = SetResource {
        definition: item("other", None).definition,
        ..item("a", None)
    };
    let first = Difference {
        set: vec![kept],
        ..removing(&["d"])
    };
    let second = Difference {
        set: vec![other_type("c"), item("new", None)],
        ..removing(&["b"])
    };
    member.apply(part(request(102), 0, stack, first));
    member.apply(part(request(102), 1, stack, second));
    let update = Change::Update {
        base: Revision(1),
        difference: Difference::default(),
    };
    let commit = CommitStaged {
        stage: request(102),
        parts: 2,
        change: change(2, update),
    };
    let mut restarted = member.restarted();
    for member in [&mut member, &mut restarted] {
        let outcome = member
            .apply(CommandKind::CommitStaged(commit.clone()))
            .outcome;
        let first = Rejection::ResourceProtected { name: "b".into() };
        assert_eq!(outcome, Outcome::Rejected(first));
    }
}

#[test]
fn what_was_compared_to_another_stack_says_nothing_of_the_new_one() {
    let mut member = Member::new();
    member.apply(settings(250, |it| it.max_resources = 12));
    let ten = || (0..10).map(|at| item(&format!("n{at}"), None)).collect();
    commit(&mut member, 1, setting(ten()), None);
    advances(&mut member);
    let old = member.machine.stack_named("default", "large");
    // None of these is new to the stack that is there now.
    member.apply(part(request(102), 0, old, setting(ten())));
    let delete = Change::Delete { base: None };
    member.apply(CommandKind::ChangeStack(change(3, delete)));
    advances(&mut member);
    assert_eq!(member.machine.stack_named("default", "large"), None);
    let difference = Difference::default();
    let commit = CommitStaged {
        stage: request(102),
        parts: 1,
        change: change(2, Change::Create { difference }),
    };
    member.apply(CommandKind::CommitStaged(commit));
    let five = ["a", "b", "c", "d", "e"].map(|name| item(name, None));
    let update = CommandKind::ChangeStack(change(
        4,
        Change::Update {
            base: Revision(1),
            difference: setting(five.into()),
        },
    ));
    assert!(member.machine.wants_advance(), "most of it waits");
    let mut restarted = member.restarted();
    for member in [&mut member, &mut restarted] {
        let too_many = Rejection::TooManyResources {
            count: 15,
            limit: 12,
        };
        let outcome = member.apply(update.clone()).outcome;
        assert_eq!(outcome, Outcome::Rejected(too_many));
    }
}

#[test]
fn a_change_under_the_id_of_a_staged_one_is_refused() {
    let (mut member, stack) = in_motion();
    let foreign = setting(vec![item("foreign", None)]);
    member.apply(part(request(2), 0, Some(stack), foreign));
    let update = Change::Update {
        base: Revision(1),
        difference: setting(vec![item("own", None)]),
    };
    let outcome = member.apply(CommandKind::ChangeStack(change(2, update)));
    assert!(
        matches!(
            outcome.outcome,
            Outcome::Rejected(Rejection::StageIncomplete { .. })
        ),
        "{outcome:?}"
    );
    let all = take_in(&mut member, stack);
    assert!(!names(&all).contains(&"foreign"));
}

#[test]
fn what_waits_counts_among_how_many_there_may_be() {
    let (mut member, stack) = in_motion();
    member.apply(settings(251, |it| it.max_resources = 12));
    let patch = |base, set| Change::Update {
        base: Revision(base),
        difference: setting(set),
    };
    let two = patch(1, vec![item("s", None), item("t", None)]);
    let outcome = member
        .apply(CommandKind::ChangeStack(change(2, two)))
        .outcome;
    let too_many = Rejection::TooManyResources {
        count: 13,
        limit: 12,
    };
    assert_eq!(outcome, Outcome::Rejected(too_many.clone()));
    let two = setting(vec![item("s", None), item("t", None)]);
    assert_eq!(
        commit(&mut member, 3, two, Some(1)),
        Outcome::Rejected(too_many)
    );
    let one_is_new = patch(1, vec![item("s", None), item("r7", None)]);
    let outcome = member.apply(CommandKind::ChangeStack(change(4, one_is_new)));
    assert!(matches!(outcome.outcome, Outcome::Stack(_)));
    assert_eq!(take_in(&mut member, stack).len(), 12);
}

#[test]
fn in_a_full_stack_names_can_be_exchanged_one_or_all_while_it_is_taken_in() {
    let (mut member, stack) = in_motion();
    member.apply(settings(251, |it| it.max_resources = 11));
    let exchange = Difference {
        set: vec![item("s", None)],
        ..removing(&["r1"])
    };
    let update = Change::Update {
        base: Revision(1),
        difference: exchange,
    };
    let outcome = member.apply(CommandKind::ChangeStack(change(2, update)));
    assert!(matches!(outcome.outcome, Outcome::Stack(_)), "{outcome:?}");
    let all = take_in(&mut member, stack);
    assert!(all.len() == 11 && names(&all).contains(&"s"));
    let unprotected = setting(vec![item("a0", None), item("z9", None)]);
    commit(&mut member, 3, unprotected, Some(2));
    let new = (0..11).map(|at| item(&format!("t{at}"), None));
    let exchange = Difference {
        set: new.collect(),
        remove: all.into_iter().map(|(name, _)| name).collect(),
        ..Difference::default()
    };
    let outcome = commit(&mut member, 4, exchange, Some(3));
    assert!(matches!(outcome, Outcome::Stack(_)), "{outcome:?}");
    let all = take_in(&mut member, stack);
    assert!(all.len() == 11 && names(&all).iter().all(|name| name.starts_with('t')));
    let one_more = setting(vec![item("one-more", None)]);
    let too_many = Rejection::TooManyResources {
        count: 12,
        limit: 11,
    };
    let outcome = commit(&mut member, 5, one_more, Some(4));
    assert_eq!(outcome, Outcome::Rejected(too_many));
}

#[test]
fn a_protected_stack_is_not_rolled_back_to_nothing_in_parts_either() {
    let mut member = Member::new();
    member.apply(settings(250, |_| ()));
    let options = StackOptions {
        protect: true,
        ..StackOptions::default()
    };
    let create = Difference {
        options: Some(options),
        ..setting(vec![item("a", None)])
    };
    commit(&mut member, 1, create, None);
    let stack = member.machine.stack_named("default", "large");
    member.apply(part(request(102), 0, stack, removing(&["a"])));
    let rollback = Change::Rollback {
        base: Revision(1),
        to: Revision(0),
        difference: Difference::default(),
        failed: None,
    };
    let last = CommitStaged {
        stage: request(102),
        parts: 1,
        change: change(2, rollback),
    };
    let outcome = member.apply(CommandKind::CommitStaged(last)).outcome;
    let protected = Rejection::StackProtected {
        name: "large".into(),
    };
    assert_eq!(outcome, Outcome::Rejected(protected));
}

#[test]
fn a_full_stack_can_be_changed_and_a_restart_counts_the_same() {
    let (mut member, stack) = in_motion();
    take_in(&mut member, stack);
    member.apply(settings(251, |it| it.max_resources = 11));
    let staged = |member: &mut Member, number: u8, set: Vec<SetResource>| {
        let stage = request(number + 100);
        member.apply(part(stage, 0, Some(stack), setting(set)));
    };
    let committed = |member: &mut Member, number: u8| {
        let update = Change::Update {
            base: Revision(1),
            difference: Difference::default(),
        };
        let commit = CommitStaged {
            stage: request(number + 100),
            parts: 1,
            change: change(number, update),
        };
        member.apply(CommandKind::CommitStaged(commit)).outcome
    };
    let anew = |name: &str| SetResource {
        definition: item("other", None).definition,
        ..item(name, None)
    };
    staged(&mut member, 2, vec![anew("r1"), item("s", None)]);
    staged(&mut member, 3, vec![anew("r1"), anew("r2")]);
    let mut restarted = member.restarted();
    for member in [&mut member, &mut restarted] {
        let too_many = Rejection::TooManyResources {
            count: 12,
            limit: 11,
        };
        assert_eq!(committed(member, 2), Outcome::Rejected(too_many));
        let outcome = committed(member, 3);
        assert!(matches!(outcome, Outcome::Stack(_)), "{outcome:?}");
        assert_eq!(take_in(member, stack).len(), 11);
    }
    let update = Change::Update {
        base: Revision(2),
        difference: setting(vec![anew("r3")]),
    };
    let outcome = member.apply(CommandKind::ChangeStack(change(4, update)));
    assert!(matches!(outcome.outcome, Outcome::Stack(_)));
}

#[test]
fn who_names_whom_is_seen_in_what_waits() {
    let (member, stack) = in_motion();
    let stages = member.machine.stages_of(stack);
    let waits = member.machine.staged_after(stages[0], None);
    let upon = waits
        .filter_map(|(_, item)| Some((&*item.name, item.desired.as_ref()?)))
        .filter(|(_, desired)| member.machine.names_another(desired, "r7"));
    let upon: Vec<&str> = upon.map(|(name, _)| name).collect();
    assert_eq!(upon, ["upon"]);
}

/// How many entries carry on what waits.
fn advances(member: &mut Member) -> usize {
    let mut count = 0;
    while member.machine.wants_advance() {
        member.apply(CommandKind::Advance);
        count += 1;
    }
    count
}

#[test]
fn an_entry_takes_fewer_that_have_edges_and_clears_fewer() {
    let mut member = Member::new();
    member.apply(settings(250, |settings| settings.items_per_entry = 6));
    let below = ["a", "b", "c", "d"].map(|name| item(name, None));
    let above = ["v", "w", "x", "y"].map(|name| {
        let mut item = item(name, None);
        let definition = item.definition.as_mut().expect("it has one");
        definition.depends_on = ["a", "b", "c", "d"].map(Text::from).to_vec();
        item
    });
    let set = below.into_iter().chain(above).collect();
    commit(&mut member, 1, setting(set), None);
    assert_eq!(advances(&mut member), 2, "4 and 1, 2, 1");
    let delete = Change::Delete { base: None };
    member.apply(CommandKind::ChangeStack(change(2, delete)));
    let cleared_and_forgotten = advances(&mut member);
    assert_eq!(cleared_and_forgotten, 3, "4 and 1, 2, 1; and the past of 8");
    assert_eq!(member.machine.stack_named("default", "large"), None);
}

#[test]
fn a_deleted_stack_ends_once_its_past_is_forgotten_bit_by_bit() {
    let mut member = Member::new();
    member.apply(settings(250, |_| ()));
    let set = (0..8).map(|at| item(&format!("r{at}"), None)).collect();
    commit(&mut member, 1, setting(set), None);
    advances(&mut member);
    let changed = |name: &str, upon: &str| SetResource {
        definition: item(upon, None).definition,
        ..item(name, None)
    };
    for revision in 1..=3 {
        let upon = format!("revision {revision}");
        let set = (0..8).map(|at| changed(&format!("r{at}"), &upon)).collect();
        let number = u8::try_from(revision).expect("small") + 1;
        commit(&mut member, number, setting(set), Some(revision));
        advances(&mut member);
    }
    let delete = Change::Delete { base: None };
    member.apply(CommandKind::ChangeStack(change(9, delete)));
    let mut entries = 0;
    while member.machine.wants_advance() {
        let mut restarted = member.restarted();
        let alike = restarted.apply(CommandKind::Advance);
        assert_eq!(member.apply(CommandKind::Advance), alike);
        entries += 1;
    }
    assert!(
        entries > 24 / PER_ENTRY,
        "{entries}: so many for the past alone"
    );
    assert_eq!(member.machine.stack_named("default", "large"), None);
}

#[test]
fn what_is_being_dropped_is_not_committed() {
    let mut member = Member::new();
    member.apply(settings(250, |settings| settings.stage_lifetime_ms = 0));
    let stage = request(101);
    let set = (0..8).map(|at| item(&format!("r{at}"), None)).collect();
    member.apply(part(stage, 0, None, setting(set)));
    member.apply(CommandKind::FireDeadlines);
    let difference = Difference::default();
    let commit = CommitStaged {
        stage,
        parts: 1,
        change: change(1, Change::Create { difference }),
    };
    let outcome = member.apply(CommandKind::CommitStaged(commit)).outcome;
    assert!(
        matches!(
            outcome,
            Outcome::Rejected(Rejection::StageIncomplete { .. })
        ),
        "{outcome:?}"
    );
    assert_eq!(member.machine.stack_named("default", "large"), None);
}
