//! The caller's side of the control socket.

use super::frame::{Ask, Frames, Reply, Request};
use async_trait::async_trait;
use futures::StreamExt;
use std::path::{Path, PathBuf};
use titan_protocol::{
    BoxStream, Client, ClientError, CostLine, EngineStatus, ImageBytes, Job, Memory,
    MemoryDocument, MemoryDraft, MemoryGraph, MemoryHit, MemoryQuery, MemoryQuestion, ModelInfo,
    Op, OpenFile, Pack, Presence, Record, ReflexSummary, Seq, SessionId, SessionSummary,
    TurnChanges, TurnId, UnixMillis,
};
use tokio::net::UnixStream;

/// An engine in another process.
#[derive(Clone, Debug)]
pub(crate) struct SocketClient {
    path: PathBuf,
}

/// Whether an engine answers at this socket.
pub(crate) async fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

impl SocketClient {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Asks the engine to end. Returns when it has heard it.
    pub(crate) async fn stop(&self) -> Result<(), ClientError> {
        match self.ask(Ask::Stop).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Where the engine's gateway is, if it has one; `opens`: as a link that opens it in one browser.
    pub(crate) async fn gateway(&self, opens: bool) -> Result<Option<String>, ClientError> {
        match self.ask(Ask::Gateway { opens }).await? {
            Reply::Gateway(address) => Ok(address),
            other => Err(unexpected(&other)),
        }
    }

    /// Has the engine look again at the tools that the person keeps. Returns what of them can't be offered.
    pub(crate) async fn tools(&self) -> Result<Vec<String>, ClientError> {
        match self.ask(Ask::Tools).await? {
            Reply::Tools(told) => Ok(told),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, ClientError> {
        let mut frames = connect(&self.path, ask).await?;
        reply(&mut frames).await
    }
}

#[async_trait]
impl Client for SocketClient {
    async fn submit(&self, op: Op) -> Result<(), ClientError> {
        match self.ask(Ask::Submit(op)).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn follow(
        &self,
        session: Option<SessionId>,
        after: Seq,
    ) -> BoxStream<Result<Record, ClientError>> {
        let path = self.path.clone();
        let opened = async move { connect(&path, Ask::Follow { session, after }).await };
        futures::stream::once(opened)
            .flat_map(|opened| {
                futures::stream::unfold(Some(opened), |state| async {
                    match state? {
                        Err(error) => Some((Err(error), None)),
                        Ok(mut frames) => match reply(&mut frames).await {
                            Ok(Reply::Record(record)) => Some((Ok(record), Some(Ok(frames)))),
                            Ok(other) => Some((Err(unexpected(&other)), None)),
                            Err(error) => Some((Err(error), None)),
                        },
                    }
                })
            })
            .boxed()
    }

    async fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, ClientError> {
        match self.ask(Ask::Sessions { limit }).await? {
            Reply::Sessions(sessions) => Ok(sessions),
            other => Err(unexpected(&other)),
        }
    }

    async fn costs(&self, since: UnixMillis) -> Result<Vec<CostLine>, ClientError> {
        match self.ask(Ask::Costs { since }).await? {
            Reply::Costs(lines) => Ok(lines),
            other => Err(unexpected(&other)),
        }
    }

    async fn changes(
        &self,
        session: SessionId,
        turn: Option<TurnId>,
    ) -> Result<TurnChanges, ClientError> {
        match self.ask(Ask::Changes { session, turn }).await? {
            Reply::Changes(changes) => Ok(changes),
            other => Err(unexpected(&other)),
        }
    }

    async fn jobs(&self) -> Result<Vec<Job>, ClientError> {
        match self.ask(Ask::Jobs).await? {
            Reply::Jobs(jobs) => Ok(jobs),
            other => Err(unexpected(&other)),
        }
    }

    async fn image(
        &self,
        session: SessionId,
        at: Seq,
        number: usize,
    ) -> Result<ImageBytes, ClientError> {
        let asked = Ask::Image {
            session,
            at,
            number,
        };
        match self.ask(asked).await? {
            Reply::Image(bytes) => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }

    async fn reflexes(&self) -> Result<Vec<ReflexSummary>, ClientError> {
        match self.ask(Ask::Reflexes).await? {
            Reply::Reflexes(reflexes) => Ok(reflexes),
            other => Err(unexpected(&other)),
        }
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ClientError> {
        match self.ask(Ask::Models).await? {
            Reply::Models(models) => Ok(models),
            other => Err(unexpected(&other)),
        }
    }

    async fn status(&self) -> Result<EngineStatus, ClientError> {
        match self.ask(Ask::Status).await? {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl Memory for SocketClient {
    async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError> {
        match self.ask(Ask::Find(query)).await? {
            Reply::Found(documents) => Ok(documents),
            other => Err(unexpected(&other)),
        }
    }

    async fn get(&self, id: String) -> Result<Option<MemoryDocument>, ClientError> {
        match self.ask(Ask::Document(id)).await? {
            Reply::Document(document) => Ok(document),
            other => Err(unexpected(&other)),
        }
    }

    async fn recall(&self, question: MemoryQuestion) -> Result<Vec<MemoryHit>, ClientError> {
        match self.ask(Ask::Recall(question)).await? {
            Reply::Recalled(hits) => Ok(hits),
            other => Err(unexpected(&other)),
        }
    }

    async fn graph(&self, name: String, limit: usize) -> Result<MemoryGraph, ClientError> {
        match self.ask(Ask::Graph { name, limit }).await? {
            Reply::Graph(graph) => Ok(graph),
            other => Err(unexpected(&other)),
        }
    }

    async fn keep(&self, draft: MemoryDraft) -> Result<MemoryDocument, ClientError> {
        match self.ask(Ask::Keep(draft)).await? {
            Reply::Kept(document) => Ok(document),
            other => Err(unexpected(&other)),
        }
    }

    async fn discard(&self, id: String) -> Result<(), ClientError> {
        match self.ask(Ask::Discard(id)).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

#[async_trait]
impl Presence for SocketClient {
    async fn open(&self, path: PathBuf, by: String) -> Result<(), ClientError> {
        match self.ask(Ask::Open(path, by)).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn close(&self, path: PathBuf) -> Result<(), ClientError> {
        match self.ask(Ask::Close(path)).await? {
            Reply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn list(&self) -> Result<Vec<OpenFile>, ClientError> {
        match self.ask(Ask::OpenFiles).await? {
            Reply::OpenFiles(files) => Ok(files),
            other => Err(unexpected(&other)),
        }
    }

    async fn pack(&self, path: PathBuf) -> Result<Pack, ClientError> {
        match self.ask(Ask::Pack(path)).await? {
            Reply::Pack(pack) => Ok(pack),
            other => Err(unexpected(&other)),
        }
    }
}

async fn connect(path: &Path, ask: Ask) -> Result<Frames, ClientError> {
    let stream = UnixStream::connect(path).await.map_err(|error| {
        ClientError::Disconnected(format!(
            "no engine answers at {} ({error}). Run the command again to start one.",
            path.display()
        ))
    })?;
    let mut frames = Frames::new(stream);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    frames.send(&Request { version, ask }).await?;
    Ok(frames)
}

async fn reply(frames: &mut Frames) -> Result<Reply, ClientError> {
    match frames.receive().await? {
        Some(Reply::Error(error)) => Err(error),
        Some(reply) => Ok(reply),
        None => Err(ClientError::Disconnected(
            "the engine that owns this home has ended. Run the command again to start another."
                .into(),
        )),
    }
}

fn unexpected(reply: &Reply) -> ClientError {
    let kind = match reply {
        Reply::Done => "done",
        Reply::Record(_) => "a record",
        Reply::Sessions(_) => "sessions",
        Reply::Costs(_) => "costs",
        Reply::Changes(_) => "what a turn changed",
        Reply::Jobs(_) => "jobs",
        Reply::Image(_) => "an image",
        Reply::Reflexes(_) => "reflexes",
        Reply::Models(_) => "models",
        Reply::Found(_) | Reply::Recalled(_) => "what it keeps",
        Reply::Document(_) => "a document",
        Reply::Graph(_) => "what is known of a name",
        Reply::Kept(_) => "what was kept",
        Reply::OpenFiles(_) => "the files that are open",
        Reply::Pack(_) => "what is known about a file",
        Reply::Status(_) => "its status",
        Reply::Gateway(_) => "its gateway",
        Reply::Tools(_) => "its tools",
        Reply::Error(_) => "an error",
    };
    ClientError::Refused(format!(
        "the engine answered with {kind}, which was not asked for"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{CONNECTIONS_MAX, ControlSocket, FRAME_BYTES_MAX, Serving};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};
    use tempfile::TempDir;
    use titan_protocol::{
        Event, JobCall, JobStage, MemoryFact, MemoryKind, MemoryOrigin, MemoryReading,
        MemoryReason, MemoryRelation, MemoryStatement, TurnOptions, Usage,
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Remembers ops, and gives a fixed log to followers, which then wait for ever.
    #[derive(Default)]
    struct FakeEngine {
        ops: Mutex<Vec<Op>>,
    }

    fn record(seq: Seq) -> Record {
        Record {
            seq,
            at: 5,
            session: SessionId::from_u128(1),
            turn: Some(TurnId::from_u128(2)),
            event: Event::TextDelta {
                text: format!("piece {seq}\n\u{1b}"),
            },
        }
    }

    fn summary() -> SessionSummary {
        SessionSummary {
            session: SessionId::from_u128(1),
            title: "a title".into(),
            workspace: "/w".into(),
            started_at: 1,
            active_at: 2,
            turns: 3,
            is_running: true,
            usage: Usage::default(),
            branch_of: None,
        }
    }

    fn changes(turn: Option<TurnId>) -> TurnChanges {
        let file = titan_protocol::FileDiff {
            path: "/w/a".into(),
            what: "changed".into(),
            notes: Vec::new(),
            diff: "-a\n+b\n".into(),
        };
        TurnChanges {
            turn: turn.unwrap_or(TurnId::from_u128(2)),
            files: vec![file],
            notes: vec!["more".into()],
        }
    }

    #[async_trait]
    impl Client for FakeEngine {
        async fn submit(&self, op: Op) -> Result<(), ClientError> {
            if let Op::Compact { .. } = op {
                return Err(ClientError::Refused("nothing to shorten".into()));
            }
            self.ops.lock().expect("no test panics with it").push(op);
            Ok(())
        }

        fn follow(
            &self,
            _: Option<SessionId>,
            after: Seq,
        ) -> BoxStream<Result<Record, ClientError>> {
            let records = (after + 1..=after + 3).map(|seq| Ok(record(seq)));
            futures::stream::iter(records)
                .chain(futures::stream::pending())
                .boxed()
        }

        async fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, ClientError> {
            Ok(vec![summary(); limit])
        }

        async fn costs(&self, _: UnixMillis) -> Result<Vec<CostLine>, ClientError> {
            Err(ClientError::Storage("the disk is full".into()))
        }

        async fn changes(
            &self,
            _: SessionId,
            turn: Option<TurnId>,
        ) -> Result<TurnChanges, ClientError> {
            Ok(changes(turn))
        }

        async fn jobs(&self) -> Result<Vec<Job>, ClientError> {
            Ok(vec![job()])
        }

        async fn image(
            &self,
            _: SessionId,
            at: Seq,
            number: usize,
        ) -> Result<ImageBytes, ClientError> {
            Ok(ImageBytes(format!("image {at} {number}").into()))
        }

        async fn reflexes(&self) -> Result<Vec<ReflexSummary>, ClientError> {
            Ok(Vec::new())
        }

        async fn models(&self) -> Result<Vec<ModelInfo>, ClientError> {
            Ok(vec![model()])
        }

        async fn status(&self) -> Result<EngineStatus, ClientError> {
            Ok(EngineStatus {
                version: "0".into(),
                pid: 1,
                started_at: 0,
                home: "/h".into(),
                model: "m".into(),
                turns_running: 0,
                resident_bytes: 0,
                is_offline: true,
                recovered: None,
            })
        }
    }

    #[async_trait]
    impl Memory for FakeEngine {
        async fn find(&self, query: MemoryQuery) -> Result<Vec<MemoryDocument>, ClientError> {
            Ok(vec![document(&query.words)])
        }

        async fn get(&self, id: String) -> Result<Option<MemoryDocument>, ClientError> {
            Ok((!id.is_empty()).then(|| document(&id)))
        }

        async fn recall(&self, question: MemoryQuestion) -> Result<Vec<MemoryHit>, ClientError> {
            Ok(vec![hit(&format!("{question:?}"))])
        }

        async fn graph(&self, name: String, limit: usize) -> Result<MemoryGraph, ClientError> {
            Ok(known(name, limit))
        }

        async fn keep(&self, draft: MemoryDraft) -> Result<MemoryDocument, ClientError> {
            Ok(document(&format!("{draft:?}")))
        }

        async fn discard(&self, id: String) -> Result<(), ClientError> {
            Err(ClientError::Refused(id))
        }
    }

    #[async_trait]
    impl Presence for FakeEngine {
        async fn open(&self, path: PathBuf, by: String) -> Result<(), ClientError> {
            Err(ClientError::Refused(format!("{} {by}", path.display())))
        }

        async fn close(&self, path: PathBuf) -> Result<(), ClientError> {
            Err(ClientError::Refused(path.display().to_string()))
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
            Ok(Pack {
                path,
                ..Pack::default()
            })
        }
    }

    fn job() -> Job {
        let call = JobCall {
            call: "c1".into(),
            tool: "shell".into(),
            about: "make \u{1b}".into(),
            started_at: 6,
            stage: JobStage::Asked,
        };
        Job {
            session: SessionId::from_u128(1),
            turn: TurnId::from_u128(2),
            title: "a title".into(),
            text: "build it".into(),
            workspace: "/w".into(),
            started_at: 5,
            calls: vec![call],
        }
    }

    fn model() -> ModelInfo {
        ModelInfo {
            provider: "house".into(),
            model: "m".into(),
            context_tokens_max: Some(8),
            native_tools: None,
            constrained_output: Some(true),
            is_local: true,
            price: None,
        }
    }

    fn fact() -> MemoryFact {
        MemoryFact {
            subject: "a".into(),
            relation: "is near".into(),
            object: "b".into(),
        }
    }

    fn document(text: &str) -> MemoryDocument {
        MemoryDocument {
            id: "1".into(),
            kind: MemoryKind::Note,
            title: "t".into(),
            text: text.into(),
            source: Some("s".into()),
            tags: vec!["a".into()],
            origin: MemoryOrigin::Turn {
                session: SessionId::from_u128(1),
                turn: TurnId::from_u128(2),
            },
            at: 3,
            changed_at: Some(4),
            valid_until: Some(5),
            superseded_by: Some("2".into()),
            read_in: None,
            reading: Some(MemoryReading {
                model: "local/small".into(),
                names: vec!["a".into()],
                relations: vec![fact()],
            }),
        }
    }

    fn hit(text: &str) -> MemoryHit {
        MemoryHit {
            document: document(text),
            begins_at: 6,
            score: 0.5,
            reasons: vec![
                MemoryReason::Words {
                    words: vec!["a".into()],
                },
                MemoryReason::Linked {
                    path: vec!["a".into(), "b".into()],
                },
            ],
        }
    }

    fn known(name: String, limit: usize) -> MemoryGraph {
        MemoryGraph {
            name: Some(name),
            related: vec![MemoryRelation {
                name: "b".into(),
                weight: 0.25,
                documents: vec!["1".into()],
            }],
            passages: vec![("a".into(), "1".into())],
            facts: vec![MemoryStatement {
                fact: fact(),
                document: "1".into(),
                model: "local/small".into(),
                confidence: 0.5,
            }],
            nodes: limit,
            edges: 1,
        }
    }

    fn served() -> (TempDir, Arc<FakeEngine>, Serving, SocketClient) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let engine = Arc::new(FakeEngine::default());
        let socket = ControlSocket::bind(&path).unwrap();
        let serving = socket.serve(
            engine.clone(),
            engine.clone(),
            engine.clone(),
            Arc::new(Vec::new),
        );
        let client = SocketClient::new(&path);
        (folder, engine, serving, client)
    }

    fn turn(text: &str) -> Op {
        Op::UserTurn {
            session: SessionId::from_u128(1),
            turn: TurnId::from_u128(2),
            text: text.into(),
            images: Vec::new(),
            options: TurnOptions::default(),
        }
    }

    #[tokio::test]
    async fn all_questions_and_answers_cross_the_socket_unchanged() {
        let (_folder, engine, serving, client) = served();
        let op = turn("line one\nline \u{2028} two \" \\ 日本");
        client.submit(op.clone()).await.unwrap();
        assert_eq!(*engine.ops.lock().unwrap(), [op]);
        let compact = Op::Compact {
            session: SessionId::from_u128(1),
        };
        let refused = ClientError::Refused("nothing to shorten".into());
        assert_eq!(client.submit(compact).await, Err(refused));
        assert_eq!(client.sessions(2).await.unwrap(), vec![summary(); 2]);
        let full = ClientError::Storage("the disk is full".into());
        assert_eq!(client.costs(0).await, Err(full));
        assert_eq!(client.status().await, engine.status().await);
        let of = Some(TurnId::from_u128(9));
        let changed = client.changes(SessionId::from_u128(1), of).await;
        assert_eq!(changed, Ok(changes(of)));
        assert_eq!(client.models().await, Ok(vec![model()]));
        assert_eq!(client.jobs().await, Ok(vec![job()]));
        let image = client.image(SessionId::from_u128(1), 7, 2).await;
        assert_eq!(image, Ok(ImageBytes("image 7 2".into())));
        let query = MemoryQuery {
            words: "a \n b".into(),
            kind: Some(MemoryKind::File),
            after: Some("0".into()),
            limit: 3,
        };
        let found = client.find(query.clone()).await;
        assert_eq!(found, Ok(vec![document(&query.words)]));
        let draft = MemoryDraft {
            text: "a".into(),
            tags: vec!["b".into()],
            replaces: Some("1".into()),
            origin: MemoryOrigin::Untrusted,
            ..MemoryDraft::default()
        };
        let question = MemoryQuestion {
            text: "who?".into(),
            limit: 4,
            with_history: true,
        };
        let recalled = client.recall(question.clone()).await;
        assert_eq!(recalled, Ok(vec![hit(&format!("{question:?}"))]));
        assert_eq!(client.get("x".into()).await, Ok(Some(document("x"))));
        assert_eq!(client.get(String::new()).await, Ok(None));
        let graph = client.graph("a".into(), 7).await;
        assert_eq!(graph, Ok(known("a".into(), 7)));
        let kept = client.keep(draft.clone()).await;
        assert_eq!(kept, Ok(document(&format!("{draft:?}"))));
        let refused = ClientError::Refused("1".into());
        assert_eq!(client.discard("1".into()).await, Err(refused));
        let records: Vec<_> = client.follow(None, 4).take(3).collect().await;
        assert_eq!(records, [Ok(record(5)), Ok(record(6)), Ok(record(7))]);
        serving.close().await;
    }

    #[tokio::test]
    async fn the_socket_is_closed_to_others_and_removed_at_the_end() {
        let (folder, _, serving, _) = served();
        let path = folder.path().join("control.sock");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(is_served(&path).await);
        serving.close().await;
        assert!(!path.exists());
        assert!(!is_served(&path).await);
    }

    #[tokio::test]
    async fn a_socket_left_by_a_dead_owner_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(!is_served(&path).await);
        let engine = Arc::new(FakeEngine::default());
        let serving = ControlSocket::bind(&path).unwrap().serve(
            engine.clone(),
            engine.clone(),
            engine,
            Arc::new(Vec::new),
        );
        assert!(is_served(&path).await);
        serving.close().await;
    }

    #[tokio::test]
    async fn a_follower_learns_that_the_engine_ended() {
        let (_folder, _, serving, client) = served();
        let mut records = client.follow(None, 0);
        assert_eq!(records.next().await, Some(Ok(record(1))));
        serving.close().await;
        let rest: Vec<_> = records.collect().await;
        assert!(
            matches!(rest.last(), Some(Err(ClientError::Disconnected(_)))),
            "{rest:?}"
        );
    }

    #[tokio::test]
    async fn a_caller_that_leaves_frees_its_place() {
        let (_folder, _, serving, client) = served();
        let mut records = client.follow(None, 0);
        records.next().await.unwrap().unwrap();
        assert_eq!(serving.connections(), 1);
        drop(records);
        while serving.connections() > 0 {
            tokio::task::yield_now().await;
        }
        serving.close().await;
    }

    #[tokio::test]
    async fn stop_is_heard_and_answered() {
        let (_folder, _, serving, client) = served();
        let (stopped, answer) = tokio::join!(serving.stopped(), client.stop());
        let () = stopped;
        assert_eq!(answer, Ok(()));
        serving.close().await;
    }

    #[tokio::test]
    async fn another_version_may_only_look_and_stop() {
        let (folder, _, serving, _) = served();
        let path = folder.path().join("control.sock");
        let ask = async |question: &str| {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            let line = format!("{{\"version\":\"0.0.0\",\"ask\":{question}}}\n");
            stream.write_all(line.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        assert!(ask("\"status\"").await.starts_with("{\"status\""));
        assert!(
            ask("{\"sessions\":{\"limit\":1}}")
                .await
                .contains("daemon stop")
        );
        assert!(ask("\"unknown\"").await.starts_with("{\"error\""));
        serving.close().await;
    }

    #[tokio::test]
    async fn a_message_too_large_is_refused_by_both_sides() {
        let (folder, engine, serving, client) = served();
        let refused = client.submit(turn(&"x".repeat(FRAME_BYTES_MAX))).await;
        assert!(
            matches!(refused, Err(ClientError::Refused(_))),
            "{refused:?}"
        );
        let mut stream = UnixStream::connect(folder.path().join("control.sock"))
            .await
            .unwrap();
        let endless = vec![b'x'; 1 << 20];
        let mut sent = 0;
        while stream.write_all(&endless).await.is_ok() {
            sent += endless.len();
            assert!(sent < 4 * FRAME_BYTES_MAX, "the owner reads without end");
        }
        assert!(engine.ops.lock().unwrap().is_empty());
        serving.close().await;
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_so() {
        let (_folder, _, serving, client) = served();
        let mut followers = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut records = client.follow(None, 0);
            records.next().await.unwrap().unwrap();
            followers.push(records);
        }
        let refused = client.status().await;
        assert!(
            matches!(refused, Err(ClientError::Refused(_))),
            "{refused:?}"
        );
        drop(followers);
        serving.close().await;
    }
}
