//! The store on PostgreSQL as its users see it: contracts, several engines on one database, a server that goes away.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use titan_protocol::{
    BlobId, Change, Delivery, Document, Event, Query, Record, SessionId, StorageError,
};
use titan_store::{
    Server, Store, StoreConfig, check, check_server, look_at, move_to_home, move_to_server, open,
};
use titan_testkit::postgres::{Installed, PostgresServer};
use titan_testkit::storage::{blobs_contract, journal_contract, records_contract, search_contract};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

fn home() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn server(address: &str) -> Server {
    Server::new(address, None, None).expect("the address is understood")
}

/// An engine's store: its home is its own, the database may be another's too.
async fn open_at(address: &str, home: &TempDir) -> Store {
    let config = StoreConfig {
        server: Some(server(address)),
        ..StoreConfig::new(home.path())
    };
    let store = open(&config).await.expect("the store opens");
    store.share();
    store
}

fn text(text: &str) -> Event {
    Event::TextDelta { text: text.into() }
}

async fn append(store: &Store, session: SessionId, texts: &[&str]) -> Vec<Record> {
    let events = texts.iter().map(|piece| text(piece)).collect();
    let appended = store.journal().append(session, None, events).await;
    appended.expect("the journal takes events")
}

async fn check_contracts(installed: Installed) {
    let Some(postgres) = PostgresServer::start(installed) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    for _ in 0..2 {
        let store = open_at(&address, &home).await;
        journal_contract(&*store.journal()).await;
        records_contract(&*store.records()).await;
        search_contract(&*store.search()).await;
        blobs_contract(&*store.blobs()).await;
    }
    let checked = check_server(&server(&address)).await;
    let checked = checked.expect("the journal can be checked");
    assert_eq!(checked.wrong, None);
    assert!(checked.links > 0 && checked.rewritten > 0, "{checked:?}");
}

#[tokio::test]
async fn a_store_on_a_server_keeps_all_four_contracts_before_and_after_a_restart() {
    check_contracts(Installed::Plain).await;
}

#[tokio::test]
async fn a_store_on_a_server_with_pgvector_keeps_all_four_contracts_before_and_after_a_restart() {
    check_contracts(Installed::WithVectors).await;
}

/// A socket in front of a server's, which breaks off once: with the next commit, before or after the server has it.
struct Breaker {
    folder: TempDir,
    armed: Arc<Mutex<Option<Cut>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    BeforeTheServerHasIt,
    BeforeItsAnswer,
}

impl Breaker {
    fn before(postgres: &PostgresServer) -> Self {
        let folder = home();
        let armed = Arc::new(Mutex::new(None));
        let front = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let (back, to_break) = (postgres.folder().join(SOCKET), Arc::clone(&armed));
        tokio::spawn(async move {
            while let Ok((client, _)) = front.accept().await {
                let Ok(server) = UnixStream::connect(&back).await else {
                    continue;
                };
                tokio::spawn(forward(client, server, Arc::clone(&to_break)));
            }
        });
        Self { folder, armed }
    }

    fn address(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let name = database.rsplit('/').next().expect("a name");
        format!("postgres://titan@{}/{name}", folder.replace('/', "%2F"))
    }

    fn arm(&self, cut: Cut) {
        *self.armed.lock() = Some(cut);
    }

    fn has_cut(&self) -> bool {
        self.armed.lock().is_none()
    }
}

const SOCKET: &str = ".s.PGSQL.5432";

async fn forward(client: UnixStream, server: UnixStream, armed: Arc<Mutex<Option<Cut>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut answers = tokio::spawn(async move {
        // Ends when either side does.
        let _ended = tokio::io::copy(&mut from_server, &mut to_client).await;
    });
    let mut bytes = vec![0; 64 << 10];
    loop {
        let n = tokio::select! {
            read = from_client.read(&mut bytes) => read.unwrap_or(0),
            _ = &mut answers => 0,
        };
        if n == 0 {
            break;
        }
        let is_commit = bytes[..n].windows(6).any(|word| word == b"COMMIT");
        let cut = if is_commit { armed.lock().take() } else { None };
        if cut == Some(Cut::BeforeItsAnswer) {
            // Nothing comes back any more, but the server hears the commit and ends by itself.
            answers.abort();
        }
        if cut == Some(Cut::BeforeTheServerHasIt) || to_server.write_all(&bytes[..n]).await.is_err()
        {
            break;
        }
        if cut.is_some() {
            break;
        }
    }
    answers.abort();
}

