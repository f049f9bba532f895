//! Puts nodes together as a reader comes upon them, and holds the limits. Knows no syntax.

use super::{Node, NodeKind, SyntaxError, Tree};
use crate::limits::Limits;
use crate::lookup::LookupTable;
use crate::problem::Position;
use crate::scalar::{self, Scalar};

/// Below this many keys, comparing each with each is cheaper than hashing.
const FEW_KEYS: usize = 8;

/// A list or map that is being read.
struct Open {
    index: usize,
    children: u32,
    anchor: usize,
    /// The map has a `<<` key, to be replaced by what it names.
    merges: bool,
}

/// What an anchor marks.
#[derive(Clone, Copy)]
struct Marked {
    start: usize,
    end: usize,
    /// Levels inside it.
    height: usize,
    text_bytes: usize,
}

pub(super) struct Builder<'l> {
    limits: &'l Limits,
    tree: Tree,
    open: Vec<Open>,
    anchors: Vec<Option<Marked>>,
    alias_nodes: usize,
    alias_bytes: usize,
    done: bool,
}

impl<'l> Builder<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            tree: Tree::default(),
            open: Vec::new(),
            anchors: Vec::new(),
            alias_nodes: 0,
            alias_bytes: 0,
            done: false,
        }
    }

    fn push(
        &mut self,
        kind: NodeKind,
        position: Position,
        first: usize,
        second: usize,
    ) -> Result<(), SyntaxError> {
        let fit = |n: usize| {
            u32::try_from(n).map_err(|_| SyntaxError::new(position, "the text is too large"))
        };
        let node = Node {
            kind,
            position,
            first: fit(first)?,
            second: fit(second)?,
        };
        fit(self.tree.nodes.len())?;
        self.tree.nodes.push(node);
        Ok(())
    }

    /// Counts a child of what is open; refuses lists and maps as keys.
    fn enter(&mut self, scalar: bool, position: Position) -> Result<bool, SyntaxError> {
        let Some(open) = self.open.last_mut() else {
            if self.done {
                return Err(SyntaxError::new(position, "more than one document"));
            }
            return Ok(false);
        };
        open.children += 1;
        let is_key = self.tree.nodes[open.index].kind == NodeKind::Map && open.children % 2 == 1;
        if is_key && !scalar {
            return Err(SyntaxError::new(position, "a list or map cannot be a key"));
        }
        Ok(is_key)
    }

    /// A scalar. Plain ones are resolved; keys become text, as JSON would have them.
    pub(super) fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        anchor: usize,
        position: Position,
    ) -> Result<(), SyntaxError> {
        if text.len() > self.limits.scalar_bytes {
            let message = format!(
                "the value is {} bytes long; at most {} are taken",
                text.len(),
                self.limits.scalar_bytes
            );
            return Err(SyntaxError::new(position, message));
        }
        let is_key = self.enter(true, position)?;
        let resolved = if plain {
            scalar::resolve(text)
        } else {
            Scalar::Text
        };
        let start = self.tree.text.len();
        if is_key {
            if plain && text == "<<" {
                self.open.last_mut().expect("a key is in a map").merges = true;
            }
            self.push_key_text(text, resolved, position)?;
        } else {
            self.tree.text.push_str(text);
        }
        let kind = match resolved {
            _ if is_key => NodeKind::Text,
            Scalar::Null => NodeKind::Null,
            Scalar::Bool(value) => NodeKind::Bool(value),
            Scalar::Int => NodeKind::Int,
            Scalar::Float => NodeKind::Float,
            Scalar::Text => NodeKind::Text,
        };
        let end = self.tree.text.len();
        let index = self.tree.nodes.len();
        self.push(kind, position, start, end - start)?;
        self.close_node(index, anchor, 0, end - start);
        Ok(())
    }

    fn push_key_text(
        &mut self,
        text: &str,
        resolved: Scalar,
        position: Position,
    ) -> Result<(), SyntaxError> {
        let out_of_range = || {
            SyntaxError::new(
                position,
                "the number is out of range; quote it if it is meant as text",
            )
        };
        match resolved {
            Scalar::Text => self.tree.text.push_str(text),
            Scalar::Null => self.tree.text.push_str("null"),
            Scalar::Bool(true) => self.tree.text.push_str("true"),
            Scalar::Bool(false) => self.tree.text.push_str("false"),
            Scalar::Int => self
                .tree
                .text
                .push_str(&scalar::int_of(text).ok_or_else(out_of_range)?.to_string()),
            Scalar::Float => self
                .tree
                .text
                .push_str(&scalar::float_of(text).ok_or_else(out_of_range)?.to_string()),
        }
        Ok(())
    }

    pub(super) fn start(
        &mut self,
        kind: NodeKind,
        anchor: usize,
        position: Position,
    ) -> Result<(), SyntaxError> {
        self.enter(false, position)?;
        if self.open.len() >= self.limits.nesting {
            let message = format!("nested deeper than {} levels", self.limits.nesting);
            return Err(SyntaxError::new(position, message));
        }
        let index = self.tree.nodes.len();
        self.push(kind, position, 0, 0)?;
        self.open.push(Open {
            index,
            children: 0,
            anchor,
            merges: false,
        });
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        let open = self.open.pop().expect("a reader ends only what it started");
        if open.merges {
            self.merge(open.index)?;
        } else {
            let is_map = self.tree.nodes[open.index].kind == NodeKind::Map;
            self.seal(
                open.index,
                if is_map {
                    open.children / 2
                } else {
                    open.children
                },
            );
        }
        self.check_keys(open.index);
        if open.anchor > 0 {
            let (height, bytes) = self.measure(open.index);
            self.close_node(open.index, open.anchor, height, bytes);
        } else if self.open.is_empty() {
            self.done = true;
        }
        Ok(())
    }

    fn seal(&mut self, index: usize, children: u32) {
        let content = self.tree.nodes.len() - index - 1;
        let node = &mut self.tree.nodes[index];
        node.first = children;
        node.second = content as u32;
    }

    fn close_node(&mut self, index: usize, anchor: usize, height: usize, text_bytes: usize) {
        if anchor > 0 {
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, None);
            }
            let end = self.tree.nodes.len();
            self.anchors[anchor] = Some(Marked {
                start: index,
                end,
                height,
                text_bytes,
            });
        }
        if self.open.is_empty() {
            self.done = true;
        }
    }

    /// Levels inside a finished list or map, and bytes of its scalars.
    fn measure(&self, index: usize) -> (usize, usize) {
        let mut ends: Vec<usize> = Vec::new();
        let (mut height, mut bytes) = (0, 0);
        for at in index..self.tree.nodes.len() {
            while ends.last().is_some_and(|end| *end <= at) {
                ends.pop();
            }
            let node = &self.tree.nodes[at];
            if matches!(node.kind, NodeKind::List | NodeKind::Map) {
                ends.push(at + 1 + node.second as usize);
                height = height.max(ends.len());
            } else {
                bytes += node.second as usize;
            }
        }
        (height, bytes)
    }

    /// Notes keys that occur twice: the tree is whole without them, so that other problems can be found too.
    fn check_keys(&mut self, index: usize) {
        let map = super::NodeRef {
            tree: &self.tree,
            index: index as u32,
        };
        let Some(entries) = map.entries() else { return };
        let mut found = Vec::new();
        let mut duplicate = |entry: super::Entry<'_>| {
            let message = format!("the key {:?} occurs twice", entry.name());
            found.push(SyntaxError::new(entry.key.position(), message));
        };
        if map.len() <= FEW_KEYS {
            let mut seen = [""; FEW_KEYS];
            for (count, entry) in entries.enumerate() {
                if seen[..count].contains(&entry.name()) {
                    duplicate(entry);
                }
                seen[count] = entry.name();
            }
        } else {
            let mut seen = LookupTable::with_capacity(map.len());
            for entry in entries {
                if !seen.insert_new(entry.name(), ()) {
                    duplicate(entry);
                }
            }
        }
        let room = self.limits.problems.saturating_sub(self.tree.faults.len());
        self.tree.faults.extend(found.into_iter().take(room));
    }

    /// An alias: a copy of what its anchor marks, within the budget.
    pub(super) fn alias(&mut self, anchor: usize, position: Position) -> Result<(), SyntaxError> {
        let Some(marked) = self.anchors.get(anchor).copied().flatten() else {
            return Err(SyntaxError::new(
                position,
                "an alias inside of what it stands for",
            ));
        };
        let is_key = self.enter(marked.height == 0, position)?;
        if self.open.len() + marked.height > self.limits.nesting {
            let message = format!("nested deeper than {} levels", self.limits.nesting);
            return Err(SyntaxError::new(position, message));
        }
        let nodes = marked.end - marked.start;
        self.alias_nodes += nodes;
        self.alias_bytes += marked.text_bytes;
        if self.alias_nodes > self.limits.alias_nodes || self.alias_bytes > self.limits.alias_bytes
        {
            let message = format!(
                "aliases stand for more than {} nodes or {} bytes",
                self.limits.alias_nodes, self.limits.alias_bytes
            );
            return Err(SyntaxError::new(position, message));
        }
        if is_key {
            let key = self.tree.nodes[marked.start];
            self.push(
                NodeKind::Text,
                position,
                key.first as usize,
                key.second as usize,
            )?;
            return Ok(());
        }
        self.tree.nodes.extend_from_within(marked.start..marked.end);
        Ok(())
    }

    /// Replaces the `<<` keys of the map at `index`, the last one read, by the entries of the maps they name.
    fn merge(&mut self, index: usize) -> Result<(), SyntaxError> {
        let content = self.tree.nodes.split_off(index + 1);
        let mut own: Vec<(usize, usize)> = Vec::new();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        let span = |at: usize| match content[at].kind {
            NodeKind::List | NodeKind::Map => content[at].second as usize + 1,
            _ => 1,
        };
        let mut at = 0;
        while at < content.len() {
            let key = &content[at];
            let (value, end) = (at + 1, at + 1 + span(at + 1));
            let name = &self.tree.text[key.first as usize..(key.first + key.second) as usize];
            if name == "<<" {
                merge_sources(&content, value, &span, &mut merged)?;
            } else {
                own.push((at, end));
            }
            at = end;
        }
        let name_of = |at: usize| {
            let key = &content[at];
            &self.tree.text[key.first as usize..(key.first + key.second) as usize]
        };
        let mut names: LookupTable<&str, ()> =
            own.iter().map(|(at, _)| (name_of(*at), ())).collect();
        own.extend(
            merged
                .into_iter()
                .filter(|(at, _)| names.insert_new(name_of(*at), ())),
        );
        for (start, end) in &own {
            self.tree.nodes.extend_from_slice(&content[*start..*end]);
        }
        self.seal(index, own.len() as u32);
        Ok(())
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn finish(self) -> Result<Tree, SyntaxError> {
        if self.tree.nodes.is_empty() {
            return Err(SyntaxError::new(Position::default(), "the text is empty"));
        }
        Ok(self.tree)
    }
}

/// Adds the entries of the map, or list of maps, at `value`; the first to have a key wins.
fn merge_sources(
    content: &[Node],
    value: usize,
    span: &impl Fn(usize) -> usize,
    merged: &mut Vec<(usize, usize)>,
) -> Result<(), SyntaxError> {
    let end = value + span(value);
    match content[value].kind {
        NodeKind::Map => {
            let mut at = value + 1;
            while at < end {
                let next = at + 1 + span(at + 1);
                merged.push((at, next));
                at = next;
            }
            Ok(())
        }
        NodeKind::List => {
            let mut at = value + 1;
            while at < end {
                if content[at].kind != NodeKind::Map {
                    break;
                }
                merge_sources(content, at, span, merged)?;
                at += span(at);
            }
            if at < end {
                Err(not_mergeable(&content[at]))
            } else {
                Ok(())
            }
        }
        _ => Err(not_mergeable(&content[value])),
    }
}

fn not_mergeable(node: &Node) -> SyntaxError {
    SyntaxError::new(node.position, "<< takes a map or a list of maps")
}
