//! Which of the values that a resource reports carry a secret that it was made from. Pure.
//!
//! Goes by the text itself: whatever path a secret takes through a provider, it shows where it comes out.

use serde_json::Value as Json;

/// A shorter secret is found in everything by chance: it only counts where it is all there is.
const TELLING_CHARACTERS: usize = 4;
/// What stands for a secret.
const MASK: &str = "***";

/// What is secret among the properties of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// The texts that must not come out.
    pub(crate) texts: Vec<String>,
    /// JSON pointers into the properties.
    pub(crate) at: Vec<String>,
}

impl Secrets {
    /// Whether a property is secret, as a whole or in part.
    pub(crate) fn are_in(&self, property: &str) -> bool {
        self.at.iter().any(|pointer| {
            let rest = pointer
                .strip_prefix('/')
                .and_then(|rest| rest.strip_prefix(property));
            pointer.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// The texts of what JSON pointers into some properties point to.
pub(crate) fn texts_at(properties: &Json, pointers: &[String]) -> Vec<String> {
    let pointed = pointers
        .iter()
        .filter_map(|pointer| properties.pointer(pointer));
    pointed.flat_map(texts_of).collect()
}

/// The texts of a value that is secret as a whole.
pub(crate) fn texts_of(secret: &Json) -> Vec<String> {
    let mut texts = Vec::new();
    each_text(secret, &mut |text| texts.push(text.to_owned()));
    texts
}

/// Whether a value carries one of the secrets.
pub(crate) fn carries(value: &Json, secrets: &[String]) -> bool {
    let mut found = false;
    each_text(value, &mut |text| {
        found |= secrets.iter().any(|secret| {
            let telling = secret.chars().count() >= TELLING_CHARACTERS;
            text == secret || (telling && text.contains(secret.as_str()))
        });
    });
    found
}

/// A text that people will read, without the secrets in it.
pub(crate) fn masked(text: String, secrets: &[String]) -> String {
    let telling = secrets
        .iter()
        .filter(|secret| secret.chars().count() >= TELLING_CHARACTERS);
    let mut masked = text;
    for secret in telling {
        if masked.contains(secret.as_str()) {
            masked = masked.replace(secret.as_str(), MASK);
        }
        // As providers quote what they were given.
        let quoted = serde_json::Value::from(secret.as_str()).to_string();
        let quoted = quoted.trim_matches('"');
        if quoted != secret && masked.contains(quoted) {
            masked = masked.replace(quoted, MASK);
        }
    }
    if secrets.contains(&masked) {
        return MASK.to_owned();
    }
    masked
}

/// The texts of strings and numbers in a value. What is null, a boolean or empty keeps no secret.
fn each_text(value: &Json, take: &mut impl FnMut(&str)) {
    match value {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) => take(&number.to_string()),
        Json::String(text) if text.is_empty() => {}
        Json::String(text) => take(text),
        Json::Array(items) => items.iter().for_each(|item| each_text(item, take)),
        Json::Object(entries) => entries.values().for_each(|item| each_text(item, take)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_shows_wherever_it_comes_out() {
        let properties = json!({"user": "admin", "login": {"password": "swordfish", "pin": 12}});
        let secrets = texts_at(&properties, &["/login".to_owned()]);
        assert!(carries(
            &json!({"url": ["http://admin:swordfish@x"]}),
            &secrets
        ));
        assert!(carries(&json!("12"), &secrets));
        assert!(!carries(&json!("admin, 1234, swordfis"), &secrets));
        assert!(!carries(&json!(null), &secrets));
    }

    #[test]
    fn words_about_a_failure_keep_the_secret() {
        let secrets = ["sword\nfish".to_owned(), "12".to_owned()];
        let masked = |text: &str| masked(text.to_owned(), &secrets);
        assert_eq!(masked("bad password sword\nfish!"), "bad password ***!");
        assert_eq!(masked(r#"got "sword\nfish""#), r#"got "***""#);
        assert_eq!(masked("exit code 12"), "exit code 12", "too short to tell");
        assert_eq!(masked("12"), "***");
    }

    #[test]
    fn what_is_computed_from_a_secret_property_is_known_by_its_pointer() {
        let secrets = Secrets {
            texts: Vec::new(),
            at: vec!["/content".to_owned(), "/login/password".to_owned()],
        };
        assert!(secrets.are_in("content") && secrets.are_in("login"));
        assert!(!secrets.are_in("path") && !secrets.are_in("cont"));
    }
}
