//! A submission as it arrives: a header, then texts in parts, put together within bounds. Knows nothing of what the
//! texts say.

use std::{collections::BTreeMap, sync::Arc};

use anneal_proto::v1::{self, submit_chunk::Chunk, text_part::Kind};
use uuid::Uuid;

use super::refusal::{Refused, TooLarge};

/// All texts of one submission together, in bytes. A template alone may have 512 MiB; there is room for as much in
/// files. Passing it is an error.
const SUBMISSION_LIMIT: usize = 1024 * 1024 * 1024;
/// Environments and files of one submission.
const TEXTS_LIMIT: usize = 10_000;
/// A text is kept in pieces of up to so many bytes until it is whole: one that grew in one piece would be copied again and again.
const PIECE_BYTES: usize = 1024 * 1024;
/// Characters of a stack's name, as in Heat.
const NAME_LIMIT: usize = 255;
/// The namespace of a request that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// A text that was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// A path, for messages and for `get_file`.
    pub name: String,
    /// Its content.
    pub data: Arc<[u8]>,
}

/// A submission, whole.
#[derive(Debug, Clone)]
pub struct Received {
    /// Who, what and how.
    pub header: v1::SubmitHeader,
    /// The template, or the patch document.
    pub document: Text,
    /// In order; a later one wins.
    pub environments: Vec<Text>,
    /// What `get_file` may refer to, by path.
    pub files: BTreeMap<String, Arc<[u8]>>,
}

impl Received {
    /// The request's id.
    ///
    /// # Errors
    /// If it is not a version 7 UUID.
    pub fn request_id(&self) -> Result<anneal_statemachine::id::RequestId, Refused> {
        request_id(&self.header.request_id)
    }
}

/// Reads a request id.
///
/// # Errors
/// If it is not a version 7 UUID: requests are forgotten by the time in their id.
pub fn request_id(text: &str) -> Result<anneal_statemachine::id::RequestId, Refused> {
    let id = Uuid::parse_str(text)
        .ok()
        .filter(|id| id.get_version_num() == 7)
        .ok_or_else(|| {
            Refused::Argument(format!("`{text}` is no request id: expected a UUIDv7"))
        })?;
    Ok(anneal_statemachine::id::RequestId(*id.as_bytes()))
}

/// The namespace that a request means.
///
/// # Errors
/// If it can be no name.
pub fn namespace(given: &str) -> Result<&str, Refused> {
    if given.is_empty() {
        return Ok(DEFAULT_NAMESPACE);
    }
    check_name("namespace", given)?;
    Ok(given)
}

/// Checks the name of a stack or a namespace, by Heat's rule.
///
/// # Errors
/// If it does not begin with a letter, is too long, or has other characters than letters, digits, `_`, `.`, `-`.
pub fn check_name(what: &str, name: &str) -> Result<(), Refused> {
    let begins = name
        .chars()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic());
    let goes_on = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if begins && goes_on && name.len() <= NAME_LIMIT {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_LIMIT).collect();
    Err(Refused::Argument(format!(
        "`{shown}` can be no {what}: it begins with a letter, goes on with letters, digits, `_`, `.` or `-`, and has \
         at most {NAME_LIMIT} characters"
    )))
}

/// Puts a submission together, chunk by chunk.
#[derive(Debug, Default)]
pub struct Receiver {
    header: Option<v1::SubmitHeader>,
    texts: Vec<Arriving>,
    bytes: usize,
    whole: bool,
}

/// A text of which more may come.
#[derive(Debug)]
struct Arriving {
    kind: Kind,
    name: String,
    /// What has come, in order, in pieces: one that is small is joined to the one before.
    pieces: Vec<Vec<u8>>,
    bytes: u64,
}

impl Arriving {
    fn take(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        match self.pieces.last_mut() {
            Some(last) if last.len() + part.len() <= PIECE_BYTES => last.extend_from_slice(part),
            _ => self.pieces.push(part.to_vec()),
        }
    }

    /// In one piece. A large one takes some tens of milliseconds.
    fn joined(self) -> Text {
        let mut data = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0));
        for piece in self.pieces {
            data.extend_from_slice(&piece);
        }
        Text {
            name: self.name,
            data: data.into(),
        }
    }
}

impl Receiver {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// If it is out of order, or a bound is passed.
    pub fn take(&mut self, chunk: v1::SubmitChunk) -> Result<(), Refused> {
        match chunk.chunk {
            Some(Chunk::Header(header)) if self.header.is_none() => {
                self.header = Some(header);
                Ok(())
            }
            Some(Chunk::Text(part)) if self.header.is_some() && !self.whole => self.take_part(part),
            Some(Chunk::End(end)) if end.bytes == self.bytes as u64 => {
                self.whole = true;
                Ok(())
            }
            _ => Err(Refused::Argument(
                "a submission is one header, then texts, then its end".to_owned(),
            )),
        }
    }

    fn take_part(&mut self, part: v1::TextPart) -> Result<(), Refused> {
        self.bytes += part.data.len();
        if self.bytes > SUBMISSION_LIMIT {
            return Err(TooLarge::new("bytes of texts in a submission", SUBMISSION_LIMIT).into());
        }
        let kind = part.kind();
        if part.offset == 0 {
            if self.texts.len() >= TEXTS_LIMIT {
                return Err(TooLarge::new("texts in a submission", TEXTS_LIMIT).into());
            }
            let mut text = Arriving {
                kind,
                name: part.name,
                pieces: Vec::new(),
                bytes: 0,
            };
            text.take(&part.data);
            self.texts.push(text);
            return Ok(());
        }
        match self.texts.last_mut() {
            Some(last)
                if last.kind == kind && last.name == part.name && last.bytes == part.offset =>
            {
                last.take(&part.data);
                Ok(())
            }
            _ => Err(Refused::Argument(format!(
                "part of `{}` at {} does not follow what came before",
                part.name, part.offset
            ))),
        }
    }

