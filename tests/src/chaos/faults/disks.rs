//! Faults of disks: slow, hanging, full, torn by a power cut, and damaged.

use std::time::{Duration, Instant};

use anneal_client::{Client, RequestId, StackName, Submission};
use tokio::time::{sleep, timeout};

use super::{
    super::run::{LOOK_EVERY, Run},
    Failure, Kind, Need, Seen,
};
use crate::{Damage, SmallDisk, Wal};

/// Where disks are slow or hang.
const FLUSH: &str = "log_before_flush";

/// How long a flush takes on a slow disk. Milliseconds.
const SLOW_MS: (u64, u64) = (50, 501);

/// How long the disk is slow in all. Milliseconds.
const SLOW_FOR_MS: u64 = 10_000;

/// Flushes of a member before its disk is slow: it is to be elected in between if it shall lead.
const FLUSHES_BEFORE: (u64, u64) = (120, 200);

/// So often it is tried to have the disk slow while the member leads.
const ATTEMPTS: usize = 3;

/// A disk that is told to be slow or to hang does so within this, and a full one is noticed: the load writes all the time.
const HAPPENS_WITHIN: Duration = Duration::from_secs(60);

/// A member that can't go on, or can't start, ends within this once it has said so.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// While the disk of one member hangs, the others take a change within this.
const GOES_ON_WITHIN: Duration = Duration::from_secs(30);

/// A change is asked for so long at one member, before it is asked for at another.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// The template of a stack without resources.
const EMPTY: &str = "heat_template_version: 2021-04-16\nresources: {}\n";

/// Room on a small disk beside what is there: enough to start.
const SPARE_BYTES: u64 = 32 << 20;

/// What a member says that cannot go on.
const CANNOT_GO_ON: &str = "this member cannot go on";

pub(super) fn kinds() -> Vec<Kind> {
    const POINTS: &[Need] = &[Need::Failpoints, Need::Disks];
    const DISKS: &[Need] = &[Need::Disks];
    vec![
        Kind::new("slow_disk_leader", POINTS, |run, _| {
            Box::pin(run.slow_disk(true))
        }),
        Kind::new("slow_disk_follower", POINTS, |run, _| {
            Box::pin(run.slow_disk(false))
        }),
        // A flush takes longer than the lease and any election.
        Kind::new("hanging_disk_leader", POINTS, |run, hold| {
            Box::pin(run.hanging_disk(true, hold))
        }),
        Kind::new("hanging_disk_follower", POINTS, |run, hold| {
            Box::pin(run.hanging_disk(false, hold))
        }),
        // The power goes in the middle of a write.
        Kind::new("torn_log", POINTS, |run, hold| Box::pin(run.torn_log(hold))),
        // What was flushed is not what it was, or no more.
        Kind::new("damaged_log", DISKS, |run, hold| {
            Box::pin(run.damaged_log(hold))
        }),
        Kind::new("full_disk", DISKS, |run, hold| {
            Box::pin(run.full_disk(hold))
        }),
    ]
}