/// Reads a subscription until so many records were seen, as every follower does.
async fn follow(store: Store, n_wanted: usize, started: oneshot::Sender<()>) -> Vec<Record> {
    let mut subscription = store.journal().subscribe(None);
    started.send(()).expect("it is waited for");
    let mut seen: Vec<Record> = Vec::new();
    while seen.len() < n_wanted {
        let last = seen.last().map_or(0, |record| record.seq);
        match subscription.next().await.expect("the journal goes on") {
            Delivery::Record(record) => seen.push(record),
            Delivery::Lagged { .. } => {
                let read = store.journal().read(None, last, usize::MAX).await;
                seen.extend(read.expect("the journal can be read"));
            }
        }
    }
    seen
}

async fn all(store: &Store) -> Vec<Record> {
    let read = store.journal().read(None, 0, usize::MAX).await;
    read.expect("the journal can be read")
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

#[tokio::test]
async fn what_several_engines_append_has_places_without_gaps_and_is_seen_once_by_all() {
    const APPENDS: usize = 60;
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, homes) = (postgres.database(), [home(), home(), home()]);
    // They also make the schema at the same time.
    let engines = join_all(homes.iter().map(|home| open_at(&address, home))).await;
    let n_wanted = 3 * APPENDS * 3;
    let mut followers = Vec::new();
    for engine in &engines {
        let (started, ready) = oneshot::channel();
        followers.push(tokio::spawn(follow(engine.clone(), n_wanted, started)));
        ready.await.expect("it follows");
    }
    let shared = SessionId::new();
    let mut writers = Vec::new();
    for (engine, name) in engines.iter().zip(["a", "b", "c"]) {
        for session in [shared, SessionId::new()] {
            let engine = engine.clone();
            writers.push(tokio::spawn(async move {
                let mut own = Vec::new();
                for n in 0..APPENDS {
                    // Two events in the session of its own, one in that of all.
                    let word = format!("{name}{n}");
                    let texts = if session == shared {
                        vec![&word[..]]
                    } else {
                        vec![&word[..], "."]
                    };
                    own.extend(append(&engine, session, &texts).await);
                }
                own
            }));
        }
    }
    let mut written = Vec::new();
    for own in join_all(writers).await {
        let own = own.expect("a writer ends");
        assert!(
            own.is_sorted_by_key(|record| record.seq),
            "each in its order"
        );
        written.extend(own);
    }
    written.sort_by_key(|record| record.seq);
    assert_eq!(seqs(&written), (1..=n_wanted as u64).collect::<Vec<_>>());
    assert_eq!(all(&engines[0]).await, written);
    for seen in join_all(followers).await {
        let seen = seen.expect("a follower ends");
        assert!(seen == written, "each subscriber sees all, once, in order");
    }
    let checked = check_server(&server(&address)).await.expect("it is read");
    assert_eq!(checked.wrong, None);
}

