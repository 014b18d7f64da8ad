//! Readable text from HTML: title, headings, paragraphs, lists, links, code. A tokenizer and no tree: what a page
//! looks like is not known here, and scripts, styles and navigation are left out. Linear in the page's length.

use url::Url;

/// Elements whose content is left out.
#[rustfmt::skip] // A table.
const DROPPED: &[&str] = &[
    "script", "style", "nav", "noscript", "template", "svg", "iframe", "head", "form", "footer", "aside", "select",
    "button", "canvas", "object", "dialog",
];
/// Elements whose content is not markup.
const RAW: &[&str] = &["script", "style", "textarea", "title", "iframe", "noscript"];
/// Elements that begin on a line of their own.
#[rustfmt::skip] // A table.
const BLOCKS: &[&str] = &[
    "p", "div", "section", "article", "main", "header", "ul", "ol", "table", "tr", "blockquote", "figure", "figcaption",
    "dl", "dt", "dd", "hr", "details", "summary", "address", "fieldset", "tbody", "thead",
];
/// A tag longer than this is text, in bytes.
const TAG_BYTES_MAX: usize = 64 * 1024;

/// The page as text. Links are absolute and stand behind their words.
pub(super) fn readable(html: &str, base: &Url) -> String {
    let mut reader = Reader::new(base);
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        reader.text(&rest[..open]);
        rest = reader.markup(&rest[open..]);
    }
    reader.text(rest);
    reader.finish()
}

struct Reader<'a> {
    base: &'a Url,
    title: String,
    out: String,
    /// Names of dropped elements that are open.
    dropped: Vec<String>,
    /// Where open links began in `out`, and where they lead.
    link: Option<(usize, String)>,
    is_preformatted: bool,
    /// Numbers of open ordered lists; `None` for bullets.
    lists: Vec<Option<usize>>,
    /// Line breaks owed before the next text.
    breaks: usize,
}

impl<'a> Reader<'a> {
    fn new(base: &'a Url) -> Self {
        Self {
            base,
            title: String::new(),
            out: String::new(),
            dropped: Vec::new(),
            link: None,
            is_preformatted: false,
            lists: Vec::new(),
            breaks: 0,
        }
    }

