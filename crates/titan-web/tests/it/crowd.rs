//! Many who follow one busy session, and some who stop reading.

use crate::place::{Place, WAIT_MAX, resident_bytes};
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use titan_protocol::{Event, SessionId, TurnId};
use titan_web::Limits;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A WebSocket with these headers besides those that it needs.
pub(crate) async fn socket(place: &Place, headers: &[&str]) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/api/ws", place.address).into_client_request()?;
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

pub(crate) async fn send(socket: &mut Socket, value: &Value) {
    socket.send(Message::text(value.to_string())).await.unwrap();
}

/// The next message; `None` when the socket is closed.
pub(crate) async fn heard(socket: &mut Socket) -> Option<Value> {
    let told = async {
        loop {
            match socket.next().await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    };
    let told = tokio::time::timeout(WAIT_MAX, told);
    told.await.expect("a message, or the end, in time")
}

const SESSION: SessionId = SessionId::from_u128(1);
const TURN: TurnId = TurnId::from_u128(2);

fn delta(text: &str) -> Event {
    Event::TextDelta { text: text.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_followers_see_every_record_once_while_two_read_nothing() {
    const FOLLOWERS: usize = 100;
    const RECORDS: u64 = 500;
    let place = Place::new().await;
    let query = format!("?session={SESSION}");
    let stalled = [
        place.events(&query, &[]).await,
        place.events(&query, &[]).await,
    ];
    let mut over_events = Vec::new();
    let mut over_sockets = Vec::new();
    for _ in 0..FOLLOWERS {
        over_events.push(place.events(&query, &[]).await);
        let mut socket = socket(&place, &[&place.bearer()]).await.unwrap();
        send(
            &mut socket,
            &json!({ "type": "follow", "session": SESSION, "after": 0 }),
        )
        .await;
        over_sockets.push(socket);
    }
    let engine = place.engine.clone();
    let writes = tokio::spawn(async move {
        for n in 0..RECORDS {
            engine.tell(SESSION, TURN, delta(&"x".repeat(500)));
            engine.tell(SessionId::from_u128(9), TURN, delta("somebody else's"));
            if n % 20 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    // Those of the other session have the even positions.
    let expected: Vec<u64> = (0..RECORDS).map(|n| 2 * n + 1).collect();
    let events = join_all(over_events.into_iter().map(|mut events| async move {
        let mut seen = Vec::new();
        while seen.len() < RECORDS as usize {
            seen.extend(Some(events.next().await.expect("the stream goes on")));
        }
        seen
    }));
    let sockets = join_all(over_sockets.into_iter().map(|mut socket| async move {
        let mut seen = Vec::new();
        while seen.len() < RECORDS as usize {
            let told = heard(&mut socket).await.expect("the socket stays");
            seen.extend(told["record"]["seq"].as_u64());
        }
        seen
    }));
    let (events, sockets) = tokio::join!(events, sockets);
    writes.await.unwrap();
    for seen in events.iter().chain(&sockets) {
        assert_eq!(*seen, expected);
    }
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_costs_little_and_is_cut_off() {
    const STALLED: usize = 50;
    const PIECE_BYTES: usize = 64 * 1024;
    // All that they would be sent together: 50 times 32 MiB.
    const RECORDS: usize = 512;
    let stall_max = Duration::from_secs(2);
    let place = Place::with(Limits {
        stall_max,
        ..Limits::default()
    })
    .await;
    for _ in 0..RECORDS {
        place
            .engine
            .tell(SESSION, TURN, delta(&"x".repeat(PIECE_BYTES)));
    }
    let before = resident_bytes();
    let mut stalled = Vec::new();
    for idx in 0..STALLED {
        match idx % 2 {
            0 => stalled.push((Some(place.events("", &[]).await), None)),
            _ => {
                let mut socket = socket(&place, &[&place.bearer()]).await.unwrap();
                send(&mut socket, &json!({ "type": "follow", "after": 0 })).await;
                stalled.push((None, Some(socket)));
            }
        }
    }
    let mut most = 0;
    let cut_off = async {
        loop {
            most = most.max(resident_bytes());
            let counts = place.get("/metrics").await.body;
            if counts.contains("titanclaw_gateway_streams 0\n") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, cut_off)
        .await
        .expect("all are cut off");
    let grown = most.saturating_sub(before);
    let per_reader = grown / STALLED as u64;
    assert!(per_reader < 8 << 20, "{per_reader} bytes each");
    drop(stalled);
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke_off() {
    let place = Place::new().await;
    for _ in 0..5 {
        place.engine.tell(SESSION, TURN, delta("x"));
    }
    let mut events = place.events("", &[]).await;
    assert_eq!(
        (events.next().await, events.next().await),
        (Some(1), Some(2))
    );
    drop(events);
    // What the browser remembers goes before what the page's address says.
    let mut events = place.events("?after=0", &["Last-Event-ID: 2"]).await;
    let rest = [
        events.next().await,
        events.next().await,
        events.next().await,
    ];
    assert_eq!(rest, [Some(3), Some(4), Some(5)]);
    place.engine.tell(SESSION, TURN, delta("y"));
    assert_eq!(events.next().await, Some(6));
}

#[tokio::test]
async fn g29_a_position_of_elsewhere_replays_nothing_and_sessions_stay_apart() {
    let place = Place::new().await;
    let other = SessionId::from_u128(9);
    place.engine.tell(other, TURN, delta("not yours"));
    place.engine.tell(SESSION, TURN, delta("yours"));
    let mut events = place
        .events(&format!("?session={SESSION}"), &["Last-Event-ID: 0"])
        .await;
    assert_eq!(events.next().await, Some(2));
    for odd in [
        "x",
        "-1",
        "1e3",
        "18446744073709551615",
        "99999999999999999999999",
    ] {
        let id = format!("Last-Event-ID: {odd}");
        let headers = [&place.host(), &place.bearer(), &id as &str];
        let answer = place.say("GET", "/api/events", &headers, "").await;
        assert_eq!(answer.status, 400, "{odd}");
    }
    let mut later = place.events("?after=2", &[]).await;
    place.engine.tell(other, TURN, delta("new"));
    assert_eq!(later.next().await, Some(3));
}

#[tokio::test]
async fn a_socket_carries_commands_and_several_sessions() {
    let place = Place::new().await;
    let other = SessionId::from_u128(9);
    let mut socket = socket(&place, &[&place.bearer()]).await.unwrap();
    let op = json!({ "op": "interrupt", "session": SESSION });
    send(&mut socket, &json!({ "type": "op", "id": 7, "op": op })).await;
    assert_eq!(
        heard(&mut socket).await.unwrap(),
        json!({ "type": "accepted", "id": 7 })
    );
    assert_eq!(place.engine.ops.lock().unwrap().len(), 1);
    let op = json!({ "op": "compact", "session": SESSION });
    send(&mut socket, &json!({ "type": "op", "id": "b", "op": op })).await;
    let refused = heard(&mut socket).await.unwrap();
    assert_eq!(
        (&refused["type"], &refused["id"]),
        (&json!("refused"), &json!("b"))
    );
    assert_eq!(refused["error"]["message"], "nothing to shorten");
    send(
        &mut socket,
        &json!({ "type": "op", "id": 8, "op": { "op": "sudo" } }),
    )
    .await;
    assert_eq!(heard(&mut socket).await.unwrap()["id"], 8);
    send(&mut socket, &json!("nonsense")).await;
    assert_eq!(heard(&mut socket).await.unwrap()["type"], "refused");
    for session in [SESSION, other] {
        send(
            &mut socket,
            &json!({ "type": "follow", "session": session }),
        )
        .await;
        place.engine.tell(session, TURN, delta("x"));
        assert_eq!(
            heard(&mut socket).await.unwrap()["record"]["session"],
            json!(session)
        );
    }
    send(
        &mut socket,
        &json!({ "type": "unfollow", "session": other }),
    )
    .await;
    send(&mut socket, &json!({ "type": "ping" })).await;
    assert_eq!(heard(&mut socket).await.unwrap(), json!({ "type": "pong" }));
    place.engine.tell(other, TURN, delta("unheard"));
    place.engine.tell(SESSION, TURN, delta("heard"));
    assert_eq!(heard(&mut socket).await.unwrap()["record"]["seq"], 4);
}

#[tokio::test]
async fn streams_end_when_the_gateway_closes() {
    let mut place = Place::new().await;
    place.engine.tell(SESSION, TURN, delta("x"));
    let mut events = place.events("", &[]).await;
    let mut socket = socket(&place, &[&place.bearer()]).await.unwrap();
    assert_eq!(events.next().await, Some(1));
    place.stop.cancel();
    assert_eq!(
        (events.next().await, heard(&mut socket).await),
        (None, None)
    );
    let served = tokio::time::timeout(WAIT_MAX, &mut place.serving)
        .await
        .unwrap();
    assert!(served.is_ok(), "{served:?}");
}
