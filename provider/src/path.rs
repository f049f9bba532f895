//! Where in a resource's properties something is.
//!
//! Knows nothing about schemas, templates or the text that a property came from.

use std::fmt;

use serde::{Serialize, Serializer};

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Into a map, by key.
    Name(String),
    /// Into a list, by position from 0.
    Index(usize),
}

/// A path into the properties of a resource, shown as `health.command[0]`. The empty path means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PropertyPath(pub Vec<Step>);

impl PropertyPath {
    /// The path of a top-level property.
    pub fn property(name: &str) -> Self {
        Self(vec![Step::Name(name.to_owned())])
    }

    /// This path and one key more.
    #[must_use]
    pub fn name(&self, name: &str) -> Self {
        self.step(Step::Name(name.to_owned()))
    }

    /// This path and one position more.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// Whether `other` is this path or lies beneath it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The name of the top-level property, if the path has one.
    pub fn top(&self) -> Option<&str> {
        match self.0.first() {
            Some(Step::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for PropertyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if position == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Serialize for PropertyPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_people_write_it() {
        let path = PropertyPath::property("health").name("command").index(0);
        assert_eq!(path.to_string(), "health.command[0]");
        assert!(PropertyPath::property("health").covers(&path));
        assert!(!PropertyPath::property("heal").covers(&path));
    }
}
