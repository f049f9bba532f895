//! The faults: which, when, how they are injected and taken back. One at a time, so that a majority is there but for
//! the moments in which a fault is that it is not.

use std::time::{Duration, Instant};

use anneal_client::{Error, v1};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::recovery::{Kill, held_by, log_end};
use super::run::{LOOK_EVERY, Run};
use crate::{Chance, cloud::now_us};

/// What is done to the cluster or behind its back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// `kill -9` of the leader; started again later.
    KillLeader,
    /// `kill -9` of a follower; started again later.
    KillFollower,
    /// `kill -9` of all members at once; started again.
    KillAll,
    /// The leader is frozen (SIGSTOP) until after its lease is over, and goes on (SIGCONT).
    FreezeLeader,
    /// A follower is frozen until after its lease is over, and goes on.
    FreezeFollower,
    /// A member is asked to end (SIGTERM) and started again.
    Restart,
    /// Objects are removed and changed by hand.
    Hand,
    /// A member is killed, its directory is lost, and it is removed and joins as a new one.
    LoseDirectory,
    /// The leader is cut off from all others, and not from clients and the cloud.
    CutOffLeader,
    /// A follower is.
    CutOffFollower,
    /// The leader and one follower do not reach each other; the other follower reaches both.
    Bridge,
    /// What the leader sends to one follower is lost.
    OneWay,
}

impl FaultKind {
    /// All that happen on any network.
    pub const ALL: [Self; 8] = [
        Self::KillLeader,
        Self::KillFollower,
        Self::FreezeLeader,
        Self::Hand,
        Self::KillAll,
        Self::FreezeFollower,
        Self::Restart,
        Self::LoseDirectory,
    ];

    /// Those that need a network of its own.
    pub const PARTITIONS: [Self; 4] = [
        Self::CutOffLeader,
        Self::Bridge,
        Self::CutOffFollower,
        Self::OneWay,
    ];

    /// As in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::KillLeader => "kill_leader",
            Self::KillFollower => "kill_follower",
            Self::KillAll => "kill_all",
            Self::FreezeLeader => "freeze_leader",
            Self::FreezeFollower => "freeze_follower",
            Self::Restart => "restart",
            Self::Hand => "hand",
            Self::LoseDirectory => "lose_directory",
            Self::CutOffLeader => "cut_off_leader",
            Self::CutOffFollower => "cut_off_follower",
            Self::Bridge => "bridge",
            Self::OneWay => "one_way",
        }
    }
}

/// A fault of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// What.
    pub kind: FaultKind,
    /// So long after the cluster was last whole. Milliseconds.
    pub after_ms: u64,
    /// So long it stays, beyond what the kind itself asks for. Milliseconds.
    pub hold_ms: u64,
}

/// A fault as it happened.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Injected {
    pub(crate) kind: FaultKind,
    /// Microseconds since 1970.
    pub(crate) at_us: u64,
    /// When the cluster was whole again.
    pub(crate) whole_us: u64,
}

/// So long the load runs on a whole cluster between two faults. Milliseconds.
const CALM_MS: (u64, u64) = (1_500, 5_000);

/// So long a fault lasts. Milliseconds.
const HOLD_MS: (u64, u64) = (200, 4_000);

/// A dead member can be removed within this: an election may come first.
const REMOVED_WITHIN: Duration = Duration::from_secs(30);

/// A fault takes about this long with everything around it: how many go into a run. Milliseconds.
const ABOUT_MS: u64 = 10_000;

/// The schedule of a seed: every kind once before any comes again, and at least each once.
pub fn plan(seed: u64, duration: Duration, kinds: Vec<FaultKind>) -> Vec<Planned> {
    let mut chance = Chance::of(seed ^ 0x0f0f);
    let count = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) / ABOUT_MS;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut planned = Vec::new();
    while planned.len() < count.max(kinds.len()) {
        let mut deck = kinds.clone();
        chance.shuffle(&mut deck);
        planned.extend(deck.into_iter().map(|kind| Planned {
            kind,
            after_ms: chance.between(CALM_MS.0, CALM_MS.1),
            hold_ms: chance.between(HOLD_MS.0, HOLD_MS.1),
        }));
    }
    planned.truncate(count.max(kinds.len()));
    planned
}

impl Run {
    /// Injects a fault, holds it, takes it back, and waits until the cluster is whole again.
    pub(super) async fn inject(&mut self, planned: Planned) -> Result<(), String> {
        sleep(Duration::from_millis(planned.after_ms)).await;
        let hold = Duration::from_millis(planned.hold_ms);
        let at_us = now_us();
        self.say(&format!("{:?}", planned.kind));
        match planned.kind {
            FaultKind::KillLeader => self.kill(true, hold).await?,
            FaultKind::KillFollower => self.kill(false, hold).await?,
            FaultKind::KillAll => self.kill_all(hold).await,
            FaultKind::FreezeLeader => self.freeze(true, hold).await?,
            FaultKind::FreezeFollower => self.freeze(false, hold).await?,
            FaultKind::Restart => self.restart_one(hold).await?,
            FaultKind::Hand => self.by_hand().await?,
            FaultKind::LoseDirectory => self.lose_directory(hold).await?,
            FaultKind::CutOffLeader => {
                let leader = self.choose(true).await?;
                self.cut(self.all_ways_of(leader), hold).await?;
            }
            FaultKind::CutOffFollower => {
                let follower = self.choose(false).await?;
                self.cut(self.all_ways_of(follower), hold).await?;
            }
            FaultKind::Bridge => {
                let (leader, follower) = self.choose_both().await?;
                let both = vec![(leader, follower), (follower, leader)];
                self.cut(both, hold).await?;
            }
            FaultKind::OneWay => {
                let (leader, follower) = self.choose_both().await?;
                self.cut(vec![(leader, follower)], hold).await?;
            }
        }
        self.whole().await;
        self.injected.push(Injected {
            kind: planned.kind,
            at_us,
            whole_us: now_us(),
        });
        Ok(())
    }

