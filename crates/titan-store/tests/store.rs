//! The store as its users see it: contracts, restarts, crashes, forgetting, failing disks, and sealed secrets.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use titan_protocol::{
    Change, Document, Event, Journal, Query, Record, SecretSource, Seq, SessionId, StorageError,
    TurnId,
};
use titan_store::{Store, StoreConfig, open};
use titan_testkit::storage::{
    MemoryStore, blobs_contract, journal_contract, records_contract, search_contract,
};

fn home() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

async fn open_at(home: &Path) -> Store {
    let opened = open(&StoreConfig::new(home)).await;
    opened.expect("the home opens")
}

fn text(text: &str) -> Event {
    Event::TextDelta { text: text.into() }
}

async fn append(store: &Store, session: SessionId, texts: &[&str]) -> Vec<Record> {
    let events = texts.iter().map(|piece| text(piece)).collect();
    let appended = store.journal().append(session, None, events).await;
    appended.expect("the journal takes events")
}

async fn read(store: &Store, session: Option<SessionId>) -> Vec<Record> {
    let read = store.journal().read(session, 0, usize::MAX).await;
    read.expect("the journal can be read")
}

fn change(key: &str, value: Option<&[u8]>) -> Change {
    Change {
        table: "table".into(),
        key: key.into(),
        value: value.map(Bytes::copy_from_slice),
        expected_version: None,
    }
}

