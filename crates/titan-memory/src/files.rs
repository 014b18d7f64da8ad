//! Documents as files that people read and edit: Markdown, with what is known of them above it.

use crate::documents::{kind_of, kind_word};
use crate::text::heading_of;
use titan_protocol::{MemoryDocument, MemoryDraft, MemoryKind, MemoryOrigin, UnixMillis};

/// What stands above and below what is known of a document.
const FENCE: &str = "---";

/// A document as a file.
pub fn to_markdown(document: &MemoryDocument) -> String {
    let mut lines = vec![
        FENCE.to_owned(),
        format!("kind: {}", kind_word(document.kind)),
    ];
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("{name}: {}", value.replace(['\n', '\r'], " ")));
        }
    };
    line("title", Some(document.title.clone()));
    line("tags", Some(document.tags.join(", ")));
    line("source", document.source.clone());
    line("origin", Some(origin_words(&document.origin)));
    line("kept", Some(moment(document.at)));
    line("changed", document.changed_at.map(moment));
    line("until", document.valid_until.map(moment));
    lines.push(FENCE.to_owned());
    lines.push(String::new());
    lines.push(document.text.clone());
    lines.join("\n") + "\n"
}

/// Any text as what is to be kept: a document of its own with its first heading as its title. `name` is what one without
/// a heading is called, `source` where it was read. Who wrote it is not known.
pub fn from_text(text: String, name: &str, source: &str) -> MemoryDraft {
    let heading = text.lines().find_map(heading_of);
    MemoryDraft {
        kind: MemoryKind::File,
        title: heading.unwrap_or_else(|| name.to_owned()),
        source: Some(source.to_owned()),
        origin: MemoryOrigin::Untrusted,
        text,
        ..MemoryDraft::default()
    }
}

/// What a file that [`to_markdown`] wrote, and somebody may have changed, says is to be kept; `None` where it is any other
/// text. Its origin is what the file says: anybody can write that, so it holds only where the person vouches for the file.
///
/// # Errors
/// When what stands above the text is not understood; the words say what is allowed.
pub fn from_markdown(text: &str) -> Result<Option<MemoryDraft>, String> {
    let Some((head, body)) = head_of(text) else {
        return Ok(None);
    };
    let mut draft = MemoryDraft {
        text: body.to_owned(),
        ..MemoryDraft::default()
    };
    for line in head.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("{line:?} is no line such as `tags: a, b`"))?;
        let value = value.trim();
        match name.trim() {
            "kind" => {
                draft.kind =
                    kind_of(value).ok_or_else(|| format!("{value:?} is no kind: note or file"))?;
            }
            "title" => value.clone_into(&mut draft.title),
            "tags" => draft.tags = value.split(',').map(|tag| tag.trim().to_owned()).collect(),
            "source" => draft.source = Some(value.to_owned()),
            "origin" => {
                draft.origin = origin_of(value).ok_or_else(|| {
                    format!("{value:?} is no origin: person, untrusted, or `turn SESSION TURN`")
                })?;
            }
            "until" => draft.valid_until = Some(time_of(value)?),
            // When it was kept is when it is kept now.
            "kept" | "changed" => {}
            other => {
                return Err(format!(
                    "{other:?} is not known: kind, title, tags, source, origin, until"
                ));
            }
        }
    }
    Ok(Some(draft))
}

/// What stands between two fences at the beginning of a text, and what is below, if the first line is about a kind as
/// in all that we write: other programs put their own things there.
fn head_of(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(FENCE)?.strip_prefix('\n')?;
    let (head, body) = rest.split_once("\n---\n")?;
    head.starts_with("kind:").then_some((head, body))
}

fn origin_words(origin: &MemoryOrigin) -> String {
    match origin {
        MemoryOrigin::Person => "person".to_owned(),
        MemoryOrigin::Turn { session, turn } => format!("turn {session} {turn}"),
        MemoryOrigin::Untrusted => "untrusted".to_owned(),
    }
}

fn origin_of(words: &str) -> Option<MemoryOrigin> {
    let mut words = words.split_whitespace();
    match (words.next()?, words.next(), words.next()) {
        ("person", None, None) => Some(MemoryOrigin::Person),
        ("untrusted", None, None) => Some(MemoryOrigin::Untrusted),
        ("turn", Some(session), Some(turn)) => Some(MemoryOrigin::Turn {
            session: session.parse().ok()?,
            turn: turn.parse().ok()?,
        }),
        _ => None,
    }
}

fn moment(at: UnixMillis) -> String {
    let at = i64::try_from(at)
        .ok()
        .and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// A time as it is written: a day, or a moment such as `2026-12-01T12:00:00Z`.
///
/// # Errors
/// When it is neither; the words say what is allowed.
pub fn time_of(words: &str) -> Result<UnixMillis, String> {
    let moment = words
        .parse::<jiff::Timestamp>()
        .or_else(|_| format!("{words}T00:00:00Z").parse());
    let moment = moment.map_err(|_| {
        format!("{words:?} is no day such as 2026-12-01, nor a moment such as 2026-12-01T12:00:00Z")
    })?;
    u64::try_from(moment.as_millisecond()).map_err(|_| format!("{words:?} is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use titan_protocol::{MemoryReading, SessionId, TurnId};

    fn document() -> MemoryDocument {
        MemoryDocument {
            id: "1".into(),
            kind: MemoryKind::Note,
            title: String::new(),
            text: "The person likes tea.\n---\nand biscuits".into(),
            tags: vec!["taste".into(), "drinks".into()],
            source: None,
            origin: MemoryOrigin::Turn {
                session: SessionId::from_u128(1),
                turn: TurnId::from_u128(2),
            },
            at: 1_700_000_000_000,
            changed_at: None,
            valid_until: Some(1_800_000_000_000),
            superseded_by: None,
            read_in: None,
            reading: Some(MemoryReading {
                model: "local/small".into(),
                names: vec!["biscuits".into()],
                relations: Vec::new(),
            }),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let document = document();
        let text = to_markdown(&document);
        assert!(
            text.starts_with("---\nkind: note\ntags: taste, drinks\norigin: turn "),
            "{text}"
        );
        assert!(text.contains("kept: 2023-11-14T22:13:20Z\n"), "{text}");
        assert!(!text.contains("local/small"), "{text}");
        let draft = from_markdown(&text).unwrap().unwrap();
        assert_eq!(draft.text.trim(), document.text);
        assert_eq!(
            (draft.tags, draft.origin, draft.valid_until),
            (document.tags, document.origin, document.valid_until)
        );
        assert_eq!((draft.kind, draft.source), (MemoryKind::Note, None));
    }

    #[test]
    fn any_other_file_is_a_document_of_strangers_with_its_heading_as_title() {
        for (text, title) in [
            ("# Tea\nhot", "Tea"),
            ("plain", "x"),
            ("---\nlayout: post\n---\nplain", "x"),
        ] {
            assert_eq!(from_markdown(text), Ok(None));
            let draft = from_text(text.to_owned(), "x", "/x.md");
            assert_eq!((draft.title.as_str(), draft.text.as_str()), (title, text));
            assert_eq!(
                (draft.kind, draft.origin),
                (MemoryKind::File, MemoryOrigin::Untrusted)
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in [
            ("kind: x", "no kind"),
            ("colour: red", "colour"),
            ("origin: turn 1", "no origin"),
            ("until: soon", "no day"),
            ("x", "no line"),
        ] {
            let refused =
                from_markdown(&format!("---\nkind: note\n{line}\n---\ntext")).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
        assert_eq!(time_of("1970-01-02"), Ok(86_400_000));
    }
}
