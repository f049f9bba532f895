//! Bringing a replica to life from what is on disk, after making sure that nothing acknowledged is missing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use openraft::{SnapshotPolicy, async_runtime::WatchReceiver, type_config::TypeConfigExt};
use tokio::sync::watch;

use super::{
    Inner, LeadershipView, LogLimits, Machine, RaftHandle, Replica,
    fatal::Fatal,
    leadership,
    machine::Shared,
    members,
    types::{LogId, MemberNode, TypeConfig},
    upkeep,
};
use crate::{
    network::{Addressee, Channels, PeerNetwork},
    storage::{checkpoint::Checkpoints, directory::DataDirectory, log::LogStore},
};

/// Entries in one message to a member; its bytes are bounded too.
const MESSAGE_ENTRIES: u64 = 1024;
/// A whole checkpoint is taken within this, or sent again.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(600);
/// A follower this many entries behind is sent a checkpoint although the log still has them.
const LAG_ENTRIES: u64 = 200_000;

/// After the end, files are closed within this, or with the process.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What a replica can be told.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// Between two heartbeats of Raft's leader.
    pub heartbeat: Duration,
    /// An election begins after a silence between this,
    pub election_min: Duration,
    /// and this.
    pub election_max: Duration,
    /// Bytes of the newest log entries held in memory.
    pub log_cache_bytes: usize,
    /// How much log there may be.
    pub limits: LogLimits,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(300),
            election_min: Duration::from_millis(1500),
            election_max: Duration::from_millis(3000),
            log_cache_bytes: 8 << 20,
            limits: LogLimits::default(),
        }
    }
}

/// Why a replica does not come to life.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something on disk cannot be read or written.
    #[error(transparent)]
    Storage(#[from] io::Error),
    /// The log lacks entries that this member knows to be committed.
    #[error(
        "the log ends at entry {last}, but entry {committed} is known to be committed: entries that this \
         member acknowledged are lost. If the other members are well, remove this one from the cluster and \
         let it join with an empty directory"
    )]
    LogLost {
        /// Where it ends.
        last: u64,
        /// What it should have.
        committed: u64,
    },
    /// The rows are older than the log, and no checkpoint fills the gap.
    #[error(
        "the rows end at entry {applied} and the log begins after entry {purged}, with no checkpoint between. If \
         the other members are well, remove this one from the cluster and let it join with an empty directory"
    )]
    RowsLost {
        /// Where rows end.
        applied: u64,
        /// Where the log begins.
        purged: u64,
    },
    /// A setting makes no sense.
    #[error("the settings of Raft do not fit together: {0}")]
    Config(String),
    /// Raft refuses what it finds.
    #[error("Raft cannot start: {0}")]
    Raft(String),
}

impl Replica {
    /// Starts the member's replica from what is in its directory.
    pub async fn start(
        config: &ReplicaConfig,
        addressee: Addressee,
        directory: &DataDirectory,
        log: LogStore,
        channels: Channels,
    ) -> Result<Self, StartError> {
        let checkpoints = Checkpoints::open(&directory.checkpoints())?;
        let shared = Shared::open(directory.state(), checkpoints)?;
        check(&log, &shared)?;
        let network = PeerNetwork::new(addressee.cluster_id.clone(), channels.clone());
        let raft_config = raft_config(config, &addressee)?;
        let machine = Machine {
            shared: shared.clone(),
        };
        let id = addressee.member_id;
        let raft = RaftHandle::new(id, raft_config, network, log.clone(), machine)
            .await
            .map_err(|fatal| StartError::Raft(fatal.to_string()))?;
        // Its metrics know neither term nor membership until it has begun; who is answered has seen that.
        raft.with_raft_state(|_| ())
            .await
            .map_err(|fatal| StartError::Raft(fatal.to_string()))?;
        let anchor = (Instant::now(), TypeConfig::now());
        let mut writing = log.writing();
        let view = watch::Sender::new(LeadershipView::None);
        let replica = Self {
            inner: Arc::new(Inner {
                addressee,
                raft: raft.clone(),
                shared: shared.clone(),
                log,
                channels,
                leadership: view.subscribe(),
                membership: tokio::sync::Mutex::new(()),
                silence: config.election_max,
                heard_ms: AtomicU64::new(0),
                stopping: AtomicBool::new(false),
                fatal: Fatal::new(),
                anchor: (anchor.1, anchor.0),
            }),
        };
        // Raft waits for what was given to it, and would for ever.
        let writes = async move { while writing.changed().await.is_ok() {} };
        replica.until_stopped("what writes the log", writes);
        let follow = tokio::spawn(leadership::follow(raft, shared, view));
        replica.oversee("what follows leadership", follow);
        let upkeep = upkeep::run(replica.clone(), config.limits.clone());
        replica.until_stopped("the upkeep of the log", upkeep);
        let members = members::run(replica.clone());
        replica.until_stopped("the care for the membership", members);
        replica.lead_if_alone().await?;
        Ok(replica)
    }

    /// A lone voter needs nobody's silence to lead again.
    pub(super) async fn lead_if_alone(&self) -> Result<(), StartError> {
        let alone = self.membership().voter_ids().eq([self.member_id()]);
        let elected = match alone {
            true => self.raft().trigger().elect(false).await,
            false => Ok(()),
        };
        elected.map_err(|fatal| StartError::Raft(fatal.to_string()))
    }

