//! What an unquoted scalar means: YAML 1.1 as PyYAML resolves it, dates staying text, as Heat reads it.
//! Knows nothing of trees.

use serde_json::Number;

/// What an unquoted scalar was resolved to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int,
    Float,
    Text,
}

/// Resolves an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        _ => {}
    }
    let first = text.as_bytes()[0];
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return Scalar::Text;
    }
    if is_int(text) {
        Scalar::Int
    } else if is_float(text) {
        Scalar::Float
    } else {
        Scalar::Text
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_int(text: &str) -> bool {
    let digits = unsigned(text);
    if digits == "0" {
        return true;
    }
    if let Some(rest) = digits.strip_prefix("0b") {
        return all(rest, |b| matches!(b, b'0' | b'1' | b'_')) && rest != "_";
    }
    if let Some(rest) = digits.strip_prefix("0x") {
        return all(rest, |b| b.is_ascii_hexdigit() || b == b'_');
    }
    if let Some(rest) = digits.strip_prefix('0') {
        return all(rest, |b| matches!(b, b'0'..=b'7' | b'_'));
    }
    let mut parts = digits.split(':');
    let head = parts.next().unwrap_or_default();
    head.as_bytes()
        .first()
        .is_some_and(|b| matches!(b, b'1'..=b'9'))
        && all(head, |b| b.is_ascii_digit() || b == b'_')
        && parts.all(is_sexagesimal)
}

/// A part of a base-60 number: `1:30` is 90 to YAML 1.1.
fn is_sexagesimal(part: &str) -> bool {
    match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => matches!(tens, b'0'..=b'5') && digit.is_ascii_digit(),
        _ => false,
    }
}

fn is_float(text: &str) -> bool {
    let digits = unsigned(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = digits.split_once('.') else {
        return false;
    };
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    // PyYAML wants a sign in the exponent: `1.0e5` is text to it.
    let exponent_fits =
        exponent.is_none_or(|e| e.starts_with(['-', '+']) && all(&e[1..], |b| b.is_ascii_digit()));
    let number = |t: &str| all(t, |b| b.is_ascii_digit() || b == b'_');
    if whole.is_empty() {
        return number(fraction)
            && fraction.as_bytes()[0].is_ascii_digit()
            && exponent_fits
            && digits == text;
    }
    let fraction_fits = fraction.is_empty() || number(fraction);
    if let Some((hours, minutes)) = whole.split_once(':') {
        return exponent.is_none()
            && fraction_fits
            && number(hours)
            && minutes.split(':').all(is_sexagesimal);
    }
    number(whole) && whole.as_bytes()[0].is_ascii_digit() && fraction_fits && exponent_fits
}

/// The number that an [`Scalar::Int`] text stands for; none if it does not fit into 64 bits.
pub(crate) fn int_of(text: &str) -> Option<Number> {
    let negative = text.starts_with('-');
    let digits: String = unsigned(text).chars().filter(|c| *c != '_').collect();
    let magnitude: u64 = if let Some(rest) = digits.strip_prefix("0b") {
        u64::from_str_radix(rest, 2).ok()?
    } else if let Some(rest) = digits.strip_prefix("0x") {
        u64::from_str_radix(rest, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(&digits, 8).ok()?
    } else {
        digits.split(':').try_fold(0u64, |sum, part| {
            sum.checked_mul(60)?.checked_add(part.parse().ok()?)
        })?
    };
    if negative {
        0i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// The number that a [`Scalar::Float`] text stands for; none for infinities and not-a-number, which JSON
/// cannot hold.
pub(crate) fn float_of(text: &str) -> Option<Number> {
    let negative = text.starts_with('-');
    let digits: String = unsigned(text).chars().filter(|c| *c != '_').collect();
    let mut value = 0.0f64;
    for part in digits.split(':') {
        value = value * 60.0 + part.parse::<f64>().ok()?;
    }
    Number::from_f64(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_read_as_yaml_1_1() {
        for yes in ["yes", "On", "TRUE"] {
            assert_eq!(resolve(yes), Scalar::Bool(true), "{yes}");
        }
        for text in [
            "y",
            "oN",
            "2013-05-23",
            "0o644",
            "1e5",
            "1.0e5",
            "12:70",
            "089",
            "+",
            ".",
            "1.2.3",
            "::1",
            "-x",
        ] {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
        for int in ["0", "-0", "0644", "1_000", "0x1F", "0b11", "1:30", "+7"] {
            assert_eq!(resolve(int), Scalar::Int, "{int}");
        }
        for float in ["1.5", "1.", ".5", "-1.5e+3", ".inf", ".NaN", "1:30.5"] {
            assert_eq!(resolve(float), Scalar::Float, "{float}");
        }
    }

    #[test]
    fn a_leading_zero_is_octal_and_a_colon_is_base_sixty() {
        assert_eq!(int_of("0644"), Some(Number::from(420)));
        assert_eq!(int_of("-0x10"), Some(Number::from(-16)));
        assert_eq!(int_of("1:30"), Some(Number::from(90)));
        assert_eq!(int_of("1_000"), Some(Number::from(1000)));
        assert_eq!(int_of("99999999999999999999"), None);
        assert_eq!(float_of("1:30.5"), Number::from_f64(90.5));
        assert_eq!(float_of("1."), Number::from_f64(1.0));
        assert_eq!(float_of(".inf"), None);
    }
}
