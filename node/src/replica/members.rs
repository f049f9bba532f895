//! The membership: who is in it, and changes of it, made by the leader one at a time.
//!
//! Before a voter goes, the leader makes sure that the rest still is a quorum, and that it is not itself the
//! one that goes. Knows nothing of engines.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anneal_proto::peer::v1::{ProgressRequest, ProgressResponse, peer_client::PeerClient};
use openraft::{
    ChangeMembers, Instant as _,
    async_runtime::WatchReceiver,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    metrics::RaftMetrics,
    type_config::TypeConfigExt,
};

use super::{
    LeaderHint, LeadershipView, MembershipError, Replica,
    propose::leader_hint,
    types::{MemberNode, Membership, TypeConfig},
};
use crate::network::{Addressee, Purpose};

/// A listing does not wait longer for one member.
const PROGRESS_TIMEOUT: Duration = Duration::from_millis(500);
/// Another change of the membership, or a new leader's first entry, is through after this, or something is
/// wrong.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts within that time.
const CHANGE_RETRY: Duration = Duration::from_millis(50);
/// Entries that a learner may lack and count as caught up: fewer than one message to it holds.
const CAUGHT_UP_ENTRIES: u64 = 100;
/// Between two looks at learners that are to become voters.
const PROMOTION_INTERVAL: Duration = Duration::from_millis(200);

/// What a member is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides.
    Leader,
    /// It votes and can lead.
    Voter,
    /// It only receives.
    Learner,
}

impl Role {
    /// The word that listings show.
    pub fn word(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Voter => "voter",
            Self::Learner => "learner",
        }
    }
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its id.
    pub id: u64,
    /// HOST:PORT.
    pub address: String,
    /// What it is.
    pub role: Role,
    /// The last entry in its log; as far as known, if it does not answer.
    pub last_log_index: u64,
    /// The last entry that it applied; 0 if it does not answer.
    pub applied_index: u64,
    /// It answers.
    pub reachable: bool,
}

/// The cluster, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    /// Which cluster.
    pub cluster_id: String,
    /// Its leader.
    pub leader: Option<u64>,
    /// Raft's term.
    pub term: u64,
    /// Who sees it so.
    pub answered_by: u64,
    /// The last entry in that one's log.
    pub last_log_index: u64,
    /// The last entry that it applied.
    pub applied_index: u64,
    /// The last entry in its checkpoint.
    pub checkpoint_index: u64,
    /// The last entry that is no longer in its log.
    pub purged_index: u64,
    /// Number of voters.
    pub voters: usize,
    /// Number of learners.
    pub learners: usize,
}

type Metrics = RaftMetrics<TypeConfig>;

impl Replica {
    fn metrics(&self) -> Metrics {
        self.raft().metrics().borrow_watched().clone()
    }

    /// The newest membership that this member has in its log, decided or not.
    pub fn membership(&self) -> Membership {
        self.raft()
            .metrics()
            .borrow_watched()
            .membership_config
            .membership()
            .clone()
    }

    /// Whether this member was in the membership by what it has applied: decided, then, whatever came after.
    pub fn was_let_in(&self) -> bool {
        let me = self.member_id();
        let membership = |state: &super::machine::State| {
            let membership = state.position.membership.membership();
            membership.get_node(&me).is_some()
        };
        self.inner.shared.read(membership)
    }

    /// Who leads, this member included; `None` if that is not known, or not yet sure.
    pub fn leader(&self) -> Option<LeaderHint> {
        let view = self.leadership().borrow().clone();
        match view {
            LeadershipView::Follower(hint) => Some(hint),
            LeadershipView::Leading(_) => Some(self.hint_of(&self.metrics(), self.member_id())),
            LeadershipView::None | LeadershipView::Elected => None,
        }
    }

    /// Whether it has applied all that it knows to be decided, and knows that from a leader.
    pub fn has_caught_up(&self) -> bool {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        metrics.cluster_committed.is_some() && metrics.last_applied >= metrics.cluster_committed
    }

