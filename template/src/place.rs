//! The field one is at, as a path of keys and indexes. Costs nothing until it is printed.

use std::fmt::Write;

/// One step of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'t> {
    Key(&'t str),
    Index(usize),
}

/// The field one is at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place<'t>(Vec<Step<'t>>);

impl<'t> Place<'t> {
    pub(crate) fn at(keys: &[&'t str]) -> Self {
        Self(keys.iter().map(|key| Step::Key(key)).collect())
    }

    pub(crate) fn enter(&mut self, step: Step<'t>) {
        self.0.push(step);
    }

    pub(crate) fn leave(&mut self) {
        self.0.pop();
    }

    /// `resources.web.properties.ports[2]`
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            match step {
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                Step::Index(index) => {
                    let _ = write!(text, "[{index}]");
                }
            }
        }
        text
    }

    /// The same, with a further key.
    pub(crate) fn text_with(&self, key: &str) -> String {
        let text = self.text();
        if text.is_empty() {
            key.to_owned()
        } else {
            format!("{text}.{key}")
        }
    }
}
