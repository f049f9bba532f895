//! Faults of clocks that people read. No lease and no back-off runs on them.

use std::time::Duration;

use anneal_client::{Read, RequestId, StackName, Submission};

use super::{super::run::Run, Failure, Kind, Need, Seen};
use crate::cloud::now_us;

/// A stack that needs no engine.
const EMPTY: &str = "heat_template_version: 2021-04-16\nresources: {}\n";

/// How far the wall clock is off: less than requests are remembered for. Milliseconds.
const OFF_MS: (u64, u64) = (60 * 60 * 1000, 12 * 60 * 60 * 1000);

/// A clock that is off by no more than this may just be slow to be read. Milliseconds.
const NEAR_MS: u64 = 60 * 1000;

/// So often leadership is moved anew, if another one led after all.
const ATTEMPTS: usize = 3;

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        // A member leads whose wall clock is hours ahead or behind: for the log it jumps there, and back when another leads.
        Kind::new("wall_clock", &[Need::Failpoints], |run, hold| {
            Box::pin(run.wall_clock(hold))
        }),
    ]
}

impl Run {
    async fn wall_clock(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.follower().await?;
        let off_ms = self.chance.between(OFF_MS.0, OFF_MS.1).cast_signed();
        let off_ms = match self.chance.per_mille(500) {
            true => off_ms,
            false => -off_ms,
        };
        self.end_for_a_start(chosen).await?;
        let armed = format!("wall_clock=return({off_ms})");
        self.cluster.members[chosen].restart_armed(&armed);
        let stamped_ms = self.stamped_by(chosen, off_ms).await?;
        self.hold(hold).await;
        self.end_for_a_start(chosen).await?;
        self.cluster.members[chosen].restart();
        Ok(format!(
            "member {chosen} led with a wall clock that was {off_ms} ms off; a stack was made at {stamped_ms}"
        ))
    }

    /// Makes a member lead until something is stamped by its clock; with what. Milliseconds since 1970.
    async fn stamped_by(&self, chosen: usize, off_ms: i64) -> Result<u64, Failure> {
        for _ in 0..ATTEMPTS {
            self.lead(chosen).await?;
            let stamped_ms = self.stamp().await?;
            let found_ms = stamped_ms.cast_signed() - (now_us() / 1000).cast_signed();
            if found_ms.abs_diff(off_ms) <= NEAR_MS {
                return Ok(stamped_ms);
            }
        }
        Err(format!("nothing was stamped by a clock that is {off_ms} ms off").into())
    }

    /// When a stack was made that is made now, as the leader stamps it. Milliseconds since 1970.
    async fn stamp(&self) -> Result<u64, Failure> {
        let name = StackName::new(format!("clock-{}", now_us()));
        let told = |error: anneal_client::Error| Failure::Harness(error.to_string());
        let submission = Submission::up(name.clone(), "clock.yaml", EMPTY);
        self.client.submit(&submission).await.map_err(told)?;
        let stack = self.client.show_stack(&name, Read::default()).await;
        let made_ms = stack.map_err(told)?.created_ms;
        let request = RequestId::fresh();
        let gone = self.client.delete_stack(&request, &name, None).await;
        gone.map_err(told)?;
        Ok(made_ms)
    }
}
