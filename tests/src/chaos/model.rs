//! One stack as a sequential object: what the history of its clients must be explained by.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fmt,
    hash::{Hash, Hasher},
    rc::Rc,
};

use super::{
    content::Content,
    history::{Asked, Outcome},
    record::{Did, Recorded},
};
use crate::judge::{Seen, linear::Model};

/// What a stack is between two operations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stack {
    /// There is none.
    Absent {
        /// The last that there was had this id, if anybody was told it.
        after: u64,
    },
    /// There is one.
    Present(There),
}

/// A stack that is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct There {
    /// 0: it was made by a request whose outcome is unknown, and nobody was told.
    id: u64,
    /// The one before it had this id.
    after: u64,
    paused: bool,
    /// It is to go, and goes at any time.
    deleting: bool,
    past: Past,
}

/// The content of every revision, the first first. The present one is the last.
#[derive(Clone)]
struct Past {
    /// Of all of them in order.
    digest: u64,
    contents: Rc<Vec<Rc<Content>>>,
}

impl Past {
    fn first(content: &Content) -> Self {
        let none = Self {
            digest: 0,
            contents: Rc::default(),
        };
        none.with(content)
    }

    fn with(&self, content: &Content) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.digest, content).hash(&mut hasher);
        let mut contents = self.contents.to_vec();
        contents.push(Rc::new(content.clone()));
        Self {
            digest: hasher.finish(),
            contents: Rc::new(contents),
        }
    }

    fn revision(&self) -> u64 {
        self.contents.len() as u64
    }

    fn at(&self, revision: u64) -> Option<&Content> {
        let place = usize::try_from(revision.checked_sub(1)?).ok()?;
        self.contents.get(place).map(|content| &**content)
    }
}

impl PartialEq for Past {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, self.revision()) == (other.digest, other.revision())
    }
}

impl Eq for Past {}

impl Hash for Past {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.at(self.revision());
        write!(f, "revision {}: {:?}", self.revision(), now.map(values))
    }
}

fn values(content: &Content) -> BTreeMap<String, u64> {
    let values = content
        .iter()
        .map(|(name, item)| (name.clone(), item.value));
    values.collect()
}

impl There {
    fn content(&self) -> &Content {
        static NOTHING: Content = Content::new();
        self.past.at(self.past.revision()).unwrap_or(&NOTHING)
    }

    fn revised(&self, content: &Content, deleting: bool) -> Stack {
        Stack::Present(Self {
            paused: false,
            deleting,
            past: self.past.with(content),
            ..self.clone()
        })
    }

    /// The next revision, unless that would be the present one again.
    fn declared(&self, content: &Content) -> (Stack, bool) {
        match content == self.content() && !self.deleting {
            true => (Stack::Present(self.clone()), false),
            false => (self.revised(content, false), true),
        }
    }

    fn with_pause(&self, paused: bool) -> (Stack, bool) {
        let there = Self {
            paused,
            ..self.clone()
        };
        (Stack::Present(there), self.paused != paused)
    }

    /// What it becomes, and whether that is a change; `None`: the change is refused.
    fn change(&self, asked: &Asked, base: Option<u64>) -> Option<(Stack, bool)> {
        if self.has_moved(base) {
            return None;
        }
        Some(match asked {
            Asked::Create(_) => return None,
            Asked::Up(content) => self.declared(content),
            Asked::Patch(_) if self.deleting => return None,
            Asked::Patch(patch) => self.declared(&patch.on(self.content())?),
            // What the client believed it to contain does not matter.
            Asked::Rollback { to, .. } if *to == self.past.revision() && !self.deleting => {
                (Stack::Present(self.clone()), false)
            }
            Asked::Rollback { to, .. } => (self.revised(self.past.at(*to)?, false), true),
            Asked::Delete if self.deleting => (Stack::Present(self.clone()), false),
            Asked::Delete => (self.revised(&Content::new(), true), true),
            Asked::Pause => self.with_pause(true),
            Asked::Resume => self.with_pause(false),
        })
    }

    fn has_moved(&self, base: Option<u64>) -> bool {
        base.is_some_and(|base| base != self.past.revision())
    }

