//! Small pieces of text for people: times, values, counts.
//!
//! Knows nothing of tables or terminals.

use std::time::{Duration, UNIX_EPOCH};

use anneal_client::v1;

use super::json::MASK;

/// Longest value shown in a table cell, in characters; the whole is in the JSON.
const CELL_CHARACTERS: usize = 120;

/// A time as RFC 3339 in UTC, with milliseconds.
pub(crate) fn time(time_ms: u64) -> String {
    // The formatter knows years up to 9999; a stamp beyond is damage, and shown as its number.
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    if time_ms >= YEAR_10000_MS {
        return time_ms.to_string();
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(time_ms)).to_string()
}

/// A value for people: strings bare, the rest as JSON, secrets masked.
pub(crate) fn value(json: &str, masked: bool) -> String {
    if masked {
        return MASK.into();
    }
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(serde_json::Value::String(text)) => text,
        _ => json.to_string(),
    }
}

/// Text cut to what a table cell holds, on one line, without what would confuse a terminal.
pub(crate) fn cell(text: &str) -> String {
    let line: String = text
        .trim_end()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(CELL_CHARACTERS + 1)
        .collect();
    if line.chars().count() <= CELL_CHARACTERS {
        return line;
    }
    let mut cut: String = line.chars().take(CELL_CHARACTERS - 1).collect();
    cut.push('…');
    cut
}

/// The text of another process or person, safe to print: control characters other than line ends and tabs are shown
/// as a question mark.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Lines after the first moved to the right, so that a quoted message stays in one block.
pub(crate) fn indented(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    let mut result = String::with_capacity(text.len());
    for (number, line) in printable(text).trim_end().lines().enumerate() {
        if number > 0 {
            result.push('\n');
            if !line.is_empty() {
                result.push_str(&margin);
            }
        }
        result.push_str(line);
    }
    result
}

/// `3 settled, 1 in flight of 4`: only what is not zero.
pub(crate) fn counts(counts: &v1::Counts) -> String {
    let parts: Vec<String> = [
        (counts.settled, "settled"),
        (counts.in_flight, "in flight"),
        (counts.ready, "ready"),
        (counts.waiting, "waiting"),
        (counts.failed, "failed"),
        (counts.on_hold, "on hold"),
        (counts.unwanted, "unwanted"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| format!("{number} {word}"))
    .collect();
    if parts.is_empty() {
        "no resources".into()
    } else {
        format!("{} of {}", parts.join(", "), counts.total)
    }
}

/// `1 resource`, `2 resources`.
pub(crate) fn number(count: u64, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_never_panic() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn a_terminal_gets_no_escape_sequences_from_a_provider() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\n"), "a\u{fffd}[2Jb\tc\n");
        assert_eq!(cell("a\nb\u{1b}"), "a b ");
    }

    #[test]
    fn long_values_are_cut_with_a_sign() {
        let cut = cell(&"ü".repeat(500));
        assert_eq!(cut.chars().count(), CELL_CHARACTERS);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn values_are_bare_strings_or_json() {
        assert_eq!(value("\"a\"", false), "a");
        assert_eq!(value("[1,2]", false), "[1,2]");
        assert_eq!(value("\"a\"", true), MASK);
    }
}
