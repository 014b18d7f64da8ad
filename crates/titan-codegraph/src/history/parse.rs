//! What `git log` and `git blame` put out, read. Pure; what makes no sense is passed over.

use super::message::{self, clean_line};
use std::collections::HashMap;
use titan_protocol::{Commit, Owner, UnixMillis};

/// What `log` is asked for, one record after another; a message holds no NUL.
pub(super) const FORMAT: &str = "--format=%x01%H%x00%an%x00%ae%x00%at%x00%B%x00";
/// Owners that are told.
const OWNERS_MAX: usize = 20;

/// The commits of a log in [`FORMAT`] with `-z`, with or without `--name-status`. Of an output that was cut, the last
/// one is left out.
pub(super) fn log(output: &[u8], is_cut: bool) -> Vec<Commit> {
    let mut words = output.split(|byte| *byte == 0).map(text).peekable();
    let mut commits = Vec::new();
    while let Some(word) = words.next() {
        let Some(hash) = word
            .strip_prefix('\u{1}')
            .filter(|hash| message::is_hash(hash))
        else {
            continue;
        };
        let mut field = || words.next_if(|word| !word.starts_with('\u{1}'));
        let (Some(author), Some(mail), Some(at), Some(message)) =
            (field(), field(), field(), field())
        else {
            continue;
        };
        let sorted = message::sorted(&message);
        let mut commit = Commit {
            hash: hash.to_owned(),
            author: clean_line(&author),
            mail: clean_line(&mail),
            at: millis(&at),
            subject: sorted.subject,
            why: sorted.why,
            trailers: sorted.trailers,
            issues: sorted.issues,
            mends: sorted.mends,
            reverts: sorted.reverts,
            ..Commit::default()
        };
        // The end of the record, then a letter and one path or two.
        while let Some(kind) = words.next_if(|word| !word.starts_with('\u{1}')) {
            match kind.trim().chars().next() {
                None => {}
                Some('R' | 'C') => {
                    let from = words.next().unwrap_or_default();
                    commit.path = clean_line(&words.next().unwrap_or_default());
                    if kind.trim().starts_with('R') {
                        commit.renamed_from = Some(clean_line(&from));
                    }
                }
                Some(_) => commit.path = clean_line(&words.next().unwrap_or_default()),
            }
        }
        commits.push(commit);
    }
    if is_cut {
        commits.pop();
    }
    mark_reverted(&mut commits);
    commits
}

/// Newest first: a commit is taken back by one that stands before it.
fn mark_reverted(commits: &mut [Commit]) {
    let reverts: Vec<(usize, String, String)> = commits
        .iter()
        .enumerate()
        .flat_map(|(at, commit)| {
            let of = |taken: &String| (at, taken.clone(), commit.hash.clone());
            commit.reverts.iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    for (at, taken, by) in reverts {
        let older = commits.iter_mut().skip(at + 1);
        if let Some(commit) = older.into_iter().find(|it| it.hash.starts_with(&taken)) {
            commit.reverted_by = Some(by);
        }
    }
}

/// Lines that one commit wrote, in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) hash: String,
}

/// Who wrote which lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    /// In order of lines.
    pub(super) spans: Vec<Span>,
    authors: HashMap<String, (String, String, UnixMillis)>,
}

impl Blame {
    /// Who wrote how many lines, most first.
    pub(super) fn owners(&self) -> Vec<Owner> {
        let mut owners: HashMap<(&str, &str), Owner> = HashMap::new();
        for span in &self.spans {
            let Some((author, mail, at)) = self.authors.get(&span.hash) else {
                continue;
            };
            let owner = owners.entry((author, mail)).or_insert_with(|| Owner {
                author: author.clone(),
                mail: mail.clone(),
                lines: 0,
                at: *at,
            });
            owner.lines = owner.lines.saturating_add(span.count);
            owner.at = owner.at.max(*at);
        }
        let mut owners: Vec<Owner> = owners.into_values().collect();
        owners.sort_by(|a, b| {
            let by_lines = b.lines.cmp(&a.lines);
            by_lines.then_with(|| (&a.author, &a.mail).cmp(&(&b.author, &b.mail)))
        });
        owners.truncate(OWNERS_MAX);
        owners
    }

    /// The commit that wrote a line.
    pub(super) fn of_line(&self, line: u32) -> Option<&str> {
        let at = self.spans.partition_point(|span| span.first <= line);
        let span = self.spans.get(at.checked_sub(1)?)?;
        (line - span.first < span.count).then_some(span.hash.as_str())
    }
}

