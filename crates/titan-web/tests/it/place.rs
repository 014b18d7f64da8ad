//! A gateway that is being served, and a plain client that says exactly what it is told to.

use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use titan_protocol::{
    BoxStream, Client, ClientError, CostLine, Embedder, EngineStatus, Event, Holds, ImageBytes,
    Job, JobCall, JobStage, LogEntry, LogLevel, LogPage, LogQuery, Logs, Memory, MemoryDocument,
    MemoryDraft, MemoryFact, MemoryGraph, MemoryHit, MemoryKind, MemoryOrigin, MemoryQuery,
    MemoryQuestion, MemoryReading, ModelError, ModelInfo, Op, OpenFile, Override, Pack, PackKind,
    PackLine, PackPart, Presence, ProviderSetting, Record, Seq, SessionId, SessionSummary, Setting,
    SettingKind, SettingList, Settings, TurnChanges, TurnId, UnixMillis, Usage,
};
use titan_web::{Access, Config, Door, Limits, ModelsForOne, Ports};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// An engine that remembers what it was asked, and whose journal the test writes.
pub(crate) struct FakeEngine {
    records: Arc<Mutex<Vec<Record>>>,
    n_records: watch::Sender<usize>,
    pub(crate) ops: Mutex<Vec<Op>>,
    /// What a turn is answered with.
    pub(crate) script: Mutex<Vec<Event>>,
    pub(crate) panics: AtomicBool,
    /// What was asked of the memory, the settings and the log.
    pub(crate) asked: Mutex<Vec<String>>,
    /// What is kept for images of the one record that has any.
    pub(crate) images: Mutex<Vec<ImageBytes>>,
    /// How often the models were asked for.
    pub(crate) n_models_asked: AtomicUsize,
}

impl FakeEngine {
    fn new() -> Self {
        Self {
            records: Arc::default(),
            n_records: watch::Sender::new(0),
            ops: Mutex::default(),
            script: Mutex::default(),
            panics: AtomicBool::new(false),
            asked: Mutex::default(),
            images: Mutex::default(),
            n_models_asked: AtomicUsize::new(0),
        }
    }

    pub(crate) fn tell(&self, session: SessionId, turn: TurnId, event: Event) -> Seq {
        let mut records = self.records.lock().unwrap();
        let seq = records.len() as Seq + 1;
        records.push(Record {
            seq,
            at: 5,
            session,
            turn: Some(turn),
            event,
        });
        self.n_records.send_replace(records.len());
        seq
    }
}

pub(crate) fn status() -> EngineStatus {
    EngineStatus {
        version: "0".into(),
        pid: 1,
        started_at: 5000,
        home: "/h".into(),
        model: "m".into(),
        turns_running: 0,
        resident_bytes: 7,
        is_offline: true,
        recovered: None,
    }
}

#[async_trait]
impl Client for FakeEngine {
    async fn submit(&self, op: Op) -> Result<(), ClientError> {
        if let Op::Compact { .. } = op {
            return Err(ClientError::Refused("nothing to shorten".into()));
        }
        self.ops.lock().unwrap().push(op.clone());
        if let Op::UserTurn { session, turn, .. } = op {
            let script = self.script.lock().unwrap().clone();
            for event in script {
                self.tell(session, turn, event);
            }
        }
        Ok(())
    }

    fn follow(
        &self,
        session: Option<SessionId>,
        after: Seq,
    ) -> BoxStream<Result<Record, ClientError>> {
        let n_records = self.n_records.subscribe();
        let state = (after as usize, n_records, Arc::clone(&self.records));
        futures::stream::unfold(state, |(idx, mut n_records, records)| async move {
            n_records.wait_for(|n| *n > idx).await.ok()?;
            let record = records.lock().unwrap()[idx].clone();
            Some((Ok(record), (idx + 1, n_records, records)))
        })
        .filter(move |record: &Result<Record, ClientError>| {
            let is_asked = record
                .as_ref()
                .is_ok_and(|it| session.is_none_or(|own| own == it.session));
            async move { is_asked }
        })
        .boxed()
    }

    async fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, ClientError> {
        let summary = SessionSummary {
            session: SessionId::from_u128(1),
            title: "a title".into(),
            workspace: "/w".into(),
            started_at: 1,
            active_at: 2,
            turns: 3,
            is_running: true,
            usage: Usage::default(),
            branch_of: None,
        };
        Ok(vec![summary; limit])
    }

