//! Three members: any of them takes any call, and a client does not notice which one leads, or that one went.

mod cluster;
mod service;

use std::time::Duration;

use anneal_client::{Client, Ended, Error, From, Goal, Read, StackName, Submission, WatchItem};
use anneal_node::{Config, Member, replica::LeadershipView};
use anneal_provider::{Companion, Registry};
use cluster::{config, eventually, until_leading, until_voters};
use service::{id, template, up, values};

fn web() -> StackName {
    StackName::new("web")
}

struct Three {
    members: Vec<Member>,
    directories: Vec<tempfile::TempDir>,
}

impl Three {
    async fn start() -> Self {
        let mut three = Self {
            members: Vec::new(),
            directories: Vec::new(),
        };
        for n in 0..3 {
            let directory = tempfile::tempdir().unwrap();
            let join = three
                .members
                .first()
                .map(|first| first.address().to_owned());
            let join: Vec<&str> = join.iter().map(String::as_str).collect();
            let settings = Config {
                capacity: 8,
                host_id: Some(format!("host-{n}")),
                ..config(directory.path(), &join)
            };
            let registry = Registry::built_in(&Companion::this_program());
            let member = Member::start(settings, registry).await.unwrap();
            if n == 0 {
                until_leading(member.replica()).await;
            }
            three.members.push(member);
            three.directories.push(directory);
        }
        until_voters(three.members[0].replica(), 3).await;
        three
    }

    fn leader(&self) -> usize {
        let leads = |member: &Member| {
            matches!(
                &*member.replica().leadership().borrow(),
                LeadershipView::Leading(_)
            )
        };
        self.members.iter().position(leads).expect("one leads")
    }

