//! The way to whoever leads: through this process if this member does, else over the network.
//!
//! The leader's own engine takes the same path as any other; only the bytes do not leave the process.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use anneal_proto::engine::v1::{
    self as proto, FromEngine, FromLeader, engines_client::EnginesClient,
};
use anneal_statemachine::command::{CommandKind, RegisterEngine};
use anneal_statemachine::id::EngineRef;
use anneal_statemachine::outcome::Outcome;
use anneal_statemachine::row::LeaseState;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::clock::BootTime;
use super::hub::{Hub, Leading};
use super::link::Leaders;
use super::quorum::QuorumClock;
use super::table::Standing;
use crate::failpoint::{self, Failpoint};
use crate::network::{Addressee, MESSAGE_BYTES, Purpose};
use crate::replica::{Leadership, LeadershipView, ProposeError, Replica};

/// This member's hub while it leads.
pub type CurrentHub = watch::Receiver<Option<Arc<Hub>>>;

/// [`Leaders`] over a replica and the network.
pub struct Reach {
    replica: Replica,
    hub: CurrentHub,
    leader: watch::Receiver<Option<u64>>,
    engines: watch::Receiver<u64>,
}

impl Reach {
    /// The way from this member. Must be called within a tokio runtime.
    pub fn new(replica: Replica, hub: CurrentHub) -> Self {
        Self {
            leader: follow_leader(&replica),
            engines: follow_engines(&replica),
            replica,
            hub,
        }
    }

    fn client(
        &self,
        leader: u64,
    ) -> Result<(EnginesClient<tonic::transport::Channel>, Addressee), Status> {
        let hint = self.replica.leadership().borrow().leader().cloned();
        let hint = hint
            .filter(|hint| hint.member_id == leader)
            .ok_or_else(|| Status::unavailable("the leader has changed"))?;
        let channel = self.replica.channels().get(&hint.address, Purpose::Calls);
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let client = EnginesClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        let addressee = Addressee {
            cluster_id: self.replica.addressee().cluster_id.clone(),
            member_id: leader,
        };
        Ok((client, addressee))
    }
}

#[async_trait]
impl Leaders for Reach {
    fn leader(&self) -> watch::Receiver<Option<u64>> {
        self.leader.clone()
    }

    async fn register(
        &self,
        leader: u64,
        mut request: proto::RegisterRequest,
    ) -> Result<EngineRef, Status> {
        let me = self.replica.member_id();
        request.follows = Some(self.replica.read(|machine| {
            let present = machine.engine(me);
            present.map_or(0, |present| present.engine.incarnation)
        }));
        let incarnation = if leader == me {
            register(&self.replica, request).await?.incarnation
        } else {
            let (mut client, addressee) = self.client(leader)?;
            let reply = client.register(addressee.address(request)).await?;
            reply.into_inner().incarnation
        };
        let applied = self.replica.wait_applied(incarnation).await;
        applied.map_err(|error| error.status())?;
        Ok(EngineRef {
            member: me,
            incarnation,
        })
    }

    async fn attach(
        &self,
        leader: u64,
        outbound: mpsc::Receiver<FromEngine>,
    ) -> Result<BoxStream<'static, Result<FromLeader, Status>>, Status> {
        let outbound = ReceiverStream::new(outbound);
        if leader == self.replica.member_id() {
            let hub = self.hub.borrow().clone().ok_or_else(not_leading)?;
            let inbound = hub.attach(outbound.map(Ok)).await?;
            return Ok(Box::pin(ReceiverStream::new(inbound).map(Ok)));
        }
        let (mut client, addressee) = self.client(leader)?;
        let reply = client.attach(addressee.address(outbound)).await?;
        Ok(Box::pin(reply.into_inner()))
    }

    fn registered(&self) -> Option<EngineRef> {
        let member = self.replica.member_id();
        self.replica.read(|machine| {
            let found = machine.engine(member)?;
            let live = found.row.lease != LeaseState::Expired;
            live.then_some(found.engine)
        })
    }

    fn applied_index(&self) -> u64 {
        *self.replica.applied().borrow()
    }

    fn engines(&self) -> watch::Receiver<u64> {
        self.engines.clone()
    }
}