impl Run {
    async fn slow_disk(&mut self, leads: bool) -> Result<Seen, Failure> {
        let ms = self.chance.between(SLOW_MS.0, SLOW_MS.1);
        let times = SLOW_FOR_MS / ms;
        let chosen = self.arm_to_wait(leads, times, ms).await?;
        let said = self.sleeps_told(chosen);
        let began = Instant::now();
        while self.sleeps_told(chosen) < said + times as usize - 1 {
            if began.elapsed() > HAPPENS_WITHIN {
                return Err("the disk was hardly used".into());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(format!(
            "{times} flushes of member {chosen} took {ms} ms each; it led then: {leads}"
        ))
    }

    /// How often a member has said that it was made to wait.
    fn sleeps_told(&self, chosen: usize) -> usize {
        let told = format!("failpoint {FLUSH}: sleeps");
        self.cluster.members[chosen].log().matches(&told).count()
    }

    /// Starts a member that, after a while, waits so many times for so long before it flushes, and leads then or does not.
    /// Returns when it waits for the first time.
    async fn arm_to_wait(&mut self, leads: bool, times: u64, ms: u64) -> Result<usize, Failure> {
        for _ in 0..ATTEMPTS {
            let chosen = self.follower().await?;
            self.end_for_a_start(chosen).await?;
            let said = self.sleeps_told(chosen);
            let (low, high) = FLUSHES_BEFORE;
            let flushes = self.chance.between(low, high);
            let armed = format!("{FLUSH}={flushes}*off->{times}*return(sleep {ms})");
            self.cluster.members[chosen].restart_armed(&armed);
            if leads {
                self.lead(chosen).await?;
            }
            let began = Instant::now();
            while self.sleeps_told(chosen) == said {
                if began.elapsed() > HAPPENS_WITHIN {
                    return Err("the disk was hardly used".into());
                }
                sleep(LOOK_EVERY / 5).await;
            }
            if self.is_seen_to_lead(chosen).await == leads {
                return Ok(chosen);
            }
            self.whole().await;
        }
        Err(format!("its disk was never slow when it led: {leads}").into())
    }

    /// The disk of a member hangs once, and the cluster goes on.
    async fn hanging_disk(&mut self, leads: bool, hold: Duration) -> Result<Seen, Failure> {
        let long = self.settings.lease_is_over() + hold;
        let ms = u64::try_from(long.as_millis()).unwrap_or(u64::MAX);
        let chosen = self.arm_to_wait(leads, 1, ms).await?;
        let hangs = Instant::now();
        let taken_ms = self.takes_a_change_from(chosen, hangs).await?;
        let left = long.saturating_sub(hangs.elapsed());
        self.hold(left).await;
        Ok(format!(
            "the disk of member {chosen} hung for {ms} ms; it led: {leads}; a change was taken after {taken_ms} ms"
        ))
    }

    /// Clients of every other member.
    fn clients_beside(&self, chosen: usize) -> Vec<Client> {
        let others = (0..self.cluster.members.len()).filter(|n| *n != chosen);
        others.filter_map(|n| self.client_of(n).ok()).collect()
    }

    /// Whether another member says that this one leads.
    async fn is_seen_to_lead(&self, chosen: usize) -> bool {
        let address = self.cluster.members[chosen].address();
        for client in self.clients_beside(chosen) {
            if let Ok(reply) = client.members(true).await {
                let leads = |m: &&anneal_client::v1::Member| m.id == reply.leader;
                return reply
                    .members
                    .iter()
                    .find(leads)
                    .is_some_and(|m| m.address == address);
            }
        }
        false
    }

    /// Milliseconds until a change was acknowledged that was asked for at the other members.
    async fn takes_a_change_from(
        &mut self,
        chosen: usize,
        began: Instant,
    ) -> Result<u128, Failure> {
        let name = StackName::new("probe");
        // Asked for again, it is the same.
        let submission = Submission::up(name.clone(), "probe.yaml", EMPTY);
        loop {
            for client in self.clients_beside(chosen) {
                if let Ok(Ok(_)) = timeout(ASKED_FOR, client.submit(&submission)).await {
                    let taken_ms = began.elapsed().as_millis();
                    let gone = client.delete_stack(&RequestId::fresh(), &name, None).await;
                    gone.map_err(|error| Failure::Harness(error.to_string()))?;
                    return Ok(taken_ms);
                }
            }
            if began.elapsed() > GOES_ON_WITHIN {
                let why = format!("no change was taken for {GOES_ON_WITHIN:?} because of one disk");
                return Err(Failure::Product(why));
            }
        }
    }

    async fn torn_log(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.any_member();
        let (low, high) = FLUSHES_BEFORE;
        let flushes = self.chance.between(low / 10, high);
        self.end_for_a_start(chosen).await?;
        let armed = format!("{FLUSH}={flushes}*off->return(die)");
        self.cluster.members[chosen].restart_armed(&armed);
        let began = Instant::now();
        while !self.died(chosen)? {
            if began.elapsed() > HAPPENS_WITHIN {
                return Err("it did not die".into());
            }
            sleep(LOOK_EVERY).await;
        }
        self.hold(hold).await;
        let wal = Wal::newest_of(self.cluster.members[chosen].data_dir());
        let wal = wal.map_err(|error| error.to_string())?;
        let (how, torn) = match self.chance.per_mille(500) {
            true => ("half of the last write was taken away", wal.tear_last()),
            false => ("half of a write was added", wal.begin_record()),
        };
        torn.map_err(|error| error.to_string())?;
        self.cluster.members[chosen].restart();
        Ok(format!("member {chosen}: {how}"))
    }

    async fn damaged_log(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.any_member();
        let id = self.known(chosen).await?.id;
        self.kill_now(chosen)?;
        self.hold(hold).await;
        let all = [Damage::Flipped, Damage::Endless, Damage::CutOff];
        let damage = *self.chance.one(&all).ok_or("no damage")?;
        Wal::newest_of(self.cluster.members[chosen].data_dir())
            .and_then(|mut wal| wal.damage(damage))
            .map_err(|error| error.to_string())?;
        let member = &mut self.cluster.members[chosen];
        let logged = member.log().len();
        member.restart();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.cluster.members[chosen].ended_with() {
                break status;
            }
            if began.elapsed() > HAPPENS_WITHIN {
                let why = format!("member {chosen} runs on a log with damage: {damage:?}");
                return Err(Failure::Product(why));
            }
            sleep(LOOK_EVERY).await;
        };
        let said = self.cluster.members[chosen].log().split_off(logged);
        if status.code() != Some(1) || !said.contains("remove this one from the cluster") {
            let why = format!("{damage:?}: ended with {status}, saying {said}");
            return Err(Failure::Product(why));
        }
        self.remove(id).await?;
        self.cluster.start_anew(chosen);
        Ok(format!(
            "member {chosen} refused a log with damage: {damage:?}"
        ))
    }

    fn disk(&self) -> Result<&SmallDisk, Failure> {
        Ok(self.cluster.disk.as_ref().ok_or("there is no small disk")?)
    }

    async fn full_disk(&mut self, hold: Duration) -> Result<Seen, Failure> {
        let chosen = self.any_member();
        self.end_for_a_start(chosen).await?;
        let data_dir = self.cluster.members[chosen].data_dir().to_owned();
        if self.cluster.disk.is_some() {
            return Err("a member is still on a small disk".into());
        }
        self.cluster.disk = Some(SmallDisk::below(&data_dir, SPARE_BYTES)?);
        self.cluster.members[chosen].restart();
        self.whole().await;
        let logged = self.cluster.members[chosen].log().len();
        self.disk()?.fill()?;
        let filled = Instant::now();
        let (mut said, mut status) = (None, None);
        while status.is_none() {
            let member = &mut self.cluster.members[chosen];
            status = member.ended_with();
            let log = member.log().split_off(logged);
            if said.is_none() && log.contains(CANNOT_GO_ON) {
                said = Some(Instant::now());
            }
            if said.map_or(filled.elapsed() > HAPPENS_WITHIN, |at| {
                at.elapsed() > ENDS_WITHIN
            }) {
                let why = format!("member {chosen} runs on a full disk; it says {log}");
                return Err(Failure::Product(why));
            }
            // What the member gives back of its own is no room for it either.
            self.disk()?.fill()?;
            sleep(LOOK_EVERY / 10).await;
        }
        let (ended, log) = (
            Instant::now(),
            self.cluster.members[chosen].log().split_off(logged),
        );
        let code = status.and_then(|status| status.code());
        if code != Some(1) || !log.contains("No space left on device") {
            let why = format!("on a full disk: ended with {status:?}, saying {log}");
            return Err(Failure::Product(why));
        }
        self.hold(hold).await;
        self.disk()?.free()?;
        self.cluster.members[chosen].restart();
        self.whole().await;
        self.end_for_a_start(chosen).await?;
        if let Some(disk) = self.cluster.disk.take() {
            disk.bring_back()?;
        }
        self.cluster.members[chosen].restart();
        let since = |from: Instant| ended.saturating_duration_since(from).as_millis();
        Ok(format!(
            "member {chosen} ended {} ms after its disk was full, {} ms after it said so",
            since(filled),
            since(said.unwrap_or(ended))
        ))
    }
}
