//! `make_url`.

use crate::value::{Entries, Value, json_text, number_text};

const PARTS: &[&str] = &[
    "scheme", "username", "password", "host", "port", "path", "query", "fragment",
];
/// Schemes after which `//` stands even without a host.
const HOST_SCHEMES: &[&str] = &[
    "ftp", "http", "https", "file", "git", "sftp", "nfs", "rsync", "svn", "ws", "wss",
];

pub(super) fn check(arguments: &Value) -> Result<(), String> {
    let Value::Map(entries) = arguments else {
        return Err("takes a map".to_owned());
    };
    for (key, value) in entries {
        let value = value.unmarked().0;
        let fits = match (key.as_str(), value) {
            (_, Value::Call(_) | Value::Unknown) => true,
            ("query", Value::Map(_)) => true,
            ("query", _) => return Err("the query must be a map".to_owned()),
            ("port", Value::Text(text)) if text.is_empty() => true,
            ("port", value) => port_of(value).is_some(),
            (part, Value::Text(_)) => PARTS.contains(&part),
            (part, _) if PARTS.contains(&part) => {
                return Err(format!("the {part} must be a string"));
            }
            _ => false,
        };
        if !fits {
            return Err(match key.as_str() {
                "port" => "the port must be between 1 and 65535".to_owned(),
                _ => format!("takes {}, not {key:?}", PARTS.join(", ")),
            });
        }
        if let ("scheme", Value::Text(scheme)) = (key.as_str(), value)
            && scheme.contains(':')
        {
            return Err("the scheme must not contain ':'".to_owned());
        }
    }
    Ok(())
}

fn port_of(value: &Value) -> Option<u64> {
    let port = match value {
        Value::Number(number) => number.as_u64()?,
        Value::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (1..=65535).contains(&port).then_some(port)
}

pub(super) fn make_url(arguments: &Value) -> Result<Value, String> {
    check(arguments)?;
    let Value::Map(entries) = arguments else {
        return Err("takes a map".to_owned());
    };
    let text = |part: &str| match entries.get(part) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let (scheme, authority) = (text("scheme"), authority(entries, &text));
    let mut path = quoted(text("path"), "/");
    if !authority.is_empty() || (HOST_SCHEMES.contains(&scheme) && !path.starts_with("//")) {
        if !path.is_empty() && !path.starts_with('/') {
            path.insert(0, '/');
        }
        path = format!("//{authority}{path}");
    }
    let mut url = if scheme.is_empty() {
        path
    } else {
        format!("{scheme}:{path}")
    };
    let query = query(entries);
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query);
    }
    let fragment = quoted(text("fragment"), "/");
    if !fragment.is_empty() {
        url.push('#');
        url.push_str(&fragment);
    }
    Ok(Value::Text(url))
}

fn authority<'a>(entries: &Entries, text: &impl Fn(&str) -> &'a str) -> String {
    let mut authority = String::new();
    let (username, password) = (quoted(text("username"), ""), quoted(text("password"), ""));
    if !username.is_empty() || !password.is_empty() {
        authority.push_str(&username);
        if !password.is_empty() {
            authority.push(':');
            authority.push_str(&password);
        }
        authority.push('@');
    }
    let host = text("host");
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    let host = quoted(bare, ":");
    authority.push_str(&if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    });
    if let Some(port) = entries.get("port").and_then(port_of) {
        authority.push_str(&format!(":{port}"));
    }
    authority
}

fn query(entries: &Entries) -> String {
    let Some(Value::Map(query)) = entries.get("query") else {
        return String::new();
    };
    let encode = |text: &str| quoted(text, "/ ").replace(' ', "+");
    let pairs = query
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(&query_text(value))));
    pairs.collect::<Vec<_>>().join("&")
}

fn query_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number_text(number),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => "None".to_owned(),
        other => json_text(other),
    }
}

fn quoted(text: &str, safe: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || b"_.-~".contains(&byte)
            || safe.as_bytes().contains(&byte);
        if plain {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}