    async fn costs(&self, _: UnixMillis) -> Result<Vec<CostLine>, ClientError> {
        Err(ClientError::Storage("SELECT x FROM /h/titanclaw.db".into()))
    }

    async fn changes(
        &self,
        _: SessionId,
        turn: Option<TurnId>,
    ) -> Result<TurnChanges, ClientError> {
        let turn = turn.ok_or_else(|| ClientError::Refused("nothing was changed".into()))?;
        Ok(TurnChanges {
            turn,
            files: Vec::new(),
            notes: vec!["more".into()],
        })
    }

    async fn jobs(&self) -> Result<Vec<Job>, ClientError> {
        let call = JobCall {
            call: "c1".into(),
            tool: "shell".into(),
            about: "make".into(),
            started_at: 6,
            stage: JobStage::Asked,
        };
        Ok(vec![Job {
            session: SessionId::from_u128(1),
            turn: TurnId::from_u128(2),
            title: "a title".into(),
            text: "build it".into(),
            workspace: "/w".into(),
            started_at: 5,
            calls: vec![call],
        }])
    }

    /// Only session 1 has any, in its record 7.
    async fn image(
        &self,
        session: SessionId,
        at: Seq,
        number: usize,
    ) -> Result<ImageBytes, ClientError> {
        self.note_that(format!("image {at} {number}"));
        let is_there = session == SessionId::from_u128(1) && at == 7;
        let images = self.images.lock().unwrap();
        let image = images.get(number).filter(|_| is_there).cloned();
        image.ok_or_else(|| ClientError::Refused("no image of /h/blobs".into()))
    }

    async fn reflexes(&self) -> Result<Vec<titan_protocol::ReflexSummary>, ClientError> {
        Ok(Vec::new())
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ClientError> {
        self.n_models_asked.fetch_add(1, Ordering::Relaxed);
        Ok(vec![model("provider", "other"), model("house", "m")])
    }

    async fn status(&self) -> Result<EngineStatus, ClientError> {
        assert!(
            !self.panics.load(Ordering::Relaxed),
            "secret of titan_store at /h/titanclaw.db"
        );
        Ok(status())
    }
}

fn model(provider: &str, model: &str) -> ModelInfo {
    ModelInfo {
        provider: provider.into(),
        model: model.into(),
        context_tokens_max: None,
        native_tools: None,
        constrained_output: None,
        is_local: true,
        price: None,
    }
}

impl FakeEngine {
    fn note_that(&self, asked: String) {
        self.asked.lock().unwrap().push(asked);
    }
}

#[async_trait]
impl Memory for FakeEngine {
    async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError> {
        self.note_that(format!("find {:?} {}", query.words, query.limit));
        let origin = MemoryOrigin::Turn {
            session: SessionId::from_u128(1),
            turn: TurnId::from_u128(2),
        };
        Ok(vec![document("kept", origin)])
    }

    async fn get(&self, id: String) -> Result<Option<MemoryDocument>, ClientError> {
        self.note_that(format!("get {id}"));
        Ok(None)
    }

    async fn recall(&self, question: MemoryQuestion) -> Result<Vec<MemoryHit>, ClientError> {
        self.note_that(format!("recall {:?}", question.text));
        Ok(Vec::new())
    }

    async fn graph(&self, name: String, _limit: usize) -> Result<MemoryGraph, ClientError> {
        self.note_that(format!("graph {name}"));
        Ok(MemoryGraph::default())
    }

    async fn keep(&self, draft: MemoryDraft) -> Result<MemoryDocument, ClientError> {
        self.note_that(format!(
            "keep {:?} {:?} {:?}",
            draft.text, draft.tags, draft.replaces
        ));
        match draft.text.trim() {
            "" => Err(ClientError::Refused("a note has a text".into())),
            text => Ok(document(text, MemoryOrigin::Person)),
        }
    }

