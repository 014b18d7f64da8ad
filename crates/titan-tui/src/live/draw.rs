//! The screen as cells: what stands where, and nothing that decides anything.
//!
//! From the top: the conversation or a pane; the plan; what waits for the person; what is being typed; the status.

use super::app::{App, Asked, Request};
use super::conversation::{Place, Row};
use super::theme::Theme;
use crate::render::approval::{choices, request};
use crate::render::style::{Color, Line, Style, wrap};
use crate::render::turn::{plan_lines, question_lines};
use crate::render::visible::{clean_line, columns, visible};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;
use std::sync::Arc;
use titan_protocol::ApprovalId;

/// Rows of what is being typed, at most.
const COMPOSER_ROWS_MAX: usize = 8;
/// Rows of the plan.
const PLAN_ROWS_MAX: usize = 8;
/// Rows of what completes a word.
const POPUP_ROWS_MAX: usize = 8;
/// Columns of the palette.
const PALETTE_COLUMNS_MAX: u16 = 76;
/// The prompt before what is typed.
const PROMPT: &str = "› ";

/// What is remembered of the last drawing: what the mouse points at, and how far a page is.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    /// Columns and rows of the conversation.
    pub(super) width: usize,
    pub(super) height: usize,
    /// What is in each of its rows.
    pub(super) places: Vec<Place>,
    /// The last entry in sight.
    pub(super) last_entry: u64,
    pub(super) palette: Option<Area>,
}

/// A part of the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    left: u16,
    pub(super) top: u16,
    width: u16,
    height: u16,
}

impl Area {
    pub(super) fn holds(self, column: u16, row: u16) -> bool {
        let columns = self.left..self.left.saturating_add(self.width);
        let rows = self.top..self.top.saturating_add(self.height);
        columns.contains(&column) && rows.contains(&row)
    }
}

/// Rows at the bottom, each part with its lines.
struct Bottom {
    /// The plan, what waits, what completes a word: in the order in which they stand.
    panels: Vec<Line>,
    composer: Vec<Line>,
    /// Row and column of the cursor in the composer's lines.
    cursor: (usize, usize),
    has_rule: bool,
    has_status: bool,
}

impl App {
    /// Draws the screen. An approval counts as seen from the first drawing that holds it.
    pub fn view(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.is_empty() {
            return;
        }
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        let bottom = self.bottom(width, height);
        let n_bottom = bottom.panels.len()
            + bottom.composer.len()
            + usize::from(bottom.has_rule)
            + usize::from(bottom.has_status);
        let n_top = height.saturating_sub(n_bottom);
        self.drawn.width = width;
        self.drawn.height = n_top;
        self.drawn.places.clear();
        self.drawn.palette = None;
        let mut canvas = Cells {
            buffer: frame.buffer_mut(),
            area,
            theme: self.settings.theme,
        };
        let mut pane_cursor = None;
        if self.pane.is_some() {
            pane_cursor = self.draw_pane(&mut canvas, width, n_top);
        } else if n_top > 0 {
            self.draw_conversation(&mut canvas, width);
        }
        let cursor = self.draw_bottom(&mut canvas, bottom, n_top, width);
        let is_hidden = self.has_overlay();
        let palette_cursor = self.draw_palette(&mut canvas);
        let cursor = cursor.filter(|_| !is_hidden).or(pane_cursor);
        if let Some(position) = palette_cursor.or(cursor) {
            frame.set_cursor_position(position);
        }
    }

    /// Draws the pane, and says where its cursor is.
    fn draw_pane(
        &mut self,
        canvas: &mut Cells<'_>,
        width: usize,
        height: usize,
    ) -> Option<Position> {
        let (now, session) = (self.now, self.session());
        let pane = self.pane.as_mut().filter(|_| height > 0)?;
        let lines = pane.lines(width, height - 1, now, session);
        canvas.line(0, &pane.title(width));
        for (row, line) in lines.iter().take(height - 1).enumerate() {
            canvas.line(row + 1, line);
        }
        let cursor = pane.cursor.filter(|(row, _)| *row < height - 1);
        cursor.map(|(row, column)| canvas.position(row + 1, column.min(width.saturating_sub(1))))
    }

