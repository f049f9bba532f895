//! One run: a cluster and a cloud, the load on it, the faults, the end of both, and the verdict.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_client::Client;
use rustix::process::Signal;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    evidence::Evidence,
    failure::Failure,
    faults::{Injected, Kind, Need, all, compare, plan},
    load::{Load, Stories},
    recovery::{How, Loss, most_advanced, watch},
    report::Report,
    ruling::Ruling,
    stop::Stop,
    who::Known,
    witnesses::Witnesses,
};
use crate::{
    Chance, Cluster, Network,
    cloud::{Behaviour, CloudProcess, now_us},
    cluster::ALL_VOTE,
    failpoints,
};

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything is drawn from it.
    pub seed: u64,
    /// How long faults are injected.
    pub duration: Duration,
    /// Members that vote.
    pub members: usize,
    /// Members that only learn.
    pub learners: usize,
    /// Stacks, each with a client.
    pub stacks: usize,
    /// Engine lease in milliseconds; the times of members hang on it.
    pub lease_ms: u64,
    /// Whether members are on a network of their own and are cut off from each other. Needs root.
    pub partitions: bool,
    /// Whether members die at failpoints; their binary has to be built with them.
    pub failpoints: bool,
    /// Whether disks are slow, hang, are full, torn and damaged. Needs root, and failpoints.
    pub disks: bool,
    /// Only faults of these words; none: of all that are possible.
    pub only: Vec<String>,
    /// Whether the cloud breaks its word about keys and tokens: then a run must be found guilty.
    pub careless: bool,
    /// The simulated cloud's binary.
    pub cloud: PathBuf,
    /// Where journal, history and the members' logs are kept; none: nowhere.
    pub keep: Option<PathBuf>,
    /// Whether to say on standard error what is being done.
    pub loud: bool,
}

