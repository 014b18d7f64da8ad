//! Homes whose store is on a PostgreSQL server: each command is a process, so that nothing lasts but what is stored.

use crate::{Done, Place};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use titan_testkit::postgres::{Installed, PostgresServer};
use titan_testkit::server::{Reply, Script, ScriptServer, Wire};

fn run(place: &Place, arguments: &[&str]) -> Done {
    let done = place.run(arguments);
    assert_eq!(done.exit, Some(0), "{arguments:?}: {done:?}");
    done
}

/// The line of one of the doctor's checks, as JSON.
fn doctor(place: &Place, name: &str) -> Value {
    let done = place.run(&["doctor", "--json"]);
    let said: Value = serde_json::from_str(&done.out).expect("JSON");
    let checks = said["checks"].as_array().expect("checks").clone();
    let found = checks.into_iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("a check {name}: {done:?}"))
}

#[test]
fn what_is_stored_goes_to_a_server_and_home_again() {
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let (place, address) = (Place::new(), postgres.database());
    run(&place, &["memory", "add", "My favourite editor is Helix."]);
    let moved = run(&place, &["store", "migrate", "--to", &address]);
    assert!(
        moved.err.contains("titanclaw config set store.url"),
        "{moved:?}"
    );
    let again = place.run(&["store", "migrate", "--to", &address]);
    assert!(again.err.contains("holds a store already"), "{again:?}");

    run(&place, &["config", "set", "store.url", &address]);
    run(&place, &["memory", "add", "The build needs clang."]);
    let found = run(&place, &["memory", "search", "favourite editor"]);
    assert!(found.out.contains("Helix"), "{found:?}");
    let store = doctor(&place, "store");
    // The test's server flushes nothing.
    assert_eq!(store["verdict"], "warning", "{store}");
    assert!(store.to_string().contains("version 15"), "{store}");
    let journal = doctor(&place, "journal");
    assert_eq!(journal["verdict"], "fine", "{journal}");

    let file = place.folder.path().join("backup.tar");
    let refused = place.run(&["backup", &file.display().to_string()]);
    assert_eq!(refused.exit, Some(1));
    assert!(refused.err.contains("pg_dump"), "{refused:?}");
    assert!(!file.exists());

    let taken = place.run(&["store", "migrate", "--to", "home"]);
    assert!(taken.err.contains("holds a store already"), "{taken:?}");
    for name in ["titanclaw.db", "titanclaw.db-wal", "titanclaw.db-shm"] {
        let gone = fs::remove_file(place.home().join(name));
        assert!(gone.is_ok() || name != "titanclaw.db", "{gone:?}");
    }
    run(&place, &["store", "migrate", "--to", "home"]);
    run(&place, &["config", "unset", "store.url"]);
    drop(postgres);
    let found = run(&place, &["memory", "search", "what does the build need?"]);
    assert!(found.out.contains("clang"), "{found:?}");
    assert_eq!(doctor(&place, "journal")["verdict"], "fine");
}

#[test]
fn a_server_that_can_not_be_used_is_told_in_words_without_its_password() {
    let place = Place::new().with("NOTES_PASSWORD", "hunter2hunter2");
    let config = |text: &str| place.write("home/config.toml", text);
    let refused = |words: &str| {
        let done = place.run(&["sessions", "list"]);
        assert_eq!(done.exit, Some(1), "{done:?}");
        assert!(done.err.contains(words), "{words}: {done:?}");
        assert!(!done.err.contains("hunter2"), "{done:?}");
    };
    config(
        "[store]\nurl = \"postgres://me@127.0.0.1:9/notes\"\npassword_env = \"NOTES_PASSWORD\"\n",
    );
    refused("PostgreSQL at 127.0.0.1:9/notes can't be reached");
    assert_eq!(doctor(&place, "store")["verdict"], "wrong");
    config("[store]\nurl = \"postgres://me@127.0.0.1:9/notes\"\npassword_env = \"NO_SUCH_NAME\"\n");
    refused("the variable NO_SUCH_NAME, which store.password_env names, is not set");
    config("[store]\nurl = \"postgres://me:hunter2@127.0.0.1:9/notes\"\n");
    refused("holds a password");
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_of_two_homes_share_a_database_and_no_event_is_lost_or_doubled() {
    const ASKS: usize = 4;
    let Some(postgres) = PostgresServer::start(Installed::Plain) else {
        return;
    };
    let address = postgres.database();
    let replies = (0..2 * ASKS + 1).map(|_| Reply::text("an answer"));
    let server = ScriptServer::start(Wire::Chat, Script::replies(replies.collect::<Vec<_>>()));
    let server = server.expect("a server on loopback");
    let config = format!(
        "[models]\nchat = \"scripted/m\"\n[[providers]]\nname = \"scripted\"\nkind = \"compatible\"\n\
         base_url = \"{}/v1\"\n[store]\nurl = \"{address}\"\n",
        server.base_url()
    );
    let places = [Place::new(), Place::new()];
    for place in &places {
        place.write("home/config.toml", &config);
    }
    let asked = |place: &Place| -> Vec<u64> {
        let mut seqs = Vec::new();
        for _ in 0..ASKS {
            let done = run(place, &["ask", "--json", "well?"]);
            for line in done.out.lines() {
                let record: Value = serde_json::from_str(line).expect("a record");
                seqs.push(record["seq"].as_u64().expect("a place"));
            }
        }
        seqs
    };
    let seqs = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let engines = places.each_ref().map(|place| scope.spawn(|| asked(place)));
            engines
                .map(|engine| engine.join().expect("an engine"))
                .concat()
        })
    });
    let places_given: BTreeSet<u64> = seqs.iter().copied().collect();
    assert_eq!(places_given.len(), seqs.len(), "no place is given twice");

    let stored = "SELECT last_seq, (SELECT sum(json_array_length(convert_from(entries, 'UTF8')::json)) \
                  FROM titanclaw.journal) FROM titanclaw.journal_end";
    let stored = postgres.psql(&address, stored);
    let (last, n_events) = stored.split_once('|').expect("two numbers");
    assert_eq!(last, n_events, "places have no gaps");
    for place in &places {
        assert_eq!(sessions(place).len(), 2 * ASKS);
        assert_eq!(doctor(place, "journal")["verdict"], "fine");
    }
    // One goes on where the other began.
    let session = sessions(&places[0])[0]["session"].clone();
    let on = [
        "ask",
        "-q",
        "--session",
        session.as_str().expect("an id"),
        "and then?",
    ];
    let done = tokio::task::block_in_place(|| run(&places[1], &on));
    assert_eq!(done.out, "an answer\n");
}

fn sessions(place: &Place) -> Vec<Value> {
    let listed = run(place, &["sessions", "list", "--json"]);
    let lines = listed.out.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}
