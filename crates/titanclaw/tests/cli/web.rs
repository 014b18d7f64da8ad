//! The gateway of the built program: opened by a link, asked over HTTP, ended by a signal.

use crate::Place;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::time::Duration;
use titan_testkit::gate::Gate;
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

const WAIT_MAX: Duration = Duration::from_secs(60);

fn place_with(server: &ScriptServer, more: &str) -> Place {
    let place = Place::new();
    let config = format!(
        "[models]\nchat = \"scripted/m\"\n[[providers]]\nname = \"scripted\"\nkind = \"compatible\"\nbase_url = \"{}/v1\"\n{more}",
        server.base_url()
    );
    place.write("home/config.toml", &config);
    place
}

/// A server that says the same to every question, also to those about titles.
fn server(reply: impl Fn() -> Reply, n_replies: usize) -> ScriptServer {
    let replies = (0..n_replies).map(|_| reply());
    ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server")
}

/// `titanclaw web` while it serves.
struct Web {
    child: Child,
    link: String,
}

impl Web {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let arguments = [&["web", "--no-open"], arguments].concat();
        let mut child = place.command(&arguments).spawn().expect("it starts");
        let out = child.stdout.take().expect("a pipe");
        let mut link = String::new();
        BufReader::new(out).read_line(&mut link).expect("a link");
        let link = link.trim().to_owned();
        assert!(link.starts_with("http://127.0.0.1:"), "{link:?}: {child:?}");
        Self { child, link }
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // One that a test left behind serves nobody.
        drop(self.child.kill());
    }
}

/// The address in a link, and what comes after it.
fn parts(link: &str) -> (String, String) {
    let rest = link.strip_prefix("http://").expect("a link");
    let (address, path) = rest.split_once('/').expect("a path");
    (address.to_owned(), format!("/{path}"))
}

fn token(place: &Place) -> String {
    let path = place.home().join("gateway.token");
    std::fs::read_to_string(path)
        .expect("a token")
        .trim()
        .to_owned()
}

/// Sends a request and reads until the other side closes.
fn ask(address: &str, request: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a gateway");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket");
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).expect("a reader");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn get(place: &Place, address: &str, path: &str) -> String {
    let bearer = format!("Authorization: Bearer {}\r\n", token(place));
    ask(address, &format!("GET {path}"), &bearer, "")
}

fn post(place: &Place, address: &str, path: &str, body: &Value) -> String {
    let headers = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
        token(place)
    );
    ask(
        address,
        &format!("POST {path}"),
        &headers,
        &body.to_string(),
    )
}

