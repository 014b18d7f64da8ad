//! What went wrong with a vendor, in the engine's words.
//!
//! Statuses, error objects and broken connections become a [`ModelError`] here and nowhere else. Every text is one
//! bounded line.

use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;
use titan_protocol::{EgressError, ModelError};

/// The longest text of a vendor that is repeated, in characters.
const DETAIL_CHARS_MAX: usize = 400;
/// The longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Whom errors are about.
#[derive(Clone, Debug)]
pub(crate) struct Vendor {
    /// The provider's configured name.
    pub(crate) provider: String,
    /// The model that was asked.
    pub(crate) model: String,
}

/// An error, and whether and when the same request may be sent again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) error: ModelError,
    /// What the vendor asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// Whether sending the same again may help.
    pub(crate) may_retry: bool,
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self {
            may_retry: error.is_transient(),
            retry_after: None,
            error,
        }
    }
}

/// The head of a response that is not a success.
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: &'a [u8],
}

/// What an error is about, before it has a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Unauthorized,
    Limited,
    NoCredit,
    TooLong,
    NoModel,
    Unavailable,
    Rejected,
}

/// The error codes and types that vendors send, in `code` or `type`.
const CODES: &[(&str, Cause)] = &[
    ("authentication_error", Cause::Unauthorized),
    ("permission_error", Cause::Unauthorized),
    ("invalid_api_key", Cause::Unauthorized),
    ("rate_limit_error", Cause::Limited),
    ("rate_limit_exceeded", Cause::Limited),
    ("insufficient_quota", Cause::NoCredit),
    ("billing_error", Cause::NoCredit),
    ("context_length_exceeded", Cause::TooLong),
    ("exceed_context_size_error", Cause::TooLong),
    ("request_too_large", Cause::TooLong),
    ("model_not_found", Cause::NoModel),
    ("overloaded_error", Cause::Unavailable),
    ("api_error", Cause::Unavailable),
    ("timeout_error", Cause::Unavailable),
    ("server_error", Cause::Unavailable),
    ("internal_server_error", Cause::Unavailable),
    ("service_unavailable", Cause::Unavailable),
    ("unavailable_error", Cause::Unavailable),
];

/// How vendors say that a thread is too long, in lower case.
const TOO_LONG: &[&str] = &[
    "prompt is too long",
    "input is too long",
    "maximum context length",
    "context window",
    "exceeds the available context size",
    "exceed context limit",
    "exceeds the model's context",
    "too many tokens",
    "reduce the length of the messages",
];

impl Vendor {
    pub(crate) fn malformed(&self, detail: impl AsRef<str>) -> ModelError {
        ModelError::Malformed {
            provider: self.provider.clone(),
            detail: one_line(detail.as_ref()),
        }
    }

    pub(crate) fn interrupted(&self, detail: impl AsRef<str>) -> ModelError {
        ModelError::Interrupted {
            provider: self.provider.clone(),
            detail: one_line(detail.as_ref()),
        }
    }

    pub(crate) fn unavailable(&self, detail: impl AsRef<str>) -> ModelError {
        ModelError::Unavailable {
            provider: self.provider.clone(),
            detail: one_line(detail.as_ref()),
        }
    }

    /// The request never got an answer, or the answer broke off.
    pub(crate) fn egress(&self, error: &EgressError) -> Failure {
        Failure {
            error: self.unavailable(error.to_string()),
            retry_after: None,
            // A rule that forbids the way forbids it the second time too.
            may_retry: !matches!(error, EgressError::Denied(_)),
        }
    }

    /// A redirect: a request with a key in it is not sent to where it was not meant to go.
    pub(crate) fn moved(&self, status: u16, place: &str) -> ModelError {
        let place = place.split(['?', '#']).next().unwrap_or_default();
        ModelError::Rejected {
            provider: self.provider.clone(),
            detail: one_line(&format!(
                "HTTP {status}, it sends on to {place}; is that the base address to configure?"
            )),
        }
    }

    /// A response whose status is not a success.
    pub(crate) fn refused(&self, refusal: &Refusal<'_>) -> Failure {
        let (code, message) = read_body(refusal.status, refusal.body);
        let cause = cause_of(Some(refusal.status), &code, &message);
        self.failure(cause, message, refusal.retry_after)
    }

    /// An error object in a response that began as a success.
    pub(crate) fn error_object(&self, error: &Value) -> Failure {
        let (code, message) = read_error(error);
        let status = error
            .get("code")
            .and_then(Value::as_u64)
            .and_then(|n| u16::try_from(n).ok());
        let cause = cause_of(status, &code, &message);
        self.failure(cause, message, None)
    }

