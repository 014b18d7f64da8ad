//! What an undo did, and what a turn changed, as lines.

use super::style::{Color, Line, Style};
use super::visible::visible;
use std::path::Path;
use titan_protocol::{FileDiff, TurnChanges, UndoOutcome, UndoneFile};

/// Columns between tab stops, as differences are shown.
const TAB: &str = "    ";

/// What became of each file, and what can't be put back.
pub fn undone(files: &[UndoneFile], beyond: &[String], root: &Path) -> Vec<Line> {
    let mut lines: Vec<Line> = files.iter().map(|file| outcome(file, root)).collect();
    if !beyond.is_empty() {
        lines.push(Line::dim("not undone, since no undo can take it back:"));
        let told = beyond.iter().map(|text| format!("  {}", visible(text)));
        lines.extend(told.map(Line::dim));
    }
    lines
}

fn outcome(file: &UndoneFile, root: &Path) -> Line {
    let name = name(&file.path, root);
    let (mark, color, text) = match &file.outcome {
        UndoOutcome::Restored => ("✓", Color::Green, format!("{name}: put back")),
        UndoOutcome::Removed => ("✓", Color::Green, format!("{name}: removed again")),
        UndoOutcome::Already => ("·", Color::Cyan, format!("{name}: was so already")),
        UndoOutcome::Refused { why } => (
            "!",
            Color::Yellow,
            format!("{name}: left alone, {}", visible(why)),
        ),
        UndoOutcome::Impossible { why } => (
            "✗",
            Color::Red,
            format!("{name}: not possible, {}", visible(why)),
        ),
    };
    Line::default()
        .with(Style::color(color), format!("{mark} "))
        .with(Style::PLAIN, text)
}

/// The differences, file by file.
pub fn changes(changes: &TurnChanges, root: &Path) -> Vec<Line> {
    let files = changes.files.iter().flat_map(|file| difference(file, root));
    let notes = changes.notes.iter().map(|note| Line::dim(visible(note)));
    files.chain(notes).collect()
}

fn difference(file: &FileDiff, root: &Path) -> Vec<Line> {
    let title = format!("{} {}", file.what, name(&file.path, root));
    let mut lines = vec![Line::default().with(Style::BOLD, title)];
    let notes = file
        .notes
        .iter()
        .map(|note| Line::dim(format!("({})", visible(note))));
    lines.extend(notes);
    lines.extend(file.diff.lines().map(|line| {
        let style = match line.as_bytes().first() {
            Some(b'+') => Style::color(Color::Green),
            Some(b'-') => Style::color(Color::Red),
            Some(b'@') => Style::color(Color::Cyan),
            _ => Style::PLAIN,
        };
        let line = visible(&line.replace('\t', TAB));
        Line::default().with(style, line)
    }));
    lines
}

/// A file's name as the person knows it, in one line.
fn name(path: &Path, root: &Path) -> String {
    visible(&path.strip_prefix(root).unwrap_or(path).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::text).collect()
    }

    #[test]
    fn p15_p16_names_and_lines_of_files_cannot_steer_the_terminal() {
        let file = FileDiff {
            path: "/w/a\u{1b}[2J\nb".into(),
            what: "changed".into(),
            notes: vec!["no\u{202e}te".into()],
            diff: "@@ -1 +1 @@\n-a\u{1b}]0;x\u{7}\n+\tb\u{200b}\n".into(),
        };
        let all = TurnChanges {
            turn: titan_protocol::TurnId::from_u128(1),
            files: vec![file],
            notes: vec!["\u{1b}[31m".into()],
        };
        let text = shown(&changes(&all, Path::new("/w"))).join("\n");
        let is_harmless =
            |c: char| c == '\n' || !(c.is_control() || "\u{202e}\u{200b}".contains(c));
        assert!(text.chars().all(is_harmless), "{text:?}");
        assert!(text.contains("+    b"), "{text:?}");
    }

    #[test]
    fn every_outcome_is_said_in_a_line() {
        let why = || "of a reason".to_owned();
        let outcomes = [
            UndoOutcome::Restored,
            UndoOutcome::Removed,
            UndoOutcome::Already,
            UndoOutcome::Refused { why: why() },
            UndoOutcome::Impossible { why: why() },
        ];
        let files = outcomes.map(|outcome| UndoneFile {
            path: "/w/a".into(),
            outcome,
        });
        let lines = undone(&files, &["a message to x".into()], Path::new("/w"));
        assert_eq!(
            shown(&lines),
            [
                "✓ a: put back",
                "✓ a: removed again",
                "· a: was so already",
                "! a: left alone, of a reason",
                "✗ a: not possible, of a reason",
                "not undone, since no undo can take it back:",
                "  a message to x",
            ]
        );
    }
}
