//! Who failed: the product, which makes a run guilty, or the harness, which makes it no pass.

use std::fmt;

/// Why something did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The harness, or the machine it runs on, could not do its part.
    Harness(String),
    /// The product did not do what it must.
    Product(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Harness(why)
    }
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self::Harness(why.to_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Harness(why) => write!(f, "the harness failed: {why}"),
            Self::Product(why) => write!(f, "the product is guilty: {why}"),
        }
    }
}
