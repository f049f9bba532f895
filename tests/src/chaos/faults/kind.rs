//! What a kind of fault is. One is added by one entry in the `kinds` of the file of its nature, which says its word,
//! what it needs, and how it is done; one file more, and it is named in [`all`].

use std::{borrow::Cow, fmt, pin::Pin, sync::Arc, time::Duration};

use super::{super::run::Run, Failure, clock, disks, hand, members, network, points, processes};

/// What was seen that shows that the fault really happened.
pub(in crate::chaos) type Seen = String;

/// A fault under way.
pub(in crate::chaos) type Doing<'a> =
    Pin<Box<dyn Future<Output = Result<Seen, Failure>> + Send + 'a>>;

/// Injects a fault, sees that it happened, holds it for so long ([`Run::hold`]), and takes it back.
type Do = dyn for<'a> Fn(&'a mut Run, Duration) -> Doing<'a> + Send + Sync;

/// What a kind of fault can't do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A network of its own, which needs root.
    Network,
    /// So many voters at least.
    Voters(usize),
    /// A learner.
    Learner,
    /// Members that die or wait where they are told to.
    Failpoints,
    /// Disks that may be spoilt and filled, which needs root.
    Disks,
}

/// A kind of fault.
#[derive(Clone)]
pub struct Kind {
    word: Cow<'static, str>,
    needs: &'static [Need],
    act: Arc<Do>,
}

impl Kind {
    /// A kind of that word in reports. The last argument does it: `|run, hold| Box::pin(run.that(hold))`.
    pub(in crate::chaos) fn new<D>(
        word: impl Into<Cow<'static, str>>,
        needs: &'static [Need],
        act: D,
    ) -> Self
    where
        D: for<'a> Fn(&'a mut Run, Duration) -> Doing<'a> + Send + Sync + 'static,
    {
        Self {
            word: word.into(),
            needs,
            act: Arc::new(act),
        }
    }

    /// As in reports.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// What it can't do without.
    pub fn needs(&self) -> &'static [Need] {
        self.needs
    }

    pub(super) fn act<'a>(&self, run: &'a mut Run, hold: Duration) -> Doing<'a> {
        (self.act)(run, hold)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl Eq for Kind {}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.word, self.needs)
    }
}

/// Every kind there is, in the order in which seeds shuffle them.
pub fn all() -> Vec<Kind> {
    [
        processes::kinds(),
        hand::kinds(),
        members::kinds(),
        network::kinds(),
        points::kinds(),
        disks::kinds(),
        clock::kinds(),
    ]
    .concat()
}
