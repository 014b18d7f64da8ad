//! Plain columns for lists on a terminal or in a pipe.

use super::style::{Line, Style};
use super::visible::{clean, columns};
use super::{count, money};
use titan_protocol::{CostLine, Usage};

/// Lays rows out in columns; the last one takes what is left of `width` and is cut there. A `width` of `None` (a
/// pipe) cuts nothing.
pub fn columns_of(head: &[&str], rows: &[Vec<String>], width: Option<usize>) -> Vec<Line> {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| clean(cell).replace(['\n', '\t'], " "))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(idx, title)| {
            let cells = rows.iter().filter_map(|row| row.get(idx));
            cells
                .map(|cell| columns(cell))
                .max()
                .unwrap_or(0)
                .max(columns(title))
        })
        .collect();
    let titles: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
    std::iter::once((Style::BOLD, &titles))
        .chain(rows.iter().map(|row| (Style::PLAIN, row)))
        .map(|(style, row)| {
            let line = Line::default().with(style, padded(row, &widths));
            width.map_or_else(|| line.clone(), |width| line.cut(width))
        })
        .collect()
}

/// What models cost, by day, with a sum where there are several rows; nothing where no model was called.
pub fn costs(costs: &[CostLine], width: Option<usize>) -> Vec<Line> {
    let mut rows: Vec<Vec<String>> = costs
        .iter()
        .map(|line| {
            let model = format!("{}/{}", line.provider, line.model);
            cost_cells(&line.day, model, u64::from(line.calls), &line.usage)
        })
        .collect();
    if rows.len() > 1 {
        let calls = costs.iter().map(|line| u64::from(line.calls)).sum();
        let usages = costs.iter().map(|line| line.usage);
        let total = usages.fold(Usage::default(), Usage::plus);
        rows.push(cost_cells("total", String::new(), calls, &total));
    }
    match rows.is_empty() {
        true => Vec::new(),
        false => columns_of(
            &["day", "model", "calls", "in", "out", "cost"],
            &rows,
            width,
        ),
    }
}

fn cost_cells(day: &str, model: String, calls: u64, usage: &Usage) -> Vec<String> {
    let read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens;
    vec![
        day.to_owned(),
        model,
        count(calls),
        count(read),
        count(usage.output_tokens),
        money(usage.cost_usd_micros),
    ]
}

fn padded(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(columns(cell)))))
        .collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_is_cut() {
        let rows = vec![
            vec!["日本".to_owned(), "a long text".to_owned()],
            vec!["x".to_owned(), "b\u{1b}[31m".to_owned()],
        ];
        let text = |width| {
            columns_of(&["id", "title"], &rows, width)
                .iter()
                .map(Line::text)
                .collect::<Vec<_>>()
        };
        assert_eq!(text(None), ["id    title", "日本  a long text", "x     b"]);
        assert_eq!(text(Some(10))[1], "日本  a l…");
    }
}
