//! Which member: by position among the processes, by what it is to the cluster, by who leads.

use std::time::{Duration, Instant};

use anneal_client::Client;
use tokio::time::sleep;

use super::{
    failure::Failure,
    run::{LOOK_EVERY, Run},
};

/// A leader must be known within this, before a fault that needs one.
const LED_WITHIN: Duration = Duration::from_secs(30);

/// A call to one member alone gives up after this.
const MEMBER_DEADLINE: Duration = Duration::from_secs(2);

/// A member, and what the cluster said of it a moment ago.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Among the processes.
    pub(super) position: usize,
    pub(super) id: u64,
    pub(super) leads: bool,
}

impl Run {
    /// A client that asks one member only.
    pub(super) fn client_of(&self, member: usize) -> Result<Client, String> {
        Client::builder(self.cluster.members[member].address())
            .and_then(|builder| builder.call_deadline(MEMBER_DEADLINE).build())
            .map_err(|e| e.to_string())
    }

    /// Position of any member.
    pub(super) fn any_member(&mut self) -> usize {
        let count = self.cluster.members.len() as u64;
        usize::try_from(self.chance.between(0, count)).unwrap_or(0)
    }

    /// Position of a voter that does not lead.
    pub(super) async fn follower(&mut self) -> Result<usize, Failure> {
        Ok(self.leader_and_follower().await?.1)
    }

    /// Positions of the leader and of some other voter.
    pub(super) async fn leader_and_follower(&mut self) -> Result<(usize, usize), Failure> {
        let leader = self.leader().await?;
        let others: Vec<_> = (0..self.settings.members)
            .filter(|&n| n != leader)
            .collect();
        let follower = self.chance.one(&others).copied();
        Ok((leader, follower.ok_or("no follower to break")?))
    }

    /// Position of the member that leads.
    pub(super) async fn leader(&self) -> Result<usize, Failure> {
        let began = Instant::now();
        loop {
            let seen = match self.client.members(false).await {
                Ok(reply) => {
                    let leader = reply.members.iter().find(|m| m.id == reply.leader);
                    let address = leader.map(|m| m.address.clone()).unwrap_or_default();
                    let members = &self.cluster.members;
                    match members.iter().position(|m| m.address() == address) {
                        Some(position) => return Ok(position),
                        None => format!("{reply:?}"),
                    }
                }
                Err(error) => error.to_string(),
            };
            if began.elapsed() > LED_WITHIN {
                return Err(Failure::Product(format!(
                    "nobody leads after {LED_WITHIN:?}: {seen}"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Position of the first learner.
    pub(super) fn learner(&self) -> usize {
        self.settings.members
    }

    /// What the cluster knows of a member; waits until it knows of it.
    pub(super) async fn known(&self, position: usize) -> Result<Known, Failure> {
        let began = Instant::now();
        let address = self.cluster.members[position].address();
        loop {
            let seen = match self.client.members(false).await {
                Ok(reply) => match reply.members.iter().find(|m| m.address == address) {
                    Some(member) => {
                        return Ok(Known {
                            position,
                            id: member.id,
                            leads: reply.leader == member.id,
                        });
                    }
                    None => "it is not listed".to_owned(),
                },
                Err(error) => error.to_string(),
            };
            if began.elapsed() > LED_WITHIN {
                return Err(Failure::Product(format!(
                    "{address} is not known as a member after {LED_WITHIN:?}: {seen}"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until some other member says that it, or yet another, leads; which. Those `with_it` are not asked.
    pub(super) async fn another_leads(
        &self,
        known: &Known,
        with_it: &[usize],
    ) -> Result<u64, Failure> {
        let began = Instant::now();
        let others: Vec<_> = (0..self.cluster.members.len())
            .filter(|n| *n != known.position && !with_it.contains(n))
            .collect();
        while began.elapsed() < LED_WITHIN {
            for other in &others {
                let status = self.client_of(*other)?.cluster_status(true).await;
                let leader = status.map_or(0, |status| status.leader);
                if leader != 0 && leader != known.id {
                    return Ok(leader);
                }
            }
            sleep(LOOK_EVERY).await;
        }
        let id = known.id;
        Err(Failure::Product(format!(
            "{LED_WITHIN:?} without member {id}, and nobody leads instead"
        )))
    }
}