    fn client(&self) -> Client {
        let addresses: Vec<&str> = self.members.iter().map(Member::address).collect();
        Client::connect(&addresses.join(",")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_takes_every_call_and_answers_with_everything_decided() {
    let three = Three::start().await;
    let leader = three.leader();
    let follower = &three.members[(leader + 1) % 3];
    let client = Client::connect(follower.address()).unwrap();

    let reply = client.submit(&up("web", &values(20))).await.unwrap();
    assert!(reply.created);
    // At once, and from the third: what was committed is seen.
    let other = Client::connect(three.members[(leader + 2) % 3].address()).unwrap();
    let shown = other.show_stack(&web(), Read::default()).await.unwrap();
    assert_eq!(shown.revision, 1);

    let goal = Goal::Converged { revision: 1 };
    let ended = client
        .follow(&web(), goal, reply.index)
        .to_end(None)
        .await
        .unwrap();
    assert!(matches!(ended, Ended::Reached(_)), "{ended:?}");
    client.pause(&id(), &web()).await.unwrap();
    client.resume(&id(), &web()).await.unwrap();
    let checked = client.check(&id(), &web()).await.unwrap();
    assert!(
        checked.drifts.is_empty() && checked.failures.is_empty(),
        "{checked:?}"
    );
    let wrong = client.submit(&up("web", "resources: [")).await;
    let Err(error @ Error::Invalid(_)) = wrong else {
        panic!("{wrong:?}");
    };
    assert!(
        !error.problems().is_empty(),
        "problems survive the forwarding"
    );

    let roles = client.members(false).await.unwrap();
    assert_eq!(roles.members.len(), 3);
    let to = roles
        .members
        .iter()
        .find(|member| member.role == "voter")
        .unwrap();
    let verb = anneal_client::v1::MemberVerbRequest {
        member: to.id,
        ..Default::default()
    };
    let moved = client.transfer_leader(verb).await.unwrap();
    assert_eq!(moved.leader, to.id);
    client.delete_stack(&id(), &web(), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_rides_out_the_loss_of_the_leader_with_one_answer_and_every_event() {
    let mut three = Three::start().await;
    let client = three.client();
    let slow = template(
        "resources:\n  a:\n    type: OS::Heat::TestResource\n    properties: {value: x, wait_secs: 1}\n  b:\n    \
         type: OS::Heat::Value\n    properties: {value: {get_attr: [a, output]}}\n",
    );
    let reply = client.submit(&up("web", &slow)).await.unwrap();
    let mut watch = client.watch(&web(), From::Oldest, false);
    watch.next().await.unwrap();

    let leader = three.members.remove(three.leader());
    let shutdown = tokio::spawn(leader.shutdown());
    let submission = up("other", &values(3));
    let other = client.submit(&submission).await.unwrap();
    let again = client.submit(&submission).await.unwrap();
    assert_eq!(
        (other.stack_id, other.revision),
        (again.stack_id, again.revision)
    );

    let goal = Goal::Converged { revision: 1 };
    let mut follow = client.follow(&web(), goal, reply.index);
    let ended = follow.to_end(Some(Duration::from_secs(60))).await.unwrap();
    assert!(matches!(ended, Ended::Reached(_)), "{ended:?}");
    shutdown.await.unwrap().unwrap();

    let listed = client
        .list_events(&web(), None, Read::default())
        .all()
        .await
        .unwrap();
    let listed: Vec<(u64, u32)> = listed.iter().map(|it| (it.index, it.sequence)).collect();
    let mut seen = Vec::new();
    while seen.last() < listed.last() {
        if let Some(WatchItem::Event(event)) = watch.next().await.unwrap() {
            seen.push((event.index, event.sequence));
        }
    }
    // The first was taken before the leader went.
    assert!(listed.ends_with(&seen) && listed.len() <= seen.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_a_member_says_who_is_there_and_a_local_read_still_works() {
    let mut three = Three::start().await;
    let keep = three.members.remove(0);
    let client = Client::builder(keep.address())
        .unwrap()
        .call_deadline(Duration::from_secs(4))
        .build()
        .unwrap();
    client.submit(&up("web", &values(1))).await.unwrap();
    // They vanish without a word.
    let mut stops = Vec::new();
    for member in &three.members {
        stops.push(tokio::spawn(member.replica().clone().stop()));
        assert_eq!(member.replica().stopped().await, None);
    }
    // It may have been deposed by now and not know it, so it can't say what there is not.
    let nothing = StackName::new("nothing");
    let patch = Submission::patch(nothing.clone(), "patch.yaml", "remove: [a]");
    let ids = [id(), id()];
    let (patched, back, deleted) = tokio::join!(
        client.submit(&patch),
        client.rollback(&ids[0], &nothing, None, None),
        client.delete_stack(&ids[1], &nothing, Some(1)),
    );
    for error in [patched.err(), back.err(), deleted.err()] {
        let unsure = matches!(
            error,
            Some(Error::Unavailable(_) | Error::OutcomeUnknown { .. })
        );
        assert!(unsure, "{error:?}");
    }
    let error = eventually("it is noticed", async || {
        client.show_stack(&web(), Read::default()).await.err()
    })
    .await;
    let Error::Unavailable(attempts) = error else {
        panic!("{error:?}");
    };
    assert!(
        attempts[0].why.contains("members that answer"),
        "{}",
        attempts[0].why
    );
    let local = Read {
        local: true,
        ..Read::default()
    };
    let shown = client.show_stack(&web(), local).await.unwrap();
    assert_eq!(shown.name, "web");
    eventually("it does not call itself healthy", async || {
        let status = client.cluster_status(true).await.unwrap();
        (!status.healthy && status.leader == 0).then_some(())
    })
    .await;
    let members = client.members(true).await.unwrap().members;
    assert!(members.iter().all(|member| member.role != "leader"));
    let refused = client.pause(&id(), &web()).await;
    assert!(
        matches!(
            refused,
            Err(Error::Unavailable(_) | Error::OutcomeUnknown { .. })
        ),
        "{refused:?}"
    );
    for stop in stops {
        stop.await.unwrap().unwrap();
    }
}
