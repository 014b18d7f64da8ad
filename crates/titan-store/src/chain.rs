//! The chain over the journal: whoever changes, moves or removes what happened leaves a broken link.
//!
//! Every write of a journal row adds a link in the same transaction: the hash of the link before it and of what the row
//! holds now. All of the journal is chained, effects and their approvals with the rest, over the whole home. To forget
//! is a write like another: the row's new content gets a new link, and the old link stays without its salt, so that the
//! chain holds and nobody can find out by guessing what was forgotten.
//!
//! What a chain can't tell: that its newest links were cut off together with their rows, or that somebody who may write
//! the database has made all of it anew. A backup's manifest holds the newest link of its day, to compare with.

use crate::schema::{self, MIGRATIONS};
use crate::sql::{Sql, bytes, integer, optional_bytes, text};
use rand::TryRng;
use rand::rngs::SysRng;
use std::ops::ControlFlow;
use std::path::Path;
use titan_protocol::StorageError;

const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// Journal rows that are chained at one time when a store is upgraded.
const ADOPTED_MAX: i64 = 256;

pub(crate) type Hash = [u8; HASH_BYTES];

/// The end of the chain, in one transaction.
pub(crate) struct Chain {
    number: i64,
    link: Hash,
}

/// What a journal row holds, as it is hashed.
#[derive(Clone, Copy)]
pub(crate) struct RowContent<'a> {
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) session: &'a str,
    pub(crate) entries: &'a [u8],
}

impl Chain {
    /// Where the chain ends now.
    pub(crate) fn end(sql: &Sql) -> Result<Self, StorageError> {
        let newest = "SELECT number, link FROM chain ORDER BY number DESC LIMIT 1";
        let end = sql.first(newest, (), |row| {
            Ok(Self {
                number: integer(row, 0)?,
                link: hash(bytes(row, 1)?)?,
            })
        })?;
        Ok(end.unwrap_or(Self {
            number: 0,
            link: [0; HASH_BYTES],
        }))
    }

    /// The newest link, in hex.
    pub(crate) fn link(&self) -> String {
        hex(&self.link)
    }

    /// A chain that ends with this link.
    pub(crate) fn at(number: i64, link: Hash) -> Self {
        Self { number, link }
    }

    /// The number and the hash of its last link.
    pub(crate) fn place(&self) -> (i64, Hash) {
        (self.number, self.link)
    }

    /// Makes the link of a row that is being written. The caller stores it in the row's own transaction.
    pub(crate) fn next(&mut self, row: RowContent<'_>) -> Result<Link, StorageError> {
        let mut salt = [0; SALT_BYTES];
        SysRng.try_fill_bytes(&mut salt).map_err(|error| {
            StorageError::Failed(format!("the system gives no randomness: {error}"))
        })?;
        let content = content_hash(&salt, row);
        self.number += 1;
        self.link = link_hash(&self.link, self.number, row.first_seq, &content);
        Ok(Link {
            number: self.number,
            first_seq: row.first_seq,
            salt: Some(salt.to_vec()),
            content,
            link: self.link,
        })
    }

    /// Adds the link of a row that is being written, and gives its number.
    pub(crate) fn add(&mut self, sql: &Sql, row: RowContent<'_>) -> Result<i64, StorageError> {
        let link = self.next(row)?;
        insert(sql, &link)?;
        Ok(link.number)
    }
}

/// A link as it is stored.
pub(crate) struct Link {
    pub(crate) number: i64,
    pub(crate) first_seq: i64,
    /// Gone where another link vouches for the row by now.
    pub(crate) salt: Option<Vec<u8>>,
    pub(crate) content: Hash,
    pub(crate) link: Hash,
}

/// Stores a link.
pub(crate) fn insert(sql: &Sql, link: &Link) -> Result<(), StorageError> {
    sql.execute(
        "INSERT INTO chain (number, first_seq, salt, content, link) VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            link.number,
            link.first_seq,
            link.salt.clone(),
            link.content.to_vec(),
            link.link.to_vec(),
        ),
    )?;
    Ok(())
}

