//! The routes: one table, of which the router and the description of the API are both made, so that neither can know
//! a route that the other does not.

use crate::gate::{gate, known};
use crate::refusal::Refusal;
use crate::{
    Gateway, api, assets, events, images, logs, memory, openai, openapi, presence, responses,
    settings, socket,
};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, post, put};
use std::sync::Arc;

/// One way to ask for something.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) method: &'static str,
    /// Whether strangers may ask. Those are few, and what they are told is constant.
    pub(crate) is_open: bool,
    pub(crate) about: &'static str,
    /// In the path or the query.
    pub(crate) parameters: &'static [Parameter],
    /// The schema of the body, where there is one.
    pub(crate) body: Option<&'static str>,
    /// What answers a request that is in order.
    pub(crate) answer: Answer,
    /// Whether the answer is streamed instead when the body asks for it.
    pub(crate) is_streamed: bool,
    /// Other statuses that it may have, besides those that every route may have.
    pub(crate) refusals: &'static [u16],
    handler: fn() -> MethodRouter<Arc<Gateway>>,
}

/// A parameter of a route.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// `path`, `query` or `header`.
    pub(crate) place: &'static str,
    /// The name of its schema.
    pub(crate) schema: &'static str,
    pub(crate) about: &'static str,
    /// Whether nothing is answered without it.
    pub(crate) is_required: bool,
}

/// What a route answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: &'static str,
    /// The name of its schema.
    pub(crate) schema: &'static str,
}

const fn query(name: &'static str, schema: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        place: "query",
        schema,
        about,
        is_required: false,
    }
}

const fn path(about: &'static str) -> Parameter {
    Parameter {
        name: "id",
        place: "path",
        schema: "Text",
        about,
        is_required: true,
    }
}

const SEARCH: &str = "Words that must all be there.";

const fn json(schema: &'static str) -> Answer {
    Answer {
        status: 200,
        content: "application/json",
        schema,
    }
}

