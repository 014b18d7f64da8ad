//! Migrations: a numbered list, each with a checksum that is kept in the store.
//!
//! A released migration is never edited. A store that is newer than this program, or that was made by an edited
//! migration, is refused before anything in it changes.

use crate::chain;
use crate::sql::{Sql, integer, text};
use std::ops::ControlFlow;
use titan_protocol::StorageError;

/// A step of the schema. Its number is its place in the list, from 1.
#[derive(Clone, Copy)]
pub(crate) struct Migration {
    sql: &'static str,
    /// What SQL can't say of it, in the same transaction.
    then: fn(&Sql) -> Result<(), StorageError>,
}

/// All of them, oldest first.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("schema/1.sql"),
        then: |_| Ok(()),
    },
    Migration {
        sql: include_str!("schema/2.sql"),
        then: chain::adopt,
    },
    Migration {
        sql: include_str!("schema/3.sql"),
        then: |_| Ok(()),
    },
];

const LEDGER: &str = "CREATE TABLE migration (
    number INTEGER PRIMARY KEY, checksum TEXT NOT NULL, applied_by TEXT NOT NULL
) STRICT";

/// Brings the store up to the last migration. Writes nothing when it is there already.
pub(crate) fn migrate(sql: &Sql, migrations: &[Migration]) -> Result<(), StorageError> {
    let n_applied = known(sql, migrations)?;
    if n_applied == migrations.len() {
        return Ok(());
    }
    sql.script("BEGIN IMMEDIATE")?;
    apply(sql, migrations, n_applied)
        .and_then(|()| sql.script("COMMIT"))
        .inspect_err(|_| {
            // The error is what the caller reads; a rollback that fails too leaves the file as it was all the same.
            let _rolled_back = sql.script("ROLLBACK");
        })
}

/// Refuses a store that has not the last migration yet.
pub(crate) fn must_be_current(sql: &Sql, migrations: &[Migration]) -> Result<(), StorageError> {
    let n_applied = known(sql, migrations)?;
    if n_applied == migrations.len() {
        return Ok(());
    }
    Err(StorageError::Incompatible(format!(
        "the store has schema {n_applied} and is brought up to schema {} when an engine opens it: start one with this \
         titanclaw first (titanclaw daemon stop; titanclaw sessions list)",
        migrations.len()
    )))
}

/// How many of the migrations the store has, if they are these.
fn known(sql: &Sql, migrations: &[Migration]) -> Result<usize, StorageError> {
    let scripts: Vec<&str> = migrations.iter().map(|migration| migration.sql).collect();
    n_known(&applied(sql)?, &scripts)
}

/// How many of these scripts a store has, if what was applied to it, each with the program's version, is these.
pub(crate) fn n_known(
    applied: &[(String, String)],
    scripts: &[&str],
) -> Result<usize, StorageError> {
    if applied.len() > scripts.len() {
        let (_, by) = &applied[applied.len() - 1];
        return Err(StorageError::Incompatible(format!(
            "the store has schema {}, written by titanclaw {by}; this is titanclaw {}, which knows schema {} at most: \
             update titanclaw, or choose another home with `--home`",
            applied.len(),
            env!("CARGO_PKG_VERSION"),
            scripts.len()
        )));
    }
    for (idx, (checksum, by)) in applied.iter().enumerate() {
        if *checksum != checksum_of(scripts[idx]) {
            return Err(StorageError::Incompatible(format!(
                "schema {} of the store was made by another build (titanclaw {by}) and differs from this one's: \
                 use the build that made it, or choose another home with `--home`",
                idx + 1
            )));
        }
    }
    Ok(applied.len())
}

