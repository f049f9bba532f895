//! Members in this process, on loopback, with short times.

#![allow(dead_code, reason = "every test file uses its part of it")]

use std::{path::Path, time::Duration};

use anneal_node::{
    Config, Member,
    replica::{LeadershipView, LogLimits, ProposeError, Replica, Role},
};
use anneal_provider::Registry;
use anneal_statemachine::{
    command::{CommandKind, RegisterEngine},
    id::RequestId,
    outcome::Outcome,
};

/// Everything waited for comes within this, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A member of this directory, on any free port, with short times.
pub(crate) fn config(directory: &Path, join: &[&str]) -> Config {
    let mut config = Config::new(directory);
    config.listen = Some("127.0.0.1:0".into());
    config.join = join.iter().map(ToString::to_string).collect();
    config.replica.heartbeat = Duration::from_millis(100);
    config.replica.election_min = Duration::from_millis(500);
    config.replica.election_max = Duration::from_millis(1000);
    config.drain_timeout = Duration::from_secs(1);
    config.capacity = 0;
    config
}

/// Limits at which a checkpoint is made, and the log purged, after a few entries.
pub(crate) fn small_log() -> LogLimits {
    LogLimits {
        checkpoint_bytes: u64::MAX,
        checkpoint_entries: 50,
        keep_entries: 10,
        keep_bytes: u64::MAX,
    }
}

pub(crate) async fn start(config: Config) -> Member {
    // Shown for a test that fails, if asked for in RUST_LOG.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let started = Member::start(config, Registry::empty());
    tokio::time::timeout(PATIENCE, started)
        .await
        .expect("in time")
        .expect("it starts")
}

/// Waits until a question has an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| panic!("never happened: {what}"))
}

pub(crate) async fn until_leading(replica: &Replica) {
    let mut view = replica.leadership();
    let leading = view.wait_for(|view| matches!(view, LeadershipView::Leading(_)));
    tokio::time::timeout(PATIENCE, leading)
        .await
        .expect("in time")
        .expect("Raft runs");
}

/// Members from this id on are not there: only commands speak of their engines.
pub(crate) const FAKE: u64 = 1000;

/// Long enough that a thousand commands are more than a small disk holds.
const HOST_BYTES: usize = 2000;

/// A command that leaves a row: the engine of a member that is not there registers.
pub(crate) fn register(member: u64, address: &str) -> CommandKind {
    CommandKind::RegisterEngine(RegisterEngine {
        member: FAKE + member,
        host: "h".repeat(HOST_BYTES).into(),
        address: address.into(),
        capacity: 1,
        offers: Vec::new(),
        labels: Vec::new(),
        follows: None,
    })
}

pub(crate) fn allocate() -> CommandKind {
    CommandKind::AllocateMemberId {
        request: RequestId(uuid::Uuid::now_v7().into_bytes()),
    }
}

/// Proposes through whichever member leads, for as long as that is sure not to do it twice.
pub(crate) async fn propose(members: &[&Member], kind: CommandKind) -> Outcome {
    eventually("a proposal is taken", async || {
        for member in members {
            match member.replica().propose(kind.clone()).await {
                Ok(outcome) => return Some(outcome),
                Err(ProposeError::NotLeader(_) | ProposeError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        None
    })
    .await
}

/// Waits until a member sees this many voters.
pub(crate) async fn until_voters(replica: &Replica, voters: usize) {
    eventually("everybody votes", async || {
        let members = replica.members().await;
        let found = members
            .iter()
            .filter(|member| member.role != Role::Learner)
            .count();
        (found == voters).then_some(())
    })
    .await;
}

/// Whether a replica has the row that [`register`] leaves.
pub(crate) fn registered(replica: &Replica, member: u64) -> bool {
    replica.read(|state| state.engine(FAKE + member).is_some())
}
