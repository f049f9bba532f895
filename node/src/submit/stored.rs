//! What is stored of a submission beside the definitions: head, parameter values and fragments, as blobs. Their bytes
//! are compared by digest, so equal content must be equal bytes. Knows nothing of where blobs are kept.

use std::sync::Arc;

use anneal_proto::stored::v1 as proto;
use anneal_statemachine::{
    command::Blob,
    digest::{Digest, blob_digest},
};
use anneal_template as template;
use bytes::Bytes;
use prost::Message as _;

use super::{reading::Stored, refusal::Refused};

/// A blob under its digest.
pub(crate) fn blob(bytes: Vec<u8>) -> Blob {
    let bytes = Bytes::from(bytes);
    Blob {
        digest: blob_digest(&bytes),
        bytes,
    }
}

/// The template without its resources.
pub(crate) fn head(
    head: &template::Head,
    environment: &str,
    outputs: &[template::CompiledOutput],
) -> Blob {
    let mut outputs: Vec<proto::Output> = outputs.iter().map(output).collect();
    outputs.sort_by(|a, b| a.name.cmp(&b.name));
    let head = proto::Head {
        template: head.text.clone(),
        environment: environment.to_owned(),
        outputs,
        description: description(&head.text),
        files: head.files.iter().map(write_file).collect(),
    };
    blob(head.encode_to_vec())
}

/// What the template says of itself.
fn description(head: &str) -> String {
    let head: serde_json::Value = serde_json::from_str(head).unwrap_or_default();
    head["description"].as_str().unwrap_or_default().to_owned()
}

fn write_file(file: &template::FileContent) -> proto::File {
    proto::File {
        path: file.path.clone(),
        content: Bytes::copy_from_slice(&file.content),
    }
}

fn read_file(file: proto::File) -> template::FileContent {
    template::FileContent {
        path: file.path,
        content: Arc::from(&file.content[..]),
    }
}

fn output(output: &template::CompiledOutput) -> proto::Output {
    let references = output.references.iter().map(|reference| proto::Reference {
        resource: reference.resource.clone(),
        attribute: reference.attribute.clone(),
    });
    proto::Output {
        name: output.name.clone(),
        description: output.description.clone().unwrap_or_default(),
        body: output.body.clone().into(),
        references: references.collect(),
    }
}

/// The parameter values.
pub(crate) fn parameters(values: &template::ParameterValues) -> Blob {
    let values = values
        .iter()
        .map(|(name, parameter)| proto::Parameter {
            name: name.clone(),
            json: parameter.value.to_string(),
            hidden: parameter.hidden,
            given: parameter.given,
        })
        .collect();
    blob(proto::Parameters { values }.encode_to_vec())
}

/// A resource as the user wrote it.
pub(crate) fn fragment(fragment: &template::Fragment) -> Blob {
    let fragment = proto::Fragment {
        text: fragment.text.clone(),
        parameters: fragment.parameters.clone(),
        files: fragment.files.iter().map(write_file).collect(),
    };
    blob(fragment.encode_to_vec())
}

/// The template part of a stored head.
pub(crate) fn template_head(head: &proto::Head) -> template::Head {
    template::Head {
        text: head.template.clone(),
        files: head.files.iter().cloned().map(read_file).collect(),
    }
}

/// The stored head under a digest.
///
/// # Errors
/// If rows can't be read, or it is not there.
pub(crate) fn stored_head(stored: &dyn Stored, digest: Digest) -> Result<proto::Head, Refused> {
    read_head(&stored.blob(digest)?)
}

/// Reads a stored head.
pub(crate) fn read_head(bytes: &[u8]) -> Result<proto::Head, Refused> {
    proto::Head::decode(bytes).map_err(Refused::storage)
}

/// Reads stored parameter values.
pub(crate) fn read_parameters(bytes: &[u8]) -> Result<template::ParameterValues, Refused> {
    let stored = proto::Parameters::decode(bytes).map_err(Refused::storage)?;
    let mut values = template::ParameterValues::new();
    for parameter in stored.values {
        let value = template::ParameterValue {
            value: serde_json::from_str(&parameter.json).map_err(Refused::storage)?,
            hidden: parameter.hidden,
            given: parameter.given,
        };
        values.insert(parameter.name, value);
    }
    Ok(values)
}

