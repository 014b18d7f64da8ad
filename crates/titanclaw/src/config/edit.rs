//! Changing the config file: comments and order stay, a bad value never reaches it, and the last text that could be
//! used is kept beside it as `config.toml.last-good`.

use super::keys::{self, Kind};
use anyhow::{Context as _, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value};

/// Parses a config's text, comments kept.
///
/// # Errors
/// When it is no TOML; the text says where.
pub(crate) fn document(text: &str) -> anyhow::Result<DocumentMut> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow::anyhow!("line {line} is not TOML: {}", error.message())
    })
}

/// A document read from a file; an empty one when there is none.
///
/// # Errors
/// When it can't be read or is no TOML.
pub(crate) fn read(path: &Path) -> anyhow::Result<DocumentMut> {
    match std::fs::read_to_string(path) {
        Ok(text) => document(&text).with_context(|| format!("{} can't be used", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(DocumentMut::new()),
        Err(error) => Err(error).with_context(|| format!("{} can't be read", path.display())),
    }
}

/// Changes a file: read, changed, checked, written.
///
/// # Errors
/// When the file can't be used or written, or the change is not allowed; the old file then stands.
pub(crate) fn change(
    path: &Path,
    change: impl FnOnce(&mut DocumentMut) -> anyhow::Result<()>,
) -> anyhow::Result<DocumentMut> {
    let mut document = read(path)?;
    change(&mut document)?;
    write(path, &document)?;
    Ok(document)
}

/// Sets a setting from what was typed.
///
/// # Errors
/// When there is no such setting or the value is not allowed.
pub(crate) fn set(document: &mut DocumentMut, path: &str, typed: &str) -> anyhow::Result<()> {
    let key = keys::find(path).map_err(anyhow::Error::msg)?;
    let value = value_of(key.kind, typed)
        .map_err(|allowed| anyhow::anyhow!("`{path}` can't be {typed:?}; it must be {allowed}"))?;
    put(document, path, value)
}

/// Sets a setting to a value that is allowed.
///
/// # Errors
/// When something else than its section is in that one's place.
pub(super) fn put(document: &mut DocumentMut, path: &str, value: Value) -> anyhow::Result<()> {
    let (section, name) = path.split_once('.').unwrap_or(("", path));
    if document.get(section).is_none() {
        document.insert(section, Item::Table(Table::new()));
    }
    let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) else {
        bail!("`{section}` must be a section: [{section}]");
    };
    match table.get_mut(name).and_then(Item::as_value_mut) {
        // The comment behind the old value stays.
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(name, Item::Value(value));
        }
    }
    Ok(())
}

/// Takes a setting out, so that its default holds.
///
/// # Errors
/// When there is no such setting.
pub(crate) fn unset(document: &mut DocumentMut, path: &str) -> anyhow::Result<()> {
    keys::find(path).map_err(anyhow::Error::msg)?;
    if let Some((section, name)) = path.split_once('.')
        && let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut)
    {
        table.remove(name);
    }
    Ok(())
}

/// What a document says of a setting, if it says something.
pub(crate) fn get<'a>(document: &'a DocumentMut, path: &str) -> Option<&'a Value> {
    let (section, name) = path.split_once('.')?;
    document.get(section)?.get(name).and_then(Item::as_value)
}

/// Adds or replaces a `[[providers]]` entry by name.
pub(crate) fn put_provider(
    document: &mut DocumentMut,
    name: &str,
    kind: &str,
    base_url: Option<&str>,
) {
    let mut entry = Table::new();
    entry.insert("name", toml_edit::value(name));
    entry.insert("kind", toml_edit::value(kind));
    if let Some(base_url) = base_url {
        entry.insert("base_url", toml_edit::value(base_url));
    }
    let item = document
        .entry("providers")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(entries) = item.as_array_of_tables_mut() else {
        *item = Item::ArrayOfTables(ArrayOfTables::from_iter([entry]));
        return;
    };
    let old = entries
        .iter()
        .position(|old| old.get("name").and_then(Item::as_str) == Some(name));
    if let Some(old) = old {
        entries.remove(old);
    }
    entries.push(entry);
}

/// What was typed, as a value: numbers, flags and lists as in TOML, texts with or without quotes.
fn value_of(kind: Kind, typed: &str) -> Result<Value, String> {
    let value = match kind {
        Kind::Text | Kind::Address | Kind::Choice(_) => match typed.parse::<Value>() {
            Ok(value) if value.is_str() => value,
            _ => Value::from(typed),
        },
        Kind::Names if !typed.trim_start().starts_with('[') => typed
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect(),
        _ => typed
            .parse()
            .map_err(|_: toml_edit::TomlError| keys::allowed(kind))?,
    };
    keys::check_value(kind, &value).map(|()| value)
}

