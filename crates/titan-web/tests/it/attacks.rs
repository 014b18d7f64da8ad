//! Attacks that must fail. Each test begins with the identifier of its check.

use crate::crowd::{heard, send, socket};
use crate::place::{Answer, Place, WAIT_MAX, alone, config, resident_bytes};
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use titan_protocol::SessionId;
use titan_web::{Access, Config, Door, DoorError, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Error;

const JSON: &str = "Content-Type: application/json";
const SESSION: SessionId = SessionId::from_u128(1);

fn interrupt() -> String {
    json!({ "op": "interrupt", "session": SESSION }).to_string()
}

/// With what an attempt to open a socket was refused.
async fn refused(place: &Place, headers: &[&str]) -> u16 {
    match socket(place, headers).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{headers:?}: {:?}", other.map(|_| "opened")),
    }
}

#[tokio::test]
async fn g1_a_foreign_origin_gets_403_on_upgrade_and_on_everything_else() {
    let place = Place::new().await;
    let port = place.address.port();
    let cookie = place.cookie().await;
    let foreign = [
        "Origin: http://evil.example".to_owned(),
        "Origin: null".to_owned(),
        format!("Origin: http://localhost:{port}"),
        format!("Origin: http://127.0.0.1:{}", port.wrapping_add(1)),
        format!("Origin: http://127.0.0.1:{port}.evil.example"),
    ];
    for origin in &foreign {
        for shown in [&cookie, &place.bearer()] {
            assert_eq!(refused(&place, &[shown, origin]).await, 403, "{origin}");
            let headers = [&place.host(), shown, origin];
            let headers = headers.map(|it| it as &str);
            assert_eq!(
                place.say("GET", "/api/status", &headers, "").await.status,
                403
            );
            let [host, shown, origin] = headers;
            let headers = [host, shown, origin, JSON];
            assert_eq!(
                place
                    .say("POST", "/api/ops", &headers, &interrupt())
                    .await
                    .status,
                403
            );
        }
    }
    assert!(place.engine.ops.lock().unwrap().is_empty());
    assert!(
        socket(&place, &[&cookie, &place.origin()]).await.is_ok(),
        "the page's own"
    );
}

#[tokio::test]
async fn g2_a_cookie_alone_neither_upgrades_nor_changes_anything() {
    let place = Place::new().await;
    let cookie = place.cookie().await;
    assert_eq!(refused(&place, &[&cookie]).await, 403);
    let headers = [&place.host() as &str, &cookie, JSON];
    assert_eq!(
        place
            .say("POST", "/api/ops", &headers, &interrupt())
            .await
            .status,
        403
    );
    for request in [
        "POST /api/memory",
        "POST /api/presence",
        "PUT /api/memory/abc",
        "DELETE /api/memory/abc",
        "PUT /api/settings/policy.run",
        "DELETE /api/settings/policy.run",
    ] {
        let (method, path) = request.split_once(' ').unwrap();
        let answer = place.say(method, path, &headers, "{}").await;
        assert_eq!(answer.status, 403, "{request}");
    }
    assert!(place.engine.ops.lock().unwrap().is_empty());
    assert!(place.engine.asked.lock().unwrap().is_empty());
    assert!(
        socket(&place, &[&place.bearer()]).await.is_ok(),
        "the token is sent on purpose"
    );
}

