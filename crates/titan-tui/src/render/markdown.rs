//! Markdown as terminal lines, also while it is still being written.
//!
//! [`render`] lays out a whole text. [`MarkdownStream`] holds only the last block of a growing one: what comes before
//! it can no longer change and is handed out once. Links keep their address in sight, HTML is shown as text, and
//! nothing is fetched.

use super::highlight::highlight;
use super::style::{Color, Line, Span, Style, wrap};
use super::visible::{CleanStream, clean, columns};
use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// A table's column is never laid out narrower than this; a table that would need it is written as a list.
const CELL_COLUMNS_MIN: usize = 6;

/// How a text is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether styles can be seen; if not, emphasis and code keep their marks.
    pub has_color: bool,
}

/// A text that is still being written.
#[derive(Debug, Default)]
pub struct MarkdownStream {
    /// Cleaned before it is read as Markdown, so that no escape sequence is taken apart by a mark inside it.
    cleaned: CleanStream,
    pending: String,
    has_output: bool,
}

impl MarkdownStream {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) {
        self.pending.push_str(&self.cleaned.push(piece));
    }

    /// The lines of the blocks that can no longer change, each given once.
    pub fn finished(&mut self, layout: Layout) -> Vec<Line> {
        match last_block_start(&self.pending) {
            0 => Vec::new(),
            start => {
                let done: String = self.pending.drain(..start).collect();
                self.blocks(&done, layout)
            }
        }
    }

    /// The lines of the last block as it stands.
    pub fn live(&self, layout: Layout) -> Vec<Line> {
        spaced(render(&self.pending, layout), self.has_output)
    }

    /// The rest, at the end of the text. The stream can then be used for another text.
    pub fn finish(&mut self, layout: Layout) -> Vec<Line> {
        let rest = std::mem::take(&mut self.pending) + &self.cleaned.finish();
        let lines = self.blocks(&rest, layout);
        self.has_output = false;
        lines
    }

    fn blocks(&mut self, text: &str, layout: Layout) -> Vec<Line> {
        let lines = spaced(render(text, layout), self.has_output);
        self.has_output |= !lines.is_empty();
        lines
    }
}

fn spaced(mut lines: Vec<Line>, follows_text: bool) -> Vec<Line> {
    if follows_text && !lines.is_empty() {
        lines.insert(0, Line::default());
    }
    lines
}

/// Lays out a whole text.
pub fn render(text: &str, layout: Layout) -> Vec<Line> {
    let mut writer = Writer::new(layout);
    for event in Parser::new_ext(text, options()) {
        writer.event(event);
    }
    writer.flush();
    writer.lines
}

fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// Where the line of the last top-level block begins. A last line that may still become something else, such as a
/// row of a table, or words that go on from those above though they begin as an item of a list does, is left out of account.
pub(crate) fn last_block_start(text: &str) -> usize {
    let line_start = text.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].trim();
    let is_mark = |byte: u8| byte.is_ascii_digit() || b"*-+_=#>.)".contains(&byte);
    let is_open = line.starts_with(['|', '`', '~', '<']) || line.bytes().all(is_mark);
    let text = if is_open { &text[..line_start] } else { text };
    let mut depth = 0_usize;
    let mut last = 0;
    for (event, range) in Parser::new_ext(text, options()).into_offset_iter() {
        match event {
            Event::Start(_) => {
                if depth == 0 {
                    last = range.start;
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            _ if depth == 0 => last = range.start,
            _ => {}
        }
    }
    text[..last].rfind('\n').map_or(0, |newline| newline + 1)
}

/// What stands before each line of a nested block: a bullet or number once, then its indent.
struct Prefix {
    first: Option<Span>,
    rest: Span,
}

#[derive(Default)]
struct Table {
    alignments: Vec<Alignment>,
    rows: Vec<Vec<Vec<Span>>>,
}

struct Writer {
    layout: Layout,
    lines: Vec<Line>,
    inline: Vec<Span>,
    styles: Vec<Style>,
    prefixes: Vec<Prefix>,
    /// The next number of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    /// The code of an open block, with the language that its fence names.
    code: Option<(String, String)>,
    table: Option<Table>,
    /// Addresses of open links, with the columns of text before each.
    links: Vec<(String, usize)>,
    /// Whether the next block stands apart from what is above it.
    wants_gap: bool,
}

impl Writer {
    fn new(layout: Layout) -> Self {
        Self {
            layout,
            lines: Vec::new(),
            inline: Vec::new(),
            styles: vec![Style::PLAIN],
            prefixes: Vec::new(),
            lists: Vec::new(),
            code: None,
            table: None,
            links: Vec::new(),
            wants_gap: false,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) => {
                self.mark("`");
                let style = self.styled(|style| style.color = Some(Color::Cyan));
                self.span(&text, style);
                self.mark("`");
            }
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.text("\n"),
            Event::Rule => {
                self.open_block();
                let rule = "─".repeat(self.room().min(40));
                self.put(Line::dim(rule));
                self.wants_gap = true;
            }
            Event::TaskListMarker(done) => self.text(if done { "☑ " } else { "☐ " }),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(&text);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.open_block(),
            Tag::Heading { level, .. } => {
                self.open_block();
                let marks = "#".repeat(level as usize);
                self.span(&format!("{marks} "), Style::DIM);
                self.push_style(|style| {
                    style.bold = true;
                    if level <= HeadingLevel::H2 {
                        style.color = Some(Color::Magenta);
                    }
                });
            }
            Tag::BlockQuote(_) => {
                self.open_block();
                self.wants_gap = false;
                self.prefixes.push(Prefix {
                    first: None,
                    rest: Span::new("│ ", Style::DIM),
                });
            }
            Tag::CodeBlock(kind) => {
                self.open_block();
                let mut named = String::new();
                if let CodeBlockKind::Fenced(language) = kind
                    && !language.is_empty()
                {
                    let label = clean(&language).replace('\n', " ");
                    self.put(Line::dim(format!("  {label}")));
                    named = label;
                }
                self.code = Some((named, String::new()));
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.open_block();
                } else {
                    self.flush();
                    self.wants_gap = false;
                }
                self.lists.push(first);
            }
            Tag::Item => self.start_item(),
            Tag::Table(alignments) => {
                self.open_block();
                self.table = Some(Table {
                    alignments,
                    rows: Vec::new(),
                });
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            Tag::Emphasis => {
                self.mark("*");
                self.push_style(|style| style.italic = true);
            }
            Tag::Strong => {
                self.mark("**");
                self.push_style(|style| style.bold = true);
            }
            Tag::Strikethrough => {
                self.mark("~~");
                self.push_style(|style| style.strike = true);
            }
            Tag::Link { dest_url, .. } => {
                self.links
                    .push((clean(&dest_url).into(), self.inline.len()));
                self.push_style(|style| style.underline = true);
            }
            Tag::Image { dest_url, .. } => {
                self.text("image: ");
                self.links
                    .push((clean(&dest_url).into(), self.inline.len()));
                self.push_style(|style| style.underline = true);
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.close_block(),
            TagEnd::Heading(_) => {
                self.styles.pop();
                self.close_block();
            }
            TagEnd::BlockQuote(_) => {
                self.flush();
                self.prefixes.pop();
                self.wants_gap = true;
            }
            TagEnd::CodeBlock => self.end_code(),
            TagEnd::List(_) => {
                self.lists.pop();
                self.wants_gap = self.lists.is_empty();
            }
            TagEnd::Item => {
                self.flush();
                if self
                    .prefixes
                    .last()
                    .is_some_and(|prefix| prefix.first.is_some())
                {
                    self.put(Line::default());
                }
                self.prefixes.pop();
            }
            TagEnd::Table => self.end_table(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inline);
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Emphasis => {
                self.styles.pop();
                self.mark("*");
            }
            TagEnd::Strong => {
                self.styles.pop();
                self.mark("**");
            }
            TagEnd::Strikethrough => {
                self.styles.pop();
                self.mark("~~");
            }
            TagEnd::Link | TagEnd::Image => self.end_link(),
            _ => {}
        }
    }

    fn start_item(&mut self) {
        self.flush();
        self.wants_gap = false;
        let bullet = match self.lists.last_mut() {
            Some(Some(number)) => {
                let bullet = format!("{number}. ");
                *number += 1;
                bullet
            }
            _ => "• ".to_owned(),
        };
        let indent = " ".repeat(columns(&bullet));
        self.prefixes.push(Prefix {
            first: Some(Span::new(bullet, Style::DIM)),
            rest: Span::new(indent, Style::PLAIN),
        });
    }

    fn end_code(&mut self) {
        let (language, code) = self.code.take().unwrap_or_default();
        for line in highlight(&language, clean(&code).trim_end_matches('\n')) {
            let mut indented = Line::default().with(Style::PLAIN, "  ");
            line.0.into_iter().for_each(|span| indented.push(span));
            self.put(indented);
        }
        self.wants_gap = true;
    }

    fn end_link(&mut self) {
        self.styles.pop();
        let Some((address, start)) = self.links.pop() else {
            return;
        };
        let shown: String = self.inline[start.min(self.inline.len())..]
            .iter()
            .map(|span| span.text.as_str())
            .collect();
        let is_same = address == shown || address.strip_prefix("mailto:") == Some(&*shown);
        if !is_same {
            self.span(&format!(" ({address})"), Style::DIM);
        }
    }

    fn end_table(&mut self) {
        let Some(table) = self.table.take() else {
            return;
        };
        for line in lay_out_table(&table, self.room()) {
            self.put(line);
        }
        self.wants_gap = true;
    }

    fn text(&mut self, text: &str) {
        match &mut self.code {
            Some((_, code)) => code.push_str(text),
            None => self.span(text, self.style()),
        }
    }

    fn span(&mut self, text: &str, style: Style) {
        self.inline.push(Span::new(clean(text), style));
    }

    /// A mark of the source, kept where its style cannot be seen.
    fn mark(&mut self, mark: &str) {
        if !self.layout.has_color {
            self.span(mark, Style::PLAIN);
        }
    }

    fn style(&self) -> Style {
        self.styles.last().copied().unwrap_or_default()
    }

    fn styled(&self, change: impl FnOnce(&mut Style)) -> Style {
        let mut style = self.style();
        change(&mut style);
        style
    }

    fn push_style(&mut self, change: impl FnOnce(&mut Style)) {
        self.styles.push(self.styled(change));
    }

    fn open_block(&mut self) {
        self.flush();
        if std::mem::take(&mut self.wants_gap) && !self.lines.is_empty() {
            self.put(Line::default());
        }
    }

    fn close_block(&mut self) {
        self.flush();
        self.wants_gap = true;
    }

    fn flush(&mut self) {
        if self.inline.is_empty() {
            return;
        }
        let inline = std::mem::take(&mut self.inline);
        for line in wrap(&inline, self.room()) {
            self.put(line);
        }
    }

    /// Prefixes in use: all, or only the innermost where all would leave no room for text.
    fn prefixes_from(&self) -> usize {
        let all: usize = self.prefixes.iter().map(|p| columns(&p.rest.text)).sum();
        if all * 2 <= self.layout.width {
            0
        } else {
            self.prefixes.len().saturating_sub(1)
        }
    }

    fn room(&self) -> usize {
        let used: usize = self.prefixes[self.prefixes_from()..]
            .iter()
            .map(|prefix| columns(&prefix.rest.text))
            .sum();
        self.layout.width.saturating_sub(used).max(1)
    }

    fn put(&mut self, content: Line) {
        let from = self.prefixes_from();
        let mut line = Line::default();
        for (idx, prefix) in self.prefixes.iter_mut().enumerate() {
            let span = prefix.first.take().unwrap_or_else(|| prefix.rest.clone());
            if idx >= from {
                line.push(span);
            }
        }
        for span in content.0 {
            line.push(span);
        }
        let is_blank = line.0.iter().all(|span| span.text.trim().is_empty());
        self.lines
            .push(if is_blank { Line::default() } else { line });
    }
}

fn lay_out_table(table: &Table, width: usize) -> Vec<Line> {
    let n_columns = table.rows.iter().map(Vec::len).max().unwrap_or(0);
    match column_widths(table, n_columns, width) {
        Some(widths) => as_grid(table, &widths),
        None => as_records(table, width),
    }
}

/// The columns' widths, the widest narrowed until all fit; `None` where they cannot.
fn column_widths(table: &Table, n_columns: usize, width: usize) -> Option<Vec<usize>> {
    let mut widths: Vec<usize> = (0..n_columns)
        .map(|idx| {
            let cells = table.rows.iter().filter_map(|row| row.get(idx));
            cells.map(|cell| cell_width(cell)).max().unwrap_or(0).max(1)
        })
        .collect();
    let room = width.checked_sub(3 * n_columns.saturating_sub(1))?;
    while widths.iter().sum::<usize>() > room {
        let widest = widths.iter_mut().max()?;
        if *widest <= CELL_COLUMNS_MIN {
            return None;
        }
        *widest -= 1;
    }
    Some(widths)
}

fn cell_width(cell: &[Span]) -> usize {
    cell.iter().map(|span| columns(&span.text)).sum()
}

fn as_grid(table: &Table, widths: &[usize]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (row_idx, row) in table.rows.iter().enumerate() {
        let cells: Vec<Vec<Line>> = widths
            .iter()
            .enumerate()
            .map(|(idx, width)| {
                let cell = row.get(idx).map_or(&[][..], Vec::as_slice);
                wrap(&emphasised(cell, row_idx == 0), *width)
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line_idx in 0..height {
            lines.push(grid_line(&cells, widths, &table.alignments, line_idx));
        }
        if row_idx == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            lines.push(Line::dim(rules.join("─┼─")));
        }
    }
    lines
}

fn grid_line(
    cells: &[Vec<Line>],
    widths: &[usize],
    alignments: &[Alignment],
    line_idx: usize,
) -> Line {
    let mut line = Line::default();
    for (idx, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if idx > 0 {
            line.push(Span::new(" │ ", Style::DIM));
        }
        let content = cell.get(line_idx).cloned().unwrap_or_default();
        let space = width.saturating_sub(content.width());
        let before = match alignments.get(idx) {
            Some(Alignment::Right) => space,
            Some(Alignment::Center) => space / 2,
            _ => 0,
        };
        line.push(Span::new(" ".repeat(before), Style::PLAIN));
        for span in content.0 {
            line.push(span);
        }
        if idx + 1 < cells.len() {
            line.push(Span::new(" ".repeat(space - before), Style::PLAIN));
        }
    }
    line
}

/// A table too wide for the terminal: each row as lines of `head: value`.
fn as_records(table: &Table, width: usize) -> Vec<Line> {
    let Some((head, rows)) = table.rows.split_first() else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for (row_idx, row) in rows.iter().enumerate() {
        if row_idx > 0 {
            lines.push(Line::default());
        }
        for (idx, cell) in row.iter().enumerate() {
            let mut spans = emphasised(head.get(idx).map_or(&[][..], Vec::as_slice), true);
            spans.push(Span::new(": ", Style::DIM));
            spans.extend_from_slice(cell);
            lines.extend(wrap(&spans, width));
        }
    }
    lines
}

fn emphasised(cell: &[Span], is_head: bool) -> Vec<Span> {
    cell.iter()
        .map(|span| {
            let style = Style {
                bold: span.style.bold || is_head,
                ..span.style
            };
            Span::new(span.text.clone(), style)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const SAMPLE: &str = "\
# Title with *stress*

A paragraph of some words with **strong** and `code` and a [link](https://example.org/a).

1. first
2. second
   - nested item that is long enough to wrap around
   - another

> quoted words

```rust
fn main() {
\tprintln!();
}
```

| crate | what it does |
|:--|--:|
| one | reads |
| two | writes much |

- [x] done
- [ ] open

---
end";

    fn text_of(lines: &[Line]) -> String {
        lines.iter().map(|line| line.text() + "\n").collect()
    }

    fn check(text: &str, width: usize, expected: Expect) {
        let layout = Layout {
            width,
            has_color: true,
        };
        expected.assert_eq(&text_of(&render(text, layout)));
    }

    #[test]
    fn a_page_is_laid_out_for_a_usual_terminal() {
        check(
            SAMPLE,
            60,
            expect![[r#"
            # Title with stress

            A paragraph of some words with strong and code and a link
            (https://example.org/a).

            1. first
            2. second
               • nested item that is long enough to wrap around
               • another

            │ quoted words

              rust
              fn main() {
                  println!();
              }

            crate │ what it does
            ──────┼─────────────
            one   │        reads
            two   │  writes much

            • ☑ done
            • ☐ open

            ────────────────────────────────────────

            end
        "#]],
        );
    }

    #[test]
    fn a_page_is_laid_out_for_twenty_columns() {
        check(
            SAMPLE,
            20,
            expect![[r#"
            # Title with stress

            A paragraph of some
            words with strong
            and code and a link
            (https://example.org
            /a).

            1. first
            2. second
               • nested item
                 that is long
                 enough to wrap
                 around
               • another

            │ quoted words

              rust
              fn main() {
                  println!();
              }

            crate │ what it does
            ──────┼─────────────
            one   │        reads
            two   │  writes much

            • ☑ done
            • ☐ open

            ────────────────────

            end
        "#]],
        );
    }

    #[test]
    fn marks_stay_where_styles_cannot_be_seen() {
        let layout = Layout {
            width: 40,
            has_color: false,
        };
        let lines = render("**a** *b* `c` ~~d~~", layout);
        assert_eq!(text_of(&lines), "**a** *b* `c` ~~d~~\n");
    }

    #[test]
    fn a_table_too_wide_becomes_records() {
        check(
            "| name | purpose | owner |\n|-|-|-|\n| alpha | the first thing | me |\n| beta | next | you |",
            18,
            expect![[r#"
                name: alpha
                purpose: the first
                thing
                owner: me

                name: beta
                purpose: next
                owner: you
            "#]],
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let prose = SAMPLE.replace("```rust\nfn main() {\n\tprintln!();\n}\n```", "");
        for width in 1..100 {
            let layout = Layout {
                width,
                has_color: true,
            };
            for line in render(&prose, layout) {
                let is_too_wide = line.width() > width.max(6);
                assert!(!is_too_wide, "{width}: {:?}", line.text());
            }
        }
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_page() {
        let layout = Layout {
            width: 40,
            has_color: true,
        };
        let sample = format!("1. loose\n\n2. list\n\n{SAMPLE}");
        let whole = text_of(&render(&sample, layout));
        for piece_chars in [1, 3, 7, 50] {
            let mut stream = MarkdownStream::default();
            let mut lines = Vec::new();
            let chars: Vec<char> = sample.chars().collect();
            for piece in chars.chunks(piece_chars) {
                stream.push(&piece.iter().collect::<String>());
                lines.extend(stream.finished(layout));
            }
            lines.extend(stream.finish(layout));
            assert_eq!(text_of(&lines), whole, "pieces of {piece_chars}");
        }
    }

    #[test]
    fn only_the_last_block_is_held_back() {
        let layout = Layout {
            width: 40,
            has_color: true,
        };
        let mut stream = MarkdownStream::default();
        stream.push("first\n\nsec");
        assert_eq!(text_of(&stream.finished(layout)), "first\n");
        assert_eq!(text_of(&stream.live(layout)), "\nsec\n");
        assert_eq!(text_of(&stream.finish(layout)), "\nsec\n");
    }

    #[test]
    fn markdown_cannot_smuggle_escapes() {
        let layout = Layout {
            width: 40,
            has_color: true,
        };
        let text =
            "&#27;[31m \u{1b}[2J `\u{9b}1m` [a](http://x/&#27;[0m)\n\n```\n\u{1b}]0;t\u{7}\n```";
        let shown = text_of(&render(text, layout));
        assert!(
            !shown.chars().any(|c| c.is_control() && c != '\n'),
            "{shown:?}"
        );
    }
}
