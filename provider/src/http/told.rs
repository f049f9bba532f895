//! The properties of an `Anneal::Http`, read: which requests there are, and what they are made of.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::CallContext;
use crate::compare::Recorded;
use crate::failure::Failure;
use crate::read_values::{given, optional_seconds, optional_text, text, text_map};
use crate::request::Values;
use crate::value::as_integer;

/// A request that says nothing about its time is answered within this.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the id of an object usually is.
pub(super) const DEFAULT_ID: &str = "/id";

/// The properties, read. Kept with the instance, so that it can be looked at and deleted alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) create: Option<Action>,
    pub(super) read: Option<Action>,
    pub(super) update: Option<Action>,
    pub(super) delete: Option<Action>,
    pub(super) find: Option<Action>,
    pub(super) find_items: String,
    pub(super) id: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) idempotency_header: Option<String>,
    pub(super) fencing_header: Option<String>,
    pub(super) timeout: Duration,
    /// What it was last made of. None while it is not what is wanted.
    pub(super) made_of: Option<Recorded>,
    /// Which fields of the body were seen in the answer when it was made: they must stay there.
    pub(super) seen_fields: Vec<String>,
}

/// One kind of request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Action {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) expected: Vec<u16>,
}

impl Told {
    pub(super) fn of(properties: &Values) -> Result<Self, Failure> {
        let action = |name: &str, method: &str| Action::of(properties, name, method);
        let url = text(properties, "url")?;
        reqwest::Url::parse(&url)
            .map_err(|error| Failure::refused(format!("property `url`: {error}")))?;
        let find = given(properties, "find").and_then(Value::as_object);
        let told = Self {
            url,
            headers: text_map(properties, "headers")?,
            body: given(properties, "body").cloned(),
            create: action("create", "POST")?,
            read: action("read", "GET")?,
            update: action("update", "PUT")?,
            delete: action("delete", "DELETE")?,
            find: action("find", "GET")?,
            find_items: find
                .map(|find| optional_text(find, "items"))
                .transpose()?
                .flatten()
                .unwrap_or_default(),
            id: optional_text(properties, "id")?.unwrap_or_else(|| DEFAULT_ID.to_owned()),
            attributes: text_map(properties, "attributes")?,
            idempotency_header: optional_text(properties, "idempotency_header")?,
            fencing_header: optional_text(properties, "fencing_header")?,
            timeout: optional_seconds(properties, "timeout_seconds")?.unwrap_or(DEFAULT_TIMEOUT),
            made_of: Some(Recorded::of(properties)),
            seen_fields: Vec::new(),
        };
        if told.create.is_none() && told.read.is_none() {
            return Err(Failure::refused(
                "at least one of `create` and `read` is needed",
            ));
        }
        Ok(told)
    }

    /// Whether the object has an id of its own, which must be known to reach it.
    pub(super) fn needs_id(&self) -> bool {
        let actions = [&self.read, &self.update, &self.delete];
        actions.into_iter().flatten().any(Action::needs_id)
    }

    /// What the object should be, as far as it was said.
    pub(super) fn desired(&self) -> Option<&Value> {
        let own = |action: &'_ Option<Action>| {
            action.as_ref().is_some_and(|action| action.body.is_some())
        };
        match (own(&self.update), own(&self.create)) {
            (true, _) => self.update.as_ref()?.body.as_ref(),
            (false, true) if self.body.is_none() => self.create.as_ref()?.body.as_ref(),
            (false, _) => self.body.as_ref(),
        }
    }
}

impl Action {
    fn of(properties: &Values, name: &str, method: &str) -> Result<Option<Self>, Failure> {
        let Some(action) = given(properties, name) else {
            return Ok(None);
        };
        let wrong = |what: &str| Failure::refused(format!("property `{name}`: {what}"));
        let action = action.as_object().ok_or_else(|| wrong("a map expected"))?;
        let method = optional_text(action, "method")?
            .unwrap_or_else(|| method.to_owned())
            .to_ascii_uppercase();
        Method::from_bytes(method.as_bytes()).map_err(|_| wrong("its method is none"))?;
        let expected = match given(action, "expected") {
            None => Vec::new(),
            Some(Value::Array(statuses)) => {
                let status =
                    |value| as_integer(value).and_then(|status| u16::try_from(status).ok());
                let statuses: Option<Vec<u16>> = statuses.iter().map(status).collect();
                statuses.ok_or_else(|| wrong("`expected` must be a list of statuses"))?
            }
            Some(_) => return Err(wrong("`expected` must be a list of statuses")),
        };
        Ok(Some(Self {
            method,
            path: optional_text(action, "path")?.unwrap_or_default(),
            headers: text_map(action, "headers")?,
            body: given(action, "body").cloned(),
            expected,
        }))
    }

    pub(super) fn needs_id(&self) -> bool {
        self.path.contains("{id}")
    }

    /// Whether a status means that it went well.
    pub(super) fn expects(&self, status: u16) -> bool {
        if self.expected.is_empty() {
            (200..300).contains(&status)
        } else {
            self.expected.contains(&status)
        }
    }
}

/// What stands for `{id}`, `{key}`, `{instance}` and `{token}`.
pub(super) struct Names<'a> {
    pub(super) ctx: &'a CallContext,
    pub(super) id: Option<&'a str>,
}

impl Names<'_> {
    fn all(&self) -> [(&'static str, String); 4] {
        [
            ("{id}", self.id.unwrap_or_default().to_owned()),
            ("{key}", self.ctx.idempotency_key.clone()),
            ("{instance}", self.ctx.instance_id.clone()),
            ("{token}", self.ctx.fencing_token.to_string()),
        ]
    }

    /// In a header.
    pub(super) fn in_text(&self, text: &str) -> String {
        self.all()
            .iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            })
    }

    /// In a path, where they are escaped.
    pub(super) fn in_path(&self, path: &str) -> String {
        self.all()
            .iter()
            .fold(path.to_owned(), |path, (name, value)| {
                path.replace(name, &escaped(value))
            })
    }

    /// In a body: only a text that is nothing else, so that no other braces are touched.
    pub(super) fn in_body(&self, body: &Value) -> Value {
        match body {
            Value::String(text) => {
                let found = self.all().into_iter().find(|(name, _)| name == text);
                found.map_or_else(|| body.clone(), |(_, value)| value.into())
            }
            Value::Array(items) => items.iter().map(|item| self.in_body(item)).collect(),
            Value::Object(entries) => entries
                .iter()
                .map(|(name, value)| (name.clone(), self.in_body(value)))
                .collect::<Values>()
                .into(),
            other => other.clone(),
        }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte))
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}