#[tokio::test]
async fn g3_another_host_is_refused_on_every_way_in() {
    let place = Place::new().await;
    let port = place.address.port();
    let foreign = [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port.wrapping_add(1)),
        format!("localhost.evil.example:{port}"),
        format!("localhost:{port}@evil.example"),
        format!("0.0.0.0:{port}"),
        String::new(),
    ];
    for host in foreign {
        let host = format!("Host: {host}");
        for path in [
            "/",
            "/api/health",
            "/login?code=x",
            "/api/status",
            "/api/events",
            "/api/ws",
            "/v1/models",
            "/nothing",
        ] {
            let answer = place.say("GET", path, &[&host, &place.bearer()], "").await;
            assert_eq!(answer.status, 421, "{host} {path}");
        }
        if host.len() > 6 {
            assert_eq!(
                refused(&place, &[&host, &place.bearer()]).await,
                421,
                "{host}"
            );
        }
    }
    let two = [&place.host() as &str, "Host: evil.example", &place.bearer()];
    assert_eq!(place.say("GET", "/api/status", &two, "").await.status, 421);
    let path = "http://evil.example/api/status";
    let absolute = place
        .say("GET", path, &[&place.host(), &place.bearer()], "")
        .await;
    assert_eq!(absolute.status, 421);
    for host in [
        format!("LocalHost:{port}"),
        format!("[::1]:{port}"),
        "claw.example".to_owned(),
    ] {
        let host = format!("Host: {host}");
        let answer = place
            .say("GET", "/api/status", &[&host, &place.bearer()], "")
            .await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn g6_an_address_that_others_reach_is_refused_unless_it_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let access = Arc::new(Access::open(&folder.path().join("gateway.token")).unwrap());
    let opened = async |address: [u8; 4], is_exposed| {
        let config = Config {
            is_exposed,
            ..config(Limits::default())
        };
        let address = std::net::SocketAddr::from((address, 0));
        Door::open(address, access.clone(), config).await
    };
    let refused = opened([0, 0, 0, 0], false).await.unwrap_err();
    assert!(matches!(refused, DoorError::Exposed(_)));
    assert!(
        refused.to_string().contains("gateway.expose = true"),
        "{refused}"
    );
    assert!(opened([0, 0, 0, 0], true).await.is_ok());
    assert!(opened([127, 0, 0, 2], false).await.is_ok());
}

#[tokio::test]
async fn g8_g10_neither_loopback_nor_what_a_proxy_may_say_changes_who_somebody_is() {
    let place = Place::new().await;
    let said = [
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=localhost;proto=https",
        "X-Forwarded-Host: localhost",
        "X-Forwarded-User: root",
    ];
    let host = place.host();
    assert_eq!(
        place.say("GET", "/api/status", &[&host], "").await.status,
        401
    );
    let all: Vec<&str> = std::iter::once(&host as &str).chain(said).collect();
    assert_eq!(place.say("GET", "/api/status", &all, "").await.status, 401);
    // Another address with each try doesn't give another count.
    let mut statuses = Vec::new();
    for n in 0..25 {
        let from = format!("X-Forwarded-For: 10.0.0.{n}");
        let headers = [&host as &str, "Authorization: Bearer wrong", &from];
        statuses.push(place.say("GET", "/api/status", &headers, "").await.status);
    }
    assert_eq!(statuses[..20], [401; 20]);
    assert_eq!(statuses[20..], [429; 5]);
}

#[tokio::test]
async fn g9_wrong_tokens_are_throttled_however_they_are_shown_and_the_owner_is_not() {
    let place = Place::new().await;
    let wrong = "Authorization: Bearer wrong";
    for n in 0..20 {
        let status = match n % 2 {
            0 => {
                place
                    .say("GET", "/api/status", &[&place.host(), wrong], "")
                    .await
                    .status
            }
            _ => refused(&place, &[wrong]).await,
        };
        assert_eq!(status, 401);
    }
    assert_eq!(refused(&place, &[wrong]).await, 429);
    let cookie = format!("Cookie: titanclaw_{}=1.00", place.address.port());
    for more in [
        &cookie as &str,
        "Cookie: other=1",
        "X-Api-Key: wrong",
        wrong,
    ] {
        let headers = [&place.host() as &str, wrong, more];
        assert_eq!(
            place.say("GET", "/api/status", &headers, "").await.status,
            429,
            "{more}"
        );
    }
    // One that is right does not make one that is wrong good.
    let headers = [&place.host() as &str, &place.bearer(), &cookie];
    assert_eq!(
        place.say("GET", "/api/status", &headers, "").await.status,
        429
    );
    assert_eq!(place.get("/api/status").await.status, 200);
}