/// Lets a link no longer vouch for a row, since another one does.
pub(crate) fn release(sql: &Sql, number: i64) -> Result<(), StorageError> {
    sql.execute("UPDATE chain SET salt = NULL WHERE number = ?1", [number])?;
    Ok(())
}

/// Chains the rows of a store that had no chain.
pub(crate) fn adopt(sql: &Sql) -> Result<(), StorageError> {
    let mut chain = Chain::end(sql)?;
    let mut after = -1;
    loop {
        let mut rows = Vec::new();
        sql.rows(
            "SELECT first_seq, last_seq, session, entries FROM journal \
             WHERE first_seq > ?1 ORDER BY first_seq LIMIT ?2",
            [after, ADOPTED_MAX],
            |row| {
                rows.push((
                    integer(row, 0)?,
                    integer(row, 1)?,
                    text(row, 2)?,
                    bytes(row, 3)?,
                ));
                Ok(ControlFlow::Continue(()))
            },
        )?;
        let Some((last, ..)) = rows.last() else {
            return Ok(());
        };
        after = *last;
        for (first_seq, last_seq, session, entries) in &rows {
            let content = RowContent {
                first_seq: *first_seq,
                last_seq: *last_seq,
                session,
                entries,
            };
            let number = chain.add(sql, content)?;
            sql.execute(
                "UPDATE journal SET vouched = ?2 WHERE first_seq = ?1",
                (*first_seq, number),
            )?;
        }
    }
}

/// What was found of a home's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Links of the chain.
    pub links: u64,
    /// Those whose row was written anew since, because something in it was forgotten.
    pub rewritten: u64,
    /// The newest link, in hex.
    pub newest: String,
    /// The first thing that is wrong, with what to do; the figures count up to it.
    pub wrong: Option<String>,
}

/// Checks the database of a home: its pages, and every link of the chain over the journal. Changes nothing, and may be
/// done while an engine owns the home. Blocks; reads the whole journal.
///
/// # Errors
/// When the database is not there, can't be read or is of another schema than this program's.
pub fn check(home: &Path) -> Result<Checked, StorageError> {
    let sql = Sql::onlooker(&home.join("titanclaw.db"))?;
    // One transaction: rows and links as they were at one moment.
    sql.script("BEGIN")?;
    schema::must_be_current(&sql, MIGRATIONS)?;
    let mut checked = walk(&sql)?;
    if checked.wrong.is_none() {
        checked.wrong = damaged_page(&sql)?.or(unvouched(&sql)?);
    }
    Ok(checked)
}

pub(crate) fn walk(sql: &Sql) -> Result<Checked, StorageError> {
    let mut walk = Walk::default();
    sql.rows(
        "SELECT chain.number, chain.first_seq, salt, content, link, last_seq, session, entries \
         FROM chain LEFT JOIN journal ON journal.first_seq = chain.first_seq AND vouched = chain.number \
         ORDER BY chain.number",
        (),
        |row| {
            let link = Link {
                number: integer(row, 0)?,
                first_seq: integer(row, 1)?,
                salt: optional_bytes(row, 2)?,
                content: hash(bytes(row, 3)?)?,
                link: hash(bytes(row, 4)?)?,
            };
            let Some(entries) = optional_bytes(row, 7)? else {
                return Ok(walk.step(&link, None));
            };
            let vouched = RowContent {
                first_seq: link.first_seq,
                last_seq: integer(row, 5)?,
                session: &text(row, 6)?,
                entries: &entries,
            };
            Ok(walk.step(&link, Some(vouched)))
        },
    )?;
    Ok(walk.checked())
}

/// A look at all links, from the first on, each with the row that it vouches for now.
pub(crate) struct Walk {
    chain: Chain,
    rewritten: u64,
    wrong: Option<String>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            chain: Chain::at(0, [0; HASH_BYTES]),
            rewritten: 0,
            wrong: None,
        }
    }
}

