//! Faults of processes: killed, frozen, ended.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::sleep;

use super::{
    super::{
        recovery::{Kill, held_by, log_end},
        run::{LOOK_EVERY, Run},
    },
    Failure, Kind, Seen,
};
use crate::cloud::now_us;

/// A process that was sent SIGSTOP stands still within this.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // `kill -9`; started again later.
        Kind::new("kill_leader", &[], |run, hold| {
            Box::pin(async move {
                let leader = run.leader().await?;
                run.kill(leader, true, hold).await
            })
        }),
        Kind::new("kill_follower", &[], |run, hold| {
            Box::pin(async move {
                let follower = run.follower().await?;
                run.kill(follower, false, hold).await
            })
        }),
        // All members at once.
        Kind::new("kill_all", &[], |run, hold| Box::pin(run.kill_all(hold))),
        // SIGSTOP until after its lease is over, then SIGCONT.
        Kind::new("freeze_leader", &[], |run, hold| {
            Box::pin(async move {
                let leader = run.leader().await?;
                run.freeze(leader, hold).await
            })
        }),
        Kind::new("freeze_follower", &[], |run, hold| {
            Box::pin(async move {
                let follower = run.follower().await?;
                run.freeze(follower, hold).await
            })
        }),
        // SIGTERM, then started again.
        Kind::new("restart", &[], |run, hold| Box::pin(run.restart_one(hold))),
    ]
}

impl Run {
    /// `kill -9` of a member that runs.
    pub(super) fn kill_now(&mut self, member: usize) -> Result<(), Failure> {
        let member = &mut self.cluster.members[member];
        if member.has_ended() {
            let address = member.address();
            return Err(Failure::Product(format!("{address} ended by itself")));
        }
        member.kill();
        Ok(())
    }

    async fn kill(&mut self, chosen: usize, leader: bool, hold: Duration) -> Result<Seen, Failure> {
        let member_id = self.member_id(chosen).await?;
        self.kill_now(chosen)?;
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
        self.hold(hold).await;
        self.cluster.members[chosen].restart();
        Ok(format!("member {member_id} was killed"))
    }

    async fn kill_all(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let all = self.cluster.members.len();
        for member in 0..all {
            self.kill_now(member)?;
        }
        self.hold(hold).await;
        for member in &mut self.cluster.members {
            member.restart();
        }
        Ok(format!("{all} members were killed"))
    }

    async fn freeze(&mut self, chosen: usize, hold: Duration) -> Result<Seen, Failure> {
        self.cluster.members[chosen].signal(Signal::STOP);
        let began = Instant::now();
        while !self.cluster.members[chosen].is_stopped() {
            if began.elapsed() > STOPPED_WITHIN {
                return Err(format!("member {chosen} does not stand still").into());
            }
            sleep(LOOK_EVERY).await;
        }
        let long = self.settings.lease_is_over() + hold;
        self.hold(long).await;
        self.cluster.members[chosen].signal(Signal::CONT);
        Ok(format!(
            "stood still for {} ms",
            began.elapsed().as_millis()
        ))
    }

    async fn restart_one(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.any_member();
        self.cluster.members[chosen].signal(Signal::TERM);
        let ended = self.ends(chosen).await;
        if !ended {
            self.guilty("a member did not end in time after SIGTERM");
        }
        self.hold(hold).await;
        self.cluster.members[chosen].restart();
        Ok(format!("member {chosen} ended and was started again"))
    }
}
