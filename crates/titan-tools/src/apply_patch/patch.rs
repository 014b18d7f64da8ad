//! Reads patches in two spellings, `*** Begin Patch` and unified diffs, and works out what a file becomes. Pure.

/// Files that one patch may change.
const FILES_MAX: usize = 200;

/// What becomes of one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: String,
    pub(super) kind: ChangeKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Add {
        content: String,
    },
    Delete,
    Update {
        move_to: Option<String>,
        hunks: Vec<Hunk>,
    },
}

/// Neighbouring lines that are replaced by others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hunk {
    /// A line above, after which the hunk is looked for.
    anchor: Option<String>,
    /// The line where it was, from 1, in a unified diff.
    line: Option<usize>,
    old: Vec<String>,
    new: Vec<String>,
    is_at_end: bool,
}

/// The changes of a patch, in order.
pub(super) fn parse(patch: &str) -> Result<Vec<Change>, String> {
    let lines: Vec<&str> = patch.lines().collect();
    let is_marked = lines.iter().any(|line| line.trim() == "*** Begin Patch");
    let changes = if is_marked {
        parse_marked(&lines)?
    } else {
        parse_unified(&lines)?
    };
    match changes.len() {
        0 => Err(
            "the patch changes no file; begin with *** Begin Patch, or give a unified diff"
                .to_owned(),
        ),
        n if n > FILES_MAX => Err(format!(
            "the patch changes {n} files; at most {FILES_MAX} at once"
        )),
        _ => Ok(changes),
    }
}

fn parse_marked(lines: &[&str]) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    let body = lines
        .iter()
        .skip_while(|line| line.trim() != "*** Begin Patch")
        .skip(1)
        .take_while(|line| line.trim() != "*** End Patch");
    let mut rest = body.copied().peekable();
    while let Some(line) = rest.next() {
        let header = line.trim_end();
        let mut section = Vec::new();
        while let Some(line) = rest.next_if(|line| !is_file_header(line)) {
            section.push(line);
        }
        if let Some(path) = header.strip_prefix("*** Add File: ") {
            changes.push(add(path, &section)?);
        } else if let Some(path) = header.strip_prefix("*** Delete File: ") {
            changes.push(Change {
                path: path.trim().to_owned(),
                kind: ChangeKind::Delete,
            });
        } else if let Some(path) = header.strip_prefix("*** Update File: ") {
            changes.push(update(path, &section)?);
        } else if !header.is_empty() {
            return Err(format!(
                "{header:?} stands where *** Update File: PATH, *** Add File: PATH or *** Delete File: PATH belongs"
            ));
        }
    }
    Ok(changes)
}

fn is_file_header(line: &str) -> bool {
    ["*** Add File: ", "*** Delete File: ", "*** Update File: "]
        .iter()
        .any(|header| line.starts_with(header))
}

fn add(path: &str, section: &[&str]) -> Result<Change, String> {
    let mut content = String::new();
    for line in section {
        let line = line.strip_prefix('+').ok_or_else(|| {
            format!("in *** Add File: {path} each line begins with +, but this does not: {line:?}")
        })?;
        content.push_str(line);
        content.push('\n');
    }
    Ok(Change {
        path: path.trim().to_owned(),
        kind: ChangeKind::Add { content },
    })
}

fn update(path: &str, section: &[&str]) -> Result<Change, String> {
    let (move_to, body) = match section.split_first() {
        Some((first, body)) if first.starts_with("*** Move to: ") => (
            first
                .strip_prefix("*** Move to: ")
                .map(|to| to.trim().to_owned()),
            body,
        ),
        _ => (None, section),
    };
    let hunks = hunks(body)?;
    if hunks.is_empty() && move_to.is_none() {
        return Err(format!("*** Update File: {path} has no changed lines"));
    }
    Ok(Change {
        path: path.trim().to_owned(),
        kind: ChangeKind::Update { move_to, hunks },
    })
}

/// Hunks after their `@@` lines.
fn hunks(lines: &[&str]) -> Result<Vec<Hunk>, String> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut current = Hunk::default();
    for line in lines {
        if let Some(header) = line.strip_prefix("@@") {
            close(&mut hunks, std::mem::take(&mut current));
            let (line, anchor) = hunk_header(header);
            current.line = line;
            current.anchor = anchor;
        } else if line.trim() == "*** End of File" {
            current.is_at_end = true;
        } else if let Some(text) = line.strip_prefix('-') {
            current.old.push(text.to_owned());
        } else if let Some(text) = line.strip_prefix('+') {
            current.new.push(text.to_owned());
        } else if let Some(text) = line.strip_prefix(' ') {
            current.old.push(text.to_owned());
            current.new.push(text.to_owned());
        } else if line.is_empty() {
            current.old.push(String::new());
            current.new.push(String::new());
        } else if !line.starts_with('\\') {
            return Err(format!(
                "in a hunk each line begins with a space, + or -, but this does not: {line:?}"
            ));
        }
    }
    close(&mut hunks, current);
    Ok(hunks)
}

