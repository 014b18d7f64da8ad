//! What the engine logged.

use crate::refusal::Refusal;
use crate::{Gateway, api};
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Deserialize;
use std::sync::Arc;
use titan_protocol::{ENTRIES_MAX, LogLevel, LogPage, LogQuery};

const ENTRIES_DEFAULT: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    after: Option<String>,
    level: Option<LogLevel>,
    #[serde(default)]
    search: String,
    limit: Option<usize>,
}

pub(crate) async fn read(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Json<LogPage>, Refusal> {
    let asked: Asked = api::query(&uri)?;
    let query = LogQuery {
        after: asked.after,
        level: asked.level,
        words: api::words(asked.search)?,
        limit: api::limit(asked.limit, ENTRIES_DEFAULT, ENTRIES_MAX)?,
    };
    Ok(Json(gateway.ports.logs.read(query).await?))
}