/// All routes but those of the pages.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        path: "/api/health",
        method: "get",
        is_open: true,
        about: "Whether the gateway lives. One word.",
        parameters: &[],
        body: None,
        answer: json("Word"),
        is_streamed: false,
        refusals: &[],
        handler: || get(api::health),
    },
    Route {
        path: "/api/ready",
        method: "get",
        is_open: true,
        about: "Whether the engine answers. One word.",
        parameters: &[],
        body: None,
        answer: json("Word"),
        is_streamed: false,
        refusals: &[503],
        handler: || get(api::ready),
    },
    Route {
        path: "/login",
        method: "get",
        is_open: true,
        about: "Gives a browser its cookie for a one-time code, and leads it to the page.",
        parameters: &[Parameter {
            is_required: true,
            ..query(
                "code",
                "Code",
                "From `titanclaw web`; good once, for two minutes.",
            )
        }],
        body: None,
        answer: Answer {
            status: 303,
            content: "",
            schema: "",
        },
        is_streamed: false,
        refusals: &[401],
        handler: || get(api::log_in),
    },
    Route {
        path: "/api/status",
        method: "get",
        is_open: false,
        about: "How the engine is.",
        parameters: &[],
        body: None,
        answer: json("Status"),
        is_streamed: false,
        refusals: &[503],
        handler: || get(api::status),
    },
    Route {
        path: "/api/sessions",
        method: "get",
        is_open: false,
        about: "Sessions, newest first.",
        parameters: &[query(
            "limit",
            "Limit",
            "How many at most; 50 where nothing is said.",
        )],
        body: None,
        answer: json("Sessions"),
        is_streamed: false,
        refusals: &[503],
        handler: || get(api::sessions),
    },
    Route {
        path: "/api/sessions/{id}/changes",
        method: "get",
        is_open: false,
        about: "What a turn changed in files; the last one that changed any where none is named.",
        parameters: &[
            Parameter {
                name: "id",
                place: "path",
                schema: "Id",
                about: "The session.",
                is_required: true,
            },
            query("turn", "Id", "The turn or the undo."),
        ],
        body: None,
        answer: json("Changes"),
        is_streamed: false,
        refusals: &[409, 503],
        handler: || get(api::changes),
    },
    Route {
        path: "/api/sessions/{id}/images/{at}/{number}",
        method: "get",
        is_open: false,
        about: "An image that was given in a session: PNG, JPEG, GIF or WebP, whatever its bytes are.",
        parameters: &[
            Parameter {
                name: "id",
                place: "path",
                schema: "Id",
                about: "The session.",
                is_required: true,
            },
            Parameter {
                name: "at",
                place: "path",
                schema: "Count",
                about: "The position of the record that tells of it.",
                is_required: true,
            },
            Parameter {
                name: "number",
                place: "path",
                schema: "Count",
                about: "Which of that record's images, counted from 0.",
                is_required: true,
            },
        ],
        body: None,
        answer: Answer {
            status: 200,
            content: "image/*",
            schema: "Bytes",
        },
        is_streamed: false,
        refusals: &[404, 503],
        handler: || get(images::serve),
    },
    Route {
        path: "/api/jobs",
        method: "get",
        is_open: false,
        about: "The turns that run now, with their calls that have not ended. A command `interrupt` stops one.",
        parameters: &[],
        body: None,
        answer: json("Jobs"),
        is_streamed: false,
        refusals: &[503],
        handler: || get(api::jobs),
    },
    Route {
        path: "/api/costs",
        method: "get",
        is_open: false,
        about: "What model calls used, by day and model.",
        parameters: &[query(
            "since",
            "Count",
            "Milliseconds since 1970, UTC; 0 where nothing is said.",
        )],
        body: None,
        answer: json("Costs"),
        is_streamed: false,
        refusals: &[503],
        handler: || get(api::costs),
    },
    Route {
        path: "/api/memory",
        method: "get",
        is_open: false,
        about: "Notes that are kept over sessions, newest first.",
        parameters: &[
            query("search", "Search", SEARCH),
            query(
                "limit",
                "Limit",
                "How many at most; 200 where nothing is said.",
            ),
        ],
        body: None,
        answer: json("Documents"),
        is_streamed: false,
        refusals: &[409, 503],
        handler: || get(memory::find),
    },
    Route {
        path: "/api/memory",
        method: "post",
        is_open: false,
        about: "Keeps a note.",
        parameters: &[],
        body: Some("Draft"),
        answer: Answer {
            status: 201,
            content: "application/json",
            schema: "Document",
        },
        is_streamed: false,
        refusals: &[408, 409, 413, 415, 503],
        handler: || post(memory::add),
    },
    Route {
        path: "/api/memory/{id}",
        method: "put",
        is_open: false,
        about: "Puts another text in a note's place, which has another id then. The old text is really deleted.",
        parameters: &[path("The note.")],
        body: Some("Draft"),
        answer: json("Document"),
        is_streamed: false,
        refusals: &[408, 409, 413, 415, 503],
        handler: || put(memory::change),
    },
    Route {
        path: "/api/memory/{id}",
        method: "delete",
        is_open: false,
        about: "Deletes a note for good. One that is not there is passed over.",
        parameters: &[path("The note.")],
        body: None,
        answer: Answer {
            status: 204,
            content: "",
            schema: "",
        },
        is_streamed: false,
        refusals: &[409, 503],
        handler: || delete(memory::discard),
    },
    Route {
        path: "/api/presence",
        method: "get",
        is_open: false,
        about: "The files that are open in editors, browsers and sessions, the last opened first.",
        parameters: &[],
        body: None,
        answer: json("OpenFiles"),
        is_streamed: false,
        refusals: &[503],
        handler: || get(presence::list),
    },
    Route {
        path: "/api/presence",
        method: "post",
        is_open: false,
        about: "Says that a file is open, or open no longer. What is known about it is made ready.",
        parameters: &[],
        body: Some("PresenceReport"),
        answer: Answer {
            status: 204,
            content: "",
            schema: "",
        },
        is_streamed: false,
        refusals: &[408, 409, 413, 415, 503],
        handler: || post(presence::report),
    },
    Route {
        path: "/api/presence/pack",
        method: "get",
        is_open: false,
        about: "What is known about a file: its outline, who uses it, its history, and notes. Words of whoever wrote them.",
        parameters: &[Parameter {
            is_required: true,
            ..query("path", "Text", "The file, absolute.")
        }],
        body: None,
        answer: json("Pack"),
        is_streamed: false,
        refusals: &[409, 503],
        handler: || get(presence::pack),
    },
    Route {
        path: "/api/settings",
        method: "get",
        is_open: false,
        about: "All settings, with what the config file says of them. No secret is among them.",
        parameters: &[],
        body: None,
        answer: json("Settings"),
        is_streamed: false,
        refusals: &[409, 503],
        handler: || get(settings::list),
    },
    Route {
        path: "/api/settings/{id}",
        method: "put",
        is_open: false,
        about: "Changes a setting in the config file.",
        parameters: &[path("The setting, such as `limits.turn_seconds`.")],
        body: Some("Value"),
        answer: json("Setting"),
        is_streamed: false,
        refusals: &[408, 409, 413, 415, 503],
        handler: || put(settings::change),
    },
    Route {
        path: "/api/settings/{id}",
        method: "delete",
        is_open: false,
        about: "Takes a setting out of the config file, so that its default holds.",
        parameters: &[path("The setting.")],
        body: None,
        answer: json("Setting"),
        is_streamed: false,
        refusals: &[409, 503],
        handler: || delete(settings::reset),
    },
    Route {
        path: "/api/logs",
        method: "get",
        is_open: false,
        about: "The newest entries of the log, or those after a position, oldest first.",
        parameters: &[
            query(
                "after",
                "Text",
                "The position, from `next` of an earlier answer.",
            ),
            query("level", "Level", "The least level."),
            query("search", "Search", SEARCH),
            query(
                "limit",
                "Limit",
                "How many at most; 200 where nothing is said.",
            ),
        ],
        body: None,
        answer: json("LogPage"),
        is_streamed: false,
        refusals: &[409, 503],
        handler: || get(logs::read),
    },
    Route {
        path: "/api/ops",
        method: "post",
        is_open: false,
        about: "Gives the engine a command. What comes of it is told by events.",
        parameters: &[],
        body: Some("Op"),
        answer: Answer {
            status: 202,
            content: "application/json",
            schema: "Word",
        },
        is_streamed: false,
        refusals: &[408, 409, 413, 415, 503],
        handler: || post(api::submit),
    },
    Route {
        path: "/api/events",
        method: "get",
        is_open: false,
        about: "All records after a position and then those to come, as server-sent events whose id is the position.",
        parameters: &[
            query("session", "Id", "One session alone."),
            query("after", "Count", "The position; 0 where nothing is said."),
            Parameter {
                name: "Last-Event-ID",
                place: "header",
                schema: "Count",
                about: "The position, from a browser that comes back. Goes before `after`.",
                is_required: false,
            },
        ],
        body: None,
        answer: Answer {
            status: 200,
            content: "text/event-stream",
            schema: "ServerEvent",
        },
        is_streamed: false,
        refusals: &[503],
        handler: || get(events::follow),
    },
    Route {
        path: "/api/ws",
        method: "get",
        is_open: false,
        about: "A WebSocket: messages `follow`, `unfollow`, `op` and `ping` go in, `record`, `accepted`, `refused`, `ended` and `pong` come out.",
        parameters: &[],
        body: None,
        answer: Answer {
            status: 101,
            content: "",
            schema: "",
        },
        is_streamed: false,
        refusals: &[426, 503],
        handler: || get(socket::open),
    },
    Route {
        path: "/api/openapi.json",
        method: "get",
        is_open: false,
        about: "This description.",
        parameters: &[],
        body: None,
        answer: json("Any"),
        is_streamed: false,
        refusals: &[],
        handler: || get(openapi::serve),
    },
    Route {
        path: "/metrics",
        method: "get",
        is_open: false,
        about: "Counts for Prometheus.",
        parameters: &[],
        body: None,
        answer: Answer {
            status: 200,
            content: "text/plain",
            schema: "Text",
        },
        is_streamed: false,
        refusals: &[503],
        handler: || get(api::metrics),
    },
    Route {
        path: "/v1/models",
        method: "get",
        is_open: false,
        about: "The models that a request may name, as OpenAI lists them. `titanclaw` leaves the choice to the engine.",
        parameters: &[],
        body: None,
        answer: json("ModelList"),
        is_streamed: false,
        refusals: &[503],
        handler: || get(openai::list),
    },
    Route {
        path: "/v1/models/{*id}",
        method: "get",
        is_open: false,
        about: "One of them.",
        parameters: &[Parameter {
            name: "id",
            place: "path",
            schema: "Text",
            about: "The model.",
            is_required: true,
        }],
        body: None,
        answer: json("Model"),
        is_streamed: false,
        refusals: &[404, 503],
        handler: || get(openai::model),
    },
    Route {
        path: "/v1/chat/completions",
        method: "post",
        is_open: false,
        about: "A turn of the engine with its tools, nobody there to approve anything, as OpenAI's chat completion. A request with `tools` asks a model alone: calls come back to be run by the one who asks.",
        parameters: &[],
        body: Some("ChatRequest"),
        answer: json("Any"),
        is_streamed: true,
        refusals: &[404, 408, 409, 413, 415, 429, 502, 503],
        handler: || post(openai::complete),
    },
    Route {
        path: "/v1/responses",
        method: "post",
        is_open: false,
        about: "The same as OpenAI's response.",
        parameters: &[],
        body: Some("ResponseRequest"),
        answer: json("Any"),
        is_streamed: true,
        refusals: &[404, 408, 409, 413, 415, 429, 502, 503],
        handler: || post(responses::respond),
    },
    Route {
        path: "/v1/embeddings",
        method: "post",
        is_open: false,
        about: "Vectors of texts, by the model inside the program.",
        parameters: &[],
        body: Some("EmbeddingRequest"),
        answer: json("Embeddings"),
        is_streamed: false,
        refusals: &[408, 413, 415, 502],
        handler: || post(openai::embed),
    },
];

/// The router with all routes, behind the gate.
pub(crate) fn router(gateway: &Arc<Gateway>) -> Router {
    let part = |is_open| {
        ROUTES
            .iter()
            .filter(|route| route.is_open == is_open)
            .fold(Router::new(), |router, route| {
                router.route(route.path, (route.handler)())
            })
    };
    let closed = part(false).route_layer(from_fn_with_state(Arc::clone(gateway), known));
    let pages = assets::FILES.iter().fold(part(true), |router, file| {
        router.route(file.path, get(|| async { file.into_response() }))
    });
    let pages = pages.route(assets::FRAME.path, get(assets::frame));
    Router::new()
        .merge(pages)
        .merge(closed)
        .fallback(async || Refusal::not_found())
        .layer(from_fn_with_state(Arc::clone(gateway), gate))
        .with_state(Arc::clone(gateway))
}