#[tokio::test]
async fn g12_a_renewed_token_ends_all_that_the_old_one_opened() {
    let place = Place::new().await;
    let (old, cookie) = (place.bearer(), place.cookie().await);
    let code = place.access.code();
    let mut events = place.events("", &[]).await;
    let mut opened = socket(&place, &[&old]).await.unwrap();
    let mut page = socket(&place, &[&cookie, &place.origin()]).await.unwrap();
    send(&mut opened, &json!({ "type": "ping" })).await;
    assert!(heard(&mut opened).await.is_some());
    titan_web::renew(&place.token_file()).unwrap();
    let since = Instant::now();
    for shown in [&old, &cookie] {
        let headers = [&place.host() as &str, shown];
        assert_eq!(
            place.say("GET", "/api/status", &headers, "").await.status,
            401
        );
        assert_eq!(refused(&place, &[shown, &place.origin()]).await, 401);
    }
    let login = format!("/login?code={code}");
    assert_eq!(
        place.say("GET", &login, &[&place.host()], "").await.status,
        401
    );
    assert_eq!(events.next().await, None);
    assert_eq!(
        (heard(&mut opened).await, heard(&mut page).await),
        (None, None)
    );
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!(place.get("/api/status").await.status, 200, "the new one");
}

#[tokio::test]
async fn g12_open_streams_end_though_nobody_asks_for_anything() {
    let place = Place::new().await;
    let mut events = place.events("", &[]).await;
    let mut opened = socket(&place, &[&place.bearer()]).await.unwrap();
    std::fs::remove_file(place.token_file()).unwrap();
    assert_eq!(
        (events.next().await, heard(&mut opened).await),
        (None, None)
    );
}

#[tokio::test]
async fn g13_every_route_wants_the_token_but_a_list_that_does_not_grow() {
    const OPEN: [&str; 3] = ["get /api/health", "get /api/ready", "get /login"];
    // The frame is a constant page: its origin is none, so it could show no cookie.
    const PAGES: [&str; 4] = ["/", "/app.css", "/app.js", "/canvas/frame"];
    let place = Place::new().await;
    let description = place.get("/api/openapi.json").await.json();
    let mut open = Vec::new();
    let mut n_routes = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            n_routes += 1;
            let asked = path.replace("{id}", &SESSION.to_string());
            let asked = asked.replace("{at}", "7").replace("{number}", "0");
            let method_up = method.to_uppercase();
            let headers = [&place.host() as &str, JSON];
            let answer = place.say(&method_up, &asked, &headers, "{}").await;
            let name = format!("{method} {path}");
            let is_open = OPEN.contains(&(&name as &str));
            // The way in itself refuses who has no code.
            assert_eq!(
                answer.status == 401,
                !is_open || name == "get /login",
                "{name}: {answer:?}"
            );
            let says_open = operation["security"].as_array().unwrap().is_empty();
            assert_eq!(says_open, is_open, "{name}");
            open.extend(is_open.then_some(name));
            for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
                let answer = place.say(method, &asked, &[&place.host()], "").await;
                assert!(
                    [401, 405].contains(&answer.status),
                    "{method} {path}: {answer:?}"
                );
            }
        }
    }
    open.sort();
    assert_eq!(open, OPEN);
    assert_eq!(n_routes, 30);
    for page in PAGES {
        assert_eq!(
            place.say("GET", page, &[&place.host()], "").await.status,
            200
        );
    }
    for path in [
        "/config.apply",
        "/cdp",
        "/debug",
        "/api",
        "/api/",
        "/v1",
        "/api/health/",
        "/API/status",
        "//api/status",
    ] {
        let answer = place.say("GET", path, &[&place.host()], "").await;
        assert!([401, 404].contains(&answer.status), "{path}: {answer:?}");
    }
    assert!(place.engine.ops.lock().unwrap().is_empty());
}

#[tokio::test]
async fn g14_a_form_of_another_page_changes_nothing() {
    let place = Place::new().await;
    let cookie = place.cookie().await;
    let kinds = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/jsonp",
    ];
    for kind in kinds {
        let kind = format!("Content-Type: {kind}");
        for shown in [&cookie, &place.bearer()] {
            let headers = [&place.host() as &str, shown, &place.origin(), &kind];
            for path in [
                "/api/ops",
                "/v1/chat/completions",
                "/v1/responses",
                "/v1/embeddings",
            ] {
                assert_eq!(
                    place.say("POST", path, &headers, &interrupt()).await.status,
                    415,
                    "{kind}"
                );
            }
        }
    }
    let none = [&place.host() as &str, &place.bearer()];
    assert_eq!(
        place
            .say("POST", "/api/ops", &none, &interrupt())
            .await
            .status,
        415
    );
    assert!(place.engine.ops.lock().unwrap().is_empty());
}

