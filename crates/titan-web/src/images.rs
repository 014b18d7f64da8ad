//! Images that were given in a session, for whoever shows it.
//!
//! Which one is said by the position of the record that tells of it, so that nothing else that is kept can be asked for.
//! They are a stranger's bytes: what they are is read from them anew, an SVG is none, and no browser may take them for
//! anything else. Nothing is kept in a cache, where it would outlast its being forgotten.

use crate::Gateway;
use crate::refusal::Refusal;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use titan_protocol::{ClientError, Image, SessionId};

pub(crate) async fn serve(
    State(gateway): State<Arc<Gateway>>,
    Path((session, at, number)): Path<(String, String, String)>,
) -> Result<Response, Refusal> {
    let session: SessionId = session
        .parse()
        .map_err(|_| Refusal::unsupported("id", "There is no such session."))?;
    let at = count("at", &at)?;
    let number = usize::try_from(count("number", &number)?).map_err(|_| Refusal::not_found())?;
    let read = gateway.ports.client.image(session, at, number).await;
    let bytes = read.map_err(|error| match error {
        ClientError::Refused(_) => Refusal::not_found(),
        other => other.into(),
    })?;
    let image = Image::read(&bytes.0).map_err(|error| {
        tracing::warn!(%session, at, number, %error, "what is kept for an image is none");
        Refusal::not_found()
    })?;
    let kind = HeaderValue::from_static(image.kind.media_type());
    Ok(([(header::CONTENT_TYPE, kind)], bytes.0).into_response())
}

/// A whole number of the path.
fn count(name: &'static str, text: &str) -> Result<u64, Refusal> {
    let is_digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_digits);
    number.ok_or_else(|| Refusal::unsupported(name, format!("`{name}` must be a whole number.")))
}
