//! The gateway's own routes, and whether their description is true.

use crate::place::{Answer, Place};
use serde_json::{Value, json};
use titan_protocol::{
    ApprovalId, Decision, Forget, Op, QuestionId, SessionId, TurnId, TurnOptions,
};

const SESSION: SessionId = SessionId::from_u128(1);
const TURN: TurnId = TurnId::from_u128(2);

/// One command of each kind.
fn ops() -> Vec<Op> {
    let options = TurnOptions {
        workspace: Some("/w".into()),
        model: None,
        is_attended: true,
        without_reflexes: false,
    };
    let forget = |what| Op::Forget { what };
    vec![
        Op::UserTurn {
            session: SESSION,
            turn: TURN,
            text: "hi".into(),
            images: Vec::new(),
            options: options.clone(),
        },
        Op::UserCall {
            session: SESSION,
            turn: TURN,
            text: "!ls".into(),
            tool: "shell".into(),
            arguments: serde_json::Map::new(),
            options,
        },
        Op::Interrupt { session: SESSION },
        Op::Decide {
            approval: ApprovalId::from_u128(3),
            decision: Decision::Exact,
        },
        Op::Answer {
            question: QuestionId::from_u128(4),
            text: "yes".into(),
        },
        forget(Forget::Session { session: SESSION }),
        forget(Forget::Turn {
            session: SESSION,
            turn: TURN,
        }),
        forget(Forget::Events {
            session: SESSION,
            seqs: vec![1, 2],
        }),
        Op::Undo {
            session: SESSION,
            undo: TURN,
            of: None,
            is_forced: false,
        },
        Op::Rename {
            session: SESSION,
            title: "new".into(),
        },
    ]
}

/// Whether a value is what the description says of the schema.
fn check(description: &Value, schema: &str, value: &Value) {
    let mut whole = description.clone();
    whole["$ref"] = json!(format!("#/components/schemas/{schema}"));
    let validator = jsonschema::validator_for(&whole).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{schema}: {errors:?} in {value}");
}

fn is_valid(description: &Value, schema: &str, value: &Value) -> bool {
    let mut whole = description.clone();
    whole["$ref"] = json!(format!("#/components/schemas/{schema}"));
    jsonschema::validator_for(&whole).unwrap().is_valid(value)
}

async fn described(place: &Place) -> Value {
    place.get("/api/openapi.json").await.json()
}

#[tokio::test]
async fn every_command_crosses_unchanged_and_is_described() {
    let place = Place::new().await;
    let description = described(&place).await;
    for op in ops() {
        let value = serde_json::to_value(&op).unwrap();
        check(&description, "Op", &value);
        let answer = place.post("/api/ops", &value).await;
        assert_eq!(
            (answer.status, answer.json()),
            (202, json!({ "status": "accepted" }))
        );
    }
    assert_eq!(*place.engine.ops.lock().unwrap(), ops());
    let refused = place
        .post("/api/ops", &json!({ "op": "compact", "session": SESSION }))
        .await;
    assert_eq!(refused.status, 409);
    check(&description, "Refusal", &refused.json());
}

#[tokio::test]
async fn a_whole_number_is_one_however_it_is_spelled() {
    let place = Place::new().await;
    let description = described(&place).await;
    let op = |seq: Value| json!({ "op": "forget", "what": { "type": "events", "session": SESSION, "seqs": [seq] } });
    for whole in [json!(2), json!(2.0), json!(131_071.0)] {
        check(&description, "Op", &op(whole.clone()));
        assert_eq!(place.post("/api/ops", &op(whole)).await.status, 202);
    }
    for odd in [json!(2.5), json!(-1.0), json!(1e300)] {
        assert!(!is_valid(&description, "Op", &op(odd.clone())), "{odd}");
        assert_eq!(place.post("/api/ops", &op(odd)).await.status, 400);
    }
}

