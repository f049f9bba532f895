//! Engines die, and others go on: incidents, on loopback, in one process.

mod cluster;
mod engine;

use std::sync::Arc;

use anneal_proto::v1::Verb;
use anneal_statemachine::row::Action;
use cluster::{eventually, until_voters};
use engine::{World, leader, quick, start, start_alone, submit, until_converged};

const STUCK: &str = "
heat_template_version: 2021-04-16
resources:
  stuck: { type: Test::Thing, properties: { value: x } }
  after: { type: Test::Thing, properties: { value: { get_attr: [stuck, value] } } }
";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_restarts_and_looks_at_what_it_did_not_finish() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    world.stuck.lock().unwrap().push("stuck".into());
    let member = start_alone(quick(directory.path(), &[], "a"), &world).await;
    let stack = submit(&member, Verb::Create, "web", STUCK, None).await;
    eventually("the call is under way", async || {
        (!world.effects_on("stuck").is_empty()).then_some(())
    })
    .await;
    member.shutdown().await.unwrap();

    let again = start_alone(quick(directory.path(), &[], "a"), &world).await;
    until_converged(&again, stack).await;
    assert_eq!(
        world.effects_on("stuck"),
        ["create"],
        "it was seen, and not made twice"
    );
    assert_eq!(world.effects_on("after"), ["create"]);
    again.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_dies_mid_create_and_another_looks_first() {
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let world = Arc::new(World::new());
    let first = start_alone(quick(directories[0].path(), &[], "a"), &world).await;
    let address = first.address().to_owned();
    let second = start(quick(directories[1].path(), &[&address], "b"), &world).await;
    let third = start(quick(directories[2].path(), &[&address], "c"), &world).await;
    until_voters(first.replica(), 3).await;
    let members = [&first, &second, &third];
    eventually("three engines are there", async || {
        let engines = first.replica().read(|machine| machine.engines().count());
        (engines == 3).then_some(())
    })
    .await;
    world.stuck.lock().unwrap().push("stuck".into());
    let leading = leader(&members).await;
    let stack = submit(leading, Verb::Create, "web", STUCK, None).await;
    let holder = eventually("the call is under way", async || {
        let held = leading.replica().read(|machine| {
            machine
                .engines()
                .flat_map(|found| machine.assignments_of(found.engine))
                .find(|assignment| {
                    assignment.action == Action::Create && &*assignment.name == "stuck"
                })
                .map(|assignment| assignment.engine.member)
        });
        held.filter(|_| !world.effects_on("stuck").is_empty())
    })
    .await;
    let [first, second, third] = [first, second, third].map(|member| {
        let dies = member.replica().member_id() == holder;
        (dies, member)
    });
    let mut survivors = Vec::new();
    for (dies, member) in [first, second, third] {
        if dies {
            crash(member).await;
        } else {
            survivors.push(member);
        }
    }
    let all: Vec<&anneal_node::Member> = survivors.iter().collect();
    let leading = leader(&all).await;
    until_converged(leading, stack).await;
    assert_eq!(
        world.effects_on("stuck"),
        ["create"],
        "it was seen, and not made twice"
    );
    assert_eq!(world.effects_on("after"), ["create"]);
    for member in survivors {
        member.shutdown().await.unwrap();
    }
}

/// The member ends at once: what it runs is not waited for.
async fn crash(member: anneal_node::Member) {
    member.replica().clone().stop().await.unwrap();
    drop(member);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stops_and_ends_before_its_files_are_closed_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let world = Arc::new(World::new());
    let home = directory.path().join("member");
    let member = start_alone(quick(&home, &[], "a"), &world).await;
    let template = "
heat_template_version: 2021-04-16
resources:
  thing: { type: Test::Thing, properties: { value: x } }
";
    let stack = submit(&member, Verb::Create, "web", template, None).await;
    until_converged(&member, stack).await;
    let still_open = member.replica().clone();
    member.shutdown().await.unwrap();

    // What is on disk now is what a process would leave that ends here.
    let left = directory.path().join("left");
    copy(&home, &left);
    let again = start_alone(quick(&left, &[], "a"), &world).await;
    until_converged(&again, stack).await;
    assert_eq!(world.effects_on("thing"), ["create"]);
    again.shutdown().await.unwrap();
    drop(still_open);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => std::fs::copy(entry.path(), to).map(|_| ()).unwrap(),
        }
    }
}
