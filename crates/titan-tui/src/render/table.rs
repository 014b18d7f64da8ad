//! Plain columns for lists on a terminal or in a pipe.

use super::style::{Line, Style};
use super::visible::{clean, columns};

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
