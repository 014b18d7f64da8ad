//! HTML for generated tools: read as browsers read it, whatever is missing, and asked with CSS selectors.

mod selector;
mod tree;

use selector::Selector;
use std::collections::BTreeMap;
use titan_prelude::{Result, text::squeeze};
use tree::{Kind, Node};

/// A page.
#[derive(Debug)]
pub struct Page {
    nodes: Vec<Node>,
}

/// An element of a page.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    page: &'a Page,
    at: usize,
}

/// What has nothing that is seen in it.
const UNSEEN: [&str; 5] = ["script", "style", "template", "noscript", "head"];
/// What stands within a line.
const INLINE: [&str; 28] = [
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
    "kbd", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var",
    "wbr",
];

/// Reads a page or a piece of one. Whatever is missing or wrong is mended as browsers do it.
#[inline(never)]
pub fn parse(text: &str) -> Page {
    Page {
        nodes: tree::parse(text),
    }
}

/// A text with `&amp;` and the like for what has a meaning in HTML.
#[inline(never)]
pub fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// A text with what `&amp;`, `&eacute;`, `&#8364;` and the like mean.
#[inline(never)]
pub fn unescape(text: &str) -> String {
    let page = parse(&format!("<textarea>\n{}", text.replace('<', "&lt;")));
    page.all()
        .find(|one| one.name() == "textarea")
        .map(|one| one.raw_text())
        .unwrap_or_default()
}

impl Page {
    /// All elements that a selector means, as they stand in the page.
    ///
    /// # Errors
    /// When it is no selector.
    #[inline(never)]
    pub fn select(&self, css: &str) -> Result<Vec<Element<'_>>> {
        let selector = Selector::parse(css)?;
        Ok(self.all().filter(|one| selector.means(*one)).collect())
    }

    /// The first element that a selector means.
    ///
    /// # Errors
    /// When it is no selector.
    #[inline(never)]
    pub fn first(&self, css: &str) -> Result<Option<Element<'_>>> {
        let selector = Selector::parse(css)?;
        Ok(self.all().find(|one| selector.means(*one)))
    }

    /// The rows of each table, as [`Element::rows`] gives them.
    #[inline(never)]
    pub fn tables(&self) -> Vec<Vec<Vec<String>>> {
        self.all()
            .filter(|one| one.name() == "table")
            .map(Element::rows)
            .collect()
    }

    /// The text that is seen.
    #[inline(never)]
    pub fn text(&self) -> String {
        Element {
            page: self,
            at: tree::ROOT,
        }
        .text()
    }

    /// The title, or nothing.
    #[inline(never)]
    pub fn title(&self) -> String {
        self.all()
            .find(|one| one.name() == "title")
            .map(|one| squeeze(&one.raw_text()))
            .unwrap_or_default()
    }

    /// The text and the address of each link.
    #[inline(never)]
    pub fn links(&self) -> Vec<(String, String)> {
        let links = self.all().filter(|one| one.name() == "a");
        links
            .filter_map(|one| Some((one.text(), one.attr("href")?)))
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = Element<'_>> {
        let root = Element {
            page: self,
            at: tree::ROOT,
        };
        root.below().into_iter()
    }
}