    fn failure(&self, cause: Cause, detail: String, retry_after: Option<Duration>) -> Failure {
        let provider = self.provider.clone();
        let error = match cause {
            Cause::Unauthorized => ModelError::Unauthorized { provider, detail },
            Cause::Limited | Cause::NoCredit => ModelError::Limited {
                provider,
                detail,
                retry_after_ms: retry_after.map(|wait| wait.as_millis() as u64),
            },
            Cause::TooLong => ModelError::TooLong {
                model: self.model.clone(),
                detail,
            },
            Cause::NoModel => ModelError::NoModel {
                detail: format!(
                    "{provider} has no model {}: {detail}. See `titanclaw models list`.",
                    self.model
                ),
            },
            Cause::Unavailable => ModelError::Unavailable { provider, detail },
            Cause::Rejected => ModelError::Rejected { provider, detail },
        };
        Failure {
            may_retry: error.is_transient() && cause != Cause::NoCredit,
            retry_after,
            error,
        }
    }
}

fn cause_of(status: Option<u16>, code: &str, message: &str) -> Cause {
    let said = message.to_lowercase();
    let is_limited = matches!(status, Some(401..=403 | 429));
    if !is_limited && TOO_LONG.iter().any(|phrase| said.contains(phrase)) {
        return Cause::TooLong;
    }
    if let Some((_, cause)) = CODES.iter().find(|(name, _)| *name == code) {
        return *cause;
    }
    match status {
        Some(401 | 403) => Cause::Unauthorized,
        Some(402) => Cause::NoCredit,
        Some(429) => Cause::Limited,
        Some(413) => Cause::TooLong,
        Some(404) if said.contains("model") => Cause::NoModel,
        Some(408 | 500..) => Cause::Unavailable,
        Some(_) => Cause::Rejected,
        None if code == "invalid_request_error" => Cause::Rejected,
        None => Cause::Unavailable,
    }
}

/// Code and message of a refusal's body, whatever its form.
fn read_body(status: u16, body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let (code, message) = read_error(value.get("error").unwrap_or(&value));
        return (code, message);
    }
    let message = if text.starts_with('<') {
        match page_title(text) {
            Some(title) => format!("HTTP {status} with a web page titled \"{title}\""),
            None => format!("HTTP {status} with a web page"),
        }
    } else if text.is_empty() {
        format!("HTTP {status} without a message")
    } else {
        format!("HTTP {status}: {text}")
    };
    (String::new(), one_line(&message))
}

/// Code and message of an error object, or of a bare text.
fn read_error(error: &Value) -> (String, String) {
    let text_at = |name: &str| error.get(name).and_then(Value::as_str);
    let code = text_at("code").or_else(|| text_at("type")).unwrap_or("");
    // A `code` that the table does not know says less than a `type` that it does.
    let code = [code, text_at("type").unwrap_or("")]
        .into_iter()
        .find(|code| CODES.iter().any(|(name, _)| name == code))
        .unwrap_or(code);
    let message = error
        .as_str()
        .or_else(|| text_at("message"))
        .or_else(|| text_at("detail"))
        .or_else(|| text_at("error"))
        .map_or_else(|| error.to_string(), str::to_owned);
    (code.to_owned(), one_line(&message))
}

/// The title of an HTML page, without its markup.
pub(crate) fn page_title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    let title = one_line(&html[start..end]);
    (!title.is_empty()).then_some(title)
}

/// A vendor's text as one bounded line without control characters or anything that looks like a key.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control() || is_unseen(c)) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        match word.find("sk-") {
            Some(at) if word.len() - at > 12 => {
                line.push_str(&word[..at]);
                line.push_str("sk-…");
            }
            _ => line.push_str(word),
        }
        if line.chars().count() > DETAIL_CHARS_MAX {
            line = line.chars().take(DETAIL_CHARS_MAX).collect();
            line.push('…');
            break;
        }
    }
    line
}

