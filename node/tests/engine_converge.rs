//! Stacks converge on one member: incidents, in one process.

mod cluster;
mod engine;

use std::sync::Arc;
use std::time::Duration;

use anneal_proto::v1::{OnFailure, StackOptions, Verb};
use anneal_statemachine::command::Change;
use anneal_statemachine::view::{Phase, Status};
use engine::{IMPOSSIBLE, World, change, quick, start_alone, submit, until, until_converged};

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_converges_follows_a_change_and_goes() {
    let directory = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let path = files.path().join("config");
    let template = |value: &str| {
        format!(
            r"
heat_template_version: 2021-04-16
resources:
  nothing: {{ type: OS::Heat::None }}
  value: {{ type: OS::Heat::Value, properties: {{ value: {value} }} }}
  thing: {{ type: Test::Thing, properties: {{ value: {{ get_attr: [value, value] }} }} }}
  untouched: {{ type: Test::Thing, properties: {{ value: same }} }}
  file:
    type: Anneal::File
    properties:
      path: {path}
      content: {{ get_attr: [thing, value] }}
",
            path = path.display()
        )
    };
    let stack = submit(&member, Verb::Create, "web", &template("one"), None).await;
    until_converged(&member, stack).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");

    submit(&member, Verb::Update, "web", &template("two"), None).await;
    until_converged(&member, stack).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(world.effects_on("thing"), ["create", "update"]);
    assert_eq!(
        world.effects_on("untouched"),
        ["create"],
        "nobody asked for more"
    );

    let empty = "heat_template_version: 2021-04-16\nresources: {}\n";
    submit(&member, Verb::Update, "web", empty, None).await;
    until_converged(&member, stack).await;
    assert!(!path.exists());
    assert!(world.things.lock().unwrap().is_empty());
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_takes_a_few_entries_per_chunk() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let mut template = String::from(
        "heat_template_version: 2021-04-16\nresources:\n  r0: { type: OS::Heat::None }\n",
    );
    const LENGTH: u64 = 200;
    for place in 1..LENGTH {
        let before = place - 1;
        template += &format!("  r{place}: {{ type: OS::Heat::None, depends_on: r{before} }}\n");
    }
    let before = member.replica().progress().1;
    let stack = submit(&member, Verb::Create, "chain", &template, None).await;
    until_converged(&member, stack).await;
    let entries = member.replica().progress().1 - before;
    let chunks = LENGTH.div_ceil(64);
    assert!(
        entries <= 3 * chunks + 3,
        "{entries} entries for {chunks} chunks"
    );
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_panics_is_no_verdict_and_is_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    world.panics.lock().unwrap().push("thing".into());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let template = "
heat_template_version: 2021-04-16
resources:
  thing: { type: Test::Thing, timeout: 2, properties: { value: x } }
";
    let stack = submit(&member, Verb::Create, "web", template, None).await;
    until_converged(&member, stack).await;
    assert!(
        !world.looks.lock().unwrap().is_empty(),
        "it was looked at first"
    );
    assert_eq!(world.effects_on("thing"), ["create"]);
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_changed_behind_our_back_is_seen_and_healed() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let template = "
heat_template_version: 2021-04-16
resources:
  thing: { type: Test::Thing, properties: { value: right } }
  gone: { type: Test::Thing, properties: { value: there } }
";
    let options = StackOptions {
        observe_interval_ms: Some(500),
        ..StackOptions::default()
    };
    let stack = submit(&member, Verb::Create, "web", template, Some(options)).await;
    until_converged(&member, stack).await;
    {
        let mut things = world.things.lock().unwrap();
        things.retain(|_, thing| thing.value != "there");
        things
            .values_mut()
            .for_each(|thing| thing.value = "wrong".into());
    }
    cluster::eventually("both are mended", async || {
        let things = world.things.lock().unwrap();
        let values: Vec<&str> = things.values().map(|thing| thing.value.as_str()).collect();
        (values.contains(&"right") && values.contains(&"there")).then_some(())
    })
    .await;
    until_converged(&member, stack).await;
    let quiet = member.replica().progress().1;
    let rounds = world.reads() + 4;
    cluster::eventually("both are read twice more", async || {
        (world.reads() >= rounds).then_some(())
    })
    .await;
    assert_eq!(
        member.replica().progress().1,
        quiet,
        "sameness writes nothing"
    );
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_fails_stops_and_a_mended_one_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let template = |fail: bool| {
        format!(
            "
heat_template_version: 2021-04-16
resources:
  wrong:
    type: Anneal::File
    properties: {{ path: {path}, content: x }}
  after: {{ type: Test::Thing, depends_on: wrong, properties: {{ value: x }} }}
",
            path = if fail {
                "/proc/nowhere/file".to_owned()
            } else {
                directory.path().join("file").display().to_string()
            }
        )
    };
    let stack = submit(&member, Verb::Create, "web", &template(true), None).await;
    until(&member, stack, Some(Status::Failed)).await;
    assert!(world.effects_on("after").is_empty());
    submit(&member, Verb::Update, "web", &template(false), None).await;
    until_converged(&member, stack).await;
    assert_eq!(world.effects_on("after"), ["create"]);
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fails_goes_back_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let template = |value: &str, path: &str| {
        format!(
            "
heat_template_version: 2021-04-16
resources:
  thing: {{ type: Test::Thing, properties: {{ value: {value} }} }}
  file: {{ type: Anneal::File, depends_on: thing, properties: {{ path: {path}, content: x }} }}
"
        )
    };
    let options = StackOptions {
        on_failure: OnFailure::Rollback.into(),
        ..StackOptions::default()
    };
    let path = directory.path().join("file").display().to_string();
    let good = template("good", &path);
    let stack = submit(&member, Verb::Create, "web", &good, Some(options)).await;
    until_converged(&member, stack).await;
    let bad = template("bad", "/proc/nowhere/file");
    submit(&member, Verb::Update, "web", &bad, None).await;
    cluster::eventually("it is back", async || {
        let things = world.things.lock().unwrap();
        let back = things.values().all(|thing| thing.value == "good");
        (back && world.effects_on("thing").len() >= 3).then_some(())
    })
    .await;
    until_converged(&member, stack).await;
    assert_eq!(world.effects_on("thing"), ["create", "update", "update"]);
    assert!(std::path::Path::new(&path).exists());
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_comes_due_in_a_pause_follows_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let template = |value: &str| {
        format!(
            "
heat_template_version: 2021-04-16
resources:
  thing: {{ type: Test::Thing, properties: {{ value: {value} }} }}
"
        )
    };
    let options = StackOptions {
        on_failure: OnFailure::Rollback.into(),
        ..StackOptions::default()
    };
    let stack = submit(
        &member,
        Verb::Create,
        "web",
        &template("good"),
        Some(options),
    )
    .await;
    until_converged(&member, stack).await;
    world.held.lock().unwrap().push("thing".into());
    submit(&member, Verb::Update, "web", &template(IMPOSSIBLE), None).await;
    cluster::eventually("the call runs", async || {
        (world.effects_on("thing").last() == Some(&"refuse")).then_some(())
    })
    .await;
    change(&member, "web", Change::Pause).await;
    world.release();
    cluster::eventually("it has failed", async || {
        let running = member.replica().read(|machine| machine.running_in(stack));
        (running == 0).then_some(())
    })
    .await;
    until(&member, stack, Some(Status::Paused)).await;
    change(&member, "web", Change::Resume).await;
    until_converged(&member, stack).await;
    let revision = member
        .replica()
        .read(|machine| machine.stack(stack).map(|stack| stack.row.revision.0));
    assert_eq!(revision, Some(3), "it went back");
    member.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_asked_to_stop_lets_what_runs_finish() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    world.held.lock().unwrap().push("slow".into());
    let mut config = quick(directory.path(), &[], "a");
    config.drain_timeout = Duration::from_secs(20);
    let member = start_alone(config.clone(), &world).await;
    let template = "
heat_template_version: 2021-04-16
resources:
  slow: { type: Test::Thing, properties: { value: x } }
  after: { type: Test::Thing, depends_on: slow, properties: { value: x } }
";
    let stack = submit(&member, Verb::Create, "web", template, None).await;
    cluster::eventually("the call runs", async || {
        (!world.effects_on("slow").is_empty()).then_some(())
    })
    .await;
    let mut draining = member.context().draining.subscribe();
    let shutdown = tokio::spawn(member.shutdown());
    draining.wait_for(|draining| *draining).await.unwrap();
    assert!(!shutdown.is_finished(), "a call is under way");
    world.release();
    shutdown.await.unwrap().unwrap();
    assert!(world.effects_on("after").is_empty(), "nothing new starts");
    let again = start_alone(config, &world).await;
    again.replica().linearize().await.unwrap();
    let settled = again.replica().read(|machine| {
        let slow = machine.resource_named(stack, "slow").unwrap();
        machine.resource(slow).unwrap().phase
    });
    assert_eq!(
        settled,
        Some(Phase::Settled),
        "what ran has finished and was reported"
    );
    until_converged(&again, stack).await;
    assert_eq!(world.effects_on("slow"), ["create"], "it was made once");
    assert!(
        world.looks.lock().unwrap().is_empty(),
        "nothing was unknown"
    );
    again.shutdown().await.unwrap();
}
