//! What a commit's message says: subject, reason, trailers, issues, whether it mends or takes back. Pure.
//!
//! A message is a stranger's word. Nothing here believes it; it is cleaned, bounded and sorted.

use titan_protocol::Issue;

/// The longest subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 300;
/// The longest reason, in bytes.
const WHY_BYTES_MAX: usize = 4_000;
/// Trailers of one message.
const TRAILERS_MAX: usize = 20;
/// The longest value of a trailer, a name or a path, in bytes.
pub(super) const WORD_BYTES_MAX: usize = 300;
/// Issues of one message.
const ISSUES_MAX: usize = 20;
/// Commits that one message says it takes back.
const REVERTS_MAX: usize = 20;
/// The fewest digits by which a commit is named.
const HASH_DIGITS_MIN: usize = 7;

/// A message, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) why: String,
    pub(super) trailers: Vec<(String, String)>,
    pub(super) issues: Vec<Issue>,
    pub(super) mends: bool,
    pub(super) reverts: Vec<String>,
}

/// Sorts a message.
pub(super) fn sorted(message: &str) -> Message {
    let message = clean(message);
    let (subject, body) = message
        .trim()
        .split_once("\n\n")
        .unwrap_or((message.trim(), ""));
    let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let (why, trailers) = apart(body.trim());
    let issues = issues(&message);
    let mends = subject_mends(&subject)
        || trailers.iter().any(|(key, _)| key == "Fixes")
        || body_mends(&message);
    Message {
        subject: cut(&subject, SUBJECT_BYTES_MAX),
        why: cut(why, WHY_BYTES_MAX),
        trailers,
        mends,
        issues,
        reverts: reverts(body),
    }
}

/// Text without characters that steer or hide. Line breaks stay, tabs become spaces.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' => Some('\n'),
            '\t' => Some(' '),
            '\u{2028}' | '\u{2029}' => Some(' '),
            c if c.is_control() || is_unseen(c) => None,
            c => Some(c),
        })
        .collect()
}

/// [`clean`] in one bounded line.
pub(super) fn clean_line(text: &str) -> String {
    cut(&clean(text).replace('\n', " "), WORD_BYTES_MAX)
}

/// Characters that turn the direction of writing, or that nobody sees.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
}

/// The body's reason and its trailers: the last paragraph, if each line of it is one or goes on with one.
fn apart(body: &str) -> (&str, Vec<(String, String)>) {
    let (why, last) = body.rsplit_once("\n\n").unwrap_or(("", body));
    let mut trailers: Vec<(String, String)> = Vec::new();
    for line in last.lines() {
        if let (true, Some((_, value))) = (line.starts_with(' '), trailers.last_mut()) {
            value.push(' ');
            value.push_str(line.trim());
        } else if let Some((key, value)) = trailer(line) {
            trailers.push((key.to_owned(), value.to_owned()));
        } else {
            return (body, Vec::new());
        }
    }
    trailers.truncate(TRAILERS_MAX);
    for (_, value) in &mut trailers {
        *value = cut(value, WORD_BYTES_MAX);
    }
    (why.trim_end(), trailers)
}

fn trailer(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(": ")?;
    let is_key = key.len() <= 40
        && key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (is_key && !value.trim().is_empty()).then(|| (key, value.trim()))
}

/// The issues that a text names, each once, in order.
fn issues(text: &str) -> Vec<Issue> {
    let mut found: Vec<Issue> = Vec::new();
    let mut closes = false;
    for word in text.split(|c: char| c.is_whitespace() || "()[]{}<>\"'`,;".contains(c)) {
        let bare = word.trim_matches(|c: char| ".:!?".contains(c));
        if bare.is_empty() || matches!(bare, "and" | "&") {
            continue;
        }
        if !is_issue(bare) {
            closes = is_closing(bare);
            continue;
        }
        let is_full = found.len() == ISSUES_MAX;
        match found.iter_mut().find(|issue| issue.name == bare) {
            Some(issue) => issue.closes |= closes,
            None if is_full => break,
            None => found.push(Issue {
                name: bare.to_owned(),
                closes,
            }),
        }
    }
    found
}

