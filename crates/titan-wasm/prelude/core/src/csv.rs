//! CSV: tables with a header, whichever separator they have.

use crate::{Error, Result};

/// A table: its header and its rows, each as long as the header or made so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a text whose first row is the header. The separator is the one of comma, semicolon, tab and bar that the header has most.
    ///
    /// # Errors
    /// When there is no header, or a quote is never closed.
    #[inline(never)]
    pub fn parse(text: &str) -> Result<Self> {
        Self::of(rows(text)?)
    }

    /// Reads a text with this separator.
    ///
    /// # Errors
    /// As [`Table::parse`].
    #[inline(never)]
    pub fn parse_with(text: &str, separator: char) -> Result<Self> {
        Self::of(rows_with(text, separator)?)
    }

    fn of(rows: Vec<Vec<String>>) -> Result<Self> {
        let mut rows = rows.into_iter();
        let header = rows.next().ok_or("the table has no header")?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        let n = header.len();
        let rows = rows.map(|mut row| {
            row.resize(n.max(row.len()), String::new());
            row
        });
        let rows = rows.collect();
        Ok(Self { header, rows })
    }

    /// With these columns and no rows.
    #[inline(never)]
    pub fn new(header: &[&str]) -> Self {
        let header = header.iter().map(|name| (*name).to_owned()).collect();
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// Which column has this name, upper and lower case taken as equal.
    ///
    /// # Errors
    /// When none has it; the error names those that there are.
    #[inline(never)]
    pub fn column(&self, name: &str) -> Result<usize> {
        let exact = self.header.iter().position(|one| one == name);
        let like = || {
            self.header
                .iter()
                .position(|one| one.to_lowercase() == name.to_lowercase())
        };
        exact.or_else(like).ok_or_else(|| {
            Error::new(format!(
                "there is no column {name:?}, only {}",
                self.header.join(", ")
            ))
        })
    }

    /// All that is in the column of this name.
    ///
    /// # Errors
    /// As [`Table::column`].
    #[inline(never)]
    pub fn values(&self, name: &str) -> Result<Vec<String>> {
        let column = self.column(name)?;
        Ok(self.rows.iter().map(|row| row[column].clone()).collect())
    }

    /// What is in this row in the column of this name; empty where either is missing.
    #[inline(never)]
    pub fn get(&self, row: usize, name: &str) -> &str {
        let cell = self
            .column(name)
            .ok()
            .and_then(|column| self.rows.get(row)?.get(column));
        cell.map_or("", String::as_str)
    }

    /// Adds a row.
    #[inline(never)]
    pub fn push(&mut self, row: &[&str]) {
        self.rows
            .push(row.iter().map(|cell| (*cell).to_owned()).collect());
    }

    /// As CSV with commas.
    #[inline(never)]
    pub fn to_csv(&self) -> String {
        let mut all = vec![self.header.clone()];
        all.extend(self.rows.iter().cloned());
        write(&all)
    }
}

/// Every row of a text, the header too, with the separator that its first line has most.
///
/// # Errors
/// When a quote is never closed.
#[inline(never)]
pub fn rows(text: &str) -> Result<Vec<Vec<String>>> {
    rows_with(text, separator(text))
}

/// Every row of a text with this separator. Empty lines are left out.
///
/// # Errors
/// When a quote is never closed.
#[inline(never)]
pub fn rows_with(text: &str, separator: char) -> Result<Vec<Vec<String>>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::default();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if reader.is_quoted {
            match letter {
                '"' if letters.next_if_eq(&'"').is_some() => reader.cell.push('"'),
                '"' => reader.is_quoted = false,
                _ => {
                    reader.line += usize::from(letter == '\n');
                    reader.cell.push(letter);
                }
            }
        } else if letter == separator {
            reader.end_cell();
        } else if letter == '\n' || letter == '\r' && letters.peek() != Some(&'\n') {
            reader.end_row();
        } else if letter == '"' && reader.cell.trim().is_empty() && !reader.was_quoted {
            reader.cell.clear();
            reader.is_quoted = true;
            reader.was_quoted = true;
            reader.opened = reader.line + 1;
        } else if letter != '\r' {
            reader.cell.push(letter);
        }
    }
    if reader.is_quoted {
        return Err(Error::new(format!(
            "the quote in line {} is never closed",
            reader.opened
        )));
    }
    reader.end_row();
    Ok(reader.rows)
}