    fn until_stopped(&self, what: &'static str, chore: impl Future<Output = ()> + Send + 'static) {
        let replica = self.clone();
        let chore = tokio::spawn(async move {
            tokio::select! {
                () = chore => {}
                _ = replica.stopped() => {}
            }
        });
        self.oversee(what, chore);
    }

    /// Makes this member the first of its cluster, unless it is that already.
    pub async fn found(&self, node: MemberNode) -> Result<(), StartError> {
        let failed = |error: String| StartError::Raft(error);
        let begun = self.raft().is_initialized().await;
        if begun.map_err(|fatal| failed(fatal.to_string()))? {
            return Ok(());
        }
        let members = std::collections::BTreeMap::from([(self.member_id(), node)]);
        self.raft()
            .initialize(members)
            .await
            .map_err(|error| failed(error.to_string()))
    }

    /// Waits until Raft has stopped, and says why; `None`: it was asked to.
    pub async fn stopped(&self) -> Option<String> {
        let mut metrics = self.raft().metrics();
        let why = loop {
            let running = metrics.borrow_watched().running_state.clone();
            if let Err(fatal) = running {
                break fatal.to_string();
            }
            if metrics.changed().await.is_err() {
                break "Raft has ended without a word: it has panicked".into();
            }
        };
        let asked = self.inner.stopping.load(Ordering::Acquire);
        (!asked).then_some(why)
    }

    /// Stops Raft, and writes rows to disk so that the next start has nothing to replay.
    pub async fn stop(self) -> io::Result<()> {
        self.inner.stopping.store(true, Ordering::Release);
        self.raft().shutdown().await.map_err(io::Error::other)?;
        let store = self.inner.shared.read(|state| state.store.clone());
        let (mut rows, mut log) = (store.closed(), self.inner.log.closed());
        // Closed, rows and position are written to disk together. Should that not come to pass, the log is replayed.
        drop((store, self));
        // Whoever still has a hand on them lets go as soon as it notices.
        let closed = async { while rows.changed().await.is_ok() || log.changed().await.is_ok() {} };
        if tokio::time::timeout(CLOSE_PATIENCE, closed).await.is_err() {
            tracing::debug!("files stay open until the process ends");
        }
        Ok(())
    }
}

/// What was acknowledged or applied must be there, in the log, in rows or in a checkpoint.
fn check(log: &LogStore, shared: &Shared) -> Result<(), StartError> {
    let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
    let checkpoint = shared
        .checkpoints()
        .current()
        .and_then(|it| it.position().last);
    let applied = shared.read(|state| state.position.index());
    // By index: an undecided end of the log may be of a later term than what was decided.
    let applied = applied.max(index(checkpoint));
    let (last, committed) = (index(log.last()), index(log.committed()?));
    if committed > last.max(applied) {
        return Err(StartError::LogLost { last, committed });
    }
    let purged = index(log.purged());
    if purged > applied {
        return Err(StartError::RowsLost { applied, purged });
    }
    Ok(())
}

fn raft_config(
    config: &ReplicaConfig,
    addressee: &Addressee,
) -> Result<Arc<openraft::Config>, StartError> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let waits = Waits::of(
        ms(config.heartbeat),
        ms(config.election_min),
        ms(config.election_max),
    );
    let config = openraft::Config {
        cluster_name: addressee.cluster_id.clone(),
        heartbeat_interval: ms(config.heartbeat),
        election_timeout_min: waits.min_ms,
        election_timeout_max: waits.lease_ms,
        install_snapshot_timeout: ms(CHECKPOINT_TIMEOUT),
        max_payload_entries: MESSAGE_ENTRIES,
        replication_lag_threshold: LAG_ENTRIES,
        snapshot_policy: SnapshotPolicy::Never,
        // Purging is decided next door, by bytes too.
        max_in_snapshot_log_to_keep: u64::MAX,
        // No shorter than a leader's lease and an election.
        quorum_loss_probe_interval: Some(2 * waits.lease_ms + ms(config.heartbeat)),
        enable_pre_vote: Some(true),
        // Every leadership is one of its own, also that of a leader that was away for a moment.
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    };
    let config = config
        .validate()
        .map_err(|error| StartError::Config(error.to_string()))?;
    Ok(Arc::new(config))
}

/// How long a follower waits before it stands for election, as the Raft library counts it: a leader's lease, which is
/// its longest wait, and then a random wait between the shortest and the longest.
#[derive(Debug, PartialEq, Eq)]
struct Waits {
    min_ms: u64,
    lease_ms: u64,
}

impl Waits {
    /// So that an election begins after a silence between `min_ms` and `max_ms` in all. Half of the longest silence is the
    /// lease; the shortest wait after it is no shorter than the library allows.
    fn of(heartbeat_ms: u64, min_ms: u64, max_ms: u64) -> Self {
        let lease_ms = max_ms / 2;
        let allowed_ms = heartbeat_ms + 1;
        Self {
            min_ms: min_ms.saturating_sub(lease_ms).max(allowed_ms),
            lease_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_begins_within_the_silence_that_was_asked_for() {
        let waits = Waits::of(300, 1_500, 3_000);
        let silence = waits.lease_ms + waits.min_ms..=2 * waits.lease_ms;
        assert_eq!(silence, 1_801..=3_000);
        assert_eq!(Waits::of(100, 2_000, 3_000).min_ms, 500);
    }

    #[test]
    fn the_default_times_are_such_as_the_library_takes() {
        let addressee = Addressee {
            cluster_id: "c".into(),
            member_id: 1,
        };
        assert!(raft_config(&ReplicaConfig::default(), &addressee).is_ok());
    }
}