    fn draw_conversation(&mut self, canvas: &mut Cells<'_>, width: usize) {
        if self.conversation.is_empty() {
            let height = self.drawn.height;
            for (row, line) in self.greeting(width).iter().take(height).enumerate() {
                canvas.line(row, line);
            }
            return;
        }
        let view = self.view_of_conversation();
        let rows = self.conversation.rows(&view);
        let wanted = self
            .search
            .as_ref()
            .map(|search| search.wanted.to_lowercase())
            .filter(|wanted| !wanted.trim().is_empty());
        for (row, Row { line, .. }) in rows.iter().enumerate() {
            canvas.line(row, line);
            if let Some(wanted) = &wanted {
                canvas.mark(row, line, wanted);
            }
        }
        self.drawn.last_entry = rows.last().map_or(0, |row| row.place.entry);
        self.drawn.places = rows.into_iter().map(|row| row.place).collect();
    }

    fn greeting(&self, width: usize) -> Vec<Line> {
        let title = Style {
            bold: true,
            ..Style::color(Color::Magenta)
        };
        let root = visible(&self.root().to_string_lossy());
        let lines = [
            Line::default().with(title, "TitanClaw"),
            Line::dim(format!("works in {root}")),
            Line::dim(visible(&self.who_answers())),
            Line::default(),
            Line::default().with(Style::PLAIN, "Ask something, or say what is to be done."),
            Line::dim("Ctrl-P lists what can be done, F1 the keys, @ names a file,"),
            Line::dim("!COMMAND runs a command by hand, Ctrl-D leaves."),
        ];
        let fitted = lines.iter().map(|line| wrap(&line.0, width));
        fitted.flatten().collect()
    }

    pub(super) fn composer_width(&self) -> usize {
        self.drawn.width.saturating_sub(columns(PROMPT)).max(1)
    }

    /// What stands below the conversation, never more than the screen holds.
    fn bottom(&mut self, width: usize, height: usize) -> Bottom {
        let has_status = height >= 2;
        let has_rule = height >= 10;
        let mut room = height - usize::from(has_status) - usize::from(has_rule);
        let (composer, cursor) = self.composer_lines(width, room);
        room -= composer.len();
        // The conversation keeps some rows, whatever waits.
        let kept = (room / 3).min(6);
        let panels = self.panels(width, room - kept);
        Bottom {
            panels,
            composer,
            cursor,
            has_rule,
            has_status,
        }
    }

    /// The lines of the prompt with what is typed, and where its cursor is.
    fn composer_lines(&self, width: usize, room: usize) -> (Vec<Line>, (usize, usize)) {
        let label = self.composer_label();
        let indent = columns(label);
        let text_width = width.saturating_sub(columns(PROMPT)).max(1);
        let rows_max = COMPOSER_ROWS_MAX.min(room.div_ceil(3)).max(1).min(room);
        let (text, (row, column)) = match &self.search {
            Some(search) => {
                let line = Line::default().with(Style::PLAIN, search.wanted.as_str());
                let column = line.width();
                (vec![line], (0, column))
            }
            None => (
                self.composer.lines(text_width),
                self.composer.cursor_at(text_width),
            ),
        };
        let from = (row + 1).saturating_sub(rows_max.max(1));
        let lines = text.into_iter().enumerate().skip(from).take(rows_max);
        let lines = lines.map(|(idx, text)| {
            let lead = if idx == 0 { label } else { "  " };
            let mut line = Line::default().with(Style::color(Color::Cyan), lead);
            text.0.into_iter().for_each(|span| line.push(span));
            line
        });
        let lead = if row == 0 { indent } else { columns(PROMPT) };
        (lines.collect(), (row - from, lead + column))
    }