/// Reads a stored fragment.
pub(crate) fn read_fragment(bytes: &[u8]) -> Result<template::Fragment, Refused> {
    let stored = proto::Fragment::decode(bytes).map_err(Refused::storage)?;
    Ok(template::Fragment {
        text: stored.text,
        parameters: stored.parameters,
        files: stored.files.into_iter().map(read_file).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Each of the stored kinds once, one after the other: what is cut out of them looks like any of them.
    const STORED: &[u8] = b"\x0a\x13{\"description\":\"d\"}\x12\x01e\x1a\x0e\x0a\x01x\x1a\x01b\x22\x06\x0a\x01r\x12\x01a\
        \x22\x01d\x0a\x08\x0a\x01p\x12\x011\x18\x01\x0a\x0c{\"type\":\"T\"}\x12\x01p\x1a\x06\x0a\x01f\x12\x01x";

    fn spoilt() -> impl Strategy<Value = Vec<u8>> {
        let cut = (any::<usize>(), any::<usize>(), any::<usize>(), any::<u8>());
        cut.prop_map(|(from, length, at, byte)| {
            let from = from % STORED.len();
            let mut bytes = STORED[from..from + length % (STORED.len() - from + 1)].to_vec();
            if let Some(old) = bytes.get_mut(at % STORED.len()) {
                *old = byte;
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn what_is_damaged_is_refused_or_reads_the_same_again(bytes in spoilt()) {
            if let Ok(values) = read_parameters(&bytes) {
                prop_assert_eq!(read_parameters(&parameters(&values).bytes).unwrap(), values);
            }
            if let Ok(read) = read_fragment(&bytes) {
                prop_assert_eq!(read_fragment(&fragment(&read).bytes).unwrap(), read);
            }
            if let Ok(read) = read_head(&bytes) {
                prop_assert_eq!(read_head(&read.encode_to_vec()).unwrap(), read);
            }
        }
    }

    #[test]
    fn the_bytes_of_a_fragment_are_these_and_are_read_back() {
        let written = template::Fragment {
            text: r#"{"type":"T"}"#.to_owned(),
            parameters: vec!["p".to_owned()],
            files: vec![template::FileContent {
                path: "f".to_owned(),
                content: Arc::from(&b"x"[..]),
            }],
        };
        let blob = fragment(&written);
        assert_eq!(
            &blob.bytes[..],
            b"\x0a\x0c{\"type\":\"T\"}\x12\x01p\x1a\x06\x0a\x01f\x12\x01x"
        );
        assert_eq!(read_fragment(&blob.bytes).unwrap(), written);
    }

    #[test]
    fn the_bytes_of_parameters_are_these_and_are_read_back() {
        let mut values = template::ParameterValues::new();
        let value = template::ParameterValue {
            value: json!(1),
            hidden: true,
            given: false,
        };
        values.insert("p".to_owned(), value);
        let blob = parameters(&values);
        assert_eq!(&blob.bytes[..], b"\x0a\x08\x0a\x01p\x12\x011\x18\x01");
        assert_eq!(read_parameters(&blob.bytes).unwrap(), values);
    }

    #[test]
    fn the_bytes_of_a_head_do_not_depend_on_the_order_of_outputs() {
        let output = |name: &str| template::CompiledOutput {
            name: name.to_owned(),
            description: None,
            body: b"b".to_vec(),
            references: vec![template::Reference {
                resource: "r".to_owned(),
                attribute: Some("a".to_owned()),
            }],
        };
        let text = template::Head {
            text: r#"{"description":"d"}"#.to_owned(),
            files: Vec::new(),
        };
        let one = head(&text, "e", &[output("x"), output("y")]);
        let other = head(&text, "e", &[output("y"), output("x")]);
        assert_eq!(one, other);
        let golden = b"\x0a\x13{\"description\":\"d\"}\x12\x01e\x1a\x0e\x0a\x01x\x1a\x01b\x22\x06\x0a\x01r\x12\x01a\
            \x1a\x0e\x0a\x01y\x1a\x01b\x22\x06\x0a\x01r\x12\x01a\x22\x01d";
        assert_eq!(&one.bytes[..], golden);
        assert_eq!(read_head(&one.bytes).unwrap().outputs.len(), 2);
    }
}
