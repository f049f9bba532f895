//! `digest`.

use sha2::Digest;

use crate::value::Value;

const ALGORITHMS: &[&str] = &["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

pub(super) fn check(arguments: &Value) -> Result<(), String> {
    let Value::List(items) = arguments else {
        return Err(form());
    };
    if items.len() != 2 {
        return Err(form());
    }
    match items[0].unmarked().0 {
        Value::Text(name) if !ALGORITHMS.contains(&name.to_lowercase().as_str()) => Err(format!(
            "{name:?} is no digest algorithm; there are {}",
            ALGORITHMS.join(", ")
        )),
        Value::Text(_) | Value::Call(_) | Value::Unknown => Ok(()),
        _ => Err(form()),
    }
}

fn form() -> String {
    "digest takes [algorithm, text]".to_owned()
}

pub(super) fn digest(arguments: &Value) -> Result<Value, String> {
    let Value::List(items) = arguments else {
        return Err(form());
    };
    let [Value::Text(algorithm), Value::Text(text)] = items.as_slice() else {
        return Err(form());
    };
    let bytes = text.as_bytes();
    let digest = match algorithm.to_lowercase().as_str() {
        "md5" => hex(&md5::Md5::digest(bytes)),
        "sha1" => hex(&sha1::Sha1::digest(bytes)),
        "sha224" => hex(&sha2::Sha224::digest(bytes)),
        "sha256" => hex(&sha2::Sha256::digest(bytes)),
        "sha384" => hex(&sha2::Sha384::digest(bytes)),
        _ => hex(&sha2::Sha512::digest(bytes)),
    };
    Ok(Value::Text(digest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
