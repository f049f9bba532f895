//! Where in a text something is that only those find wrong who know more than the compiler.
//!
//! Reads the text again: it is asked for when something is wrong, and not before.

use crate::limits::Limits;
use crate::problem::Position;
use crate::tree::Tree;

/// One step into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'p> {
    /// To the value of a key.
    Key(&'p str),
    /// To an item of a list, from 0.
    Item(usize),
}

/// The places in one text.
#[derive(Debug)]
pub struct Places {
    tree: Option<Tree>,
}

impl Places {
    /// Of a text that was compiled; one that can't be read has none.
    pub fn of(text: &str, limits: &Limits) -> Self {
        Self {
            tree: Tree::read(text, limits).ok(),
        }
    }

    /// Where the value at the end of a path stands, or the last on the way to it that is written out: what a function
    /// makes has no place but the function's. `None` if not even the first `needed` steps are.
    pub fn find(&self, path: &[Step<'_>], needed: usize) -> Option<Position> {
        let mut node = self.tree.as_ref()?.root();
        for (taken, step) in path.iter().enumerate() {
            let next = match step {
                Step::Key(key) => node.get(key),
                Step::Item(item) => node.items().and_then(|mut items| items.nth(*item)),
            };
            match next {
                Some(next) => node = next,
                None if taken < needed => return None,
                None => break,
            }
        }
        Some(node.position())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "resources:\n  page:\n    properties:\n      modes: [1, two]\n      content: { get_file: x }\n";

    fn find(path: &[Step<'_>]) -> Option<(u32, u32)> {
        let found = Places::of(TEXT, &Limits::default()).find(path, 1);
        found.map(|position| (position.line, position.column))
    }

    #[test]
    fn a_path_is_followed_as_far_as_it_is_written() {
        use Step::{Item, Key};
        let page = [Key("resources"), Key("page"), Key("properties")];
        assert_eq!(
            find(&[&page[..], &[Key("modes"), Item(1)]].concat()),
            Some((4, 18))
        );
        let made = [&page[..], &[Key("content"), Key("deep"), Item(3)]].concat();
        assert_eq!(find(&made), Some((5, 16)));
        assert_eq!(find(&[Key("outputs")]), None);
    }
}
