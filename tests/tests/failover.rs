//! Three real members, real commands, and `kill -9` in the middle of the work: it ends converged and nothing is made
//! twice. The witness is a journal that the commands themselves write.

use std::{fs, process::Stdio};

use anneal_tests::{Cluster, Objects, PATIENCE, eventually};
use serde_json::{Map, json};

/// Layers and width of the stack: enough that actions are in flight on every member when one is killed.
const LAYERS: usize = 4;
const WIDTH: usize = 12;

/// Timings short enough for a test and long enough for a machine that is shared.
const FLAGS: [&str; 0] = [];

fn start() -> (Cluster, Objects) {
    let cluster = Cluster::start(3, &FLAGS);
    let objects = Objects::below(cluster.dir());
    fs::write(
        cluster.dir().join("stack.yaml"),
        objects.template(LAYERS, WIDTH, 0.3),
    )
    .expect("a template");
    (cluster, objects)
}

fn wait_until_in_flight(objects: &Objects) {
    eventually("the first objects are made", PATIENCE, || {
        match objects.times_made().len() {
            made if made >= WIDTH / 2 => Ok(()),
            made => Err(format!("{made} made")),
        }
    });
}

fn assert_converges_with_each_made_once(cluster: &Cluster, objects: &Objects) {
    let anneal = cluster.anneal();
    let status = eventually("the stack converges", PATIENCE, || {
        let stack = anneal.json(&["stack", "show", "work"])?;
        if stack["status"] == "converged" {
            Ok(stack)
        } else {
            Err(stack.to_string())
        }
    });
    assert_eq!(status["counts"]["settled"], LAYERS * WIDTH);
    assert_eq!(objects.present().len(), LAYERS * WIDTH);
    let made = objects.times_made();
    assert!(
        made.values().all(|&times| times == 1),
        "made more than once: {made:?}"
    );
    for n in 0..WIDTH {
        let names = (0..LAYERS).map(|layer| format!("o{layer}_{n}"));
        let made: Vec<_> = names.map(|name| objects.made_at(&name)).collect();
        assert!(
            made.is_sorted(),
            "one before what it refers to: {n} at {made:?}"
        );
    }
}

fn assert_deletion_leaves_nothing(cluster: &Cluster, objects: &Objects) {
    cluster
        .anneal()
        .ok(&["stack", "delete", "work", "--wait=90s"]);
    assert_eq!(objects.present(), Vec::<String>::new());
}

#[test]
fn a_follower_is_killed_with_actions_in_flight() {
    let (mut cluster, objects) = start();
    cluster
        .anneal()
        .ok(&["stack", "create", "work", "-f", "stack.yaml"]);
    wait_until_in_flight(&objects);
    let leader = cluster.leader();
    let follower = (0..3).find(|&n| n != leader).expect("two members follow");
    cluster.members[follower].kill();
    assert_converges_with_each_made_once(&cluster, &objects);
    cluster.members[follower].restart();
    assert_deletion_leaves_nothing(&cluster, &objects);
}

#[test]
fn the_leader_is_killed_in_mid_convergence() {
    let (mut cluster, objects) = start();
    cluster
        .anneal()
        .ok(&["stack", "create", "work", "-f", "stack.yaml"]);
    wait_until_in_flight(&objects);
    let leader = cluster.leader();
    cluster.members[leader].kill();
    assert_converges_with_each_made_once(&cluster, &objects);
    cluster.members[leader].restart();
    assert_deletion_leaves_nothing(&cluster, &objects);
}

#[test]
fn every_member_is_killed_at_once_and_started_again() {
    let (mut cluster, objects) = start();
    cluster
        .anneal()
        .ok(&["stack", "create", "work", "-f", "stack.yaml"]);
    wait_until_in_flight(&objects);
    for member in &mut cluster.members {
        member.kill();
    }
    for member in &mut cluster.members {
        member.restart();
    }
    assert_converges_with_each_made_once(&cluster, &objects);
    assert_deletion_leaves_nothing(&cluster, &objects);
}

/// Resources of a change that goes into the log in twenty parts.
const LARGE: usize = 10_000;

/// The last index of the log of some member.
fn log_end(cluster: &Cluster) -> Result<u64, String> {
    let status = cluster.anneal().json(&["cluster", "status"])?;
    let end = status["last_log_index"].as_u64();
    end.ok_or_else(|| status.to_string())
}

#[test]
fn the_leader_is_killed_while_the_parts_of_a_large_change_come_in() {
    let mut cluster = Cluster::start(3, &FLAGS);
    let value = |n: usize| json!({"type": "OS::Heat::Value", "properties": {"value": n}});
    let resources: Map<_, _> = (0..LARGE).map(|n| (format!("r{n}"), value(n))).collect();
    let template = json!({"heat_template_version": "2021-04-16", "resources": resources});
    fs::write(cluster.dir().join("large.json"), template.to_string()).expect("a template");
    let anneal = cluster.anneal();
    let leader = cluster.leader();
    let before = log_end(&cluster).expect("the members answer");
    let mut create = anneal.command(&["stack", "create", "large", "-f", "large.json"]);
    let mut create = create
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    eventually("some parts are in the log", PATIENCE, || {
        match log_end(&cluster)? {
            end if end > before + 2 => Ok(()),
            end => Err(format!("at {end} after {before}")),
        }
    });
    cluster.members[leader].kill();
    let ended = create.wait().expect("it ends");
    assert!(ended.success(), "{ended}");
    eventually("all of it converges", PATIENCE, || {
        let stack = anneal.json(&["stack", "show", "large"])?;
        let converged = stack["status"] == "converged" && stack["counts"]["settled"] == LARGE;
        converged.then_some(()).ok_or_else(|| stack.to_string())
    });
}
