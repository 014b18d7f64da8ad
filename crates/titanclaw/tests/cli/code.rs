//! `titanclaw code` on a real folder: each command is a process of its own, which starts with what another kept.

use crate::{Done, Place};
use expect_test::{Expect, expect};

const APP: &str = "\
from store import Store

def main():
    store = Store()
    store.save(1)

def test_main():
    main()
";
const STORE: &str = "\
class Store:
    \"\"\"Keeps numbers.\"\"\"

    def save(self, number):
        self.write(number)

    def write(self, number):
        print(number)
";

fn place() -> Place {
    let place = Place::new();
    place.write("work/app.py", APP);
    place.write("work/store.py", STORE);
    place.write("work/.secret.py", "def hidden(): pass\n");
    place.write("work/photo.bin", "\0");
    place
}

fn code(place: &Place, arguments: &[&str]) -> Done {
    let done = place.run(&[&["code"], arguments].concat());
    assert_eq!(done.exit, Some(0), "{arguments:?}: {done:?}");
    done
}

fn check(place: &Place, arguments: &[&str], expected: Expect) {
    expected.assert_eq(&code(place, arguments).out);
}

#[test]
fn a_folder_is_read_and_asked_about() {
    let place = place();
    check(
        &place,
        &["index"],
        expect![[r#"
        2 files, 16 lines, 5 symbols, 5 uses; 3 changed
        read: python 2
        passed over: unknown language 1
    "#]],
    );
    check(
        &place,
        &["symbol", "save"],
        expect![[r#"
        store.py:4-5 method Store.save: def save(self, number)
    "#]],
    );
    check(
        &place,
        &["symbol", "app.py:4"],
        expect![[r#"
        app.py:3-5 function main: def main()
    "#]],
    );
    check(
        &place,
        &["callers", "Store.write"],
        expect![[r#"
        of store.py:7 method Store.write
        store.py:5 Store.save calls it
    "#]],
    );
    check(
        &place,
        &["callees", "main"],
        expect![[r#"
        of app.py:3 function main
        app.py:5 calls Store.save (store.py:4)
        app.py:4 makes Store (store.py:1)
    "#]],
    );
    check(
        &place,
        &["impact", "write"],
        expect![[r#"
        of store.py:7 method Store.write
        store.py:4 Store.save uses Store.write, 1 away
        app.py:3 main uses Store.save, 2 away
        app.py:7 test_main (test) uses main, 3 away
        [in 2 files]
    "#]],
    );
    check(
        &place,
        &["map", "--tokens", "60"],
        expect![[r#"
            store.py -- Store: Keeps numbers. [number, store, save, write]
                1  class Store
                4    def save(self, number)
                7    def write(self, number)
            app.py
                3  def main()
        "#]],
    );
    check(
        &place,
        &["search", "keeping", "numbers"],
        expect![[r#"
            store.py -- Store: Keeps numbers. [number, store, save, write]
        "#]],
    );
    check(
        &place,
        &["search", "nothing of this"],
        expect![[r#"
        [no file is about that]
    "#]],
    );
    check(
        &place,
        &["map", "--about", "main", "--tokens", "60"],
        expect![[r#"
            app.py -- defines main [app, store]
                3  def main()
            store.py -- Store: Keeps numbers.
                1  class Store
                4    def save(self, number)
                7    def write(self, number)
        "#]],
    );
    check(
        &place,
        &["map", "--about", "zebras"],
        expect![[r#"
        [no file is about that]
    "#]],
    );
    check(
        &place,
        &["callers", "hidden"],
        expect![[r#"
        [nothing is called so]
    "#]],
    );
}

#[test]
fn what_changes_is_seen_by_the_next_question() {
    let place = place();
    code(&place, &["index"]);
    place.write(
        "work/app.py",
        &APP.replace("store.save(1)", "store.write(1)"),
    );
    let about = code(&place, &["search", "numbers"]);
    assert!(
        about.out.starts_with("store.py -- Store: Keeps"),
        "{about:?}"
    );
    place.write("work/app.py", &format!("# Counts numbers.\n\n{APP}"));
    let about = code(&place, &["search", "counting numbers"]);
    assert!(
        about.out.starts_with("app.py -- Counts numbers."),
        "{about:?}"
    );
    place.write(
        "work/app.py",
        &APP.replace("store.save(1)", "store.write(1)"),
    );
    let callers = code(&place, &["callers", "write"]);
    assert!(
        callers.out.contains("app.py:5 main calls it"),
        "{callers:?}"
    );
    let summary = code(&place, &["index", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&summary.out).expect("JSON");
    assert_eq!((&told["files"], &told["symbols"]), (&2.into(), &5.into()));
}

#[test]
fn answers_come_as_json_and_a_folder_that_is_not_there_is_named() {
    let place = place();
    let found = code(&place, &["callers", "write", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&found.out).expect("JSON");
    assert_eq!(told["of"][0]["name"], "Store.write");
    assert_eq!(told["uses"][0]["symbol"]["name"], "Store.save");
    assert_eq!(told["uses"][0]["line"], 5);
    let found = code(&place, &["search", "numbers", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&found.out).expect("JSON");
    assert_eq!(told[0]["path"], "store.py");
    assert_eq!(told[0]["summary"], "Store: Keeps numbers.");
    assert_eq!(told[0]["tags"][0], "number");
    let map = code(&place, &["map", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&map.out).expect("JSON");
    assert!(
        told["map"]
            .as_str()
            .is_some_and(|map| map.contains("class Store"))
    );
    let failed = place.fails(&["code", "--folder", "nowhere", "index"]);
    assert!(failed.contains("nowhere is not there"), "{failed}");
}
