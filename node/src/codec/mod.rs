//! Conversions between the types of this program and the bytes that are durable or cross the wire.
//!
//! Each direction is total on what this program writes; a value that cannot be read back is a
//! [`DecodeError`], never a guess. Knows nothing of where bytes come from or go.

mod answer;
mod change;
mod command;
mod event;
mod instance;
pub mod key;
mod parts;
pub mod peer;
pub mod raft;
mod report;
mod row;

pub use command::{decode_command, encode_command};
pub use event::{decode_events, encode_events, event_key, event_rows};
pub use report::{observed, read_observed, read_report, report};
pub use row::{decode_row, encode_row};

/// Bytes that do not say what they should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not a message at all.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A part that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value outside what this release knows.
    #[error("{what} {value} is unknown to this release")]
    Unknown {
        /// What kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
}

impl From<prost::DecodeError> for DecodeError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<DecodeError> for std::io::Error {
    fn from(error: DecodeError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// The part, or an error that names it.
pub(crate) fn required<T>(part: Option<T>, name: &'static str) -> Result<T, DecodeError> {
    part.ok_or(DecodeError::Missing(name))
}