    /// Reads what begins with `<`; gives what is left.
    fn markup<'t>(&mut self, text: &'t str) -> &'t str {
        if let Some(comment) = text.strip_prefix("<!--") {
            return comment.find("-->").map_or("", |end| &comment[end + 3..]);
        }
        let begins_tag = text[1..]
            .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        let Some(end) = tag_end(text).filter(|_| begins_tag) else {
            self.text("&lt;");
            return &text[1..];
        };
        let (tag, rest) = (&text[1..end], &text[end + 1..]);
        match tag.strip_prefix('/') {
            Some(name) => {
                self.close(&name.trim().to_ascii_lowercase());
                rest
            }
            None => self.open(tag, rest),
        }
    }

    fn open<'t>(&mut self, tag: &str, rest: &'t str) -> &'t str {
        let name = tag
            .split(|c: char| c.is_ascii_whitespace() || c == '/')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let (raw, rest) = if RAW.contains(&name.as_str()) {
            raw_content(rest, &name)
        } else {
            ("", rest)
        };
        if name == "title" {
            if self.title.is_empty() {
                self.title = collapse(&decode(raw));
            }
        } else if DROPPED.contains(&name.as_str()) {
            let has_content =
                raw.is_empty() && !tag.ends_with('/') && !RAW.contains(&name.as_str());
            if has_content {
                self.dropped.push(name);
            }
        } else if self.dropped.is_empty() || name == "body" {
            self.dropped.retain(|dropped| dropped != "head");
            self.begin(&name, tag);
        }
        rest
    }

    fn begin(&mut self, name: &str, tag: &str) {
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.owe(2);
                let level = name[1..].parse().unwrap_or(1);
                self.push(&format!("{} ", "#".repeat(level)));
            }
            "br" => self.owe_more(),
            "li" => self.item(),
            "ul" | "ol" => {
                self.owe(if self.lists.is_empty() { 2 } else { 1 });
                self.lists.push((name == "ol").then_some(0));
            }
            "pre" => {
                self.owe(2);
                self.push("```\n");
                self.is_preformatted = true;
            }
            "code" | "kbd" | "samp" if !self.is_preformatted => self.push("`"),
            "td" | "th" => self.cell(),
            "tr" => self.owe(1),
            "img" => {
                let alt = attribute(tag, "alt").unwrap_or_default();
                if !alt.trim().is_empty() {
                    self.words(&format!("[picture: {}]", alt.trim()));
                }
            }
            "a" => {
                let target =
                    attribute(tag, "href").and_then(|href| self.base.join(href.trim()).ok());
                let is_web = |url: &Url| matches!(url.scheme(), "http" | "https" | "mailto");
                self.link = target
                    .filter(is_web)
                    .map(|url| (self.out.len(), url.to_string()));
            }
            name if BLOCKS.contains(&name) => self.owe(2),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        if let Some(position) = self.dropped.iter().rposition(|dropped| dropped == name) {
            self.dropped.truncate(position);
            return;
        }
        if !self.dropped.is_empty() {
            return;
        }
        match name {
            "pre" if self.is_preformatted => {
                self.is_preformatted = false;
                if !self.out.ends_with('\n') {
                    self.out.push('\n');
                }
                self.out.push_str("```");
                self.owe(2);
            }
            "code" | "kbd" | "samp" if !self.is_preformatted => self.out.push('`'),
            "ul" | "ol" => {
                self.lists.pop();
                self.owe(if self.lists.is_empty() { 2 } else { 1 });
            }
            "a" => self.end_link(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.owe(2),
            "li" | "tr" => self.owe(1),
            name if BLOCKS.contains(&name) => self.owe(2),
            _ => {}
        }
    }

    fn end_link(&mut self) {
        let Some((start, target)) = self.link.take() else {
            return;
        };
        let words = self.out.get(start..).unwrap_or_default().trim();
        let is_worth =
            !words.is_empty() && words != target && !target.starts_with(&format!("{}#", self.base));
        if is_worth {
            self.out.push_str(&format!(" <{target}>"));
        }
    }

    fn item(&mut self) {
        self.owe(1);
        let indent = "  ".repeat(self.lists.len().saturating_sub(1));
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{number}. ")
            }
            _ => "- ".to_owned(),
        };
        self.push(&format!("{indent}{mark}"));
    }

    fn cell(&mut self) {
        let begins_row = self.breaks > 0 || self.out.is_empty();
        if !begins_row {
            self.out.push_str(" | ");
        }
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() || !self.dropped.is_empty() {
            return;
        }
        let text = decode(text);
        if self.is_preformatted {
            self.push(&text);
        } else {
            self.words(&text);
        }
    }

    /// Text whose white space means nothing.
    fn words(&mut self, text: &str) {
        let collapsed = collapse(text);
        let starts_apart = text.starts_with(char::is_whitespace) && self.breaks == 0;
        if starts_apart && !self.out.ends_with(char::is_whitespace) && !self.out.is_empty() {
            self.out.push(' ');
        }
        if collapsed.is_empty() {
            return;
        }
        self.push(&collapsed);
        if text.ends_with(char::is_whitespace) {
            self.out.push(' ');
        }
    }

    fn owe(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
    }

    fn owe_more(&mut self) {
        self.breaks = (self.breaks + 1).min(2);
    }

    fn push(&mut self, text: &str) {
        let breaks = std::mem::take(&mut self.breaks);
        let ends_in_mark = self.out.ends_with("- ") || self.out.ends_with(". ");
        if breaks > 0 && !self.out.is_empty() && !(ends_in_mark && breaks == 2) {
            let kept = self.out.trim_end_matches(' ').len();
            self.out.truncate(kept);
            let there = self.out.len() - self.out.trim_end_matches('\n').len();
            self.out
                .push_str(&"\n".repeat(breaks.saturating_sub(there)));
        }
        self.out.push_str(text);
    }

    fn finish(self) -> String {
        let text = self.out.trim();
        if self.title.is_empty() {
            text.to_owned()
        } else {
            format!("title: {}\n\n{text}", self.title)
        }
    }
}