#[tokio::test]
async fn g15_no_answer_lets_another_origin_read_it() {
    let place = Place::new().await;
    for origin in [
        "Origin: http://evil.example",
        "Origin: null",
        &place.origin(),
    ] {
        for method in ["GET", "OPTIONS"] {
            let headers = [
                &place.host() as &str,
                &place.bearer(),
                origin,
                "Access-Control-Request-Method: POST",
            ];
            let answer = place.say(method, "/api/status", &headers, "").await;
            let head = answer.head.to_ascii_lowercase();
            assert!(!head.contains("access-control-"), "{head}");
        }
    }
}

#[tokio::test]
async fn g16_a_token_in_an_address_opens_nothing() {
    let place = Place::new().await;
    let token = place.token();
    for path in [
        "/api/events",
        "/api/ws",
        "/api/status",
        "/metrics",
        "/v1/models",
    ] {
        for name in ["token", "access_token", "auth", "key", "api_key"] {
            let path = format!("{path}?{name}={token}");
            let answer = place.say("GET", &path, &[&place.host()], "").await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        }
    }
}

#[tokio::test]
async fn g17_missing_wrong_and_expired_tokens_are_answered_alike_to_the_byte() {
    let place = Place::new().await;
    let port = place.address.port();
    let (old, old_cookie) = (place.bearer(), place.cookie().await);
    titan_web::renew(&place.token_file()).unwrap();
    let token = place.token();
    let shown = [
        "X-Nothing: here".to_owned(),
        "Authorization: Bearer ".to_owned(),
        "Authorization: Bearer wrong".to_owned(),
        format!("Authorization: Bearer {}", &token[..63]),
        format!("Authorization: Bearer {token}0"),
        format!("Authorization: Basic {token}"),
        format!("Authorization: {token}"),
        old,
        old_cookie,
        format!("Cookie: titanclaw_{port}={token}"),
        format!("Cookie: titanclaw_{port}=1.{}", "0".repeat(64)),
    ];
    let mut seen = Vec::new();
    for shown in &shown {
        let answer = place
            .say("GET", "/api/status", &[&place.host(), shown], "")
            .await;
        assert_eq!(answer.status, 401, "{shown}");
        let head: Vec<&str> = answer
            .head
            .lines()
            .filter(|line| !line.starts_with("date: "))
            .collect();
        seen.push((head.join("\n"), answer.body.clone()));
    }
    for answer in &seen {
        assert_eq!(answer, &seen[0]);
    }
}

