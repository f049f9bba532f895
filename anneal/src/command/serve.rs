//! `anneal serve`: a member of a cluster, until it is told to end.
//!
//! Knows flags and signals; what a member is, the node knows.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anneal_node::lease::table::LeaseSettings;
use anneal_node::member::{Config, Member, MemberError, TlsFiles};
use anneal_node::replica::{LogLimits, ReplicaConfig};
use clap::Args;

use crate::call::Call;
use crate::duration;
use crate::exit::{Failure, Outcome, REFUSED};
use crate::interrupt::Interrupts;
use crate::limits::TemplateLimits;
use crate::{log, memory, output, providers};

/// Runs a member.
#[derive(Debug, Args)]
#[command(
    after_help = "A fresh directory without --join becomes a working one-member cluster. A directory that belongs to a \
cluster restarts as that member, whatever the flags. SIGTERM ends in order, and a second one at once. \
ANNEAL_LOG sets what is logged on standard error, such as debug or info,anneal_node=debug."
)]
pub(crate) struct Serve {
    /// Where this member keeps the log and the state; made if it is not there
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,

    /// The one port for clients, engines and peers
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7400", value_parser = listen_address)]
    listen: String,

    /// A member of the cluster to join; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = crate::cli::parse_endpoint)]
    join: Vec<String>,

    /// Name of this machine, by which host-bound resources are found again [default: /etc/machine-id, else the host
    /// name]
    #[arg(long, value_name = "ID")]
    host_id: Option<String>,

    /// Stay a learner: an engine that does not vote
    #[arg(long)]
    learner: bool,

    /// Listen on an address other than loopback without mutual TLS. Whoever can reach the port can run commands here
    #[arg(long)]
    insecure: bool,

    /// Most actions at a time on this member; 0: it carries out none
    #[arg(long, value_name = "N", default_value_t = 64)]
    capacity: u32,

    /// A label for `placement`; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = super::change::parameter)]
    labels: Vec<(String, String)>,

    #[command(flatten)]
    times: Times,

    #[command(flatten)]
    log: Log,

    #[command(flatten)]
    limits: TemplateLimits,
}

/// How much log is kept; for tests, which have little of it.
#[derive(Debug, Args)]
struct Log {
    /// Entries after the last checkpoint at which another is made
    #[arg(long, value_name = "N", hide = true, default_value_t = LogLimits::default().checkpoint_entries)]
    log_checkpoint_entries: u64,

    /// Entries kept although a checkpoint contains them
    #[arg(long, value_name = "N", hide = true, default_value_t = LogLimits::default().keep_entries)]
    log_keep_entries: u64,
}

/// How often members speak to each other, and how long they wait.
#[derive(Debug, Args)]
#[command(next_help_heading = "Times (the same on every member)")]
struct Times {
    /// Between two heartbeats of an engine
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = positive)]
    engine_heartbeat: Duration,

    /// How long an engine may act after a heartbeat
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = positive)]
    engine_lease: Duration,

    /// How much longer the leader waits before it gives an engine's work to another
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    engine_margin: Duration,

    /// Between two heartbeats of the leader
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = positive)]
    raft_heartbeat: Duration,

    /// A leader that is silent for this long, or up to the maximum, is replaced
    #[arg(long, value_name = "DURATION", default_value = "1500ms", value_parser = positive)]
    raft_election_min: Duration,

    /// See --raft-election-min
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = positive)]
    raft_election_max: Duration,
}

