//! Background observation and `check`: reads of settled instances, asked for outside the log (design §3.2).
//!
//! Decides nothing about drift: what is found is proposed, and the state machine judges it. All of it is volatile: a
//! new leader starts over, each stack at a moment of chance within its interval.

mod lead;
mod mask;
mod read;
pub mod walk;

use std::sync::Arc;

use anneal_proto::engine::v1 as proto;
use anneal_statemachine::id::{StackId, Text};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use self::mask::Masked;
use self::read::Reader;
use crate::execute::order::Surroundings;
use crate::lease::Engine;
use crate::lease::hub::{Answer, Hub};
use crate::replica::{Leadership, ProposeError, Replica};

/// Checks waiting to be begun, at most.
const MAX_WAITING_CHECKS: usize = 64;
/// Answers on their way to the link, at most: more than are read at a time.
const MAX_WAITING_ANSWERS: usize = 64;
/// Requests that an engine has not begun, at most; the leader has few under way with each.
const MAX_WAITING_REQUESTS: usize = 64;

/// How observation goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Background reads that may begin per second, over all stacks.
    pub reads_per_second: u64,
}

impl Default for Settings {
    fn default() -> Self {
        // A stack of 10^5 in its default interval of five minutes, at a few percent of one processor.
        Self {
            reads_per_second: 400,
        }
    }
}

/// What a check of a stack found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Instances that were read.
    pub read: u64,
    /// Log index by which every difference was proposed; 0: there was none.
    pub index: u64,
    /// What differs.
    pub drifts: Vec<FoundDrift>,
    /// What could not be read.
    pub failures: Vec<NotRead>,
}

/// One resource that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDrift {
    /// Its name.
    pub resource: Text,
    /// It is not there at all.
    pub vanished: bool,
    /// What differs, property by property; what is secret is masked.
    pub differences: Vec<Masked>,
}

/// One resource that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRead {
    /// Its name.
    pub resource: Text,
    /// Why.
    pub message: String,
}

/// Why a check came to no end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChecked {
    /// This member does not lead any more.
    #[error("the leader stepped down during the check")]
    LeadershipOver,
    /// Too many are waiting.
    #[error("too many checks are waiting")]
    Busy,
}

/// The way to ask the present leadership's observation.
#[derive(Clone, Debug)]
pub struct Observer {
    checks: mpsc::Sender<CheckRequest>,
}

/// A check that somebody waits for.
#[derive(Debug)]
struct CheckRequest {
    stack: StackId,
    reply: oneshot::Sender<Checked>,
}

impl Observer {
    /// Reads every settled instance of a stack now. What differs is proposed before this returns.
    ///
    /// # Errors
    /// If it can't be begun, or this member stops leading meanwhile.
    pub async fn check(&self, stack: StackId) -> Result<Checked, NotChecked> {
        let (reply, answer) = oneshot::channel();
        let request = CheckRequest { stack, reply };
        self.checks.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotChecked::Busy,
            mpsc::error::TrySendError::Closed(_) => NotChecked::LeadershipOver,
        })?;
        answer.await.map_err(|_| NotChecked::LeadershipOver)
    }
}

/// The leader's side, for one leadership: the way to ask it, and what runs it.
pub(crate) fn start(
    replica: Replica,
    leadership: Leadership,
    hub: Arc<Hub>,
    settings: Settings,
    answers: mpsc::Receiver<Answer>,
) -> (
    Observer,
    impl Future<Output = Result<(), ProposeError>> + Send + 'static,
) {
    let (checks, requests) = mpsc::channel(MAX_WAITING_CHECKS);
    let lead = lead::Lead::new(replica, leadership, hub, settings);
    (Observer { checks }, lead.run(answers, requests))
}

/// Starts the engine's side. Returns where requests go and where answers come from.
pub(crate) fn start_reading(
    replica: Replica,
    engine: Arc<Engine>,
    surroundings: Surroundings,
) -> (
    JoinHandle<()>,
    mpsc::Sender<proto::ObservationRequest>,
    mpsc::Receiver<proto::ObservationAnswer>,
) {
    let (request, requests) = mpsc::channel(MAX_WAITING_REQUESTS);
    let (answers, answer) = mpsc::channel(MAX_WAITING_ANSWERS);
    let reader = Reader {
        replica,
        engine,
        surroundings,
        answers,
    };
    (tokio::spawn(read::run(reader, requests)), request, answer)
}
