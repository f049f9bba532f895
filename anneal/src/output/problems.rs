//! Problems of a document as people read them: place, message, the line itself with a caret, the word that was
//! probably meant.
//!
//! Knows the texts that were sent; nothing of templates.

use std::collections::BTreeMap;

use anneal_client::v1;

/// Longest part of a source line that is shown, in characters; of longer ones, the part around the caret.
const EXCERPT_CHARACTERS: usize = 100;
/// Characters shown before the caret when a line is cut.
const BEFORE_CARET: usize = 60;

/// The texts that were compiled, by the name under which problems refer to them.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// One text more.
    pub(crate) fn add(&mut self, name: &str, text: &[u8]) {
        self.0
            .insert(name.to_string(), String::from_utf8_lossy(text).into_owned());
    }
}

/// All problems, each with its excerpt, and a last line that counts them.
pub(crate) fn show(problems: &[v1::Problem], sources: &Sources) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&one(problem, sources));
    }
    text
}

/// `2 errors, 1 warning`.
pub(crate) fn sum(problems: &[v1::Problem]) -> String {
    let warnings = problems
        .iter()
        .filter(|problem| problem.severity == "warning")
        .count() as u64;
    let errors = problems.len() as u64 - warnings;
    let count = super::text::number;
    match (errors, warnings) {
        (errors, 0) => count(errors, "error"),
        (0, warnings) => count(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

fn one(problem: &v1::Problem, sources: &Sources) -> String {
    let place = if problem.line > 0 {
        format!("{}:{}:{}", problem.source, problem.line, problem.column)
    } else {
        problem.source.clone()
    };
    let severity = if problem.severity.is_empty() {
        "error"
    } else {
        &problem.severity
    };
    let mut text = if place.is_empty() {
        format!("{severity}: ")
    } else {
        format!("{place}: {severity}: ")
    };
    if !problem.field.is_empty() {
        text.push_str(&format!("{}: ", problem.field));
    }
    text.push_str(&super::text::indented(&problem.message, 2));
    if !problem.suggestion.is_empty() {
        text.push_str(&format!("; did you mean `{}`?", problem.suggestion));
    }
    text.push('\n');
    if let Some(excerpt) = excerpt(problem, sources) {
        text.push_str(&excerpt);
    }
    text
}

fn excerpt(problem: &v1::Problem, sources: &Sources) -> Option<String> {
    let index = (problem.line as usize).checked_sub(1)?;
    let line = sources.0.get(&problem.source)?.lines().nth(index)?;
    let caret = (problem.column as usize).saturating_sub(1);
    let characters = line.chars().count();
    let skipped = if characters > EXCERPT_CHARACTERS {
        caret.saturating_sub(BEFORE_CARET)
    } else {
        0
    };
    let shown: String = line
        .chars()
        .skip(skipped)
        .take(EXCERPT_CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let margin = " ".repeat(problem.line.to_string().len());
    let under = " ".repeat(caret.min(characters) - skipped.min(caret.min(characters)));
    Some(format!(
        "{margin} |\n{} | {}\n{margin} | {under}^\n",
        problem.line,
        shown.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, column: u32) -> v1::Problem {
        v1::Problem {
            severity: "error".into(),
            source: "web.yaml".into(),
            line,
            column,
            field: "resources.a.type".into(),
            message: "unknown resource type Anneal::Fiel".into(),
            suggestion: "Anneal::File".into(),
        }
    }

    fn sources(text: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add("web.yaml", text.as_bytes());
        sources
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        let text = show(
            &[problem(2, 9)],
            &sources("resources:\n  type: Anneal::Fiel\n"),
        );
        assert_eq!(
            text,
            "web.yaml:2:9: error: resources.a.type: unknown resource type Anneal::Fiel; did you mean \
             `Anneal::File`?\n  |\n2 |   type: Anneal::Fiel\n  |         ^\n"
        );
    }

    #[test]
    fn a_template_on_one_very_long_line_is_shown_around_the_place() {
        let text = show(&[problem(1, 5_000)], &sources(&"x".repeat(10_000)));
        assert!(
            text.lines().all(|line| line.chars().count() < 200),
            "{text}"
        );
        assert!(text.lines().last().is_some_and(|line| line.ends_with('^')));
    }

    #[test]
    fn a_place_outside_the_text_is_named_without_an_excerpt() {
        for (line, column) in [(0, 0), (9, 9), (1, u32::MAX), (u32::MAX, 1)] {
            let text = show(&[problem(line, column)], &sources("a: 1"));
            assert!(text.contains("unknown resource type"), "{text}");
        }
    }

    #[test]
    fn problems_are_counted_by_severity() {
        let warning = v1::Problem {
            severity: "warning".into(),
            ..problem(1, 1)
        };
        assert_eq!(sum(&[problem(1, 1), warning.clone()]), "1 error, 1 warning");
        assert_eq!(sum(&[warning.clone(), warning]), "2 warnings");
        assert_eq!(sum(&[]), "0 errors");
    }
}