/// An empty line at a hunk's end is the patch's own spacing, more often than context.
fn close(hunks: &mut Vec<Hunk>, mut hunk: Hunk) {
    let changes = hunk.old != hunk.new;
    while changes
        && hunk.old.last().is_some_and(String::is_empty)
        && hunk.new.last().is_some_and(String::is_empty)
    {
        hunk.old.pop();
        hunk.new.pop();
    }
    if changes {
        hunks.push(hunk);
    }
}

/// What follows `@@`: `-12,3 +12,4 @@ fn main()` or a line of the file.
fn hunk_header(header: &str) -> (Option<usize>, Option<String>) {
    let header = header.trim();
    if let Some(ranges) = header.strip_prefix('-') {
        let digits: String = ranges.chars().take_while(char::is_ascii_digit).collect();
        return (digits.parse().ok(), None);
    }
    let anchor = header.trim_end_matches("@@").trim();
    (None, (!anchor.is_empty()).then(|| anchor.to_owned()))
}

fn parse_unified(lines: &[&str]) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    let mut at = 0;
    while at + 1 < lines.len() {
        let (Some(old), Some(new)) = (
            lines[at].strip_prefix("--- "),
            lines[at + 1].strip_prefix("+++ "),
        ) else {
            at += 1;
            continue;
        };
        let body_end = unified_end(lines, at + 2);
        changes.push(unified(old, new, &lines[at + 2..body_end])?);
        at = body_end;
    }
    Ok(changes)
}

/// Where the hunks that begin at `start` end: by the counts that their headers give.
fn unified_end(lines: &[&str], start: usize) -> usize {
    let mut at = start;
    while at < lines.len() && lines[at].starts_with("@@") {
        let (mut old, mut new) = counts(lines[at]);
        at += 1;
        while at < lines.len() && (old > 0 || new > 0) {
            match lines[at].bytes().next() {
                Some(b'-') => old = old.saturating_sub(1),
                Some(b'+') => new = new.saturating_sub(1),
                Some(b'\\') => {}
                Some(b' ') | None => {
                    old = old.saturating_sub(1);
                    new = new.saturating_sub(1);
                }
                Some(_) => return at,
            }
            at += 1;
        }
        while at < lines.len() && lines[at].starts_with('\\') {
            at += 1;
        }
    }
    at
}

/// The line counts in `@@ -1,2 +1,3 @@`; one where none is given.
fn counts(header: &str) -> (usize, usize) {
    let count = |mark: char| {
        let range = header.split_once(mark).map_or("", |(_, rest)| rest);
        let range = range.split(' ').next().unwrap_or_default();
        range
            .split_once(',')
            .map_or(1, |(_, count)| count.parse().unwrap_or(1))
    };
    (count('-'), count('+'))
}

fn unified(old: &str, new: &str, body: &[&str]) -> Result<Change, String> {
    let (from, to) = (unified_path(old), unified_path(new));
    let hunks = hunks(body)?;
    let change = match (from, to) {
        (None, Some(path)) => Change {
            path,
            kind: ChangeKind::Add {
                content: hunks
                    .iter()
                    .flat_map(|hunk| &hunk.new)
                    .map(|line| format!("{line}\n"))
                    .collect(),
            },
        },
        (Some(path), None) => Change {
            path,
            kind: ChangeKind::Delete,
        },
        (Some(from), Some(to)) => Change {
            kind: ChangeKind::Update {
                move_to: (from != to).then_some(to),
                hunks,
            },
            path: from,
        },
        (None, None) => return Err("a file can't come from /dev/null and go there".to_owned()),
    };
    Ok(change)
}

/// The path after `---` or `+++`; `None` for `/dev/null`.
fn unified_path(text: &str) -> Option<String> {
    let path = text.split('\t').next().unwrap_or_default().trim();
    if path == "/dev/null" {
        return None;
    }
    let path = path
        .strip_prefix("a/")
        .or_else(|| path.strip_prefix("b/"))
        .unwrap_or(path);
    Some(path.to_owned())
}

/// What the content becomes.
pub(super) fn apply(content: &str, hunks: &[Hunk]) -> Result<String, String> {
    let ending = if content.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let lines: Vec<&str> = content.lines().collect();
    let mut result: Vec<&str> = Vec::new();
    let mut done = 0;
    for hunk in hunks {
        let start = place(&lines, done, hunk)?;
        result.extend(&lines[done..start]);
        result.extend(hunk.new.iter().map(String::as_str));
        done = start + hunk.old.len();
    }
    result.extend(&lines[done..]);
    let mut text = result.join(ending);
    let had_end = content.is_empty() || content.ends_with('\n');
    if had_end && !text.is_empty() {
        text.push_str(ending);
    }
    Ok(text)
}

