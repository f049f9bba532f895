//! Reads YAML, event by event. The only place that knows the YAML parser.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::builder::Builder;
use super::{NodeKind, SyntaxError, Tree};
use crate::limits::Limits;
use crate::problem::Position;

pub(super) fn read(text: &str, limits: &Limits) -> Result<Tree, SyntaxError> {
    let mut builder = Builder::new(limits);
    let mut parser = Parser::new_from_str(text.trim_start_matches('\u{feff}'));
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| scan_error(&error))?;
        let position = position_of(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = plainness(style, tag.as_deref(), position)?;
                builder.scalar(&text, plain, anchor, position)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), "seq", position)?;
                builder.start(NodeKind::List, anchor, position)?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), "map", position)?;
                builder.start(NodeKind::Map, anchor, position)?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.end()?,
            Event::Alias(anchor) => builder.alias(anchor, position)?,
            Event::DocumentStart(_) if builder.is_done() => {
                return Err(SyntaxError::new(position, "more than one document"));
            }
            Event::StreamEnd => break,
            _ => {}
        }
    }
    builder.finish()
}

fn position_of(marker: &Marker) -> Position {
    let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: bounded(marker.line()),
        column: bounded(marker.col() + 1),
    }
}

fn scan_error(error: &ScanError) -> SyntaxError {
    let message = match error.info() {
        "recursion limit exceeded" => "nested too deep".to_owned(),
        info => format!("not valid YAML: {info}"),
    };
    SyntaxError::new(position_of(error.marker()), message)
}

/// Whether a scalar is to be resolved, given its style and tag.
fn plainness(
    style: ScalarStyle,
    tag: Option<&Tag>,
    position: Position,
) -> Result<bool, SyntaxError> {
    let Some(tag) = tag else {
        return Ok(style == ScalarStyle::Plain);
    };
    if !tag.is_yaml_core_schema() {
        return refuse_tag(Some(tag), "", position).map(|()| false);
    }
    match tag.suffix.as_str() {
        "str" | "timestamp" => Ok(false),
        "int" | "float" | "bool" | "null" => Ok(true),
        _ => refuse_tag(Some(tag), "", position).map(|()| false),
    }
}

fn refuse_tag(tag: Option<&Tag>, allowed: &str, position: Position) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == allowed) => {
            let handle = if tag.is_yaml_core_schema() {
                "!!"
            } else {
                &tag.handle
            };
            Err(SyntaxError::new(
                position,
                format!("the tag {handle}{} is not taken", tag.suffix),
            ))
        }
        _ => Ok(()),
    }
}
