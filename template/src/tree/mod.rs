//! A text as a tree with positions: all nodes in one array in reading order, all scalars in one string.
//! Knows YAML and JSON, nothing of templates.
//!
//! A node is 20 bytes and a list or map is followed by its content, so the tree of a template of 10^6
//! resources costs about as much memory as its text.

mod builder;
mod json;
mod yaml;

use serde_json::Number;

use crate::limits::Limits;
use crate::problem::Position;
use crate::scalar;

/// Why a text has no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) position: Position,
    pub(crate) message: String,
}

impl SyntaxError {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
        }
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Null,
    Bool(bool),
    /// An unquoted whole number; its text is as written.
    Int,
    /// An unquoted number with a fraction; its text is as written.
    Float,
    Text,
    List,
    Map,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: NodeKind,
    position: Position,
    /// Scalar: where its text starts. List, map: how many items or entries.
    first: u32,
    /// Scalar: length of its text. List, map: how many nodes its content takes.
    second: u32,
}

/// A text's tree. Never empty: the root is node 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    text: String,
    faults: Vec<SyntaxError>,
}

impl Tree {
    /// Reads YAML or JSON, within the limits.
    pub(crate) fn read(text: &str, limits: &Limits) -> Result<Self, SyntaxError> {
        if text.len() > limits.text_bytes {
            let message = format!(
                "the text is {} bytes long; at most {} are taken",
                text.len(),
                limits.text_bytes
            );
            return Err(SyntaxError::new(Position::default(), message));
        }
        if !text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .starts_with('{')
        {
            return yaml::read(text, limits);
        }
        // The YAML scanner holds every token of a flow collection before it gives the first, and knows no
        // surrogate pairs; JSON is read by its own small reader. A small text may still be YAML's flow style.
        match json::read(text, limits) {
            Err(error) if text.len() <= json::FLOW_STYLE_BYTES => {
                yaml::read(text, limits).map_err(|_| error)
            }
            result => result,
        }
    }

    /// What is wrong with the text although it has a tree: keys that occur twice. The first ones only.
    pub(crate) fn faults(&self) -> &[SyntaxError] {
        &self.faults
    }

    pub(crate) fn root(&self) -> NodeRef<'_> {
        NodeRef {
            tree: self,
            index: 0,
        }
    }
}

/// A node, to be walked from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeRef<'t> {
    tree: &'t Tree,
    index: u32,
}

impl<'t> NodeRef<'t> {
    fn node(self) -> &'t Node {
        &self.tree.nodes[self.index as usize]
    }

    pub(crate) fn kind(self) -> NodeKind {
        self.node().kind
    }

    pub(crate) fn position(self) -> Position {
        self.node().position
    }

    /// Identifies the node within its tree.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// How many nodes this one and what is in it are.
    fn span(self) -> u32 {
        let node = self.node();
        match node.kind {
            NodeKind::List | NodeKind::Map => node.second + 1,
            _ => 1,
        }
    }

    /// The text of a scalar as written (without quotes and escapes); empty for lists and maps.
    pub(crate) fn written(self) -> &'t str {
        let node = self.node();
        match node.kind {
            NodeKind::List | NodeKind::Map => "",
            _ => &self.tree.text[node.first as usize..(node.first + node.second) as usize],
        }
    }

    /// The text, if the node is text.
    pub(crate) fn text(self) -> Option<&'t str> {
        (self.kind() == NodeKind::Text).then(|| self.written())
    }

    /// The number, if the node is one that fits.
    pub(crate) fn number(self) -> Option<Number> {
        match self.kind() {
            NodeKind::Int => scalar::int_of(self.written()),
            NodeKind::Float => scalar::float_of(self.written()),
            _ => None,
        }
    }

    /// Items of a list or entries of a map.
    pub(crate) fn len(self) -> usize {
        match self.kind() {
            NodeKind::List | NodeKind::Map => self.node().first as usize,
            _ => 0,
        }
    }

    fn content(self) -> Content<'t> {
        let end = self.index + self.span();
        Content {
            tree: self.tree,
            next: self.index + 1,
            end,
        }
    }

    /// The items, if the node is a list.
    pub(crate) fn items(self) -> Option<impl Iterator<Item = NodeRef<'t>>> {
        (self.kind() == NodeKind::List).then(|| self.content())
    }

    /// The entries, if the node is a map. Keys are text and differ.
    pub(crate) fn entries(self) -> Option<impl Iterator<Item = Entry<'t>>> {
        (self.kind() == NodeKind::Map).then(|| {
            let mut content = self.content();
            std::iter::from_fn(move || {
                let key = content.next()?;
                let value = content.next().expect("a map has a value to every key");
                Some(Entry { key, value })
            })
        })
    }

    /// The value of a key, if the node is a map that has it. Looks at every key: for small maps.
    pub(crate) fn get(self, name: &str) -> Option<NodeRef<'t>> {
        self.entries()?
            .find(|entry| entry.name() == name)
            .map(|entry| entry.value)
    }

    /// What the node is, in words, for messages.
    pub(crate) fn in_words(self) -> &'static str {
        match self.kind() {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Int | NodeKind::Float => "a number",
            NodeKind::Text => "a string",
            NodeKind::List => "a list",
            NodeKind::Map => "a map",
        }
    }
}

/// One entry of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) key: NodeRef<'t>,
    pub(crate) value: NodeRef<'t>,
}

impl<'t> Entry<'t> {
    pub(crate) fn name(self) -> &'t str {
        self.key.written()
    }
}

struct Content<'t> {
    tree: &'t Tree,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Content<'t> {
    type Item = NodeRef<'t>;

    fn next(&mut self) -> Option<NodeRef<'t>> {
        if self.next >= self.end {
            return None;
        }
        let node = NodeRef {
            tree: self.tree,
            index: self.next,
        };
        self.next += node.span();
        Some(node)
    }
}

#[cfg(test)]
mod tests;
