//! One run: a cluster and a cloud, the load on it, the faults, the end of both, and the verdict.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
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
    failure::Failure,
    faults::{Injected, Kind, Need, all, compare, plan},
    load::{Load, Stories},
    recovery::Kill,
    report::Report,
    stop::Stop,
};
use crate::{
    Chance, Cluster, Network,
    cloud::{Behaviour, CloudProcess},
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
    fn flags(&self) -> Vec<String> {
        let ms = |part: u64| format!("{}ms", self.lease_ms / part);
        [
            ("--engine-heartbeat", ms(6)),
            ("--engine-lease", ms(1)),
            ("--engine-margin", ms(4)),
            ("--raft-heartbeat", ms(10)),
            ("--raft-election-min", ms(2)),
            ("--raft-election-max", ms(1)),
            ("--log-checkpoint-entries", CHECKPOINT_ENTRIES.to_string()),
            ("--log-keep-entries", KEEP_ENTRIES.to_string()),
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

    /// After so long without a word from it the lease of an engine is over, and its work is another's.
    pub(super) fn lease_is_over(&self) -> Duration {
        Duration::from_millis(self.lease_ms * 2)
    }
}

/// A checkpoint is made, and the log purged, every few seconds.
const CHECKPOINT_ENTRIES: u64 = 300;
pub(super) const KEEP_ENTRIES: u64 = 100;

/// After every fault the cluster must be whole again within this; generous, for machines that are shared.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// A leader must be known within this, before a fault that needs one.
const LED_WITHIN: Duration = Duration::from_secs(30);

/// After SIGTERM a member has to end within this: it lets actions finish for up to 10 s.
const END_WITHIN: Duration = Duration::from_secs(20);

/// So far behind the leader a member has caught up, while the load runs.
const BEHIND_ENTRIES: u64 = 50;

/// Between two looks at a condition.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A call to one member alone gives up after this.
const MEMBER_DEADLINE: Duration = Duration::from_secs(2);

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
    pub(super) kills: Vec<Kill>,
    pub(super) guilty: Vec<String>,
    pub(super) retried: u64,
    pub(super) resubmitted: u64,
    /// When faults were turned off.
    pub(super) faults_off: Instant,
    began: Instant,
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
    let report = match faults {
        Ok(()) => run.finish(&planned).await,
        Err(why) => Err(why),
    };
    run.keep();
    Ok(report?)
}

impl Run {
    async fn begin(settings: Settings, stop: Stop) -> Result<Self, Failure> {
        let flags = settings.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let (size, learners) = (settings.members, settings.learners);
        let network = match settings.partitions {
            true => Some(Network::make(size + learners)?),
            false => None,
        };
        let host = match &network {
            Some(network) => network.outside(),
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
            kills: Vec::new(),
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

    /// A client that asks one member only.
    pub(super) fn client_of(&self, member: usize) -> Result<Client, String> {
        Client::builder(self.cluster.members[member].address())
            .and_then(|builder| builder.call_deadline(MEMBER_DEADLINE).build())
            .map_err(|e| e.to_string())
    }

    /// Clients of every member but one.
    pub(super) fn clients_but(&self, gone: usize) -> Vec<Client> {
        (0..self.cluster.members.len())
            .filter(|&n| n != gone)
            .filter_map(|n| self.client_of(n).ok())
            .collect()
    }

    /// Holds what is for so long, or until the run is told to stop.
    pub(super) async fn hold(&self, duration: Duration) {
        self.stop.hold(duration).await;
    }

    /// Position of any member.
    pub(super) fn any_member(&mut self) -> usize {
        let count = self.cluster.members.len() as u64;
        usize::try_from(self.chance.between(0, count)).unwrap_or(0)
    }

    /// Position of a voter that does not lead.
    pub(super) async fn follower(&mut self) -> Result<usize, Failure> {
        Ok(self.leader_and_follower().await?.1)
    }

    /// Positions of the leader and of some other voter.
    pub(super) async fn leader_and_follower(&mut self) -> Result<(usize, usize), Failure> {
        let leader = self.leader().await?;
        let others: Vec<_> = (0..self.settings.members)
            .filter(|&n| n != leader)
            .collect();
        let follower = self.chance.one(&others).copied();
        Ok((leader, follower.ok_or("no follower to break")?))
    }

    /// Position of the member that leads.
    pub(super) async fn leader(&self) -> Result<usize, Failure> {
        let began = Instant::now();
        loop {
            let seen = match self.client.members(false).await {
                Ok(reply) => {
                    let leader = reply.members.iter().find(|m| m.id == reply.leader);
                    let address = leader.map(|m| m.address.clone()).unwrap_or_default();
                    let members = &self.cluster.members;
                    match members.iter().position(|m| m.address() == address) {
                        Some(position) => return Ok(position),
                        None => format!("{reply:?}"),
                    }
                }
                Err(error) => error.to_string(),
            };
            if began.elapsed() > LED_WITHIN {
                return Err(Failure::Product(format!(
                    "nobody leads after {LED_WITHIN:?}: {seen}"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The id by which the cluster knows a member.
    pub(super) async fn member_id(&self, position: usize) -> Result<u64, String> {
        let reply = self
            .client
            .members(false)
            .await
            .map_err(|e| e.to_string())?;
        let address = self.cluster.members[position].address();
        let member = reply.members.iter().find(|m| m.address == address);
        member
            .map(|m| m.id)
            .ok_or_else(|| format!("{address} is no member"))
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

    /// Whether a member ends by itself in time.
    pub(super) async fn ends(&mut self, member: usize) -> bool {
        let began = Instant::now();
        while began.elapsed() < END_WITHIN {
            if self.cluster.members[member].has_ended() {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        false
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
            let faults = serde_json::to_string_pretty(&self.injected)?;
            std::fs::write(keep.join("faults.json"), faults)?;
            let kills = serde_json::to_string_pretty(&self.kills)?;
            std::fs::write(keep.join("kills.json"), kills)?;
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

fn not_started(why: &(dyn Any + Send)) -> Failure {
    let why = why.downcast_ref::<String>().map_or("", String::as_str);
    Failure::Product(format!("the cluster did not start: {why}"))
}
