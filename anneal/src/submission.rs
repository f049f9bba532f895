//! Gathers what a template needs from this machine: its text, environments, and the files that it includes, and
//! makes the submission.
//!
//! Paths are relative to the document that names them. Knows nothing of what the texts mean.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anneal_client::{StackName, Submission, Text, v1};
use anneal_template::{FileReference, Limits, Problem, Severity, SourceText, files_used};
use bytes::Bytes;

use crate::command::change::Inputs;
use crate::exit::{Failure, Outcome, REFUSED};
use crate::output;
use crate::output::problems;
use crate::output::problems::Sources;

/// What was gathered: everything that the cluster (or `validate`) compiles.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The template, or the patch document.
    pub(crate) document: Text,
    /// In order; a later one wins.
    pub(crate) environments: Vec<Text>,
    /// What `get_file` refers to, under the names that the template uses.
    pub(crate) files: Vec<Text>,
    /// Name and value.
    pub(crate) parameters: Vec<(String, String)>,
}

/// What was gathered, and what could not be.
#[derive(Debug)]
pub(crate) struct Found {
    /// All that there is. A file that is missing is in it as an empty one.
    pub(crate) gathered: Gathered,
    /// What is wrong with the document as text, or with the files that it includes.
    pub(crate) problems: Vec<v1::Problem>,
}

impl Gathered {
    /// Reads everything, or tells all that cannot be read, each where it is named.
    pub(crate) fn read(document: &Path, inputs: &Inputs) -> Outcome<Self> {
        Self::look(document, inputs)?.complete()
    }

    /// Reads what can be read.
    pub(crate) fn look(document: &Path, inputs: &Inputs) -> Outcome<Found> {
        let limits = inputs.limits.limits();
        let text = read_document(document, &limits)?;
        Self::around(text, &base_of(document), inputs)
    }

    /// The same around a document that is in memory, with the directory that its paths are relative to.
    pub(crate) fn around(document: Text, base: &Path, inputs: &Inputs) -> Outcome<Found> {
        let limits = inputs.limits.limits();
        let environments = inputs
            .environments
            .iter()
            .map(|path| read_document(path, &limits))
            .collect::<Outcome<Vec<_>>>()?;
        let mut problems = Vec::new();
        let files = match included(&document, &limits) {
            Ok(files) => read_files(&document.name, base, &files, &limits, &mut problems),
            Err(found) => {
                problems = found;
                Vec::new()
            }
        };
        let gathered = Self {
            document,
            environments,
            files,
            parameters: inputs.parameters.clone(),
        };
        Ok(Found { gathered, problems })
    }

    /// The texts, for excerpts of what is wrong with them.
    pub(crate) fn sources(&self) -> Sources {
        let mut sources = Sources::default();
        for text in std::iter::once(&self.document).chain(&self.environments) {
            sources.add(&text.name, &text.data);
        }
        sources
    }

    /// The submission of it.
    pub(crate) fn submission(self, verb: v1::Verb, stack: StackName) -> Submission {
        let mut submission = Submission::new(verb, stack, self.document);
        submission.environments = self.environments;
        submission.files = self.files;
        submission.parameters = self.parameters;
        submission
    }
}

impl Found {
    /// All of it, or the problems told.
    pub(crate) fn complete(self) -> Outcome<Gathered> {
        if self.problems.is_empty() {
            return Ok(self.gathered);
        }
        output::note(problems::show(&self.problems, &self.gathered.sources()).trim_end());
        output::note(&format!(
            "error: {}: {}",
            self.gathered.document.name,
            problems::sum(&self.problems)
        ));
        Err(Failure::Silent(REFUSED))
    }
}

/// The compiler's problems in the client's words.
pub(crate) fn problems_of(found: impl IntoIterator<Item = Problem>) -> Vec<v1::Problem> {
    found
        .into_iter()
        .map(|problem| v1::Problem {
            severity: match problem.severity {
                Severity::Error => "error".into(),
                Severity::Warning => "warning".into(),
            },
            source: problem.source.to_string(),
            line: problem.line,
            column: problem.column,
            field: problem.path,
            message: problem.message,
            suggestion: problem.suggestion.unwrap_or_default(),
        })
        .collect()
}

/// The text of a document, if it is text at all.
pub(crate) fn text_of(text: &Text) -> Result<SourceText<'_>, Box<v1::Problem>> {
    match std::str::from_utf8(&text.data) {
        Ok(content) => Ok(SourceText {
            name: &text.name,
            text: content,
        }),
        Err(error) => {
            let before = &text.data[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let message = "this is not UTF-8 text".to_string();
            let line = line.try_into().unwrap_or(0);
            Err(Box::new(problem_at(&text.name, line, 1, message)))
        }
    }
}

