//! A whole member, put together: data directory, identity, replica, listener, and the parts that work on them.
//!
//! It knows the order in which things start and stop, and nothing of what they do.

mod admission;
mod config;
mod health;
mod identity;
mod line;
mod listener;
mod parts;
mod presence;

use std::{io, sync::Arc, time::Duration};

use anneal_provider::Registry;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use config::{Config, LISTEN, TlsFiles};
pub use parts::{Context, Part};

use self::listener::Listener;
use crate::{
    network::{Addressee, Channels},
    replica::{LeadershipView, Replica, StartError, types::MemberNode},
    storage::{
        directory::{DataDirectory, DirectoryError},
        log::LogStore,
    },
};

/// Leadership moves within this, or the others elect a leader by themselves.
const HANDOVER: Duration = Duration::from_secs(2);
/// Open calls end within this once nothing new is taken.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// Its data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// What is in the directory cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log cannot be opened.
    #[error(transparent)]
    Storage(#[from] io::Error),
    /// It cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// It would take calls from anybody.
    #[error(
        "{0} is not a loopback address: whoever can reach it could run commands here. Give certificates \
         (--tls-ca, --tls-cert, --tls-key), or --insecure if the network is trusted"
    )]
    Insecure(String),
    /// A certificate or key cannot be read.
    #[error("cannot use {path}: {why}")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The directory is another cluster's.
    #[error(
        "the data directory belongs to cluster {own}, and {asked} is a member of cluster {found}"
    )]
    OtherCluster {
        /// Whose the directory is.
        own: String,
        /// Who was asked.
        asked: String,
        /// What it belongs to.
        found: String,
    },
    /// The directory has a log and nobody's name on it.
    #[error("the data directory has a log, but does not say whose")]
    Nameless,
    /// A part of it does not start.
    #[error("{0}")]
    Part(String),
}

/// A running member. Dropped without [`Member::shutdown`], it ends as if it had crashed, but for the listener.
pub struct Member {
    context: Context,
    parts: Vec<Arc<dyn Part>>,
    stop: CancellationToken,
    listener: Option<(JoinHandle<()>, CancellationToken)>,
    drain_timeout: Duration,
    _directory: DataDirectory,
}

impl Member {
    /// Starts a member from its data directory: as the first of a new cluster, as one that asks to be let in, or as the
    /// one that the directory belongs to.
    pub async fn start(config: Config, providers: Registry) -> Result<Self, MemberError> {
        let tls = config::read_tls(&config)?;
        config::check_exposure(&config)?;
        let directory = DataDirectory::open(&config.data_dir)?;
        let bound = Listener::bind(&config, tls.clone()).await?;
        let address = bound
            .as_ref()
            .map(|bound| bound.address.clone())
            .unwrap_or_default();
        let channels = Channels::new(tls);
        let log = LogStore::open(&directory.log(), config.replica.log_cache_bytes)?;
        let identity = identity::settle(&log, &config, &address, &channels).await?;
        let addressee = Addressee {
            cluster_id: identity.cluster_id.clone(),
            member_id: identity.member_id,
        };
        let replica = Replica::start(&config.replica, addressee, &directory, log, channels).await?;
        if identity.founder {
            let node = MemberNode {
                address: address.clone(),
                becomes_voter: true,
            };
            replica.found(node).await?;
        }
        let stop = CancellationToken::new();
        let context = Context {
            host_id: config::host_id(&config),
            config: Arc::new(config),
            replica,
            providers,
            address,
            draining: watch::Sender::new(false),
            stop: stop.clone(),
        };
        let mut routes = tonic::service::Routes::builder();
        let parts = parts::start(&context, &mut routes)
            .await
            .map_err(MemberError::Part)?;
        let listener = match bound {
            Some(bound) => Some(bound.serve(&context, routes).await?),
            None => None,
        };
        let presence = tokio::spawn(presence::keep(context.clone(), identity));
        let what = "what keeps this member in the membership";
        context.replica.oversee_errand(what, presence);
        let drain_timeout = context.config.drain_timeout;
        Ok(Self {
            context,
            parts,
            stop,
            listener,
            drain_timeout,
            _directory: directory,
        })
    }

    /// HOST:PORT it listens on; empty without a listener.
    pub fn address(&self) -> &str {
        &self.context.address
    }

    /// Its replica.
    pub fn replica(&self) -> &Replica {
        &self.context.replica
    }

    /// What its parts were given.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Waits until it can go on no more, and says why. The process has to end then: its log, rows or state machine have
    /// failed, or a part that has to run for as long as it does.
    pub async fn failed(&self) -> String {
        self.context.replica.failed().await
    }

    /// Ends it in order: leadership moves away, nothing new starts, what runs ends within the configured time.
    pub async fn shutdown(self) -> io::Result<()> {
        // Said only once it is so: whoever hears of it may count on it.
        self.parts.iter().for_each(|part| part.drain());
        self.context.draining.send_replace(true);
        self.hand_over().await;
        let idle = futures_util::future::join_all(self.parts.iter().map(|part| part.idle()));
        if tokio::time::timeout(self.drain_timeout, idle)
            .await
            .is_err()
        {
            tracing::warn!("actions still run; others will look at what they did");
        }
        futures_util::future::join_all(self.parts.iter().map(|part| part.stop())).await;
        self.stop.cancel();
        let Self {
            context,
            parts,
            listener,
            ..
        } = self;
        drop(parts);
        let replica = context.replica.clone();
        drop(context);
        // Streams of peers end with Raft; those without an end are cut.
        let listener = async {
            let Some((mut serving, cut)) = listener else {
                return;
            };
            if tokio::time::timeout(LAST_CALLS, &mut serving)
                .await
                .is_err()
            {
                cut.cancel();
                let _ = serving.await;
            }
        };
        tokio::join!(replica.stop(), listener).0
    }

    async fn hand_over(&self) {
        let leads = !matches!(
            &*self.context.replica.leadership().borrow(),
            LeadershipView::None | LeadershipView::Follower(_)
        );
        if !leads {
            return;
        }
        let moved = self.context.replica.transfer_leader(None);
        match tokio::time::timeout(HANDOVER, moved).await {
            Ok(Ok(leader)) => tracing::info!(member = leader.member_id, "leadership moved"),
            Ok(Err(error)) => tracing::debug!(%error, "leadership did not move"),
            Err(_) => tracing::warn!("leadership did not move in time"),
        }
    }
}