/// As CSV with commas.
#[inline(never)]
pub fn write(rows: &[Vec<String>]) -> String {
    let mut text = String::new();
    for row in rows {
        for (i, cell) in row.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            quote(&mut text, cell);
        }
        text.push('\n');
    }
    text
}

fn quote(text: &mut String, cell: &str) {
    let is_plain = !cell.contains([',', '"', '\n', '\r']) && cell.trim().len() == cell.len();
    if is_plain {
        text.push_str(cell);
    } else {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    }
}

/// What the first line has most of, outside of quotes.
fn separator(text: &str) -> char {
    let mut is_quoted = false;
    let mut counts = [0_usize; 4];
    const ALL: [char; 4] = [',', ';', '\t', '|'];
    for letter in text.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            '\n' if !is_quoted => break,
            _ if !is_quoted => {
                if let Some(at) = ALL.iter().position(|one| *one == letter) {
                    counts[at] += 1;
                }
            }
            _ => {}
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    ALL[counts.iter().position(|n| *n == most).unwrap_or(0)]
}

#[derive(Default)]
struct Reader {
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    cell: String,
    is_quoted: bool,
    was_quoted: bool,
    line: usize,
    opened: usize,
}

impl Reader {
    fn end_cell(&mut self) {
        self.was_quoted = false;
        self.row.push(std::mem::take(&mut self.cell));
    }

    fn end_row(&mut self) {
        self.line += 1;
        if self.row.is_empty() && self.cell.is_empty() && !self.was_quoted {
            return;
        }
        self.end_cell();
        self.rows.push(std::mem::take(&mut self.row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_lines_and_separators_are_read_as_spreadsheets_write_them() {
        let told = |text: &str| format!("{:?}", rows(text).unwrap());
        assert_eq!(told("a,b\n1,2\n"), r#"[["a", "b"], ["1", "2"]]"#);
        assert_eq!(
            told("\u{feff}a;b\r\n\"1,5\";\"x \"\"y\"\"\nz\"\r\n\r\n;\r\n"),
            r#"[["a", "b"], ["1,5", "x \"y\"\nz"], ["", ""]]"#
        );
        assert_eq!(told("a\tb\n\"\"\tc"), r#"[["a", "b"], ["", "c"]]"#);
        assert_eq!(told("a\n\"\"\nb"), r#"[["a"], [""], ["b"]]"#);
        assert_eq!(told("5\" pipe,x\n"), r#"[["5\" pipe", "x"]]"#);
        assert_eq!(
            rows("a,b\n1,\"2\n3").unwrap_err().to_string(),
            "the quote in line 2 is never closed"
        );
    }

    #[test]
    fn a_table_is_asked_by_the_names_of_its_columns_and_written_back() {
        let table = Table::parse("Name, Age\nAda,36\nBob\n").unwrap();
        assert_eq!(table.values("age").unwrap(), ["36", ""]);
        assert_eq!((table.get(0, "name"), table.get(5, "name")), ("Ada", ""));
        assert_eq!(
            table.column("size").unwrap_err().to_string(),
            r#"there is no column "size", only Name, Age"#
        );
        let mut made = Table::new(&["a", "b"]);
        made.push(&["1,5", "say \"x\""]);
        assert_eq!(made.to_csv(), "a,b\n\"1,5\",\"say \"\"x\"\"\"\n");
        assert_eq!(Table::parse(&made.to_csv()).unwrap(), made);
    }
}
