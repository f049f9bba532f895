//! What is wrong with a text, said so that a person can mend it: where, what, and the nearest word that
//! would have been right. Knows nothing of templates.

use std::fmt;
use std::sync::Arc;

/// A place in a source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1; 0 if the problem belongs to no line.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// Whether a problem stops the compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is compiled.
    Error,
    /// Compiled all the same.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the text, as the caller gave it.
    pub source: Arc<str>,
    /// Line, from 1; 0 if the problem belongs to no line.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The field, as a path: `resources.web.properties.port`.
    pub path: String,
    /// What is wrong, without place and suggestion.
    pub message: String,
    /// The nearest known word.
    pub suggestion: Option<String>,
    /// Whether it stops the compilation.
    pub severity: Severity,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(word) => write!(f, "; did you mean {word}?"),
            None => Ok(()),
        }
    }
}

/// All that is wrong, sorted by position, the list bounded by [`Limits::problems`](crate::Limits).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first ones.
    pub list: Vec<Problem>,
    /// How many were found, listed or not.
    pub total: usize,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            writeln!(f, "{problem}")?;
        }
        if self.total > self.list.len() {
            writeln!(f, "and {} more", self.total - self.list.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// How many problems are held per listed one, so that sorting by position has something to choose from.
const HELD_PER_LISTED: usize = 10;
/// How many problems get a suggestion per listed one: looking for it costs up to some milliseconds.
const SUGGESTED_PER_LISTED: usize = 2;
/// How many known words a suggestion is looked for in: comparing is linear, and a stack has up to 10^6 names.
const SUGGESTION_CANDIDATES: usize = 10_000;
/// Similarity (Jaro-Winkler) from which on two words are taken to be meant the same.
const SUGGESTION_SIMILARITY: f64 = 0.8;

/// Gathers problems; bounded.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Sources in the order they are listed in, and whether their positions mean anything to a person.
    sources: Vec<(Arc<str>, bool)>,
    held: Vec<(usize, Problem)>,
    errors: usize,
    warnings: usize,
    listed: usize,
}

/// Index of a source text in its collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceId(usize);

/// Says that the problem has been told already; carries nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported;

impl Collector {
    pub(crate) fn new(listed: usize) -> Self {
        Self {
            sources: Vec::new(),
            held: Vec::new(),
            errors: 0,
            warnings: 0,
            listed,
        }
    }

    pub(crate) fn source(&mut self, name: &str) -> SourceId {
        self.sources.push((Arc::from(name), true));
        SourceId(self.sources.len() - 1)
    }

    /// A source that no person has seen as a text.
    pub(crate) fn unplaced_source(&mut self, name: &str) -> SourceId {
        self.sources.push((Arc::from(name), false));
        SourceId(self.sources.len() - 1)
    }

    /// Whether another problem would still be kept: what costs time to word is worded only then.
    fn has_room(&self) -> bool {
        self.held.len() < self.listed * HELD_PER_LISTED
    }

    pub(crate) fn error(
        &mut self,
        source: SourceId,
        position: Position,
        path: String,
        message: impl Into<String>,
    ) -> Reported {
        self.push(
            source,
            position,
            path,
            message.into(),
            None,
            Severity::Error,
        );
        Reported
    }

    pub(crate) fn warning(
        &mut self,
        source: SourceId,
        position: Position,
        path: String,
        message: impl Into<String>,
    ) {
        self.push(
            source,
            position,
            path,
            message.into(),
            None,
            Severity::Warning,
        );
    }

    /// An error about a word that is not known, with the nearest of the known ones.
    pub(crate) fn unknown_word<'w>(
        &mut self,
        source: SourceId,
        position: Position,
        path: String,
        message: impl Into<String>,
        word: &str,
        known: impl Iterator<Item = &'w str>,
    ) -> Reported {
        let suggestion = if self.held.len() < self.listed * SUGGESTED_PER_LISTED {
            nearest(word, known)
        } else {
            None
        };
        self.push(
            source,
            position,
            path,
            message.into(),
            suggestion,
            Severity::Error,
        );
        Reported
    }

    fn push(
        &mut self,
        source: SourceId,
        position: Position,
        path: String,
        message: String,
        suggestion: Option<String>,
        severity: Severity,
    ) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if !self.has_room() {
            return;
        }
        let (name, placed) = &self.sources[source.0];
        let position = if *placed {
            position
        } else {
            Position::default()
        };
        let problem = Problem {
            source: name.clone(),
            line: position.line,
            column: position.column,
            path,
            message,
            suggestion,
            severity,
        };
        self.held.push((source.0, problem));
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The errors if there are any (with the warnings among them), else the warnings.
    pub(crate) fn finish(mut self) -> Result<Vec<Problem>, Problems> {
        self.held.sort_by(|(a, p), (b, q)| {
            (a, p.line, p.column, p.severity).cmp(&(b, q.line, q.column, q.severity))
        });
        let mut list: Vec<Problem> = self.held.into_iter().map(|(_, problem)| problem).collect();
        list.dedup();
        if self.errors == 0 {
            list.truncate(self.listed);
            return Ok(list);
        }
        let total = if list.len() < self.listed * HELD_PER_LISTED {
            list.len()
        } else {
            self.errors + self.warnings
        };
        list.truncate(self.listed);
        Err(Problems { list, total })
    }
}

/// The known word most like `word`, if any is like it enough.
pub(crate) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    let lower = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in known.take(SUGGESTION_CANDIDATES) {
        let similarity = similarity(&lower, &candidate.to_lowercase());
        if similarity >= SUGGESTION_SIMILARITY && best.is_none_or(|(s, _)| similarity > s) {
            best = Some((similarity, candidate));
        }
    }
    best.map(|(_, candidate)| candidate.to_owned())
}

/// Jaro-Winkler similarity, but that of a short word with a single slip counts as just enough.
fn similarity(word: &str, candidate: &str) -> f64 {
    /// A shorter word is one slip away from too many.
    const LETTERS: usize = 3;
    let similarity = strsim::jaro_winkler(word, candidate);
    if similarity < SUGGESTION_SIMILARITY
        && word.len() >= LETTERS
        && strsim::osa_distance(word, candidate) == 1
    {
        return SUGGESTION_SIMILARITY;
    }
    similarity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_sorted_by_position_and_bounded_with_the_count_of_the_rest() {
        let mut collector = Collector::new(2);
        let source = collector.source("a.yaml");
        for line in [9, 3, 7] {
            collector.error(
                source,
                Position { line, column: 1 },
                String::new(),
                format!("at {line}"),
            );
        }
        let problems = collector.finish().unwrap_err();
        assert_eq!(
            problems.to_string(),
            "a.yaml:3:1: at 3\na.yaml:7:1: at 7\nand 1 more\n"
        );
    }

    #[test]
    fn warnings_alone_stop_nothing() {
        let mut collector = Collector::new(2);
        let source = collector.source("a.yaml");
        collector.warning(source, Position::default(), String::new(), "old");
        assert_eq!(collector.finish().unwrap().len(), 1);
    }

    #[test]
    fn a_misspelt_word_is_answered_with_the_nearest_one_and_a_strange_one_with_none() {
        let known = ["get_param", "get_attr", "str_replace"];
        assert_eq!(
            nearest("get_parm", known.into_iter()).as_deref(),
            Some("get_param")
        );
        assert_eq!(
            nearest("wbe", ["db", "web"].into_iter()).as_deref(),
            Some("web")
        );
        assert_eq!(nearest("xyzzy", known.into_iter()), None);
    }
}
