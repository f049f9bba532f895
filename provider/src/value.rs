//! Reading a value as the kind that a property has, with Heat's leniency.
//!
//! Knows nothing about schemas or properties.

use serde_json::{Number, Value};

/// Text; numbers and booleans as their text.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A number, also from text. Never infinite or NaN.
pub fn as_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// A whole number, also from text.
pub fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// `3.0` is a whole number in YAML's eyes.
fn whole(number: &Number) -> Option<i64> {
    let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
    format!("{float:.0}").parse().ok()
}

/// A boolean, also from Heat's words for it, in any case.
pub fn as_boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "t" | "true" | "on" | "y" | "yes" | "1" => Some(true),
            "f" | "false" | "off" | "n" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The largest mode: permissions, sticky bit, set-group-id and set-user-id.
const MODE_MAX: u32 = 0o7777;

/// File permissions from octal digits as written: `0644`, `"644"` and `0o644` are the same.
///
/// A number is taken by its digits too, but refused where these give the group or others what the owner has
/// not: that is what an octal number looks like after a YAML reader has turned it into a decimal one (420).
pub fn as_mode(value: &Value) -> Option<u32> {
    let text = as_text(value)?;
    let digits = text.strip_prefix("0o").unwrap_or(&text);
    let digits_only = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let mode = if digits_only {
        u32::from_str_radix(digits, 8).ok()?
    } else {
        return None;
    };
    let owner = (mode >> 6) & 0o7;
    let upside_down = ((mode >> 3) | mode) & 0o7 & !owner != 0;
    (mode <= MODE_MAX && !(value.is_number() && upside_down)).then_some(mode)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mode_is_octal_as_written() {
        for written in [json!("0644"), json!("644"), json!("0o644"), json!(644)] {
            assert_eq!(as_mode(&written), Some(0o644), "{written}");
        }
        for wrong in [
            json!("rw-r--r--"),
            json!("9"),
            json!(77777),
            json!(-1),
            json!(""),
            json!([]),
            json!(6.5),
        ] {
            assert_eq!(as_mode(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn heats_words_are_booleans() {
        assert_eq!(as_boolean(&json!("Yes")), Some(true));
        assert_eq!(as_boolean(&json!("off")), Some(false));
        assert_eq!(as_boolean(&json!("maybe")), None);
    }

    #[test]
    fn numbers_are_read_from_text_but_never_infinite() {
        assert_eq!(as_number(&json!(" 1.5 ")), Some(1.5));
        assert_eq!(as_number(&json!("inf")), None);
        assert_eq!(as_integer(&json!(3.0)), Some(3));
        assert_eq!(as_integer(&json!(3.5)), None);
    }
}