impl Serve {
    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        log::start_serving();
        memory::give_back_aside();
        #[cfg(feature = "failpoints")]
        let _armed = anneal_node::failpoint::arm();
        let config = self.config(call)?;
        let data_dir = config.data_dir.display().to_string();
        let mut interrupts = Interrupts::listen()?;
        let member = tokio::select! {
            started = Member::start(config, providers::registry()) => started.map_err(failure)?,
            // It may wait long until somebody lets it in.
            () = interrupts.next() => return Ok(()),
        };
        // Whoever started us may not be reading; that is no reason not to serve.
        let _ = writeln!(
            std::io::stdout(),
            "anneal serves on {}, data in {data_dir}",
            member.address()
        );
        tokio::select! {
            () = interrupts.next() => {}
            never = memory::tell() => match never {},
            why = member.failed() => return Err(Failure::refused(format!("this member cannot go on: {why}"))),
        }
        output::note("ending: what runs is finished first; a second signal ends at once");
        tokio::select! {
            ended = member.shutdown() => ended.map_err(|error| Failure::refused(format!("ended badly: {error}"))),
            () = interrupts.next() => Err(Failure::Silent(REFUSED)),
        }
    }

    fn config(self, call: &Call) -> Outcome<Config> {
        let times = self.times;
        check(&times)?;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut config = Config::new(self.data_dir);
        config.listen = Some(self.listen);
        config.join = self.join;
        config.learner = self.learner;
        config.host_id = self.host_id;
        config.labels = self.labels;
        config.capacity = self.capacity;
        config.insecure = self.insecure;
        config.tls = tls_files(call)?;
        config.limits = self.limits.limits();
        config.leases = LeaseSettings {
            heartbeat_ms: millis(times.engine_heartbeat),
            lease_ms: millis(times.engine_lease),
            margin_ms: millis(times.engine_margin),
        };
        config.replica = ReplicaConfig {
            heartbeat: times.raft_heartbeat,
            election_min: times.raft_election_min,
            election_max: times.raft_election_max,
            limits: LogLimits {
                checkpoint_entries: self.log.log_checkpoint_entries,
                keep_entries: self.log.log_keep_entries,
                ..LogLimits::default()
            },
            ..ReplicaConfig::default()
        };
        Ok(config)
    }
}

fn tls_files(call: &Call) -> Outcome<Option<TlsFiles>> {
    let tls = call.tls();
    match (&tls.tls_ca, &tls.tls_cert, &tls.tls_key) {
        (None, None, None) => Ok(None),
        (Some(ca), Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            ca: ca.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
        })),
        _ => Err(crate::tls::incomplete()),
    }
}

/// Times that cannot work together are refused before anything starts.
fn check(times: &Times) -> Outcome {
    let usage = |text: &str| Err(Failure::Usage(text.into()));
    if times.engine_lease <= times.engine_heartbeat {
        return usage("--engine-lease must be longer than --engine-heartbeat");
    }
    if times.raft_election_min <= times.raft_heartbeat {
        return usage("--raft-election-min must be longer than --raft-heartbeat");
    }
    if times.raft_election_max <= times.raft_election_min {
        return usage("--raft-election-max must be longer than --raft-election-min");
    }
    if times.raft_election_max < times.raft_heartbeat * 3 {
        return usage("--raft-election-max must be at least three times --raft-heartbeat");
    }
    Ok(())
}

/// Why a member did not start, and what to do.
pub(crate) fn failure(error: MemberError) -> Failure {
    use anneal_node::storage::directory::DirectoryError;
    let hint = match &error {
        MemberError::Directory(DirectoryError::InUse { .. }) => {
            "one process has a data directory at a time: end the other one, or use another directory"
        }
        MemberError::Directory(DirectoryError::Newer { .. }) => "start the newer release on it",
        MemberError::Listen { .. } => {
            "choose another address with --listen HOST:PORT, or end what listens there"
        }
        MemberError::OtherCluster { .. } => {
            "join with an empty data directory, or leave --join out"
        }
        _ => "",
    };
    Failure::refused_with(error.to_string(), hint)
}

/// Where to listen: as an endpoint, but the port may be 0 for any that is free.
fn listen_address(text: &str) -> Result<String, String> {
    match text.strip_suffix(":0") {
        Some(host) => crate::cli::parse_endpoint(&format!("{host}:1")).map(|_| text.to_string()),
        None => crate::cli::parse_endpoint(text),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if time < Duration::from_millis(1) {
        return Err("must be at least 1ms".into());
    }
    Ok(time)
}