/// Where a hunk's old lines begin, at or after `from`: exactly, or else but for space at the ends.
fn place(lines: &[&str], from: usize, hunk: &Hunk) -> Result<usize, String> {
    let from = match &hunk.anchor {
        Some(anchor) => after_anchor(lines, from, anchor)?,
        None => from,
    };
    if hunk.old.is_empty() {
        let hinted = hunk
            .line
            .filter(|line| *line >= from && *line <= lines.len());
        return Ok(match (hinted, &hunk.anchor) {
            (Some(line), _) => line,
            (None, Some(_)) => from,
            (None, None) => lines.len(),
        });
    }
    let same: [fn(&str, &str) -> bool; 3] = [
        |a, b| a == b,
        |a, b| a.trim_end() == b.trim_end(),
        |a, b| a.trim() == b.trim(),
    ];
    for same in same {
        let fits = |start: &usize| {
            lines[*start..]
                .iter()
                .zip(&hunk.old)
                .all(|(line, old)| same(line, old))
        };
        let last = lines.len().checked_sub(hunk.old.len());
        let starts: Vec<usize> = last
            .map(|last| (from..=last).filter(fits).collect())
            .unwrap_or_default();
        if let Some(start) = nearest(&starts, hunk) {
            return Ok(start);
        }
    }
    Err(format!(
        "these lines are not in it, or not in this order:\n{}",
        hunk.old.join("\n")
    ))
}

fn nearest(starts: &[usize], hunk: &Hunk) -> Option<usize> {
    match hunk.line {
        _ if hunk.is_at_end => starts.last().copied(),
        Some(line) => starts
            .iter()
            .copied()
            .min_by_key(|start| (start + 1).abs_diff(line)),
        None => starts.first().copied(),
    }
}

fn after_anchor(lines: &[&str], from: usize, anchor: &str) -> Result<usize, String> {
    lines
        .iter()
        .enumerate()
        .skip(from)
        .find(|(_, line)| line.trim() == anchor)
        .or_else(|| {
            lines
                .iter()
                .enumerate()
                .skip(from)
                .find(|(_, line)| line.contains(anchor))
        })
        .map(|(position, _)| position + 1)
        .ok_or_else(|| format!("there is no line {anchor:?} after which to look"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check_apply(content: &str, patch: &str, expected: Expect) {
        let outcome = parse(patch).and_then(|changes| match &changes[0].kind {
            ChangeKind::Update { hunks, .. } => apply(content, hunks),
            other => Ok(format!("{other:?}")),
        });
        let text = outcome.unwrap_or_else(|why| format!("error: {why}"));
        expected.assert_eq(&text);
    }

    #[test]
    fn a_marked_hunk_replaces_its_lines() {
        check_apply(
            "a\nb\nc\n",
            "*** Begin Patch\n*** Update File: x\n@@\n a\n-b\n+B\n c\n*** End Patch",
            expect![[r#"
                a
                B
                c
            "#]],
        );
    }

    #[test]
    fn an_anchor_tells_equal_lines_apart() {
        check_apply(
            "fn a() {\n  1\n}\nfn b() {\n  1\n}\n",
            "*** Begin Patch\n*** Update File: x\n@@ fn b() {\n-  1\n+  2\n*** End Patch",
            expect![[r#"
                fn a() {
                  1
                }
                fn b() {
                  2
                }
            "#]],
        );
    }

    #[test]
    fn a_unified_diff_finds_the_nearest_place_to_its_line() {
        check_apply(
            "x\ny\nx\ny\nx\n",
            "--- a/f\n+++ b/f\n@@ -3,1 +3,1 @@\n-x\n+z\n",
            expect![[r#"
                x
                y
                z
                y
                x
            "#]],
        );
    }

    #[test]
    fn a_hunk_that_does_not_fit_says_which_lines() {
        check_apply(
            "a\n",
            "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-b\n+c\n",
            expect![[r#"
                error: these lines are not in it, or not in this order:
                b"#]],
        );
    }

    #[test]
    fn line_endings_of_the_file_are_kept() {
        check_apply(
            "a\r\nb\r\n",
            "*** Begin Patch\n*** Update File: x\n@@\n-b\n+c\n*** End Patch",
            expect!["a\r\nc\r\n"],
        );
    }

    #[test]
    fn a_diff_line_that_looks_like_a_header_is_content_where_the_counts_say_so() {
        let patch = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n--- old\n-b\n+++ new\n+c\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-1\n+2\n";
        let changes = parse(patch).unwrap();
        let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["f", "g"]);
    }

    #[test]
    fn made_moved_and_deleted_files_are_read_from_both_spellings() {
        let marked = "*** Begin Patch\n*** Add File: n\n+1\n*** Delete File: d\n*** Update File: m\n*** Move to: k\n*** End Patch";
        let unified = "--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+1\n--- a/d\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
        expect![[r#"
            [Change { path: "n", kind: Add { content: "1\n" } }, Change { path: "d", kind: Delete }, Change { path: "m", kind: Update { move_to: Some("k"), hunks: [] } }]
            [Change { path: "n", kind: Add { content: "1\n" } }, Change { path: "d", kind: Delete }]"#]]
        .assert_eq(&format!("{:?}\n{:?}", parse(marked).unwrap(), parse(unified).unwrap()));
    }

    #[test]
    fn what_is_no_patch_is_refused_with_the_next_step() {
        for not in [
            "",
            "hello",
            "*** Begin Patch\nwhat\n*** End Patch",
            "*** Begin Patch\n*** Add File: a\nno plus\n*** End Patch",
        ] {
            assert!(parse(not).is_err(), "{not}");
        }
    }
}
