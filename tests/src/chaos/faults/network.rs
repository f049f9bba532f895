//! Faults of the network between members, which is the run's own.

use std::time::Duration;

use super::{super::run::Run, Failure, Kind, Need, Seen};

/// From one member to another.
type Way = (usize, usize);

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // From all other members, and not from clients and the cloud.
        Kind::new("cut_off_leader", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let leader = run.leader().await?;
                run.cut(run.all_ways_of(leader), hold).await
            })
        }),
        Kind::new("cut_off_follower", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let follower = run.follower().await?;
                run.cut(run.all_ways_of(follower), hold).await
            })
        }),
        // The leader and one follower do not reach each other; the others reach both.
        Kind::new("bridge", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let (leader, follower) = run.leader_and_follower().await?;
                let both = vec![(leader, follower), (follower, leader)];
                run.cut(both, hold).await
            })
        }),
        // What the leader sends to one follower is lost.
        Kind::new("one_way", &[Need::Network], |run, hold| {
            Box::pin(async move {
                let both = run.leader_and_follower().await?;
                run.cut(vec![both], hold).await
            })
        }),
    ]
}

impl Run {
    /// From a member to all others, and back.
    fn all_ways_of(&self, member: usize) -> Vec<Way> {
        let others = (0..self.cluster.members.len()).filter(|other| *other != member);
        others
            .flat_map(|other| [(member, other), (other, member)])
            .collect()
    }

    async fn cut(&self, ways: Vec<Way>, hold: Duration) -> Result<Seen, Failure> {
        let network = self.cluster.network().ok_or("there is no network to cut")?;
        for (from, to) in &ways {
            network.cut(*from, *to)?;
        }
        let uncut = ways.iter().find(|(from, to)| !network.is_cut(*from, *to));
        self.hold(self.settings.lease_is_over() + hold).await;
        for (from, to) in &ways {
            network.mend(*from, *to)?;
        }
        match uncut {
            Some(way) => Err(format!("{way:?} was not cut").into()),
            None => Ok(format!("{ways:?} were cut")),
        }
    }
}