/// Writes a document: checked first, whole or not at all, readable by this user alone.
///
/// # Errors
/// When a value is not allowed or the file can't be written; the old file then stands.
pub(crate) fn write(path: &Path, document: &DocumentMut) -> anyhow::Result<()> {
    let text = document.to_string();
    super::parse(&text)?;
    keep_good(path)?;
    replace(path, text.as_bytes())
}

/// Keeps a copy of the file beside it, if it can be used; else the copy that is there stays.
///
/// # Errors
/// When the copy can't be written.
pub(crate) fn keep_good(path: &Path) -> anyhow::Result<()> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(());
    };
    let copy = last_good(path);
    let is_kept = std::fs::read_to_string(&copy).is_ok_and(|kept| kept == text);
    match is_kept || super::parse(&text).is_err() {
        true => Ok(()),
        false => replace(&copy, text.as_bytes()),
    }
}

/// Puts the last text that could be used in the place of one that can't, which stays beside it. `None` when there is
/// no such text; nothing is changed then.
///
/// # Errors
/// When a file can't be written.
pub(crate) fn restore(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Ok(text) = std::fs::read_to_string(last_good(path)) else {
        return Ok(None);
    };
    if super::parse(&text).is_err() {
        return Ok(None);
    }
    let broken = path.with_extension("toml.broken");
    let cause = || format!("{} can't be set aside", path.display());
    std::fs::rename(path, &broken).with_context(cause)?;
    replace(path, text.as_bytes())?;
    Ok(Some(broken))
}

/// The copy of the last text that could be used.
pub(crate) fn last_good(path: &Path) -> PathBuf {
    path.with_extension("toml.last-good")
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let cause = || format!("{} can't be written", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".config.toml.{}", std::process::id()));
    let written = write_private(&temporary, bytes)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| std::fs::File::open(folder)?.sync_all())
        .with_context(cause);
    if written.is_err() && temporary.exists() {
        std::fs::remove_file(&temporary).with_context(cause)?;
    }
    written
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_order_survive_a_change() {
        let text = "# mine\n[limits] # all of them\nturn_seconds = 60 # a minute\n\n[display]\n";
        let mut edited = document(text).unwrap();
        set(&mut edited, "limits.turn_seconds", "90").unwrap();
        set(&mut edited, "policy.run", "deny").unwrap();
        set(&mut edited, "routes.chat", "a/b, local").unwrap();
        assert_eq!(
            edited.to_string(),
            "# mine\n[limits] # all of them\nturn_seconds = 90 # a minute\n\n[display]\n\n[policy]\nrun = \"deny\"\n\n[routes]\nchat = [\"a/b\", \"local\"]\n"
        );
        unset(&mut edited, "limits.turn_seconds").unwrap();
        assert!(!edited.to_string().contains("turn_seconds"));
    }

    #[test]
    fn a_bad_value_or_key_changes_nothing() {
        let mut edited = DocumentMut::new();
        let error = set(&mut edited, "limits.turn_seconds", "soon").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`limits.turn_seconds` can't be \"soon\"; it must be a whole number from 5 to 86400"
        );
        let error = set(&mut edited, "limit.turn_seconds", "60").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("did you mean `limits.turn_seconds`")
        );
        assert_eq!(edited.to_string(), "");
    }

    #[test]
    fn the_last_good_file_is_kept_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let mut edited = read(&path).unwrap();
        set(&mut edited, "policy.run", "deny").unwrap();
        write(&path, &edited).unwrap();
        set(&mut edited, "policy.run", "allow").unwrap();
        put_provider(&mut edited, "work", "openai", None);
        put_provider(
            &mut edited,
            "work",
            "compatible",
            Some("http://127.0.0.1:1/v1"),
        );
        write(&path, &edited).unwrap();
        let before = std::fs::read_to_string(last_good(&path)).unwrap();
        assert_eq!(before, "[policy]\nrun = \"deny\"\n");
        let config = super::super::load(&path).unwrap().config;
        assert_eq!(config.providers.len(), 1);
        let n_files = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(n_files, 2);
        // What was written by hand replaces the copy only if it can be used.
        keep_good(&path).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, "[policy]\nrun = \"maybe\"").unwrap();
        keep_good(&path).unwrap();
        let broken = restore(&path).unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
        assert_eq!(
            std::fs::read_to_string(broken).unwrap(),
            "[policy]\nrun = \"maybe\""
        );
    }

    #[test]
    fn without_a_good_file_nothing_is_brought_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[").unwrap();
        assert_eq!(restore(&path).unwrap(), None);
        std::fs::write(last_good(&path), "[").unwrap();
        assert_eq!(restore(&path).unwrap(), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[");
    }

    #[test]
    fn a_document_that_means_nothing_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let bad = document("[policy]\nrun = \"maybe\"").unwrap();
        assert!(write(&path, &bad).is_err());
        assert!(!path.exists());
    }
}
