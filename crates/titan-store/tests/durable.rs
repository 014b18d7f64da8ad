//! What outlasts a full disk, a changed byte, a new schema and a new machine.

use bytes::Bytes;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use titan_protocol::{Change, Event, SessionId, StorageError};
use titan_store::{Store, StoreConfig, backup, check, open, restore};

const SCHEMA_1: &[u8] = include_bytes!("../test_data/schema-1.db");

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

async fn open_at(home: &Path) -> Store {
    let opened = open(&StoreConfig::new(home)).await;
    opened.expect("the home opens")
}

async fn say(store: &Store, session: SessionId, text: &str) -> Result<(), StorageError> {
    let event = Event::TextDelta { text: text.into() };
    let journal = store.journal();
    journal.append(session, None, vec![event]).await?;
    journal.sync().await
}

async fn told(store: &Store) -> String {
    let read = store.journal().read(None, 0, usize::MAX).await;
    let records = read.expect("the journal can be read");
    let text = |event: &Event| match event {
        Event::TextDelta { text } => text.clone(),
        other => serde_json::to_string(other).expect("an event is JSON"),
    };
    let texts: Vec<String> = records.iter().map(|record| text(&record.event)).collect();
    texts.join(" ")
}

fn change(key: &str, value: Option<&[u8]>) -> Vec<Change> {
    vec![Change {
        table: "table".into(),
        key: key.into(),
        value: value.map(Bytes::copy_from_slice),
        expected_version: None,
    }]
}

/// A home with three rows, of which one has something forgotten.
async fn lived_in(home: &Path) -> SessionId {
    let session = SessionId::new();
    let store = open_at(home).await;
    for text in ["first words", "second words", "third words"] {
        say(&store, session, text).await.expect("it is kept");
    }
    let blobs = store.blobs();
    let large = Bytes::from(vec![b'b'; 100 << 10]);
    blobs.put(large).await.expect("a blob is kept");
    let forgotten = store.journal().tombstone(session, &[2]).await;
    forgotten.expect("it is forgotten");
    session
}

fn wrong(home: &Path) -> String {
    let checked = check(home).expect("the database can be read");
    checked.wrong.expect("something is wrong")
}

/// Changes the only place of a file where these bytes stand.
fn change_bytes(path: &Path, from: &[u8], to: &[u8]) {
    let mut bytes = fs::read(path).expect("the file is read");
    let found: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert_eq!(found.len(), 1, "it stands in one place");
    bytes[found[0]..found[0] + to.len()].copy_from_slice(to);
    fs::write(path, bytes).expect("the file is written");
}

#[tokio::test]
async fn what_a_full_disk_refused_is_written_when_there_is_room_and_nothing_is_lost() {
    let home = folder();
    let config = StoreConfig {
        database_bytes_max: 2 << 20,
        ..StoreConfig::new(home.path())
    };
    let store = open(&config).await.expect("the home opens");
    let session = SessionId::new();
    say(&store, session, "kept").await.expect("there is room");
    let filler = vec![b'x'; 1 << 20];
    let filled = store
        .records()
        .commit(change("filler", Some(&filler)))
        .await;
    filled.expect("there is room");

    let large = "y".repeat(1 << 20);
    let refused = say(&store, session, &large).await.expect_err("no room");
    assert!(refused.to_string().contains("free space"), "{refused}");
    for _ in 0..3 {
        let refused = say(&store, session, "unwritten")
            .await
            .expect_err("no room");
        assert!(refused.to_string().contains("free space"), "{refused}");
    }
    let freed = store.records().commit(change("filler", None)).await;
    freed.expect("what makes room is done although the journal can't be written");

    say(&store, session, "later")
        .await
        .expect("there is room again");
    let expected = format!("kept {large} unwritten unwritten unwritten later");
    assert_eq!(told(&store).await, expected);
    drop(store);
    assert_eq!(told(&open_at(home.path()).await).await, expected);
    assert_eq!(check(home.path()).expect("it is read").wrong, None);
}

#[tokio::test]
async fn m9_forgetting_leaves_the_chain_whole_and_nothing_to_guess_from() {
    let home = folder();
    lived_in(home.path()).await;
    let checked = check(home.path()).expect("the database can be read");
    assert_eq!(checked.wrong, None);
    assert_eq!((checked.links, checked.rewritten), (4, 1));
    // With the store open, as an engine has it.
    let store = open_at(home.path()).await;
    say(&store, SessionId::new(), "more").await.expect("kept");
    let later = check(home.path()).expect("the database can be read");
    assert_eq!((later.links, later.wrong), (5, None));
    assert_ne!(later.newest, checked.newest);
}

