//! Faults of processes: killed, frozen, ended.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::sleep;

use super::{
    super::{
        recovery::How,
        run::{LOOK_EVERY, Run},
    },
    Failure, Kind, Need, Seen,
};

/// A process that was sent SIGSTOP stands still within this.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// Between two kills of a quorum, at most. Milliseconds.
const KILLS_APART_MS: u64 = 500;

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // `kill -9`; started again later.
        Kind::new("kill_leader", &[], |run, hold| {
            Box::pin(async move {
                let leader = run.leader().await?;
                run.kill(leader, hold).await
            })
        }),
        Kind::new("kill_follower", &[], |run, hold| {
            Box::pin(async move {
                let follower = run.follower().await?;
                run.kill(follower, hold).await
            })
        }),
        Kind::new("kill_learner", &[Need::Learner], |run, hold| {
            Box::pin(async move { run.kill(run.learner(), hold).await })
        }),
        // So many, one after the other, that the rest is no quorum.
        Kind::new("kill_quorum", &[], |run, hold| {
            Box::pin(run.kill_quorum(hold))
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
        Kind::new("freeze_learner", &[Need::Learner], |run, hold| {
            Box::pin(async move { run.freeze(run.learner(), hold).await })
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

    async fn kill(&mut self, chosen: usize, hold: Duration) -> Result<Seen, Failure> {
        let known = self.known(chosen).await?;
        let since = Instant::now();
        self.kill_now(chosen)?;
        self.lost(How::Killed, known, since, &[]).await;
        self.hold(hold).await;
        self.cluster.members[chosen].restart();
        Ok(format!("member {} was killed", known.id))
    }

    async fn kill_quorum(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let mut order: Vec<_> = (0..self.settings.members).collect();
        self.chance.shuffle(&mut order);
        let rest = order.split_off(self.settings.members / 2 + 1);
        for (n, member) in order.iter().enumerate() {
            if n > 0 {
                let apart = self.chance.between(0, KILLS_APART_MS);
                self.hold(Duration::from_millis(apart)).await;
            }
            self.kill_now(*member)?;
        }
        let since = Instant::now();
        for member in &rest {
            let answered = self.client_of(*member)?.cluster_status(false).await;
            if let Ok(status) = answered {
                let why = format!("a read was answered without a quorum: {status:?}");
                return Err(Failure::Product(why));
            }
        }
        self.hold(hold.saturating_sub(since.elapsed())).await;
        for member in &order {
            self.cluster.members[*member].restart();
        }
        Ok(format!(
            "members {order:?} were killed, {rest:?} refused reads"
        ))
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
        let known = self.known(chosen).await?;
        self.cluster.members[chosen].signal(Signal::STOP);
        let since = Instant::now();
        while !self.cluster.members[chosen].is_stopped() {
            if since.elapsed() > STOPPED_WITHIN {
                return Err(format!("member {chosen} does not stand still").into());
            }
            sleep(LOOK_EVERY).await;
        }
        self.lost(How::Frozen, known, since, &[]).await;
        self.hold(self.settings.lease_is_over() + hold).await;
        let successor = match known.leads {
            true => Some(self.another_leads(&known, &[]).await?),
            false => None,
        };
        let still = since.elapsed().as_millis();
        self.cluster.members[chosen].signal(Signal::CONT);
        let id = known.id;
        Ok(match successor {
            None => format!("member {id} stood still for {still} ms"),
            Some(next) => format!("member {id} stood still for {still} ms, and {next} led"),
        })
    }

    async fn restart_one(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.any_member();
        self.cluster.members[chosen].signal(Signal::TERM);
        match self.ends(chosen).await {
            None => self.guilty("a member did not end in time after SIGTERM"),
            Some(status) if status.success() => {}
            Some(status) => self.guilty(&format!("a member ended after SIGTERM with {status}")),
        }
        self.hold(hold).await;
        self.cluster.members[chosen].restart();
        Ok(format!("member {chosen} ended and was started again"))
    }
}