    fn composer_label(&self) -> &'static str {
        match &self.search {
            Some(_) => "search › ",
            None => PROMPT,
        }
    }

    fn panels(&mut self, width: usize, room: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        if !self.has_overlay() {
            lines.extend(self.request_panel(width, room));
        }
        let room = room.saturating_sub(lines.len());
        let mut above = self.plan_panel(width, room);
        let room = room.saturating_sub(above.len());
        above.extend(self.sent_panel(width, room));
        above.append(&mut lines);
        above.extend(self.images_panel(width, room));
        if let Some(popup) = &self.popup {
            let room = POPUP_ROWS_MAX.min(room);
            above.extend(popup.lines(width, room));
        }
        above
    }

    /// What is given with what is said next.
    fn images_panel(&self, width: usize, room: usize) -> Vec<Line> {
        let n_images = self.images.len();
        let shown = self.images.iter().enumerate().take(room / 2);
        shown
            .map(|(idx, chip)| chip.line(idx + 1 == n_images).cut(width))
            .collect()
    }

    fn plan_panel(&self, width: usize, room: usize) -> Vec<Line> {
        if self.plan.is_empty() || self.hides_plan {
            return Vec::new();
        }
        let rows_max = PLAN_ROWS_MAX.min(room / 2);
        let lines = match rows_max {
            0 => Vec::new(),
            // One row is for how many more there are.
            rows if self.plan.len() > rows => plan_lines(&self.plan, rows - 1),
            rows => plan_lines(&self.plan, rows),
        };
        lines.iter().map(|line| line.cut(width)).collect()
    }

    /// What was said and is on its way.
    fn sent_panel(&self, width: usize, room: usize) -> Vec<Line> {
        let sent = self.sent.iter().take(room / 2);
        sent.map(|(_, text)| {
            let text = clean_line(text);
            Line::dim(format!("› {text}"))
                .cut(width.saturating_sub(10).max(1))
                .with(Style::DIM, " · on its way")
                .cut(width)
        })
        .collect()
    }

    fn request_panel(&mut self, width: usize, room: usize) -> Vec<Line> {
        match self.requests.front() {
            None => {
                self.seen = None;
                self.asked = None;
                Vec::new()
            }
            Some(Request::Question { text, choices, .. }) => {
                let mut lines: Vec<Line> = question_lines(text, choices, width)
                    .iter()
                    .map(|line| line.cut(width))
                    .collect();
                lines.truncate(room);
                lines
            }
            Some(Request::Approval { .. }) => self.approval_panel(width, room),
        }
    }

    fn approval_panel(&mut self, width: usize, room: usize) -> Vec<Line> {
        let Some((approval, lines)) = self.asked_lines(width) else {
            return Vec::new();
        };
        // The last row holds the choices.
        let rows = lines.len().min(room.saturating_sub(1));
        let seen = self.see(approval, rows, lines.len() - rows);
        let below = lines.len() - rows - seen.scroll;
        let mut shown: Vec<Line> = lines[seen.scroll..][..rows].to_vec();
        if room > 0 {
            shown.push(self.choices_line(below, seen.is_whole).cut(width));
        }
        shown
    }

    /// The lines of the approval that waits first, laid out once for each width: a call may be long.
    fn asked_lines(&mut self, width: usize) -> Option<(ApprovalId, Arc<[Line]>)> {
        let Some(Request::Approval {
            approval,
            call,
            effects,
            reason,
        }) = self.requests.front()
        else {
            return None;
        };
        let is_laid = |asked: &&Asked| asked.approval == *approval && asked.width == width;
        let lines = match self.asked.as_ref().filter(is_laid) {
            Some(asked) => asked.lines.clone(),
            None => request(call, effects, reason, width).into(),
        };
        self.asked = Some(Asked {
            approval: *approval,
            width,
            lines: lines.clone(),
        });
        Some((*approval, lines))
    }

    fn choices_line(&self, rows_below: usize, is_whole: bool) -> Line {
        if !self.composer.is_empty() {
            let style = Style::color(Color::Yellow);
            return Line::default().with(style, "└ finish or clear what you type first");
        }
        let line = choices();
        match (rows_below, is_whole) {
            (0, _) => line,
            (n, true) => line.with(Style::DIM, format!("· {n} more rows below")),
            (n, false) => {
                let style = Style::color(Color::Yellow);
                line.with(style, format!("· {n} more rows: PgDn"))
            }
        }
    }

    fn draw_bottom(
        &self,
        canvas: &mut Cells<'_>,
        bottom: Bottom,
        top: usize,
        width: usize,
    ) -> Option<Position> {
        let mut row = top;
        for line in &bottom.panels {
            canvas.line(row, line);
            row += 1;
        }
        if bottom.has_rule {
            canvas.line(row, &Line::dim("─".repeat(width)));
            row += 1;
        }
        let cursor_row = row + bottom.cursor.0;
        for line in &bottom.composer {
            canvas.line(row, line);
            row += 1;
        }
        if bottom.has_status {
            canvas.line(row, &self.status_line(width));
        }
        let column = bottom.cursor.1.min(width.saturating_sub(1));
        let has_composer = !bottom.composer.is_empty();
        has_composer.then(|| canvas.position(cursor_row, column))
    }

    fn draw_palette(&mut self, canvas: &mut Cells<'_>) -> Option<Position> {
        let palette = self.palette.as_mut()?;
        let screen = canvas.area;
        let width = PALETTE_COLUMNS_MAX.min(screen.width);
        let rows = u16::try_from(palette.rows()).unwrap_or(u16::MAX);
        let height = rows.saturating_add(2).min(screen.height);
        let area = Area {
            left: (screen.width - width) / 2,
            top: (screen.height - height) / 3,
            width,
            height,
        };
        let is_framed = height >= 3 && width >= 4;
        let inset = u16::from(is_framed);
        let room = usize::from(width - 2 * inset);
        let n_rows = usize::from(height - 2 * inset);
        let lines = palette.lines(room, n_rows);
        canvas.clear(area);
        if is_framed {
            canvas.frame(area);
        }
        for (idx, line) in lines.iter().take(n_rows).enumerate() {
            let row = usize::from(area.top + inset) + idx;
            canvas.line_at(usize::from(area.left + inset), row, room, line);
        }
        let typed = columns(PROMPT) + columns(&palette.wanted);
        self.drawn.palette = Some(Area {
            top: area.top + inset,
            ..area
        });
        let column = usize::from(area.left + inset) + typed.min(room.saturating_sub(1));
        Some(canvas.position(usize::from(area.top + inset), column))
    }
}