/// Who leads, without the rest of what a replica knows of it. Ends with the last reader.
fn follow_leader(replica: &Replica) -> watch::Receiver<Option<u64>> {
    let (seen, leader) = watch::channel(None);
    let mut view = replica.leadership();
    let me = replica.member_id();
    let follow = tokio::spawn(async move {
        while !seen.is_closed() {
            let now = match &*view.borrow_and_update() {
                LeadershipView::Leading(_) => Some(me),
                LeadershipView::Follower(hint) => Some(hint.member_id),
                LeadershipView::None | LeadershipView::Elected => None,
            };
            seen.send_if_modified(|before| std::mem::replace(before, now) != now);
            tokio::select! {
                changed = view.changed() => if changed.is_err() { return },
                () = seen.closed() => return,
            }
        }
    });
    replica.oversee_errand("what tells the engine who leads", follow);
    leader
}

/// Counts moments at which the engines may have changed. Ends with the last reader.
fn follow_engines(replica: &Replica) -> watch::Receiver<u64> {
    let (seen, engines) = watch::channel(0);
    let mut changes = replica.changes();
    let follow = tokio::spawn(async move {
        loop {
            let changed = tokio::select! {
                changed = changes.recv() => changed,
                () = seen.closed() => return,
            };
            match changed {
                Ok(changes) if !changes.engines && !changes.all => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    seen.send_modify(|count| *count += 1);
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    });
    replica.oversee_errand("what tells the engine of registrations", follow);
    engines
}

/// Proposes a registration; only where this member leads.
///
/// # Errors
/// `UNAVAILABLE` if it does not, or the outcome is not known; registering again is always right.
pub async fn register(
    replica: &Replica,
    request: proto::RegisterRequest,
) -> Result<EngineRef, Status> {
    let mut offers: Vec<_> = request.offers.into_iter().map(Into::into).collect();
    offers.sort();
    let label = |label: proto::Label| (label.name.into(), label.value.into());
    let command = RegisterEngine {
        member: request.member_id,
        host: request.host.into(),
        address: request.address.into(),
        capacity: request.capacity,
        offers,
        labels: request.labels.into_iter().map(label).collect(),
        follows: request.follows,
    };
    let registered = replica.propose(CommandKind::RegisterEngine(command)).await;
    failpoint::pass(Failpoint::Registered);
    match registered {
        Ok(Outcome::Registered(engine)) => Ok(engine),
        Ok(other) => Err(Status::failed_precondition(format!(
            "the registration was not taken: {other:?}"
        ))),
        Err(error @ ProposeError::Stopped(_)) => Err(Status::aborted(error.to_string())),
        Err(error) => Err(Status::unavailable(error.to_string())),
    }
}

/// What a caller is told by a member that does not lead.
pub fn not_leading() -> Status {
    Status::failed_precondition("this member does not lead")
}

/// [`Leading`] over a replica, for one leadership.
pub struct Standpoint {
    replica: Replica,
    leadership: Leadership,
    quorum: Mutex<QuorumClock>,
}

impl Standpoint {
    /// The standpoint of this leadership.
    pub fn new(replica: Replica, leadership: Leadership) -> Self {
        let quorum = QuorumClock::new(Instant::now(), BootTime::now());
        Self {
            replica,
            leadership,
            quorum: Mutex::new(quorum),
        }
    }
}

impl Leading for Standpoint {
    fn standing(&self) -> Standing {
        let mut quorum = self.quorum.lock().expect("no holder panics");
        let acknowledged = self.replica.quorum_acknowledged();
        let (now, boot_now) = (Instant::now(), BootTime::now());
        Standing {
            applied_index: *self.replica.applied().borrow(),
            quorum_at: acknowledged.map(|at| quorum.moment(at, now, boot_now)),
        }
    }

    fn state_time_ms(&self) -> u64 {
        self.leadership.state_ms()
    }

    fn registered(&self) -> Vec<EngineRef> {
        registered(&self.replica)
    }
}

/// The engines that a replica has as registered and not expired.
pub fn registered(replica: &Replica) -> Vec<EngineRef> {
    replica.read(|machine| {
        machine
            .engines()
            .filter(|found| found.row.lease != LeaseState::Expired)
            .map(|found| found.engine)
            .collect()
    })
}
