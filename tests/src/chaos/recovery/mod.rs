//! How long it took to go on after a member was lost: killed, frozen, or cut off.
//!
//! A fencing token is the log index of its assignment. So a call whose token is past the end of every survivor's log
//! at the moment of the loss is under an assignment that was committed after it: an upper bound of when that was.
//!
//! What the lost member was acting on is watched in the rows of a survivor, so that what had good reason to wait is told
//! apart from what was owed at once.

mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use watch::{most_advanced, watch};

use crate::judge::Call;

/// How a member was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// `kill -9`.
    Killed,
    /// SIGSTOP.
    Frozen,
    /// No other member was reached.
    CutOff,
}

impl How {
    fn words(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::CutOff => "cut off",
        }
    }
}

/// A member that was lost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Loss {
    pub(crate) how: How,
    /// Its id.
    pub(crate) member: u64,
    /// Microseconds since 1970.
    pub(crate) at_us: u64,
    /// Whether it led.
    pub(crate) led: bool,
    /// The largest log index that any survivor had.
    pub(crate) floor: u64,
    /// What it was doing.
    pub(crate) held: Vec<Held>,
}

/// A resource that a lost member was acting on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) stack: String,
    pub(crate) resource: String,
    pub(crate) instance: u64,
    /// What was seen of it since, each change once.
    pub(crate) sights: Vec<Sight>,
    /// Whether it was watched until it was acted on or nothing was owed any more.
    pub(crate) to_the_end: bool,
}

/// How it stood with a resource so long after the loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    pub(crate) after_ms: u64,
    pub(crate) standing: Standing,
}

/// How it stands with a resource that a lost member was acting on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It is still the lost member's: its lease is not over.
    Held,
    /// It is unknown, and a look at it is owed.
    Owed,
    /// An engine acts on it again.
    Acted {
        /// This one.
        member: u64,
    },
    /// The lost member's report had come before: nothing is unknown.
    Reported,
    /// It has good reason to wait.
    Waits(Why),
}

/// Why a resource may wait although its engine is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// Its stack is paused, or starts nothing for another reason.
    StackStopped,
    /// An earlier attempt failed, and the next is due later.
    BackingOff,
    /// What it requires is unknown too, and is looked at first.
    LookOrder,
    /// It is made again under its key, once what it requires is settled.
    Requires,
    /// It was looked at already, and an effect of the lost call can't be excluded yet.
    LateEffect,
    /// A person decides.
    OnHold,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::StackStopped => "stack paused or stopped",
            Self::BackingOff => "backing off",
            Self::LookOrder => "another look first",
            Self::Requires => "what it requires first",
            Self::LateEffect => "late effect",
            Self::OnHold => "on hold",
        }
    }
}

/// What became of something that a lost member was acting on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Acted on again, after so many milliseconds in which that was owed.
    After(u64),
    /// Acted on again after so many milliseconds, in which it had good reason to wait.
    Apart(Why, u64),
    /// The lost member's report had come before the loss, or while its lease went on.
    Reported,
    /// Not acted on again, though it was watched for long and that was owed.
    Never,
    /// The end came before anything could be said.
    Unwatched,
}

/// Times after the loss of members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recoveries {
    /// To the first call under an assignment that is later than the loss of a leader.
    pub(crate) leaders: BTreeMap<How, Vec<u64>>,
    /// The fates of what they were doing, by how they were lost and whether they led.
    pub(crate) held: BTreeMap<(How, bool), Vec<Fate>>,
}

impl How {
    /// As in reports, of an engine or of one that led.
    pub(crate) fn of_engine(self, led: bool) -> String {
        let who = if led { "leading engine" } else { "engine" };
        format!("{who} {}: its actions elsewhere", self.words())
    }

    /// As in reports.
    pub(crate) fn of_leader(self) -> String {
        format!("leader {}: next assignment", self.words())
    }
}

/// As in reports.
pub(crate) fn apart_words(why: Why) -> String {
    why.words().to_owned()
}

