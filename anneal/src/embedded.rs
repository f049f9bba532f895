//! The one-member cluster of a directory: made by `anneal up` when no cluster is named.
//!
//! Knows where it lives; nothing of single commands.

use std::convert::Infallible;
use std::time::Duration;

use crate::exit::{Failure, Outcome};

/// What the member is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be asked, or to take a change that somebody else carries out.
    Look,
    /// To carry out actions.
    Act,
}

/// A running embedded member. There can be none yet: the node cannot be embedded.
pub(crate) struct Embedded(Infallible);

impl Embedded {
    /// The one of this directory, if there is one.
    pub(crate) async fn open_existing(
        _purpose: Purpose,
        _limit: Duration,
    ) -> Outcome<Option<Self>> {
        Ok(None)
    }

    /// The one of this directory, made if there is none.
    pub(crate) async fn open_or_make(_limit: Duration) -> Outcome<Self> {
        Err(Failure::Usage(
            "name a cluster with --endpoints or ANNEAL_ENDPOINTS".into(),
        ))
    }

    /// HOST:PORT it listens on.
    pub(crate) fn address(&self) -> &str {
        match self.0 {}
    }

    /// Ends it in order.
    pub(crate) async fn close(self) {
        match self.0 {}
    }
}