#[tokio::test]
async fn an_engine_that_opens_a_database_alone_is_so_until_it_lets_others_in() {
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, homes) = (postgres.database(), [home(), home()]);
    let config = |n: usize| StoreConfig {
        server: Some(server(&address)),
        ..StoreConfig::new(homes[n].path())
    };
    let first = open(&config(0)).await.expect("the store opens");
    assert!(first.is_alone());
    let other = config(1);
    let mut second = Box::pin(open(&other));
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while postgres.psql(&address, waits) == "0" {
        let opened = futures::poll!(&mut second);
        assert!(opened.is_pending(), "nobody is let in yet");
        tokio::task::yield_now().await;
    }
    first.share();
    let second = second.await.expect("the store opens");
    assert!(!second.is_alone());
    let both = look_at(&server(&address)).await.expect("it is looked at");
    assert_eq!(both.n_engines, 2);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_made_once() {
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    let breaker = Breaker::before(&postgres);
    let store = open_at(&breaker.address(&address), &home).await;
    let session = SessionId::new();
    let mut expected = Vec::new();
    for cut in [Cut::BeforeItsAnswer, Cut::BeforeTheServerHasIt].repeat(5) {
        breaker.arm(cut);
        let word = format!("event {}", expected.len());
        expected.extend(append(&store, session, &[&word]).await);
        assert!(breaker.has_cut(), "the connection broke with the commit");
        assert_eq!(all(&store).await, expected, "and the event is there once");

        breaker.arm(cut);
        let swap = Change {
            table: "table".into(),
            key: "n".into(),
            value: Some(Bytes::from(word)),
            expected_version: Some(version(&store).await),
        };
        let swapped = store.records().commit(vec![swap]).await;
        swapped.expect("our own change is no conflict");
        assert!(breaker.has_cut());
    }
    assert_eq!(seqs(&expected), (1..=10).collect::<Vec<_>>());
    let checked = check_server(&server(&address)).await.expect("it is read");
    assert_eq!((checked.links, checked.wrong), (10, None));
}

async fn version(store: &Store) -> u64 {
    let found = store.records().get("table", "n").await;
    found.expect("it is read").map_or(0, |found| found.version)
}

#[tokio::test]
async fn a_server_that_crashes_and_comes_back_loses_nothing_that_was_acknowledged() {
    const CRASHES: usize = 3;
    let Some(mut postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, homes) = (postgres.database(), [home(), home()]);
    let (one, other) = (
        open_at(&address, &homes[0]).await,
        open_at(&address, &homes[1]).await,
    );
    let mut subscription = other.journal().subscribe(None);
    let session = SessionId::new();
    let mut written = append(&one, session, &["first"]).await;
    for crash in 0..CRASHES {
        let store = one.clone();
        let writer = tokio::spawn(async move {
            let mut own = Vec::new();
            for n in 0..40 {
                own.extend(append(&store, session, &[&format!("{crash}-{n}")]).await);
            }
            own
        });
        // Some are written by now, and some are not.
        while all(&one).await.len() < written.len() + 5 {
            tokio::task::yield_now().await;
        }
        postgres.kill();
        postgres.start_again();
        written.extend(writer.await.expect("the writer waits the crash out"));
    }
    assert_eq!(all(&one).await, written);
    assert_eq!(
        seqs(&written),
        (1..=written.len() as u64).collect::<Vec<_>>()
    );
    let mut seen: Vec<Record> = Vec::new();
    while seen.len() < written.len() {
        match subscription.next().await {
            Some(Delivery::Record(record)) => seen.push(record),
            other => panic!("nothing is left out: {other:?}"),
        }
    }
    assert_eq!(seen, written, "the other engine's subscriber saw each once");
    let checked = check_server(&server(&address)).await.expect("it is read");
    assert_eq!(checked.wrong, None);
}