    async fn discard(&self, id: String) -> Result<(), ClientError> {
        self.note_that(format!("discard {id}"));
        Ok(())
    }
}

fn document(text: &str, origin: MemoryOrigin) -> MemoryDocument {
    MemoryDocument {
        id: "abc".into(),
        kind: MemoryKind::Note,
        title: String::new(),
        text: text.into(),
        tags: vec!["a".into()],
        source: None,
        origin,
        at: 5,
        changed_at: None,
        valid_until: None,
        superseded_by: None,
        read_in: None,
        reading: Some(MemoryReading {
            model: "local/small".into(),
            names: vec!["tea".into()],
            relations: vec![MemoryFact {
                subject: "tea".into(),
                relation: "comes from".into(),
                object: "Assam".into(),
            }],
        }),
    }
}

#[async_trait]
impl Settings for FakeEngine {
    async fn list(&self) -> Result<SettingList, ClientError> {
        let kinds = [
            SettingKind::Text,
            SettingKind::Flag,
            SettingKind::Count { min: 5, max: 9 },
            SettingKind::Number { min: 0.0, max: 1.5 },
            SettingKind::Choice {
                choices: vec!["ask".into()],
            },
            SettingKind::Names,
        ];
        Ok(SettingList {
            file: "/h/config.toml".into(),
            settings: kinds.into_iter().map(setting).collect(),
            providers: vec![ProviderSetting {
                name: "house".into(),
                kind: "compatible".into(),
                base_url: Some("http://house/v1".into()),
                model: None,
                has_key: Some(true),
            }],
            warnings: vec!["odd".into()],
        })
    }

    async fn change(&self, name: String, value: Option<Value>) -> Result<Setting, ClientError> {
        self.note_that(format!("change {name} {value:?}"));
        match value {
            Some(Value::Null) => Err(ClientError::Refused(format!("`{name}` can't be null"))),
            _ => Ok(setting(SettingKind::Flag)),
        }
    }
}

fn setting(kind: SettingKind) -> Setting {
    Setting {
        name: "section.name".into(),
        about: "what it is for".into(),
        kind,
        allowed: "in words".into(),
        value: Some(true.into()),
        default: None,
        overridden: Some(Override {
            value: "x".into(),
            by: "TITANCLAW_X".into(),
        }),
        holds: Holds::Restart,
        is_changed: true,
    }
}

#[async_trait]
impl Presence for FakeEngine {
    async fn open(&self, path: PathBuf, by: String) -> Result<(), ClientError> {
        if path == Path::new("/missing") {
            return Err(ClientError::Refused("it can't be found".into()));
        }
        self.note_that(format!("open {} by {by}", path.display()));
        Ok(())
    }

    async fn close(&self, path: PathBuf) -> Result<(), ClientError> {
        self.note_that(format!("close {}", path.display()));
        Ok(())
    }

    async fn list(&self) -> Result<Vec<OpenFile>, ClientError> {
        Ok(vec![OpenFile {
            path: "/w/f".into(),
            by: "vscode".into(),
            at: 5,
            is_ready: true,
        }])
    }

    async fn pack(&self, path: PathBuf) -> Result<Pack, ClientError> {
        let line = PackLine {
            text: "fn f()".into(),
            source: "f:1".into(),
        };
        let part = PackPart {
            kind: PackKind::Outline,
            lines: vec![line],
            gap: None,
        };
        Ok(Pack {
            path,
            folder: "/w".into(),
            made_at: 5,
            parts: vec![part],
        })
    }
}

#[async_trait]
impl Logs for FakeEngine {
    async fn read(&self, query: LogQuery) -> Result<LogPage, ClientError> {
        self.note_that(format!("{query:?}"));
        let entry = LogEntry {
            at: "2026-11-22T10:00:00Z".into(),
            level: LogLevel::Warn,
            target: "titan".into(),
            message: "odd".into(),
            fields: [("pid".to_owned(), "7".to_owned())].into(),
        };
        Ok(LogPage {
            entries: vec![entry],
            next: "1-2".into(),
        })
    }
}

/// Two numbers for each text.
struct FakeEmbedder;

#[async_trait]
impl Embedder for FakeEmbedder {
    fn space(&self) -> &str {
        "fake"
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        Ok(texts.iter().map(|_| vec![0.5, 0.25]).collect())
    }
}

/// A gateway that is served, until it is dropped.
pub(crate) struct Place {
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) access: Arc<Access>,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    folder: tempfile::TempDir,
}