/// Characters without a shape that hide text or turn it round.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// How long a response asks to wait: seconds, milliseconds or a date. Absurd values are capped.
pub(crate) fn retry_after<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    now: Timestamp,
) -> Option<Duration> {
    let millis = header("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok());
    let seconds = match (millis, header("retry-after")) {
        (Some(millis), _) => millis / 1000.0,
        (None, Some(text)) => match text.trim().parse::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => {
                let date = jiff::fmt::rfc2822::DateTimeParser::new()
                    .parse_timestamp(text.trim())
                    .ok()?;
                date.duration_since(now).as_secs_f64()
            }
        },
        (None, None) => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::from_secs_f64(
        seconds.clamp(0.0, RETRY_AFTER_MAX.as_secs_f64()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(status: u16, body: &str, expected: Expect) {
        let vendor = Vendor {
            provider: "acme".to_owned(),
            model: "m1".to_owned(),
        };
        let failure = vendor.refused(&Refusal {
            status,
            retry_after: None,
            body: body.as_bytes(),
        });
        expected.assert_eq(&format!(
            "{}{}",
            serde_json::to_string(&failure.error).unwrap(),
            if failure.may_retry { " may retry" } else { "" }
        ));
    }

    #[test]
    fn p7_a_refused_key_is_named_and_never_repeated() {
        check(
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnop.","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            expect![[
                r#"{"type":"unauthorized","provider":"acme","detail":"Incorrect API key provided: sk-…"}"#
            ]],
        );
        check(
            403,
            r#"{"type":"error","error":{"type":"permission_error","message":"no access"}}"#,
            expect![[r#"{"type":"unauthorized","provider":"acme","detail":"no access"}"#]],
        );
    }

    #[test]
    fn limits_may_be_retried_but_not_an_empty_account() {
        check(
            429,
            r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#,
            expect![[
                r#"{"type":"limited","provider":"acme","detail":"slow down","retry_after_ms":null} may retry"#
            ]],
        );
        check(
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            expect![[
                r#"{"type":"limited","provider":"acme","detail":"You exceeded your current quota","retry_after_ms":null}"#
            ]],
        );
        check(
            402,
            r#"{"error":{"message":"Insufficient credits","code":402}}"#,
            expect![[
                r#"{"type":"limited","provider":"acme","detail":"Insufficient credits","retry_after_ms":null}"#
            ]],
        );
    }

    #[test]
    fn a_server_that_is_down_may_be_asked_again() {
        check(
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            expect![[
                r#"{"type":"unavailable","provider":"acme","detail":"Overloaded"} may retry"#
            ]],
        );
        check(
            502,
            "<html><head><title>502 Bad\nGateway</title></head></html>",
            expect![[
                r#"{"type":"unavailable","provider":"acme","detail":"HTTP 502 with a web page titled \"502 Bad Gateway\""} may retry"#
            ]],
        );
        check(
            408,
            "",
            expect![[
                r#"{"type":"unavailable","provider":"acme","detail":"HTTP 408 without a message"} may retry"#
            ]],
        );
    }

    #[test]
    fn a_thread_that_is_too_long_is_known_by_many_names() {
        check(
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            expect![[
                r#"{"type":"too_long","model":"m1","detail":"prompt is too long: 210000 tokens > 200000 maximum"}"#
            ]],
        );
        check(
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#,
            expect![[
                r#"{"type":"too_long","model":"m1","detail":"the request exceeds the available context size, try increasing it"}"#
            ]],
        );
        check(
            413,
            "too large",
            expect![[r#"{"type":"too_long","model":"m1","detail":"HTTP 413: too large"}"#]],
        );
    }

    #[test]
    fn other_refusals_carry_the_vendors_message() {
        check(
            404,
            r#"{"error":"model 'm1' not found"}"#,
            expect![[
                r#"{"type":"no_model","detail":"acme has no model m1: model 'm1' not found. See `titanclaw models list`."}"#
            ]],
        );
        check(
            422,
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            expect![[
                r#"{"type":"rejected","provider":"acme","detail":"{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\"}]}"}"#
            ]],
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        assert_eq!(
            one_line(&"word ".repeat(1000)).chars().count(),
            DETAIL_CHARS_MAX + 1
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        let now: Timestamp = "2025-10-21T07:28:00Z".parse().unwrap();
        let wait = |name: &'static str, value: &'static str| {
            retry_after(move |asked| (asked == name).then_some(value), now)
        };
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(
            wait("retry-after", "Tue, 21 Oct 2025 07:28:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            wait("retry-after", "Tue, 21 Oct 2025 07:00:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(wait("retry-after", "99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(wait("retry-after", "-3"), Some(Duration::ZERO));
        assert_eq!(
            wait("retry-after-ms", "250"),
            Some(Duration::from_millis(250))
        );
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("other", "7"), None);
    }
}