/// The screen's cells in the colours of a theme. Whatever lies outside is left out.
struct Cells<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    theme: Theme,
}

impl Cells<'_> {
    fn line(&mut self, row: usize, line: &Line) {
        self.line_at(0, row, usize::from(self.area.width), line);
    }

    fn line_at(&mut self, column: usize, row: usize, width: usize, line: &Line) {
        if row >= usize::from(self.area.height) {
            return;
        }
        let end = (column + width).min(usize::from(self.area.width));
        let Position { y, .. } = self.position(row, 0);
        let mut at = column;
        for span in &line.0 {
            if at >= end {
                return;
            }
            let Position { x, .. } = self.position(row, at);
            let style = self.theme.cell(span.style);
            let (next, _) = self.buffer.set_stringn(x, y, &span.text, end - at, style);
            at = usize::from(next - self.area.x);
        }
    }

    /// Marks the words that are looked for in a row.
    fn mark(&mut self, row: usize, line: &Line, wanted: &str) {
        let text = line.text();
        let lower = text.to_lowercase();
        // Letters whose lower case is longer would be marked in the wrong place.
        if lower.len() != text.len() {
            return;
        }
        for (at, found) in lower.match_indices(wanted) {
            let from = columns(&lower[..at]);
            for column in from..from + columns(found) {
                let position = self.position(row, column);
                if let Some(cell) = self.buffer.cell_mut(position) {
                    cell.modifier.insert(Modifier::REVERSED);
                }
            }
        }
    }

    fn clear(&mut self, area: Area) {
        for row in area.top..area.top + area.height {
            for column in area.left..area.left + area.width {
                let position = self.position(usize::from(row), usize::from(column));
                if let Some(cell) = self.buffer.cell_mut(position) {
                    cell.reset();
                }
            }
        }
    }

    fn frame(&mut self, area: Area) {
        let width = usize::from(area.width);
        let (left, top) = (usize::from(area.left), usize::from(area.top));
        let bar = "─".repeat(width - 2);
        let style = Style::color(Color::Magenta);
        let edge = |text: String| Line::default().with(style, text);
        self.line_at(left, top, width, &edge(format!("╭{bar}╮")));
        for row in top + 1..top + usize::from(area.height) - 1 {
            self.line_at(left, row, 1, &edge("│".to_owned()));
            self.line_at(left + width - 1, row, 1, &edge("│".to_owned()));
        }
        let last = top + usize::from(area.height) - 1;
        self.line_at(left, last, width, &edge(format!("╰{bar}╯")));
    }

    fn position(&self, row: usize, column: usize) -> Position {
        let within = |at: usize, first: u16, length: u16| {
            let at = u16::try_from(at).unwrap_or(u16::MAX);
            first.saturating_add(at.min(length.saturating_sub(1)))
        };
        Position {
            x: within(column, self.area.x, self.area.width),
            y: within(row, self.area.y, self.area.height),
        }
    }
}
