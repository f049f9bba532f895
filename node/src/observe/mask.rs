//! Differences as people may see them: by JSON pointer, with what is secret masked.
//!
//! Pure. Secret is what the type's schema says, and whatever was computed from a hidden parameter or a secret
//! attribute; if that can't be told any more, everything is.

use anneal_provider::{PropertyDifference, PropertyPath, Step, TypeSchema};

/// Stands where a secret would.
pub(crate) const MASK: &str = "\"***\"";
/// A value longer than this is cut: differences travel in log entries.
const MAX_VALUE_BYTES: usize = 512;

/// One difference, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    /// JSON pointer within the properties.
    pub path: String,
    /// JSON text.
    pub desired: String,
    /// JSON text.
    pub found: String,
}

/// Masks differences. `sensitive` are JSON pointers; `None`: it is not known what is.
pub(crate) fn masked(
    differences: &[PropertyDifference],
    sensitive: Option<&[String]>,
    schema: Option<&TypeSchema>,
) -> Vec<Masked> {
    let one = |difference: &PropertyDifference| {
        let path = pointer(&difference.path);
        let by_schema = difference
            .path
            .top()
            .and_then(|name| schema?.property(name))
            .is_some_and(|property| property.secret);
        let by_value =
            sensitive.is_none_or(|sensitive| sensitive.iter().any(|secret| touches(&path, secret)));
        let secret = by_schema || by_value;
        let show = |value: &serde_json::Value| {
            if secret {
                MASK.to_owned()
            } else {
                cut(value.to_string())
            }
        };
        Masked {
            desired: show(&difference.desired),
            found: show(&difference.found),
            path,
        }
    };
    differences.iter().map(one).collect()
}

/// A path as a JSON pointer.
pub(crate) fn pointer(path: &PropertyPath) -> String {
    let mut pointer = String::new();
    for step in &path.0 {
        pointer.push('/');
        match step {
            Step::Name(name) => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

/// Whether one is the other or contains it.
fn touches(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_VALUE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_VALUE_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn difference(path: PropertyPath) -> PropertyDifference {
        PropertyDifference {
            path,
            desired: json!("hunter2"),
            found: json!("other"),
        }
    }

    fn shown(path: PropertyPath, sensitive: &[&str]) -> Masked {
        let sensitive: Vec<String> = sensitive.iter().map(|text| (*text).to_owned()).collect();
        masked(&[difference(path)], Some(&sensitive), None).remove(0)
    }

    #[test]
    fn a_secret_is_masked_wherever_it_is_part_of_what_differs() {
        let content = PropertyPath::property("content");
        assert_eq!(shown(content.clone(), &[]).desired, "\"hunter2\"");
        assert_eq!(shown(content.clone(), &["/content"]).desired, MASK);
        assert_eq!(shown(content.name("key"), &["/content"]).found, MASK);
        assert_eq!(shown(content.clone(), &["/content/key/0"]).found, MASK);
        assert_eq!(shown(content, &["/content2"]).desired, "\"hunter2\"");
    }

    #[test]
    fn the_content_of_a_file_is_shown_unless_it_was_computed_from_a_secret() {
        let companion = anneal_provider::Companion::this_program();
        let registry = anneal_provider::Registry::built_in(&companion);
        let schema = registry.schema("Anneal::File");
        let edited = [difference(PropertyPath::property("content"))];
        let shown = masked(&edited, Some(&[]), schema).remove(0);
        assert_eq!(
            (&*shown.desired, &*shown.found),
            ("\"hunter2\"", "\"other\"")
        );
        let hidden = masked(&edited, Some(&["/content".to_owned()]), schema).remove(0);
        assert_eq!((&*hidden.desired, &*hidden.found), (MASK, MASK));
    }

    #[test]
    fn if_it_is_not_known_what_is_secret_everything_is() {
        let found = masked(&[difference(PropertyPath::property("mode"))], None, None);
        assert_eq!(found[0].desired, MASK);
        assert_eq!(found[0].path, "/mode");
    }

    #[test]
    fn a_secret_property_of_the_type_is_masked_and_a_pointer_is_escaped() {
        let mut schema = TypeSchema::new("T", "A type.");
        let secret = anneal_provider::PropertySchema::new("a/b", &[], "A secret.").secret();
        schema.properties.push(secret);
        let found = masked(
            &[difference(PropertyPath::property("a/b"))],
            Some(&[]),
            Some(&schema),
        );
        assert_eq!(found[0].desired, MASK);
        assert_eq!(found[0].path, "/a~1b");
    }
}
