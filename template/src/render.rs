//! The stored template as YAML text: what compiles again to the very same. Knows no meaning.

use crate::body::{write_number, write_text};
use crate::limits::Limits;
use crate::scalar::{self, Scalar};
use crate::tree::{Entry, NodeKind, NodeRef, Tree};

/// A stored text is not what a compilation wrote. Never the user's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored text of {of} cannot be read: {message}")]
pub struct RenderError {
    /// Whose.
    pub of: String,
    /// Why.
    pub message: String,
}

/// Spaces per level.
const INDENT: usize = 2;

/// The whole template, from the text of its head ([`Head::text`](crate::Head)) and name and text of each
/// fragment ([`Fragment::text`](crate::Fragment)), in the order they come.
pub fn render_template<N: AsRef<str>, F: AsRef<str>>(
    head: &str,
    fragments: impl IntoIterator<Item = (N, F)>,
) -> Result<String, RenderError> {
    let head = tree("the head", head)?;
    let mut out = String::new();
    let mut outputs = None;
    for entry in head.root().entries().into_iter().flatten() {
        if entry.name() == "outputs" {
            outputs = Some(entry.value);
        } else {
            write_entry(entry.name(), entry.value, 0, &mut out);
        }
    }
    let before = out.len();
    out.push_str("resources:");
    let mut any = false;
    for (name, text) in fragments {
        if !any {
            out.push('\n');
        }
        any = true;
        let fragment = tree(name.as_ref(), text.as_ref())?;
        indent(INDENT, &mut out);
        write_entry(name.as_ref(), fragment.root(), INDENT, &mut out);
    }
    if !any {
        out.truncate(before);
        out.push_str("resources: {}\n");
    }
    if let Some(outputs) = outputs {
        write_entry("outputs", outputs, 0, &mut out);
    }
    Ok(out)
}

/// The text of a head without the defaults of hidden parameters, for those who may not see them. Taken as a template again,
/// it asks for their values.
///
/// # Errors
/// If it is no head.
pub fn hide_defaults(head: &str) -> Result<String, RenderError> {
    let head = tree("the head", head)?;
    let mut out = String::new();
    for entry in head.root().entries().into_iter().flatten() {
        let parameters = entry
            .value
            .entries()
            .filter(|_| entry.name() == "parameters");
        let Some(parameters) = parameters else {
            write_entry(entry.name(), entry.value, 0, &mut out);
            continue;
        };
        out.push_str("parameters:\n");
        for parameter in parameters {
            indent(INDENT, &mut out);
            match is_hidden(parameter.value) {
                true => write_without_default(parameter, &mut out),
                false => write_entry(parameter.name(), parameter.value, INDENT, &mut out),
            }
        }
    }
    Ok(out)
}

fn is_hidden(parameter: NodeRef<'_>) -> bool {
    let hidden = parameter.get("hidden");
    hidden.is_some_and(|hidden| !matches!(hidden.kind(), NodeKind::Bool(false)))
}

fn write_without_default(parameter: Entry<'_>, out: &mut String) {
    write_scalar_text(parameter.name(), None, out);
    out.push_str(":\n");
    for entry in parameter.value.entries().into_iter().flatten() {
        if entry.name() != "default" {
            indent(2 * INDENT, out);
            write_entry(entry.name(), entry.value, 2 * INDENT, out);
        }
    }
}

fn tree(of: &str, text: &str) -> Result<Tree, RenderError> {
    // What was taken once must be given back whatever the limits are by now.
    let limits = Limits {
        scalar_bytes: usize::MAX,
        text_bytes: usize::MAX,
        nesting: 256,
        ..Limits::default()
    };
    Tree::read(text, &limits).map_err(|error| RenderError {
        of: of.to_owned(),
        message: error.message,
    })
}

fn indent(spaces: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', spaces));
}

/// A key and its value; the key's own indentation stands already.
fn write_entry(key: &str, value: NodeRef<'_>, level: usize, out: &mut String) {
    write_scalar_text(key, None, out);
    out.push(':');
    if is_block(value) {
        out.push('\n');
        indent(level + INDENT, out);
        write_block(value, level + INDENT, out);
    } else {
        out.push(' ');
        write_scalar(value, level + INDENT, out);
        out.push('\n');
    }
}

fn is_block(value: NodeRef<'_>) -> bool {
    matches!(value.kind(), NodeKind::List | NodeKind::Map) && value.len() > 0
}

/// A list or map that has something in it; the first line's indentation stands already.
fn write_block(value: NodeRef<'_>, level: usize, out: &mut String) {
    let mut first = true;
    let mut next_line = |out: &mut String| {
        if !std::mem::take(&mut first) {
            indent(level, out);
        }
    };
    for entry in value.entries().into_iter().flatten() {
        next_line(out);
        write_entry(entry.name(), entry.value, level, out);
    }
    for item in value.items().into_iter().flatten() {
        next_line(out);
        out.push_str("- ");
        if is_block(item) {
            write_block(item, level + INDENT, out);
        } else {
            write_scalar(item, level + INDENT, out);
            out.push('\n');
        }
    }
}

