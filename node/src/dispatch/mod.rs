//! The leader's dispatcher: takes what is ready and gives it to engines, fairly across stacks (design §5.2).
//!
//! Policy only. Whether an action may start at all is decided in the state machine, when the proposal is
//! applied; nothing here may rely on its own picture being the present one. All of it is volatile: a new leader
//! begins from the state.

mod advance;
mod assign;
mod candidate;
pub mod choose;
mod company;
mod expiry;
mod history;
pub mod load;
mod overdue;
pub mod rate;
mod reports;
mod rest;
mod rollback;
pub mod select;
pub mod turns;
mod window;

pub use self::history::HistoryLimits;
pub use self::rollback::WayBack;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anneal_provider::Registry;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::lease::clock::BootTime;
use crate::lease::hub::{Hub, Leases};
use crate::lease::reach::{Standpoint, registered};
use crate::lease::table::{LeaseSettings, LeaseTable};
use crate::observe;
use crate::replica::{Leadership, LeadershipView, Replica};

/// A part that ended while its leadership lasts is begun again after this, with all others.
const BEGIN_AGAIN: Duration = Duration::from_millis(200);

/// What a dispatcher needs.
pub struct Dispatch {
    /// This member's replica.
    pub replica: Replica,
    /// What is known of types: times, and which answer at once.
    pub registry: Arc<Registry>,
    /// How leases are kept.
    pub leases: LeaseSettings,
    /// The way back of stacks that are due to be rolled back.
    pub way_back: Option<Arc<dyn WayBack>>,
    /// How observation goes about it.
    pub observation: observe::Settings,
    /// How much history stacks keep.
    pub history: HistoryLimits,
    /// Where the hub of the present leadership is shown.
    pub hub: watch::Sender<Option<Arc<Hub>>>,
    /// Where the observer of the present leadership is shown.
    pub observer: watch::Sender<Option<observe::Observer>>,
}

/// Starts the dispatcher; it works whenever this member leads, and until the handle is aborted.
pub fn start(dispatch: Dispatch) -> JoinHandle<()> {
    tokio::spawn(dispatch.run())
}

impl Dispatch {
    async fn run(self) {
        let mut view = self.replica.leadership();
        loop {
            let leading = view.wait_for(|view| view.leading().is_some()).await;
            let Ok(leading) = leading.map(|view| view.leading().cloned()) else {
                return;
            };
            let Some(leadership) = leading else { continue };
            tracing::info!("this member leads: dispatching");
            self.lead(&leadership, &mut view).await;
            tracing::info!("dispatching has ended");
        }
    }

    /// Dispatches until this leadership is over.
    async fn lead(&self, leadership: &Leadership, view: &mut watch::Receiver<LeadershipView>) {
        let began = BootTime::now();
        let mut table = LeaseTable::new(self.leases, began);
        table.registered(registered(&self.replica), began);
        let leases: Leases = Arc::new(Mutex::new(table));
        let same =
            |view: &LeadershipView| view.leading().is_some_and(|now| now.id == leadership.id);
        loop {
            let mut parts = self.begin(leadership, &leases);
            tokio::select! {
                // An error says that the replica has stopped, which is the end too.
                _ = view.wait_for(|view| !same(view)) => return self.step_down(parts),
                Some(ended) = parts.join_next() => {
                    tracing::error!(?ended, "a part of the dispatcher ended; beginning again");
                }
            }
            self.step_down(parts);
            tokio::time::sleep(BEGIN_AGAIN).await;
        }
    }

    fn step_down(&self, mut parts: JoinSet<()>) {
        parts.abort_all();
        if let Some(hub) = self.hub.send_replace(None) {
            hub.close("the leader steps down");
        }
        self.observer.send_replace(None);
    }

    fn begin(&self, leadership: &Leadership, leases: &Leases) -> JoinSet<()> {
        let replica = &self.replica;
        let standpoint = Standpoint::new(replica.clone(), leadership.clone());
        let (hub, inflow) = Hub::new(Box::new(standpoint), Arc::clone(leases));
        hub.with_table(LeaseTable::expire_all_again);
        let mut parts = JoinSet::new();
        let (r, l, h) = (replica.clone(), leadership.clone(), hub.clone());
        parts.spawn(ends("expiry", expiry::run(r, l, h)));
        let (r, l) = (replica.clone(), leadership.clone());
        parts.spawn(ends("queues", advance::queues(r, l)));
        let (r, l) = (replica.clone(), leadership.clone());
        parts.spawn(ends("deadlines", advance::deadlines(r, l)));
        let (r, l) = (replica.clone(), leadership.clone());
        parts.spawn(ends("requests", advance::requests(r, l)));
        let (r, l) = (replica.clone(), leadership.clone());
        parts.spawn(ends("history", history::run(r, l, self.history)));
        if let Some(way_back) = self.way_back.clone() {
            let (r, l) = (replica.clone(), leadership.clone());
            parts.spawn(ends("rollback", rollback::run(r, l, way_back)));
        }
        let (r, l, h) = (replica.clone(), leadership.clone(), hub.clone());
        parts.spawn(ends("reports", reports::run(r, l, h, inflow.intake)));
        let (r, l, h) = (replica.clone(), leadership.clone(), hub.clone());
        let assigner = assign::Assigner::new(r, l, h, self.registry.clone());
        parts.spawn(ends("assign", assigner.run()));
        let (r, l, h) = (replica.clone(), leadership.clone(), hub.clone());
        let (observer, observing) = observe::start(r, l, h, self.observation, inflow.answers);
        parts.spawn(ends("observe", observing));
        self.observer.send_replace(Some(observer));
        self.hub.send_replace(Some(hub));
        parts
    }
}

/// Runs a part to its end, and says why it ended.
async fn ends<E: std::fmt::Display>(part: &'static str, work: impl Future<Output = Result<(), E>>) {
    match work.await {
        Ok(()) => tracing::debug!(part, "ended"),
        Err(error) => tracing::debug!(part, %error, "ended"),
    }
}
