//! What is remembered of the way: whether the stack went back by itself, and because of what.
//!
//! Knows the words of events.

use anneal_client::v1;

/// Failures remembered; the first ones tell why.
const FAILURES_REMEMBERED: usize = 20;

/// What has happened since a change.
#[derive(Debug, Default)]
pub(super) struct Way {
    after: u64,
    halted: Option<String>,
    back: Option<String>,
    failures: Vec<(String, String)>,
}

impl Way {
    /// Since the change at this log index.
    pub(super) fn after(index: u64) -> Self {
        Self {
            after: index,
            ..Self::default()
        }
    }

    /// Something happened.
    pub(super) fn event(&mut self, event: &v1::Event) {
        if event.index <= self.after {
            return;
        }
        match event.kind.as_str() {
            "failed" if self.failures.len() < FAILURES_REMEMBERED => self
                .failures
                .push((event.resource.clone(), event.text.clone())),
            "halted" => self.halted = Some(event.text.clone()),
            "revised" if self.halted.is_some() && event.text.contains("back to revision") => {
                self.back = Some(event.text.clone());
            }
            // Somebody has declared something new: what failed before is not what matters now.
            "revised" => *self = Self::after(event.index),
            _ => {}
        }
    }

    /// Whether the stack was halted, and then went back by itself.
    pub(super) fn went_back(&self) -> bool {
        self.back.is_some()
    }

    /// Why, in the words of the stack.
    pub(super) fn why(&self) -> &str {
        self.halted.as_deref().unwrap_or_default()
    }

    /// What failed, with the words of providers.
    pub(super) fn failures(&self) -> &[(String, String)] {
        &self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(events: &[(u64, &str, &str)]) -> Way {
        let mut way = Way::after(10);
        for (index, kind, text) in events {
            way.event(&v1::Event {
                index: *index,
                kind: (*kind).into(),
                text: (*text).into(),
                ..Default::default()
            });
        }
        way
    }

    #[test]
    fn a_failed_change_that_is_taken_back_is_noticed() {
        let way = way(&[
            (10, "revised", "revision 2"),
            (12, "failed", "exit code 7"),
            (12, "halted", "resource a failed"),
            (13, "revised", "revision 3: back to revision 1"),
        ]);
        assert!(way.went_back());
        assert_eq!(way.why(), "resource a failed");
        assert_eq!(way.failures().len(), 1);
    }

    #[test]
    fn a_person_who_goes_back_or_on_is_no_failure() {
        assert!(!way(&[(13, "revised", "revision 3: back to revision 1")]).went_back());
        let mended = way(&[
            (12, "halted", "resource a failed"),
            (13, "revised", "revision 3"),
        ]);
        assert!(!mended.went_back());
        assert!(
            !way(&[
                (9, "halted", "before"),
                (13, "revised", "back to revision 1")
            ])
            .went_back()
        );
    }
}