impl<'a> Element<'a> {
    /// Its name, in lower case.
    #[inline(never)]
    pub fn name(self) -> &'a str {
        match &self.node().kind {
            Kind::Element { name, .. } => name,
            _ => "",
        }
    }

    /// An attribute of it.
    #[inline(never)]
    pub fn attr(self, name: &str) -> Option<String> {
        self.attribute(name).map(str::to_owned)
    }

    /// All its attributes.
    #[inline(never)]
    pub fn attrs(self) -> BTreeMap<String, String> {
        match &self.node().kind {
            Kind::Element { attributes, .. } => attributes.iter().cloned().collect(),
            _ => BTreeMap::new(),
        }
    }

    /// Whether it has a class.
    #[inline(never)]
    pub fn has_class(self, class: &str) -> bool {
        self.attribute("class")
            .is_some_and(|all| all.split_ascii_whitespace().any(|one| one == class))
    }

    /// The text that is seen in it, every run of blanks as one; blocks, cells and `<br>` part words.
    #[inline(never)]
    pub fn text(self) -> String {
        let mut text = String::new();
        self.add_seen(&mut text);
        squeeze(&text)
    }

    /// The text that is in it directly, without that of the elements in it.
    #[inline(never)]
    pub fn own_text(self) -> String {
        let mut text = String::new();
        for child in self.nodes() {
            match &child.node().kind {
                Kind::Text(own) => text.push_str(own),
                _ => text.push(' '),
            }
        }
        squeeze(&text)
    }

    /// All text in it as it stands there, that of scripts too.
    #[inline(never)]
    pub fn raw_text(self) -> String {
        let mut text = String::new();
        self.add_raw(&mut text);
        text
    }

    /// All elements in it that a selector means, as they stand there.
    ///
    /// # Errors
    /// When it is no selector.
    #[inline(never)]
    pub fn select(self, css: &str) -> Result<Vec<Element<'a>>> {
        let selector = Selector::parse(css)?;
        Ok(self
            .below()
            .into_iter()
            .filter(|one| selector.means(*one))
            .collect())
    }

    /// The first element in it that a selector means.
    ///
    /// # Errors
    /// When it is no selector.
    #[inline(never)]
    pub fn first(self, css: &str) -> Result<Option<Element<'a>>> {
        let selector = Selector::parse(css)?;
        Ok(self.below().into_iter().find(|one| selector.means(*one)))
    }

    /// Whether a selector means it.
    ///
    /// # Errors
    /// When it is no selector.
    #[inline(never)]
    pub fn is(self, css: &str) -> Result<bool> {
        Ok(Selector::parse(css)?.means(self))
    }

    /// The elements directly in it.
    #[inline(never)]
    pub fn children(self) -> Vec<Element<'a>> {
        self.nodes().filter(|one| one.is_element()).collect()
    }

    /// The element that it is in.
    #[inline(never)]
    pub fn parent(self) -> Option<Element<'a>> {
        let at = self.node().parent?;
        Some(Element { at, ..self }).filter(|one| one.is_element())
    }

    /// The element after it in the same one.
    #[inline(never)]
    pub fn next(self) -> Option<Element<'a>> {
        let siblings = self.siblings();
        let at = siblings.iter().position(|one| one.at == self.at)?;
        siblings.get(at + 1).copied()
    }

    /// The element before it in the same one.
    #[inline(never)]
    pub fn previous(self) -> Option<Element<'a>> {
        let siblings = self.siblings();
        let at = siblings.iter().position(|one| one.at == self.at)?;
        siblings.get(at.checked_sub(1)?).copied()
    }

    /// The texts of the cells of its rows, header rows too. Rows of tables within its cells are not among them; a cell that is wide
    /// or high stands in every place that it covers.
    #[inline(never)]
    pub fn rows(self) -> Vec<Vec<String>> {
        let is_own = |row: &Element<'a>| row.name() == "tr" && row.table() == Some(self.at);
        let rows: Vec<Element<'a>> = self.below().into_iter().filter(is_own).collect();
        let mut given: Vec<Vec<String>> = Vec::new();
        // What a high cell leaves to the rows below it: a column, rows to go, its text.
        let mut high: Vec<(usize, usize, String)> = Vec::new();
        for row in rows {
            let mut line: Vec<String> = Vec::new();
            for cell in row
                .children()
                .into_iter()
                .filter(|one| matches!(one.name(), "td" | "th"))
            {
                take_high(&mut line, &mut high);
                let text = cell.text();
                let (wide, tall) = (cell.span("colspan"), cell.span("rowspan"));
                for _ in 0..wide {
                    if tall > 1 {
                        high.push((line.len(), tall, text.clone()));
                    }
                    line.push(text.clone());
                }
            }
            take_high(&mut line, &mut high);
            for (_, left, _) in &mut high {
                *left -= 1;
            }
            high.retain(|(_, left, _)| *left > 0);
            given.push(line);
        }
        given
    }

    fn span(self, name: &str) -> usize {
        let span = self
            .attribute(name)
            .and_then(|span| span.trim().parse().ok());
        span.unwrap_or(1).clamp(1, 1_000)
    }

    /// The table that it is directly in.
    fn table(self) -> Option<usize> {
        let mut above = self.parent();
        while let Some(one) = above {
            if one.name() == "table" {
                return Some(one.at);
            }
            above = one.parent();
        }
        // Rows of a piece without its table belong to the whole.
        Some(tree::ROOT)
    }

    pub(crate) fn siblings(self) -> Vec<Element<'a>> {
        match self.node().parent {
            Some(at) => Element { at, ..self }.children(),
            None => vec![self],
        }
    }

    pub(crate) fn attribute(self, name: &str) -> Option<&'a str> {
        match &self.node().kind {
            Kind::Element { attributes, .. } => {
                let found = attributes
                    .iter()
                    .find(|(one, _)| one.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.as_str())
            }
            _ => None,
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.nodes()
            .all(|one| matches!(one.node().kind, Kind::Other))
    }

    /// All elements in it, as they stand there.
    fn below(self) -> Vec<Element<'a>> {
        let mut found = Vec::new();
        let mut open: Vec<usize> = self.node().children.iter().rev().copied().collect();
        while let Some(at) = open.pop() {
            let one = Element { at, ..self };
            if one.is_element() {
                found.push(one);
            }
            open.extend(one.node().children.iter().rev());
        }
        found
    }

    fn add_seen(self, text: &mut String) {
        // A stack, not recursion: pages are nested as deep as they like. Of each element its end comes back too.
        let mut open = vec![(self.at, false)];
        while let Some((at, is_end)) = open.pop() {
            let one = Element { at, ..self };
            match &one.node().kind {
                Kind::Text(own) => text.push_str(own),
                Kind::Element { name, .. } if at != self.at && UNSEEN.contains(&name.as_str()) => {}
                kind => {
                    let parts = matches!(kind, Kind::Element { name, .. } if !INLINE.contains(&name.as_str()));
                    if parts {
                        text.push(' ');
                    }
                    if !is_end {
                        open.push((at, true));
                        open.extend(
                            one.node()
                                .children
                                .iter()
                                .rev()
                                .map(|child| (*child, false)),
                        );
                    }
                }
            }
        }
    }

    fn add_raw(self, text: &mut String) {
        let mut open = vec![self.at];
        while let Some(at) = open.pop() {
            let one = Element { at, ..self };
            if let Kind::Text(own) = &one.node().kind {
                text.push_str(own);
            }
            open.extend(one.node().children.iter().rev());
        }
    }

    fn is_element(self) -> bool {
        matches!(self.node().kind, Kind::Element { .. })
    }

    fn nodes(self) -> impl Iterator<Item = Element<'a>> {
        self.node()
            .children
            .iter()
            .map(move |at| Element { at: *at, ..self })
    }

    fn node(self) -> &'a Node {
        &self.page.nodes[self.at]
    }
}

impl std::fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}> {:?}", self.name(), self.text())
    }
}

/// Puts what high cells of the rows above leave in the next columns.
fn take_high(line: &mut Vec<String>, high: &mut [(usize, usize, String)]) {
    while let Some((_, _, text)) = high.iter().find(|(column, _, _)| *column == line.len()) {
        line.push(text.clone());
    }
}

#[cfg(test)]
mod tests;
