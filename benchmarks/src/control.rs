//! The caller's side of the control socket, as any program could write it: one question on a connection, in a line of
//! JSON, answered by one line or, for a follower, by a line for each record.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use titan_protocol::{EngineStatus, Op, Record, SessionId};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Records as they come, of all sessions.
pub(crate) struct Records {
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Closing this side ends the answer.
    _writer: OwnedWriteHalf,
}

impl Records {
    /// The next record.
    pub(crate) async fn next(&mut self) -> Result<Record> {
        let line = self.lines.next_line().await?;
        let line = line.context("the daemon ended")?;
        let answer: Answer = serde_json::from_str(&line)
            .with_context(|| format!("the daemon answered {line} where a record was expected"))?;
        Ok(answer.record)
    }
}

/// A line for a follower.
#[derive(Deserialize)]
struct Answer {
    record: Record,
}

/// Follows all sessions, or one, from after this position on.
pub(crate) async fn follow(
    socket: &Path,
    session: Option<SessionId>,
    after: u64,
) -> Result<Records> {
    let question = json!({"follow": {"session": session, "after": after}});
    let (lines, writer) = send(socket, &question).await?;
    Ok(Records {
        lines,
        _writer: writer,
    })
}

/// Hands in a command; returns when it is accepted.
pub(crate) async fn submit(socket: &Path, op: &Op) -> Result<()> {
    let answer = ask(socket, &json!({"submit": op})).await?;
    if answer == "done" {
        return Ok(());
    }
    bail!("the daemon did not accept the turn: {answer}")
}

/// How the engine is.
pub(crate) async fn status(socket: &Path) -> Result<EngineStatus> {
    let answer = ask(socket, &json!("status")).await?;
    Ok(serde_json::from_value(field(answer, "status")?)?)
}

/// Asks the engine to end.
pub(crate) async fn stop(socket: &Path) -> Result<()> {
    ask(socket, &json!("stop")).await.map(drop)
}

async fn ask(socket: &Path, question: &Value) -> Result<Value> {
    let (mut lines, _writer) = send(socket, question).await?;
    let line = lines.next_line().await?;
    let line = line.context("the daemon closed the connection without an answer")?;
    Ok(serde_json::from_str(&line)?)
}

async fn send(
    socket: &Path,
    question: &Value,
) -> Result<(Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf)> {
    let stream = UnixStream::connect(socket).await?;
    let (reader, mut writer) = stream.into_split();
    let request = json!({"version": env!("CARGO_PKG_VERSION"), "ask": question});
    writer.write_all(format!("{request}\n").as_bytes()).await?;
    Ok((BufReader::new(reader).lines(), writer))
}

fn field(mut answer: Value, name: &str) -> Result<Value> {
    match answer.get_mut(name) {
        Some(value) => Ok(value.take()),
        None => bail!("the daemon answered {answer} where {name} was expected"),
    }
}
