//! Durations as people write them on a command line: `90s`, `5m`, `1h30m`, `0.5s`, `300ms`, `45` (seconds).

use std::time::Duration;

/// Longest duration that is taken: a hundred years. Longer ones are typing mistakes, and would overflow deadlines.
const MAX_SECONDS: f64 = 100.0 * 365.25 * 86_400.0;

/// Parses a duration; the error says what is accepted.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let seconds = seconds_of(text.trim())
        .ok_or_else(|| "expected a duration such as 30s, 5m, 1h30m or 500ms".to_string())?;
    if seconds > MAX_SECONDS {
        return Err("longer than a hundred years".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// The shortest way to write a duration, for messages.
pub(crate) fn show(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn seconds_of(text: &str) -> Option<f64> {
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        // A number alone is seconds, but only when it is all there is: `1m30` is a mistake.
        let unit = match &rest[..letters] {
            "" if digits == text.len() => 1.0,
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        rest = &rest[letters..];
        total += number * unit;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_a_duration_that_can_be_shown_or_an_error(
            text in prop_oneof![any::<String>(), "([0-9.]{1,12}(ms|s|m|h|d|x)?){0,4}", "[0-9]{1,400}s?"],
        ) {
            if let Ok(duration) = parse(&text) {
                prop_assert!(duration.as_secs_f64() <= MAX_SECONDS);
                show(duration);
            }
        }
    }

    #[test]
    fn people_write_durations_in_many_ways() {
        for (text, millis) in [
            ("0", 0),
            ("45", 45_000),
            ("1.5", 1_500),
            ("300ms", 300),
            ("0.5s", 500),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            (" 10s ", 10_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "s",
            "-1s",
            "5 m",
            "1m30",
            "ten",
            "1..2s",
            "1e9",
            "∞",
            "9999999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
