//! The WebSocket's own rules (RFC 6455), frame by frame. `cargo xtask conformance` has many more of them.

use crate::place::{Place, WAIT_MAX};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A frame of at most 125 bytes whose mask is zero, which is a mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = 0x80 | u8::try_from(payload.len()).unwrap();
    [&[first, length, 0, 0, 0, 0], payload].concat()
}

/// A frame's first byte and its payload; all of ours fit into one of 16 bits' length.
async fn hear(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let read = async {
        let first = stream.read_u8().await.unwrap();
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        (first, payload)
    };
    tokio::time::timeout(WAIT_MAX, read).await.unwrap()
}

async fn open(place: &Place) -> TcpStream {
    let mut stream = place.connect().await;
    let upgrade = format!(
        "GET /api/ws HTTP/1.1\r\n{}\r\n{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        place.host(),
        place.bearer()
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream
}

/// Sends these bytes; the connection has to be closed with this, and then be over.
async fn check_close(place: &Place, sent: &[u8], close: &[u8]) {
    let mut stream = open(place).await;
    stream.write_all(sent).await.unwrap();
    let heard = hear(&mut stream).await;
    assert_eq!(heard, (0x88, close.to_vec()), "for {sent:?}");
    // With what it did not read, the other side's end may be a reset.
    let end = tokio::time::timeout(WAIT_MAX, stream.read_u8()).await;
    assert!(end.unwrap().is_err(), "after the close nothing comes");
}

#[tokio::test]
async fn a_close_is_answered_with_its_code() {
    let place = Place::new().await;
    let bye = [&1000_u16.to_be_bytes()[..], b"bye"].concat();
    check_close(&place, &frame(0x88, &bye), &bye).await;
    check_close(&place, &frame(0x88, b""), b"").await;
}

#[tokio::test]
async fn what_breaks_the_rules_of_a_websocket_is_told_by_its_code() {
    let place = Place::new().await;
    let code = u16::to_be_bytes;
    let reserved_bit = frame(0xc1, b"{}");
    let no_such_opcode = frame(0x83, b"");
    let ping_in_parts = frame(0x09, b"");
    for sent in [reserved_bit, no_such_opcode, ping_in_parts] {
        check_close(&place, &sent, &code(1002)).await;
    }
    check_close(&place, &[0x81, 0x02, b'{', b'}'], &code(1002)).await;
    check_close(&place, &frame(0x81, b"\xff"), &code(1007)).await;
    let two_megabytes = [0x81, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0];
    check_close(&place, &two_megabytes, &code(1009)).await;
}

#[tokio::test]
async fn a_binary_message_is_refused_in_words() {
    let place = Place::new().await;
    let mut stream = open(&place).await;
    stream.write_all(&frame(0x82, b"{}")).await.unwrap();
    let (first, told) = hear(&mut stream).await;
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(first, 0x81);
    assert_eq!(told["type"], "refused");
    assert_eq!(told["error"]["message"], "Messages are texts.");
}
