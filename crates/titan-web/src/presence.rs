//! Which files are open, and what is known about one.

use crate::refusal::Refusal;
use crate::{Gateway, api};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use titan_protocol::{OPENER_CHARS_MAX, OpenFile, Pack};

/// A path, with all that JSON makes of it.
const REPORT_BYTES_MAX: usize = 32 << 10;

pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
) -> Result<Json<Vec<OpenFile>>, Refusal> {
    Ok(Json(gateway.ports.presence.list().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    path: PathBuf,
    by: String,
    is_open: bool,
}

pub(crate) async fn report(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let Report { path, by, is_open } = api::body(&gateway, request, REPORT_BYTES_MAX).await?;
    if !(1..=OPENER_CHARS_MAX).contains(&by.chars().count()) {
        let who = format!("\"by\" has 1 to {OPENER_CHARS_MAX} characters");
        return Err(Refusal::malformed(who));
    }
    let presence = &gateway.ports.presence;
    match is_open {
        true => presence.open(path, by).await?,
        false => presence.close(path).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfFile {
    path: PathBuf,
}

pub(crate) async fn pack(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Json<Pack>, Refusal> {
    let path = api::query::<OfFile>(&uri)?.path;
    Ok(Json(gateway.ports.presence.pack(path).await?))
}