impl Settings {
    /// Of every member.
    pub(super) fn flags(&self) -> Vec<String> {
        let ms = |part: u64| format!("{}ms", self.lease_ms / part);
        [
            ("--engine-heartbeat", ms(6)),
            ("--engine-lease", ms(1)),
            ("--engine-margin", format!("{}ms", self.margin_ms())),
            ("--raft-heartbeat", ms(10)),
            ("--raft-election-min", ms(2)),
            ("--log-checkpoint-entries", CHECKPOINT_ENTRIES.to_string()),
            ("--log-keep-entries", KEEP_ENTRIES.to_string()),
            (
                "--raft-election-max",
                format!("{}ms", self.election_max_ms()),
            ),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }

    /// The kinds of faults of such a run.
    ///
    /// # Errors
    /// When one is asked for that there is not, or that such a run can't have.
    pub fn kinds(&self) -> Result<Vec<Kind>, String> {
        let kinds = all();
        let possible: Vec<_> = kinds
            .iter()
            .filter(|kind| kind.needs().iter().all(|need| self.has(*need)))
            .cloned()
            .collect();
        for word in &self.only {
            match kinds.iter().find(|kind| kind.word() == word) {
                None => return Err(format!("there is no fault {word}")),
                Some(kind) if !possible.contains(kind) => {
                    return Err(format!("{word} needs {:?}", kind.needs()));
                }
                Some(_) => {}
            }
        }
        let asked = |kind: &Kind| self.only.iter().any(|word| kind.word() == word);
        Ok(possible
            .into_iter()
            .filter(|kind| self.only.is_empty() || asked(kind))
            .collect())
    }

    fn has(&self, need: Need) -> bool {
        match need {
            Need::Network => self.partitions,
            Need::Voters(least) => self.members >= least,
            Need::Learner => self.learners > 0,
            Need::Failpoints => self.failpoints,
            Need::Disks => self.disks,
        }
    }

    fn margin_ms(&self) -> u64 {
        self.lease_ms / 4
    }

    fn election_max_ms(&self) -> u64 {
        self.lease_ms
    }

    /// After the loss of a leader the next assignment is to be committed within this.
    pub(super) fn leader_bound_ms(&self) -> u64 {
        self.election_max_ms() + SLACK_MS
    }

    /// After the loss of an engine, which `led` or not, its actions are to be observed and running elsewhere within this.
    pub(super) fn engine_bound_ms(&self, led: bool) -> u64 {
        let election_ms = if led { self.election_max_ms() } else { 0 };
        self.lease_ms + self.margin_ms() + SLACK_MS + election_ms
    }

    /// After so long without a word from it the lease of an engine is over, and its work is another's.
    pub(super) fn lease_is_over(&self) -> Duration {
        Duration::from_millis(self.lease_ms * 2)
    }
}

/// A checkpoint is made, and the log purged, every few seconds.
const CHECKPOINT_ENTRIES: u64 = 300;
pub(super) const KEEP_ENTRIES: u64 = 100;

/// Beyond what is waited for on purpose, going on may take so long. Milliseconds.
const SLACK_MS: u64 = 1_000;

/// After every fault the cluster must be whole again within this; generous, for machines that are shared.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// After SIGTERM a member has to end within this: it lets actions finish for up to 10 s.
const END_WITHIN: Duration = Duration::from_secs(20);

/// So far behind the leader a member has caught up, while the load runs.
const BEHIND_ENTRIES: u64 = 50;

/// Between two looks at a condition.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A run under way.
pub(super) struct Run {
    pub(super) settings: Settings,
    pub(super) stop: Stop,
    pub(super) chance: Chance,
    pub(super) cluster: Cluster,
    pub(super) cloud: CloudProcess,
    pub(super) client: Client,
    pub(super) stories: Stories,
    pub(super) injected: Vec<Injected>,
    /// What lost members were doing, as it is watched.
    watches: Vec<JoinHandle<Loss>>,
    /// And as it was.
    pub(super) losses: Vec<Loss>,
    /// Until the cluster has converged.
    pub(super) witnesses: Option<Witnesses>,
    /// What they and the load recorded.
    pub(super) evidence: Evidence,
    pub(super) ruling: Ruling,
    pub(super) guilty: Vec<String>,
    pub(super) retried: u64,
    pub(super) resubmitted: u64,
    /// When faults were turned off.
    pub(super) faults_off: Instant,
    pub(super) began: Instant,
}

/// Makes a run. When it is told to stop, no more faults come, and what was until then is judged.
///
/// # Errors
/// When the harness fails, or the cluster does not even start; what else the product does wrong is in the report.
pub async fn run(settings: Settings, stop: Stop) -> Result<Report, Failure> {
    let planned = plan(settings.seed, settings.duration, &settings.kinds()?);
    if settings.failpoints {
        compare(&failpoints()?)?;
    }
    let mut run = Run::begin(settings, stop).await?;
    let end = Arc::new(AtomicBool::new(false));
    let clients = run.load(&end)?;
    run.call_witnesses(&end)?;
    let faults = async {
        let bad = Behaviour::bad(run.settings.seed);
        let bad = match run.settings.careless {
            true => bad.careless(),
            false => bad,
        };
        run.cloud.behave(&bad).await?;
        for fault in &planned {
            run.inject(fault).await;
        }
        run.cloud.behave(&Behaviour::good()).await
    };
    let faults = faults.await;
    run.faults_off = Instant::now();
    end.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.map_err(|e| format!("a client failed: {e}"))?;
    }
    run.await_writers().await?;
    let report = match faults {
        Ok(()) => run.finish(&planned).await,
        Err(why) => Err(why),
    };
    run.gather().await?;
    run.keep();
    Ok(report?)
}

