//! Who leads, as this member sees it; and the right to propose that comes with leading.
//!
//! A member that was elected leads, for the rest of the program, once it has applied an entry of its own
//! term: then it knows everything that was ever decided, and the last stamp in the log.

use std::time::{Instant, UNIX_EPOCH};

use anneal_statemachine::command::Stamp;
use openraft::{ServerState, async_runtime::WatchReceiver, metrics::RaftServerMetrics};
use tokio::sync::watch;

use super::{
    LeaderHint, RaftHandle,
    machine::Shared,
    types::{LeadershipId, LogId, TypeConfig},
};
use crate::failpoint;

/// One leadership of this member, from its first applied entry on. Proposals bound to it fail once it is
/// over, even if this member leads again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Never the same twice.
    pub id: LeadershipId,
    /// When it began, for this member.
    pub since: Instant,
    /// The last stamp in the log before it. Milliseconds.
    base_ms: u64,
}

impl Leadership {
    /// State time now: the last stamp in the log when this leadership began, and what has passed since by a clock
    /// that never jumps. Milliseconds.
    pub fn state_ms(&self) -> u64 {
        let passed = self.since.elapsed().as_millis();
        self.base_ms + u64::try_from(passed).expect("no program runs that long")
    }

    /// The stamp of a command proposed now.
    pub fn stamp(&self) -> Stamp {
        let wall = failpoint::wall_clock()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Stamp {
            state_ms: self.state_ms(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(0),
        }
    }
}

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LeadershipView {
    /// Nobody, as far as is known.
    #[default]
    None,
    /// Another member.
    Follower(LeaderHint),
    /// This member was elected, and has not yet applied an entry of its own.
    Elected,
    /// This member.
    Leading(Leadership),
}

impl LeadershipView {
    /// This member's leadership, if it leads.
    pub fn leading(&self) -> Option<&Leadership> {
        match self {
            Self::Leading(leadership) => Some(leadership),
            Self::None | Self::Follower(_) | Self::Elected => None,
        }
    }

    /// The other member that leads, if one does.
    pub fn leader(&self) -> Option<&LeaderHint> {
        match self {
            Self::Follower(hint) => Some(hint),
            Self::None | Self::Elected | Self::Leading(_) => None,
        }
    }
}

/// Follows Raft's own view until Raft stops. Of what Raft says, the part that changes with every entry is listened to only
/// while this member waits for the first one of its own.
pub(super) async fn follow(
    raft: RaftHandle,
    shared: std::sync::Arc<Shared>,
    view: watch::Sender<LeadershipView>,
) {
    let mut servers = raft.server_metrics();
    let mut data = raft.data_metrics();
    loop {
        let server = servers.borrow_and_update().clone();
        let applied = data.borrow_and_update().last_applied;
        let seen = Seen::of(&server, applied);
        let is_elected = matches!(seen, Seen::Elected);
        let next = seen.view(&view.borrow(), &shared);
        view.send_if_modified(|view| {
            let changed = *view != next;
            *view = next;
            changed
        });
        let alive = tokio::select! {
            alive = servers.changed() => alive,
            alive = data.changed(), if is_elected => alive,
        };
        if alive.is_err() {
            view.send_replace(LeadershipView::None);
            return;
        }
    }
}

/// What of Raft's metrics says who leads.
enum Seen {
    Nobody,
    Other(LeaderHint),
    Elected,
    Leading(LeadershipId),
}

impl Seen {
    fn of(server: &RaftServerMetrics<TypeConfig>, applied: Option<LogId>) -> Self {
        if server.state == ServerState::Leader {
            let id = *server.vote.leader_id();
            let own = applied.is_some_and(|applied| applied.leader_id == id);
            return if own {
                Self::Leading(id)
            } else {
                Self::Elected
            };
        }
        let leader = server.current_leader.filter(|leader| *leader != server.id);
        let membership = server.membership_config.membership();
        match leader.and_then(|id| membership.get_node(&id).map(|node| (id, node))) {
            Some((member_id, node)) => Self::Other(LeaderHint {
                member_id,
                address: node.address.clone(),
            }),
            None => Self::Nobody,
        }
    }

    fn view(self, before: &LeadershipView, shared: &Shared) -> LeadershipView {
        match self {
            Self::Nobody => LeadershipView::None,
            Self::Other(hint) => LeadershipView::Follower(hint),
            Self::Elected => LeadershipView::Elected,
            Self::Leading(id) => match before {
                LeadershipView::Leading(leadership) if leadership.id == id => before.clone(),
                _ => {
                    let base_ms = shared.read(|state| state.position.state_ms);
                    LeadershipView::Leading(Leadership {
                        id,
                        since: Instant::now(),
                        base_ms,
                    })
                }
            },
        }
    }
}
