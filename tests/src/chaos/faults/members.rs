//! Faults of membership: members that are lost and replaced, and changes of it under load.

use std::time::{Duration, Instant};

use anneal_client::{Client, Error, v1};
use tokio::time::{sleep, timeout};

use super::{
    super::run::{LOOK_EVERY, Run},
    Failure, Kind, Need, Seen,
};

/// A change of the membership is made within this: an election may come first.
const CHANGED_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // A member is killed, its directory is lost, and it is removed and joins as a new one.
        Kind::new("lose_directory", &[], |run, hold| {
            Box::pin(async move {
                let member = run.any_member();
                run.replace(member, hold).await
            })
        }),
        // The same, of the leader.
        Kind::new("replace_leader", &[], |run, hold| {
            Box::pin(async move {
                let leader = run.leader().await?;
                run.replace(leader, hold).await
            })
        }),
        // The leader is removed while it runs, goes on for a while, and a new member joins instead.
        Kind::new("remove_leader", &[], |run, hold| {
            Box::pin(run.remove_leader(hold))
        }),
        // Any other voter is asked to lead.
        Kind::new("transfer_leader", &[], |run, hold| {
            Box::pin(run.transfer_leader(hold))
        }),
        // Voters become learners, and voters again.
        Kind::new("demote_leader", &[], |run, hold| {
            Box::pin(async move {
                let leader = run.leader().await?;
                run.demote_for(leader, hold).await
            })
        }),
        Kind::new("demote_follower", &[], |run, hold| {
            Box::pin(async move {
                let follower = run.follower().await?;
                run.demote_for(follower, hold).await
            })
        }),
        // A learner becomes a voter, and a learner again.
        Kind::new("promote_learner", &[Need::Learner], |run, hold| {
            Box::pin(run.promote_for(hold))
        }),
        // One more member joins, votes, and is removed again.
        Kind::new("one_more", &[], |run, hold| Box::pin(run.one_more(hold))),
    ]
}

impl Run {
    async fn replace(&mut self, chosen: usize, hold: Duration) -> Result<Seen, Failure> {
        let member = self.known(chosen).await?.id;
        self.kill_now(chosen)?;
        self.hold(hold).await;
        self.remove(member).await?;
        self.cluster.start_anew(chosen);
        Ok(format!("member {member} was killed and removed"))
    }

    async fn remove_leader(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.leader().await?;
        let known = self.known(chosen).await?;
        self.remove(known.id).await?;
        let next = self.another_leads(&known, &[]).await?;
        self.hold(hold).await;
        self.kill_now(chosen)?;
        self.cluster.start_anew(chosen);
        Ok(format!("member {} was removed, and {next} led", known.id))
    }

    async fn transfer_leader(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let (from, to) = self.leader_and_follower().await?;
        let (from, to) = (self.known(from).await?, self.known(to).await?);
        self.changed(to.id, |client, member| async move {
            client.transfer_leader(member).await.map(drop)
        })
        .await?;
        let next = self.another_leads(&from, &[]).await?;
        self.hold(hold).await;
        Ok(format!(
            "from member {} to {next}, asked for {}",
            from.id, to.id
        ))
    }

    async fn demote_for(&mut self, chosen: usize, hold: Duration) -> Result<Seen, Failure> {
        let member = self.known(chosen).await?.id;
        self.demote(member).await?;
        self.becomes(member, "learner").await?;
        self.hold(hold).await;
        self.promote(member).await?;
        Ok(format!("member {member} was a learner and votes again"))
    }

    async fn promote_for(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let member = self.known(self.learner()).await?.id;
        self.promote(member).await?;
        self.becomes(member, "voter").await?;
        self.hold(hold).await;
        self.demote(member).await?;
        Ok(format!("member {member} voted and is a learner again"))
    }

    async fn one_more(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let flags = self.settings.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let last = self.cluster.members.len();
        self.cluster.add(&flags);
        let changed = async {
            let member = self.known(last).await?.id;
            self.becomes(member, "voter").await?;
            self.hold(hold).await;
            self.remove(member).await?;
            Ok(format!("member {member} joined, voted, and was removed"))
        };
        let changed = changed.await;
        self.cluster.discard(last);
        changed
    }

    async fn promote(&self, member: u64) -> Result<(), Failure> {
        self.changed(member, |client, member| async move {
            client.promote(member).await.map(drop)
        })
        .await
    }

    async fn demote(&self, member: u64) -> Result<(), Failure> {
        self.changed(member, |client, member| async move {
            client.demote(member).await.map(drop)
        })
        .await
    }

    /// Removes a member from the cluster. That it is no member any more may be an earlier try's doing, whose answer was
    /// lost.
    pub(super) async fn remove(&self, member: u64) -> Result<(), Failure> {
        self.changed(member, |client, member| async move {
            match client.remove_member(member).await {
                Ok(_) | Err(Error::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Asks for a change of the membership until it is made.
    async fn changed<Asked>(
        &self,
        member: u64,
        ask: impl Fn(Client, v1::MemberVerbRequest) -> Asked,
    ) -> Result<(), Failure>
    where
        Asked: Future<Output = Result<(), Error>>,
    {
        let began = Instant::now();
        let mut said = String::new();
        while let Some(left) = CHANGED_WITHIN.checked_sub(began.elapsed()) {
            let request = v1::MemberVerbRequest {
                member,
                ..Default::default()
            };
            match timeout(left, ask(self.client.clone(), request)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => said = error.to_string(),
                Err(_) => said = "no answer".to_owned(),
            }
            sleep(LOOK_EVERY).await;
        }
        Err(Failure::Product(format!(
            "the membership of {member} can't be changed within {CHANGED_WITHIN:?}: {said}"
        )))
    }

    /// Waits until a member has that role.
    async fn becomes(&self, member: u64, role: &str) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let listed = self.client.members(false).await;
            let now = listed.map(|reply| {
                let found = reply.members.into_iter().find(|m| m.id == member);
                found.map(|m| m.role).unwrap_or_default()
            });
            match now {
                Ok(now) if now == role || (now == "leader" && role == "voter") => return Ok(()),
                now if began.elapsed() > CHANGED_WITHIN => {
                    return Err(Failure::Product(format!(
                        "member {member} is {now:?} and no {role} after {CHANGED_WITHIN:?}"
                    )));
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }
}
