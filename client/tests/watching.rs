//! What a watch sees when the members it comes from go away.

mod fake;

use anneal_client::{Client, Cursor, Ended, Error, From, Goal, StackName, Watch, WatchItem, v1};
use fake::{Member, Say, Script, unavailable};
use tonic::{Code, Status};

fn event(index: u64, sequence: u32) -> Say {
    let event = v1::Event {
        index,
        sequence,
        ..Default::default()
    };
    Say::Reply(Box::new(v1::WatchReply {
        reply: Some(v1::watch_reply::Reply::Event(event)),
        progress_index: index,
    }))
}

fn progress(index: u64) -> Say {
    Say::Reply(Box::new(v1::WatchReply {
        reply: Some(v1::watch_reply::Reply::Progress(index)),
        progress_index: index,
    }))
}

fn snapshot(index: u64, status: &str) -> Say {
    let stack = v1::Stack {
        status: status.to_owned(),
        revision: 1,
        ..Default::default()
    };
    Say::Reply(Box::new(v1::WatchReply {
        reply: Some(v1::watch_reply::Reply::Stack(stack)),
        progress_index: index,
    }))
}

fn lost() -> Say {
    Say::Break(unavailable("shutting_down", "", false))
}

async fn member(watches: Vec<Vec<Say>>) -> Member {
    Member::start(Script {
        watches,
        ..Default::default()
    })
    .await
}

fn web() -> StackName {
    StackName::new("web")
}

async fn next_event(watch: &mut Watch) -> Option<(u64, u32)> {
    loop {
        match watch.next().await.unwrap()? {
            WatchItem::Event(event) => return Some((event.index, event.sequence)),
            WatchItem::Stack { .. } | WatchItem::Progress(_) => {}
        }
    }
}

#[tokio::test]
async fn a_watch_goes_on_at_another_member_with_no_gap_and_no_repetition() {
    let first = member(vec![vec![
        event(5, 0),
        event(5, 1),
        progress(9),
        event(10, 0),
        lost(),
    ]])
    .await;
    // Its history begins a little earlier than where it is asked to go on.
    let second = member(vec![vec![event(10, 0), event(10, 1), event(12, 0)]]).await;
    let client = Client::connect(&format!("{},{}", first.address, second.address)).unwrap();

    let mut watch = client.watch(&web(), From::Oldest, false);
    let mut seen = Vec::new();
    while let Some(at) = next_event(&mut watch).await {
        seen.push(at);
    }
    assert_eq!(seen, [(5, 0), (5, 1), (10, 0), (10, 1), (12, 0)]);
    let resumed = second.script.lock().unwrap().seen_watches[0].clone();
    assert_eq!((resumed.after_index, resumed.after_sequence), (10, 0));
}

#[tokio::test]
async fn a_member_that_falls_silent_in_mid_watch_is_left() {
    let first = member(vec![vec![event(5, 0), Say::FallSilent]]).await;
    let second = member(vec![vec![event(6, 0)]]).await;
    let client = Client::connect(&format!("{},{}", first.address, second.address)).unwrap();
    let mut watch = client.watch(&web(), From::Now, false);
    assert_eq!(watch.cursor(), None);
    assert_eq!(next_event(&mut watch).await, Some((5, 0)));
    assert_eq!(
        watch.cursor(),
        Some(Cursor {
            index: 5,
            sequence: 0
        })
    );
    assert_eq!(next_event(&mut watch).await, Some((6, 0)));
}

#[tokio::test]
async fn a_history_that_is_gone_is_said_and_not_skipped() {
    let detail = v1::ErrorDetail {
        reason: "history_gone".to_owned(),
        ..Default::default()
    };
    let gone = Status::with_details(
        Code::OutOfRange,
        "the history begins at 900",
        prost::Message::encode_to_vec(&detail).into(),
    );
    let member = member(vec![vec![Say::Break(gone)]]).await;
    let client = Client::connect(&member.address).unwrap();
    let mut watch = client.watch(&web(), From::After(Cursor::through(3)), false);
    assert!(matches!(watch.next().await, Err(Error::HistoryGone(_))));
    assert_eq!(watch.next().await, Ok(None), "and then it is over");
}

#[tokio::test]
async fn a_follower_rides_out_a_lost_member_and_ignores_the_state_before_its_change() {
    let first = member(vec![vec![snapshot(6, "converged"), event(7, 0), lost()]]).await;
    let second = member(vec![vec![snapshot(8, "converging"), snapshot(9, "failed")]]).await;
    let client = Client::connect(&format!("{},{}", first.address, second.address)).unwrap();
    let mut follow = client.follow(&web(), Goal::Converged { revision: 1 }, 7);
    let ended = follow.to_end(None).await.unwrap();
    let Ended::Failed(stack) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(stack.status, "failed");
}

#[tokio::test]
async fn a_follower_gives_up_at_its_deadline_with_what_it_saw() {
    let member = member(vec![vec![snapshot(9, "converging"), Say::FallSilent]]).await;
    let client = Client::connect(&member.address).unwrap();
    let mut follow = client.follow(&web(), Goal::Deleted, 7);
    let soon = std::time::Duration::from_millis(500);
    let ended = follow.to_end(Some(soon)).await.unwrap();
    let Ended::DeadlinePassed(Some(stack)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(stack.status, "converging");
}
