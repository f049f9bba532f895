//! One run: a cluster and a cloud, the load on it, the faults, the end of both, and the verdict.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_client::Client;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    evidence::Evidence,
    faults::{FaultKind, Injected, plan},
    load::{Load, Stories},
    recovery::Kill,
    report::Report,
    ruling::Ruling,
    witnesses::Witnesses,
};
use crate::{
    Chance, Cluster, Network,
    cloud::{Behaviour, CloudProcess},
};

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything is drawn from it.
    pub seed: u64,
    /// How long faults are injected.
    pub duration: Duration,
    /// Members.
    pub members: usize,
    /// Stacks, each with a client.
    pub stacks: usize,
    /// Engine lease in milliseconds; the times of members hang on it.
    pub lease_ms: u64,
    /// Whether members are on a network of their own and are cut off from each other. Needs root.
    pub partitions: bool,
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
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }

    fn kinds(&self) -> Vec<FaultKind> {
        let mut kinds = FaultKind::ALL.to_vec();
        if self.partitions {
            kinds.extend(FaultKind::PARTITIONS);
        }
        kinds
    }

    /// After so long without a word from it the lease of an engine is over, and its work is another's.
    pub(super) fn lease_is_over(&self) -> Duration {
        Duration::from_millis(self.lease_ms * 2)
    }
}

/// After every fault the cluster must be whole again within this; generous, for machines that are shared.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// A leader must be known within this, before a fault that needs one.
const LED_WITHIN: Duration = Duration::from_secs(30);

/// After SIGTERM a member has to end within this: it lets actions finish for up to 10 s.
const END_WITHIN: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A call to one member alone gives up after this.
const MEMBER_DEADLINE: Duration = Duration::from_secs(2);

/// A run under way.
pub(super) struct Run {
    pub(super) settings: Settings,
    pub(super) chance: Chance,
    pub(super) cluster: Cluster,
    pub(super) cloud: CloudProcess,
    pub(super) client: Client,
    pub(super) stories: Stories,
    pub(super) injected: Vec<Injected>,
    pub(super) kills: Vec<Kill>,
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
    began: Instant,
}

/// Makes a run.
///
/// # Errors
/// When the harness fails; what the product does wrong is in the report.
pub async fn run(settings: Settings) -> Result<Report, String> {
    let mut run = Run::begin(settings).await?;
    let planned = plan(
        run.settings.seed,
        run.settings.duration,
        run.settings.kinds(),
    );
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
            run.inject(*fault)
                .await
                .map_err(|why| format!("{:?} did not happen: {why}", fault.kind))?;
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
    report
}

impl Run {
    async fn begin(settings: Settings) -> Result<Self, String> {
        let flags = settings.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let size = settings.members;
        let network = match settings.partitions {
            true => Some(Network::make(size)?),
            false => None,
        };
        let host = match &network {
            Some(network) => network.outside(),
            None => "127.0.0.1".to_owned(),
        };
        let cluster = AssertUnwindSafe(|| Cluster::start_on(network, size, &flags));
        let cluster = catch_unwind(cluster).map_err(|_| "the cluster did not start".to_owned())?;
        let cloud = CloudProcess::start(&settings.cloud, cluster.dir(), &host)?;
        let client = Client::connect(&cluster.endpoints()).map_err(|e| e.to_string())?;
        Ok(Self {
            chance: Chance::of(settings.seed),
            settings,
            cluster,
            cloud,
            client,
            stories: Vec::new(),
            injected: Vec::new(),
            kills: Vec::new(),
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

    /// Position of the member that leads.
    pub(super) async fn leader(&self) -> Result<usize, String> {
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
                return Err(format!("nobody leads: {seen}"));
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
                member.restart();
                self.guilty(&format!("{address} ended by itself"));
                return Some("restarted".to_owned());
            }
        }
        let reply = match self.client.members(false).await {
            Ok(reply) => reply,
            Err(error) => return Some(error.to_string()),
        };
        let voting = |m: &&anneal_client::v1::Member| m.role != "learner" && m.reachable;
        if reply.leader == 0 || reply.members.iter().filter(voting).count() != self.settings.members
        {
            return Some(format!("{:?}", reply.members));
        }
        for n in 0..self.cluster.members.len() {
            let status = match self.client_of(n) {
                Ok(client) => client.cluster_status(true).await.map_err(|e| e.to_string()),
                Err(error) => Err(error),
            };
            match status {
                Ok(status) if status.healthy => {}
                other => return Some(format!("member {n}: {other:?}")),
            }
        }
        None
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
            self.evidence.keep(keep)?;
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