#[tokio::test]
async fn an_event_that_was_changed_behind_the_stores_back_is_found() {
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    let store = open_at(&address, &home).await;
    let session = SessionId::new();
    for text in ["one", "two", "three"] {
        append(&store, session, &[text]).await;
    }
    let wrong = async || {
        let checked = check_server(&server(&address)).await;
        checked.expect("it is read").wrong
    };
    assert_eq!(wrong().await, None);
    let edit = "UPDATE titanclaw.journal SET entries = convert_to(replace(convert_from(entries, 'UTF8'), 'two', 'too'), \
                'UTF8')";
    postgres.psql(&address, edit);
    let found = wrong().await.expect("it is found");
    assert!(found.contains("link 2"), "{found}");
    let added = "INSERT INTO titanclaw.journal SELECT 9, 9, session, entries, 9 FROM titanclaw.journal LIMIT 1";
    postgres.psql(&address, &edit.replace("'two', 'too'", "'too', 'two'"));
    postgres.psql(&address, added);
    let found = wrong().await.expect("it is found");
    assert!(found.contains("position 9"), "{found}");
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_table_and_no_table_file_of_the_server() {
    const NEEDLE: &str = "Zanzibarquokka";
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    let store = open_at(&address, &home).await;
    let session = SessionId::new();
    let kept = append(&store, session, &["kept"]).await;
    let gone = append(&store, session, &[NEEDLE]).await;
    let note = Document {
        id: "note".into(),
        text: format!("{NEEDLE} lives here"),
        ..Document::default()
    };
    let (search, blobs) = (store.search(), store.blobs());
    search
        .upsert("notes", vec![note])
        .await
        .expect("a note is taken");
    let blob = blobs
        .put(Bytes::from(NEEDLE))
        .await
        .expect("a blob is taken");
    let hits = "SELECT (SELECT count(*) FROM titanclaw.journal WHERE position('Zanzibarquokka' IN entries) > 0), \
                (SELECT count(*) FROM titanclaw.document WHERE words::text LIKE '%zanzibar%'), \
                (SELECT count(*) FROM titanclaw.blob WHERE position('Zanzibarquokka' IN bytes) > 0)";
    assert_eq!(
        postgres.psql(&address, hits),
        "1|1|1",
        "the needle is found"
    );

    let forgotten = store.journal().tombstone(session, &[gone[0].seq]).await;
    forgotten.expect("it is forgotten");
    search
        .remove("notes", &["note".into()])
        .await
        .expect("it is removed");
    blobs.delete(&blob).await.expect("it is deleted");
    assert_eq!(postgres.psql(&address, hits), "0|0|0");
    let now = all(&store).await;
    assert_eq!((&now[0], &now[1].event), (&kept[0], &Event::Forgotten));
    let dead = "SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relname IN ('journal', 'document', 'blob')";
    assert_eq!(
        postgres.psql(&address, dead),
        "0",
        "and no dead row is left"
    );
    let checked = check_server(&server(&address)).await.expect("it is read");
    assert_eq!((checked.rewritten, checked.wrong), (1, None));
}

#[tokio::test]
async fn texts_of_any_kind_are_kept_and_found_as_in_a_home() {
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    let store = open_at(&address, &home).await;
    let odd = Document {
        id: "nul \0 id".into(),
        text: "The Café of \0 crates/titan-store/src/lib.rs, v1.2.3 and user@example.org".into(),
        vector: Some(vec![0.5, -0.0]),
        attributes: [("na\0me".to_owned(), "va\0lue".to_owned())].into(),
    };
    let huge = Document {
        id: "huge".into(),
        text: (0..400_000).map(|n| format!("word{n} ")).collect(),
        ..Document::default()
    };
    let search = store.search();
    let taken = search.upsert("n\0tes", vec![odd.clone(), huge]).await;
    taken.expect("texts of any kind are taken");
    for words in [
        "cafe",
        "CAFÉ",
        "the",
        "titan",
        "rs",
        "3",
        "example",
        "cafe\u{301}",
    ] {
        let query = Query {
            text: Some(words.into()),
            filter: odd.attributes.clone(),
            limit: 5,
            ..Query::default()
        };
        let found = search.query("n\0tes", query).await.expect("it is searched");
        assert_eq!(found.len(), 1, "{words:?} is found");
        assert_eq!(found[0].document, odd);
    }
    let early = Query {
        text: Some("word77".into()),
        limit: 5,
        ..Query::default()
    };
    let found = search.query("n\0tes", early).await.expect("it is searched");
    assert_eq!(found[0].document.id, "huge");
}

#[tokio::test]
async fn pgvectors_index_finds_what_a_comparison_of_all_finds() {
    const VECTORS: usize = 3_000;
    let Some(postgres) = PostgresServer::start(Installed::WithVectors) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    let store = open_at(&address, &home).await;
    let at = |n: usize| {
        let angle = n as f32 * 0.002;
        vec![angle.cos(), angle.sin()]
    };
    let documents: Vec<Document> = (0..VECTORS)
        .map(|n| Document {
            id: format!("{n:05}"),
            text: "same".into(),
            vector: Some(at(n)),
            attributes: [("third".to_owned(), (n % 3 == 0).to_string())].into(),
        })
        .collect();
    let search = store.search();
    for some in documents.chunks(500) {
        search
            .upsert("notes", some.to_vec())
            .await
            .expect("notes are taken");
    }
    let near = |filter: &[(&str, &str)]| Query {
        vector: Some(at(1_500)),
        filter: filter
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        limit: 5,
        ..Query::default()
    };
    let find = async |query| {
        let hits = search.query("notes", query).await.expect("it is searched");
        let mut ids: Vec<String> = hits.into_iter().map(|hit| hit.document.id).collect();
        ids.sort();
        ids
    };
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'document_near_2'";
    assert_eq!(
        find(near(&[])).await,
        ["01498", "01499", "01500", "01501", "01502"]
    );
    assert_eq!(
        find(near(&[("third", "true")])).await,
        ["01494", "01497", "01500", "01503", "01506"]
    );
    // The server counts when a connection ends, at the latest.
    drop((search, store));
    let mut n_looks = 0;
    while postgres.psql(&address, scans) == "0" {
        n_looks += 1;
        assert!(n_looks < 200, "the index was asked");
        tokio::task::yield_now().await;
    }
    let store = open_at(&address, &home).await;
    let search = store.search();
    let length = search
        .query(
            "notes",
            Query {
                vector: Some(vec![1.0; 3]),
                ..near(&[])
            },
        )
        .await;
    assert!(length.is_err(), "a query of another length is refused");
}

#[tokio::test]
async fn a_store_that_this_program_can_not_use_is_refused_in_words_without_its_password() {
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    let password = SecretString::from("hunter2hunter2".to_owned());
    let refused = async |address: &str| {
        let server = Server::new(address, Some(&password), None);
        let config = StoreConfig {
            server: Some(server.expect("the address is understood")),
            ..StoreConfig::new(home.path())
        };
        match open(&config).await {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{address} is refused"),
        }
    };
    drop(open_at(&address, &home).await);
    let newer = "INSERT INTO titanclaw.migration SELECT 99, 'x', '9.9.9'";
    postgres.psql(&address, newer);
    let text = refused(&address).await;
    assert!(text.contains("update titanclaw"), "{text}");

    let text = refused(&postgres.address("nowhere")).await;
    assert!(text.contains("make the database first"), "{text}");
    let latin =
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    postgres.psql(&address, latin);
    let text = refused(&postgres.address("latin")).await;
    assert!(text.contains("UTF-8"), "{text}");
    for nobody in [
        "postgres://me@127.0.0.1:9/notes",
        "postgres://me@127.0.0.1:9/notes?sslmode=require",
    ] {
        let text = refused(nobody).await;
        assert!(text.contains("can't be reached"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// What somebody sees of a store that has some of everything.
async fn seen(store: &Store) -> String {
    let (records, search, blobs) = (store.records(), store.search(), store.blobs());
    let all_records = records.scan("table", "", "", 1_000).await;
    let documents = search.scan("notes", "", 1_000).await;
    let newest = Query {
        limit: 1_000,
        ..Query::default()
    };
    let newest = search.query("notes", newest).await.expect("it is searched");
    let newest: Vec<String> = newest.into_iter().map(|hit| hit.document.id).collect();
    let mut sizes = Vec::new();
    for size in BLOBS {
        let id = BlobId::of(&vec![b'b'; size]);
        let got = blobs.get(&id).await.expect("a blob is read");
        sizes.push(got.map(|bytes| bytes.len()));
    }
    let secret = store.secrets("person").get("key").await;
    let secret = secret.expect("the key opens it").expect("it is there");
    format!(
        "{:?}\n{:?}\n{:?}\n{newest:?}\n{sizes:?}\n{}",
        all(store).await,
        all_records.expect("records are read"),
        documents.expect("documents are read"),
        secret.value.expose_secret()
    )
}

const BLOBS: [usize; 3] = [0, 10, 100_000];

async fn fill_with_some_of_everything(store: &Store) {
    let sessions = [SessionId::new(), SessionId::new()];
    for n in 0..300 {
        append(store, sessions[n % 2], &[&format!("event {n}"), "nul \0"]).await;
        if n % 50 == 0 {
            store.journal().sync().await.expect("it syncs");
        }
    }
    let forgotten = store.journal().tombstone(sessions[0], &[1]).await;
    forgotten.expect("it is forgotten");
    for n in 0..300 {
        let change = Change {
            table: "table".into(),
            key: format!("key {n} \0"),
            value: Some(Bytes::from(vec![n as u8; 3])),
            expected_version: Some(0),
        };
        let committed = store.records().commit(vec![change]).await;
        committed.expect("a record is taken");
    }
    let document = |n: usize| Document {
        id: format!("{}", n % 290),
        text: format!("note {n}"),
        vector: Some(vec![n as f32, 1.0]),
        attributes: [("n".to_owned(), n.to_string())].into(),
    };
    for n in 0..300 {
        let taken = store.search().upsert("notes", vec![document(n)]).await;
        taken.expect("a note is taken");
    }
    for size in BLOBS {
        let put = store.blobs().put(Bytes::from(vec![b'b'; size])).await;
        put.expect("a blob is taken");
    }
    let secret = SecretString::from("sesame".to_owned());
    let sealed = store.secrets("person").put("key", None, secret).await;
    sealed.expect("a secret is sealed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_a_server_and_back_with_all_that_it_holds() {
    let Some(postgres) = PostgresServer::start(Installed::WithVectors) else {
        return;
    };
    let (address, home) = (postgres.database(), home());
    let store = open(&StoreConfig::new(home.path())).await;
    let store = store.expect("the home opens");
    fill_with_some_of_everything(&store).await;
    let held = seen(&store).await;
    let busy = move_to_server(home.path(), &server(&address)).await;
    assert!(matches!(busy, Err(StorageError::Locked(_))), "{busy:?}");
    drop(store);
    let moved = move_to_server(home.path(), &server(&address)).await;
    let moved = moved.expect("the store moves");
    assert_eq!((moved.records, moved.documents, moved.blobs), (301, 290, 3));
    let again = move_to_server(home.path(), &server(&address)).await;
    let again = again.expect_err("only what is empty is filled").to_string();
    assert!(again.contains("holds a store already"), "{again}");

    // The same home, and its key, with the server's database.
    let store = open_at(&address, &home).await;
    assert_eq!(seen(&store).await, held);
    let checked = check_server(&server(&address)).await.expect("it is read");
    assert_eq!(
        (checked.links, checked.newest, checked.wrong),
        (moved.links, moved.newest_link.clone(), None)
    );
    let further = append(&store, SessionId::new(), &["further"]).await;
    assert_eq!(further[0].seq, 601, "places go on");
    let near = Query {
        vector: Some(vec![1.0, 0.0]),
        limit: 1,
        ..Query::default()
    };
    let hits = store.search().query("notes", near).await;
    assert_eq!(hits.expect("it is searched").len(), 1);

    let back = tempfile::tempdir().expect("a folder for the test");
    let busy = move_to_home(&server(&address), back.path()).await;
    assert!(matches!(busy, Err(StorageError::Locked(_))), "{busy:?}");
    let held = seen(&store).await;
    drop(store);
    let moved = loop {
        // The server notices a little later that the engine is gone.
        match move_to_home(&server(&address), back.path()).await {
            Err(StorageError::Locked(_)) => tokio::task::yield_now().await,
            moved => break moved.expect("the store moves back"),
        }
    };
    let taken = move_to_home(&server(&address), back.path()).await;
    let taken = taken.expect_err("only what is empty is filled").to_string();
    assert!(taken.contains("holds a store already"), "{taken}");
    std::fs::copy(
        home.path().join("secrets.key"),
        back.path().join("secrets.key"),
    )
    .expect("the key is copied");
    let checked = check(back.path()).expect("it is read");
    assert_eq!(
        (checked.links, checked.newest, checked.wrong),
        (moved.links, moved.newest_link, None)
    );
    let store = open(&StoreConfig::new(back.path())).await;
    assert_eq!(seen(&store.expect("it opens")).await, held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_cut_short_leaves_nothing_and_is_made_again() {
    let Some(mut postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (address, source) = (postgres.database(), home());
    let store = open(&StoreConfig::new(source.path())).await;
    let store = store.expect("the home opens");
    fill_with_some_of_everything(&store).await;
    drop(store);
    // A damaged row near the end: the reader fails when most of it has arrived.
    let blobs = source.path().join("blobs");
    let damaged = BlobId::of(&[b'b'; BLOBS[2]]);
    let (head, rest) = damaged.as_str().split_at(2);
    let file = blobs.join(head).join(rest);
    let whole = std::fs::read(&file).expect("the blob's file is read");
    std::fs::write(&file, b"damaged").expect("it is damaged");
    let cut = move_to_server(source.path(), &server(&address)).await;
    let cut = cut.expect_err("what is damaged does not move").to_string();
    assert!(cut.contains("no longer matches its hash"), "{cut}");
    let rows =
        "SELECT (SELECT count(*) FROM titanclaw.journal), (SELECT count(*) FROM titanclaw.record)";
    assert_eq!(postgres.psql(&address, rows), "0|0");
    std::fs::write(&file, whole).expect("it is mended");

    let moved = move_to_server(source.path(), &server(&address)).await;
    let moved = moved.expect("it moves now");
    let target = home();
    let edit = "UPDATE titanclaw.chain SET link = content WHERE number = 7";
    let kept = "CREATE TABLE kept AS SELECT number, link FROM titanclaw.chain";
    postgres.psql(&address, kept);
    postgres.psql(&address, edit);
    let cut = move_to_home(&server(&address), target.path()).await;
    let cut = cut.expect_err("a broken chain does not move").to_string();
    assert!(cut.contains("link 7"), "{cut}");
    assert!(!target.path().join("titanclaw.db").exists());
    assert!(!target.path().join("titanclaw.db.incoming").exists());
    let mend =
        "UPDATE titanclaw.chain SET link = kept.link FROM kept WHERE kept.number = chain.number";
    postgres.psql(&address, mend);
    postgres.kill();
    let gone = move_to_home(&server(&address), target.path()).await;
    assert!(gone.is_err() && !target.path().join("titanclaw.db").exists());
    postgres.start_again();
    let back = move_to_home(&server(&address), target.path()).await;
    assert_eq!(back.expect("it moves now"), moved);
}

#[tokio::test]
async fn a_server_elsewhere_is_spoken_to_by_tls_and_has_to_be_the_one_that_is_trusted() {
    let Some(mut postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let Some((port, certificate)) = postgres.start_again_with_tls("open sesame") else {
        return;
    };
    let home = home();
    let to = async |parameters: &str, password: &str, authorities: Option<&Path>| {
        let address = format!("postgres://guest@127.0.0.1:{port}/postgres{parameters}");
        let password = SecretString::from(password.to_owned());
        let config = StoreConfig {
            server: Some(Server::new(&address, Some(&password), authorities)?),
            ..StoreConfig::new(home.path())
        };
        open(&config).await
    };
    let refused = |opened: Result<Store, StorageError>| match opened {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it is refused"),
    };
    let tls = "?sslmode=verify-full";
    let store = to(tls, "open sesame", Some(&certificate)).await;
    let store = store.expect("a server that is trusted is used");
    append(&store, SessionId::new(), &["over TLS"]).await;
    assert_eq!(all(&store).await.len(), 1);
    drop(store);

    let text = refused(to(tls, "wrong", Some(&certificate)).await);
    assert!(
        text.contains("check the user in store.url and the password"),
        "{text}"
    );
    let text = refused(to(tls, "open sesame", None).await);
    assert!(
        text.contains("certificate"),
        "a stranger's is not trusted: {text}"
    );
    let text = refused(to("", "open sesame", None).await);
    assert!(
        text.contains("no encryption"),
        "the server takes nothing in the clear: {text}"
    );
    let missing = home.path().join("missing.pem");
    let text = refused(to(tls, "open sesame", Some(&missing)).await);
    assert!(text.contains("missing.pem can't be read"), "{text}");
}