    /// Whether [`Self::end`] takes longer than an async thread may be held.
    pub fn is_large(&self) -> bool {
        self.bytes > PIECE_BYTES
    }

    /// The submission, once every chunk was taken.
    ///
    /// # Errors
    /// If the header, the document or the end is missing, or a name can be none.
    pub fn end(self) -> Result<Received, Refused> {
        if !self.whole {
            // What is left of a template would be carried out as if the rest had been taken out of it.
            return Err(Refused::Argument(
                "a submission that was cut off".to_owned(),
            ));
        }
        let mut header = self
            .header
            .ok_or_else(|| Refused::Argument("a submission without a header".to_owned()))?;
        header.namespace = namespace(&header.namespace)?.to_owned();
        check_name("stack name", &header.name)?;
        let mut document = None;
        let mut environments = Vec::new();
        let mut files = BTreeMap::new();
        for text in self.texts {
            match text.kind {
                Kind::Template if document.is_none() => document = Some(text.joined()),
                Kind::Environment => environments.push(text.joined()),
                Kind::File => {
                    let Text { name, data } = text.joined();
                    files.insert(name, data);
                }
                Kind::Template | Kind::Unspecified => {
                    let name = text.name;
                    let message =
                        format!("`{name}` is neither the one document, nor an environment or file");
                    return Err(Refused::Argument(message));
                }
            }
        }
        let document = document
            .ok_or_else(|| Refused::Argument("a submission without a document".to_owned()))?;
        Ok(Received {
            header,
            document,
            environments,
            files,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn header(name: &str) -> v1::SubmitChunk {
        let header = v1::SubmitHeader {
            name: name.to_owned(),
            ..Default::default()
        };
        v1::SubmitChunk {
            chunk: Some(Chunk::Header(header)),
        }
    }

    fn part(kind: Kind, name: &str, offset: u64, data: impl Into<Bytes>) -> v1::SubmitChunk {
        let part = v1::TextPart {
            kind: kind.into(),
            name: name.to_owned(),
            data: data.into(),
            offset,
        };
        v1::SubmitChunk {
            chunk: Some(Chunk::Text(part)),
        }
    }

    fn receive(chunks: Vec<v1::SubmitChunk>) -> Result<Received, Refused> {
        let mut receiver = Receiver::default();
        for chunk in chunks {
            receiver.take(chunk)?;
        }
        let bytes = receiver.bytes as u64;
        let end = Chunk::End(v1::SubmitEnd { bytes });
        receiver.take(v1::SubmitChunk { chunk: Some(end) })?;
        receiver.end()
    }

    #[test]
    fn a_submission_that_was_cut_off_is_refused() {
        let mut receiver = Receiver::default();
        receiver.take(header("web")).unwrap();
        receiver
            .take(part(Kind::Template, "t", 0, "resources: {}"))
            .unwrap();
        assert!(matches!(receiver.end(), Err(Refused::Argument(_))));
    }

    #[test]
    fn parts_become_texts_and_two_environments_of_one_name_stay_two() {
        let received = receive(vec![
            header("web"),
            part(Kind::Template, "t", 0, "ab"),
            part(Kind::Template, "t", 2, "cd"),
            part(Kind::Environment, "e", 0, "1"),
            part(Kind::Environment, "e", 0, "2"),
            part(Kind::File, "f", 0, ""),
        ])
        .unwrap();
        assert_eq!(&*received.document.data, b"abcd");
        assert_eq!(received.environments.len(), 2);
        assert!(received.files["f"].is_empty());
        assert_eq!(received.header.namespace, "default");
    }

    #[test]
    fn a_part_that_was_lost_is_noticed() {
        let chunks = vec![
            header("web"),
            part(Kind::Template, "t", 0, "ab"),
            part(Kind::Template, "t", 3, "d"),
        ];
        assert!(matches!(receive(chunks), Err(Refused::Argument(_))));
        assert!(matches!(
            receive(vec![part(Kind::Template, "t", 0, "")]),
            Err(Refused::Argument(_))
        ));
        assert!(matches!(
            receive(vec![header("web")]),
            Err(Refused::Argument(_))
        ));
    }

    #[test]
    fn stack_names_are_those_of_heat() {
        for good in ["a", "Web-1.2_x"] {
            assert!(check_name("stack name", good).is_ok(), "{good}");
        }
        let long = "a".repeat(256);
        for bad in ["", "1a", "-a", "a b", "a/b", "ä", long.as_str()] {
            assert!(check_name("stack name", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_of_several_pieces_is_joined_in_order() {
        let sizes = [PIECE_BYTES / 2, PIECE_BYTES, 3, PIECE_BYTES + 1, 0, 7];
        let mut chunks = vec![header("web")];
        let mut text = Vec::new();
        for (size, letter) in sizes.into_iter().zip(b'a'..) {
            let data = vec![letter; size];
            chunks.push(part(
                Kind::Template,
                "web.yaml",
                text.len() as u64,
                data.clone(),
            ));
            text.extend(data);
        }
        assert_eq!(&*receive(chunks).unwrap().document.data, text);
    }

    #[test]
    fn only_ids_that_carry_their_time_are_request_ids() {
        assert!(request_id(&Uuid::now_v7().to_string()).is_ok());
        assert!(request_id(&Uuid::new_v4().to_string()).is_err());
        assert!(request_id("").is_err());
    }
}
