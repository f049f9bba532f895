//! One request and its answer, and what an answer that is none says about the outside world.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::told::{Action, Names, Told};
use crate::failure::{Failure, FailureClass};
use crate::wait::ended;

/// An answer that is longer is not read to its end.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;
/// So much of an answer's text is told when it is not the expected one.
const TOLD_MAX_BYTES: usize = 2 * 1024;

/// An answer that came.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
    retry_after: Option<Duration>,
}

impl Answer {
    /// The answer as JSON; null if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The answer to a look as JSON. A page that is none says nothing about the object.
    pub(super) fn parsed(&self, what: &str) -> Result<Value, Failure> {
        serde_json::from_str(&self.text).map_err(|error| {
            let message = format!("{what} was answered with what is no JSON: {error}");
            Failure::nothing_done(FailureClass::Transient, message)
        })
    }

    /// Whether it says that there is no such object.
    pub(super) fn says_absent(&self) -> bool {
        matches!(self.status, 404 | 410)
    }

    /// The failure that an unexpected answer to a request is.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let cut = self.text.floor_char_boundary(TOLD_MAX_BYTES);
        let status = StatusCode::from_u16(self.status)
            .map_or_else(|_| self.status.to_string(), |one| one.to_string());
        let told = self.text[..cut].trim();
        let message = if told.is_empty() {
            format!("{what} was answered with {status}")
        } else {
            format!("{what} was answered with {status}: {told}")
        };
        let failure = match self.status {
            429 => Failure::nothing_done(FailureClass::Quota, message),
            // With a time to come back it says that it did not take the request.
            503 if self.retry_after.is_some() => {
                Failure::nothing_done(FailureClass::Transient, message)
            }
            408 | 500..=599 => Failure::no_verdict(FailureClass::Transient, message),
            409 | 423 | 425 => Failure::nothing_done(FailureClass::Transient, message),
            // A success or a detour that nobody expected may well have had an effect.
            200..=399 => Failure::no_verdict(FailureClass::Permanent, message),
            _ => Failure::nothing_done(FailureClass::Permanent, message),
        };
        failure.after(self.retry_after)
    }
}

/// Sends a request and gives its answer, whatever its status.
pub(super) async fn exchange(
    client: &Client,
    told: &Told,
    action: &Action,
    names: &Names<'_>,
    body: Option<&Value>,
) -> Result<Answer, Failure> {
    let ctx = names.ctx;
    ended(ctx)?;
    let refused = |error: &dyn std::fmt::Display| {
        // The URL may hold a password.
        Failure::refused(format!("{} {}: {error}", action.method, action.path))
    };
    let url = format!("{}{}", told.url, names.in_path(&action.path));
    let method = Method::from_bytes(action.method.as_bytes()).map_err(|error| refused(&error))?;
    let timeout = told.timeout.min(ctx.ends_at().remaining());
    let mut request = client.request(method.clone(), url).timeout(timeout);
    for (name, value) in told.headers.iter().chain(&action.headers) {
        request = request.header(name, names.in_text(value));
    }
    // A look that nobody was assigned has no token, and must not be refused for it.
    if let Some(header) = told
        .fencing_header
        .as_ref()
        .filter(|_| ctx.fencing_token > 0)
    {
        request = request.header(header, ctx.fencing_token.to_string());
    }
    if let Some(header) = told
        .idempotency_header
        .as_ref()
        .filter(|_| !method.is_safe())
    {
        request = request.header(header, &ctx.idempotency_key);
    }
    if let Some(body) = body {
        request = request
            .header(CONTENT_TYPE, "application/json")
            .body(names.in_body(body).to_string());
    }
    let request = request
        .build()
        .map_err(|error| refused(&told_whole(&error)))?;
    tokio::select! {
        answer = answered(client, request) => answer,
        () = ctx.cancel.cancelled() => Err(Failure::no_verdict(FailureClass::Aborted, "cancelled")),
    }
}

async fn answered(client: &Client, request: reqwest::Request) -> Result<Answer, Failure> {
    let what = format!("{} {}", request.method(), request.url().path());
    let failed = |error: &reqwest::Error| {
        let message = format!("{what}: {}", told_whole(error));
        if error.is_connect() {
            Failure::nothing_done(FailureClass::Transient, message)
        } else {
            Failure::no_verdict(FailureClass::Transient, message)
        }
    };
    let mut answer = client
        .execute(request)
        .await
        .map_err(|error| failed(&error))?;
    let (status, retry_after) = (answer.status().as_u16(), retry_after(answer.headers()));
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_MAX_BYTES {
            let message = format!("{what}: the answer is longer than {ANSWER_MAX_BYTES} bytes");
            return Err(Failure::no_verdict(FailureClass::Permanent, message));
        }
    }
    Ok(Answer {
        status,
        text: String::from_utf8_lossy(&bytes).into_owned(),
        retry_after,
    })
}

/// How long to wait, in seconds or until a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// An error with its causes, without the URL, whose query may hold a secret.
pub(crate) fn told_whole(error: &reqwest::Error) -> String {
    let mut told = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told.push(error.to_string());
        cause = error.source();
    }
    if error.is_timeout() {
        told.insert(0, "timed out".to_owned());
    }
    if told.is_empty() {
        "the request could not be made".to_owned()
    } else {
        told.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::hostile::spoilt;

    const DATE: &[u8] = b"Wed, 21 Oct 2065 07:28:00 GMT";

    fn told(value: &[u8]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(value).ok()?);
        retry_after(&headers)
    }

    #[test]
    fn a_time_to_come_back_is_seconds_or_a_date() {
        assert_eq!(told(b" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(told(b"Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(told(DATE) > Some(Duration::from_secs(1_000_000)));
        for none in [
            &b""[..],
            b"soon",
            b"-1",
            b"1.5",
            b"99999999999999999999999",
            b"\xff",
        ] {
            assert_eq!(told(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn any_time_to_come_back_is_one_or_none(
            date in spoilt(DATE.to_vec()),
            seconds in spoilt(b"18446744073709551615".to_vec()),
        ) {
            for value in [date, seconds] {
                // The failure must bear it too, however long it is.
                let answer = Answer { status: 503, text: String::new(), retry_after: told(&value) };
                answer.failure("GET /");
            }
        }

        #[test]
        fn any_answer_is_an_answer_or_a_failure_that_tells_little(
            status in any::<u16>(),
            body in prop_oneof![
                spoilt(br#"{"id": "7", "list": [{"a": null}, 1e400]}"#.to_vec()),
                // What is told is cut, wherever a letter ends.
                (TOLD_MAX_BYTES - 8..TOLD_MAX_BYTES + 8)
                    .prop_map(|length| "\u{20ac}".repeat(length).into_bytes()),
                (1_usize..300).prop_map(|depth| "[".repeat(depth).into_bytes()),
            ],
        ) {
            let text = String::from_utf8_lossy(&body).into_owned();
            let answer = Answer { status, text, retry_after: None };
            answer.json();
            let _ = answer.parsed("GET /");
            let failure = answer.failure("GET /");
            prop_assert!(failure.message.len() <= TOLD_MAX_BYTES + 200);
            // What a server says of a request that it has not refused is no proof that nothing was done.
            let refused = matches!(status, 400..=499) && status != 408;
            let unknown = failure.verdict == crate::Verdict::Unknown;
            prop_assert!(refused || !(200..=599).contains(&status) || unknown);
        }
    }
}
