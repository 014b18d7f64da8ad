//! `canvas`: surfaces that the agent draws for the person. What a kind of surface needs is checked here, once, so that
//! every face can show what was drawn, and the model hears what is wrong with it.

use crate::call::{self, WholeCall};
use crate::files::{self, PATH_CHARS_MAX};
use crate::output::{self, reply};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use titan_protocol::{
    Effect, FieldKind, Form, SURFACE_BYTES_MAX, Surface, SurfaceKind, Taint, ToolContext,
    ToolError, ToolOutput, ToolSpec, Workbench,
};

const NAME_CHARS_MAX: usize = 64;
const TITLE_CHARS_MAX: usize = 200;
/// Fields of one form.
const FIELDS_MAX: usize = 40;
/// Buttons of one form.
const ACTIONS_MAX: usize = 6;
/// Lines of one diagram.
const EDGES_MAX: usize = 300;
/// Rows of a table or a chart.
const ROWS_MAX: usize = 2_000;
/// Columns of a table or a chart.
const COLUMNS_MAX: usize = 40;
/// The largest image file, in bytes: as text it is a third longer.
const IMAGE_BYTES_MAX: u64 = (SURFACE_BYTES_MAX as u64 - 64) / 4 * 3;

pub(crate) struct Canvas;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    name: String,
    kind: SurfaceKind,
    #[serde(default)]
    title: String,
    #[serde(default)]
    language: String,
    content: String,
}

