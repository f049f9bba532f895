//! The names by which calls say what they mean. Whether such a thing exists, only the cluster knows.

use std::fmt;

use anneal_proto::v1;

/// The namespace of a stack whose name has none.
const DEFAULT_NAMESPACE: &str = "default";

/// A stack, by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackName {
    /// The namespace; `default` if none was said.
    pub namespace: String,
    /// The name, unique in its namespace.
    pub name: String,
}

impl StackName {
    /// A stack of the namespace `default`.
    pub fn new(name: impl Into<String>) -> Self {
        Self::within(DEFAULT_NAMESPACE, name)
    }

    /// A stack of a namespace.
    pub fn within(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    pub(crate) fn reference(&self, read: Read) -> v1::StackRef {
        v1::StackRef {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            local: read.local,
            show_secrets: read.show_secrets,
        }
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace != DEFAULT_NAMESPACE {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceName {
    /// The stack.
    pub stack: StackName,
    /// The path name of the resource within it.
    pub name: String,
}

impl ResourceName {
    /// A resource of a stack.
    pub fn new(stack: StackName, name: impl Into<String>) -> Self {
        Self {
            stack,
            name: name.into(),
        }
    }
}

/// How to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Read {
    /// The asked member's replica as it is, without finding out whether it is behind.
    pub local: bool,
    /// Hidden parameters and what is computed from them in clear.
    pub show_secrets: bool,
}

/// The name of one request: the same id twice gets the first answer.
///
/// Ordered by time (UUIDv7), which is how the cluster knows an id that is too old to be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// A new one.
    pub fn fresh() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// One that was made earlier, to ask again what became of it.
    pub fn known(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::fresh()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
