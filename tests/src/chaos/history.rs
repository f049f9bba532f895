//! What was asked of the cluster and what became of it, and what the stacks may therefore contain.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::content::{Content, Patch};

/// Ways in which unknown outcomes may combine; beyond this a run says too little to be judged, and the harness gives up.
const MOST_POSSIBILITIES: usize = 20_000;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// Create, or refuse.
    Create(Content),
    /// Create or update.
    Up(Content),
    /// Set and remove named objects.
    Patch(Patch),
    /// Go back to a revision, which had this content.
    Rollback {
        /// The revision.
        to: u64,
        /// Its content.
        content: Content,
    },
    /// Delete.
    Delete,
    /// Pause.
    Pause,
    /// Resume.
    Resume,
}

impl Asked {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Up(_) => "up",
            Self::Patch(_) => "patch",
            Self::Rollback { .. } => "rollback",
            Self::Delete => "delete",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// Whether it changes what the stack contains.
    pub fn revises(&self) -> bool {
        !matches!(self, Self::Pause | Self::Resume)
    }

    /// What a stack of that content (`None`: there is no stack) becomes; `None` where it would have been refused.
    pub fn on(&self, before: &Option<Content>) -> Option<Option<Content>> {
        match (self, before) {
            (Self::Create(_), Some(_)) => None,
            (Self::Create(content) | Self::Up(content), _) => Some(Some(content.clone())),
            (Self::Patch(patch), Some(before)) => patch.on(before).map(Some),
            // A stack that is being deleted is still there, and has revisions to go back to.
            (Self::Rollback { content, .. }, _) => Some(Some(content.clone())),
            (Self::Delete, _) => Some(None),
            (Self::Pause | Self::Resume, _) => Some(before.clone()),
            (Self::Patch(_), None) => None,
        }
    }
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Committed.
    Ok {
        /// The stack.
        stack_id: u64,
        /// The revision that it has by this.
        revision: u64,
        /// Whether that is a new one.
        changed: bool,
        /// The log index of the change; a later one, if it was answered before.
        index: u64,
    },
    /// Not done, for this reason.
    Refused(String),
    /// It may be done, now or later.
    Unknown(String),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When it was asked. Microseconds since 1970.
    pub asked_us: u64,
    /// When it was answered.
    pub answered_us: u64,
    /// When it was asked, on the clock that never goes back. Nanoseconds.
    pub called_ns: u64,
    /// When it was answered, on that clock.
    pub returned_ns: u64,
    /// By this request id.
    pub request_id: String,
    /// What.
    pub asked: Asked,
    /// And the outcome.
    pub outcome: Outcome,
}

/// What one stack may contain, by what was answered so far.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it may have contained just after the last acknowledged change.
    possible: Vec<Option<Content>>,
    /// Stack id and revision of the last acknowledged change.
    at: Option<(u64, u64)>,
    /// Changes whose outcome nobody told. Each may have happened, or happen yet, at any time.
    unknown: Vec<Asked>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            possible: vec![None],
            at: None,
            unknown: Vec::new(),
        }
    }
}

impl Known {
    /// What it contained just after the last acknowledged change, if there is no doubt about it.
    pub fn certain(&self) -> Option<&Option<Content>> {
        match self.possible.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Id and revision of the last acknowledged change.
    pub fn at(&self) -> Option<(u64, u64)> {
        self.at
    }

    /// Takes an answer in.
    ///
    /// # Errors
    /// When it can not be: an acknowledged change that fits nothing that the stack may have contained.
    pub fn take(&mut self, asked: &Asked, outcome: &Outcome) -> Result<(), String> {
        if !asked.revises() {
            return Ok(());
        }
        match outcome {
            Outcome::Refused(_) => Ok(()),
            Outcome::Unknown(_) => {
                self.unknown.push(asked.clone());
                Ok(())
            }
            Outcome::Ok {
                stack_id,
                revision,
                changed,
                ..
            } => {
                let bases = self.before(*stack_id, *revision, *changed)?;
                let possible: Vec<_> = bases
                    .iter()
                    .filter_map(|base| asked.on(base).filter(|after| *changed || after == base))
                    .collect();
                if possible.is_empty() {
                    return Err(format!(
                        "{} was acknowledged as revision {revision}, but fits nothing that the stack may have been",
                        asked.word()
                    ));
                }
                self.possible = unique(possible);
                self.at = Some((*stack_id, *revision));
                Ok(())
            }
        }
    }

    /// What it may have contained just before it came to this revision, or at it, if nothing changed. Revisions that
    /// nobody was told of must be unknown changes.
    fn before(
        &self,
        stack_id: u64,
        revision: u64,
        changed: bool,
    ) -> Result<Vec<Option<Content>>, String> {
        let revision = revision.saturating_sub(u64::from(changed));
        match self.at {
            Some((id, known)) if id == stack_id => match revision.checked_sub(known) {
                Some(steps) => Ok(self.reachable(&self.possible, steps)),
                None => Err(format!("it is at revision {revision}, and was at {known}")),
            },
            Some((id, _)) if id > stack_id => Err(format!("stack {stack_id} is older than {id}")),
            _ if self.may_be_gone() => Ok(self.reachable(&[None], revision)),
            _ => Err("it was made anew, though nobody deleted it".to_owned()),
        }
    }

    fn may_be_gone(&self) -> bool {
        self.possible.contains(&None) || self.unknown.contains(&Asked::Delete)
    }

    /// What it may contain after up to so many of the unknown changes, in any order.
    fn reachable(&self, from: &[Option<Content>], steps: u64) -> Vec<Option<Content>> {
        let mut seen: BTreeSet<Option<Content>> = from.iter().cloned().collect();
        let mut edge = from.to_vec();
        for _ in 0..steps.min(self.unknown.len() as u64) {
            let mut next = Vec::new();
            for base in &edge {
                for asked in &self.unknown {
                    if let Some(after) = asked.on(base)
                        && seen.insert(after.clone())
                    {
                        next.push(after);
                    }
                }
            }
            assert!(
                seen.len() <= MOST_POSSIBILITIES,
                "too many outcomes are unknown to judge by"
            );
            edge = next;
        }
        seen.into_iter().collect()
    }

    /// What it may contain in the end, when it is found at this id and revision (`None`: not found).
    ///
    /// # Errors
    /// When it can not be there: older than what was acknowledged, or gone though nobody may have deleted it.
    pub fn finally(&self, at: Option<(u64, u64)>) -> Result<Vec<Option<Content>>, String> {
        let Some((stack_id, revision)) = at else {
            return if self.may_be_gone() {
                Ok(vec![None])
            } else {
                Err(format!(
                    "it is gone from {:?}, and nobody deleted it",
                    self.at
                ))
            };
        };
        let there = self.before(stack_id, revision, false)?;
        Ok(there.into_iter().filter(Option::is_some).collect())
    }
}

fn unique(mut contents: Vec<Option<Content>>) -> Vec<Option<Content>> {
    contents.sort();
    contents.dedup();
    contents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chance, chaos::content::draw_content};

