//! Content addresses and fingerprints: BLAKE3 with a domain for each kind of content, so that a
//! digest of one kind never equals one of another. Knows nothing of the state.

use crate::command::{Input, Reference};
use crate::id::Text;
use std::fmt;

/// A 32-byte BLAKE3 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..4] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Feeds fields to a digest so that no two different lists of fields give the same bytes.
struct Fields(blake3::Hasher);

impl Fields {
    fn new(domain: &str) -> Fields {
        let mut fields = Fields(blake3::Hasher::new());
        fields.add(domain.as_bytes());
        fields
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn end(self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

/// The digest of a definition: its type and its body (properties, with parameters, conditions and
/// files put in), nothing else.
pub fn definition_digest(type_name: &str, body: &[u8]) -> Digest {
    let mut fields = Fields::new("anneal definition 1");
    fields.add(type_name.as_bytes());
    fields.add(body);
    fields.end()
}

/// The digest of a template head, a fragment or a parameter text.
pub fn blob_digest(bytes: &[u8]) -> Digest {
    let mut fields = Fields::new("anneal blob 1");
    fields.add(bytes);
    fields.end()
}

/// The digest of an attribute value (or a reference id) in its canonical form.
pub fn value_digest(bytes: &[u8]) -> Digest {
    let mut fields = Fields::new("anneal value 1");
    fields.add(bytes);
    fields.end()
}

/// What stands for the digest of an attribute that the provider did not report.
pub fn missing_value() -> Digest {
    Fields::new("anneal missing value 1").end()
}

/// The fingerprint: a definition together with the digests of all values that it refers to. An input
/// that is not given counts as [`missing_value`]; inputs that the definition does not refer to do not
/// count.
pub fn fingerprint(definition: Digest, references: &[Reference], inputs: &[Input]) -> Digest {
    fingerprint_with(definition, references, |resource, attribute| {
        inputs
            .iter()
            .find(|input| input.resource == *resource && input.attribute.as_ref() == attribute)
            .map(|input| input.digest)
    })
}

/// As [`fingerprint`], with the digests looked up.
pub fn fingerprint_with(
    definition: Digest,
    references: &[Reference],
    mut value: impl FnMut(&Text, Option<&Text>) -> Option<Digest>,
) -> Digest {
    let mut order: Vec<&Reference> = references.iter().collect();
    order.sort();
    order.dedup();
    let mut fields = Fields::new("anneal fingerprint 1");
    fields.add(&definition.0);
    for reference in order {
        fields.add(reference.resource.as_bytes());
        // A present attribute is marked, so that an empty name is not the reference id.
        match &reference.attribute {
            Some(attribute) => {
                fields.add(b"attribute");
                fields.add(attribute.as_bytes());
            }
            None => fields.add(b"reference"),
        }
        let digest = value(&reference.resource, reference.attribute.as_ref());
        fields.add(&digest.unwrap_or_else(missing_value).0);
    }
    fields.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(resource: &str, attribute: Option<&str>) -> Reference {
        Reference {
            resource: resource.into(),
            attribute: attribute.map(Into::into),
        }
    }

    fn input(resource: &str, attribute: Option<&str>, value: &[u8]) -> Input {
        Input {
            resource: resource.into(),
            attribute: attribute.map(Into::into),
            digest: value_digest(value),
        }
    }

    #[test]
    fn kinds_of_content_never_share_a_digest() {
        let all = [
            blob_digest(b"x"),
            value_digest(b"x"),
            definition_digest("", b"x"),
        ];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert_ne!(
            definition_digest("ab", b"c"),
            definition_digest("a", b"bc"),
            "where the type ends matters"
        );
    }

    #[test]
    fn a_fingerprint_knows_neither_order_nor_what_is_not_referred_to() {
        let definition = definition_digest("file", b"body");
        let references = [reference("b", Some("path")), reference("a", None)];
        let turned = [
            reference("a", None),
            reference("b", Some("path")),
            reference("a", None),
        ];
        let inputs = [input("a", None, b"1"), input("b", Some("path"), b"2")];
        let more = [inputs[1].clone(), input("c", None, b"3"), inputs[0].clone()];
        assert_eq!(
            fingerprint(definition, &references, &inputs),
            fingerprint(definition, &turned, &more)
        );
    }

    #[test]
    fn a_fingerprint_moves_with_each_value_and_with_a_missing_one() {
        let definition = definition_digest("file", b"body");
        let references = [reference("a", None), reference("a", Some(""))];
        let inputs = [input("a", None, b"1"), input("a", Some(""), b"2")];
        let swapped = [input("a", None, b"2"), input("a", Some(""), b"1")];
        let all = [
            fingerprint(definition, &references, &inputs),
            fingerprint(definition, &references, &swapped),
            fingerprint(definition, &references, &inputs[..1]),
            fingerprint(definition, &references, &[]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
    }
}