#[tokio::test]
async fn g20_a_body_without_end_is_cut_off_while_it_comes() {
    let _alone = alone().await;
    let place = Place::new().await;
    let before = resident_bytes();
    for path in ["/api/ops", "/v1/chat/completions"] {
        // One gigabyte in pieces, and one that says so before.
        let head = format!(
            "POST {path} HTTP/1.1\r\n{}\r\n{}\r\n{JSON}\r\n",
            place.host(),
            place.bearer()
        );
        let mut stream = place.connect().await;
        stream
            .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let piece = [
            b"100000\r\n".to_vec(),
            vec![b'"'; 1 << 20],
            b"\r\n".to_vec(),
        ]
        .concat();
        let mut sent = 0u64;
        while sent < 1 << 30 && stream.write_all(&piece).await.is_ok() {
            sent += 1 << 20;
        }
        assert!(sent < 64 << 20, "{sent} bytes were taken");
        let mut stream = place.connect().await;
        stream
            .write_all(format!("{head}Content-Length: 1073741824\r\n\r\n\"").as_bytes())
            .await
            .unwrap();
        drop(stream.write_all(&vec![b'x'; 8 << 20]).await);
        let mut answer = Vec::new();
        drop(
            tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut answer))
                .await
                .unwrap(),
        );
        let answer = Answer::of(&String::from_utf8_lossy(&answer));
        assert!([0, 413].contains(&answer.status), "{answer:?}");
    }
    // One that is just too long is answered in words.
    let long = json!({ "op": "answer", "question": SESSION, "text": "x".repeat(12 << 20) });
    assert_eq!(place.post("/api/ops", &long).await.status, 413);
    drop(long);
    let long = json!({ "text": "x".repeat(64 << 10) });
    assert_eq!(place.post("/api/memory", &long).await.status, 413);
    let long = json!({ "value": "x".repeat(64 << 10) });
    let path = "/api/settings/models.chat";
    assert_eq!(place.send("PUT", path, &long).await.status, 413);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 48 << 20, "{grown} bytes");
    let mut socket = socket(&place, &[&place.bearer()]).await.unwrap();
    use futures::SinkExt;
    let long = tokio_tungstenite::tungstenite::Message::text("x".repeat(2 << 20));
    drop(socket.send(long).await);
    assert_eq!(heard(&mut socket).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn g21_slow_and_idle_connections_leave_an_honest_one_its_place() {
    let _alone = alone().await;
    const SLOW: usize = 500;
    const IDLE: usize = 500;
    let limits = Limits {
        connections_max: 700,
        streams_max: 128,
        head_wait_max: Duration::from_secs(3),
        body_wait_max: Duration::from_secs(3),
        beat: Duration::from_millis(500),
        ..Limits::default()
    };
    let place = Place::with(limits).await;
    let idle =
        join_all((0..IDLE).map(|_| async { socket(&place, &[&place.bearer()]).await.ok() })).await;
    let opened = idle.iter().flatten().count();
    assert_eq!(opened, 128, "as many as there may be");
    let mut slow = join_all((0..SLOW).map(|n| {
        let place = &place;
        async move {
            let mut stream = place.connect().await;
            // Some are slow with their head, some with their body.
            let begun = match n % 2 {
                0 => format!("GET / HTTP/1.1\r\n{}\r\nX-A: ", place.host()),
                _ => format!(
                    "POST /api/ops HTTP/1.1\r\n{}\r\n{}\r\n{JSON}\r\nContent-Length: 100\r\n\r\n{{",
                    place.host(),
                    place.bearer()
                ),
            };
            drop(stream.write_all(begun.as_bytes()).await);
            stream
        }
    }))
    .await;
    let mut times = Vec::new();
    for _ in 0..200 {
        let asked = Instant::now();
        let answer = place.get("/api/health").await;
        times.push(asked.elapsed());
        assert_eq!(answer.status, 200);
    }
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    // The goal is 200 ms, which a busy machine may miss; whoever waits for the slow ones waits for seconds.
    assert!(p99 < Duration::from_secs(2), "{p99:?}");
    let ended = join_all(slow.iter_mut().map(|stream| async {
        let mut rest = Vec::new();
        tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut rest))
            .await
            .is_ok()
    }))
    .await;
    assert!(ended.into_iter().all(|it| it), "every slow one is ended");
    // Those that answer no sign of life are ended too: these sockets are not being read.
    let all_gone = async {
        while !place
            .get("/metrics")
            .await
            .body
            .contains("titanclaw_gateway_streams 0\n")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, all_gone)
        .await
        .expect("idle sockets are ended");
    drop(idle);
}

