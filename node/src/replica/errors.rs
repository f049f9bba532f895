//! Operating errors of a replica: what can be tried again, elsewhere or later. Rejections by the state machine are not
//! among them: those are outcomes.

use tonic::Status;

use super::COMMAND_BYTES;

/// A member that leads, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    /// The member.
    pub member_id: u64,
    /// HOST:PORT.
    pub address: String,
}

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This member does not lead. It was not proposed.
    #[error("this member does not lead{}", hint_text(.0))]
    NotLeader(Option<LeaderHint>),
    /// Nobody leads for now, or the leader has lost its quorum. It was not proposed.
    #[error("no quorum: {0}")]
    Unavailable(String),
    /// It was proposed, and leadership was lost before it was decided: it may take effect or not.
    #[error("leadership was lost before the proposal was decided; it may take effect yet")]
    Unknown,
    /// It was proposed, and no quorum has answered for some time: it may take effect or not.
    #[error("no quorum has answered since this was proposed; it may take effect yet")]
    Undecided,
    /// The command is larger than an entry may be. It was not proposed, and trying again does not help.
    #[error(
        "a command of {bytes} bytes is too large for the log: an entry may have {COMMAND_BYTES}"
    )]
    TooLarge {
        /// As encoded.
        bytes: usize,
    },
    /// This replica has stopped for good.
    #[error("this member has stopped: {0}")]
    Stopped(String),
}

/// Why a read cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This member does not lead.
    #[error("this member does not lead{}", hint_text(.0))]
    NotLeader(Option<LeaderHint>),
    /// No leader, or none with a quorum, can be reached.
    #[error("no quorum: {0}")]
    Unavailable(String),
    /// This replica has stopped for good.
    #[error("this member has stopped: {0}")]
    Stopped(String),
}

/// Why a change of the membership was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// This member does not lead.
    #[error("this member does not lead{}", hint_text(.0))]
    NotLeader(Option<LeaderHint>),
    /// No such member.
    #[error("there is no member {0}")]
    NoSuchMember(u64),
    /// The rest could not decide anything.
    #[error(
        "without member {member_id}, {live} of {voters} voters could be reached, which is no quorum"
    )]
    LosesQuorum {
        /// The member.
        member_id: u64,
        /// Voters that would be left and answer.
        live: usize,
        /// Voters that would be left.
        voters: usize,
    },
    /// Only a voter can lead.
    #[error("member {0} is no voter")]
    NotVoter(u64),
    /// Nobody else could lead.
    #[error("no other voter can be reached")]
    NoSuccessor,
    /// No leader, or none with a quorum.
    #[error("no quorum: {0}")]
    Unavailable(String),
    /// This replica has stopped for good.
    #[error("this member has stopped: {0}")]
    Stopped(String),
}

fn hint_text(hint: &Option<LeaderHint>) -> String {
    match hint {
        Some(LeaderHint { member_id, address }) => {
            format!("; member {member_id} at {address} does")
        }
        None => "; no leader is known".into(),
    }
}

impl ReadError {
    /// As a gRPC status.
    pub fn status(&self) -> Status {
        Status::unavailable(self.to_string())
    }
}

impl MembershipError {
    /// As a gRPC status.
    pub fn status(&self) -> Status {
        let text = self.to_string();
        match self {
            Self::NoSuchMember(_) => Status::not_found(text),
            Self::LosesQuorum { .. } | Self::NotVoter(_) | Self::NoSuccessor => {
                Status::failed_precondition(text)
            }
            Self::NotLeader(_) | Self::Unavailable(_) | Self::Stopped(_) => {
                Status::unavailable(text)
            }
        }
    }
}
