//! How a request is refused: one shape for all routes, the one that OpenAI's clients read.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::borrow::Cow;
use titan_protocol::ClientError;

/// Why a request gets no answer of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// One word for programs.
    kind: &'static str,
    /// A sentence for people. Never says more than the one who asks may know.
    message: Cow<'static, str>,
    /// The field of the request that is meant, if one is.
    parameter: Option<&'static str>,
    /// One word more, where OpenAI has one.
    code: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            parameter: None,
            code: None,
        }
    }

    /// Something in the request is not understood.
    pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A field asks for what is not there.
    pub(crate) fn unsupported(
        parameter: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            parameter: Some(parameter),
            ..Self::malformed(message)
        }
    }

    /// The same with another status, and with OpenAI's word for it.
    pub(crate) fn with(self, status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            code: Some(code),
            ..self
        }
    }

    /// Neither token nor cookie, or a wrong or old one: nobody learns which.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "This needs the gateway's token. `titanclaw web` opens a page that has it.",
        )
    }

    pub(crate) fn throttled() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "throttled",
            "Too many wrong tokens. Try again in a minute.",
        )
    }

    pub(crate) fn busy(what: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", what)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    /// A handler failed in a way that nobody foresaw. The log has the rest.
    pub(crate) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something went wrong here. `titanclaw logs` may say what.",
        )
    }

    /// The refusal as a line of JSON, for streams that have begun.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind,
            "param": self.parameter,
            "code": self.code,
        }})
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(text) => Self::new(StatusCode::CONFLICT, "refused", text),
            // The text names files and may quote the database.
            ClientError::Storage(text) => {
                tracing::error!(text, "the store failed a request");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "storage",
                    "The store failed. `titanclaw doctor` says more.",
                )
            }
            ClientError::Disconnected(text) => {
                tracing::warn!(text, "the engine did not answer a request");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "disconnected",
                    "The engine is gone. Start `titanclaw web` again.",
                )
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"titanclaw\""),
                );
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            // What is left of the body is not read, so nothing can follow it.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