#[tokio::test]
async fn g22_every_answer_carries_its_guards() {
    let _alone = alone().await;
    let place = Place::new().await;
    let (host, bearer) = (place.host(), place.bearer());
    let wrong = "Authorization: Bearer wrong";
    let mut answers = vec![
        place.say("GET", "/", &[&host], "").await,
        place.get("/api/status").await,
        place.say("GET", "/api/status", &[&host], "").await,
        place.get("/nothing").await,
        place.say("PUT", "/api/status", &[&host, &bearer], "").await,
        place
            .post("/api/ops", &json!({ "x": "x".repeat(12 << 20) }))
            .await,
        place.say("POST", "/api/ops", &[&host, &bearer], "{}").await,
        place
            .say("GET", "/api/status", &["Host: evil.example"], "")
            .await,
        place.get("/api/costs").await,
        place.get("/api/sessions?limit=0").await,
    ];
    for _ in 0..21 {
        answers.push(place.say("GET", "/api/status", &[&host, wrong], "").await);
    }
    place.engine.panics.store(true, Ordering::Relaxed);
    answers.push(place.get("/api/status").await);
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.dedup();
    assert_eq!(
        statuses,
        [200, 401, 404, 405, 413, 415, 421, 503, 400, 401, 429, 500]
    );
    for answer in answers {
        let expected = [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ];
        for (name, value) in expected {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "object-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[tokio::test]
async fn g33_the_frame_of_the_canvas_reaches_nothing_and_is_the_only_page_in_a_frame() {
    let place = Place::new().await;
    let host = place.host();
    let frame = place.say("GET", "/canvas/frame", &[&host], "").await;
    assert_eq!(frame.status, 200);
    assert_eq!(frame.header("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(frame.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        frame.header("content-security-policy"),
        Some(
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; require-trusted-types-for 'script'; trusted-types default; sandbox allow-scripts"
        )
    );
    // The same for everyone, also for who shows a token.
    let bearer = place.bearer();
    let shown = place
        .say("GET", "/canvas/frame", &[&host, &bearer], "")
        .await;
    assert_eq!(shown.body, frame.body);
    for path in ["/", "/app.js", "/api/health", "/canvas", "/canvas/frame/"] {
        let answer = place.say("GET", path, &[&host], "").await;
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("frame-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
    // No other method, and no page of another origin, not even the one without a name that it runs in itself.
    let refused = place.say("POST", "/canvas/frame", &[&host], "").await;
    assert_eq!(refused.status, 405);
    assert_eq!(refused.header("x-frame-options"), Some("DENY"));
    let opaque = [&host as &str, "Origin: null"];
    for (method, path) in [("GET", "/api/status"), ("POST", "/api/ops"), ("GET", "/")] {
        let answer = place.say(method, path, &opaque, "").await;
        assert_eq!(answer.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn g23_a_handler_that_panics_or_fails_tells_nothing_of_the_inside() {
    let place = Place::new().await;
    let failed = place.get("/api/costs").await;
    place.engine.panics.store(true, Ordering::Relaxed);
    let panicked = place.get("/api/status").await;
    assert_eq!((failed.status, panicked.status), (503, 500));
    for answer in [&failed, &panicked] {
        for word in [
            "SELECT",
            "titan_store",
            "/h",
            "secret",
            ".rs",
            &place.token(),
        ] {
            assert!(!answer.body.contains(word), "{word}: {answer:?}");
        }
    }
    place.engine.panics.store(false, Ordering::Relaxed);
    assert_eq!(place.get("/api/status").await.status, 200, "it goes on");
}

#[tokio::test]
async fn g24_strangers_are_told_words_that_never_change() {
    let place = Place::new().await;
    let ask = async |path: &str| place.say("GET", path, &[&place.host()], "").await;
    assert_eq!(ask("/api/health").await.body, "{\"status\":\"ok\"}");
    assert_eq!(ask("/api/ready").await.body, "{\"status\":\"ready\"}");
    for path in [
        "/metrics",
        "/api/status",
        "/api/openapi.json",
        "/api/costs",
        "/v1/models",
    ] {
        assert_eq!(ask(path).await.status, 401, "{path}");
    }
    for path in ["/", "/app.js", "/app.css"] {
        assert_eq!(ask(path).await.body, place.get(path).await.body, "{path}");
    }
    place.engine.panics.store(true, Ordering::Relaxed);
    let answer = ask("/api/ready").await;
    assert!(!answer.body.contains("titan_store"), "{answer:?}");
}

#[tokio::test]
async fn g25_no_spelling_of_a_path_leads_to_a_file() {
    let place = Place::new().await;
    let paths = [
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%252f..%252fetc/passwd",
        "/..\\..\\etc\\passwd",
        "/..%5cetc%5cpasswd",
        "/app.js%00.html",
        "/app.js/",
        "/./app.js",
        "//etc/passwd",
        "/etc/passwd",
        "/file:///etc/passwd",
        "/assets/app.js",
        "/app.js/../../gateway.token",
        "/index.html",
    ];
    for path in paths {
        let answer = place.get(path).await;
        assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains("root:"), "{path}");
    }
}

#[tokio::test]
async fn g27_requests_that_can_be_read_in_two_ways_are_refused() {
    let place = Place::new().await;
    let (host, bearer) = (place.host(), place.bearer());
    let body = interrupt();
    let smuggled = format!(
        "POST /api/ops HTTP/1.1\r\n{host}\r\n{bearer}\r\n{JSON}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let length = smuggled.len();
    let heads = [
        format!(
            "Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n"),
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x".to_owned(),
        "Content-Length: +2\r\n\r\n{}".to_owned(),
        "Transfer-Encoding: gzip, identity\r\n\r\n{}".to_owned(),
        "X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "X Space: a\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "X-Space : a\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        format!("X-Long: {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("{}\r\n", "X-Many: a\r\n".repeat(1000)),
    ];
    for head in heads {
        let request = format!(
            "POST /api/ops HTTP/1.1\r\n{host}\r\n{bearer}\r\n{JSON}\r\nConnection: close\r\n{head}"
        );
        let answer = Answer::of(&place.raw(request.as_bytes()).await);
        assert!(
            [0, 400, 431].contains(&answer.status),
            "{}: {answer:?}",
            &head[..head.len().min(60)]
        );
    }
    let ops = place.engine.ops.lock().unwrap().clone();
    assert!(ops.is_empty(), "{ops:?}");
    let preface = place.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!preface.contains("200"), "{preface}");
}

/// An image route could give a stranger's bytes the rights of the page, or give out what else is kept.
#[tokio::test]
async fn g22_g30_an_image_is_an_image_and_nothing_else_of_its_session_alone() {
    const KEPT: usize = 5;
    let place = Place::new().await;
    let gif = b"GIF89a\x08\0\x06\0<script>alert(1)</script>";
    let kept: [&[u8]; KEPT] = [
        gif,
        b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>",
        b"<!doctype html><script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n",
        b"",
    ];
    let kept = kept.map(|bytes| titan_protocol::ImageBytes(bytes.to_vec().into()));
    place.engine.images.lock().unwrap().extend(kept);
    let path = format!("/api/sessions/{SESSION}/images/7");
    let image = place.get(&format!("{path}/0")).await;
    for (name, value) in [
        ("content-type", "image/gif"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(image.header(name), Some(value), "{name}");
    }
    let policy = image.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    // What is kept and is no image that is taken, an SVG too, is not there.
    for number in 1..KEPT {
        let answer = place.get(&format!("{path}/{number}")).await;
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(!answer.body.contains("alert"), "{answer:?}");
    }
    let other = SessionId::from_u128(2);
    for elsewhere in [
        format!("/api/sessions/{other}/images/7/0"),
        format!("/api/sessions/{SESSION}/images/8/0"),
        format!("/api/sessions/{SESSION}/images/7/9"),
        format!("/api/sessions/{SESSION}/images/7/18446744073709551615"),
        format!("/api/sessions/{SESSION}/images/7"),
        format!("/api/sessions/{SESSION}/images/7/0/../../../etc/passwd"),
        format!("/api/sessions/{SESSION}/images/7/0/x"),
    ] {
        let answer = place.get(&elsewhere).await;
        assert_eq!(answer.status, 404, "{elsewhere}");
        assert!(!answer.body.contains("/h/"), "{answer:?}");
    }
    for odd in ["..%2f..%2fetc%2fpasswd", "%00", "7%2f0", "%2e%2e"] {
        let answer = place
            .get(&format!("/api/sessions/{SESSION}/images/{odd}/0"))
            .await;
        assert_eq!(answer.status, 400, "{odd}: {answer:?}");
    }
    let n_asked = place.engine.asked.lock().unwrap().len();
    let headers = [&place.host() as &str, "Authorization: Bearer wrong"];
    for headers in [&headers[..], &headers[..1]] {
        let answer = place.say("GET", &format!("{path}/0"), headers, "").await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(place.engine.asked.lock().unwrap().len(), n_asked);
}