    /// The cluster, as this member sees it.
    pub fn cluster(&self) -> ClusterView {
        let metrics = self.metrics();
        let (last_log_index, applied_index) = self.progress();
        let membership = metrics.membership_config.membership();
        let checkpoint = self
            .checkpoints()
            .current()
            .and_then(|it| it.position().last);
        let voters = full_voters(membership).len();
        ClusterView {
            cluster_id: self.addressee().cluster_id.clone(),
            leader: metrics.current_leader.filter(|_| self.is_led()),
            term: metrics.current_term,
            answered_by: self.member_id(),
            last_log_index,
            applied_index,
            checkpoint_index: checkpoint.map_or(0, |last| last.index),
            purged_index: self.log().purged().map_or(0, |purged| purged.index),
            voters,
            learners: membership.nodes().count() - voters,
        }
    }

    /// Every member, each asked how far it is.
    pub async fn members(&self) -> Vec<MemberView> {
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let voters = full_voters(membership);
        let leader = metrics.current_leader.filter(|_| self.is_led());
        let asked = membership.nodes().map(|(id, node)| {
            let matched = metrics.replication.as_ref().and_then(|all| *all.get(id)?);
            let role = if leader == Some(*id) {
                Role::Leader
            } else if voters.contains(id) {
                Role::Voter
            } else {
                Role::Learner
            };
            async move {
                let progress = self.progress_of(*id, &node.address).await;
                MemberView {
                    id: *id,
                    address: node.address.clone(),
                    role,
                    reachable: progress.is_some(),
                    last_log_index: match progress {
                        Some((last, _)) => last,
                        None => matched.map_or(0, |matched| matched.index),
                    },
                    applied_index: progress.map_or(0, |(_, applied)| applied),
                }
            }
        });
        futures_util::future::join_all(asked).await
    }

    async fn progress_of(&self, member_id: u64, address: &str) -> Option<(u64, u64)> {
        if member_id == self.member_id() {
            return Some(self.progress());
        }
        let cluster_id = self.addressee().cluster_id.clone();
        let request = Addressee {
            cluster_id,
            member_id,
        }
        .address(ProgressRequest {});
        let mut client = PeerClient::new(self.channels().get(address, Purpose::Calls).ok()?);
        let answer = tokio::time::timeout(PROGRESS_TIMEOUT, client.progress(request)).await;
        let ProgressResponse {
            last_log_index,
            applied_index,
        } = answer.ok()?.ok()?.into_inner();
        Some((last_log_index, applied_index))
    }

    /// Adds a learner, or changes what the membership says of a member. One that `moves` was in it before: if it is not
    /// any more, it was removed, and is not let in again under its old id.
    pub async fn enlist(
        &self,
        member_id: u64,
        node: MemberNode,
        moves: bool,
    ) -> Result<(), MembershipError> {
        let _one = self.inner.membership.lock().await;
        let metrics = self.metrics();
        if !metrics.state.is_leader() {
            return Err(self.not_leader());
        }
        match metrics.membership_config.membership().get_node(&member_id) {
            None if moves => {
                // A leader that was deposed may not have heard of it yet.
                let sure = self.confirm_leadership().await;
                sure.map_err(|error| MembershipError::Unavailable(error.to_string()))?;
                Err(MembershipError::NoSuchMember(member_id))
            }
            None => {
                let nodes = BTreeMap::from([(member_id, node)]);
                self.change(ChangeMembers::AddNodes(nodes), true).await
            }
            Some(known) if known.address == node.address => Ok(()),
            Some(known) => {
                // Only where it listens is its own to say: what it becomes was settled when it joined.
                let node = MemberNode {
                    address: node.address,
                    ..known.clone()
                };
                let nodes = BTreeMap::from([(member_id, node)]);
                self.change(ChangeMembers::SetNodes(nodes), true).await
            }
        }
    }