#[tokio::test]
async fn an_image_is_one_however_its_base64_is_spelled() {
    let place = Place::new().await;
    let description = described(&place).await;
    let op = |image: &str| json!({ "op": "user_turn", "session": SESSION, "turn": TURN, "text": "hi", "options": {}, "images": [image] });
    // Whole, without padding, and with bits after the last whole byte.
    for image in ["fyI3qjMrb0==", "fyI3qjMrb0", "fyI3qjMrb1", "Vyy", "YWJj"] {
        check(&description, "Op", &op(image));
        let answer = place.post("/api/ops", &op(image)).await;
        assert_eq!(answer.status, 202, "{image}: {answer:?}");
    }
    let answer = place.post("/api/ops", &op("no base64!")).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_command_that_is_none_is_refused_by_the_description_and_the_gateway() {
    let place = Place::new().await;
    let description = described(&place).await;
    let turn =
        json!({ "op": "user_turn", "session": SESSION, "turn": TURN, "text": "hi", "options": {} });
    let without = |field: &str| {
        let mut turn = turn.clone();
        turn.as_object_mut().unwrap().remove(field);
        turn
    };
    let with = |field: &str, value: Value| {
        let mut turn = turn.clone();
        turn[field] = value;
        turn
    };
    check(&description, "Op", &turn);
    let odd = [
        json!(null),
        json!([]),
        json!("interrupt"),
        json!(["interrupt", { "session": SESSION }]),
        json!({}),
        json!({ "op": "sudo" }),
        json!({ "op": 2, "session": SESSION }),
        json!({ "op": "forget", "what": { "type": 0, "session": SESSION } }),
        json!({ "op": "decide", "approval": SESSION, "decision": 0 }),
        json!({ "op": "interrupt", "session": SESSION.to_string().replace('-', "") }),
        json!({ "op": "interrupt", "session": "x" }),
        json!({ "op": "decide", "approval": SESSION, "decision": "always" }),
        json!({ "op": "forget", "what": [] }),
        without("session"),
        without("text"),
        without("options"),
        with("options", json!([])),
        with("text", json!(7)),
        with("session", json!(null)),
    ];
    for odd in odd {
        assert!(!is_valid(&description, "Op", &odd), "{odd}");
        assert_eq!(place.post("/api/ops", &odd).await.status, 400, "{odd}");
    }
    assert!(place.engine.ops.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_asked_is_answered_as_described() {
    let place = Place::new().await;
    let description = described(&place).await;
    let changes = format!("/api/sessions/{SESSION}/changes?turn={TURN}");
    let paths = [
        ("/api/health", "Word"),
        ("/api/ready", "Word"),
        ("/api/status", "Status"),
        ("/api/sessions?limit=2", "Sessions"),
        (&changes, "Changes"),
        ("/api/jobs", "Jobs"),
        ("/v1/models", "ModelList"),
        ("/v1/models/house/m", "Model"),
        ("/api/memory?search=a&limit=3", "Documents"),
        ("/api/presence", "OpenFiles"),
        ("/api/presence/pack?path=/w/f", "Pack"),
        ("/api/settings", "Settings"),
        ("/api/logs?level=warn&after=1-2", "LogPage"),
    ];
    for (path, schema) in paths {
        let answer = place.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        check(&description, schema, &answer.json());
    }
    let embedded = place.post("/v1/embeddings", &json!({ "input": "a" })).await;
    check(&description, "Embeddings", &embedded.json());
    assert_eq!(place.get("/api/status").await.json()["workspace"], "/w");
    assert_eq!(
        place
            .get("/api/sessions?limit=2")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let none = place.get(&format!("/api/sessions/{SESSION}/changes")).await;
    assert_eq!(none.status, 409);
    check(&description, "Refusal", &none.json());
    let metrics = place.get("/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    assert!(
        metrics
            .body
            .contains("titanclaw_gateway_answers_total{route=\"/api/ready\",status=\"200\"} 1\n"),
        "{metrics:?}"
    );
    for line in metrics.body.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn a_query_that_is_none_is_refused() {
    let place = Place::new().await;
    let paths = [
        "/api/sessions?limit=0",
        "/api/sessions?limit=1001",
        "/api/sessions?limit=-1",
        "/api/sessions?limit=x",
        "/api/sessions?limit=1&limit=2",
        "/api/sessions?other=1",
        "/api/costs?since=-1",
        "/api/costs?since=18446744073709551615",
        "/api/events?session=x",
        "/api/events?after=-1",
        "/api/sessions/x/changes",
        "/api/sessions/x/images/7/0",
        "/api/sessions/00000000-0000-0000-0000-000000000001/images/-7/0",
        "/api/sessions/00000000-0000-0000-0000-000000000001/images/7/+0",
        "/api/sessions/00000000-0000-0000-0000-000000000001/images/7/0x0",
    ];
    for path in paths {
        let answer = place.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere_and_its_schemas_are_schemas() {
    let place = Place::new().await;
    let description = described(&place).await;
    let text = description.to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(
            description["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::meta::is_valid(schema), "{name}");
    }
}

#[tokio::test]
async fn a_method_that_there_is_not_is_told_with_those_that_there_are() {
    let place = Place::new().await;
    for (method, path, allowed) in [
        ("PATCH", "/api/ops", "POST"),
        ("DELETE", "/api/status", "GET,HEAD"),
    ] {
        let answer = place
            .say(method, path, &[&place.host(), &place.bearer()], "")
            .await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some(allowed))
        );
        assert_eq!(answer.json()["error"]["type"], "method_not_allowed");
    }
}

#[tokio::test]
async fn the_page_is_opened_by_a_link_that_works_once() {
    let place = Place::new().await;
    let link = format!("/login?code={}", place.access.code());
    let opened = place.say("GET", &link, &[&place.host()], "").await;
    assert_eq!((opened.status, opened.header("location")), (303, Some("/")));
    let again: Answer = place.say("GET", &link, &[&place.host()], "").await;
    assert_eq!(again.status, 401);
    let cookie = place.cookie().await;
    let page = place.say("GET", "/", &[&place.host(), &cookie], "").await;
    assert!(page.body.contains("<title>TitanClaw</title>"));
    let status = place
        .say("GET", "/api/status", &[&place.host(), &cookie], "")
        .await;
    assert_eq!(status.status, 200);
    let kind = "Content-Type: application/json";
    let op = json!({ "op": "interrupt", "session": SESSION }).to_string();
    let headers = [&place.host(), &cookie, &place.origin(), kind];
    assert_eq!(
        place
            .say("POST", "/api/ops", &headers.map(|it| it as &str), &op)
            .await
            .status,
        202
    );
}

#[tokio::test]
async fn an_editor_says_what_it_has_open_and_what_not_any_more() {
    let place = Place::new().await;
    let description = described(&place).await;
    let report = json!({ "path": "/w/f", "by": "vscode", "is_open": true });
    check(&description, "PresenceReport", &report);
    let told = place.post("/api/presence", &report).await;
    assert_eq!((told.status, told.body.as_str()), (204, ""));
    let closed = json!({ "path": "/w/f", "by": "vscode", "is_open": false });
    assert_eq!(place.post("/api/presence", &closed).await.status, 204);
    let asked = place.engine.asked.lock().unwrap().clone();
    assert_eq!(asked, ["open /w/f by vscode", "close /w/f"]);
    let refused = json!({ "path": "/missing", "by": "vscode", "is_open": true });
    assert_eq!(place.post("/api/presence", &refused).await.status, 409);
    for odd in [json!({}), json!({ "path": 1, "by": "a", "is_open": true })] {
        assert!(!is_valid(&description, "PresenceReport", &odd), "{odd}");
        assert_eq!(place.post("/api/presence", &odd).await.status, 400, "{odd}");
    }
}

#[tokio::test]
async fn what_is_kept_is_looked_at_added_changed_and_deleted() {
    let place = Place::new().await;
    let description = described(&place).await;
    let draft = json!({ "text": "tea", "tags": ["taste"] });
    check(&description, "Draft", &draft);
    assert_eq!(place.get("/api/memory").await.status, 200);
    let added = place.post("/api/memory", &draft).await;
    assert_eq!(added.status, 201);
    check(&description, "Document", &added.json());
    let changed = place
        .send("PUT", "/api/memory/abc", &json!({ "text": "more tea" }))
        .await;
    assert_eq!(
        (changed.status, &changed.json()["text"]),
        (200, &json!("more tea"))
    );
    let gone = place.send("DELETE", "/api/memory/abc", &json!(null)).await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    let refused = place.post("/api/memory", &json!({ "text": " " })).await;
    assert_eq!(refused.status, 409);
    for odd in [
        json!({}),
        json!({ "text": 1 }),
        json!({ "text": "a", "replaces": "abc" }),
    ] {
        assert!(!is_valid(&description, "Draft", &odd), "{odd}");
        assert_eq!(place.post("/api/memory", &odd).await.status, 400, "{odd}");
    }
    let asked = [
        "find \"\" 200",
        "keep \"tea\" [\"taste\"] None",
        "keep \"more tea\" [] Some(\"abc\")",
        "discard abc",
        "keep \" \" [] None",
    ];
    assert_eq!(*place.engine.asked.lock().unwrap(), asked);
}

#[tokio::test]
async fn a_setting_is_changed_and_set_back_by_its_name() {
    let place = Place::new().await;
    let description = described(&place).await;
    let path = "/api/settings/limits.turn_seconds";
    let value = json!({ "value": 90 });
    check(&description, "Value", &value);
    let changed = place.send("PUT", path, &value).await;
    assert_eq!(changed.status, 200);
    check(&description, "Setting", &changed.json());
    assert_eq!(place.send("DELETE", path, &json!(null)).await.status, 200);
    let refused = place.send("PUT", path, &json!({ "value": null })).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["message"]),
        (409, &json!("`limits.turn_seconds` can't be null"))
    );
    assert_eq!(place.send("PUT", path, &json!({})).await.status, 400);
    let asked = [
        "change limits.turn_seconds Some(Number(90))",
        "change limits.turn_seconds None",
        "change limits.turn_seconds Some(Null)",
    ];
    assert_eq!(*place.engine.asked.lock().unwrap(), asked);
}

#[tokio::test]
async fn the_log_is_asked_for_as_the_query_says() {
    let place = Place::new().await;
    let asked = "/api/logs?after=1-2&level=error&search=a%20b&limit=7";
    assert_eq!(place.get(asked).await.json()["next"], "1-2");
    for odd in ["level=loud", "limit=0", "limit=1001", "x=1", "level="] {
        let answer = place.get(&format!("/api/logs?{odd}")).await;
        assert_eq!(answer.status, 400, "{odd}");
    }
    let long = "x".repeat(1_001);
    let answer = place.get(&format!("/api/memory?search={long}")).await;
    assert_eq!(answer.status, 400);
    let query = "LogQuery { after: Some(\"1-2\"), level: Some(Error), words: \"a b\", limit: 7 }";
    assert_eq!(*place.engine.asked.lock().unwrap(), [query]);
}

/// The beginning of an image, which is all that is read of one here. All of it is ASCII but for what says its kind.
fn gif() -> Vec<u8> {
    b"GIF89a\x08\0\x06\0and the rest".to_vec()
}

#[tokio::test]
async fn an_image_that_was_given_is_told_with_the_kind_that_its_bytes_have() {
    let place = Place::new().await;
    let jpeg = b"\xff\xd8\xff\xc0\0\x11\x08\0\x20\0\x30".to_vec();
    let images = [gif(), jpeg].map(|bytes| titan_protocol::ImageBytes(bytes.into()));
    place.engine.images.lock().unwrap().extend(images);
    let path = |number| format!("/api/sessions/{SESSION}/images/7/{number}");
    let first = place.get(&path(0)).await;
    assert_eq!(
        (first.status, first.header("content-type")),
        (200, Some("image/gif"))
    );
    assert_eq!(first.body.as_bytes(), gif());
    let second = place.get(&path(1)).await;
    assert_eq!(second.header("content-type"), Some("image/jpeg"));
    assert_eq!(second.header("content-length"), Some("11"));
    let described = &described(&place).await["paths"]["/api/sessions/{id}/images/{at}/{number}"];
    assert!(described["get"]["responses"]["200"]["content"]["image/*"].is_object());
}
