//! Faults of the network between members, which is the run's own.

use std::time::{Duration, Instant};

use super::{
    super::{recovery::How, run::Run, who::Known},
    Failure, Kind, Need, Seen,
};

/// From one member to another.
type Way = (usize, usize);

/// So long a flapping line is up, or down. Milliseconds.
const FLAP_MS: (u64, u64) = (50, 700);

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // From all other members, and not from clients and the cloud.
        Kind::new("cut_off_leader", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let leader = run.leader().await?;
                run.cut_off(leader, hold).await
            })
        }),
        Kind::new("cut_off_follower", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let follower = run.follower().await?;
                run.cut_off(follower, hold).await
            })
        }),
        Kind::new(
            "cut_off_learner",
            &[Need::Network, Need::Learner],
            |run, hold| Box::pin(async move { run.cut_off(run.learner(), hold).await }),
        ),
        // The leader and one follower do not reach each other; the others reach both.
        Kind::new("bridge", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let (leader, follower) = run.leader_and_follower().await?;
                let both = vec![(leader, follower), (follower, leader)];
                run.cut_for(&both, hold).await
            })
        }),
        // What the leader sends to one follower is lost.
        Kind::new("one_way", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let both = run.leader_and_follower().await?;
                run.cut_for(&[both], hold).await
            })
        }),
        // The leader and all others reach each other for moments only.
        Kind::new("flap", &[Need::Network], |run, hold| {
            Box::pin(run.flap(hold))
        }),
        // The members do not reach clients from the leader; it reaches all other members and the cloud.
        Kind::new("leader_without_clients", &[Need::Network], |run, hold| {
            Box::pin(run.leader_without_clients(hold))
        }),
        // Two voters on one side, the rest on the other.
        Kind::new(
            "leader_in_minority",
            &[Need::Network, Need::Voters(5)],
            |run, hold| Box::pin(run.split(true, hold)),
        ),
        Kind::new(
            "leader_in_majority",
            &[Need::Network, Need::Voters(5)],
            |run, hold| Box::pin(run.split(false, hold)),
        ),
    ]
}

/// All ways from one side to the other, and back.
fn between(one: &[usize], other: &[usize]) -> Vec<Way> {
    let pairs = one.iter().flat_map(|a| other.iter().map(|b| (*a, *b)));
    pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
}

impl Run {
    fn all_but(&self, member: usize) -> Vec<usize> {
        let all = 0..self.cluster.members.len();
        all.filter(|other| *other != member).collect()
    }

    async fn cut_off(&mut self, chosen: usize, hold: Duration) -> Result<Seen, Failure> {
        let known = self.known(chosen).await?;
        let ways = between(&[chosen], &self.all_but(chosen));
        let since = Instant::now();
        self.cut(&ways)?;
        self.lost(How::CutOff, known, since, &[]).await;
        self.hold(self.settings.lease_is_over() + hold).await;
        let seen = self.seen_from_outside(&known, &[]).await;
        self.mend(&ways)?;
        seen
    }

    /// That others elected another leader, if the one cut off led.
    async fn seen_from_outside(&self, known: &Known, with_it: &[usize]) -> Result<Seen, Failure> {
        let id = known.id;
        if !known.leads {
            return Ok(format!("member {id} was cut off"));
        }
        let next = self.another_leads(known, with_it).await?;
        Ok(format!("member {id} was cut off, and {next} led"))
    }

    async fn split(&mut self, leader_in_minority: bool, hold: Duration) -> Result<Seen, Failure> {
        let (leader, follower) = self.leader_and_follower().await?;
        let known = self.known(leader).await?;
        let rest: Vec<_> = (0..self.cluster.members.len())
            .filter(|n| ![leader, follower].contains(n))
            .collect();
        let (few, many) = if leader_in_minority {
            (vec![leader, follower], rest)
        } else {
            let voters = rest.iter().filter(|&&n| n < self.settings.members);
            let few: Vec<_> = voters.copied().take(2).collect();
            let many = (0..self.cluster.members.len()).filter(|n| !few.contains(n));
            (few.clone(), many.collect())
        };
        let ways = between(&few, &many);
        let since = Instant::now();
        self.cut(&ways)?;
        let seen = if leader_in_minority {
            self.lost(How::CutOff, known, since, &few).await;
            self.hold(self.settings.lease_is_over() + hold).await;
            self.seen_from_outside(&known, &few).await
        } else {
            self.hold(self.settings.lease_is_over() + hold).await;
            // The majority is served, whoever leads it by now.
            self.leader()
                .await
                .map(|_| "the majority is led".to_owned())
        };
        self.mend(&ways)?;
        Ok(format!("{few:?} apart from {many:?}; {}", seen?))
    }

    async fn flap(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let leader = self.leader().await?;
        let ways = between(&[leader], &self.all_but(leader));
        let (began, long) = (Instant::now(), self.settings.lease_is_over() + hold);
        let mut cuts = 0;
        while cuts == 0 || (began.elapsed() < long && !self.stop.is_told()) {
            self.cut(&ways)?;
            let down = self.chance.between(FLAP_MS.0, FLAP_MS.1);
            self.hold(Duration::from_millis(down)).await;
            self.mend(&ways)?;
            cuts += 1;
            let up = self.chance.between(FLAP_MS.0, FLAP_MS.1);
            self.hold(Duration::from_millis(up)).await;
        }
        Ok(format!(
            "cut {cuts} times in {} ms",
            began.elapsed().as_millis()
        ))
    }

    async fn leader_without_clients(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.leader().await?;
        let id = self.known(chosen).await?.id;
        let network = self.network()?;
        network.cut_from_clients(chosen)?;
        if self.client_of(chosen)?.cluster_status(true).await.is_ok() {
            return Err(format!("member {id} still answers clients").into());
        }
        self.hold(self.settings.lease_is_over() + hold).await;
        // Through the others, who reach it.
        let led_by = self.leader().await;
        self.network()?.mend_to_clients(chosen)?;
        let led_by = self.known(led_by?).await?.id;
        Ok(format!("member {id} answered no clients; {led_by} led"))
    }

    async fn cut_for(&mut self, ways: &[Way], hold: Duration) -> Result<Seen, Failure> {
        self.cut(ways)?;
        self.hold(self.settings.lease_is_over() + hold).await;
        self.mend(ways)?;
        Ok(format!("{ways:?} were cut"))
    }

    /// Cuts, and sees that it is so.
    fn cut(&self, ways: &[Way]) -> Result<(), Failure> {
        let network = self.network()?;
        for (from, to) in ways {
            network.cut(*from, *to)?;
        }
        match ways.iter().find(|(from, to)| !network.is_cut(*from, *to)) {
            Some(way) => Err(format!("{way:?} is not cut").into()),
            None => Ok(()),
        }
    }

    fn mend(&self, ways: &[Way]) -> Result<(), Failure> {
        let network = self.network()?;
        for (from, to) in ways {
            network.mend(*from, *to)?;
        }
        Ok(())
    }

    fn network(&self) -> Result<&crate::Network, Failure> {
        let network = self.cluster.network();
        Ok(network.ok_or("there is no network to cut")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_apart_does_not_reach_each_other_in_either_direction() {
        assert_eq!(between(&[1], &[0, 2]), [(1, 0), (0, 1), (1, 2), (2, 1)]);
    }
}
