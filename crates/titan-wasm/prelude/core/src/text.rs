//! Texts: words, lines, cutting, wrapping, aligning.

use crate::Regex;

/// Its words: runs of letters and digits, apostrophes and hyphens within them kept.
#[inline(never)]
pub fn words(text: &str) -> Vec<String> {
    let is_part =
        |letter: char| letter.is_alphanumeric() || matches!(letter, '\'' | '’' | '-' | '_');
    let words = text.split(|letter| !is_part(letter));
    let words = words.map(|word| word.trim_matches(['\'', '’', '-', '_']));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Its lines, trimmed, empty ones left out.
#[inline(never)]
pub fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Its sentences: up to a point, question or exclamation mark that a space or the end follows.
#[inline(never)]
pub fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut one = String::new();
    let mut letters = squeeze(text)
        .chars()
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    while let Some(letter) = letters.next() {
        one.push(letter);
        if matches!(letter, '.' | '?' | '!') && letters.peek().is_none_or(|next| *next == ' ') {
            sentences.push(std::mem::take(&mut one).trim().to_owned());
        }
    }
    if !one.trim().is_empty() {
        sentences.push(one.trim().to_owned());
    }
    sentences
}

/// Every run of blanks and ends of lines as one blank, none at its ends.
#[inline(never)]
pub fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// For an address: lower case, accents of Latin letters left out, all else a hyphen.
#[inline(never)]
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        match plain(letter) {
            "" if letter.is_alphanumeric() => slug.push(letter),
            "" if matches!(letter, '\'' | '’') || is_mark(letter) => {}
            "" if slug.is_empty() || slug.ends_with('-') => {}
            "" => slug.push('-'),
            plain => slug.push_str(plain),
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Without the accents of Latin letters.
#[inline(never)]
pub fn without_accents(text: &str) -> String {
    let mut given = String::new();
    for letter in text.chars().filter(|letter| !is_mark(*letter)) {
        let lower: String = letter.to_lowercase().collect();
        match lower.chars().next().map_or("", plain) {
            "" => given.push(letter),
            plain if letter.is_uppercase() => given.push_str(&capital(plain)),
            plain => given.push_str(plain),
        }
    }
    given
}

fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}')
}

/// A Latin letter without its accent; empty for all others.
fn plain(letter: char) -> &'static str {
    match letter {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ä' => "ae",
        'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' | 'ĝ' | 'ģ' | 'ġ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'ō' | 'ő' => "o",
        'ö' => "oe",
        'ŕ' | 'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' | 'ŝ' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ũ' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'ü' => "ue",
        'ŵ' => "w",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => "",
    }
}

/// Its first letter large.
#[inline(never)]
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    first + letters.as_str()
}

/// Every word's first letter large, the others small.
#[inline(never)]
pub fn title(text: &str) -> String {
    let mut given = String::new();
    let mut is_within = false;
    for letter in text.chars() {
        match is_within {
            true => given.extend(letter.to_lowercase()),
            false => given.extend(letter.to_uppercase()),
        }
        is_within = letter.is_alphanumeric() || is_within && matches!(letter, '\'' | '’');
    }
    given
}

/// At most so many letters, the last `…` where some are left out.
#[inline(never)]
pub fn shorten(text: &str, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters_max.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}

/// Lines of at most so many letters, broken between words. Empty lines part paragraphs.
#[inline(never)]
pub fn wrap(text: &str, width: usize) -> String {
    let paragraphs = Regex::new(r"\n[ \t]*\n\s*")
        .map(|by| by.split(text.trim()).map(|one| fill(one, width)).collect());
    let paragraphs: Vec<String> = paragraphs.unwrap_or_default();
    paragraphs.join("\n\n")
}

fn fill(text: &str, width: usize) -> String {
    let mut given = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let n = word.chars().count();
        if used > 0 && used + 1 + n > width {
            given.push('\n');
            used = 0;
        } else if used > 0 {
            given.push(' ');
            used += 1;
        }
        given.push_str(word);
        used += n;
    }
    given
}

/// Every line with this before it.
#[inline(never)]
pub fn indent(text: &str, with: &str) -> String {
    let line = |line: &str| {
        if line.is_empty() {
            String::new()
        } else {
            format!("{with}{line}")
        }
    };
    text.lines().map(line).collect::<Vec<String>>().join("\n")
}

/// Rows with their columns aligned and two blanks between: numbers to the right, all else to the left.
#[inline(never)]
pub fn table(rows: &[Vec<String>]) -> String {
    let n = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n).map(wide).collect();
    let mut given = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let blanks = " ".repeat(width - cell.chars().count());
            match is_number(cell) {
                true => line.extend([&blanks, cell.as_str()]),
                false => line.extend([cell.as_str(), &blanks]),
            }
        }
        given.push_str(line.trim_end());
        given.push('\n');
    }
    given
}

