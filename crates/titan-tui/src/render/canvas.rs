//! A surface of the canvas as text.

use super::markdown::{self, Layout};
use super::style::{Color, Line, Style};
use super::table::columns_of;
use super::visible::{clean, columns};
use csv::StringRecord;
use titan_protocol::{Field, FieldKind, Form, Surface, SurfaceKind};

/// Lines of one surface that are shown; the rest is counted.
const LINES_MAX: usize = 60;
/// Bytes at the end of a surface that still grows, which are laid out: it is drawn anew with every frame.
const GROWING_BYTES_MAX: usize = 16 * 1024;
/// Places at which a form that still grows may be read.
const FORM_ENDS_MAX: usize = 8;
/// The widest bar of a chart, in columns.
const BAR_COLUMNS_MAX: usize = 40;

/// The surface under its title.
pub fn lines(surface: &Surface, layout: Layout) -> Vec<Line> {
    let mut lines = vec![head(surface).cut(layout.width)];
    let mut body = body(surface, layout);
    let surplus = body.len().saturating_sub(LINES_MAX);
    body.truncate(LINES_MAX);
    lines.extend(body);
    if surplus > 0 {
        lines.push(Line::dim(format!("… {surplus} more lines")));
    }
    lines
}

/// A surface that is still being written: its title and the end of what there is, at most so many lines.
pub(crate) fn growing(surface: &Surface, layout: Layout, lines_max: usize) -> Vec<Line> {
    let mut lines = vec![
        head(surface)
            .with(Style::DIM, " · is being drawn")
            .cut(layout.width),
    ];
    let body = match surface.kind {
        SurfaceKind::Form => form_so_far(&surface.content, layout),
        _ => body(&ending(surface), layout),
    };
    lines.extend(
        body.iter()
            .skip(body.len().saturating_sub(lines_max))
            .cloned(),
    );
    lines
}

fn head(surface: &Surface) -> Line {
    let title = match surface.title.is_empty() {
        true => &surface.name,
        false => &surface.title,
    };
    Line::default().with(
        Style::BOLD,
        format!("▦ {}", clean(title).replace('\n', " ")),
    )
}

/// A long surface without its middle: whole lines at its end and, where columns have names, those.
fn ending(surface: &Surface) -> Surface {
    let content = &surface.content;
    let start = content.ceil_char_boundary(content.len().saturating_sub(GROWING_BYTES_MAX));
    let start = match (start, content[start..].find('\n')) {
        (0, _) => return surface.clone(),
        (start, Some(end)) => start + end + 1,
        (start, None) => start,
    };
    let names = match surface.kind {
        SurfaceKind::Table | SurfaceKind::Chart => content.lines().next().unwrap_or_default(),
        _ => "",
    };
    let lead = if names.is_empty() { "" } else { "\n" };
    Surface {
        content: format!("{names}{lead}{}", &content[start..]),
        ..surface.clone()
    }
}

/// The fields of a form that are whole by now.
fn form_so_far(content: &str, layout: Layout) -> Vec<Line> {
    let ends = content.rmatch_indices('}').map(|(at, _)| at + 1);
    let whole = |end: usize| {
        let begun = &content[..end];
        let closed = ["", "]}"].map(|rest| serde_json::from_str(&format!("{begun}{rest}")));
        closed.into_iter().find_map(Result::ok)
    };
    // Only the last few can be the end of a field: a text may hold braces too.
    let form = ends.take(FORM_ENDS_MAX).find_map(whole);
    form.map_or_else(Vec::new, |form| form_lines(&form, layout))
}

fn body(surface: &Surface, layout: Layout) -> Vec<Line> {
    let content = &surface.content;
    match surface.kind {
        SurfaceKind::Markdown => markdown::render(content, layout),
        SurfaceKind::Code => plain(content, layout),
        SurfaceKind::Diagram => plain(&content.replace("->", "→"), layout),
        SurfaceKind::Table => match rows(content) {
            Some((head, rows)) => table(&head, &rows, layout),
            None => plain(content, layout),
        },
        SurfaceKind::Chart => match rows(content) {
            Some((head, rows)) => chart(&head, &rows, layout),
            None => plain(content, layout),
        },
        SurfaceKind::Form => match serde_json::from_str(content) {
            Ok(form) => form_lines(&form, layout),
            Err(_) => plain(content, layout),
        },
        SurfaceKind::Html => in_browser("a page"),
        SurfaceKind::Svg | SurfaceKind::Image => in_browser("an image"),
    }
}