impl Run {
    async fn begin(settings: Settings, stop: Stop) -> Result<Self, Failure> {
        let flags = settings.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (size, learners) = (settings.members, settings.learners);
        let network = match settings.partitions {
            true => Some(Network::make(size + learners + 1)?),
            false => None,
        };
        let host = match &network {
            Some(network) => network.cloud(),
            None => "127.0.0.1".to_owned(),
        };
        let cluster = AssertUnwindSafe(|| {
            let mut cluster = Cluster::start_on(network, size, &flags);
            for _ in 0..learners {
                cluster.add(&[flags.as_slice(), &["--learner"]].concat());
            }
            cluster
        });
        let cluster = catch_unwind(cluster).map_err(|why| not_started(why.as_ref()))?;
        let cloud = CloudProcess::start(&settings.cloud, cluster.dir(), &host)?;
        let client = Client::connect(&cluster.endpoints()).map_err(|e| e.to_string())?;
        Ok(Self {
            chance: Chance::of(settings.seed),
            settings,
            stop,
            cluster,
            cloud,
            client,
            stories: Vec::new(),
            injected: Vec::new(),
            watches: Vec::new(),
            losses: Vec::new(),
            witnesses: None,
            evidence: Evidence::default(),
            ruling: Ruling::default(),
            guilty: Vec::new(),
            retried: 0,
            resubmitted: 0,
            faults_off: Instant::now(),
            began: Instant::now(),
        })
    }

    fn load(&mut self, end: &Arc<AtomicBool>) -> Result<Vec<JoinHandle<()>>, String> {
        let mut tasks = Vec::new();
        for n in 0..self.settings.stacks {
            let chance = self.chance.split();
            let (endpoints, url) = (self.cluster.endpoints(), self.cloud.url());
            let load = Load::new(&endpoints, chance, url, &format!("s{n}"))?;
            self.stories.push(load.story());
            tasks.push(tokio::spawn(load.run(Arc::clone(end))));
        }
        Ok(tasks)
    }

    pub(super) fn say(&self, what: &str) {
        if self.settings.loud {
            eprintln!("chaos {:6.1}s {what}", self.began.elapsed().as_secs_f64());
        }
    }

    /// Notes what the product did wrong.
    pub(super) fn guilty(&mut self, what: &str) {
        self.say(what);
        self.guilty.push(what.to_owned());
    }

    /// Holds what is for so long, or until the run is told to stop.
    pub(super) async fn hold(&self, duration: Duration) {
        self.stop.hold(duration).await;
    }

    /// Notes that a member was lost at that moment, and watches what becomes of what it was doing. `with_it`: positions
    /// of those that hear no more of the rest than it does.
    pub(super) async fn lost(&mut self, how: How, known: Known, since: Instant, with_it: &[usize]) {
        let at_us =
            now_us().saturating_sub(u64::try_from(since.elapsed().as_micros()).unwrap_or(0));
        let survivors = (0..self.cluster.members.len())
            .filter(|n| *n != known.position && !with_it.contains(n))
            .filter_map(|n| self.client_of(n).ok())
            .collect();
        let noted = async {
            let survivor = most_advanced(survivors).await?;
            let held = survivor.held_by(known.id).await?;
            Ok::<_, String>((survivor, held))
        };
        match noted.await {
            Ok((survivor, held)) => {
                let loss = Loss {
                    how,
                    member: known.id,
                    at_us,
                    led: known.leads,
                    floor: survivor.log_end,
                    held,
                };
                let watched = tokio::spawn(watch(survivor, loss, since));
                self.watches.push(watched);
            }
            Err(why) => self.say(&format!("what was lost can't be measured: {why}")),
        }
    }

    /// Waits until everything that was lost has been watched to its end.
    pub(super) async fn end_watches(&mut self) -> Result<(), String> {
        for watched in std::mem::take(&mut self.watches) {
            let loss = watched.await.map_err(|e| format!("a watch failed: {e}"))?;
            self.losses.push(loss);
        }
        Ok(())
    }