    fn ok(stack_id: u64, revision: u64) -> Outcome {
        Outcome::Ok {
            stack_id,
            revision,
            changed: true,
            index: revision,
        }
    }

    fn contents() -> (Content, Content, Content) {
        let mut chance = Chance::of(1);
        let mut one = || draw_content(&mut chance);
        (one(), one(), one())
    }

    #[test]
    fn an_acknowledged_change_that_is_lost_is_found_out() {
        let (a, b, _) = contents();
        let mut known = Known::default();
        known.take(&Asked::Create(a.clone()), &ok(5, 1)).unwrap();
        known.take(&Asked::Up(b.clone()), &ok(5, 2)).unwrap();
        assert_eq!(known.finally(Some((5, 2))).unwrap(), [Some(b)]);
        assert!(known.finally(Some((5, 1))).is_err());
        assert!(known.finally(None).is_err());
    }

    #[test]
    fn an_unknown_change_may_have_happened_or_not() {
        let (a, b, c) = contents();
        let mut known = Known::default();
        known.take(&Asked::Create(a.clone()), &ok(5, 1)).unwrap();
        let unknown = Outcome::Unknown("lost".into());
        known.take(&Asked::Up(b.clone()), &unknown).unwrap();
        assert_eq!(known.finally(Some((5, 1))).unwrap(), [Some(a.clone())]);
        assert!(known.finally(Some((5, 2))).unwrap().contains(&Some(b)));
        assert_eq!(known.certain(), Some(&Some(a.clone())));
        known.take(&Asked::Up(c.clone()), &ok(5, 3)).unwrap();
        assert_eq!(known.finally(Some((5, 3))).unwrap(), [Some(c)]);
    }

    #[test]
    fn a_patch_on_what_an_unknown_change_may_have_made_may_have_two_outcomes() {
        let (a, b, _) = contents();
        let mut known = Known::default();
        known.take(&Asked::Create(a.clone()), &ok(5, 1)).unwrap();
        let unknown = Outcome::Unknown("lost".into());
        known.take(&Asked::Up(b.clone()), &unknown).unwrap();
        let nothing = Asked::Patch(Patch::default());
        known.take(&nothing, &ok(5, 3)).unwrap();
        assert_eq!(known.certain(), None);
        let mut follows = Known::default();
        follows.take(&Asked::Create(a.clone()), &ok(5, 1)).unwrap();
        follows.take(&Asked::Up(b), &unknown).unwrap();
        follows.take(&nothing, &ok(5, 2)).unwrap();
        assert_eq!(follows.certain(), Some(&Some(a)));
    }

    #[test]
    fn revisions_never_go_back() {
        let (a, b, _) = contents();
        let mut known = Known::default();
        known.take(&Asked::Create(a), &ok(5, 3)).unwrap();
        assert!(known.take(&Asked::Up(b), &ok(5, 3)).is_err());
    }

    #[test]
    fn a_stack_that_came_back_after_its_deletion_is_found_out() {
        let (a, _, _) = contents();
        let mut known = Known::default();
        known.take(&Asked::Create(a), &ok(5, 1)).unwrap();
        known.take(&Asked::Delete, &ok(5, 2)).unwrap();
        assert_eq!(known.finally(None).unwrap(), [None]);
        assert_eq!(known.finally(Some((5, 2))).unwrap(), []);
    }
}