#[tokio::test]
async fn m9_a_flipped_byte_a_removed_row_and_a_swapped_one_are_found() {
    let home = folder();
    lived_in(home.path()).await;
    let database = home.path().join("titanclaw.db");
    let good = fs::read(&database).expect("the file is read");

    change_bytes(&database, b"third words", b"third Words");
    let told = wrong(home.path());
    assert!(
        told.contains("link 3") && told.contains("were changed"),
        "{told}"
    );
    assert!(told.contains("titanclaw restore"), "{told}");

    for (meddle, expected) in [
        ("DELETE FROM journal WHERE first_seq = 3", "are gone"),
        ("DELETE FROM chain WHERE number = 2", "is missing"),
        (
            "UPDATE journal SET first_seq = 9 WHERE first_seq = 3",
            "are gone",
        ),
        (
            "UPDATE chain SET salt = NULL WHERE number = 3",
            "no link of the chain vouches",
        ),
        (
            "UPDATE chain SET content = (SELECT content FROM chain WHERE number = 1) WHERE number = 3",
            "does not follow",
        ),
        (
            "INSERT INTO journal SELECT 9, 9, session, entries, 3 FROM journal WHERE first_seq = 3",
            "no link of the chain vouches",
        ),
    ] {
        fs::write(&database, &good).expect("the file is written");
        let meddler = libsql::Builder::new_local(&database).build().await;
        let meddler = meddler.expect("it opens").connect().expect("it connects");
        meddler.execute(meddle, ()).await.expect(meddle);
        drop(meddler);
        let told = wrong(home.path());
        assert!(told.contains(expected), "{meddle}: {told}");
    }
}

#[tokio::test]
async fn a_home_of_schema_1_is_brought_up_to_date_with_all_it_held() {
    let home = folder();
    let database = home.path().join("titanclaw.db");
    fs::write(&database, SCHEMA_1).expect("the fixture is written");
    let Err(StorageError::Incompatible(old)) = check(home.path()) else {
        panic!("looking on does not upgrade");
    };
    assert!(old.contains("has schema 1"), "{old}");

    let store = open_at(home.path()).await;
    let told_before = told(&store).await;
    for part in ["write the note", "kept from schema 1", "turn_ended"] {
        assert!(told_before.contains(part), "{told_before}");
    }
    let checked = check(home.path()).expect("the database can be read");
    assert_eq!((checked.links, checked.wrong), (2, None));
    say(&store, SessionId::new(), "goes on")
        .await
        .expect("kept");
    drop(store);
    assert!(told(&open_at(home.path()).await).await.ends_with("goes on"));
    change_bytes(&database, b"session_started", b"session_Started");
    assert!(wrong(home.path()).contains("link 1"));
}

#[tokio::test]
async fn a_home_of_a_newer_schema_is_refused_and_left_as_it_is() {
    let home = folder();
    lived_in(home.path()).await;
    let database = home.path().join("titanclaw.db");
    let meddler = libsql::Builder::new_local(&database).build().await;
    let meddler = meddler.expect("it opens").connect().expect("it connects");
    let newer = "INSERT INTO migration VALUES (99, 'of the future', '9.9.9')";
    meddler.execute(newer, ()).await.expect("a row");
    drop(meddler);
    let before = fs::read(&database).expect("the file is read");
    let Err(StorageError::Incompatible(why)) = open(&StoreConfig::new(home.path())).await else {
        panic!("a newer home is not opened");
    };
    assert!(why.contains("written by titanclaw 9.9.9"), "{why}");
    assert!(why.contains("update titanclaw"), "{why}");
    assert!(before == fs::read(&database).expect("it is still there"));
}

