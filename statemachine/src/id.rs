//! The names by which the state machine knows things. Plain numbers, each its own type, so that one
//! can't be passed for another. Knows nothing of what they name.

use std::fmt;
use std::sync::Arc;

/// A shared, immutable piece of text: a name, a type, a host id, a physical id.
pub type Text = Arc<str>;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A stack: the log index of the entry that made it.
    StackId
);
number!(
    /// A resource of some stack, never used again.
    ResourceId
);
number!(
    /// One incarnation of a resource, never used again. Providers tag what they make with it.
    InstanceId
);
number!(
    /// A fencing token: the log index of the `Assign` entry. A later holder's is always larger.
    Token
);
number!(
    /// The n-th desired state of a stack; 0 is the empty one before the first.
    Revision
);

impl Revision {
    /// The revision that the next accepted change makes.
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

/// One registration of one member's engine. Registering again ends the older incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineRef {
    /// The member that the engine runs on.
    pub member: u64,
    /// The log index of the entry that registered it.
    pub incarnation: u64,
}

impl fmt::Display for EngineRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.member, self.incarnation)
    }
}

/// A client's request: a version 7 UUID, so that its first 48 bits are its wall time in milliseconds
/// and requests sort by age.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

impl RequestId {
    /// When the client made it, by the client's wall clock (milliseconds since 1970).
    pub fn wall_ms(&self) -> u64 {
        self.0[..6]
            .iter()
            .fold(0, |ms, byte| (ms << 8) | u64::from(*byte))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// What can be in trouble on its own: a resource that can't be made, or an instance that can't be
/// looked at or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The making of a resource.
    Resource(ResourceId),
    /// The looking at, or deleting of, an instance.
    Instance(InstanceId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_know_when_they_were_made_and_sort_by_it() {
        let early = RequestId([
            0x01, 0x8b, 0xcf, 0xe5, 0x68, 0, 0x70, 0xff, 0, 0, 0, 0, 0, 0, 0, 9,
        ]);
        let late = RequestId([
            0x01, 0x8b, 0xcf, 0xe5, 0x68, 1, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        ]);
        assert_eq!(early.wall_ms(), 0x018b_cfe5_6800);
        assert!(early < late);
        assert_eq!(early.to_string(), "018bcfe5-6800-70ff-0000-000000000009");
    }
}
