//! What the engine keeps over sessions.

use crate::refusal::Refusal;
use crate::{Gateway, api};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use titan_protocol::{DOCUMENTS_MAX, MemoryDocument, MemoryDraft, MemoryKind, MemoryQuery};

/// A document, with all that JSON makes of it.
const DRAFT_BYTES_MAX: usize = 64 << 10;
const DOCUMENTS_DEFAULT: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    search: String,
    limit: Option<usize>,
}

pub(crate) async fn find(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Json<Vec<MemoryDocument>>, Refusal> {
    let asked: Asked = api::query(&uri)?;
    let query = MemoryQuery {
        words: api::words(asked.search)?,
        kind: Some(MemoryKind::Note),
        after: None,
        limit: api::limit(asked.limit, DOCUMENTS_DEFAULT, DOCUMENTS_MAX)?,
    };
    Ok(Json(gateway.ports.memory.find(query).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    text: String,
    #[serde(default)]
    tags: Vec<String>,
}

pub(crate) async fn add(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Refusal> {
    let kept = keep(&gateway, request, None).await?;
    Ok((StatusCode::CREATED, Json(kept)).into_response())
}

pub(crate) async fn change(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<MemoryDocument>, Refusal> {
    keep(&gateway, request, Some(id)).await.map(Json)
}

async fn keep(
    gateway: &Gateway,
    request: Request,
    replaces: Option<String>,
) -> Result<MemoryDocument, Refusal> {
    let Draft { text, tags } = api::body(gateway, request, DRAFT_BYTES_MAX).await?;
    let draft = MemoryDraft {
        text,
        tags,
        replaces,
        ..MemoryDraft::default()
    };
    Ok(gateway.ports.memory.keep(draft).await?)
}

pub(crate) async fn discard(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    gateway.ports.memory.discard(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
