//! The caller's side of the gateway, as any program could write it: HTTP/1.0, so that an answer is all that comes until
//! the connection ends, and a WebSocket whose messages are one frame each.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A gateway, and the token for it.
#[derive(Clone)]
pub(crate) struct Gateway {
    address: SocketAddr,
    token: String,
}

/// A port of loopback that nobody has now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Whether a gateway at this port says that its engine answers.
pub(crate) async fn is_ready(port: u16) -> bool {
    let gateway = Gateway {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        token: String::new(),
    };
    gateway.ask("GET", "/api/ready", "").await.is_ok()
}

impl Gateway {
    /// The one of this home.
    pub(crate) fn of(home: &Path, port: u16) -> Result<Self> {
        let token = std::fs::read_to_string(home.join("gateway.token"))?;
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            token: token.trim().to_owned(),
        })
    }

    /// A connection on which nothing was said yet.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            reader: BufReader::new(stream),
            gateway: self.clone(),
        })
    }

    /// Asks on a connection of its own, and gives all of the answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut answer = self.connect().await?.ask(method, path, body).await?;
        let mut text = String::new();
        answer.reader.read_to_string(&mut text).await?;
        Ok(text)
    }

    /// A WebSocket that is open.
    pub(crate) async fn socket(&self) -> Result<Socket> {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        let mut connection = self.connect().await?;
        let upgrade = format!(
            "GET /api/ws HTTP/1.1\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            self.headers()
        );
        let stream = connection.reader.get_mut();
        stream.write_all(upgrade.as_bytes()).await?;
        connection.head("101").await?;
        Ok(Socket(connection.reader))
    }

    fn headers(&self) -> String {
        let Self { address, token } = self;
        format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n")
    }
}

/// A connection to the gateway.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    gateway: Gateway,
}

impl Connection {
    /// Asks, and leaves the answer's body to be read. Fails when the answer is a refusal.
    pub(crate) async fn ask(mut self, method: &str, path: &str, body: &str) -> Result<Lines> {
        let request = format!(
            "{method} {path} HTTP/1.0\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.gateway.headers(),
            body.len()
        );
        let stream = self.reader.get_mut();
        stream.write_all(request.as_bytes()).await?;
        self.head(" 20").await?;
        Ok(Lines {
            reader: self.reader,
        })
    }

    async fn head(&mut self, wanted: &str) -> Result<()> {
        let mut first = String::new();
        self.reader.read_line(&mut first).await?;
        ensure!(first.contains(wanted), "the gateway answered {first:?}");
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            let n = self.reader.read_line(&mut line).await?;
            ensure!(n > 0, "the gateway ended in the middle of a head");
        }
        Ok(())
    }
}

/// The body of an answer, line by line.
pub(crate) struct Lines {
    reader: BufReader<TcpStream>,
}

impl Lines {
    /// The next event's data; `None` at the end.
    pub(crate) async fn data(&mut self) -> Result<Option<String>> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Ok(Some(data.trim_end().to_owned()));
            }
        }
    }
}

/// A WebSocket.
pub(crate) struct Socket(BufReader<TcpStream>);

impl Socket {
    /// Sends a text. Its mask is zero, which is a mask.
    pub(crate) async fn say(&mut self, said: &Value) -> Result<()> {
        let text = said.to_string();
        let n_bytes = u16::try_from(text.len()).context("a message for one short frame")?;
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(n_bytes.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        Ok(self.0.get_mut().write_all(&frame).await?)
    }

    /// The next text.
    pub(crate) async fn hear(&mut self) -> Result<Value> {
        loop {
            let (opcode, payload) = self.frame().await?;
            match opcode {
                1 => return Ok(serde_json::from_slice(&payload)?),
                8 => bail!("the gateway closed the WebSocket"),
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await?;
        let n_bytes = match self.0.read_u8().await? {
            126 => u64::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(n_bytes)?];
        self.0.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }
}
