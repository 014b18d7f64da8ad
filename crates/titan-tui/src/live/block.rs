//! A piece of the conversation that is laid out as a whole and drawn by rows.

use crate::render::canvas;
use crate::render::markdown::{Layout, render};
use crate::render::style::{Color, Line, Span, Style, wrap, wrap_exactly};
use crate::render::visible::clean;
use titan_protocol::Surface;

/// What a block says, before it is laid out for a width.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Lines as they are; what is too wide goes on in the next row.
    Lines(Vec<Line>),
    /// Blocks of Markdown, cleaned. `follows` others of the same answer.
    Markdown { source: String, follows: bool },
    /// Words of the person, behind a mark.
    Said(String),
    /// A sentence of the engine's, behind a mark.
    Note {
        mark: &'static str,
        style: Style,
        text: String,
    },
    /// A surface of the canvas.
    Surface(Surface),
    /// Lines of a program's output, cleaned.
    Output(Vec<String>),
    /// Lines of a call's arguments.
    Written(Vec<String>),
    /// Lines of a model's thinking, cleaned.
    Thought(Vec<String>),
}

/// A block with its lines for the width that was asked for last.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) content: Content,
    laid: Option<(Layout, Vec<Line>)>,
}

impl Block {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            laid: None,
        }
    }

    /// Its lines, and whether they had to be laid out.
    pub(super) fn lines(&mut self, layout: Layout) -> (&[Line], bool) {
        let is_laid = self
            .laid
            .as_ref()
            .is_some_and(|(was, _)| was.width == layout.width && was.has_color == layout.has_color);
        if !is_laid {
            self.laid = Some((layout, self.content.lay_out(layout)));
        }
        let lines = self.laid.as_ref().map_or(&[][..], |(_, lines)| lines);
        (lines, !is_laid)
    }

    /// Changes what it says.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Content)) {
        self.laid = None;
        change(&mut self.content);
    }

    /// Forgets its lines until they are asked for again.
    pub(super) fn forget(&mut self) {
        self.laid = None;
    }
}

impl Content {
    /// Bytes of its text.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.iter().map(|line| line.text().len()).sum(),
            Self::Markdown { source: text, .. } | Self::Said(text) | Self::Note { text, .. } => {
                text.len()
            }
            Self::Surface(surface) => surface.title.len() + surface.content.len(),
            Self::Output(lines) | Self::Written(lines) | Self::Thought(lines) => {
                lines.iter().map(String::len).sum()
            }
        }
    }

    /// Whether the text holds what is looked for, which is in lower case.
    pub(super) fn holds(&self, wanted: &str) -> bool {
        let found = |text: &str| text.to_lowercase().contains(wanted);
        match self {
            Self::Lines(lines) => lines.iter().any(|line| found(&line.text())),
            Self::Markdown { source: text, .. } | Self::Said(text) | Self::Note { text, .. } => {
                found(text)
            }
            Self::Surface(surface) => found(&surface.title) || found(&surface.content),
            Self::Output(lines) | Self::Written(lines) | Self::Thought(lines) => {
                lines.iter().any(|line| found(line))
            }
        }
    }

    pub(super) fn lay_out(&self, layout: Layout) -> Vec<Line> {
        let width = layout.width.max(1);
        match self {
            Self::Lines(lines) => lines.iter().flat_map(|line| fitted(line, width)).collect(),
            Self::Markdown { source, follows } => {
                let mut lines: Vec<Line> = render(source, layout)
                    .iter()
                    .flat_map(|line| fitted(line, width))
                    .collect();
                if *follows && !lines.is_empty() {
                    lines.insert(0, Line::default());
                }
                lines
            }
            Self::Said(text) => {
                let style = Style::color(Color::Cyan);
                marked("› ", style, lines_of(text, Style::BOLD), width)
            }
            Self::Note { mark, style, text } => {
                let text = [Span::new(clean(text), *style)];
                let lines = wrap(&text, width.saturating_sub(2).max(1));
                marked(&format!("{mark} "), *style, lines, width)
            }
            Self::Surface(surface) => canvas::lines(surface, layout)
                .iter()
                .flat_map(|line| fitted(line, width))
                .collect(),
            Self::Output(lines) => guttered(lines, "  │ ", Style::DIM, width),
            Self::Written(lines) => guttered(lines, "  ✎ ", Style::color(Color::Cyan), width),
            Self::Thought(lines) => thought(lines, width),
        }
    }
}

/// A line in rows that fit.
fn fitted(line: &Line, width: usize) -> Vec<Line> {
    if line.width() <= width {
        vec![line.clone()]
    } else {
        wrap_exactly(&line.0, width)
    }
}

fn lines_of(text: &str, style: Style) -> Vec<Line> {
    clean(text)
        .split('\n')
        .map(|line| Line::default().with(style, line.replace('\t', "    ")))
        .collect()
}

/// Lines behind a mark that stands before the first alone, each fitted into what is left.
fn marked(mark: &str, style: Style, lines: Vec<Line>, width: usize) -> Vec<Line> {
    let room = width.saturating_sub(2).max(1);
    let fitting = lines.iter().flat_map(|line| fitted(line, room));
    fitting
        .enumerate()
        .map(|(idx, line)| {
            let lead = if idx == 0 { mark } else { "  " };
            let mut marked = Line::default().with(style, lead);
            line.0.into_iter().for_each(|span| marked.push(span));
            marked
        })
        .collect()
}

/// Lines of which every row stands behind the same gutter, so that no output passes for a line of the program's own.
pub(super) fn guttered(lines: &[String], gutter: &str, style: Style, width: usize) -> Vec<Line> {
    let room = width.saturating_sub(gutter.chars().count()).max(1);
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let text = Line::default().with(Style::PLAIN, line.replace('\t', "    "));
        for row in fitted(&text, room) {
            let mut guttered = Line::default().with(style, gutter);
            row.0.into_iter().for_each(|span| guttered.push(span));
            rows.push(guttered);
        }
    }
    rows
}

fn thought(lines: &[String], width: usize) -> Vec<Line> {
    let style = Style {
        italic: true,
        ..Style::DIM
    };
    let room = width.saturating_sub(4).max(1);
    let spans = lines.iter().map(|line| [Span::new(line.as_str(), style)]);
    spans
        .flat_map(|spans| wrap(&spans, room))
        .map(|line| {
            let mut guttered = Line::default().with(Style::DIM, "  ┆ ");
            line.0.into_iter().for_each(|span| guttered.push(span));
            guttered
        })
        .collect()
}
