//! The values that a definition refers to, as an action sees them.
//!
//! Knows nothing of where they come from but their order: what an earlier step of the same chunk made comes
//! before what the replica has.

use std::collections::BTreeMap;

use anneal_statemachine::command::{Input, Reference, Value};
use anneal_statemachine::digest::{Digest, missing_value, value_digest};
use anneal_statemachine::id::Text;
use anneal_statemachine::row::AttributeRow;
use anneal_template::{Known, Lookup};
use bytes::Bytes;
use serde_json::Value as Json;

/// A value as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its canonical form.
    pub(crate) bytes: Bytes,
    /// To be masked wherever it is shown.
    pub(crate) sensitive: bool,
}

impl From<AttributeRow> for Stored {
    fn from(row: AttributeRow) -> Self {
        Self {
            digest: row.digest,
            bytes: row.bytes,
            sensitive: row.sensitive,
        }
    }
}

/// Why a value can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored value of {resource} is not readable: {message}")]
pub(crate) struct Unreadable {
    /// Whose.
    pub(crate) resource: Text,
    /// Why.
    pub(crate) message: String,
}

/// What the steps of a chunk have made so far, by resource name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Produced(BTreeMap<Text, Vec<Value>>);

impl Produced {
    /// Notes what a resource offers from now on.
    pub(crate) fn add(&mut self, resource: Text, values: Vec<Value>) {
        self.0.insert(resource, values);
    }

    fn find(&self, reference: &Reference) -> Option<Option<Stored>> {
        let values = self.0.get(&reference.resource)?;
        let value = values
            .iter()
            .find(|value| value.name == reference.attribute);
        Some(value.map(|value| Stored {
            digest: value.digest,
            bytes: value.bytes.clone(),
            sensitive: value.sensitive,
        }))
    }
}

/// Everything that one definition refers to.
#[derive(Debug, Default)]
pub(crate) struct Values {
    stack_id: String,
    known: BTreeMap<(Text, Option<Text>), Known>,
    inputs: Vec<Input>,
}

impl Values {
    /// Collects the values of all references. `stored` says what the replica has: nothing at all for a resource
    /// that is not there, `Some(None)` for a value that a resource does not offer.
    ///
    /// # Errors
    /// If a stored value is not JSON.
    pub(crate) fn collect(
        stack_id: String,
        references: &[Reference],
        produced: &Produced,
        mut stored: impl FnMut(&Reference) -> Option<Option<Stored>>,
    ) -> Result<Self, Unreadable> {
        let mut values = Self {
            stack_id,
            ..Self::default()
        };
        for reference in references {
            if let Some(found) = produced.find(reference).or_else(|| stored(reference)) {
                values.add(reference, found)?;
            }
        }
        Ok(values)
    }

    /// What was collected, for the report.
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Those among the values that are secret.
    pub(crate) fn sensitive(&self) -> impl Iterator<Item = &Json> {
        let sensitive = self.known.values().filter(|known| known.sensitive);
        sensitive.map(|known| &known.value)
    }

    fn add(&mut self, reference: &Reference, found: Option<Stored>) -> Result<(), Unreadable> {
        let digest = found
            .as_ref()
            .map_or_else(missing_value, |stored| stored.digest);
        let known = match found {
            Some(stored) => Known {
                value: serde_json::from_slice(&stored.bytes).map_err(|error| Unreadable {
                    resource: reference.resource.clone(),
                    message: error.to_string(),
                })?,
                sensitive: stored.sensitive,
            },
            None => Known {
                value: Json::Null,
                sensitive: false,
            },
        };
        self.inputs.push(Input {
            resource: reference.resource.clone(),
            attribute: reference.attribute.clone(),
            digest,
        });
        let key = (reference.resource.clone(), reference.attribute.clone());
        self.known.insert(key, known);
        Ok(())
    }

    fn find(&self, resource: &str, attribute: Option<&str>) -> Option<Known> {
        let key = (Text::from(resource), attribute.map(Text::from));
        self.known.get(&key).cloned()
    }
}

impl Lookup for Values {
    fn stack_id(&self) -> Option<String> {
        Some(self.stack_id.clone())
    }

    fn reference_id(&self, resource: &str) -> Option<Known> {
        self.find(resource, None)
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Option<Known> {
        self.find(resource, Some(attribute))
    }
}

/// The one form of a value that its digest is taken of: compact JSON with sorted keys.
pub(crate) fn canonical(value: &Json) -> Bytes {
    let mut text = Vec::new();
    write_sorted(value, &mut text);
    Bytes::from(text)
}

/// A value as a report carries it.
pub(crate) fn offered(name: Option<&str>, value: &Json, sensitive: bool) -> Value {
    let bytes = canonical(value);
    Value {
        name: name.map(Into::into),
        digest: value_digest(&bytes),
        bytes,
        sensitive,
    }
}

fn write_sorted(value: &Json, text: &mut Vec<u8>) {
    match value {
        Json::Array(items) => {
            text.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                write_sorted(item, text);
            }
            text.push(b']');
        }
        Json::Object(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            text.push(b'{');
            for (place, (key, item)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                write_plain(&Json::from(key.as_str()), text);
                text.push(b':');
                write_sorted(item, text);
            }
            text.push(b'}');
        }
        plain => write_plain(plain, text),
    }
}

fn write_plain(value: &Json, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value).expect("plain JSON is always written to memory");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference(resource: &str, attribute: Option<&str>) -> Reference {
        Reference {
            resource: resource.into(),
            attribute: attribute.map(Into::into),
        }
    }

    fn stored(value: &Json) -> Stored {
        let value = offered(None, value, false);
        Stored {
            digest: value.digest,
            bytes: value.bytes,
            sensitive: false,
        }
    }

    #[test]
    fn equal_values_have_equal_bytes_whatever_the_order_of_their_keys() {
        let one = canonical(&json!({"b": [1, {"z": null, "a": "é"}], "a": 1.5}));
        let other = canonical(&json!({"a": 1.5, "b": [1, {"a": "é", "z": null}]}));
        assert_eq!(one, other);
        assert_eq!(one, r#"{"a":1.5,"b":[1,{"a":"é","z":null}]}"#);
    }

    #[test]
    fn a_step_sees_what_an_earlier_step_made_rather_than_what_the_replica_has() {
        let mut produced = Produced::default();
        produced.add("a".into(), vec![offered(None, &json!("new"), false)]);
        let references = [reference("a", None), reference("b", Some("x"))];
        let values = Values::collect("7".into(), &references, &produced, |asked| {
            assert_ne!(&*asked.resource, "a", "the replica is not asked");
            Some(Some(stored(&json!("old"))))
        });
        let values = values.expect("readable");
        assert_eq!(
            values.reference_id("a").map(|known| known.value),
            Some(json!("new"))
        );
        assert_eq!(
            values.attribute("b", "x").map(|known| known.value),
            Some(json!("old"))
        );
        assert_eq!(values.inputs().len(), 2);
    }

    #[test]
    fn a_value_not_offered_is_null_and_one_not_there_is_not_known() {
        let references = [reference("a", Some("x")), reference("b", None)];
        let values = Values::collect("7".into(), &references, &Produced::default(), |asked| {
            (&*asked.resource == "a").then_some(None)
        });
        let values = values.expect("readable");
        assert_eq!(
            values.attribute("a", "x").map(|known| known.value),
            Some(Json::Null)
        );
        assert_eq!(values.reference_id("b"), None);
        assert_eq!(values.inputs()[0].digest, missing_value());
    }
}
