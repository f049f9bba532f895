//! Faults of membership: members that are lost and replaced.

use std::time::{Duration, Instant};

use anneal_client::{Error, v1};
use tokio::time::sleep;

use super::{
    super::run::{LOOK_EVERY, Run},
    Failure, Kind, Seen,
};

/// A dead member can be removed within this: an election may come first.
const REMOVED_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // A member is killed, its directory is lost, and it is removed and joins as a new one.
        Kind::new("lose_directory", &[], |run, hold| {
            Box::pin(run.lose_directory(hold))
        }),
    ]
}

impl Run {
    async fn lose_directory(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.any_member();
        let member = self.member_id(chosen).await?;
        self.kill_now(chosen)?;
        self.hold(hold).await;
        self.remove(member).await?;
        self.cluster.start_anew(chosen);
        Ok(format!("member {member} was killed and removed"))
    }

    /// Removes a member from the cluster.
    pub(super) async fn remove(&mut self, member: u64) -> Result<(), Failure> {
        let request = v1::MemberVerbRequest {
            member,
            ..Default::default()
        };
        let began = Instant::now();
        loop {
            match self.client.remove_member(request.clone()).await {
                // An earlier try may have done it, and its answer was lost.
                Ok(_) | Err(Error::NotFound(_)) => return Ok(()),
                Err(error) if began.elapsed() > REMOVED_WITHIN => {
                    let why = format!("member {member} can't be removed: {error}");
                    return Err(Failure::Product(why));
                }
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }
}
