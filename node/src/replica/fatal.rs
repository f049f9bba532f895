//! What a member cannot go on after: a storage error, or the end of something that has to run for as long as it does.
//!
//! Whoever meets it says so here, once; whoever owns the member hears of it and ends the process. Knows nothing of
//! what failed.

use std::{any::Any, fmt::Display};

use futures_util::FutureExt;
use tokio::{sync::watch, task::JoinHandle};

use super::Replica;

/// Where a fatal error is told; clones share it. The first one counts: others follow from it.
#[derive(Clone, Debug)]
pub(super) struct Fatal(watch::Sender<Option<String>>);

impl Fatal {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn tell(&self, why: impl Display) {
        self.0.send_if_modified(|told| {
            let first = told.is_none();
            if first {
                tracing::error!(%why, "this member cannot go on");
                *told = Some(why.to_string());
            }
            first
        });
    }

    pub(super) async fn told(&self) -> String {
        let mut told = self.0.subscribe();
        let told = told.wait_for(Option::is_some).await;
        let told = told.expect("this is a sender");
        told.clone().expect("just waited for")
    }
}

impl Replica {
    /// Says that this member cannot go on, and why: the process ends. Rows that can't be read say so by themselves.
    pub fn fail(&self, why: impl Display) {
        self.inner.fatal.tell(why);
    }

    /// Waits until this member cannot go on, and says why. Never ends after it was asked to stop.
    pub async fn failed(&self) -> String {
        tokio::select! {
            biased;
            stopped = self.stopped() => match stopped {
                Some(why) => why,
                None => std::future::pending().await,
            },
            why = self.inner.fatal.told() => why,
        }
    }

    /// Watches over a task that has to run for as long as this replica does, or until it is aborted: the member cannot
    /// go on without it, and would not notice.
    pub fn oversee(&self, what: &'static str, task: JoinHandle<()>) {
        self.watch_over(what, task, Self::ended_unasked);
    }

    /// As [`Self::oversee`], for a task that may also come to its end, but not panic.
    pub fn oversee_errand(&self, what: &'static str, task: JoinHandle<()>) {
        self.watch_over(what, task, |_, _| {});
    }

    fn watch_over(&self, what: &'static str, task: JoinHandle<()>, ended: fn(&Self, &str)) {
        let replica = self.clone();
        tokio::spawn(async move {
            match task.await {
                Ok(()) => ended(&replica, what),
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        replica.fail(format_args!("{what} has panicked: {}", words(&*panic)));
                    }
                }
            }
        });
    }

    fn ended_unasked(&self, what: &str) {
        // What ended because Raft did is not the cause.
        if self.stopped().now_or_never().is_none() {
            self.fail(format_args!("{what} has ended, and nobody asked it to"));
        }
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a word")
}