fn applied(sql: &Sql) -> Result<Vec<(String, String)>, StorageError> {
    let has_ledger = sql.first(
        "SELECT 1 FROM sqlite_schema WHERE name = 'migration'",
        (),
        |row| integer(row, 0),
    )?;
    let mut applied = Vec::new();
    if has_ledger.is_some() {
        let list = "SELECT checksum, applied_by FROM migration ORDER BY number";
        sql.rows(list, (), |row| {
            applied.push((text(row, 0)?, text(row, 1)?));
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(applied)
}

fn apply(sql: &Sql, migrations: &[Migration], done: usize) -> Result<(), StorageError> {
    if done == 0 {
        sql.script(LEDGER)?;
    }
    for (idx, migration) in migrations.iter().enumerate().skip(done) {
        sql.script(migration.sql)?;
        (migration.then)(sql)?;
        sql.execute(
            "INSERT INTO migration VALUES (?1, ?2, ?3)",
            (
                idx as i64 + 1,
                checksum_of(migration.sql),
                env!("CARGO_PKG_VERSION"),
            ),
        )?;
    }
    Ok(())
}

pub(crate) fn checksum_of(sql: &str) -> String {
    blake3::hash(sql.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::HomeLock;
    use std::path::Path;

    fn open(home: &Path) -> Sql {
        let lock = HomeLock::acquire(home).expect("the home is free");
        let right = lock.take_writer().expect("nobody writes yet");
        Sql::writer(&home.join("t.db"), right, 1 << 30).expect("a database opens")
    }

    fn incompatible(result: Result<(), StorageError>) -> String {
        match result {
            Err(StorageError::Incompatible(text)) => text,
            other => panic!("it is refused as incompatible, not {other:?}"),
        }
    }

    const SECOND: Migration = Migration {
        sql: "ALTER TABLE record ADD COLUMN note TEXT;
              UPDATE record SET note = 'kept ' || CAST(key AS TEXT)",
        then: |_| Ok(()),
    };

    #[test]
    fn a_store_of_schema_1_is_upgraded_with_its_content() {
        let home = tempfile::tempdir().expect("a folder");
        let sql = open(home.path());
        migrate(&sql, &MIGRATIONS[..1]).expect("a fresh store is made");
        sql.execute("INSERT INTO record VALUES (x'61', x'62', 1, x'63')", ())
            .expect("schema 1 takes a record");
        drop(sql);

        let sql = open(home.path());
        migrate(&sql, &[MIGRATIONS[0], SECOND]).expect("an older store is upgraded");
        let note = sql.first("SELECT note FROM record", (), |row| text(row, 0));
        assert_eq!(note.expect("it is there"), Some("kept b".to_owned()));
        migrate(&sql, &[MIGRATIONS[0], SECOND]).expect("what is up to date stays");

        let text = incompatible(migrate(&sql, &MIGRATIONS[..1]));
        assert!(text.contains("has schema 2"), "{text}");
        assert!(text.contains("update titanclaw"), "{text}");
    }

    #[test]
    fn an_edited_migration_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let sql = open(home.path());
        migrate(&sql, MIGRATIONS).expect("a fresh store is made");
        let edited = Migration {
            sql: "CREATE TABLE journal (other TEXT)",
            then: |_| Ok(()),
        };
        let text = incompatible(migrate(&sql, &[&[edited], &MIGRATIONS[1..]].concat()));
        assert!(text.contains("schema 1 of the store was made by another build"));
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let sql = open(home.path());
        migrate(&sql, MIGRATIONS).expect("a fresh store is made");
        let broken = Migration {
            sql: "CREATE TABLE half (n INTEGER); CREATE TABLE journal (n INTEGER)",
            then: |_| Ok(()),
        };
        let refused = migrate(&sql, &[MIGRATIONS, &[broken]].concat());
        assert!(refused.is_err(), "a table can't be made twice");
        let half = sql.first(
            "SELECT 1 FROM sqlite_schema WHERE name = 'half'",
            (),
            |row| integer(row, 0),
        );
        assert_eq!(half.expect("the schema is read"), None);
        migrate(&sql, MIGRATIONS).expect("the store is as it was");
    }

    #[test]
    fn reopening_writes_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        migrate(&open(home.path()), MIGRATIONS).expect("a fresh store is made");
        let path = home.path().join("t.db");
        let before = std::fs::read(&path).expect("the file is there");
        migrate(&open(home.path()), MIGRATIONS).expect("it is up to date");
        assert!(before == std::fs::read(&path).expect("it is still there"));
    }
}
