//! The graph of a stack in the DOT language, coloured by phase.
//!
//! Written line by line: a graph of a million nodes takes no more memory than its listing.

use std::fmt::Write as _;

use anneal_client::v1;

use super::Out;
use crate::exit::Outcome;

/// Writes the graph. An arrow points at what is required.
pub(crate) fn write(out: &mut Out, stack: &str, nodes: &[v1::GraphNode]) -> Outcome {
    out.line(&format!("digraph {} {{", quoted(stack)))?;
    out.line("  rankdir=LR;")?;
    out.line("  node [shape=box, style=filled, fontname=\"sans-serif\"];")?;
    for node in nodes {
        out.line(&format!(
            "  {} [label={}, fillcolor={}];",
            quoted(&node.name),
            quoted(&format!("{}\n{}\n{}", node.name, node.r#type, node.phase)),
            colour(&node.phase)
        ))?;
    }
    for node in nodes {
        for required in &node.requires {
            out.line(&format!(
                "  {} -> {};",
                quoted(&node.name),
                quoted(required)
            ))?;
        }
    }
    out.line("}")
}

fn colour(phase: &str) -> &'static str {
    match phase {
        "settled" => "palegreen",
        "in_flight" => "lightskyblue",
        "ready" => "lightcyan",
        "failed" => "lightcoral",
        "on_hold" => "orange",
        "unwanted" => "lightgrey",
        _ => "white",
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => {
                // Writing into a string cannot fail.
                let _ = write!(quoted, "\\\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert_eq!(quoted("a\u{1b}"), "\"a\\\\u001b\"");
    }
}
