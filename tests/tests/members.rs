//! The life of a cluster's members, through the command line.

use std::time::Duration;

use anneal_tests::{Cluster, Launch, MemberProcess, PATIENCE, eventually, free_port};
use serde_json::Value;

fn roles(cluster: &Cluster) -> Vec<(u64, String)> {
    let listing = cluster.listing().expect("a listing");
    listing
        .iter()
        .map(|m| {
            (
                m["id"].as_u64().unwrap_or(0),
                m["role"].as_str().unwrap_or("").to_owned(),
            )
        })
        .collect()
}

fn id_of(cluster: &Cluster, position: usize) -> String {
    let listing = cluster.listing().expect("a listing");
    let found = listing
        .iter()
        .find(|m| m["address"] == cluster.members[position].address());
    found
        .and_then(|m| m["id"].as_u64())
        .expect("a listed member")
        .to_string()
}

#[test]
fn leadership_moves_and_members_come_and_go() {
    let mut cluster = Cluster::start(3, &[]);
    let anneal = cluster.anneal();

    let before = cluster.leader();
    anneal.ok(&["cluster", "transfer-leader"]);
    eventually("another member leads", PATIENCE, || {
        match cluster.leader() {
            now if now != before => Ok(()),
            same => Err(format!("still {same}")),
        }
    });

    cluster.add(&["--learner"]);
    eventually("the learner is listed", PATIENCE, || {
        match roles(&cluster) {
            roles if roles.iter().any(|(_, role)| role == "learner") => Ok(()),
            roles => Err(format!("{roles:?}")),
        }
    });
    let learner = id_of(&cluster, 3);
    anneal.ok(&["cluster", "promote", &learner]);
    cluster.wait_for_voters(4);
    anneal.ok(&["cluster", "promote", &learner]);
    anneal.ok(&["cluster", "demote", &learner]);
    cluster.wait_for_voters(3);

    let leader = cluster.leader();
    anneal.ok(&["cluster", "remove", &id_of(&cluster, leader)]);
    cluster.members[leader].kill();
    cluster.members.remove(leader);
    cluster.wait_for_voters(2);
    assert_eq!(roles(&cluster).len(), 3);

    let unknown = cluster.anneal().run(&["cluster", "remove", "999999"]);
    assert_eq!(unknown.code, 1, "{}{}", unknown.out, unknown.err);
}

#[test]
fn a_removal_that_would_lose_the_quorum_is_refused() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    let (gone, stays) = match leader {
        0 => (1, 2),
        1 => (0, 2),
        _ => (0, 1),
    };
    let stays = id_of(&cluster, stays);
    cluster.members[gone].kill();
    let refused = cluster.anneal().run(&["cluster", "remove", &stays]);
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("quorum"), "{}", refused.err);
    cluster.members[gone].restart();
    cluster.wait_for_voters(3);
}

#[test]
fn without_a_quorum_a_change_is_refused_in_bounded_time_with_what_is_known() {
    let mut cluster = Cluster::start(3, &[]);
    std::fs::write(
        cluster.dir().join("empty.yaml"),
        "heat_template_version: 2021-04-16\nresources: {}\n",
    )
    .expect("a template");
    cluster.members[0].kill();
    cluster.members[1].kill();
    let refused = cluster.anneal().run(&["--timeout", "5s", "stack", "list"]);
    assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
    assert!(
        refused.err.contains("unavailable") || refused.err.contains("leader"),
        "{}",
        refused.err
    );
    let local = cluster.anneal().run(&["stack", "list", "--local"]);
    assert_eq!(
        local.code, 0,
        "a local read needs no quorum: {}{}",
        local.out, local.err
    );
}

#[test]
fn a_data_directory_serves_one_process_and_one_cluster() {
    let cluster = Cluster::start(1, &[]);
    let other = Cluster::start(1, &[]);
    let launch = |data_dir: std::path::PathBuf, join: Vec<String>| Launch {
        data_dir,
        listen: format!("127.0.0.1:{}", free_port()),
        join,
        flags: vec![],
        namespace: None,
    };

    let mut second = MemberProcess::start(launch(cluster.dir().join("member-0"), vec![]));
    eventually("a second process on the directory ends", PATIENCE, || {
        if second.has_ended() {
            Ok(())
        } else {
            Err(second.log())
        }
    });
    assert!(second.log().contains("in use"), "{}", second.log());

    let dir = other.dir().join("wanderer");
    let mut wanderer = MemberProcess::start(launch(
        dir.clone(),
        vec![cluster.members[0].address().to_owned()],
    ));
    cluster.wait_for_voters(2);
    assert!(wanderer.terminate(Duration::from_secs(30)).success());
    let mut lost = MemberProcess::start(launch(dir, vec![other.members[0].address().to_owned()]));
    eventually(
        "a member of one cluster can't join another",
        PATIENCE,
        || {
            if lost.has_ended() {
                Ok(())
            } else {
                Err(lost.log())
            }
        },
    );
    assert!(lost.log().contains("cluster"), "{}", lost.log());
}

#[test]
fn a_terminated_member_hands_over_and_exits_with_zero() {
    let mut cluster = Cluster::start(3, &[]);
    let leader = cluster.leader();
    assert!(
        cluster.members[leader]
            .terminate(Duration::from_secs(30))
            .success()
    );
    let now = cluster.leader();
    assert_ne!(now, leader);
    cluster.members[leader].restart();
    cluster.wait_for_voters(3);
    let engines = eventually("three live engines", PATIENCE, || {
        let engines = cluster.anneal().json(&["engine", "list"])?;
        let live = engines
            .as_array()
            .into_iter()
            .flatten()
            .filter(|e| e["lease"] == "live")
            .count();
        if live == 3 {
            Ok(engines)
        } else {
            Err(engines.to_string())
        }
    });
    assert!(
        engines.as_array().is_some_and(|all| all
            .iter()
            .all(|e| e["capacity"].is_u64() && e["host_id"] != Value::Null)),
        "{engines}"
    );
}
