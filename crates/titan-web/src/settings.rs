//! The settings of the home.

use crate::refusal::Refusal;
use crate::{Gateway, api};
use axum::Json;
use axum::extract::{Path, Request, State};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use titan_protocol::{Setting, SettingList};

/// The longest list of names, with all that JSON makes of it.
const VALUE_BYTES_MAX: usize = 64 << 10;

pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
) -> Result<Json<SettingList>, Refusal> {
    Ok(Json(gateway.ports.settings.list().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    value: Value,
}

pub(crate) async fn change(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Setting>, Refusal> {
    let Changed { value } = api::body(&gateway, request, VALUE_BYTES_MAX).await?;
    let changed = gateway.ports.settings.change(name, Some(value)).await?;
    Ok(Json(changed))
}

pub(crate) async fn reset(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
) -> Result<Json<Setting>, Refusal> {
    Ok(Json(gateway.ports.settings.change(name, None).await?))
}