    /// Whether a change may be refused for this reason, whatever other reasons there are. `None`: the reason has nothing to
    /// do with the stack.
    fn refuses(&self, asked: &Asked, base: Option<u64>, reason: &str) -> Option<bool> {
        Some(match reason {
            // An `up` that another overtakes is told so in these words too.
            "stack_exists" => matches!(asked, Asked::Create(_) | Asked::Up(_)),
            "stack_not_found" => false,
            "deleting" => self.deleting && matches!(asked, Asked::Patch(_)),
            "base_moved" => self.has_moved(base),
            "revision_not_found" => {
                matches!(asked, Asked::Rollback { to, .. } if *to > self.past.revision())
            }
            "invalid_template" | "dangling_reference" => {
                matches!(asked, Asked::Patch(patch) if patch.on(self.content()).is_none())
            }
            _ => return None,
        })
    }

    /// With the id that was told, if it can be that.
    fn told(mut self, id: u64) -> Option<Self> {
        if self.id == 0 && id > self.after {
            self.id = id;
        }
        (self.id == id).then_some(self)
    }

    fn shows(&self, seen: &Seen) -> bool {
        let status = match seen.status.as_str() {
            "deleting" => self.deleting,
            "paused" => self.paused && !self.deleting,
            // Nothing is left to do, so that it is paused does not show.
            "converged" => !self.deleting,
            _ => !self.paused && !self.deleting,
        };
        status && self.past.revision() == seen.revision
    }
}

impl Stack {
    fn change(&self, asked: &Asked, base: Option<u64>) -> Option<(Self, bool)> {
        match (self, asked) {
            (Self::Present(there), _) => there.change(asked, base),
            (Self::Absent { after }, Asked::Create(content) | Asked::Up(content))
                if base.is_none() =>
            {
                let there = There {
                    id: 0,
                    after: *after,
                    paused: false,
                    deleting: false,
                    past: Past::first(content),
                };
                Some((Self::Present(there), true))
            }
            (Self::Absent { .. }, _) => None,
        }
    }

    /// What it may have become by itself: one that is to go may be gone.
    fn by_now(&self) -> Vec<Self> {
        let mut by_now = vec![self.clone()];
        if let Self::Present(there) = self
            && there.deleting
        {
            let after = there.id.max(there.after);
            by_now.push(Self::Absent { after });
        }
        by_now
    }

    fn told(self, id: u64, revision: u64) -> Option<Self> {
        match self {
            Self::Present(there) if there.past.revision() == revision => {
                there.told(id).map(Self::Present)
            }
            _ => None,
        }
    }

    /// As [`There::refuses`].
    fn refuses(&self, asked: &Asked, base: Option<u64>, reason: &str) -> Option<bool> {
        match self {
            Self::Present(there) => there.refuses(asked, base, reason),
            Self::Absent { .. } => Some(match reason {
                "stack_not_found" => !matches!(asked, Asked::Create(_)),
                "stack_exists" | "deleting" | "base_moved" | "revision_not_found"
                | "invalid_template" | "dangling_reference" => false,
                _ => return None,
            }),
        }
    }
}

/// The model of a stack's history.
pub(super) struct StackModel;

impl Model for StackModel {
    type State = Stack;
    type Operation = Recorded;

    fn begin(&self) -> Stack {
        Stack::Absent { after: 0 }
    }

    fn step(&self, state: &Stack, operation: &Recorded) -> Vec<Stack> {
        let step = |before: Stack| match &operation.did {
            Did::Changed {
                asked,
                base,
                outcome:
                    Outcome::Ok {
                        stack_id,
                        revision,
                        changed,
                        ..
                    },
            } => {
                let (after, has_changed) = before.change(asked, *base)?;
                let after = after.told(*stack_id, *revision)?;
                (has_changed == *changed).then_some(after)
            }
            Did::Changed {
                asked,
                base,
                outcome: Outcome::Refused(reason),
            } => match before.refuses(asked, *base, reason) {
                Some(refuses) => refuses.then_some(before),
                None => Some(state.clone()),
            },
            Did::Changed {
                asked,
                base,
                outcome: Outcome::Unknown(_),
            } => before.change(asked, *base).map(|(after, _)| after),
            Did::Shown(None) | Did::Read(None) => {
                matches!(before, Stack::Absent { .. }).then_some(before)
            }
            Did::Shown(Some(seen)) => match before {
                Stack::Present(there) if there.shows(seen) => {
                    there.told(seen.id).map(Stack::Present)
                }
                _ => None,
            },
            Did::Read(Some(read)) => match before {
                Stack::Present(there) if values(there.content()) == *read => {
                    Some(Stack::Present(there))
                }
                _ => None,
            },
        };
        let mut after: Vec<Stack> = state.by_now().into_iter().filter_map(step).collect();
        after.dedup();
        after
    }
}

#[cfg(test)]
mod tests;
