//! What the parts of one member's engine share: who it is, its lease, and its results on their way.
//!
//! Knows nothing of streams, assignments or providers; it only holds what several of them look at.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anneal_statemachine::id::{EngineRef, StackId};
use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::clock::BootTime;
use super::own::{OwnLease, Renewal};
use crate::execute::outbox::Outbox;

/// A moment that has always passed: no lease.
const NO_LEASE: BootTime = BootTime { boot_ms: 0 };

/// Who an engine is and what it offers; the same for as long as its process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The member it runs on.
    pub member: u64,
    /// HOST:PORT of the member; empty without a listener.
    pub address: String,
    /// The host id.
    pub host: String,
    /// Provider calls at a time.
    pub capacity: u32,
    /// The types of its providers.
    pub offers: Vec<String>,
    /// Labels for placement.
    pub labels: Vec<(String, String)>,
}

/// The shared part of one member's engine.
#[derive(Debug)]
pub struct Engine {
    /// Who it is.
    pub profile: Profile,
    lease: Mutex<OwnLease>,
    lease_end: watch::Sender<BootTime>,
    incarnation: watch::Sender<Option<EngineRef>>,
    draining: watch::Sender<bool>,
    outbox: Mutex<Outbox>,
    outbox_stirred: Notify,
    running: AtomicU32,
    idle: Notify,
}

impl Engine {
    /// An engine that is not registered yet.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            lease: Mutex::default(),
            lease_end: watch::Sender::new(NO_LEASE),
            incarnation: watch::Sender::new(None),
            draining: watch::Sender::new(false),
            outbox: Mutex::default(),
            outbox_stirred: Notify::new(),
            running: AtomicU32::new(0),
            idle: Notify::new(),
        }
    }

    /// The registration under which it acts now.
    pub fn incarnation(&self) -> watch::Receiver<Option<EngineRef>> {
        self.incarnation.subscribe()
    }

    /// The end of its lease, as last known; a moment long past without one.
    pub fn lease_end(&self) -> watch::Receiver<BootTime> {
        self.lease_end.subscribe()
    }

    /// Whether it may act now.
    pub fn holds_lease(&self) -> bool {
        lock(&self.lease).holds(BootTime::now())
    }

    /// The moment by which this state time may have come; see [`OwnLease::moment_of`].
    pub fn moment_of(&self, state_time_ms: u64) -> Option<BootTime> {
        lock(&self.lease).moment_of(state_time_ms)
    }

    /// Notes that a heartbeat is sent; returns its sequence.
    pub fn sending_heartbeat(&self) -> u64 {
        lock(&self.lease).sending(BootTime::now())
    }

    /// Takes a renewal.
    pub fn renewed(&self, renewal: Renewal) {
        if let Some(end) = lock(&self.lease).renewed(renewal) {
            self.lease_end.send_replace(end);
        }
    }

    /// Acts under a new registration from now on, once it is given a lease.
    pub fn registered(&self, engine: EngineRef) {
        self.incarnation.send_replace(Some(engine));
    }

    /// Gives up lease and registration: they are over, whoever said so. Calls under way are aborted.
    pub fn surrender(&self) {
        lock(&self.lease).surrender();
        // Whoever waits for a lease wakes by its end, and must see then that it waits in vain.
        self.incarnation.send_replace(None);
        self.lease_end.send_replace(NO_LEASE);
    }

    /// Wakes whoever runs under the lease: its end has come without a renewal.
    pub fn lapsed(&self) {
        self.lease_end.send_modify(|_| {});
    }

    /// Takes nothing new from now on.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Whether it takes nothing new.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Adds a result about a stack for the leader.
    pub fn report(&self, stack: StackId, result: Bytes) {
        lock(&self.outbox).push(stack, result);
        self.outbox_stirred.notify_one();
    }

    /// The results, to send them or to take in answers.
    pub fn with_outbox<T>(&self, use_it: impl FnOnce(&mut Outbox) -> T) -> T {
        use_it(&mut lock(&self.outbox))
    }

    /// Waits until there may be results to send.
    pub async fn outbox_stirred(&self) {
        self.outbox_stirred.notified().await;
    }

    /// Says that answers made room for more results.
    pub fn outbox_answered(&self) {
        self.outbox_stirred.notify_one();
        self.idle.notify_waiters();
    }

    /// A provider call begins.
    pub fn call_began(&self) {
        self.running.fetch_add(1, Ordering::AcqRel);
    }

    /// A provider call ended, in whichever way.
    pub fn call_ended(&self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
        self.idle.notify_waiters();
    }

    /// Provider calls under way.
    pub fn running(&self) -> u32 {
        self.running.load(Ordering::Acquire)
    }

    /// Waits until no provider call is under way.
    pub async fn calls_ended(&self) {
        self.until(|engine| engine.running() == 0).await;
    }

    /// Waits until no provider call is under way and every result is known to be applied.
    pub async fn drained(&self) {
        self.until(|engine| {
            engine.running() == 0 && engine.with_outbox(|outbox| outbox.is_empty())
        })
        .await;
    }

    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        loop {
            let mut stirred = std::pin::pin!(self.idle.notified());
            // Listening comes before looking, so that nothing is missed in between.
            stirred.as_mut().enable();
            if reached(self) {
                return;
            }
            stirred.await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        Engine::new(Profile {
            member: 1,
            address: String::new(),
            host: "host".into(),
            capacity: 1,
            offers: Vec::new(),
            labels: Vec::new(),
        })
    }

    #[test]
    fn a_surrendered_lease_is_seen_by_whoever_runs_under_it() {
        let engine = engine();
        let end = engine.lease_end();
        let sequence = engine.sending_heartbeat();
        engine.renewed(Renewal {
            sequence,
            lease_ms: 60_000,
            quorum_age_ms: 0,
            state_time_ms: 0,
        });
        assert!(engine.holds_lease() && *end.borrow() > BootTime::now());
        engine.surrender();
        assert!(!engine.holds_lease() && *end.borrow() == NO_LEASE);
    }

    #[tokio::test]
    async fn it_is_drained_when_calls_have_ended_and_results_are_applied() {
        let engine = std::sync::Arc::new(engine());
        engine.call_began();
        engine.report(StackId(1), Bytes::from_static(b"done"));
        let waits = tokio::spawn({
            let engine = std::sync::Arc::clone(&engine);
            async move { engine.drained().await }
        });
        engine.call_ended();
        let (sequence, _) = engine.with_outbox(Outbox::next_batch).expect("a batch");
        assert!(!waits.is_finished());
        engine.with_outbox(|outbox| outbox.answered(sequence, true));
        engine.outbox_answered();
        waits.await.expect("it ends");
    }
}
