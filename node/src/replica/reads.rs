//! Reads that see everything that was decided before they began, from any member.
//!
//! The leader makes sure, with a round to a quorum, that it still leads, and says up to which entry; the
//! member that reads waits until it has applied that.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anneal_proto::peer::v1::{ReadIndexRequest, peer_client::PeerClient};
use openraft::{
    ReadPolicy,
    async_runtime::WatchReceiver,
    errors::{LinearizableReadError, RaftError},
};

use super::{LeadershipView, ReadError, Replica, propose::leader_hint};
use crate::network::{Addressee, Purpose};
use crate::pace::Longest;

/// Between two attempts to make sure of what was decided.
const READ_RETRY: Duration = Duration::from_millis(50);

static LONGEST_SILENCE: Longest = Longest::new("longest silence of the leader");

impl Replica {
    /// Waits until this member has applied everything that was decided before the call; returns the index.
    /// The caller's deadline bounds the wait.
    pub async fn linearize(&self) -> Result<u64, ReadError> {
        let view = self.leadership().borrow().clone();
        let index = match view {
            LeadershipView::Follower(leader) => {
                let addressee = Addressee {
                    cluster_id: self.addressee().cluster_id.clone(),
                    member_id: leader.member_id,
                };
                let unavailable = |error: String| {
                    let (id, address) = (leader.member_id, &leader.address);
                    ReadError::Unavailable(format!("leader {id} at {address}: {error}"))
                };
                let channel = self.channels().get(&leader.address, Purpose::Calls);
                let channel = channel.map_err(|error| unavailable(error.to_string()))?;
                let request = addressee.address(ReadIndexRequest {});
                let answer = PeerClient::new(channel).read_index(request).await;
                answer
                    .map_err(|status| unavailable(status.message().into()))?
                    .into_inner()
                    .index
            }
            LeadershipView::Elected | LeadershipView::Leading(_) => self.read_index().await?,
            LeadershipView::None => {
                return Err(ReadError::Unavailable("no leader is known".into()));
            }
        };
        self.wait_applied(index).await?;
        Ok(index)
    }

    /// As [`Self::linearize`], within this time. A quorum that does not answer at once, as after an election, is asked
    /// again until then.
    pub async fn linearize_within(&self, patience: Duration) -> Result<u64, ReadError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let error = match tokio::time::timeout_at(deadline, self.linearize()).await {
                Ok(Ok(index)) => return Ok(index),
                Ok(Err(error @ ReadError::Stopped(_))) => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => {
                    let why = format!("no quorum has answered within {} ms", patience.as_millis());
                    return Err(ReadError::Unavailable(why));
                }
            };
            if tokio::time::Instant::now() + READ_RETRY >= deadline {
                return Err(error);
            }
            tokio::time::sleep(READ_RETRY).await;
        }
    }

    /// Waits until this member has applied this entry.
    pub async fn wait_applied(&self, index: u64) -> Result<(), ReadError> {
        let mut applied = self.applied();
        let waited = applied.wait_for(|applied| *applied >= index).await;
        waited
            .map(drop)
            .map_err(|_| ReadError::Stopped("its state machine has ended".into()))
    }

    /// As leader: the index that a linearizable read must have seen, made sure of by a quorum.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        match self.raft().get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((read, _)) => Ok(read.index()),
            Err(RaftError::Fatal(fatal)) => Err(ReadError::Stopped(fatal.to_string())),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                Err(ReadError::NotLeader(leader_hint(&forward)))
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(error))) => {
                Err(ReadError::Unavailable(error.to_string()))
            }
        }
    }

    /// As leader: makes sure, by a quorum, that this member leads; returns a moment at which it did, after
    /// the call.
    pub async fn confirm_leadership(&self) -> Result<Instant, ReadError> {
        let began = Instant::now();
        self.read_index().await?;
        Ok(began)
    }

    /// A leader was heard.
    pub fn heard(&self) {
        let heard_ms = self.inner.anchor.1.elapsed().as_millis();
        let heard_ms = u64::try_from(heard_ms).unwrap_or(u64::MAX).max(1);
        let before_ms = self.inner.heard_ms.swap(heard_ms, Ordering::Relaxed);
        if before_ms > 0 {
            LONGEST_SILENCE.took(Duration::from_millis(heard_ms.saturating_sub(before_ms)));
        }
    }

    /// Whether there is a leader, as far as this member can tell: it leads with a quorum behind it, or has heard of the
    /// one that leads within the longest silence that begins no election. Raft's own view names the last leader until
    /// there is another.
    pub fn is_led(&self) -> bool {
        let since = match &*self.leadership().borrow() {
            LeadershipView::Elected | LeadershipView::Leading(_) => {
                self.quorum_acknowledged().map(|at| at.elapsed())
            }
            LeadershipView::Follower(_) => {
                let heard_ms = self.inner.heard_ms.load(Ordering::Relaxed);
                let heard = (heard_ms > 0).then(|| Duration::from_millis(heard_ms));
                heard.map(|heard| self.inner.anchor.1.elapsed().saturating_sub(heard))
            }
            LeadershipView::None => None,
        };
        since.is_some_and(|since| since < self.inner.silence)
    }

    /// This member leads, as far as it knows, and a quorum has acknowledged that within this time. It may have been deposed
    /// since.
    pub fn heard_quorum_within(&self, time: Duration) -> bool {
        let leads = matches!(*self.leadership().borrow(), LeadershipView::Leading(_));
        let acknowledged = self.quorum_acknowledged();
        leads && acknowledged.is_some_and(|at| at.elapsed() < time)
    }

    /// As leader: when a call to which a quorum answered was last sent. A lone voter is its own quorum: now.
    pub fn quorum_acknowledged(&self) -> Option<Instant> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics.membership_config.membership().voter_ids();
        if metrics.state.is_leader() && voters.eq([metrics.id]) {
            return Some(Instant::now());
        }
        // The same acknowledgement is always the same moment, and none is later than it was.
        let (raft_anchor, anchor) = self.inner.anchor;
        metrics
            .last_quorum_acked
            .map(|at| anchor + (at.into_inner() - raft_anchor))
    }
}