    /// Makes a learner a voter, once it has caught up.
    pub async fn promote(&self, member_id: u64) -> Result<(), MembershipError> {
        let _one = self.inner.membership.lock().await;
        self.node_of(member_id)?;
        let deadline = Instant::now() + CHANGE_PATIENCE;
        loop {
            let metrics = self.metrics();
            if is_voter(&metrics, member_id) {
                return Ok(());
            }
            if self.caught_up(&metrics, member_id) {
                let ids = BTreeSet::from([member_id]);
                return self.change(ChangeMembers::AddVoterIds(ids), true).await;
            }
            if !metrics.state.is_leader() {
                return Err(self.not_leader());
            }
            if Instant::now() > deadline {
                let why = format!("member {member_id} has not caught up");
                return Err(MembershipError::Unavailable(why));
            }
            tokio::time::sleep(CHANGE_RETRY).await;
        }
    }

    /// Makes a voter a learner, which it stays. If it is the leader, leadership moves first, and the error says where to.
    pub async fn demote(&self, member_id: u64) -> Result<(), MembershipError> {
        let _one = self.inner.membership.lock().await;
        let node = self.node_of(member_id)?;
        if !is_voter(&self.metrics(), member_id) {
            return self.note_becoming(member_id, node, false).await;
        }
        self.spare(member_id).await?;
        self.note_becoming(member_id, node, false).await?;
        self.change(
            ChangeMembers::RemoveVoters(BTreeSet::from([member_id])),
            true,
        )
        .await
    }

    /// Has the membership say whether this member, once a learner, becomes a voter.
    async fn note_becoming(
        &self,
        member_id: u64,
        node: MemberNode,
        becomes_voter: bool,
    ) -> Result<(), MembershipError> {
        if node.becomes_voter == becomes_voter {
            return Ok(());
        }
        let node = MemberNode {
            becomes_voter,
            ..node
        };
        self.change(
            ChangeMembers::SetNodes(BTreeMap::from([(member_id, node)])),
            true,
        )
        .await
    }

    /// Removes a member. If it is the leader, leadership moves first, and the error says where to.
    pub async fn remove(&self, member_id: u64) -> Result<(), MembershipError> {
        let _one = self.inner.membership.lock().await;
        let node = self.node_of(member_id)?;
        let ids = BTreeSet::from([member_id]);
        if is_voter(&self.metrics(), member_id) {
            self.spare(member_id).await?;
            // So that whoever finds this half-way can tell it from a demotion.
            self.note_becoming(member_id, node, true).await?;
            self.change(ChangeMembers::RemoveVoters(ids), false).await
        } else {
            self.change(ChangeMembers::RemoveNodes(ids), false).await
        }
    }

    /// Makes another voter the leader: this one, or (`None`) the one that has most of the log. Returns once it leads.
    pub async fn transfer_leader(&self, to: Option<u64>) -> Result<LeaderHint, MembershipError> {
        let metrics = self.metrics();
        if !metrics.state.is_leader() {
            return Err(self.not_leader());
        }
        let to = match to {
            Some(id) if id == self.member_id() => return Ok(self.hint_of(&metrics, id)),
            Some(id) => {
                self.node_of(id)?;
                if !is_voter(&metrics, id) {
                    return Err(MembershipError::NotVoter(id));
                }
                id
            }
            None => self
                .successor(&metrics)
                .ok_or(MembershipError::NoSuccessor)?,
        };
        let triggered = self.raft().trigger().transfer_leader(to).await;
        triggered.map_err(|fatal| MembershipError::Stopped(fatal.to_string()))?;
        let mut view = self.leadership();
        let moved = view.wait_for(|view| view.leader().is_some());
        match tokio::time::timeout(CHANGE_PATIENCE, moved).await {
            Ok(Ok(view)) => Ok(view.leader().cloned().expect("just waited for")),
            Ok(Err(_)) => Err(MembershipError::Stopped("Raft has ended".into())),
            Err(_) => {
                let why = format!("member {to} has not taken leadership over");
                Err(MembershipError::Unavailable(why))
            }
        }
    }