/// The body of an answer that is not in chunks.
fn body(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn web_gives_a_link_serves_the_api_and_ends_with_a_signal() {
    let server = server(|| Reply::text("from the engine"), 8);
    let place = place_with(&server, "");
    tokio::task::block_in_place(|| {
        let web = Web::start(&place, &["--port", "0"]);
        let (address, login) = parts(&web.link);
        let mode = std::fs::metadata(place.home().join("gateway.token"));
        assert_eq!(mode.expect("a token").permissions().mode() & 0o777, 0o600);
        assert!(ask(&address, "GET /", "", "").contains("<title>TitanClaw</title>"));
        let opened = ask(&address, &format!("GET {login}"), "", "");
        assert!(opened.starts_with("HTTP/1.1 303"), "{opened}");
        let again = ask(&address, &format!("GET {login}"), "", "");
        assert!(again.starts_with("HTTP/1.1 401"), "{again}");

        let asked = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        let completion = body(&post(&place, &address, "/v1/chat/completions", &asked));
        let said = &completion["choices"][0]["message"]["content"];
        assert_eq!(said, "from the engine", "{completion}");
        assert!(completion["usage"]["total_tokens"].is_u64(), "{completion}");
        let sessions = body(&get(&place, &address, "/api/sessions"));
        assert_eq!(sessions.as_array().map(Vec::len), Some(1));
        let workspace = &sessions[0]["workspace"];
        assert_eq!(workspace, &json!(place.workspace()));

        // A second one finds the first.
        let second = place.run(&["web", "--no-open"]);
        assert_eq!(second.exit, Some(0), "{second:?}");
        assert!(
            second
                .out
                .starts_with(&format!("http://{address}/login?code=")),
            "{second:?}"
        );
        assert!(!second.out.contains(&login));
        let status = place.run(&["status"]);
        assert!(
            status
                .out
                .contains(&format!("gateway  http://{address}/\n")),
            "{status:?}"
        );
        assert_eq!(web.interrupt(), Some(0));
        assert!(TcpStream::connect(&address).is_err());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_a_new_token_shuts_out_who_has_the_old_one() {
    let server = server(|| Reply::text("x"), 2);
    let port = free_port();
    let place = place_with(&server, &format!("[gateway]\nport = {port}\n"));
    tokio::task::block_in_place(|| {
        let started = place.run(&["daemon", "start"]);
        assert_eq!(started.exit, Some(0), "{started:?}");
        let link = place.run(&["web", "--no-open"]);
        let (address, _) = parts(link.out.trim());
        assert_eq!(address, format!("127.0.0.1:{port}"));
        let old = format!("Authorization: Bearer {}\r\n", token(&place));
        let status = ask(&address, "GET /api/status", &old, "");
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        let mut events = TcpStream::connect(&address).expect("a gateway");
        events.set_read_timeout(Some(WAIT_MAX)).expect("a socket");
        let request = format!("GET /api/events HTTP/1.1\r\nHost: {address}\r\n{old}\r\n");
        events.write_all(request.as_bytes()).expect("a reader");
        let renewed = place.run(&["web", "--new-token"]);
        assert_eq!(renewed.exit, Some(0), "{renewed:?}");
        let status = ask(&address, "GET /api/status", &old, "");
        assert!(status.starts_with("HTTP/1.1 401"), "{status}");
        let mut rest = String::new();
        events.read_to_string(&mut rest).expect("it is closed");
        assert!(get(&place, &address, "/api/status").starts_with("HTTP/1.1 200"));
        let doctor = place.run(&["doctor"]);
        assert!(
            doctor.out.contains(&format!("served at {address}")),
            "{doctor:?}"
        );
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
    });
}

/// Asks as somebody who may, with a body or without one.
fn send(place: &Place, address: &str, request: &str, body: &Value) -> Value {
    let headers = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
        token(place)
    );
    let answer = ask(address, request, &headers, &body.to_string());
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_default()
}

/// What is beside the sessions, asked of a gateway of this home.
fn check_beside(place: &Place, address: &str, has_key: &Value) {
    let note = json!({ "text": "The person likes tea.", "tags": ["taste"] });
    let kept = send(place, address, "POST /api/memory", &note);
    let id = kept["id"].as_str().expect("an id").to_owned();
    let more = json!({ "text": "The person likes green tea." });
    let changed = send(place, address, &format!("PUT /api/memory/{id}"), &more);
    let found = body(&get(place, address, "/api/memory?search=GREEN"));
    assert_eq!(found, json!([changed]));
    let id = changed["id"].as_str().expect("an id");
    send(
        place,
        address,
        &format!("DELETE /api/memory/{id}"),
        &json!({}),
    );
    assert_eq!(body(&get(place, address, "/api/memory")), json!([]));

    let setting = "/api/settings/limits.turn_seconds";
    let odd = send(
        place,
        address,
        &format!("PUT {setting}"),
        &json!({ "value": 1 }),
    );
    assert_eq!(
        odd["error"]["message"],
        "`limits.turn_seconds` can't be 1; it must be a whole number from 5 to 86400"
    );
    let changed = send(
        place,
        address,
        &format!("PUT {setting}"),
        &json!({ "value": 90 }),
    );
    assert_eq!(changed["value"], 90);
    let written = place.run(&["config", "get", "limits.turn_seconds"]);
    assert_eq!(written.out, "90\n");
    send(place, address, &format!("DELETE {setting}"), &json!({}));
    let settings = body(&get(place, address, "/api/settings"));
    assert_eq!(settings["providers"][0]["has_key"], *has_key);

    let logs = "/api/logs?search=a%20setting%20was%20changed%20limits.turn_seconds&limit=9";
    let logged = body(&get(place, address, logs))["entries"].clone();
    assert!(
        logged.as_array().is_some_and(|it| !it.is_empty()),
        "{logged}"
    );

    let models = body(&get(place, address, "/v1/models"))["data"].clone();
    let ids: Vec<&Value> = models
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| &it["id"])
        .collect();
    assert!(
        ids.contains(&&json!("titanclaw")) && ids.contains(&&json!("scripted/m")),
        "{models}"
    );
    let asked = json!({ "model": "gpt-9", "messages": [{ "role": "user", "content": "hi" }] });
    let missing = send(place, address, "POST /v1/chat/completions", &asked);
    assert_eq!(missing["error"]["code"], "model_not_found", "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_settings_log_and_models_are_there_whichever_process_has_the_engine() {
    let server = server(|| Reply::text("x"), 2);
    let place = place_with(&server, "");
    tokio::task::block_in_place(|| {
        let web = Web::start(&place, &["--port", "0"]);
        check_beside(&place, &parts(&web.link).0, &json!(false));
        assert_eq!(web.interrupt(), Some(0));
        assert_eq!(place.run(&["daemon", "start"]).exit, Some(0));
        let web = Web::start(&place, &["--port", "0"]);
        check_beside(&place, &parts(&web.link).0, &json!(null));
        assert_eq!(web.interrupt(), Some(0));
        assert_eq!(place.run(&["daemon", "stop"]).exit, Some(0));
    });
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_g7_a_config_that_is_unsafe_or_none_opens_nothing() {
    let server = server(|| Reply::text("x"), 1);
    let cases = [
        (
            "[gateway]\naddress = \"0.0.0.0\"\n",
            "gateway.expose = true",
        ),
        ("[gateway]\naddress = \"::\"\n", "gateway.expose = true"),
        (
            "[gateway]\naddress = \"everywhere\"\n",
            "must be an IP address",
        ),
        ("[gateway]\nport = 0\n", "`gateway.port` is 0"),
        ("[gateway\n", "can't be used"),
    ];
    tokio::task::block_in_place(|| {
        for (settings, expected) in cases {
            let place = place_with(&server, settings);
            for command in [&["web", "--no-open"][..], &["daemon", "run"]] {
                let done = place.run(command);
                assert_eq!(done.exit, Some(1), "{settings} {done:?}");
                assert!(done.err.contains(expected), "{settings} {done:?}");
                assert_eq!(done.err.lines().count(), 1, "{done:?}");
            }
        }
        let place = place_with(&server, "");
        place.write("home/gateway.token", "");
        let done = place.run(&["web", "--no-open"]);
        assert_eq!(done.exit, Some(1), "{done:?}");
        assert!(done.err.contains("--new-token"), "{done:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_a_tool_that_asks_the_gateway_is_a_stranger_to_it() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/api/status");
    let fetch = Reply::call("fetch", &json!({ "url": url }).to_string());
    let shell = json!({ "script": format!("cat ~/home/gateway.token; curl -s {url}") });
    let shell = Reply::call("shell", &shell.to_string());
    let replies = [fetch, shell, Reply::text("done"), Reply::text("title")];
    let server = ScriptServer::start(Wire::Chat, Script::replies(replies)).expect("a server");
    let allowed = "[policy]\nnetwork = \"allow\"\nrun = \"allow\"\nread_outside = \"allow\"\n";
    let place = place_with(&server, allowed);
    tokio::task::block_in_place(|| {
        let web = Web::start(&place, &["--port", &port.to_string()]);
        let (address, _) = parts(&web.link);
        let asked = json!({ "messages": [{ "role": "user", "content": format!("fetch {url}") }] });
        let answer = post(&place, &address, "/v1/chat/completions", &asked);
        assert!(answer.contains("done"), "{answer}");
        let read = format!("{:?}", server.requests());
        assert!(!read.contains(&token(&place)), "the token");
        assert!(!read.contains("resident_bytes"), "what the token opens");
        assert_eq!(web.interrupt(), Some(0));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_followers_of_a_real_turn_see_the_same_records_once() {
    const FOLLOWERS: usize = 200;
    const WORDS: usize = 400;
    let gate = Gate::new();
    let reply = || {
        Reply::text("first ")
            .and_gate(&gate)
            .and_text(&"word ".repeat(WORDS))
    };
    let server = server(reply, 2);
    let place = place_with(&server, "");
    let web = tokio::task::block_in_place(|| Web::start(&place, &["--port", "0"]));
    let (address, _) = parts(&web.link);
    let session = "01900000-0000-7000-8000-000000000001";
    let bearer = format!("Authorization: Bearer {}\r\n", token(&place));
    let follow = {
        let address = address.clone();
        move || {
            let mut stream = TcpStream::connect(&address).expect("a gateway");
            stream.set_read_timeout(Some(WAIT_MAX)).expect("a socket");
            let request = format!(
                "GET /api/events?session={session} HTTP/1.1\r\nHost: {address}\r\n{bearer}\r\n"
            );
            stream.write_all(request.as_bytes()).expect("a reader");
            stream
        }
    };
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| {
            let stream = follow();
            std::thread::spawn(move || seen(stream))
        })
        .collect();
    tokio::task::block_in_place(|| {
        let op = json!({
            "op": "user_turn",
            "session": session,
            "turn": "01900000-0000-7000-8000-000000000002",
            "text": "hi",
            "options": { "workspace": place.workspace() },
        });
        let accepted = post(&place, &address, "/api/ops", &op);
        assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
    });
    server.arrived(1).await;
    gate.open();
    let all: Vec<_> = tokio::task::block_in_place(|| {
        let all = followers
            .into_iter()
            .map(|it| it.join().expect("a follower"));
        all.collect()
    });
    // One that comes late sees what those saw who came early.
    let late = tokio::task::block_in_place(|| seen(follow()));
    assert!(late.len() > WORDS, "{} records", late.len());
    let mut once = late.clone();
    once.dedup();
    assert_eq!(once, late);
    for seen in &all {
        assert_eq!(*seen, late);
    }
    assert_eq!(tokio::task::block_in_place(|| web.interrupt()), Some(0));
}

/// The positions of all records until the turn ends.
fn seen(stream: TcpStream) -> Vec<u64> {
    let mut positions = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.expect("the stream goes on");
        if let Some(position) = line.strip_prefix("id: ") {
            positions.push(position.parse().expect("a number"));
        }
        if line.contains("\"event\":\"turn_ended\"") {
            break;
        }
    }
    positions
}