/// What the journal and the watching say of every loss.
pub(crate) fn recoveries<'a>(
    losses: &[Loss],
    calls: impl Iterator<Item = &'a Call> + Clone,
) -> Recoveries {
    let mut found = Recoveries::default();
    for loss in losses {
        let later = calls
            .clone()
            .filter(|call| call.in_us > loss.at_us && call.token > loss.floor);
        let since = |call: &Call| (call.in_us - loss.at_us) / 1000;
        if loss.led {
            let of_leaders = found.leaders.entry(loss.how).or_default();
            of_leaders.extend(later.clone().map(since).min());
        }
        let fates = found.held.entry((loss.how, loss.led)).or_default();
        for held in &loss.held {
            let on_it = |call: &&Call| call.stack == held.stack && call.name == held.resource;
            let called = later.clone().filter(on_it).map(since).min();
            fates.push(held.fate(called));
        }
    }
    found
}

impl Held {
    /// `called`: after so long came the first call for it under a later assignment.
    fn fate(&self, called: Option<u64>) -> Fate {
        let seen = |wanted: fn(&Standing) -> bool| {
            let found = self.sights.iter().find(|sight| wanted(&sight.standing));
            found.map(|sight| sight.after_ms)
        };
        let acted = seen(|standing| matches!(standing, Standing::Acted { .. }));
        let again = called.into_iter().chain(acted).min();
        let before = |at: &u64| again.is_none_or(|again| *at < again);
        if seen(|standing| *standing == Standing::Reported)
            .filter(before)
            .is_some()
        {
            return Fate::Reported;
        }
        let waited = self.sights.iter().filter(|sight| before(&sight.after_ms));
        let why = waited
            .filter_map(|sight| match sight.standing {
                Standing::Waits(why) => Some(why),
                _ => None,
            })
            .next();
        match (again, why) {
            (Some(again), Some(why)) => Fate::Apart(why, again),
            (Some(again), None) => Fate::After(again),
            (None, None) if self.to_the_end => Fate::Never,
            (None, _) => Fate::Unwatched,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Operation;

    fn call(name: &str, token: u64, in_ms: u64) -> Call {
        Call {
            operation: Operation::Find,
            stack: "s".to_owned(),
            name: name.to_owned(),
            instance: "i".to_owned(),
            key: None,
            token,
            fencing: true,
            in_us: in_ms * 1000,
            out_us: None,
            fault: None,
            did: None,
        }
    }

    fn held(sights: &[(u64, Standing)]) -> Held {
        let sights = sights.iter().cloned();
        Held {
            stack: "s".to_owned(),
            resource: "a".to_owned(),
            instance: 5,
            sights: sights
                .map(|(after_ms, standing)| Sight { after_ms, standing })
                .collect(),
            to_the_end: true,
        }
    }

    #[test]
    fn a_call_under_an_assignment_from_before_the_loss_is_no_recovery() {
        let loss = Loss {
            how: How::Killed,
            member: 3,
            at_us: 10_000,
            led: true,
            floor: 70,
            held: vec![held(&[(0, Standing::Held), (1_400, Standing::Owed)])],
        };
        let calls = [
            call("b", 69, 20),
            call("b", 71, 900),
            call("a", 72, 1_510),
            call("a", 73, 2_000),
        ];
        let found = recoveries(&[loss], calls.iter());
        assert_eq!(found.leaders, BTreeMap::from([(How::Killed, vec![890])]));
        let fates = vec![Fate::After(1_500)];
        assert_eq!(found.held, BTreeMap::from([((How::Killed, true), fates)]));
    }

    #[test]
    fn what_had_reason_to_wait_is_told_apart_from_what_was_owed() {
        let acted = Standing::Acted { member: 4 };
        let waits = Standing::Waits(Why::StackStopped);
        let paused = held(&[(0, Standing::Held), (2_500, waits), (9_000, acted.clone())]);
        assert_eq!(
            paused.fate(Some(9_010)),
            Fate::Apart(Why::StackStopped, 9_000)
        );
        let backed_off_later = held(&[
            (0, Standing::Owed),
            (90, acted.clone()),
            (200, Standing::Waits(Why::BackingOff)),
        ]);
        assert_eq!(backed_off_later.fate(None), Fate::After(90));
        let reported = held(&[(0, Standing::Held), (40, Standing::Reported)]);
        assert_eq!(reported.fate(Some(7_000)), Fate::Reported);
        let looked_at = held(&[(0, Standing::Held), (3_000, Standing::Reported)]);
        assert_eq!(looked_at.fate(Some(2_990)), Fate::After(2_990));
        let forgotten = held(&[(0, Standing::Held), (2_500, Standing::Owed)]);
        assert_eq!(forgotten.fate(None), Fate::Never);
    }
}