    fn hint_of(&self, metrics: &Metrics, member_id: u64) -> LeaderHint {
        let node = metrics.membership_config.membership().get_node(&member_id);
        LeaderHint {
            member_id,
            address: node.map(|node| node.address.clone()).unwrap_or_default(),
        }
    }

    fn not_leader(&self) -> MembershipError {
        MembershipError::NotLeader(self.leadership().borrow().leader().cloned())
    }

    fn node_of(&self, member_id: u64) -> Result<MemberNode, MembershipError> {
        let metrics = self.metrics();
        if !metrics.state.is_leader() {
            return Err(self.not_leader());
        }
        let node = metrics
            .membership_config
            .membership()
            .get_node(&member_id)
            .cloned();
        node.ok_or(MembershipError::NoSuchMember(member_id))
    }

    /// Makes sure that a voter can go: that the rest, asked now, is a quorum.
    async fn spare(&self, member_id: u64) -> Result<(), MembershipError> {
        let began = TypeConfig::now();
        let triggered = self.raft().trigger().heartbeat().await;
        triggered.map_err(|fatal| MembershipError::Stopped(fatal.to_string()))?;
        let deadline = Instant::now() + self.inner.silence;
        let (live, voters) = loop {
            let metrics = self.metrics();
            let voters = metrics.membership_config.membership().voter_ids();
            let rest: Vec<u64> = voters.filter(|id| *id != member_id).collect();
            let answered = |id: &&u64| {
                let heard = metrics.heartbeat.as_ref().and_then(|all| *all.get(*id)?);
                **id == self.member_id() || heard.is_some_and(|at| *at > began)
            };
            let live = rest.iter().filter(answered).count();
            if live == rest.len() || Instant::now() > deadline {
                break (live, rest.len());
            }
            tokio::time::sleep(CHANGE_RETRY).await;
        };
        if live * 2 <= voters {
            return Err(MembershipError::LosesQuorum {
                member_id,
                live,
                voters,
            });
        }
        if member_id == self.member_id() {
            let leader = self.transfer_leader(None).await?;
            return Err(MembershipError::NotLeader(Some(leader)));
        }
        Ok(())
    }

    /// This member, or one that has answered of late.
    fn heard_of(&self, metrics: &Metrics, member_id: u64) -> bool {
        if member_id == self.member_id() {
            return true;
        }
        let heard = metrics
            .heartbeat
            .as_ref()
            .and_then(|all| *all.get(&member_id)?);
        heard.is_some_and(|at| at.elapsed() < self.inner.silence)
    }

    fn caught_up(&self, metrics: &Metrics, member_id: u64) -> bool {
        let matched = metrics
            .replication
            .as_ref()
            .and_then(|all| *all.get(&member_id)?);
        let last = metrics.last_log_index.unwrap_or(0);
        matched.is_some_and(|matched| matched.index + CAUGHT_UP_ENTRIES >= last)
            && self.heard_of(metrics, member_id)
    }

    fn successor(&self, metrics: &Metrics) -> Option<u64> {
        let others = metrics.membership_config.membership().voter_ids();
        let others = others.filter(|id| *id != self.member_id() && self.heard_of(metrics, *id));
        others.max_by_key(|id| metrics.replication.as_ref().and_then(|all| *all.get(id)?))
    }

    /// One change, tried again while another is under way.
    async fn change(
        &self,
        change: ChangeMembers<u64, MemberNode>,
        retain: bool,
    ) -> Result<(), MembershipError> {
        let deadline = Instant::now() + CHANGE_PATIENCE;
        loop {
            let error = match self.raft().change_membership(change.clone(), retain).await {
                Ok(_) => return Ok(()),
                Err(RaftError::Fatal(fatal)) => {
                    return Err(MembershipError::Stopped(fatal.to_string()));
                }
                Err(RaftError::APIError(error)) => error,
            };
            match error {
                ClientWriteError::ForwardToLeader(forward) => {
                    // Its own leader, who waits to hear from a quorum, says so too.
                    let lost = !self.metrics().state.is_leader();
                    if lost || Instant::now() > deadline {
                        return Err(MembershipError::NotLeader(leader_hint(&forward)));
                    }
                }
                ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::InProgress(_)
                    | ChangeMembershipError::UncommittedLeaderLog(_),
                ) if Instant::now() < deadline => {}
                error => return Err(MembershipError::Unavailable(error.to_string())),
            }
            tokio::time::sleep(CHANGE_RETRY).await;
        }
    }
}