pub(crate) fn config(limits: Limits) -> Config {
    Config {
        hosts: vec!["claw.example".into()],
        is_exposed: false,
        workspace: "/w".into(),
        limits,
    }
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::with_models(limits, None).await
    }

    pub(crate) async fn with_models(limits: Limits, models: Option<ModelsForOne>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let access = Arc::new(Access::open(&folder.path().join("gateway.token")).unwrap());
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let door = Door::open(loopback, access.clone(), config(limits))
            .await
            .unwrap();
        let address = door.address();
        let engine = Arc::new(FakeEngine::new());
        let ports = Ports {
            client: engine.clone(),
            embedder: Arc::new(FakeEmbedder),
            models,
            memory: engine.clone(),
            presence: engine.clone(),
            settings: engine.clone(),
            logs: engine.clone(),
        };
        let stop = CancellationToken::new();
        let serving = door.serve(ports, stop.clone());
        Self {
            engine,
            access,
            address,
            stop,
            serving: tokio::spawn(serving),
            folder,
        }
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("gateway.token")
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.token_file())
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn host(&self) -> String {
        format!("Host: {}", self.address)
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token())
    }

    pub(crate) fn origin(&self) -> String {
        format!("Origin: http://{}", self.address)
    }

    /// A cookie as a browser gets it, ready to be sent.
    pub(crate) async fn cookie(&self) -> String {
        let login = format!("/login?code={}", self.access.code());
        let answer = self.say("GET", &login, &[&self.host()], "").await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        format!("Cookie: {}", cookie.split(';').next().unwrap())
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes as they are and reads all until the other side closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may close before it has heard all.
        drop(stream.write_all(bytes).await);
        let mut answer = Vec::new();
        drop(
            tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut answer))
                .await
                .unwrap(),
        );
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A request with exactly these headers, on a connection of its own.
    pub(crate) async fn say(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        let length = match body.is_empty() {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let headers: String = headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect();
        let request =
            format!("{method} {path} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n{body}");
        Answer::of(&self.raw(request.as_bytes()).await)
    }

    /// Asks as somebody who may.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.say("GET", path, &[&self.host(), &self.bearer()], "")
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let kind = "Content-Type: application/json";
        let headers = [&self.host(), &self.bearer(), kind];
        self.say(
            method,
            path,
            &headers.map(|it| it as &str),
            &body.to_string(),
        )
        .await
    }

    /// What `/api/events` answers; the stream stays open.
    pub(crate) async fn events(&self, query: &str, more: &[&str]) -> Events {
        let mut stream = self.connect().await;
        let headers: String = more.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "GET /api/events{query} HTTP/1.1\r\n{}\r\n{}\r\n{headers}\r\n",
            self.host(),
            self.bearer()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        // What comes first is the head and a line of the gateway's own.
        let mut text = String::new();
        while !text.contains("retry:") {
            let mut byte = [0];
            tokio::time::timeout(WAIT_MAX, stream.read_exact(&mut byte))
                .await
                .unwrap()
                .unwrap();
            text.push(char::from(byte[0]));
        }
        Events {
            stream,
            text: String::new(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|it| it.parse().ok())
            .unwrap_or(0);
        let body = match head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            true => unchunked(body),
            false => body.to_owned(),
        };
        Self {
            status,
            head: head.to_owned(),
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or(0);
        if length == 0 || rest.len() < length {
            break;
        }
        text.push_str(&rest[..length]);
        body = rest[length..].strip_prefix("\r\n").unwrap_or_default();
    }
    text
}

/// A stream of events, with the chunks' own lines left in, which no event looks like.
pub(crate) struct Events {
    pub(crate) stream: TcpStream,
    text: String,
}

impl Events {
    /// The position of the next event; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Seq> {
        let next = tokio::time::timeout(WAIT_MAX, self.read_on());
        next.await.expect("an event, or the end, in time")
    }

    async fn read_on(&mut self) -> Option<Seq> {
        loop {
            if let Some((seq, rest)) = next_id(&self.text) {
                self.text = rest;
                return Some(seq);
            }
            let mut buffer = vec![0; 64 * 1024];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.text.push_str(&String::from_utf8_lossy(&buffer[..n])),
            }
        }
    }
}

fn next_id(text: &str) -> Option<(Seq, String)> {
    let begin = text.find("id: ")?;
    let (id, rest) = text[begin + 4..].split_once('\n')?;
    let (_, rest) = rest.split_once("\n\n")?;
    Some((id.parse().ok()?, rest.to_owned()))
}

/// Memory of this process, in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Held by tests that use or measure much memory, so that in one process they don't measure one another.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}