/// A scalar, or an empty list or map. `level`: of the lines of a text with several.
fn write_scalar(value: NodeRef<'_>, level: usize, out: &mut String) {
    match value.kind() {
        NodeKind::Null => out.push_str("null"),
        NodeKind::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
        NodeKind::Int | NodeKind::Float => match value.number() {
            Some(number) => write_number(&number, out),
            None => write_scalar_text(value.written(), None, out),
        },
        NodeKind::Text => write_scalar_text(value.written(), Some(level), out),
        NodeKind::List => out.push_str("[]"),
        NodeKind::Map => out.push_str("{}"),
    }
}

/// Text: plain where that reads back the same, in lines if it has several and may (`level`), else quoted.
fn write_scalar_text(text: &str, level: Option<usize>, out: &mut String) {
    match level {
        Some(level) if fits_in_lines(text) => write_lines(text, level, out),
        _ if is_plain(text) => out.push_str(text),
        _ => write_quoted(text, out),
    }
}

fn is_plain(text: &str) -> bool {
    let starts = text.starts_with(|c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '$' | '.' | '(')
    });
    starts
        && text.len() <= 200
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " /_$.()+-=:,@;<>^~".contains(c))
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !text.starts_with("...")
        && scalar::resolve(text) == Scalar::Text
}

fn fits_in_lines(text: &str) -> bool {
    let printable = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_break_or_mark(c));
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && text.chars().all(printable)
        && text
            .split('\n')
            .all(|line| line.is_empty() || !line.trim().is_empty())
}

/// Characters that some reader takes for a line break or drops.
fn is_break_or_mark(c: char) -> bool {
    matches!(
        c,
        '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}

fn write_lines(text: &str, level: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(level, out);
            out.push_str(line);
        }
    }
}

fn write_quoted(text: &str, out: &mut String) {
    if !text
        .chars()
        .any(|c| is_break_or_mark(c) || ('\u{80}'..='\u{9f}').contains(&c))
    {
        return write_text(text, out);
    }
    let mut quoted = String::new();
    write_text(text, &mut quoted);
    for c in quoted.chars() {
        if is_break_or_mark(c) || ('\u{80}'..='\u{9f}').contains(&c) {
            out.push_str(&format!("\\u{:04x}", c as u32));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_form_reads_well() {
        let head = r#"{"heat_template_version":"2021-04-16","outputs":{"o":{"value":[1,{"a":"b","c":[]},["x"]]}}}"#;
        let web = r#"{"type":"A::B","properties":{"mode":"0644","yes":"yes","t":"a\n b\n","u":"a: b","n":null,"f":1.5}}"#;
        let text = render_template(head, [("web", web)]).unwrap();
        let wanted = r#"heat_template_version: 2021-04-16
resources:
  web:
    type: A::B
    properties:
      mode: "0644"
      "yes": "yes"
      t: |
        a
         b
      u: "a: b"
      n: null
      f: 1.5
outputs:
  o:
    value:
      - 1
      - a: b
        c: []
      - - x
"#;
        assert_eq!(text, wanted);
        let none: [(&str, &str); 0] = [];
        assert_eq!(render_template("{}", none).unwrap(), "resources: {}\n");
    }

    proptest::proptest! {
        #[test]
        fn any_text_reads_back_the_same(text in "[a-z:#\\-\\[{}>|%@`!&*'\"\\\\ \t\n\r0-9.~,?=<\u{85}\u{2028}é😀]{0,12}") {
            let mut json = String::from("{\"k\":");
            write_text(&text, &mut json);
            json.push_str(",\"l\":[");
            write_text(&text, &mut json);
            json.push_str("]}");
            let rendered = render_template(&json, [("r", &json)]).unwrap();
            let tree = Tree::read(&rendered, &Limits::default()).map_err(|e| proptest::test_runner::TestCaseError::fail(format!("{e:?}\n{rendered}")))?;
            for map in [tree.root(), tree.root().get("resources").unwrap().get("r").unwrap()] {
                proptest::prop_assert_eq!(map.get("k").and_then(NodeRef::text), Some(text.as_str()), "{}", rendered);
                let item = map.get("l").unwrap().items().unwrap().next().unwrap();
                proptest::prop_assert_eq!(item.text(), Some(text.as_str()), "{}", rendered);
            }
        }
    }

    #[test]
    fn hidden_defaults_are_left_out_and_nothing_else() {
        let head = "parameters:\n  secret:\n    type: string\n    hidden: true\n    default: swordfish\n  open:\n    type: string\n    default: x\noutputs:\n  o:\n    value: 1\n";
        let expected = head.replace("    default: swordfish\n", "");
        assert_eq!(hide_defaults(head).unwrap(), expected);
    }
}