/// Files below a folder whose bytes hold the needle.
fn files_with(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else {
            let bytes = fs::read(&path).expect("a file can be read");
            let needle = needle.as_bytes();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// What a power cut would leave of a home that is in use.
fn crash_image(home: &Path) -> TempDir {
    let image = tempfile::tempdir().expect("a folder for the image");
    for name in ["titanclaw.db", "titanclaw.db-wal"] {
        if home.join(name).exists() {
            fs::copy(home.join(name), image.path().join(name)).expect("a file can be copied");
        }
    }
    image
}

#[tokio::test]
async fn a_store_keeps_all_four_contracts_before_and_after_a_restart() {
    let home = home();
    for _ in 0..2 {
        let store = open_at(home.path()).await;
        journal_contract(&*store.journal()).await;
        records_contract(&*store.records()).await;
        search_contract(&*store.search()).await;
        blobs_contract(&*store.blobs()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contracts_hold_when_all_ports_are_used_at_once() {
    let home = home();
    let store = open_at(home.path()).await;
    let (records, search, blobs) = (store.records(), store.search(), store.blobs());
    let mut ports = tokio::task::JoinSet::new();
    ports.spawn(async move { records_contract(&*records).await });
    ports.spawn(async move { search_contract(&*search).await });
    ports.spawn(async move { blobs_contract(&*blobs).await });
    journal_contract(&*store.journal()).await;
    while let Some(port) = ports.join_next().await {
        port.expect("a contract holds");
    }
}

#[tokio::test]
async fn what_was_synced_survives_a_crash() {
    let home = home();
    let store = open_at(home.path()).await;
    let (one, two) = (SessionId::new(), SessionId::new());
    let mut synced = append(&store, one, &["a", "b"]).await;
    synced.extend(append(&store, two, &["c"]).await);
    store.journal().sync().await.expect("the journal syncs");
    append(&store, one, &["not synced"]).await;

    let image = crash_image(home.path());
    let after = open_at(image.path()).await;
    let survived = read(&after, None).await;
    assert_eq!(survived[..3], synced, "what was synced is there");
    let next = append(&after, one, &["next"]).await;
    assert!(next[0].seq > synced[2].seq, "positions go on after a crash");
}

#[tokio::test]
async fn a_store_that_is_dropped_commits_what_waits() {
    let home = home();
    let session = SessionId::new();
    let appended = append(&open_at(home.path()).await, session, &["never synced"]).await;
    let store = open_at(home.path()).await;
    assert_eq!(read(&store, Some(session)).await, appended);
    let next = append(&store, session, &["next"]).await;
    assert_eq!(next[0].seq, appended[0].seq + 1);
}

#[tokio::test]
async fn a_port_keeps_the_home_and_the_last_one_frees_it() {
    let home = home();
    let journal = open_at(home.path()).await.journal();
    let Err(StorageError::Locked(why)) = open(&StoreConfig::new(home.path())).await else {
        panic!("a home that is in use can't be opened again");
    };
    assert!(
        why.contains(&format!("process {}", std::process::id())),
        "{why}"
    );
    let mut subscription = journal.subscribe(None);
    drop(journal);
    assert_eq!(
        subscription.next().await,
        None,
        "a closed store ends subscriptions"
    );
    open_at(home.path()).await;
}

#[tokio::test]
async fn forgotten_content_is_in_no_file_of_the_home() {
    const NEEDLE: &str = "Zanzibarquokka";
    let home = home();
    let store = open_at(home.path()).await;
    let long = format!("{}{NEEDLE}{}", "x".repeat(70_000), "y".repeat(70_000));
    let session = SessionId::new();
    let kept = append(&store, session, &["kept before"]).await;
    let records = append(&store, session, &[NEEDLE, &long]).await;
    store.journal().sync().await.expect("the journal syncs");
    let unsynced = append(&store, session, &[NEEDLE]).await;

    let note = |text: &str| Document {
        id: "note".into(),
        text: text.into(),
        ..Document::default()
    };
    let search = store.search();
    let notes = vec![
        note(&format!("{NEEDLE} lives here")),
        Document {
            id: "2".into(),
            ..note(&long)
        },
    ];
    search
        .upsert("notes", notes)
        .await
        .expect("notes are taken");
    let blobs = store.blobs();
    let small = blobs
        .put(Bytes::from(NEEDLE))
        .await
        .expect("a blob is taken");
    let large = blobs
        .put(Bytes::from(long.clone()))
        .await
        .expect("a blob is taken");
    let put = vec![change("key", Some(NEEDLE.as_bytes()))];
    store
        .records()
        .commit(put)
        .await
        .expect("a record is taken");
    assert!(
        !files_with(home.path(), NEEDLE).is_empty(),
        "the search for the needle works"
    );
    let in_index = NEEDLE.to_lowercase();

    let seqs: Vec<Seq> = [records, unsynced]
        .concat()
        .iter()
        .map(|record| record.seq)
        .collect();
    store
        .journal()
        .tombstone(session, &seqs)
        .await
        .expect("events are forgotten");
    search
        .upsert("notes", vec![note("something else")])
        .await
        .expect("a note is replaced");
    search
        .remove("notes", &["2".into()])
        .await
        .expect("a note is removed");
    blobs.delete(&small).await.expect("a blob is deleted");
    blobs.delete(&large).await.expect("a blob is deleted");
    store
        .records()
        .commit(vec![change("key", None)])
        .await
        .expect("a record is deleted");

    assert_eq!(files_with(home.path(), NEEDLE), Vec::<String>::new());
    assert_eq!(
        files_with(home.path(), &in_index),
        Vec::<String>::new(),
        "nor its word in the index"
    );
    let now = read(&store, Some(session)).await;
    assert_eq!(now[0], kept[0]);
    assert!(
        now[1..]
            .iter()
            .all(|record| record.event == Event::Forgotten)
    );
    drop((store, search, blobs));
    assert_eq!(
        files_with(home.path(), NEEDLE),
        Vec::<String>::new(),
        "nor after closing"
    );
    let again = open_at(home.path()).await;
    assert_eq!(
        read(&again, Some(session)).await,
        now,
        "what was forgotten stays so"
    );
}

#[tokio::test]
async fn a_journal_that_can_not_write_says_so_and_is_still_read() {
    let home = home();
    let config = StoreConfig {
        database_bytes_max: 1 << 20,
        ..StoreConfig::new(home.path())
    };
    let store = open(&config).await.expect("the home opens");
    let session = SessionId::new();
    let good = append(&store, session, &["good"]).await;

    let huge = vec![change("huge", Some(&vec![b'x'; 2 << 20]))];
    let refused = store
        .records()
        .commit(huge)
        .await
        .expect_err("there is no room");
    assert!(refused.to_string().contains("free space"), "{refused}");
    store
        .journal()
        .sync()
        .await
        .expect("a change that fails does not take the journal with it");

    let journal = store.journal();
    append(&store, session, &[&"y".repeat(2 << 20)]).await;
    let lost = journal.sync().await.expect_err("there is no room");
    assert!(lost.to_string().contains("free space"), "{lost}");
    assert!(journal.sync().await.is_err(), "a later sync says it too");
    let asked = journal.append(session, None, Vec::new()).await;
    assert!(asked.is_err(), "an append of nothing asks and is told");
    let many = vec![text("later"); 2_000];
    let refused = journal.append(session, None, many).await;
    assert!(refused.is_err(), "only so much is taken meanwhile");
    assert!(journal.tombstone(session, &[1]).await.is_err());
    let readable = read(&store, Some(session)).await;
    assert_eq!(readable[0], good[0], "reads go on");
    let small = vec![change("small", Some(b"fits"))];
    store
        .records()
        .commit(small)
        .await
        .expect("what fits is still written");
    drop((store, journal));
    let store = open_at(home.path()).await;
    assert_eq!(
        read(&store, Some(session)).await,
        good,
        "what was durable stayed so"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_append_at_once_and_lose_nothing() {
    let home = home();
    let store = open_at(home.path()).await;
    let sessions: Vec<SessionId> = (0..1_000).map(|_| SessionId::new()).collect();
    let turn = |session: SessionId| {
        let journal = store.journal();
        async move {
            let mut seqs = Vec::new();
            for n in 0..20 {
                let events = vec![text(&format!("token {n} "))];
                let appended = journal.append(session, Some(TurnId::new()), events).await;
                seqs.push(appended.expect("the journal takes events")[0].seq);
                tokio::task::yield_now().await;
            }
            journal.sync().await.expect("the journal syncs");
            seqs
        }
    };
    let seqs = join_all(sessions.iter().map(|session| turn(*session))).await;
    let all = read(&store, None).await;
    assert_eq!(all.len(), 20_000);
    assert!(
        (1..).zip(&all).all(|(seq, record)| record.seq == seq),
        "one gapless order"
    );
    for (session, seqs) in sessions.iter().zip(&seqs).step_by(97) {
        let own: Vec<Seq> = read(&store, Some(*session))
            .await
            .iter()
            .map(|r| r.seq)
            .collect();
        assert_eq!(&own, seqs);
    }
}

#[tokio::test]
async fn a_damaged_blob_is_never_given_out_and_can_be_put_again() {
    let home = home();
    let store = open_at(home.path()).await;
    let bytes = Bytes::from(vec![7_u8; 100_000]);
    let id = store
        .blobs()
        .put(bytes.clone())
        .await
        .expect("a blob is taken");
    let (head, rest) = id.as_str().split_at(2);
    let path = home.path().join("blobs").join(head).join(rest);
    fs::write(&path, vec![8_u8; 100_000]).expect("the file can be damaged");
    let error = store.blobs().get(&id).await.expect_err("it is damaged");
    assert!(
        error.to_string().contains("no longer matches its hash"),
        "{error}"
    );
    store
        .blobs()
        .put(bytes.clone())
        .await
        .expect("it is put again");
    assert_eq!(
        store.blobs().get(&id).await.expect("it is whole"),
        Some(bytes)
    );
}

#[tokio::test]
async fn an_opening_that_nobody_waits_for_frees_the_home() {
    let home = home();
    let config = StoreConfig::new(home.path());
    let mut opening = Box::pin(open(&config));
    assert!(
        futures::poll!(&mut opening).is_pending(),
        "the writer is still opening"
    );
    drop(opening);
    loop {
        match open(&config).await {
            Ok(_store) => break,
            Err(StorageError::Locked(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("the home is whole: {other}"),
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn g32_a_home_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let parent = home();
    let home = parent.path().join("home");
    let store = open_at(&home).await;
    append(&store, SessionId::new(), &["private"]).await;
    store.journal().sync().await.expect("the journal syncs");
    store
        .blobs()
        .put(Bytes::from(vec![0; 100_000]))
        .await
        .expect("a blob is taken");
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&home), 0o700);
    for name in ["titanclaw.db", "titanclaw.db-wal"] {
        assert_eq!(mode(&home.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&home.join("blobs")), 0o700);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let home = home();
    let path = home.path().join("titanclaw.db");
    let garbage = "not a database ".repeat(1_000);
    fs::write(&path, &garbage).expect("a file can be written");
    let Err(StorageError::Incompatible(why)) = open(&StoreConfig::new(home.path())).await else {
        panic!("garbage is not opened");
    };
    assert!(why.contains("restore a backup"), "{why}");
    assert_eq!(
        fs::read_to_string(&path).expect("it is still there"),
        garbage
    );
}

const KEY: &str = "sk-Plaintext-4711";

#[tokio::test]
async fn p9_a_secret_comes_back_with_its_host_and_is_in_no_file() {
    let home = home();
    let store = open_at(home.path()).await;
    let secrets = store.secrets("person");
    assert!(
        secrets
            .get("openai")
            .await
            .expect("no secret is no error")
            .is_none()
    );
    secrets
        .put("openai", Some("api.openai.com"), SecretString::from(KEY))
        .await
        .expect("a secret is taken");
    secrets
        .put("other", None, SecretString::from("x"))
        .await
        .expect("another too");
    let names: Vec<_> = secrets.list().await.expect("they can be listed");
    let names: Vec<_> = names
        .iter()
        .map(|entry| (entry.name.as_str(), entry.host.as_deref()))
        .collect();
    assert_eq!(names, [("openai", Some("api.openai.com")), ("other", None)]);
    assert!(
        store.secrets("somebody").reveal("openai").await.is_none(),
        "each owner has their own"
    );
    assert_eq!(files_with(home.path(), KEY), Vec::<String>::new());
    drop((store, secrets));

    let store = open_at(home.path()).await;
    let secrets = store.secrets("person");
    let secret = secrets
        .reveal("openai")
        .await
        .expect("it survives a restart");
    assert_eq!(secret.value.expose_secret(), KEY);
    assert_eq!(secret.host.as_deref(), Some("api.openai.com"));
    secrets.delete("openai").await.expect("it can be deleted");
    assert!(secrets.reveal("openai").await.is_none());
    assert_eq!(files_with(home.path(), KEY), Vec::<String>::new());
}

#[tokio::test]
async fn p9_a_secret_whose_row_was_moved_or_edited_does_not_open() {
    let home = home();
    let store = open_at(home.path()).await;
    let (records, secrets) = (store.records(), store.secrets("person"));
    for name in ["a", "b"] {
        let value = SecretString::from(format!("{KEY}{name}"));
        secrets
            .put(name, Some("example.org"), value)
            .await
            .expect("a secret is taken");
    }
    let rows = records
        .scan("secret", "", "", 10)
        .await
        .expect("rows can be read");
    let [(key_a, row_a), (key_b, row_b)] = rows.as_slice() else {
        panic!("there are two rows");
    };
    let write = async |key: &str, value: Bytes| {
        let change = Change {
            table: "secret".into(),
            key: key.into(),
            value: Some(value),
            expected_version: None,
        };
        records
            .commit(vec![change])
            .await
            .expect("a row can be written");
    };
    write(key_a, row_b.value.clone()).await;
    write(key_b, row_a.value.clone()).await;
    for name in ["a", "b"] {
        let error = secrets
            .get(name)
            .await
            .err()
            .expect("swapped rows do not open");
        assert!(error.to_string().contains("moved or changed"), "{error}");
        assert!(secrets.reveal(name).await.is_none());
    }
    let row = String::from_utf8(row_a.value.to_vec()).expect("a row is JSON");
    write(key_a, Bytes::from(row.replace("example.org", "evil.test"))).await;
    assert!(
        secrets.get("a").await.is_err(),
        "a secret can't be sent to another host"
    );
    let stolen = key_a.replace("person", "nobody");
    write(&stolen, row_a.value.clone()).await;
    assert!(
        store.secrets("nobody").get("a").await.is_err(),
        "nor be another owner's"
    );
    write(key_a, row_a.value.clone()).await;
    assert!(secrets.get("a").await.is_ok(), "in its own place it opens");
}

#[tokio::test]
async fn a_missing_key_is_told_and_never_replaced_while_secrets_need_it() {
    let home = home();
    let store = open_at(home.path()).await;
    store
        .secrets("p")
        .put("a", None, SecretString::from(KEY))
        .await
        .expect("it is taken");
    drop(store);
    let key = home.path().join("secrets.key");
    fs::rename(&key, home.path().join("elsewhere")).expect("the key can be moved");
    let store = open_at(home.path()).await;
    let secrets = store.secrets("p");
    let error = secrets
        .get("a")
        .await
        .err()
        .expect("there is no key")
        .to_string();
    assert!(
        error.contains("secrets.key") && error.contains("restore"),
        "{error}"
    );
    let put = secrets.put("b", None, SecretString::from("x")).await;
    assert!(put.is_err(), "a second key would orphan the first secret");
    assert!(!key.exists());
}

#[tokio::test]
async fn a_search_at_scale_agrees_with_an_exact_scan() {
    let home = home();
    let store = open_at(home.path()).await;
    let vector = |n: usize| {
        let raw: Vec<f32> = (0..33)
            .map(|k| ((n * 31 + k * 17) % 101) as f32 - 50.0)
            .collect();
        let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        raw.iter().map(|x| x / length).collect::<Vec<f32>>()
    };
    let documents: Vec<Document> = (0..101)
        .map(|n| Document {
            id: n.to_string(),
            vector: Some(vector(n)),
            ..Document::default()
        })
        .collect();
    store
        .search()
        .upsert("v", documents.clone())
        .await
        .expect("documents are taken");
    let wanted = vector(42);
    let cosine = |v: &[f32]| v.iter().zip(&wanted).map(|(a, b)| a * b).sum::<f32>();
    let mut exact: Vec<f32> = documents
        .iter()
        .filter_map(|d| d.vector.as_deref())
        .map(cosine)
        .collect();
    exact.sort_by(|a, b| b.total_cmp(a));
    let query = Query {
        vector: Some(wanted.clone()),
        limit: 7,
        ..Query::default()
    };
    let hits = store
        .search()
        .query("v", query)
        .await
        .expect("it can be searched");
    assert_eq!(hits[0].document.id, "42");
    for (hit, exact) in hits.iter().zip(exact) {
        assert!((hit.score - exact).abs() < 1e-5);
    }
}

/// What a random history is made of.
#[derive(Clone, Debug)]
enum Act {
    Append {
        session: u8,
        texts: Vec<String>,
    },
    Sync,
    Tombstone {
        session: u8,
        seqs: Vec<Seq>,
    },
    Read {
        session: Option<u8>,
        after: Seq,
        limit: usize,
    },
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let session = 0_u8..4;
    prop_oneof![
        6 => (session.clone(), prop::collection::vec(".{0,12}", 0..6))
            .prop_map(|(session, texts)| Act::Append { session, texts }),
        1 => Just(Act::Sync),
        2 => (session.clone(), prop::collection::vec(0_u64..90, 0..8))
            .prop_map(|(session, seqs)| Act::Tombstone { session, seqs }),
        4 => (prop::option::of(session), 0_u64..90, 0_usize..40)
            .prop_map(|(session, after, limit)| Act::Read { session, after, limit }),
        1 => Just(Act::Reopen),
    ]
}

fn undated(mut records: Vec<Record>) -> Vec<Record> {
    records.iter_mut().for_each(|record| record.at = 0);
    records
}

async fn check_history(acts: Vec<Act>) {
    let home = home();
    let mut store = open_at(home.path()).await;
    let model: Arc<dyn Journal> = MemoryStore::new();
    let id = |n: u8| SessionId::from_u128(u128::from(n) + 1);
    for act in acts {
        let journal = store.journal();
        match act {
            Act::Append { session, texts } => {
                let events: Vec<Event> = texts.iter().map(|piece| text(piece)).collect();
                let ours = journal.append(id(session), None, events.clone()).await;
                let expected = model.append(id(session), None, events).await;
                assert_eq!(
                    ours.map(undated).ok(),
                    expected.map(undated).ok(),
                    "an append gives the model's records"
                );
            }
            Act::Sync => journal.sync().await.expect("the journal syncs"),
            Act::Tombstone { session, seqs } => {
                let ours = journal.tombstone(id(session), &seqs).await;
                let expected = model.tombstone(id(session), &seqs).await;
                assert_eq!(ours.is_ok(), expected.is_ok(), "both forget");
            }
            Act::Read {
                session,
                after,
                limit,
            } => {
                let ours = journal.read(session.map(id), after, limit).await;
                let expected = model.read(session.map(id), after, limit).await;
                assert_eq!(
                    ours.map(undated).ok(),
                    expected.map(undated).ok(),
                    "a read gives the model's records"
                );
            }
            Act::Reopen => {
                drop((journal, store));
                store = open_at(home.path()).await;
            }
        }
    }
    let whole = store.journal().read(None, 0, usize::MAX).await;
    let expected = model.read(None, 0, usize::MAX).await;
    assert_eq!(whole.map(undated).ok(), expected.map(undated).ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_reads_as_it_does_in_memory(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(check_history(acts));
    }
}
