//! Parts of a text that are plain data: their values, and their normal form as JSON. Knows no functions.

use serde_json::Value as Json;

use crate::body::{write_number, write_text};
use crate::problem::{Collector, Reported, SourceId};
use crate::tree::{NodeKind, NodeRef};
use crate::value::{Entries, Value};

/// Where a reader of a section tells its problems.
pub(crate) struct Reporter<'c> {
    pub(crate) collector: &'c mut Collector,
    pub(crate) source: SourceId,
}

impl Reporter<'_> {
    pub(crate) fn error(
        &mut self,
        node: NodeRef<'_>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Reported {
        self.collector
            .error(self.source, node.position(), path.into(), message)
    }

    pub(crate) fn warning(
        &mut self,
        node: NodeRef<'_>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.collector
            .warning(self.source, node.position(), path.into(), message);
    }

    /// An error about a key or word that is not known.
    pub(crate) fn unknown<'w>(
        &mut self,
        node: NodeRef<'_>,
        path: impl Into<String>,
        what: &str,
        word: &str,
        known: impl Iterator<Item = &'w str>,
    ) -> Reported {
        let message = format!("unknown {what} {word:?}");
        self.collector.unknown_word(
            self.source,
            node.position(),
            path.into(),
            message,
            word,
            known,
        )
    }

    /// A number that 64 bits or JSON cannot hold.
    pub(crate) fn bad_number(&mut self, node: NodeRef<'_>, path: impl Into<String>) -> Reported {
        let message = format!(
            "{} is no number that can be held; quote it if it is meant as text",
            node.written()
        );
        self.error(node, path, message)
    }

    /// The value of a part that is plain data.
    pub(crate) fn literal(&mut self, node: NodeRef<'_>, path: &str) -> Result<Value, Reported> {
        Ok(match node.kind() {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(flag) => Value::Bool(flag),
            NodeKind::Int | NodeKind::Float => match node.number() {
                Some(number) => Value::Number(number),
                None => return Err(self.bad_number(node, path)),
            },
            NodeKind::Text => Value::Text(node.written().to_owned()),
            NodeKind::List => {
                let items = node.items().into_iter().flatten();
                Value::List(
                    items
                        .map(|item| self.literal(item, path))
                        .collect::<Result<_, _>>()?,
                )
            }
            NodeKind::Map => {
                let mut entries = Entries::with_capacity(node.len());
                for entry in node.entries().into_iter().flatten() {
                    entries.insert(entry.name().to_owned(), self.literal(entry.value, path)?);
                }
                Value::Map(entries)
            }
        })
    }

    /// The same as JSON.
    pub(crate) fn literal_json(&mut self, node: NodeRef<'_>, path: &str) -> Result<Json, Reported> {
        self.literal(node, path).map(|value| value.to_json())
    }

    /// Text, or an error; null is none.
    pub(crate) fn text<'t>(
        &mut self,
        node: NodeRef<'t>,
        path: impl Into<String>,
    ) -> Option<&'t str> {
        match node.kind() {
            NodeKind::Null => None,
            NodeKind::Map | NodeKind::List => {
                self.error(
                    node,
                    path,
                    format!("must be a string, not {}", node.in_words()),
                );
                None
            }
            _ => Some(node.written()),
        }
    }

    /// A boolean, or an error. Words that Heat takes for one are taken.
    pub(crate) fn flag(&mut self, node: NodeRef<'_>, path: impl Into<String>) -> Option<bool> {
        match node.kind() {
            NodeKind::Bool(flag) => return Some(flag),
            NodeKind::Text if node.written().eq_ignore_ascii_case("true") => return Some(true),
            NodeKind::Text if node.written().eq_ignore_ascii_case("false") => return Some(false),
            _ => {}
        }
        self.error(
            node,
            path,
            format!("must be true or false, not {}", node.in_words()),
        );
        None
    }
}

/// Writes a part of a text as JSON. `written`: nodes that stand for their text, not for the number that
/// YAML makes of it.
pub(crate) fn write_json(node: NodeRef<'_>, written: &[u32], out: &mut String) {
    match node.kind() {
        NodeKind::Null => out.push_str("null"),
        _ if written.contains(&node.index()) => write_text(node.written(), out),
        NodeKind::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
        NodeKind::Int | NodeKind::Float => match node.number() {
            Some(number) => write_number(&number, out),
            None => write_text(node.written(), out),
        },
        NodeKind::Text => write_text(node.written(), out),
        NodeKind::List => {
            out.push('[');
            for (count, item) in node.items().into_iter().flatten().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_json(item, written, out);
            }
            out.push(']');
        }
        NodeKind::Map => {
            out.push('{');
            for (count, entry) in node.entries().into_iter().flatten().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_text(entry.name(), out);
                out.push(':');
                write_json(entry.value, written, out);
            }
            out.push('}');
        }
    }
}