#[async_trait]
impl WholeCall for Canvas {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        call::spec(
            "canvas",
            include_str!("canvas.md"),
            json!({
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": "^[a-z0-9-]+$"},
                    "kind": {"type": "string", "enum": ["markdown", "html", "svg", "table", "chart", "form", "code", "image", "diagram"]},
                    "title": {"type": "string", "maxLength": TITLE_CHARS_MAX},
                    "language": {"type": "string", "maxLength": 32},
                    "content": {"type": "string", "maxLength": SURFACE_BYTES_MAX}
                },
                "required": ["name", "kind", "content"],
                "additionalProperties": false
            }),
        )
    }

    fn example(&self) -> &'static str {
        r#"{"name": "sizes", "kind": "table", "title": "Sizes", "content": "file,bytes\na.rs,120\n"}"#
    }

    async fn effects(
        &self,
        arguments: Arguments,
        workbench: &dyn Workbench,
    ) -> Result<Vec<Effect>, ToolError> {
        match arguments.kind {
            SurfaceKind::Image if !arguments.content.is_empty() => {
                let path = image_path(&arguments.content)?;
                Ok(vec![files::read_effect(workbench, path).await?])
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn run(
        &self,
        context: &ToolContext,
        arguments: Arguments,
    ) -> Result<ToolOutput, ToolError> {
        let Arguments {
            name,
            kind,
            title,
            language,
            mut content,
        } = arguments;
        if content.is_empty() {
            context.signals.remove_surface(&name).await;
            return Ok(output::text(format!("{name} is gone"), Taint::NONE));
        }
        if kind == SurfaceKind::Image {
            content = image(context.workbench.as_ref(), image_path(&content)?).await?;
        }
        if content.len() > SURFACE_BYTES_MAX {
            return Err(wrong(format!(
                "the content has {} bytes; a surface holds {SURFACE_BYTES_MAX}",
                content.len()
            )));
        }
        let told = check(kind, &content)?;
        let text = format!("{name} is shown: {told}");
        let surface = Surface {
            name,
            title,
            kind,
            language,
            content,
        };
        context.signals.draw(surface).await;
        Ok(output::text(text, Taint::NONE))
    }
}

fn wrong(text: String) -> ToolError {
    ToolError::Reply(text)
}

/// Whether the content is of its kind, and what it amounts to in words.
fn check(kind: SurfaceKind, content: &str) -> Result<String, ToolError> {
    match kind {
        SurfaceKind::Markdown | SurfaceKind::Html | SurfaceKind::Code => {
            Ok(format!("{} lines", content.lines().count()))
        }
        SurfaceKind::Svg => svg(content),
        SurfaceKind::Table => table(content).map(|rows| format!("{} rows", rows.len())),
        SurfaceKind::Chart => chart(content),
        SurfaceKind::Form => form(content),
        SurfaceKind::Image => Ok("an image".to_owned()),
        SurfaceKind::Diagram => diagram(content),
    }
}

fn svg(content: &str) -> Result<String, ToolError> {
    let start = content.trim_start();
    match start.starts_with("<svg") || start.starts_with("<?xml") {
        true => Ok(format!("{} bytes", content.len())),
        false => Err(wrong(
            "an svg begins with <svg; for other markup use html".to_owned(),
        )),
    }
}

/// The rows below the head.
fn table(content: &str) -> Result<Vec<csv::StringRecord>, ToolError> {
    let mut reader = csv::Reader::from_reader(content.as_bytes());
    let unreadable = |error: csv::Error| wrong(format!("the CSV can't be read: {error}"));
    let columns = reader.headers().map_err(unreadable)?.len();
    if columns > COLUMNS_MAX {
        return Err(wrong(format!(
            "it has {columns} columns; {COLUMNS_MAX} are the most"
        )));
    }
    let rows: Result<Vec<_>, _> = reader.records().take(ROWS_MAX + 1).collect();
    let rows = rows.map_err(unreadable)?;
    match rows.len() {
        0 => Err(wrong("it has no rows below its head".to_owned())),
        1..=ROWS_MAX => Ok(rows),
        _ => Err(wrong(format!(
            "it has more than {ROWS_MAX} rows; draw a part of them, or sums"
        ))),
    }
}

fn chart(content: &str) -> Result<String, ToolError> {
    let rows = table(content)?;
    let series = rows.first().map_or(0, |row| row.len().saturating_sub(1));
    if series == 0 {
        return Err(wrong(
            "a chart needs a second column, of numbers".to_owned(),
        ));
    }
    for (idx, row) in rows.iter().enumerate() {
        let is_number = |cell: &str| {
            let cell = cell.trim();
            cell.is_empty() || cell.parse::<f64>().is_ok_and(f64::is_finite)
        };
        if let Some(cell) = row.iter().skip(1).find(|cell| !is_number(cell)) {
            return Err(wrong(format!(
                "row {}: {cell:?} is no number; all columns but the first hold numbers, or nothing",
                idx + 1
            )));
        }
    }
    Ok(format!("{series} series of {} points", rows.len()))
}

fn form(content: &str) -> Result<String, ToolError> {
    let form: Form = serde_json::from_str(content).map_err(|error| {
        wrong(format!(
            r#"the form is not as it must be: {error}. An example: {{"fields": [{{"name": "city", "type": "text"}}], "actions": ["submit"]}}"#
        ))
    })?;
    if form.fields.is_empty() || form.fields.len() > FIELDS_MAX {
        return Err(wrong(format!("a form has 1 to {FIELDS_MAX} fields")));
    }
    if form.actions.len() > ACTIONS_MAX {
        return Err(wrong(format!("a form has at most {ACTIONS_MAX} actions")));
    }
    let mut names = BTreeSet::new();
    for field in &form.fields {
        if field.name.is_empty() || !names.insert(field.name.as_str()) {
            return Err(wrong(format!(
                "the field name {:?} is empty or there twice",
                field.name
            )));
        }
        if field.kind == FieldKind::Choice && field.options.is_empty() {
            return Err(wrong(format!(
                "the field {:?} is a choice without options",
                field.name
            )));
        }
    }
    Ok(format!(
        "{} fields; what the person enters comes as their next message",
        form.fields.len()
    ))
}

fn diagram(content: &str) -> Result<String, ToolError> {
    let lines: Vec<&str> = content
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.len() > EDGES_MAX {
        return Err(wrong(format!("a diagram has at most {EDGES_MAX} lines")));
    }
    let edges = lines.iter().filter(|line| line.contains("->"));
    let edges: Vec<_> = edges.filter_map(|line| line.split_once("->")).collect();
    if let Some((from, to)) = edges
        .iter()
        .find(|(from, to)| from.trim().is_empty() || to.split(':').next().is_none_or(is_blank))
    {
        return Err(wrong(format!(
            "{:?} lacks an end; an edge is `from -> to` or `from -> to: label`",
            format!("{from}->{to}")
        )));
    }
    Ok(format!("{} edges", edges.len()))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn image_path(content: &str) -> Result<&str, ToolError> {
    match content.trim() {
        path if path.len() <= PATH_CHARS_MAX && !path.starts_with("data:") => Ok(path),
        _ => Err(wrong(
            "for an image, `content` is the path of a file; write the file first".to_owned(),
        )),
    }
}

/// An image file as a `data:` URL.
async fn image(workbench: &dyn Workbench, path: &str) -> Result<String, ToolError> {
    let path = files::resolve(workbench, path).await?.path;
    let name = files::shown(workbench, &path);
    let bytes = files::must_be_file(workbench, &path, &name).await?;
    if bytes > IMAGE_BYTES_MAX {
        return Err(wrong(format!(
            "{name} has {bytes} bytes; an image may have {IMAGE_BYTES_MAX}"
        )));
    }
    let content = workbench.read(&path, 0, IMAGE_BYTES_MAX).await;
    let content = content.map_err(reply)?;
    let Some(format) = image_format(&content) else {
        return Err(wrong(format!(
            "{name} is no PNG, JPEG, GIF or WebP image by its first bytes"
        )));
    };
    Ok(format!(
        "data:image/{format};base64,{}",
        BASE64.encode(&content)
    ))
}

/// The format by the bytes that such files begin with.
fn image_format(content: &[u8]) -> Option<&'static str> {
    match content {
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [0xff, 0xd8, 0xff, ..] => Some("jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("webp"),
        _ => None,
    }
}
