//! How a command ends: the exit codes that scripts rely on, and the text that people read.
//!
//! Knows nothing of any single command.

use std::fmt;
use std::io;

/// Refused, not found, invalid, unavailable.
pub(crate) const REFUSED: u8 = 1;
/// Wrong flags.
pub(crate) const USAGE: u8 = 2;
/// The stack ended `failed`.
pub(crate) const STACK_FAILED: u8 = 3;
/// Gave up waiting.
pub(crate) const GAVE_UP: u8 = 4;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Refused, not found, invalid, unavailable: what happened and, if there is something, what to do.
    Refused {
        /// What went wrong, and where.
        message: String,
        /// What to do about it; empty when there is nothing to say.
        hint: String,
    },
    /// The flags are fine one by one but make no sense together.
    Usage(String),
    /// The stack ended `failed`, or settled on something other than what was asked; already told.
    StackFailed(String),
    /// The stack was still on its way when the wait ended; it goes on without us.
    GaveUp(String),
    /// Everything was told already; only the code is left to give.
    Silent(u8),
    /// Writing the answer failed.
    Output(io::Error),
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A refusal without advice.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: String::new(),
        }
    }

    /// A refusal that says what to do.
    pub(crate) fn refused_with(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The process's exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Refused { .. } => REFUSED,
            Self::Usage(_) => USAGE,
            Self::StackFailed(_) => STACK_FAILED,
            Self::GaveUp(_) => GAVE_UP,
            Self::Silent(code) => *code,
            // Whoever read our output has seen enough (`anneal stack list | head`): that is not our failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => REFUSED,
        }
    }

    /// Whether there is anything to print about it.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { message, hint } => {
                write!(f, "error: {message}")?;
                if !hint.is_empty() {
                    write!(f, "\n  {hint}")?;
                }
                Ok(())
            }
            Self::Usage(message) | Self::StackFailed(message) | Self::GaveUp(message) => {
                write!(f, "error: {message}")
            }
            Self::Silent(_) => Ok(()),
            Self::Output(error) => write!(f, "error: cannot write the answer: {error}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_the_documented_code() {
        assert_eq!(Failure::refused("no such stack").code(), 1);
        assert_eq!(Failure::Usage("no".into()).code(), 2);
        assert_eq!(Failure::StackFailed("no".into()).code(), 3);
        assert_eq!(Failure::GaveUp("no".into()).code(), 4);
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(closed.code(), 0);
        assert!(closed.is_silent());
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.code(), 1);
        assert!(!full.is_silent());
    }
}
