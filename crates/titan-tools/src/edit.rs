//! `edit`: one exact text in a file replaced by another.

use crate::call::{self, WholeCall};
use crate::files::{self, FILE_BYTES_MAX, PATH_CHARS_MAX};
use crate::output::{self, reply};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use similar::TextDiff;
use titan_protocol::{Effect, Taint, ToolContext, ToolError, ToolOutput, ToolSpec, Workbench};

/// Lines of the file that a miss is answered with, at most.
const CLOSEST_LINES_MAX: usize = 20;
/// Lines of a file that are compared to find the closest place.
const COMPARED_LINES_MAX: usize = 20_000;
/// Below this likeness (0 to 1) no place is worth showing.
const LIKENESS_MIN: f32 = 0.4;

pub(crate) struct Edit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    all: bool,
}

#[async_trait]
impl WholeCall for Edit {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "edit",
            include_str!("edit.md"),
            json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "minLength": 1, "maxLength": PATH_CHARS_MAX},
                    "old": {"type": "string", "minLength": 1, "maxLength": FILE_BYTES_MAX, "description": "Text in the file, exactly, once"},
                    "new": {"type": "string", "maxLength": FILE_BYTES_MAX, "description": "What stands there afterwards"},
                    "all": {"type": "boolean", "description": "Replace every occurrence"}
                },
                "required": ["path", "old", "new"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"path": "src/main.rs", "old": "let x = 1;", "new": "let x = 2;"}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        Ok(vec![
            files::read_effect(workbench, &arguments.path).await?,
            files::write_effect(workbench, &arguments.path).await?,
        ])
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let workbench = context.workbench.as_ref();
        let path = files::resolve(workbench, &arguments.path).await?.path;
        let name = files::shown(workbench, &path);
        let content = files::text_to_change(workbench, &path).await?;
        let edited = match replace(&content, &arguments) {
            Ok(edited) => edited,
            // Not an error without taint: what is shown of the file may be anybody's words.
            Err(why) => {
                return Ok(ToolOutput {
                    is_error: true,
                    ..output::text(format!("{name} was not changed: {why}"), Taint::BOTH)
                });
            }
        };
        workbench
            .write(&path, edited.content.as_bytes())
            .await
            .map_err(reply)?;
        Ok(output::text(
            format!("changed {name} at line {}", joined(&edited.lines)),
            Taint::NONE,
        ))
    }
}

#[derive(Debug)]
struct Edited {
    content: String,
    /// Where the old text began, from 1.
    lines: Vec<usize>,
}

fn replace(content: &str, arguments: &Arguments) -> Result<Edited, String> {
    if arguments.old.is_empty() {
        return Err("old is empty; to make a file use write".to_owned());
    }
    if arguments.old == arguments.new {
        return Err("old and new are the same".to_owned());
    }
    let has_returns = content.contains("\r\n") && !arguments.old.contains('\r');
    let (old, new) = if has_returns && !content.contains(&arguments.old) {
        (
            arguments.old.replace('\n', "\r\n"),
            arguments.new.replace("\r\n", "\n").replace('\n', "\r\n"),
        )
    } else {
        (arguments.old.clone(), arguments.new.clone())
    };
    let lines: Vec<usize> = content
        .match_indices(&old)
        .map(|(position, _)| line_of(content, position))
        .collect();
    match lines.as_slice() {
        [] => Err(miss(content, &old)),
        [_, _, ..] if !arguments.all => Err(format!(
            "old is there {} times, at lines {}; give more of its surroundings, or all: true",
            lines.len(),
            joined(&lines)
        )),
        _ => Ok(Edited {
            content: content.replace(&old, &new),
            lines,
        }),
    }
}

fn line_of(content: &str, position: usize) -> usize {
    content[..position].matches('\n').count() + 1
}

fn joined(lines: &[usize]) -> String {
    const SHOWN: usize = 10;
    let mut text: Vec<String> = lines.iter().take(SHOWN).map(ToString::to_string).collect();
    if lines.len() > SHOWN {
        text.push("…".to_owned());
    }
    text.join(", ")
}

fn miss(content: &str, old: &str) -> String {
    match closest(content, old) {
        Some((line, text)) => {
            let end = line + text.len() - 1;
            let shown: Vec<&str> = text.iter().copied().take(CLOSEST_LINES_MAX).collect();
            format!(
                "old is not in it. The closest, at lines {line} to {end}:\n{}",
                shown.join("\n")
            )
        }
        None => "old is not in it, nor anything like it; read the file first".to_owned(),
    }
}

/// The lines most like `old`, and where they begin, from 1.
fn closest<'a>(content: &'a str, old: &str) -> Option<(usize, Vec<&'a str>)> {
    let lines: Vec<&str> = content.lines().take(COMPARED_LINES_MAX).collect();
    let wanted: Vec<&str> = old.lines().collect();
    let height = wanted.len().min(lines.len());
    if height == 0 {
        return None;
    }
    let anchors = anchors(&lines, &wanted, height);
    let best = anchors
        .into_iter()
        .map(|start| {
            let window = &lines[start..start + height];
            (start, likeness(window, &wanted))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
    (best.1 >= LIKENESS_MIN).then(|| (best.0 + 1, lines[best.0..best.0 + height].to_vec()))
}

/// Starts worth comparing closely: those where most lines agree but for space, or else the likeliest by first line.
fn anchors(lines: &[&str], wanted: &[&str], height: usize) -> Vec<usize> {
    const KEPT: usize = 16;
    let mut scored: Vec<(usize, usize)> = (0..=lines.len() - height)
        .map(|start| {
            let agreeing = lines[start..]
                .iter()
                .zip(wanted)
                .filter(|(line, wanted)| line.trim() == wanted.trim() && !wanted.trim().is_empty())
                .count();
            let words = shared_words(lines[start], wanted[0]);
            (agreeing * 64 + words.min(63), start)
        })
        .collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    scored
        .into_iter()
        .take(KEPT)
        .map(|(_, start)| start)
        .collect()
}

fn shared_words(line: &str, wanted: &str) -> usize {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let there = words(line);
    words(wanted)
        .iter()
        .filter(|word| there.contains(word))
        .count()
}

fn likeness(window: &[&str], wanted: &[&str]) -> f32 {
    let pairs = window.iter().zip(wanted);
    let ratios: Vec<f32> = pairs
        .take(CLOSEST_LINES_MAX)
        .map(|(line, wanted)| {
            let (line, wanted) = (line.trim(), wanted.trim());
            if line == wanted {
                1.0
            } else {
                const COMPARED_CHARS: usize = 300;
                let cut = |text: &str| text.chars().take(COMPARED_CHARS).collect::<String>();
                TextDiff::from_chars(cut(line), cut(wanted)).ratio()
            }
        })
        .collect();
    ratios.iter().sum::<f32>() / ratios.len().max(1) as f32
}
