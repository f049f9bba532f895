//! Which member a call ends up at, and what the caller is told when there is none.

mod fake;

use std::time::{Duration, Instant};

use anneal_client::{Client, Error, Read, RequestId, StackName, Submission};
use fake::{Frozen, Member, Script, dead, unavailable};

fn web() -> StackName {
    StackName::new("web")
}

/// Time for one silent endpoint, and something for a busy machine; less than two silent ones would take.
const ONE_SILENCE: Duration = Duration::from_millis(3900);

#[tokio::test]
async fn a_dead_and_a_frozen_endpoint_are_passed_over_and_not_asked_first_again() {
    let frozen = Frozen::start().await;
    let member = Member::start(Script::default()).await;
    let list = format!("{},{},{}", dead().await, frozen.address, member.address);
    let client = Client::connect(&list).unwrap();

    let started = Instant::now();
    let stack = client.show_stack(&web(), Read::default()).await.unwrap();
    assert_eq!(stack.name, "web");
    assert!(started.elapsed() < ONE_SILENCE, "{:?}", started.elapsed());

    let started = Instant::now();
    client.show_stack(&web(), Read::default()).await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "the good one is asked first"
    );
}

#[tokio::test]
async fn a_submission_finds_its_way_past_a_frozen_and_a_not_yet_joined_member() {
    let frozen = Frozen::start().await;
    let waiting = Member::start(Script {
        status: Some(unavailable("not_joined", "", false)),
        ..Default::default()
    })
    .await;
    let member = Member::start(Script::default()).await;
    let list = format!("{},{},{}", frozen.address, waiting.address, member.address);
    let client = Client::connect(&list).unwrap();

    let submission = Submission::up(web(), "web.yaml", "resources: {}");
    let reply = client.submit(&submission).await.unwrap();
    assert_eq!(reply.revision, 1);
    assert!(waiting.script.lock().unwrap().seen_texts.is_empty());
    let texts = member.script.lock().unwrap().seen_texts.clone();
    assert_eq!(texts, [("web.yaml".to_owned(), 13)]);
}

#[tokio::test]
async fn the_leader_that_a_refusal_names_is_asked_next_even_if_it_is_not_in_the_list() {
    let leader = Member::start(Script::default()).await;
    let follower = Member::start(Script {
        show: Some(unavailable("not_leader", &leader.address, false)),
        ..Default::default()
    })
    .await;
    let client = Client::connect(&follower.address).unwrap();
    let stack = client.show_stack(&web(), Read::default()).await.unwrap();
    assert_eq!(stack.name, "web");
}

#[tokio::test]
async fn a_change_is_asked_again_under_the_same_request_id_until_it_is_answered() {
    let member = Member::start(Script {
        pause: vec![
            unavailable("leadership_lost", "", true),
            unavailable("no_leader", "", false),
        ],
        ..Default::default()
    })
    .await;
    let client = Client::connect(&member.address).unwrap();
    let id = RequestId::fresh();
    client.pause(&id, &web()).await.unwrap();
    let seen = member.script.lock().unwrap().seen_pauses.clone();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.request_id == id.as_str()));
}

#[tokio::test]
async fn unavailable_is_told_apart_from_an_unknown_outcome() {
    let id = RequestId::fresh();
    let soon = Duration::from_millis(300);

    let address = dead().await;
    let client = Client::builder(&address)
        .unwrap()
        .call_deadline(soon)
        .build()
        .unwrap();
    let Err(Error::Unavailable(attempts)) = client.pause(&id, &web()).await else {
        panic!("nothing was sent");
    };
    assert_eq!(attempts[0].endpoint, address);

    let frozen = Frozen::start().await;
    let client = Client::builder(&frozen.address)
        .unwrap()
        .call_deadline(soon)
        .build()
        .unwrap();
    let Err(Error::OutcomeUnknown { request_id, .. }) = client.pause(&id, &web()).await else {
        panic!("it was sent and not answered");
    };
    assert_eq!(request_id, id);
    let read = client.show_stack(&web(), Read::default()).await;
    assert!(
        matches!(read, Err(Error::Unavailable(_))),
        "a read leaves nothing behind"
    );
}
