//! Faults of moments: a member dies between two steps, where a kill from outside hardly ever meets it. Its binary is
//! built with failpoints for it.

use std::{
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use anneal_client::v1;
use rustix::process::Signal;
use tokio::time::sleep;

use super::{
    super::run::{KEEP_ENTRIES, LOOK_EVERY, Run},
    Failure, Kind, Need, Seen,
};

/// How a member is brought to pass a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By the load on it, whoever leads.
    Load,
    /// By the load on it while it leads.
    Lead,
    /// By being elected.
    Elect,
    /// By leading while another member starts.
    Register,
    /// By having been away for so long that the log it lacks is gone.
    Receive,
}

/// A point, how a member is brought there, and how often it passes before it dies.
#[derive(Clone, Copy, Debug)]
struct Point {
    name: &'static str,
    way: Way,
    passes: (u64, u64),
}

const fn point(name: &'static str, way: Way, most_passes: u64) -> Point {
    Point {
        name,
        way,
        passes: (0, most_passes + 1),
    }
}

const POINTS: [Point; 27] = [
    point("log_before_write", Way::Load, 150),
    point("log_before_flush", Way::Load, 150),
    point("log_before_watermark", Way::Load, 150),
    point("log_before_answer", Way::Load, 150),
    point("vote_before_save", Way::Elect, 0),
    point("vote_saved", Way::Elect, 0),
    point("purge_before_write", Way::Load, 1),
    point("purged", Way::Load, 1),
    point("apply_begins", Way::Load, 150),
    point("apply_mid_group", Way::Load, 10),
    point("group_applied", Way::Load, 150),
    point("rows_written", Way::Load, 150),
    point("checkpoint_unflushed", Way::Load, 1),
    point("checkpoint_unnamed", Way::Load, 1),
    point("checkpoint_named", Way::Load, 1),
    point("checkpoint_half_removed", Way::Load, 1),
    point("checkpoint_half_received", Way::Receive, 2),
    point("checkpoint_received", Way::Receive, 0),
    point("install_unnamed", Way::Receive, 0),
    point("install_named", Way::Receive, 0),
    point("installed", Way::Receive, 0),
    point("assign_proposed", Way::Lead, 10),
    point("report_received", Way::Lead, 10),
    point("report_decided", Way::Lead, 10),
    point("registered", Way::Register, 0),
    point("call_begins", Way::Load, 10),
    point("call_ended", Way::Load, 10),
];

/// A member that is brought to a point dies there within this.
const DIES_WITHIN: Duration = Duration::from_secs(90);

/// Leadership goes to where it is wanted within this.
const LEADS_WITHIN: Duration = Duration::from_secs(30);

/// Between two times that leadership is asked to move: it may be on its way.
const ASKS_EVERY: Duration = Duration::from_secs(2);

/// A member that shall receive a checkpoint is left behind within this: that much log is to be written.
const LEFT_BEHIND_WITHIN: Duration = Duration::from_secs(90);

/// The leader looks every second whether log can go.
const PURGES_WITHIN: Duration = Duration::from_millis(1_500);

/// So often a member is left behind anew that found the log it lacked after all.
const ATTEMPTS: usize = 3;

/// Between two times that a member is started to make it register.
const REGISTERS_EVERY: Duration = Duration::from_secs(8);

pub(super) fn kinds() -> Vec<Kind> {
    let kind = |point: Point| {
        Kind::new(
            format!("die_at_{}", point.name),
            &[Need::Failpoints],
            move |run, hold| Box::pin(run.die_at(point, hold)),
        )
    };
    POINTS.map(kind).to_vec()
}

/// Compares the points that are planned here with those that a binary has.
pub(in crate::chaos) fn compare(there: &[String]) -> Result<(), String> {
    let planned = |name: &String| POINTS.iter().any(|point| point.name == name);
    if let Some(name) = there.iter().find(|name| !planned(name)) {
        return Err(format!("no fault is planned at the failpoint {name}"));
    }
    let there = |point: &&Point| !there.iter().any(|name| name == point.name);
    match POINTS.iter().find(there) {
        Some(point) => Err(format!("the binary has no failpoint {}", point.name)),
        None => Ok(()),
    }
}

impl Run {
    async fn die_at(&mut self, point: Point, hold: Duration) -> Result<Seen, Failure> {
        let passes = self.chance.between(point.passes.0, point.passes.1);
        let armed = match passes {
            0 => format!("{}=return(die)", point.name),
            passes => format!("{}={passes}*off->return(die)", point.name),
        };
        let chosen = self.follower().await?;
        match point.way {
            Way::Receive => self.receive_and_die(chosen, &armed).await?,
            way => {
                self.end_for_a_start(chosen).await?;
                self.cluster.members[chosen].restart_armed(&armed);
                self.lead_and_die(chosen, way).await?;
            }
        }
        self.hold(hold).await;
        self.cluster.members[chosen].restart();
        Ok(format!("member {chosen} died there after {passes} passes"))
    }

