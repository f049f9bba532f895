//! Proposals at the highest rate that this machine takes, on three members whose log is purged as fast as checkpoints
//! allow, while one of them goes and comes back behind the log's start again and again: what purges, applies and
//! installs checkpoints is at work all the time. The Raft library is known to have died of that
//! (<https://github.com/databendlabs/openraft/issues/2116>): no member may.
//!
//! Runs for some seconds; `ANNEAL_STORM_SECONDS=150` for longer, as `make storm STORM=150` does.

mod cluster;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_node::{Member, replica::LogLimits, replica::ProposeError};
use tokio::task::JoinSet;

use cluster::{FAKE, PATIENCE, config, eventually, register, start, until_leading, until_voters};

/// Proposals under way at a time.
const PROPOSERS: u64 = 256;

/// So many entries come between two starts of the member that goes and comes back: more than the log keeps.
const MISSED: u64 = 4 * KEPT;

/// Entries that the log keeps behind a checkpoint.
const KEPT: u64 = 300;

const ANY_PORT: &str = "127.0.0.1:0";

/// How long it rages if nothing else is asked for. Seconds.
const SECONDS: u64 = 10;

fn limits() -> LogLimits {
    LogLimits {
        checkpoint_bytes: u64::MAX,
        checkpoint_entries: KEPT,
        keep_entries: KEPT / 10,
        keep_bytes: u64::MAX,
    }
}

async fn member(directory: &Path, listen: &str, join: &[&str]) -> Member {
    let mut config = config(directory, join);
    config.listen = Some(listen.to_owned());
    config.replica.limits = limits();
    start(config).await
}

/// Proposes until it is told to end, and counts what is taken.
async fn rage(
    proposer: u64,
    members: [Arc<Member>; 2],
    end: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
) {
    let (mut value, mut asked) = (0_u64, 0);
    while !end.load(Ordering::Relaxed) {
        value += 1;
        let command = register(proposer, &value.to_string());
        match members[asked].replica().propose(command).await {
            Ok(_) => {
                taken.fetch_add(1, Ordering::Relaxed);
            }
            Err(ProposeError::Stopped(why)) => panic!("the leader has died: {why}"),
            // Another one leads, or nobody for a moment.
            Err(_) => {
                asked = 1 - asked;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Whether two members hold the same for every proposer.
fn same(one: &Member, other: &Member) -> bool {
    let of = |member: &Member| {
        member.replica().read(|state| {
            let rows = (0..PROPOSERS).map(|proposer| {
                let found = state.engine(FAKE + proposer);
                found.map(|found| (found.engine, found.row.address.clone()))
            });
            rows.collect::<Vec<_>>()
        })
    };
    of(one) == of(other)
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_applying_and_installing_at_the_highest_rate_kills_nobody() {
    let seconds = std::env::var("ANNEAL_STORM_SECONDS");
    let seconds = seconds.map_or(SECONDS, |asked| asked.parse().expect("seconds"));
    let directories: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = Arc::new(member(directories[0].path(), ANY_PORT, &[]).await);
    until_leading(first.replica()).await;
    let address = first.address().to_owned();
    let second = Arc::new(member(directories[1].path(), ANY_PORT, &[&address]).await);
    let mut third = member(directories[2].path(), ANY_PORT, &[&address]).await;
    until_voters(first.replica(), 3).await;

    let (end, taken) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut proposers = JoinSet::new();
    for proposer in 0..PROPOSERS {
        let members = [Arc::clone(&first), Arc::clone(&second)];
        proposers.spawn(rage(
            proposer,
            members,
            Arc::clone(&end),
            Arc::clone(&taken),
        ));
    }
    let began = Instant::now();
    let (mut away, mut installed) = (0, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        let address = third.address().to_owned();
        third.shutdown().await.unwrap();
        let missed_from = taken.load(Ordering::Relaxed);
        eventually("the others go on", async || {
            (taken.load(Ordering::Relaxed) >= missed_from + MISSED).then_some(())
        })
        .await;
        let behind = first.replica().cluster().purged_index;
        third = member(directories[2].path(), &address, &[]).await;
        away += 1;
        let caught_up = eventually("it catches up while the storm goes on", async || {
            for member in [&*first, &*second, &third] {
                let failed = tokio::time::timeout(Duration::ZERO, member.failed()).await;
                assert!(failed.is_err(), "a member has died: {failed:?}");
            }
            let cluster = third.replica().cluster();
            (cluster.applied_index > behind).then_some(cluster.checkpoint_index >= behind)
        })
        .await;
        installed += u64::from(caught_up);
    }
    end.store(true, Ordering::Relaxed);
    let ended = async {
        while proposers
            .join_next()
            .await
            .is_some_and(|ended| ended.is_ok())
        {}
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("they end");
    assert!(proposers.is_empty(), "a proposer has panicked");
    let rate = taken.load(Ordering::Relaxed) / began.elapsed().as_secs().max(1);
    println!("{rate} entries/s; away {away} times, came back by a checkpoint {installed} times");
    assert!(installed > 0, "nothing was ever installed");
    eventually("all hold the same", async || {
        (same(&first, &second) && same(&first, &third)).then_some(())
    })
    .await;
    third.shutdown().await.unwrap();
    for member in [second, first] {
        let member = Arc::into_inner(member).expect("nobody else holds it");
        member.shutdown().await.unwrap();
    }
}