impl Walk {
    /// Looks at the next link; the first that is wrong ends it.
    pub(crate) fn step(&mut self, link: &Link, vouched: Option<RowContent<'_>>) -> ControlFlow<()> {
        let number = self.chain.number + 1;
        let expected = link_hash(&self.chain.link, number, link.first_seq, &link.content);
        let wrong = match &link.salt {
            _ if link.number != number => Some("a link before it is missing"),
            _ if link.link != expected => Some("it does not follow from the one before"),
            Some(salt) => differs(vouched, salt, &link.content),
            None => None,
        };
        if let Some(why) = wrong {
            self.wrong = Some(broken(link.number, link.first_seq, why));
            return ControlFlow::Break(());
        }
        self.rewritten += u64::from(link.salt.is_none());
        self.chain = Chain::at(number, expected);
        ControlFlow::Continue(())
    }

    /// What was found.
    pub(crate) fn checked(self) -> Checked {
        Checked {
            links: self.chain.number as u64,
            rewritten: self.rewritten,
            newest: self.chain.link(),
            wrong: self.wrong,
        }
    }
}

/// Why the journal row that a link vouches for is not what it was, if so.
fn differs(vouched: Option<RowContent<'_>>, salt: &[u8], content: &Hash) -> Option<&'static str> {
    match vouched {
        None => Some("its events are gone"),
        Some(row) if content_hash(salt, row) != *content => Some("its events were changed"),
        Some(_) => None,
    }
}

fn broken(number: i64, first_seq: i64, why: &str) -> String {
    format!(
        "the chain over the journal is broken at link {number} (events from position {first_seq}): {why}. Something \
         besides this program wrote there, or the disk is failing: restore a backup (titanclaw restore FILE)"
    )
}

/// A journal row that no link vouches for.
fn unvouched(sql: &Sql) -> Result<Option<String>, StorageError> {
    let found = sql.first(UNVOUCHED, (), |row| integer(row, 0))?;
    Ok(found.map(not_vouched_for))
}

/// The first position of a journal row that no link vouches for; any database understands it.
pub(crate) const UNVOUCHED: &str = "SELECT first_seq FROM journal WHERE NOT EXISTS (SELECT 1 FROM chain \
    WHERE number = vouched AND chain.first_seq = journal.first_seq AND salt IS NOT NULL) LIMIT 1";

/// What is said of such a row.
pub(crate) fn not_vouched_for(first_seq: i64) -> String {
    format!(
        "no link of the chain vouches for the events from position {first_seq}: something besides this program \
         wrote them. Restore a backup (titanclaw restore FILE)"
    )
}

fn damaged_page(sql: &Sql) -> Result<Option<String>, StorageError> {
    let found = sql.first("PRAGMA quick_check(1)", (), |row| text(row, 0))?;
    Ok(found.filter(|found| found != "ok").map(|found| {
        format!("the database is damaged ({found}): restore a backup (titanclaw restore FILE)")
    }))
}

fn content_hash(salt: &[u8], row: RowContent<'_>) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("titanclaw 2026 journal row");
    for part in [salt, row.session.as_bytes(), row.entries] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(&row.first_seq.to_le_bytes());
    hasher.update(&row.last_seq.to_le_bytes());
    *hasher.finalize().as_bytes()
}

fn link_hash(before: &Hash, number: i64, first_seq: i64, content: &Hash) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("titanclaw 2026 journal link");
    hasher.update(before);
    hasher.update(&number.to_le_bytes());
    hasher.update(&first_seq.to_le_bytes());
    hasher.update(content);
    *hasher.finalize().as_bytes()
}

/// A hash as it is stored.
pub(crate) fn hash(bytes: Vec<u8>) -> Result<Hash, StorageError> {
    bytes.try_into().map_err(|_| {
        StorageError::Incompatible(
            "a link of the chain over the journal is damaged: restore a backup".to_owned(),
        )
    })
}

pub(crate) fn hex(hash: &Hash) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m9_a_link_depends_on_all_before_it_and_on_its_own_place_and_content() {
        let link = link_hash(&[1; 32], 3, 7, &[2; 32]);
        let others = [
            link_hash(&[9; 32], 3, 7, &[2; 32]),
            link_hash(&[1; 32], 4, 7, &[2; 32]),
            link_hash(&[1; 32], 3, 8, &[2; 32]),
            link_hash(&[1; 32], 3, 7, &[9; 32]),
        ];
        assert!(
            !others.contains(&link),
            "who meddles has to forge all that follows"
        );
    }
}
