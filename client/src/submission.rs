//! What is submitted: a template or patch with its environments, files and parameters, and how it goes over the wire
//! in chunks. The texts are opaque here; only the cluster compiles them.

use anneal_proto::v1::{self, submit_chunk::Chunk, text_part::Kind};
use bytes::Bytes;
use futures_util::Stream;

use crate::name::{RequestId, StackName};

/// The most that one message carries, in bytes: the wire's own limit on a text part.
const CHUNK: usize = 1024 * 1024;

/// A text and the name by which messages and `get_file` know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// A path, or the name as in the template.
    pub name: String,
    /// Its content.
    pub data: Bytes,
}

impl Text {
    /// A text.
    pub fn new(name: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            data: data.into(),
        }
    }
}

/// A change of a stack to be submitted, previewed or validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The same id twice gets the first answer.
    pub request_id: RequestId,
    /// The stack.
    pub stack: StackName,
    /// Create, update, up (whichever fits) or patch.
    pub verb: v1::Verb,
    /// The template, or the patch document.
    pub document: Text,
    /// In order; a later one wins.
    pub environments: Vec<Text>,
    /// What `get_file` refers to, under the names that the template uses.
    pub files: Vec<Text>,
    /// Name and value; these win over the environments.
    pub parameters: Vec<(String, String)>,
    /// What is not set keeps what the stack has.
    pub options: v1::StackOptions,
    /// Refuse if the stack is not at this revision.
    pub base_revision: Option<u64>,
    /// Apply exactly what this preview showed, or refuse.
    pub plan_id: Option<String>,
}

impl Submission {
    /// A submission with nothing but its document.
    pub fn new(verb: v1::Verb, stack: StackName, document: Text) -> Self {
        Self {
            request_id: RequestId::fresh(),
            stack,
            verb,
            document,
            environments: Vec::new(),
            files: Vec::new(),
            parameters: Vec::new(),
            options: v1::StackOptions::default(),
            base_revision: None,
            plan_id: None,
        }
    }

    /// Create or update, whichever fits.
    pub fn up(stack: StackName, path: impl Into<String>, template: impl Into<Bytes>) -> Self {
        Self::new(v1::Verb::Up, stack, Text::new(path, template))
    }

    /// Set or remove named resources, without the rest of the template.
    pub fn patch(stack: StackName, path: impl Into<String>, patch: impl Into<Bytes>) -> Self {
        Self::new(v1::Verb::Patch, stack, Text::new(path, patch))
    }

    fn header(&self) -> v1::SubmitHeader {
        let parameter = |(name, value): &(String, String)| v1::Parameter {
            name: name.clone(),
            value: value.clone(),
        };
        v1::SubmitHeader {
            request_id: self.request_id.as_str().to_owned(),
            namespace: self.stack.namespace.clone(),
            name: self.stack.name.clone(),
            verb: self.verb.into(),
            base_revision: self.base_revision,
            options: Some(self.options),
            parameters: self.parameters.iter().map(parameter).collect(),
            plan_id: self.plan_id.clone(),
        }
    }

    /// The header, every text in parts, and the end. The texts are not copied.
    pub(crate) fn chunks(&self) -> impl Stream<Item = v1::SubmitChunk> + Send + 'static {
        let header = Chunk::Header(self.header());
        let texts: Vec<(Kind, Text)> = std::iter::once((Kind::Template, self.document.clone()))
            .chain(
                self.environments
                    .iter()
                    .map(|t| (Kind::Environment, t.clone())),
            )
            .chain(self.files.iter().map(|t| (Kind::File, t.clone())))
            .collect();
        let bytes = texts.iter().map(|(_, text)| text.data.len() as u64).sum();
        let parts = texts
            .into_iter()
            .flat_map(|(kind, text)| parts(kind, text))
            .map(Chunk::Text);
        let chunks = std::iter::once(header)
            .chain(parts)
            .chain([Chunk::End(v1::SubmitEnd { bytes })])
            .map(|chunk| v1::SubmitChunk { chunk: Some(chunk) });
        futures_util::stream::iter(chunks)
    }
}

/// A text in parts of at most [`CHUNK`] bytes; an empty one in a single empty part, since it is there.
fn parts(kind: Kind, text: Text) -> impl Iterator<Item = v1::TextPart> + Send {
    let count = text.data.len().div_ceil(CHUNK).max(1);
    (0..count).map(move |n| {
        let from = n * CHUNK;
        let to = (from + CHUNK).min(text.data.len());
        v1::TextPart {
            kind: kind.into(),
            name: text.name.clone(),
            data: text.data.slice(from..to),
            offset: from as u64,
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_large_text_goes_in_parts_and_an_empty_one_still_goes() {
        let mut submission = Submission::up(StackName::new("s"), "t.yaml", vec![b'x'; CHUNK + 1]);
        submission.files.push(Text::new("empty", ""));
        let chunks: Vec<v1::SubmitChunk> = submission.chunks().collect().await;
        let sizes: Vec<Option<usize>> = chunks
            .iter()
            .map(|chunk| match chunk.chunk.as_ref().unwrap() {
                Chunk::Header(_) | Chunk::End(_) => None,
                Chunk::Text(part) => Some(part.data.len()),
            })
            .collect();
        assert_eq!(sizes, [None, Some(CHUNK), Some(1), Some(0), None]);
    }
}
