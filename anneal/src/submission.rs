//! Gathers what a template needs from this machine: its text, environments, and the files that it includes, and
//! makes the submission.
//!
//! Paths are relative to the document that names them. Knows nothing of what the texts mean.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anneal_client::{StackName, Submission, Text, v1};
use anneal_template::Limits;
use bytes::Bytes;

use crate::command::change::Inputs;
use crate::exit::{Failure, Outcome};
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

impl Gathered {
    /// Reads everything; files that are missing are told all at once, each where it is named.
    pub(crate) fn read(document: &Path, inputs: &Inputs) -> Outcome<Self> {
        let limits = Limits::default();
        let text = read_document(document, &limits)?;
        Self::around(text, base_of(document), inputs)
    }

    /// The same around a document that is in memory, with the directory that its paths are relative to.
    pub(crate) fn around(document: Text, _base: PathBuf, inputs: &Inputs) -> Outcome<Self> {
        let limits = Limits::default();
        let environments = inputs
            .environments
            .iter()
            .map(|path| read_document(path, &limits))
            .collect::<Outcome<Vec<_>>>()?;
        let gathered = Self {
            document,
            environments,
            files: Vec::new(),
            parameters: inputs.parameters.clone(),
        };
        Ok(gathered)
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