    /// Position of the leader, or of a follower.
    async fn choose(&mut self, leader: bool) -> Result<usize, String> {
        let (led_by, follower) = self.choose_both().await?;
        Ok(if leader { led_by } else { follower })
    }

    /// Positions of the leader and of some follower.
    async fn choose_both(&mut self) -> Result<(usize, usize), String> {
        let led_by = self.leader().await?;
        let others: Vec<_> = (0..self.cluster.members.len())
            .filter(|&n| n != led_by)
            .collect();
        let follower = self.chance.one(&others).copied();
        Ok((led_by, follower.ok_or("no follower to break")?))
    }

    async fn kill(&mut self, leader: bool, hold: Duration) -> Result<(), String> {
        let chosen = self.choose(leader).await?;
        let member_id = self.member_id(chosen).await?;
        self.cluster.members[chosen].kill();
        let at_us = now_us();
        let survivors = self.clients_but(chosen);
        let floor = log_end(&survivors).await?;
        let held = held_by(&survivors, member_id).await?;
        self.kills.push(Kill {
            at_us,
            leader,
            floor,
            held,
        });
        sleep(hold).await;
        self.cluster.members[chosen].restart();
        Ok(())
    }

    async fn kill_all(&mut self, hold: Duration) {
        for member in &mut self.cluster.members {
            member.kill();
        }
        sleep(hold).await;
        for member in &mut self.cluster.members {
            member.restart();
        }
    }

    async fn freeze(&mut self, leader: bool, hold: Duration) -> Result<(), String> {
        let chosen = self.choose(leader).await?;
        self.cluster.members[chosen].signal(Signal::STOP);
        sleep(self.settings.lease_is_over() + hold).await;
        self.cluster.members[chosen].signal(Signal::CONT);
        Ok(())
    }

    async fn restart_one(&mut self, hold: Duration) -> Result<(), String> {
        let count = self.cluster.members.len() as u64;
        let chosen = usize::try_from(self.chance.between(0, count)).unwrap_or(0);
        self.cluster.members[chosen].signal(Signal::TERM);
        let ended = self.ends(chosen).await;
        if !ended {
            self.guilty("a member did not end in time after SIGTERM");
        }
        sleep(hold).await;
        self.cluster.members[chosen].restart();
        Ok(())
    }

    async fn lose_directory(&mut self, hold: Duration) -> Result<(), String> {
        let count = self.cluster.members.len() as u64;
        let chosen = usize::try_from(self.chance.between(0, count)).unwrap_or(0);
        let member = self.member_id(chosen).await?;
        self.cluster.members[chosen].kill();
        sleep(hold).await;
        let request = v1::MemberVerbRequest {
            member,
            ..Default::default()
        };
        let began = Instant::now();
        while let Err(error) = self.client.remove_member(request.clone()).await {
            if matches!(error, Error::NotFound(_)) {
                // An earlier try did it, and its answer was lost.
                break;
            }
            if began.elapsed() > REMOVED_WITHIN {
                self.guilty(&format!("a dead member can't be removed: {error}"));
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        self.cluster.start_anew(chosen);
        Ok(())
    }

    /// From a member to all others, and back.
    fn all_ways_of(&self, member: usize) -> Vec<(usize, usize)> {
        let others = (0..self.cluster.members.len()).filter(|other| *other != member);
        others
            .flat_map(|other| [(member, other), (other, member)])
            .collect()
    }

    async fn cut(&self, ways: Vec<(usize, usize)>, hold: Duration) -> Result<(), String> {
        let network = self.cluster.network().ok_or("there is no network to cut")?;
        for (from, to) in &ways {
            network.cut(*from, *to)?;
        }
        sleep(self.settings.lease_is_over() + hold).await;
        for (from, to) in &ways {
            network.mend(*from, *to)?;
        }
        Ok(())
    }

    async fn by_hand(&mut self) -> Result<(), String> {
        let inventory = self.cloud.inventory().await?;
        let mut done = 0;
        for _ in 0..4 {
            let Some(object) = self.chance.one(&inventory) else {
                break;
            };
            let (id, remove) = (object.id.clone(), self.chance.per_mille(500));
            let value = self.chance.between(0, 1_000_000);
            let happened = if remove {
                self.cloud.remove(&id).await?
            } else {
                self.cloud.change(&id, value).await?
            };
            done += u32::from(happened);
        }
        if done == 0 {
            return Err("there was nothing to change by hand".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_run_has_every_fault_and_a_seed_gives_its_schedule_again() {
        let drawn = |seed| plan(seed, Duration::from_secs(1), FaultKind::ALL.to_vec());
        let planned = drawn(5);
        for kind in FaultKind::ALL {
            assert!(planned.iter().any(|one| one.kind == kind), "{kind:?}");
        }
        assert_eq!(planned, drawn(5));
        assert_ne!(planned, drawn(6));
    }
}