fn in_browser(what: &str) -> Vec<Line> {
    vec![Line::dim(format!("({what}, which a terminal can't show)"))]
}

fn plain(text: &str, layout: Layout) -> Vec<Line> {
    let text = clean(text);
    let lines = text.lines().map(|line| {
        Line::default()
            .with(Style::PLAIN, line.replace('\t', "    "))
            .cut(layout.width)
    });
    lines.collect()
}

type Rows = (Vec<String>, Vec<StringRecord>);

/// The head and what is below it. The tool has checked it; what can't be read all the same is shown as it is.
fn rows(content: &str) -> Option<Rows> {
    // While it grows, the last row is shorter than the others.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(content.as_bytes());
    let head = reader.headers().ok()?.iter();
    let head = head.map(|cell| clean(cell).replace(['\n', '\t'], " "));
    let head = head.collect();
    let rows: Result<Vec<_>, _> = reader.records().collect();
    Some((head, rows.ok()?))
}

fn table(head: &[String], rows: &[StringRecord], layout: Layout) -> Vec<Line> {
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(str::to_owned).collect())
        .collect();
    columns_of(&head, &rows, Some(layout.width))
}

/// A bar for each number, the longest being the largest.
fn chart(head: &[String], rows: &[StringRecord], layout: Layout) -> Vec<Line> {
    let number = |cell: &str| cell.trim().parse::<f64>().ok();
    let numbers = rows.iter().flat_map(|row| row.iter().skip(1));
    let largest = numbers
        .filter_map(number)
        .map(f64::abs)
        .fold(f64::MIN_POSITIVE, f64::max);
    let name = |cell: &str| clean(cell).replace(['\n', '\t'], " ");
    let names: Vec<String> = rows
        .iter()
        .map(|row| name(row.get(0).unwrap_or_default()))
        .collect();
    let widest = names.iter().map(|name| columns(name)).max().unwrap_or(0);
    let room = layout.width.saturating_sub(widest + 14);
    let room = room.clamp(1, BAR_COLUMNS_MAX);
    let mut lines = Vec::new();
    for series in 1..head.len() {
        if head.len() > 2 {
            lines.push(Line::default().with(Style::BOLD, head[series].clone()));
        }
        for (name, row) in names.iter().zip(rows) {
            let Some(value) = row.get(series).and_then(number) else {
                continue;
            };
            let length = (value.abs() / largest * room as f64).round() as usize;
            let pad = " ".repeat(widest - columns(name));
            let line = Line::default()
                .with(Style::PLAIN, format!("{name}{pad} "))
                .with(Style::color(Color::Cyan), "▇".repeat(length))
                .with(Style::PLAIN, format!(" {value}"));
            lines.push(line.cut(layout.width));
        }
    }
    lines
}

fn form_lines(form: &Form, layout: Layout) -> Vec<Line> {
    let mut lines: Vec<Line> = form
        .fields
        .iter()
        .map(|field| {
            let line = Line::default().with(Style::PLAIN, field_text(field));
            line.cut(layout.width)
        })
        .collect();
    lines.push(Line::dim(
        "(a form: fill it in in the browser, or say here what it asks)",
    ));
    lines
}