/// Whether a voter that is half-way out is to stay as a learner. One that is demoted was first said to become no voter any
/// more; one that is removed, to become one, and as a learner it would be promoted again.
fn who_leaves_stays(membership: &Membership) -> bool {
    let joint = membership.get_joint_config();
    let Some((stay, before)) = joint.split_last() else {
        return true;
    };
    let becomes_voter = |id| {
        let node = membership.get_node(id);
        node.is_some_and(|node| node.becomes_voter)
    };
    !before
        .iter()
        .flatten()
        .any(|id| !stay.contains(id) && becomes_voter(id))
}

/// Who votes in every voter set. In the midst of a change there are two; who is in one of them only is not yet, or no more,
/// what the change makes of it, and a cluster that loses the other set's majority meanwhile can't go on.
fn full_voters(membership: &Membership) -> BTreeSet<u64> {
    let sets = membership.get_joint_config().iter().cloned();
    sets.reduce(|one, other| &one & &other).unwrap_or_default()
}

fn is_voter(metrics: &Metrics, member_id: u64) -> bool {
    metrics
        .membership_config
        .membership()
        .voter_ids()
        .any(|id| id == member_id)
}

/// A leader's chores, until Raft stops: finishes a change of the membership that an earlier leader left half-way, and
/// makes voters of learners that are to be.
pub(super) async fn run(replica: Replica) {
    let mut view = replica.leadership();
    loop {
        if view
            .wait_for(|view| matches!(view, LeadershipView::Leading(_)))
            .await
            .is_err()
        {
            return;
        }
        let metrics = replica.metrics();
        let membership = metrics.membership_config.membership();
        if membership.get_joint_config().len() > 1 {
            let _one = replica.inner.membership.lock().await;
            // No change at all: only the way from two voter sets to one.
            let nothing = ChangeMembers::AddVoterIds(BTreeSet::new());
            let retain = who_leaves_stays(membership);
            if let Err(error) = replica.change(nothing, retain).await {
                tracing::warn!(%error, "a change of the membership is still half-way");
            }
        }
        let due: Vec<u64> = membership
            .learner_ids()
            .filter(|id| {
                membership
                    .get_node(id)
                    .is_some_and(|node| node.becomes_voter)
            })
            .filter(|id| replica.caught_up(&metrics, *id))
            .collect();
        for member_id in due {
            match replica.promote(member_id).await {
                Ok(()) => tracing::info!(member_id, "became a voter"),
                Err(error) => tracing::warn!(member_id, %error, "not yet a voter"),
            }
        }
        tokio::time::sleep(PROMOTION_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_is_half_way_is_told_from_a_demotion_and_from_a_promotion() {
        let half_way = |before: &[u64], after: &[u64], becomes_voter| {
            let nodes = (1..=3).map(|id| {
                let node = MemberNode {
                    address: String::new(),
                    becomes_voter: becomes_voter || id != 3,
                };
                (id, node)
            });
            let voters = [before, after].map(|ids| ids.iter().copied().collect());
            let nodes: BTreeMap<u64, MemberNode> = nodes.collect();
            Membership::new(voters.to_vec(), nodes).unwrap()
        };
        let removal = half_way(&[1, 2, 3], &[1, 2], true);
        assert!(!who_leaves_stays(&removal));
        let demotion = half_way(&[1, 2, 3], &[1, 2], false);
        assert!(who_leaves_stays(&demotion));
        let promotion = half_way(&[1, 2], &[1, 2, 3], true);
        assert!(who_leaves_stays(&promotion));
    }
}