#[tokio::test]
async fn g32_a_backup_of_an_open_home_makes_an_equal_one_closed_to_others() {
    let (home, other) = (folder(), folder());
    lived_in(home.path()).await;
    let store = open_at(home.path()).await;
    say(&store, SessionId::new(), "just said")
        .await
        .expect("kept");
    let secrets = store.secrets("person");
    let key = secrecy::SecretString::from("sk-sealed-4711");
    secrets.put("key", None, key).await.expect("it is sealed");
    fs::write(home.path().join("config.toml"), "# mine\n").expect("a file");

    let file = other.path().join("backup.tar");
    let manifest = backup(home.path(), &file, &["config.toml", "trust"], false);
    let manifest = manifest.expect("it is written");
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&file), 0o600);
    assert_eq!(
        fs::read_dir(other.path()).expect("listed").count(),
        1,
        "nothing else is left"
    );
    let paths: Vec<&str> = manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(paths[..2], ["titanclaw.db", "config.toml"]);
    assert!(
        paths[2].starts_with("blobs/") && paths.len() == 3,
        "{paths:?}"
    );
    assert!(!manifest.has_key && manifest.damaged.is_empty());
    let again = backup(home.path(), &file, &[], false).expect_err("it is there already");
    assert!(again.to_string().contains("name another"), "{again}");

    let made = other.path().join("home");
    let restored = restore(&file, &made, false).expect("it is restored");
    assert_eq!((restored.manifest, restored.set_aside), (manifest, None));
    assert_eq!(
        (mode(&made), mode(&made.join("titanclaw.db"))),
        (0o700, 0o600)
    );
    assert_eq!(mode(&made.join("blobs")), 0o700);
    let twin = open_at(&made).await;
    assert_eq!(told(&twin).await, told(&store).await);
    assert_eq!(check(&made).expect("it is read").wrong, None);
    let large = titan_protocol::BlobId::of(&vec![b'b'; 100 << 10]);
    assert!(
        twin.blobs()
            .get(&large)
            .await
            .expect("it is read")
            .is_some()
    );
    let sealed = twin.secrets("person").get("key").await;
    assert!(sealed.is_err(), "the key is not in the backup");
}

#[tokio::test]
async fn a_backup_that_was_cut_or_changed_anywhere_is_refused() {
    let (home, other) = (folder(), folder());
    lived_in(home.path()).await;
    let file = other.path().join("backup.tar");
    backup(home.path(), &file, &[], false).expect("it is written");
    let whole = fs::read(&file).expect("the file is read");
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).expect("the file is written");
        let made = other.path().join("home");
        let Err(StorageError::Incompatible(why)) = restore(&file, &made, false) else {
            panic!("it is refused");
        };
        assert!(why.contains("cut short or changed"), "{why}");
        assert!(!made.exists(), "nothing was touched");
    };
    for n_kept in [0, 1, 511, 2048, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..n_kept]);
    }
    let step = whole.len() / 97;
    let last = whole.len() - 1;
    for at in (0..whole.len())
        .step_by(step)
        .chain([last, last - 1024, last - 1500, last - 2040])
    {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        refused(&changed);
    }
    let mut longer = whole.clone();
    longer.push(0);
    refused(&longer);
}

#[tokio::test]
async fn a_home_in_use_is_set_aside_only_when_that_is_asked_for_and_its_key_goes_on() {
    let (home, other) = (folder(), folder());
    let home = home.path().join("home");
    fs::create_dir(&home).expect("a folder");
    let store = open_at(&home).await;
    let secrets = store.secrets("person");
    let key = secrecy::SecretString::from("sk-sealed-4711");
    secrets.put("key", None, key).await.expect("it is sealed");
    let session = SessionId::new();
    say(&store, session, "before").await.expect("kept");
    let file = other.path().join("backup.tar");
    backup(&home, &file, &[], false).expect("it is written");
    say(&store, session, "after").await.expect("kept");

    let Err(StorageError::Locked(_)) = restore(&file, &home, true) else {
        panic!("a home that an engine owns is left alone");
    };
    drop((store, secrets));
    let refused = restore(&file, &home, false).expect_err("something is in it");
    assert!(refused.to_string().contains("--force"), "{refused}");
    assert_eq!(told(&open_at(&home).await).await, "before after");

    let restored = restore(&file, &home, true).expect("it is restored");
    let aside = restored.set_aside.expect("the old home is kept");
    assert!(restored.key_was_kept);
    assert_eq!(told(&open_at(&aside).await).await, "before after");
    let store = open_at(&home).await;
    assert_eq!(told(&store).await, "before");
    let sealed = store.secrets("person").get("key").await.expect("it opens");
    assert!(sealed.is_some());
}
