//! The wish that a run ends early: faults are taken back, the end is judged, and the report says so.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

/// Told to a run when it shall end early.
#[derive(Clone, Debug)]
pub struct Stop {
    told: watch::Receiver<bool>,
}

/// The other end of a [`Stop`].
#[derive(Debug)]
pub struct Stopper {
    tell: watch::Sender<bool>,
}

impl Stop {
    /// One that is told by its other end.
    pub fn pair() -> (Stopper, Self) {
        let (tell, told) = watch::channel(false);
        (Stopper { tell }, Self { told })
    }

    /// One that is never told.
    pub fn never() -> Self {
        Self::pair().1
    }

    /// Whether it was told.
    pub fn is_told(&self) -> bool {
        *self.told.borrow()
    }

    /// Waits for so long, or until it is told.
    pub(crate) async fn hold(&self, duration: Duration) {
        let mut told = self.told.clone();
        let end = async {
            if told.wait_for(|told| *told).await.is_err() {
                // Nobody is left to tell it.
                std::future::pending().await
            }
        };
        // Either end is as good.
        let _ = timeout(duration, end).await;
    }
}

impl Stopper {
    /// Tells it.
    pub fn stop(&self) {
        self.tell.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hold_ends_when_it_is_told_and_not_because_nobody_is_left_to_tell() {
        let never = Stop::never();
        never.hold(Duration::from_millis(5)).await;
        assert!(!never.is_told());
        let (stopper, stop) = Stop::pair();
        let holding = stop.clone();
        let held = tokio::spawn(async move { holding.hold(Duration::from_secs(600)).await });
        stopper.stop();
        held.await.unwrap();
        assert!(stop.is_told());
    }
}