/// Where a tag that begins `text` ends: at the first `>` outside of quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (position, byte) in text.bytes().enumerate().take(TAG_BYTES_MAX) {
        match (quote, byte) {
            (None, b'>') => return Some(position),
            (None, b'"' | b'\'') if text.as_bytes()[position - 1] == b'=' => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    text.bytes()
        .take(TAG_BYTES_MAX)
        .position(|byte| byte == b'>')
}

/// The text until the element's closing tag, and what follows it.
fn raw_content<'t>(text: &'t str, name: &str) -> (&'t str, &'t str) {
    let end = text.match_indices("</").find(|(position, _)| {
        text[position + 2..]
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
    });
    let Some((end, _)) = end else {
        return (text, "");
    };
    let after = text[end..]
        .find('>')
        .map_or("", |close| &text[end + close + 1..]);
    (&text[..end], after)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let found = lower.match_indices(name).find_map(|(position, _)| {
        let before = tag[..position].chars().next_back()?;
        let after = tag[position + name.len()..]
            .trim_start()
            .strip_prefix('=')?;
        (before.is_whitespace() || matches!(before, '"' | '\'' | '/')).then(|| after.trim_start())
    })?;
    let value = match found.chars().next()? {
        quote @ ('"' | '\'') => found[1..].split(quote).next()?,
        _ => found.split(|c: char| c.is_whitespace()).next()?,
    };
    Some(decode(value))
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Replaces character references that pages use; unknown ones stay as they are.
fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        match reference(rest) {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[rustfmt::skip] // A table.
const NAMED: &[(&str, char)] = &[
    ("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\''), ("nbsp", ' '), ("copy", '©'), ("reg", '®'),
    ("trade", '™'), ("hellip", '…'), ("mdash", '—'), ("ndash", '–'), ("lsquo", '‘'), ("rsquo", '’'), ("ldquo", '“'),
    ("rdquo", '”'), ("laquo", '«'), ("raquo", '»'), ("bull", '•'), ("middot", '·'), ("times", '×'), ("deg", '°'),
    ("euro", '€'), ("pound", '£'), ("sect", '§'), ("para", '¶'), ("larr", '←'), ("rarr", '→'), ("auml", 'ä'),
    ("ouml", 'ö'), ("uuml", 'ü'), ("szlig", 'ß'), ("eacute", 'é'), ("egrave", 'è'), ("agrave", 'à'), ("ccedil", 'ç'),
];

/// The character that `text` begins with a reference to, and the reference's length.
fn reference(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 12;
    let end = text.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let c = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))?
        }
        None => NAMED
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, c)| *c)?,
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check_page(html: &str, expected: Expect) {
        let base = Url::parse("https://example.org/docs/").unwrap();
        expected.assert_eq(&readable(html, &base));
    }

    #[test]
    fn a_page_becomes_headings_paragraphs_lists_links_and_code() {
        check_page(
            r#"<!doctype html><html><head><title>The  Book</title><style>p{}</style></head>
            <body><nav><a href=/>Home</a></nav><script>if (a < b) { "</p>" }</script>
            <h1>Start &amp; go</h1><p>Some <b>bold</b> text, with <a href="ch1.html">a link</a>.</p>
            <ul><li>one</li><li>two<ol><li>deep</li></ol></li></ul>
            <pre><code>fn main() {
    x &lt; y
}</code></pre><p>Use <code>cargo</code>.<br>Next line.</p>
            <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table></body></html>"#,
            expect![[r#"
                title: The Book

                # Start & go

                Some bold text, with a link <https://example.org/docs/ch1.html>.

                - one
                - two
                  1. deep

                ```
                fn main() {
                    x < y
                }
                ```

                Use `cargo`.
                Next line.

                a | b
                1 | 2"#]],
        );
    }

    #[test]
    fn broken_markup_loses_no_text_and_ends() {
        check_page("a < b <c d=\"x>y\">z</c> <!-- open", expect!["a < b z"]);
    }

    #[test]
    fn links_that_lead_nowhere_on_the_web_are_left_out() {
        check_page(
            r##"<a href="javascript:alert(1)">x</a> <a href="data:text/html,y">y</a> <a href="#top">z</a>"##,
            expect!["x y z"],
        );
    }
}