fn included(document: &Text, limits: &Limits) -> Result<Vec<FileReference>, Vec<v1::Problem>> {
    let text = text_of(document).map_err(|problem| vec![*problem])?;
    files_used(text, limits).map_err(|problems| problems_of(problems.list))
}

/// Reads each file once, however often it is included; what is missing is empty, and a problem.
fn read_files(
    document: &str,
    base: &Path,
    files: &[FileReference],
    limits: &Limits,
    problems: &mut Vec<v1::Problem>,
) -> Vec<Text> {
    let mut read: BTreeMap<&str, Bytes> = BTreeMap::new();
    for file in files {
        if read.contains_key(file.path.as_str()) {
            continue;
        }
        let path = base.join(&file.path);
        let content = File::open(&path).and_then(|open| read_bounded(open, limits.scalar_bytes));
        let message = match content {
            Ok(Some(content)) => {
                read.insert(&file.path, content);
                continue;
            }
            Ok(None) => format!(
                "the file {} is larger than {} bytes",
                path.display(),
                limits.scalar_bytes
            ),
            Err(error) => format!("cannot read the file {}: {error}", path.display()),
        };
        problems.push(problem_at(document, file.line, file.column, message));
        read.insert(&file.path, Bytes::new());
    }
    read.into_iter()
        .map(|(name, content)| Text::new(name, content))
        .collect()
}

fn problem_at(source: &str, line: u32, column: u32, message: String) -> v1::Problem {
    v1::Problem {
        severity: "error".into(),
        source: source.into(),
        line,
        column,
        message,
        ..Default::default()
    }
}

/// The directory that a document's paths are relative to.
fn base_of(document: &Path) -> PathBuf {
    match document.parent() {
        Some(parent) => parent.to_path_buf(),
        None => PathBuf::new(),
    }
}

fn read_document(path: &Path, limits: &Limits) -> Outcome<Text> {
    let name = path.display().to_string();
    let read = if path == Path::new("-") {
        read_bounded(io::stdin().lock(), limits.text_bytes)
    } else {
        File::open(path).and_then(|file| read_bounded(file, limits.text_bytes))
    };
    match read {
        Ok(Some(data)) => Ok(Text::new(name, data)),
        Ok(None) => Err(Failure::refused(format!(
            "{name}: larger than {} bytes",
            limits.text_bytes
        ))),
        Err(error) => Err(Failure::refused(format!("cannot read {name}: {error}"))),
    }
}

/// What can be read, or none if it is more than `limit` bytes: a device or a pipe may have no end.
fn read_bounded(source: impl Read, limit: usize) -> io::Result<Option<Bytes>> {
    let mut data = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source.take(most).read_to_end(&mut data)?;
    Ok((data.len() <= limit).then(|| data.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TemplateLimits;

    fn look(template: &str, files: &[(&str, &[u8])]) -> Found {
        let directory = tempfile::tempdir().expect("a directory");
        let document = directory.path().join("web.yaml");
        std::fs::write(&document, template).expect("a template");
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).expect("a file");
        }
        let inputs = Inputs {
            environments: Vec::new(),
            parameters: Vec::new(),
            limits: TemplateLimits::default(),
        };
        Gathered::look(&document, &inputs).expect("the template can be read")
    }

    #[test]
    fn a_file_that_is_included_twice_is_sent_once() {
        let found = look(
            "a: { get_file: page.html }\nb: [{ get_file: page.html }, { get_file: style.css }]\n",
            &[("page.html", b"\xff\x00"), ("style.css", b"")],
        );
        assert_eq!(found.problems, []);
        let names: Vec<_> = found.gathered.files.iter().map(|file| &file.name).collect();
        assert_eq!(names, ["page.html", "style.css"]);
        assert_eq!(found.gathered.files[0].data, &b"\xff\x00"[..]);
    }

    #[test]
    fn every_missing_file_is_told_where_it_is_named() {
        let found = look("a: { get_file: one }\nb:\n  get_file: two\n", &[]);
        let places: Vec<_> = found
            .problems
            .iter()
            .map(|problem| {
                (
                    problem.line,
                    problem.message.contains("cannot read the file"),
                )
            })
            .collect();
        assert_eq!(places, [(1, true), (3, true)]);
    }

    #[test]
    fn what_is_not_text_is_told_with_its_line() {
        let text = Text::new("web.yaml", &b"a: 1\nb: \xff\n"[..]);
        assert_eq!(text_of(&text).expect_err("not text").line, 2);
    }

    #[test]
    fn a_text_without_an_end_is_not_read_to_its_end() {
        let endless = std::io::repeat(b'a');
        assert_eq!(read_bounded(endless, 1_000).expect("readable"), None);
        let whole = read_bounded(&b"abc"[..], 3).expect("readable");
        assert_eq!(whole.as_deref(), Some(&b"abc"[..]));
    }
}
