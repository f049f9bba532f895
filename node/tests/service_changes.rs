//! Changes of a stack, asked for over the wire of a one-member cluster.

mod service;

use anneal_client::{Ended, Error, Read, ResourceName, StackName, Submission, v1};
use service::{World, file, id, template, up, values};

fn name(name: &str) -> StackName {
    StackName::new(name)
}

/// Two values, the second made from the first.
const CHAIN: &str = "
parameters:
  word: {type: string, default: hello}
resources:
  first:
    type: OS::Heat::Value
    properties: {value: {get_param: word}}
  second:
    type: OS::Heat::Value
    properties: {value: {str_replace: {template: W there, params: {W: {get_attr: [first, value]}}}}}
outputs:
  said: {value: {get_attr: [second, value]}}
";

fn output(stack: &v1::Stack, name: &str) -> String {
    let found = stack.outputs.iter().find(|output| output.name == name);
    found.map_or_else(|| format!("no {name}"), |output| output.json.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_made_changed_by_parameter_and_left_alone_when_nothing_changed() {
    let world = World::new().await;
    let text = template(CHAIN);
    let reply = world.up("web", &text).await.unwrap();
    assert!(reply.created && reply.changed);
    let stack = world.converges("web", &reply).await;
    assert_eq!(output(&stack, "said"), r#""hello there""#);

    let again = world.up("web", &text).await.unwrap();
    assert!(!again.changed && !again.created);
    assert_eq!(again.revision, reply.revision);

    let mut changed = up("web", &text);
    changed.parameters.push(("word".into(), "bye".into()));
    let reply = world.client.submit(&changed).await.unwrap();
    assert_eq!(reply.revision, 2);
    let stack = world.converges("web", &reply).await;
    assert_eq!(output(&stack, "said"), r#""bye there""#);

    // A parameter that is not given returns to its default.
    let stack = world.converged("web", &text).await;
    assert_eq!(output(&stack, "said"), r#""hello there""#);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_wants_what_it_is_about_to_be_there_or_not() {
    let world = World::new().await;
    let submit = |verb| {
        let text = template("resources: {}\n");
        let document = file("stack.yaml", &text);
        let submission = Submission::new(verb, name("web"), document);
        let client = world.client.clone();
        async move { client.submit(&submission).await }
    };
    let refused = submit(v1::Verb::Update).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    submit(v1::Verb::Create).await.unwrap();
    let refused = submit(v1::Verb::Create).await;
    assert!(
        matches!(refused, Err(Error::AlreadyExists(_))),
        "{refused:?}"
    );
    submit(v1::Verb::Update).await.unwrap();
    let strange = world.up("1web", "resources: {}").await;
    assert!(matches!(strange, Err(Error::Invalid(_))), "{strange:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_twice_gets_the_first_answer() {
    let world = World::new().await;
    let document = file("stack.yaml", &template(CHAIN));
    let submission = Submission::new(v1::Verb::Create, name("web"), document);
    let first = world.client.submit(&submission).await.unwrap();
    let second = world.client.submit(&submission).await.unwrap();
    assert_eq!(
        (first.stack_id, first.revision),
        (second.stack_id, second.revision)
    );
    assert!(second.created, "asked anew it would be refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_moved_is_refused_and_names_the_revision_that_won() {
    let world = World::new().await;
    world.converged("web", &template(CHAIN)).await;
    let mut mine = up("web", &values(3));
    mine.base_revision = Some(1);
    let mut theirs = up("web", &values(2));
    theirs.base_revision = Some(1);
    world.client.submit(&theirs).await.unwrap();
    let Err(Error::BaseMoved(refusal)) = world.client.submit(&mine).await else {
        panic!("it moved");
    };
    assert_eq!(refusal.revision, 2);
    // Without a base, the two are taken one after the other.
    mine.base_revision = None;
    mine.request_id = id();
    assert_eq!(world.client.submit(&mine).await.unwrap().revision, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_at_once_are_both_taken_in_some_order() {
    let world = World::new().await;
    world.converged("web", &values(2)).await;
    let submissions = (3..9)
        .map(|count| up("web", &values(count)))
        .collect::<Vec<_>>();
    let all = submissions
        .iter()
        .map(|submission| world.client.submit(submission));
    let mut revisions: Vec<u64> = futures_util::future::join_all(all)
        .await
        .into_iter()
        .map(|reply| reply.unwrap().revision)
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [2, 3, 4, 5, 6, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_of_a_template_come_at_once_with_their_places() {
    let world = World::new().await;
    let text = template(
        "resources:\n  a: {type: OS::Heat::Vallue}\n  b:\n    type: OS::Heat::Value\n    properties:\n      \
         value: {get_attr: [c, value]}\n",
    );
    let Err(error @ Error::Invalid(_)) = world.up("web", &text).await else {
        panic!("it is wrong");
    };
    let lines: Vec<u32> = error
        .problems()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [3, 7], "{error}");
    assert_eq!(error.problems()[0].suggestion, "OS::Heat::Value");
    let problems = world.client.validate(&up("web", &text)).await.unwrap();
    assert_eq!(problems.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_changes_one_resource_and_the_stored_template_is_the_patched_whole() {
    let world = World::new().await;
    let mut text = up("web", &template(CHAIN));
    text.parameters.push(("word".into(), "bye".into()));
    let reply = world.client.submit(&text).await.unwrap();
    world.converges("web", &reply).await;

    let patch = "resources:\n  third:\n    type: OS::Heat::Value\n    properties: {value: {get_attr: [second, value]}}\n\
                 outputs:\n  third: {value: {get_attr: [third, value]}}\n";
    let reply = world.patch("web", patch).await.unwrap();
    let stack = world.converges("web", &reply).await;
    assert_eq!(
        output(&stack, "third"),
        r#""bye there""#,
        "parameters are kept"
    );
    assert_eq!(output(&stack, "said"), r#""bye there""#);

    let whole = world.template("web").await;
    assert!(
        whole.contains("third:") && whole.contains("second:"),
        "{whole}"
    );
    let mut same = up("web", &whole);
    same.parameters.push(("word".into(), "bye".into()));
    assert!(
        !world.client.submit(&same).await.unwrap().changed,
        "{whole}"
    );

    let reply = world
        .patch("web", "remove: [third]\noutputs: {third: null}\n")
        .await
        .unwrap();
    let stack = world.converges("web", &reply).await;
    assert_eq!(stack.counts.unwrap().total, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fits_into_no_entry_is_staged_and_taken_as_one() {
    let world = World::new().await;
    let stack = world.converged("large", &values(12_000)).await;
    assert_eq!(stack.counts.unwrap().settled, 12_000);
    assert_eq!(stack.revision, 1);
    // And all but one of it goes, as one.
    let stack = world.converged("large", &values(1)).await;
    assert_eq!((stack.counts.unwrap().total, stack.revision), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_goes_to_the_last_settled_revision_or_to_a_named_one() {
    let world = World::new().await;
    let first = world.converged("web", &template(CHAIN)).await;
    world.converged("web", &values(3)).await;
    let broken = template(
        "resources:\n  v00000:\n    type: OS::Heat::TestResource\n    properties: {value: x, fail: true}\n",
    );
    let reply = world.up("web", &broken).await.unwrap();
    assert!(matches!(world.ended("web", &reply).await, Ended::Failed(_)));

    let back = world
        .client
        .rollback(&id(), &name("web"), None, None)
        .await
        .unwrap();
    let reply = v1::SubmitReply {
        revision: back.revision,
        index: back.index,
        ..Default::default()
    };
    let stack = world.converges("web", &reply).await;
    assert_eq!(stack.counts.unwrap().settled, 3, "as revision 2 was");

    let back = world
        .client
        .rollback(&id(), &name("web"), Some(1), None)
        .await
        .unwrap();
    let reply = v1::SubmitReply {
        revision: back.revision,
        index: back.index,
        ..Default::default()
    };
    let stack = world.converges("web", &reply).await;
    assert_eq!(output(&stack, "said"), output(&first, "said"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_had_nothing_to_do_is_remembered() {
    let world = World::new().await;
    world.converged("web", &values(1)).await;
    let request = id();
    let first = world
        .client
        .rollback(&request, &name("web"), Some(1), None)
        .await
        .unwrap();
    assert_eq!((first.revision, first.changed), (1, false));
    world.converged("web", &values(2)).await;
    // What an attempt comes to that was delayed until now.
    let again = world
        .client
        .rollback(&request, &name("web"), Some(1), None)
        .await
        .unwrap();
    assert_eq!((again.revision, again.changed), (1, false));
    assert_eq!(world.show("web").await.revision, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_rolled_back_by_itself_if_the_stack_says_so() {
    let world = World::new().await;
    let mut good = up("web", &values(2));
    good.options.on_failure = v1::OnFailure::Rollback.into();
    let reply = world.client.submit(&good).await.unwrap();
    world.converges("web", &reply).await;
    let broken = template(
        "resources:\n  bad:\n    type: OS::Heat::TestResource\n    properties: {value: x, fail: true}\n",
    );
    let reply = world.up("web", &broken).await.unwrap();
    let stack = world.converges("web", &reply).await;
    assert_eq!(
        (stack.revision, stack.counts.unwrap().settled),
        (reply.revision + 1, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_a_resume_goes_on_and_a_deletion_ends_it() {
    let world = World::new().await;
    let slow = template(
        "resources:\n  a:\n    type: OS::Heat::TestResource\n    properties: {value: x, wait_secs: 0.3}\n  b:\n    \
         type: OS::Heat::Value\n    properties: {value: {get_attr: [a, output]}}\n",
    );
    let reply = world.up("web", &slow).await.unwrap();
    world.client.pause(&id(), &name("web")).await.unwrap();
    let goal = anneal_client::Goal::Quiet;
    let mut quiet = world.client.follow(&name("web"), goal, reply.index);
    let Ended::Reached(stack) = quiet.to_end(None).await.unwrap() else {
        panic!("it comes to rest");
    };
    assert_eq!(stack.status, "paused");
    world.client.resume(&id(), &name("web")).await.unwrap();
    world.converges("web", &reply).await;

    let deleted = world
        .client
        .delete_stack(&id(), &name("web"), None)
        .await
        .unwrap();
    let goal = anneal_client::Goal::Deleted;
    let mut follow = world.client.follow(&name("web"), goal, deleted.index);
    let ended = follow.to_end(None).await.unwrap();
    assert!(
        matches!(ended, Ended::Reached(_) | Ended::Gone),
        "{ended:?}"
    );
    let shown = world.client.show_stack(&name("web"), Read::default()).await;
    assert!(matches!(shown, Err(Error::NotFound(_))), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_protected_is_neither_deleted_nor_taken_out() {
    let world = World::new().await;
    let mut guarded = up("web", &values(1));
    guarded.options.protect = Some(true);
    let reply = world.client.submit(&guarded).await.unwrap();
    world.converges("web", &reply).await;
    let refused = world.client.delete_stack(&id(), &name("web"), None).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");

    let kept = template(
        "resources:\n  kept:\n    type: OS::Heat::Value\n    protect: true\n    properties: {value: 1}\n",
    );
    world.converged("other", &kept).await;
    let refused = world.patch("other", "remove: [kept]\n").await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_being_deleted_can_be_wanted_again() {
    let world = World::new().await;
    let slow = template(
        "resources:\n  a:\n    type: OS::Heat::TestResource\n    properties: {value: x, wait_secs: 0.3}\n",
    );
    let first = world.converged("web", &slow).await;
    let deleted = world
        .client
        .delete_stack(&id(), &name("web"), None)
        .await
        .unwrap();
    assert_eq!(world.show("web").await.status, "deleting");
    let patched = world.patch("web", "remove: [a]\n").await;
    assert!(matches!(patched, Err(Error::Refused(_))), "{patched:?}");
    let reply = world.up("web", &slow).await.unwrap();
    assert_eq!(
        (reply.stack_id, reply.revision),
        (first.id, deleted.revision + 1)
    );
    let stack = world.converges("web", &reply).await;
    assert_eq!(stack.counts.unwrap().settled, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_resource_is_tried_again_when_a_person_says_so() {
    let world = World::new().await;
    let broken = template(
        "resources:\n  bad:\n    type: OS::Heat::TestResource\n    properties: {value: x, fail: true}\n",
    );
    let reply = world.up("web", &broken).await.unwrap();
    assert!(matches!(world.ended("web", &reply).await, Ended::Failed(_)));
    let failures = async || {
        let pages = world
            .client
            .list_events(&name("web"), Some("bad"), Read::default());
        let events = pages.all().await.unwrap();
        events.iter().filter(|event| event.kind == "failed").count()
    };
    let before = failures().await;
    let bad = ResourceName::new(name("web"), "bad");
    let retried = world.client.retry_resource(&id(), &bad).await.unwrap();
    let again = v1::SubmitReply {
        revision: reply.revision,
        index: retried.index,
        ..Default::default()
    };
    assert!(matches!(world.ended("web", &again).await, Ended::Failed(_)));
    assert_eq!(failures().await, before + 1);
    let nobody = ResourceName::new(name("web"), "nobody");
    let refused = world.client.retry_resource(&id(), &nobody).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
}

/// What is patched waits to be taken in: who names it and what uses a parameter is found there all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_stack_is_patched_while_it_is_being_taken_in() {
    let world = World::new().await;
    let many = values(6_000);
    let many = many.strip_prefix(&template("")).unwrap();
    let last = "  zz:
    type: OS::Heat::Value
    properties: {value: {str_replace: {template: W N, params: {W: {get_param: word}, N: {get_attr: [v00000, value]}}}}}
";
    let parameters = "parameters:\n  word: {type: string, default: hello}\n";
    let outputs = "outputs:\n  said: {value: {get_attr: [zz, value]}}\n";
    let text = template(&format!("{parameters}{many}{last}{outputs}"));
    let created = world.up("large", &text).await.unwrap();
    assert_eq!(created.revision, 1);
    let refused = world.patch("large", "remove: [v00000]\n").await;
    assert!(
        matches!(&refused, Err(Error::Invalid(problems)) if format!("{problems:?}").contains("zz")),
        "{refused:?}"
    );
    let patch = "resources:\n  v00000:\n    type: OS::Heat::Value\n    properties: {value: 77}\n";
    let patch = format!("{patch}remove: [v05999]\n");
    let mut patch = Submission::patch(name("large"), "patch.yaml", patch);
    patch.parameters.push(("word".into(), "bye".into()));
    let patched = world.client.submit(&patch).await.unwrap();
    assert_eq!(patched.revision, 2);
    let exported = world.template("large").await;
    assert!(exported.contains("77") && exported.contains("v05998") && !exported.contains("v05999"));
    let stack = world.converges("large", &patched).await;
    assert_eq!(output(&stack, "said"), r#""bye 77""#);
    assert_eq!(stack.counts.unwrap_or_default().settled, 6_000);
    // What was patched is what the whole template says with the same changes.
    let whole = text.replacen("{value: 0}", "{value: 77}", 1);
    let whole = whole.replacen(
        "  v05999:\n    type: OS::Heat::Value\n    properties: {value: 5999}\n",
        "",
        1,
    );
    let mut whole = up("large", &whole);
    whole.parameters.push(("word".into(), "bye".into()));
    let same = world.client.submit(&whole).await.unwrap();
    assert_eq!(same.revision, 2, "nothing is different");
}