    /// A member ends, in order or at once, to be started again.
    pub(super) async fn end_for_a_start(&mut self, chosen: usize) -> Result<(), Failure> {
        if self.chance.per_mille(500) {
            return self.kill_now(chosen);
        }
        self.cluster.members[chosen].signal(Signal::TERM);
        match self.ends(chosen).await {
            Some(status) if status.success() => Ok(()),
            ended => {
                let why = format!("after SIGTERM member {chosen} ended with {ended:?}");
                Err(Failure::Product(why))
            }
        }
    }

    /// Waits until an armed member dies, while the load runs and it is brought to where it has to be.
    async fn lead_and_die(&mut self, chosen: usize, way: Way) -> Result<(), Failure> {
        let began = Instant::now();
        let (mut registered, mut asked): (Option<Instant>, _) = (None, None);
        loop {
            if self.died(chosen)? {
                return Ok(());
            }
            if began.elapsed() > DIES_WITHIN {
                return Err(format!("it did not die within {DIES_WITHIN:?}").into());
            }
            let leads = way != Way::Load && self.leads_or_is_asked_to(chosen, &mut asked).await;
            let due = registered.is_none_or(|at| at.elapsed() > REGISTERS_EVERY);
            if leads && way == Way::Register && due {
                let mut others = (0..self.cluster.members.len()).filter(|n| *n != chosen);
                let other = others.next_back().ok_or("nobody else registers")?;
                self.kill_now(other)?;
                self.cluster.members[other].restart();
                registered = Some(Instant::now());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether an armed member has died, by its point.
    pub(super) fn died(&mut self, chosen: usize) -> Result<bool, Failure> {
        match self.cluster.members[chosen].ended_with() {
            None => Ok(false),
            Some(status) if status.signal() == Some(Signal::KILL.as_raw()) => Ok(true),
            Some(status) => {
                let why = format!("member {chosen} ended by itself: {status}");
                Err(Failure::Product(why))
            }
        }
    }

    /// Whether a member leads; leadership is asked to go there if it does not, and was not asked lately.
    async fn leads_or_is_asked_to(&self, chosen: usize, asked: &mut Option<Instant>) -> bool {
        let Ok(reply) = self.client.members(false).await else {
            return false;
        };
        let address = self.cluster.members[chosen].address();
        let Some(member) = reply.members.iter().find(|m| m.address == address) else {
            return false;
        };
        if member.id == reply.leader {
            return true;
        }
        if asked.is_some_and(|at| at.elapsed() < ASKS_EVERY) {
            return false;
        }
        *asked = Some(Instant::now());
        let request = v1::MemberVerbRequest {
            member: member.id,
            ..Default::default()
        };
        // One that has just started is asked again when it has caught up.
        let _ = self.client.transfer_leader(request).await;
        false
    }

    /// Waits until a member leads.
    pub(super) async fn lead(&self, chosen: usize) -> Result<(), Failure> {
        let began = Instant::now();
        let mut asked = None;
        while !self.leads_or_is_asked_to(chosen, &mut asked).await {
            if began.elapsed() > LEADS_WITHIN {
                return Err(format!("leadership did not move to member {chosen}").into());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Kills a member, starts it armed once the log that it lacks is gone, and waits until it dies over a checkpoint.
    async fn receive_and_die(&mut self, chosen: usize, armed: &str) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            let gone = self.leave_behind(chosen).await?;
            self.cluster.members[chosen].restart_armed(armed);
            let began = Instant::now();
            while began.elapsed() < DIES_WITHIN {
                if self.died(chosen)? {
                    return Ok(());
                }
                if let Ok(client) = self.client_of(chosen)
                    && let Ok(status) = client.cluster_status(true).await
                    && status.last_log_index >= gone
                {
                    // The log that it lacked was still there.
                    break;
                }
                sleep(LOOK_EVERY).await;
            }
        }
        Err("it was sent no checkpoint".into())
    }

    /// Kills a member until the others have no log any more up to the index that is returned, and it does not reach that.
    async fn leave_behind(&mut self, chosen: usize) -> Result<u64, Failure> {
        let status = self.client_of(chosen)?.cluster_status(true).await;
        let end = status.map_err(|error| error.to_string())?.last_log_index;
        self.kill_now(chosen)?;
        let began = Instant::now();
        let gone = loop {
            let leader = self.leader().await?;
            let status = self.client_of(leader)?.cluster_status(true).await;
            let checkpoint = status.map_or(0, |status| status.snapshot_index);
            if checkpoint > end + KEEP_ENTRIES {
                break checkpoint - KEEP_ENTRIES;
            }
            if began.elapsed() > LEFT_BEHIND_WITHIN {
                return Err("there is too little load to leave a member behind".into());
            }
            sleep(LOOK_EVERY).await;
        };
        self.hold(PURGES_WITHIN).await;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_with_other_points_is_refused() {
        let mut there: Vec<_> = POINTS.iter().map(|one| one.name.to_owned()).collect();
        assert_eq!(compare(&there), Ok(()));
        there.push("new".to_owned());
        assert!(compare(&there).is_err());
        there.truncate(POINTS.len() - 1);
        assert!(compare(&there).is_err());
    }
}