/// What `blame --incremental` put out, also a beginning of it.
pub(super) fn blame(output: &[u8]) -> Blame {
    let mut blame = Blame::default();
    let mut open: Option<Span> = None;
    let lines = output.split_inclusive(|byte| *byte == b'\n');
    // A line without an end was cut.
    for line in lines.filter_map(|line| line.strip_suffix(b"\n")) {
        let line = text(line);
        let (key, value) = line.split_once(' ').unwrap_or((&line, ""));
        let Some(span) = &open else {
            open = header(key, value);
            continue;
        };
        let author = |blame: &mut Blame, set: &dyn Fn(&mut (String, String, UnixMillis))| {
            set(blame.authors.entry(span.hash.clone()).or_default());
        };
        match key {
            "author" => author(&mut blame, &|it| it.0 = clean_line(value)),
            "author-mail" => author(&mut blame, &|it| {
                it.1 = clean_line(value.trim_matches(['<', '>']));
            }),
            "author-time" => author(&mut blame, &|it| it.2 = millis(value)),
            // The last line of an entry.
            "filename" => blame.spans.extend(open.take()),
            _ => {}
        }
    }
    blame.spans.sort_by_key(|span| span.first);
    blame
}

fn header(hash: &str, rest: &str) -> Option<Span> {
    let mut numbers = rest.split(' ').map(str::parse);
    let (Some(Ok(_)), Some(Ok(first)), Some(Ok(count))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return None;
    };
    message::is_hash(hash).then(|| Span {
        first,
        count,
        hash: hash.to_owned(),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Seconds since the epoch as git writes them; what is before it counts as then.
fn millis(seconds: &str) -> UnixMillis {
    seconds
        .trim()
        .parse::<u64>()
        .unwrap_or(0)
        .saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn record(hash: &str, message: &str, names: &str) -> String {
        format!("\u{1}{hash}\0Ann\0ann@t.test\01000\0{message}\n\0\0{names}")
    }

    #[test]
    fn a_log_is_read_with_names_that_changed() {
        let output = [
            record(
                B,
                "Revert\n\nThis reverts commit aaaaaaa.",
                "\nR090\0old\u{1b}\0new\0",
            ),
            record(A, "First (#3)", "\nA\0old\u{1b}\0"),
        ]
        .concat();
        let commits = log(output.as_bytes(), false);
        let of = |commit: &Commit| (commit.path.clone(), commit.renamed_from.clone());
        assert_eq!(of(&commits[0]), ("new".into(), Some("old".into())));
        assert_eq!(of(&commits[1]), ("old".into(), None));
        assert_eq!(commits[1].reverted_by.as_deref(), Some(B));
        assert_eq!(
            (commits[0].author.as_str(), commits[0].at),
            ("Ann", 1_000_000)
        );
        assert_eq!(commits[1].issues[0].name, "#3");
    }

    #[test]
    fn a_log_that_is_cut_anywhere_is_a_beginning_of_the_whole() {
        let whole = [
            record(B, "Second", "\nM\0f\0"),
            record(A, "First", "\nA\0f\0"),
        ]
        .concat();
        let commits = log(whole.as_bytes(), false);
        assert_eq!(commits.len(), 2);
        for end in 0..whole.len() {
            let cut = log(&whole.as_bytes()[..end], true);
            assert!(commits.starts_with(&cut), "cut at {end}: {cut:?}");
        }
    }

    #[test]
    fn blame_counts_lines_and_finds_each() {
        let head = |author: &str| {
            format!(
                "author {author}\nauthor-mail <{author}@t>\nauthor-time 7\nsummary filename x\n"
            )
        };
        let output = format!(
            "{A} 1 4 2\n{}filename f\n{B} 9 1 3\n{}filename f\n{A} 3 6 1\nfilename g\n{B} 1 9 9\nauthor",
            head("Ann"),
            head("Bob")
        );
        let blame = blame(output.as_bytes());
        let found: Vec<_> = (0..8).map(|line| blame.of_line(line)).collect();
        let (a, b) = (Some(A), Some(B));
        assert_eq!(found, [None, b, b, b, a, a, a, None]);
        let owners = blame.owners();
        let shown: Vec<_> = owners
            .iter()
            .map(|it| (it.author.as_str(), it.lines, it.at))
            .collect();
        assert_eq!(shown, [("Ann", 3, 7_000), ("Bob", 3, 7_000)]);
    }
}
