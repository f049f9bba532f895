//! How a provider call ends badly.
//!
//! Says what is known about the outside world afterwards; what to do about it is not decided here.

use std::fmt;
use std::time::Duration;

use crate::request::Made;

/// What kind of error it was, which sets how soon and how often it is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Likely to pass by itself.
    Transient,
    /// The outside world asks for fewer or later calls.
    Quota,
    /// Will not pass until something is changed.
    Permanent,
    /// Ended by us: the call was cancelled, or the engine's lease or the call's time was over.
    Aborted,
}

/// What is known of the outside world after the failure.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Certain that the call had no effect that remains, and that none will come.
    NothingDone,
    /// The action has ended and can have no later effect, but it failed and may have left something behind,
    /// which can be deleted with what is given here.
    LeftBehind(Box<Made>),
    /// Nobody can tell whether it had an effect, or will yet have one. It must be looked at.
    Unknown,
    /// Of a look: there is no way to find out, however often it is tried. A person must say what is there.
    CannotTell,
}

/// A provider call that did not end well.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What kind of error it was.
    pub class: FailureClass,
    /// What is known of the outside world now.
    pub verdict: Verdict,
    /// The provider's words, without the values of secret properties. Bounded by [`MESSAGE_MAX_BYTES`].
    pub message: String,
    /// When the outside world said that another attempt is welcome, up to an hour from then.
    pub retry_after: Option<Duration>,
}

/// A message is kept in replicated state, once per failed resource; beyond this it is cut in the middle.
pub const MESSAGE_MAX_BYTES: usize = 4 * 1024;

/// An outside world that asks for more is asked again after an hour all the same: a slip of its operator must not keep a
/// resource from being made for a year.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

impl Failure {
    /// A failure that is certain to have come before any effect.
    pub fn nothing_done(class: FailureClass, message: impl Into<String>) -> Self {
        Self::new(class, Verdict::NothingDone, message)
    }

    /// A failure after which nobody knows.
    pub fn no_verdict(class: FailureClass, message: impl Into<String>) -> Self {
        Self::new(class, Verdict::Unknown, message)
    }

    /// A failure that may have left something behind.
    pub fn left_behind(class: FailureClass, made: Made, message: impl Into<String>) -> Self {
        Self::new(class, Verdict::LeftBehind(Box::new(made)), message)
    }

    /// Shorthand for the commonest one: wrong input, found before anything was done.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::nothing_done(FailureClass::Permanent, message)
    }

    /// A look that can't find out what is there, and never will.
    pub fn cannot_tell(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, Verdict::CannotTell, message)
    }

    /// The same failure, with the time that the outside world asked to wait, up to an hour.
    #[must_use]
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait.map(|wait| wait.min(LONGEST_WAIT));
        self
    }

    fn new(class: FailureClass, verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            class,
            verdict,
            message: bounded(message.into()),
            retry_after: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

fn bounded(message: String) -> String {
    if message.len() <= MESSAGE_MAX_BYTES {
        return message;
    }
    let half = MESSAGE_MAX_BYTES / 2 - 8;
    let head = &message[..message.floor_char_boundary(half)];
    let tail = &message[message.ceil_char_boundary(message.len() - half)..];
    format!("{head}\n[…]\n{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_outside_world_can_ask_for_more_than_an_hour() {
        let failure = Failure::refused("later").after(Some(Duration::from_secs(31_536_000)));
        assert_eq!(failure.retry_after, Some(LONGEST_WAIT));
    }

    #[test]
    fn a_long_message_keeps_its_ends_and_its_bound() {
        let failure = Failure::refused(format!("start{}end", "ä".repeat(MESSAGE_MAX_BYTES)));
        assert!(failure.message.len() <= MESSAGE_MAX_BYTES);
        assert!(failure.message.starts_with("start") && failure.message.ends_with("end"));
    }
}