fn field_text(field: &Field) -> String {
    let label = match field.label.is_empty() {
        true => &field.name,
        false => &field.label,
    };
    let value = match &field.value {
        Some(value) => value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned),
        None => String::new(),
    };
    let entry = match field.kind {
        FieldKind::Checkbox => (if value == "true" { "[x]" } else { "[ ]" }).to_owned(),
        FieldKind::Choice => format!("[{}]", field.options.join(" / ")),
        _ => format!("[{value}]"),
    };
    clean(&format!("{label}: {entry}")).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(kind: SurfaceKind, content: &str, expected: Expect) {
        let surface = Surface {
            name: "it".to_owned(),
            title: "The \u{1b}[2Jtitle".to_owned(),
            kind,
            language: String::new(),
            content: content.to_owned(),
        };
        let layout = Layout {
            width: 40,
            has_color: false,
        };
        let text: Vec<String> = lines(&surface, layout).iter().map(Line::text).collect();
        expected.assert_eq(&text.join("\n"));
    }

    #[test]
    fn every_kind_has_a_text() {
        check(
            SurfaceKind::Markdown,
            "# One\n\n- two",
            expect![[r#"
            ▦ The title
            # One

            • two"#]],
        );
        check(
            SurfaceKind::Table,
            "file,bytes\nsrc/main.rs,120\n\"a,b\",7\n",
            expect![[r#"
                ▦ The title
                file         bytes
                src/main.rs  120
                a,b          7"#]],
        );
        check(
            SurfaceKind::Chart,
            "day,in,out\nMon,1,4\nTuesday,2,\n",
            expect![[r#"
                ▦ The title
                in
                Mon     ▇▇▇▇▇ 1
                Tuesday ▇▇▇▇▇▇▇▇▇▇ 2
                out
                Mon     ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇ 4"#]],
        );
        check(
            SurfaceKind::Form,
            r#"{"fields": [{"name": "city", "label": "Where to"}, {"name": "now", "type": "checkbox", "value": true}, {"name": "how", "type": "choice", "options": ["rail", "road"]}]}"#,
            expect![[r#"
                ▦ The title
                Where to: []
                now: [x]
                how: [rail / road]
                (a form: fill it in in the browser, or say here what it asks)"#]],
        );
        check(
            SurfaceKind::Diagram,
            "a -> b: calls\n",
            expect![[r#"
            ▦ The title
            a → b: calls"#]],
        );
        check(
            SurfaceKind::Code,
            "fn main() {}\n\tx\u{202e}\n",
            expect![[r#"
            ▦ The title
            fn main() {}
                x⟨U+202E⟩"#]],
        );
        check(
            SurfaceKind::Html,
            "<p>",
            expect![[r#"
            ▦ The title
            (a page, which a terminal can't show)"#]],
        );
    }

    #[test]
    fn a_surface_that_is_being_written_shows_its_end() {
        let form = r#"{"fields": [{"name": "city"}, {"name": "now", "type": "checkbox"}, {"na"#;
        for (kind, content, expected) in [
            (SurfaceKind::Code, "a\nb\nc\nd\nhalf".to_owned(), "c|d|half"),
            (SurfaceKind::Table, "n,m\n1,2\n3".to_owned(), "n  m|1  2|3"),
            (
                SurfaceKind::Chart,
                "n,m\na,2\nb".to_owned(),
                "a ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇ 2",
            ),
            (
                SurfaceKind::Form,
                form.to_owned(),
                "city: []|now: [ ]|(a form: fill it in in the browser, or say here what it asks)",
            ),
            (SurfaceKind::Diagram, "a -> b\nb -".to_owned(), "a → b|b -"),
            (
                SurfaceKind::Table,
                format!("n,m\n{}", "1,2\n".repeat(10_000)),
                "1  2|1  2|1  2",
            ),
        ] {
            let surface = Surface {
                name: "it".to_owned(),
                title: String::new(),
                kind,
                language: String::new(),
                content,
            };
            let layout = Layout {
                width: 40,
                has_color: false,
            };
            let lines: Vec<String> = growing(&surface, layout, 3)
                .iter()
                .map(Line::text)
                .collect();
            assert_eq!(lines[0], "▦ it · is being drawn");
            let body: Vec<&str> = lines[1..].iter().map(|line| line.trim_end()).collect();
            assert_eq!(body.join("|"), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_long_surface_is_cut_and_counted() {
        let surface = Surface {
            name: "it".to_owned(),
            title: String::new(),
            kind: SurfaceKind::Code,
            language: String::new(),
            content: "x\n".repeat(500),
        };
        let layout = Layout {
            width: 40,
            has_color: false,
        };
        let lines = lines(&surface, layout);
        assert_eq!(lines.len(), LINES_MAX + 2);
        assert_eq!(lines.last().unwrap().text(), "… 440 more lines");
    }
}
