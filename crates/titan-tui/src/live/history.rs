//! The file that keeps what was typed, in the format of line mode's editor, so that both go on with the same lines.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The first line of the file.
const HEAD: &str = "#V2";
/// The file is read up to this size, from its end.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// An entry that is longer is not written.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// What was typed, oldest first; nothing where there is no file yet.
///
/// # Errors
/// When the file is there and can't be read.
pub(super) fn read(file: &Path) -> io::Result<Vec<String>> {
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => Ok(Vec::new()),
        Ok(_) => Ok(parse(&String::from_utf8_lossy(&fs::read(file)?))),
    }
}

/// Adds an entry.
///
/// # Errors
/// When the file can't be written.
pub(super) fn append(file: &Path, entry: &str) -> io::Result<()> {
    if entry.len() > ENTRY_BYTES_MAX {
        return Ok(());
    }
    let is_new = fs::metadata(file).map_or(true, |metadata| metadata.len() == 0);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file)?;
    let head = if is_new {
        format!("{HEAD}\n")
    } else {
        String::new()
    };
    file.write_all(format!("{head}{}\n", escaped(entry)).as_bytes())
}

fn parse(text: &str) -> Vec<String> {
    let is_escaped = text.lines().next() == Some(HEAD);
    let lines = text.lines().skip(usize::from(is_escaped));
    lines
        .filter(|line| !line.is_empty())
        .map(|line| match is_escaped {
            true => unescaped(line),
            false => line.to_owned(),
        })
        .collect()
}

fn escaped(entry: &str) -> String {
    entry.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some(c) => text.push(c),
                None => text.push('\\'),
            },
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_read_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("titan-tui-history-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("history");
        assert_eq!(read(&file).unwrap(), Vec::<String>::new());
        let entries = ["one", "two\nlines", "a\\nb \\", "日"];
        for entry in entries {
            append(&file, entry).unwrap();
        }
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, "#V2\none\ntwo\\nlines\na\\\\nb \\\\\n日\n");
        assert_eq!(read(&file).unwrap(), entries);
        fs::remove_dir_all(&folder).unwrap();
    }
}