fn is_closing(word: &str) -> bool {
    matches!(
        word.to_ascii_lowercase().as_str(),
        "close"
            | "closes"
            | "closed"
            | "fix"
            | "fixes"
            | "fixed"
            | "resolve"
            | "resolves"
            | "resolved"
    )
}

fn is_issue(word: &str) -> bool {
    if word.starts_with("https://") || word.starts_with("http://") {
        return is_address_of_issue(word);
    }
    match word.split_once('#') {
        Some((repository, number)) => is_number(number) && is_repository(repository),
        None => is_of_tracker(word),
    }
}

/// `GH-12`, `JIRA-12`; no standard that is written like one.
fn is_of_tracker(word: &str) -> bool {
    const STANDARDS: [&str; 22] = [
        "AES", "ANSI", "BASE", "CP", "EUC", "FIPS", "GB", "GPT", "HTTP", "IEEE", "IPV", "ISO",
        "KOI", "MD", "PEP", "RFC", "RSA", "SHA", "SSL", "TLS", "UTF", "X",
    ];
    let Some((project, number)) = word.split_once('-') else {
        return false;
    };
    let is_project = (2..=12).contains(&project.len())
        && project.starts_with(|c: char| c.is_ascii_uppercase())
        && project
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_number(number) && (project == "gh" || (is_project && !STANDARDS.contains(&project)))
}

