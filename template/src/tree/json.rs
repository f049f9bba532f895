//! Reads JSON, in one pass and with positions, without recursion. Knows nothing of YAML.

use super::builder::Builder;
use super::{NodeKind, SyntaxError, Tree};
use crate::limits::Limits;
use crate::problem::Position;

/// A text that starts like JSON but is not may be YAML's flow style, up to this many bytes.
pub(super) const FLOW_STYLE_BYTES: usize = 1 << 20;

pub(super) fn read(text: &str, limits: &Limits) -> Result<Tree, SyntaxError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        counted: 0,
        column: 1,
        builder: Builder::new(limits),
        open: Vec::new(),
    };
    reader.document()?;
    reader.builder.finish()
}

struct Reader<'a, 'l> {
    text: &'a str,
    at: usize,
    line: u32,
    /// Up to where `column` is counted: a text on one line must not be counted from its start each time.
    counted: usize,
    column: u32,
    builder: Builder<'l>,
    /// Closing brackets that are owed.
    open: Vec<u8>,
}

impl Reader<'_, '_> {
    fn position(&mut self) -> Position {
        let passed = self.text[self.counted..self.at].chars().count();
        self.column = self
            .column
            .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.counted = self.at;
        Position {
            line: self.line,
            column: self.column,
        }
    }

    fn error<T>(&mut self, what: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError::new(
            self.position(),
            format!("not valid JSON: {what}"),
        ))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.counted = self.at;
                self.column = 1;
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), SyntaxError> {
        self.skip_space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        self.error(&format!("expected {:?}", char::from(byte)))
    }

    fn document(&mut self) -> Result<(), SyntaxError> {
        self.value()?;
        while let Some(closing) = self.open.last().copied() {
            self.skip_space();
            if self.peek() == Some(b',') {
                self.at += 1;
                self.member(closing)?;
            } else if self.peek() == Some(closing) {
                self.at += 1;
                self.open.pop();
                self.builder.end()?;
            } else {
                return self.error(&format!("expected ',' or {:?}", char::from(closing)));
            }
        }
        self.skip_space();
        if self.at < self.text.len() {
            return self.error("something follows the end");
        }
        Ok(())
    }

    /// One item of a list, or one key with its value.
    fn member(&mut self, closing: u8) -> Result<(), SyntaxError> {
        if closing == b'}' {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.error("expected a key in double quotes");
            }
            self.string()?;
            self.expect(b':')?;
        }
        self.value()
    }

    /// A value; of a list or map, the opening and what comes first in it, as often as that opens another.
    fn value(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.skip_space();
            let (kind, closing) = match self.peek() {
                Some(b'{') => (NodeKind::Map, b'}'),
                Some(b'[') => (NodeKind::List, b']'),
                Some(b'"') => return self.string(),
                Some(_) => return self.bare(),
                None => return self.error("it ends too early"),
            };
            let position = self.position();
            self.builder.start(kind, 0, position)?;
            self.at += 1;
            self.skip_space();
            if self.peek() == Some(closing) {
                self.at += 1;
                return self.builder.end();
            }
            self.open.push(closing);
            if closing == b'}' {
                if self.peek() != Some(b'"') {
                    return self.error("expected a key in double quotes");
                }
                self.string()?;
                self.expect(b':')?;
            }
        }
    }

    /// A number, true, false or null.
    fn bare(&mut self) -> Result<(), SyntaxError> {
        let position = self.position();
        let rest = &self.text[self.at..];
        let length = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
            .count();
        let word = &rest[..length];
        let known = matches!(word, "true" | "false" | "null");
        let number = if known {
            None
        } else {
            serde_json::from_str::<serde_json::Number>(word).ok()
        };
        if known || number.as_ref().is_some_and(|n| !n.is_f64()) {
            self.builder.scalar(word, true, 0, position)?;
        } else if let Some(number) = number {
            // YAML would not know `1e5` for a number: written out in a form that it does.
            self.builder.scalar(
                &crate::value::float_text(number.as_f64().unwrap_or_default()),
                true,
                0,
                position,
            )?;
        } else {
            return self.error("expected a value");
        }
        self.at += length;
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        let position = self.position();
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        let mut escaped = false;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(byte) if *byte < 0x20 => {
                    self.at = at;
                    return self.error("a control character in a string");
                }
                Some(_) => at += 1,
                None => return self.error("a string without end"),
            }
        }
        self.at = at + 1;
        let raw = &self.text[start..self.at];
        if !escaped {
            return self
                .builder
                .scalar(&raw[1..raw.len() - 1], false, 0, position);
        }
        match serde_json::from_str::<String>(raw) {
            Ok(text) => self.builder.scalar(&text, false, 0, position),
            Err(_) => Err(SyntaxError::new(
                position,
                "not valid JSON: an escape that does not exist",
            )),
        }
    }
}
