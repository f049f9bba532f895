//! The one-member cluster of a directory: made by `anneal up` when no cluster is named, and asked by every other
//! command that names none.
//!
//! Knows where it lives and how long it lives: as long as one command. Nothing of what the command does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anneal_node::member::{Config, Member, MemberError};
use anneal_node::replica::{Replica, ReplicaConfig};
use anneal_node::storage::directory::DirectoryError;

use tokio::task::JoinHandle;

use crate::command::serve;
use crate::exit::{Failure, GAVE_UP, Outcome, REFUSED};
use crate::interrupt::Interrupts;
use crate::{memory, output, providers};

/// Where it lives, in the directory in which the command is run.
const DIRECTORY: &str = ".anneal";
/// The file in it that says where the running member listens.
const ADDRESS: &str = "address";
/// The file in it that makes it a data directory.
const VERSION: &str = "VERSION";
/// It is alone, so its elections are quick: a command should not wait for seconds to begin.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// See [`HEARTBEAT`].
const ELECTION: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(200));

/// What the member is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be asked, or to take a change that somebody else carries out.
    Look,
    /// To carry out actions.
    Act,
}

/// An embedded member that can be asked.
pub(crate) struct Embedded {
    address: String,
    /// None: it belongs to another process.
    member: Option<(Member, JoinHandle<()>)>,
}

impl Embedded {
    /// The one of this directory, if there is one. One that another process runs can be asked too, but not be made to
    /// outlive that process.
    pub(crate) async fn open_existing(purpose: Purpose) -> Outcome<Option<Self>> {
        if !Path::new(DIRECTORY).join(VERSION).exists() {
            return Ok(None);
        }
        let refused = match start(purpose).await {
            Ok(embedded) => return Ok(Some(embedded)),
            Err(refused) => refused,
        };
        match (&refused, running_elsewhere()) {
            (MemberError::Directory(DirectoryError::InUse { .. }), Some(address))
                if purpose == Purpose::Look =>
            {
                Ok(Some(Self {
                    address,
                    member: None,
                }))
            }
            _ => Err(failure(refused)),
        }
    }

    /// The one of this directory, made if there is none, to carry out actions.
    pub(crate) async fn open_or_make() -> Outcome<Self> {
        start(Purpose::Act).await.map_err(failure)
    }

    /// HOST:PORT it listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it in order: what runs is finished. A signal ends it at once.
    pub(crate) async fn close(self) {
        let Some((member, watch)) = self.member else {
            return;
        };
        watch.abort();
        // It lets go of the member's files, or else they could not be closed.
        let _ = watch.await;
        // A stale address is only a refused connection; the next start writes a new one.
        let _ = std::fs::remove_file(address_file());
        let interrupted = async {
            match Interrupts::listen() {
                Ok(mut interrupts) => interrupts.next().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = member.shutdown() => {
                if let Err(error) = ended {
                    output::note(&format!("the embedded member ended badly: {error}"));
                }
            }
            () = interrupted => end_at_once(GAVE_UP),
        }
    }
}

async fn start(purpose: Purpose) -> Result<Embedded, MemberError> {
    memory::give_back_aside();
    let mut config = Config::new(DIRECTORY);
    config.listen = Some("127.0.0.1:0".into());
    config.replica = ReplicaConfig {
        heartbeat: HEARTBEAT,
        election_min: ELECTION.0,
        election_max: ELECTION.1,
        ..ReplicaConfig::default()
    };
    if purpose == Purpose::Look {
        config.capacity = 0;
    }
    let member = Member::start(config, providers::registry()).await?;
    let watch = tokio::spawn(end_when_it_fails(member.replica().clone()));
    let address = member.address().to_string();
    // Without it other processes cannot ask this one, and say that the directory is in use.
    let _ = std::fs::write(address_file(), &address);
    Ok(Embedded {
        address,
        member: Some((member, watch)),
    })
}

/// The command cannot be carried out without its member, and must not wait for it.
async fn end_when_it_fails(replica: Replica) {
    let why = replica.failed().await;
    output::note(&format!("error: the embedded member cannot go on: {why}"));
    end_at_once(REFUSED);
}

/// Without the storage library's destructors, under which its threads may still run.
fn end_at_once(code: u8) -> ! {
    signal_hook::low_level::exit(i32::from(code))
}

fn address_file() -> PathBuf {
    Path::new(DIRECTORY).join(ADDRESS)
}

fn running_elsewhere() -> Option<String> {
    let address = std::fs::read_to_string(address_file()).ok()?;
    let address = address.trim().to_string();
    (!address.is_empty()).then_some(address)
}

fn failure(error: MemberError) -> Failure {
    match (&error, running_elsewhere()) {
        (MemberError::Directory(DirectoryError::InUse { .. }), Some(address)) => {
            Failure::refused_with(
                error.to_string(),
                format!("wait until it ends, or ask it while it runs: --endpoints {address}"),
            )
        }
        _ => serve::failure(error),
    }
}