    /// Waits until every member runs, votes and has caught up with the leader; a cluster that does not come back is
    /// guilty.
    pub(super) async fn whole(&mut self) {
        let began = Instant::now();
        loop {
            let seen = self.not_whole().await;
            let Some(seen) = seen else { return };
            if began.elapsed() > WHOLE_WITHIN {
                self.guilty(&format!("not whole {WHOLE_WITHIN:?} after a fault: {seen}"));
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn not_whole(&mut self) -> Option<String> {
        for member in &mut self.cluster.members {
            if member.has_ended() {
                // As a supervisor would. That it ended by itself is told in the report.
                let address = member.address().to_owned();
                let by_us = member.was_ended();
                member.restart();
                if !by_us {
                    self.guilty(&format!("{address} ended by itself"));
                }
                return Some("restarted".to_owned());
            }
        }
        let reply = match self.client.members(false).await {
            Ok(reply) => reply,
            Err(error) => return Some(error.to_string()),
        };
        let learns = |m: &&anneal_client::v1::Member| m.role == "learner";
        let learners = reply.members.iter().filter(learns).count();
        let reached = reply.members.iter().filter(|m| m.reachable).count();
        let (voters, size) = (reply.members.len() - learners, self.cluster.members.len());
        let roles_are_right = voters == self.settings.members && learners == self.settings.learners;
        if reply.leader == 0 || !roles_are_right || reached != size {
            return Some(format!("{:?}", reply.members));
        }
        let leader = reply.members.iter().find(|m| m.id == reply.leader);
        let end = leader.map_or(0, |m| m.last_log_index);
        for n in 0..self.cluster.members.len() {
            let status = match self.client_of(n) {
                Ok(client) => client.cluster_status(true).await.map_err(|e| e.to_string()),
                Err(error) => Err(error),
            };
            match status {
                // One that has just started has not heard yet how far behind it is.
                Ok(status) if status.healthy && status.applied_index + BEHIND_ENTRIES >= end => {}
                other => return Some(format!("member {n}: {other:?}")),
            }
        }
        None
    }

    /// Takes back whatever a fault that ended half-way has left.
    pub(super) fn take_back(&mut self) -> Result<(), Failure> {
        for member in &mut self.cluster.members {
            member.signal(Signal::CONT);
        }
        if let Some(disk) = &self.cluster.disk {
            disk.free()?;
        }
        match self.cluster.network() {
            Some(network) => Ok(network.mend_all()?),
            None => Ok(()),
        }
    }

    /// How a member ended; `None`: not in time.
    pub(super) async fn ends(&mut self, member: usize) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < END_WITHIN {
            if let Some(status) = self.cluster.members[member].ended_with() {
                return Some(status);
            }
            sleep(LOOK_EVERY).await;
        }
        None
    }

    /// Copies journal, history and logs to where they outlive the run.
    fn keep(&self) {
        let Some(keep) = &self.settings.keep else {
            return;
        };
        let kept = std::fs::create_dir_all(keep).and_then(|()| {
            for entry in std::fs::read_dir(self.cluster.dir())?.flatten() {
                if entry.path().is_file() {
                    std::fs::copy(entry.path(), keep.join(entry.file_name()))?;
                }
            }
            self.evidence.keep(keep)?;
            let faults = serde_json::to_string_pretty(&self.injected)?;
            std::fs::write(keep.join("faults.json"), faults)?;
            let losses = serde_json::to_string_pretty(&self.losses)?;
            std::fs::write(keep.join("losses.json"), losses)?;
            for story in &self.stories {
                let story = super::finish::lock(story);
                let text = serde_json::to_string_pretty(&story.done)?;
                std::fs::write(keep.join(format!("{}.json", story.stack)), text)?;
            }
            Ok(())
        });
        if let Err(error) = kept {
            eprintln!("chaos: {} can't be kept: {error}", keep.display());
        }
    }
}

/// Members that do not form a cluster in time are the product's failure; all else that can go wrong then is the harness's.
fn not_started(why: &(dyn Any + Send)) -> Failure {
    let why = why.downcast_ref::<String>().map_or("", String::as_str);
    let told = format!("the cluster did not start: {why}");
    if why.starts_with(ALL_VOTE) {
        Failure::Product(told)
    } else {
        Failure::Harness(told)
    }
}
