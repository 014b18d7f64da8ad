//! The gateway's own routes, but for those that stream.

use crate::refusal::Refusal;
use crate::{Gateway, access, metrics};
use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use titan_protocol::{
    CostLine, EngineStatus, ImageBytes, Job, Op, SessionId, SessionSummary, TurnChanges, TurnId,
    UnixMillis,
};

/// A command, with the text and the images that it may carry.
const OP_BYTES_MAX: usize = 12 << 20;
const SESSIONS_DEFAULT: usize = 50;
const SESSIONS_MAX: usize = 1000;
const SEARCH_CHARS_MAX: usize = 1000;
/// Whole numbers in JSON are exact up to here everywhere.
pub(crate) const COUNT_MAX: u64 = (1 << 53) - 1;

pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

pub(crate) async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.ports.client.status().await {
        Ok(_) => Json(json!({ "status": "ready" })).into_response(),
        Err(_) => {
            let word = Json(json!({ "status": "not ready" }));
            (StatusCode::SERVICE_UNAVAILABLE, word).into_response()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    code: String,
}

/// Uses up the code. Whoever has none, or a wrong or an old one, hears the same.
pub(crate) async fn log_in(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let port = gateway.address.port();
    let login: Option<Login> = query(&uri).ok();
    let cookie = login.and_then(|login| gateway.access.redeem(&login.code, port));
    let Some(cookie) = cookie else {
        gateway.metrics.refused();
        return Err(Refusal::unauthorized());
    };
    let cookie = HeaderValue::from_str(&access::set_cookie(&cookie, port));
    let cookie = cookie.map_err(|_| Refusal::broken())?;
    let to = HeaderValue::from_static("/");
    Ok((
        StatusCode::SEE_OTHER,
        [(header::SET_COOKIE, cookie), (header::LOCATION, to)],
    )
        .into_response())
}

/// How the engine is, with the folder for sessions that name none.
#[derive(Serialize)]
pub(crate) struct Status {
    #[serde(flatten)]
    engine: EngineStatus,
    workspace: PathBuf,
}

pub(crate) async fn status(State(gateway): State<Arc<Gateway>>) -> Result<Json<Status>, Refusal> {
    Ok(Json(Status {
        engine: gateway.ports.client.status().await?,
        workspace: gateway.config.workspace.clone(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<usize>,
}

pub(crate) async fn sessions(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Json<Vec<SessionSummary>>, Refusal> {
    let limit = query::<Limit>(&uri)?.limit;
    let limit = self::limit(limit, SESSIONS_DEFAULT, SESSIONS_MAX)?;
    Ok(Json(gateway.ports.client.sessions(limit).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    since: Option<UnixMillis>,
}

pub(crate) async fn costs(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Json<Vec<CostLine>>, Refusal> {
    let since = query::<Since>(&uri)?.since.unwrap_or(0);
    if since > COUNT_MAX {
        return Err(Refusal::unsupported("since", "`since` is too large."));
    }
    Ok(Json(gateway.ports.client.costs(since).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfTurn {
    turn: Option<TurnId>,
}

pub(crate) async fn changes(
    State(gateway): State<Arc<Gateway>>,
    Path(session): Path<String>,
    uri: Uri,
) -> Result<Json<TurnChanges>, Refusal> {
    let session: SessionId = session
        .parse()
        .map_err(|_| Refusal::unsupported("id", "There is no such session."))?;
    let turn = query::<OfTurn>(&uri)?.turn;
    Ok(Json(gateway.ports.client.changes(session, turn).await?))
}

pub(crate) async fn jobs(State(gateway): State<Arc<Gateway>>) -> Result<Json<Vec<Job>>, Refusal> {
    Ok(Json(gateway.ports.client.jobs().await?))
}

pub(crate) async fn submit(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let op = op(body(&gateway, request, OP_BYTES_MAX).await?)?;
    gateway.ports.client.submit(op).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted" }))))
}

/// A command from JSON.
///
/// # Errors
/// When it is none, or when it is read as something else than what stands there: the parser takes a list for an object
/// and a number for a name, of which no description speaks.
pub(crate) fn op(mut written: Value) -> Result<Op, Refusal> {
    make_whole(&mut written);
    spell_images(&mut written);
    let op: Op = serde_json::from_value(written.clone())
        .map_err(|error| Refusal::malformed(format!("The command is not understood: {error}.")))?;
    let understood = serde_json::to_value(&op).map_err(|_| Refusal::broken())?;
    match says(&written, &understood) {
        true => Ok(op),
        false => Err(Refusal::malformed("The command is not as it is described.")),
    }
}

/// Spells whole numbers as such: to a description `2.0` is an integer, to the parser it is none.
fn make_whole(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        Value::Number(number) if number.is_f64() => {
            #[allow(
                clippy::cast_precision_loss,
                reason = "whole numbers are exact up to there"
            )]
            let is_whole = |it: &f64| it.fract() == 0.0 && (0.0..=COUNT_MAX as f64).contains(it);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is whole and in range"
            )]
            if let Some(whole) = number.as_f64().filter(is_whole) {
                *value = (whole as u64).into();
            }
        }
        _ => {}
    }
}

/// Spells images in the one way in which they are told back: base64 without its padding, or with bits to spare at its
/// end, is read as well.
fn spell_images(op: &mut Value) {
    let images = op.get_mut("images").and_then(Value::as_array_mut);
    for image in images.into_iter().flatten() {
        let read = image.as_str().map(ImageBytes::from_base64);
        if let Some(Ok(bytes)) = read {
            *image = bytes.to_base64().into();
        }
    }
}

/// Whether what was understood stands there as it is. Fields that were left out have their default.
fn says(written: &Value, understood: &Value) -> bool {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            let mut fields = understood.iter();
            fields.all(|(name, value)| written.get(name).is_none_or(|it| says(it, value)))
        }
        _ => written == understood,
    }
}

pub(crate) async fn metrics(State(gateway): State<Arc<Gateway>>) -> Result<Response, Refusal> {
    let engine = gateway.ports.client.status().await?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let text = metrics::text(&gateway, &engine);
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// How many are asked for at most.
///
/// # Errors
/// When there can't be so many.
pub(crate) fn limit(asked: Option<usize>, usual: usize, max: usize) -> Result<usize, Refusal> {
    let limit = asked.unwrap_or(usual);
    match (1..=max).contains(&limit) {
        true => Ok(limit),
        false => Err(Refusal::unsupported(
            "limit",
            format!("`limit` must be from 1 to {max}."),
        )),
    }
}

/// Words to search for.
///
/// # Errors
/// When they are too many.
pub(crate) fn words(search: String) -> Result<String, Refusal> {
    match search.chars().count() <= SEARCH_CHARS_MAX {
        true => Ok(search),
        false => Err(Refusal::unsupported(
            "search",
            format!("`search` may have {SEARCH_CHARS_MAX} characters."),
        )),
    }
}

/// What stands after the `?`.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    Query::try_from_uri(uri)
        .map(|Query(value)| value)
        .map_err(|error| Refusal::malformed(format!("The query is not understood: {error}.")))
}

/// A request's body, which has to call itself JSON, so that no form of another page can send one.
///
/// # Errors
/// 415 when it does not, 413 as soon as it is longer than `bytes_max`, 408 when it takes too long, 400 when it is none.
pub(crate) async fn body<T: DeserializeOwned>(
    gateway: &Gateway,
    request: Request,
    bytes_max: usize,
) -> Result<T, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body has to be application/json.",
        ));
    }
    let wait_max = gateway.config.limits.body_wait_max;
    let read = tokio::time::timeout(wait_max, bytes(request.into_body(), bytes_max)).await;
    let bytes = read.unwrap_or_else(|_| {
        Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "The body took too long.",
        ))
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::malformed(format!("The body is not understood: {error}.")))
}

async fn bytes(body: Body, bytes_max: usize) -> Result<bytes::Bytes, Refusal> {
    let too_large = || {
        let text = format!("The body may have {bytes_max} bytes.");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
    };
    // One that says so itself need not come first.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Refusal::malformed("The body broke off.")),
    }
}