fn is_number(text: &str) -> bool {
    (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// `owner/name` or `name`, or nothing.
fn is_repository(text: &str) -> bool {
    let is_name = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    text.is_empty()
        || (text.len() <= 140
            && text.split('/').count() <= 2
            && text
                .split('/')
                .all(|name| !name.is_empty() && is_name(name)))
}

fn is_address_of_issue(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let mut parts = path.rsplit('/');
    let (Some(last), Some(kind)) = (parts.next(), parts.next()) else {
        return false;
    };
    address.len() <= WORD_BYTES_MAX
        && match kind {
            "issues" | "pull" | "pulls" | "merge_requests" => is_number(last),
            "browse" => is_of_tracker(last),
            _ => false,
        }
}

/// Whether a subject says that something was wrong. A conventional type that is no mending speaks for itself.
fn subject_mends(subject: &str) -> bool {
    let lower = subject.to_lowercase();
    if let Some((kind, _)) = lower.split_once(':') {
        let kind = kind
            .split('(')
            .next()
            .unwrap_or_default()
            .trim_end_matches('!');
        match kind {
            "fix" | "bugfix" | "hotfix" => return true,
            "feat" | "docs" | "doc" | "style" | "test" | "tests" | "chore" | "build" | "ci" => {
                return false;
            }
            _ => {}
        }
    }
    lower.split(|c: char| !c.is_alphanumeric()).any(|word| {
        matches!(
            word,
            "fix"
                | "fixes"
                | "fixed"
                | "bug"
                | "bugs"
                | "bugfix"
                | "hotfix"
                | "mend"
                | "mends"
                | "mended"
                | "regression"
                | "crash"
                | "crashes"
                | "deadlock"
                | "panic"
                | "leak"
        )
    }) && !lower.contains("typo")
}

/// Whether a text says of an issue that it is fixed.
fn body_mends(text: &str) -> bool {
    let mut was_fixing = false;
    for word in text.split_whitespace() {
        if was_fixing && is_issue(word.trim_matches(|c: char| ".,:;!?()".contains(c))) {
            return true;
        }
        was_fixing = matches!(
            word.trim_end_matches(':').to_ascii_lowercase().as_str(),
            "fix" | "fixes" | "fixed"
        );
    }
    false
}

/// The commits that a body says it takes back, in git's own words.
fn reverts(body: &str) -> Vec<String> {
    let words: Vec<&str> = body.split_whitespace().collect();
    let named = |at: usize| {
        let hash = words
            .get(at)?
            .trim_matches(|c: char| !c.is_ascii_alphanumeric());
        is_hash(hash).then(|| hash.to_ascii_lowercase())
    };
    words
        .windows(3)
        .enumerate()
        .filter(|(_, three)| matches!(three, ["This" | "this", "reverts", "commit"]))
        .filter_map(|(at, _)| named(at + 3))
        .take(REVERTS_MAX)
        .collect()
}

/// Whether this is a commit's name or a beginning of one.
pub(super) fn is_hash(text: &str) -> bool {
    (HASH_DIGITS_MIN..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        let shown =
            |issue: &Issue| format!("{}{}", issue.name, if issue.closes { "!" } else { "" });
        issues(text).iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn issues_are_found_as_trackers_write_them() {
        for (text, expected) in [
            ("Rename (#4)", "#4"),
            ("fixes #1, #2 and GH-3. See #4", "#1! #2! GH-3! #4"),
            (
                "Closes: owner/name#12; resolves JIRA-7!",
                "owner/name#12! JIRA-7!",
            ),
            (
                "see https://git.test/o/r/issues/9 and https://t.test/browse/AB-1.",
                "https://git.test/o/r/issues/9 https://t.test/browse/AB-1",
            ),
            ("#4 again, fixes #4", "#4!"),
            (
                "UTF-8, SHA-256, ISO-8601, # 3, C#, &#65, a#b#3, x-1, ABC-1-2, #1234567890",
                "",
            ),
            ("https://git.test/o/r/commit/9", ""),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mending_is_told_from_its_words() {
        for (subject, mends) in [
            ("Fix the parser", true),
            ("fix(parser)!: a bracket", true),
            ("A crash on empty files is gone", true),
            ("The panic at the end of input", true),
            ("docs: fix a link", false),
            ("Fix typo", false),
            ("Add a prefix", false),
            ("feat: a panic button", false),
            ("Debugging is easier", false),
        ] {
            assert_eq!(sorted(subject).mends, mends, "{subject}");
        }
        assert!(sorted("Words\n\nThis fixes #3.").mends);
        assert!(sorted("Words\n\nFixes: 0123456789ab (\"Old\")").mends);
        assert!(!sorted("Words\n\nThis closes #3.").mends);
    }

    #[test]
    fn a_message_is_taken_apart() {
        let message = "Read whole\nlines\n\nPieces were lost.\n\nAnd found.\n\nReviewed-by: B <b@c>\nLink: https://t.test/\n  more\n";
        assert_eq!(
            sorted(message),
            Message {
                subject: "Read whole lines".into(),
                why: "Pieces were lost.\n\nAnd found.".into(),
                trailers: vec![
                    ("Reviewed-by".into(), "B <b@c>".into()),
                    ("Link".into(), "https://t.test/ more".into())
                ],
                ..Message::default()
            }
        );
        let prose = sorted("S\n\nNote: this\nis prose");
        assert_eq!(
            (prose.why.as_str(), prose.trailers.len()),
            ("Note: this\nis prose", 0)
        );
        assert_eq!(sorted(""), Message::default());
    }

    #[test]
    fn what_is_taken_back_is_named() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let body =
            format!("Revert \"S\"\n\nThis reverts commit {hash}.\nThis reverts commit ABCDEF0.");
        assert_eq!(sorted(&body).reverts, [hash, "abcdef0"]);
        assert!(
            sorted("Revert \"S\"\n\nThis reverts commit message")
                .reverts
                .is_empty()
        );
    }

    #[test]
    fn nothing_that_steers_or_hides_is_left() {
        let message = sorted("A\u{1b}[31mred\u{202e}\u{200b}\r\n\nb\u{7f}\u{9b}c\td\u{2028}e");
        assert_eq!(
            (message.subject.as_str(), message.why.as_str()),
            ("A[31mred", "bc d e")
        );
        assert_eq!(clean_line("a\nb\u{0}c"), "a bc");
        assert_eq!(cut("aé", 2), "a…");
    }
}
