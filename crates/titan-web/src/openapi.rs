//! The description of the API (OpenAPI 3.1), made from the table of routes and the schemas in `schemas.json`.

use crate::routes::{Parameter, ROUTES, Route};
use axum::Json;
use serde_json::{Map, Value, json};

const SCHEMAS: &str = include_str!("schemas.json");

pub(crate) async fn serve() -> Json<Value> {
    Json(describe())
}

/// The whole description.
fn describe() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        // What may hold slashes is marked for the router alone.
        let path = route.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[route.method] = operation(route);
    }
    // The file is part of the program; a test reads it.
    let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "TitanClaw's gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "The token in gateway.token of the home." },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.about,
        "responses": answers(route),
        "security": match route.is_open { true => json!([]), false => json!([{ "token": [] }]) },
    });
    if !route.parameters.is_empty() {
        operation["parameters"] = route.parameters.iter().map(parameter).collect();
    }
    if let Some(schema) = route.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": parameter.about,
        "schema": reference(parameter.schema),
    })
}

fn answers(route: &Route) -> Value {
    let mut answers = Map::new();
    answers.insert(route.answer.status.to_string(), answer(route));
    let closed: &[u16] = match route.is_open {
        true => &[],
        false => &[401, 403, 429],
    };
    for status in [400, 405, 421, 431, 500]
        .iter()
        .chain(closed)
        .chain(route.refusals)
    {
        let schema = match route.path == "/api/ready" && *status == 503 {
            true => "Word",
            false => "Refusal",
        };
        answers.insert(
            status.to_string(),
            json!({
                "description": "Refused.",
                "content": { "application/json": { "schema": reference(schema) } },
            }),
        );
    }
    Value::Object(answers)
}

fn answer(route: &Route) -> Value {
    let schema = reference(route.answer.schema);
    let streamed = json!({ "schema": reference("ServerEvent") });
    let content = match (route.answer.content, route.is_streamed) {
        ("", _) => return json!({ "description": "Done." }),
        (kind, false) => json!({ kind: { "schema": schema } }),
        (kind, true) => json!({ kind: { "schema": schema }, "text/event-stream": streamed }),
    };
    json!({ "description": "Done.", "content": content })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