/// A table in Markdown; the first row is the header.
#[inline(never)]
pub fn markdown_table(rows: &[Vec<String>]) -> String {
    let mut given = String::new();
    for (i, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| squeeze(cell).replace('|', "\\|"))
            .collect();
        given.push_str(&format!("| {} |\n", cells.join(" | ")));
        if i == 0 {
            given.push_str(&format!("|{}\n", "---|".repeat(row.len())));
        }
    }
    given
}

fn is_number(cell: &str) -> bool {
    cell.starts_with(|letter: char| letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.'))
        && cell.ends_with(|letter: char| letter.is_ascii_digit() || letter == '%')
        && number(cell.trim_end_matches('%')).is_some()
}

/// The number that a text such as `1,234.50`, `1.234,50 €`, `$ 12` or `(5.00)` means. A single comma or point before just three
/// digits parts thousands if it is a comma.
#[inline(never)]
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_below = text.starts_with(['-', '−', '(']) || text.ends_with('-');
    let kept: String = text
        .chars()
        .filter(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ','))
        .collect();
    let is_odd = |letter: char| {
        letter.is_alphabetic() && text.chars().filter(|one| one.is_alphabetic()).count() > 3
    };
    if !kept.contains(|letter: char| letter.is_ascii_digit()) || text.contains(is_odd) {
        return None;
    }
    let (comma, point) = (kept.rfind(','), kept.rfind('.'));
    let plain = match (comma, point) {
        (Some(comma), Some(point)) if comma > point => kept.replace('.', "").replace(',', "."),
        (Some(_), Some(_)) => kept.replace(',', ""),
        (Some(comma), None) if kept.matches(',').count() == 1 && kept.len() - comma != 4 => {
            kept.replace(',', ".")
        }
        (Some(_), None) => kept.replace(',', ""),
        (None, Some(_)) if kept.matches('.').count() > 1 => kept.replace('.', ""),
        _ => kept,
    };
    let number: f64 = plain.parse().ok()?;
    Some(if is_below { -number } else { number })
}

/// A whole number with a comma between thousands.
#[inline(never)]
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut given = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            given.push(',');
        }
        given.push(digit);
    }
    if number < 0 {
        format!("-{given}")
    } else {
        given
    }
}

/// How many letters have to be changed, added or left out to make one of the other.
#[inline(never)]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let change = corner + usize::from(letter != b[j]);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// What stands between the first of one text and the next of another; `None` where either is missing.
#[inline(never)]
pub fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_into_words_lines_and_sentences() {
        assert_eq!(
            words("Don't stop—the well-known 'x' isn't 3.5!"),
            ["Don't", "stop", "the", "well-known", "x", "isn't", "3", "5"]
        );
        assert_eq!(lines(" a \n\n\tb\r\n"), ["a", "b"]);
        assert_eq!(
            sentences("It costs 3.50. Really?\nYes! no end"),
            ["It costs 3.50.", "Really?", "Yes!", "no end"]
        );
        assert_eq!(between("a [b] c", "[", "]"), Some("b"));
    }

    #[test]
    fn slugs_and_titles_are_as_people_expect_them() {
        assert_eq!(
            slug("  Crème Brûlée: It's Größe 12! "),
            "creme-brulee-its-groesse-12"
        );
        assert_eq!(slug("日本 語"), "日本-語");
        assert_eq!(slug("e\u{301}té"), "ete");
        assert_eq!(without_accents("Ångström ŁÓDŹ"), "Angstroem LODZ");
        assert_eq!(
            title("it's the END of o'neil-smith"),
            "It's The End Of O'neil-Smith"
        );
        assert_eq!(shorten("abcdef", 4), "abc…");
    }

    #[test]
    fn texts_are_wrapped_and_aligned() {
        assert_eq!(
            wrap("a bb ccc dddd\n\n\neeeee f", 6),
            "a bb\nccc\ndddd\n\neeeee\nf"
        );
        assert_eq!(indent("a\n\nb", "> "), "> a\n\n> b");
        let rows = [["name", "n"], ["Ada", "5"], ["Bo", "-12.5"]]
            .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "name  n\nAda       5\nBo    -12.5\n");
        assert_eq!(
            markdown_table(&rows[..2]),
            "| name | n |\n|---|---|\n| Ada | 5 |\n"
        );
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, meant) in [
            ("1,234.50", 1234.5),
            ("1.234,50 €", 1234.5),
            ("$ 12", 12.0),
            ("(5.00)", -5.0),
            ("1,234", 1234.0),
            ("12,5", 12.5),
            ("1.234.567", 1_234_567.0),
            ("3.142", 3.142),
            ("−7", -7.0),
            ("EUR 9", 9.0),
            ("1 234", 1234.0),
        ] {
            assert_eq!(number(text), Some(meant), "{text}");
        }
        assert_eq!(
            (number("n/a"), number("about 5"), number("")),
            (None, None, None)
        );
        assert_eq!(
            (thousands(-1_234_567), thousands(999)),
            ("-1,234,567".to_owned(), "999".to_owned())
        );
    }

    #[test]
    fn the_distance_is_levenshteins() {
        assert_eq!(
            [
                distance("kitten", "sitting"),
                distance("", "ab"),
                distance("é", "e")
            ],
            [3, 2, 1]
        );
    }
}
