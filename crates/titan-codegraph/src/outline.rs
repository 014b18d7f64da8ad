//! What matters most in a folder, within so many tokens: what is used by much that is itself used.

use crate::facts::SymbolKind;
use crate::graph::Graph;
use crate::languages::Family;
use crate::link::{Linked, Node};
use std::collections::{BTreeMap, HashMap};
use titan_protocol::CodeUseKind;

/// Bytes of an outline that a token stands for: less than of prose, so that the outline is not longer than it says.
const TOKEN_BYTES: usize = 3;
/// PageRank's share that follows uses.
const DAMPING: f32 = 0.85;
const ROUNDS: usize = 30;
/// Signatures of one file.
const FILE_SYMBOLS_MAX: usize = 40;
/// Files that are told for what they are about, and the share of the best one's worth that they need to have.
const FOCUS_FILES_MAX: usize = 30;
const FILE_SHARE_MIN: f32 = 0.15;
/// What is used by files that are about what is asked for, beside what stands in those.
const OF_USED: f32 = 0.05;

/// With the share that each file has of what is asked for, if something is: then of files without any only what those
/// use is told.
pub(crate) fn outline(
    graph: &Graph,
    groups: &[&Linked],
    focus: Option<&HashMap<&str, f32>>,
    tokens: usize,
) -> String {
    let mut shown = Outline {
        graph,
        groups,
        focus,
        bytes_left: tokens.saturating_mul(TOKEN_BYTES),
        files: BTreeMap::new(),
    };
    shown.take_files();
    shown.take_symbols();
    shown.take_tags();
    shown.text()
}

/// What is told, while it is chosen.
struct Outline<'a> {
    graph: &'a Graph,
    groups: &'a [&'a Linked],
    focus: Option<&'a HashMap<&'a str, f32>>,
    bytes_left: usize,
    files: BTreeMap<(usize, usize), Shown>,
}

/// What is told of a file.
#[derive(Default)]
struct Shown {
    rank: f32,
    /// Behind the path: what it is about.
    about: String,
    nodes: Vec<Node>,
}

impl Outline<'_> {
    /// The files that are about what is asked for, as far as half of the room goes.
    fn take_files(&mut self) {
        let least = self.bytes_left / 2;
        let mut found: Vec<(f32, usize, usize)> = Vec::new();
        for (group, linked) in self.groups.iter().enumerate() {
            let files = linked.files.iter().enumerate();
            let shares = files.map(|(file, (path, _))| (self.share(path), group, file));
            found.extend(shares.filter(|(share, ..)| *share >= FILE_SHARE_MIN));
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        for (share, group, file) in found.into_iter().take(FOCUS_FILES_MAX) {
            let (path, facts) = &self.groups[group].files[file];
            let about = format!(
                "{}{}",
                summary(&self.graph.about_or_defined(path, facts)),
                tagged(self.graph.tags().of(path))
            );
            let bytes = path.len() + about.len() + 1;
            if self.bytes_left < least + bytes {
                break;
            }
            self.bytes_left -= bytes;
            let shown = Shown {
                rank: share,
                about,
                nodes: Vec::new(),
            };
            self.files.insert((group, file), shown);
        }
    }

    /// The symbols that matter most, until there is no room for the next.
    fn take_symbols(&mut self) {
        for (rank, group, node) in self.ranked() {
            let linked = self.groups[group];
            let (file, _) = linked.at(node);
            let known = self.files.get(&(group, file));
            if known.is_some_and(|shown| shown.nodes.len() >= FILE_SYMBOLS_MAX) {
                continue;
            }
            let (path, facts) = &linked.files[file];
            let about = summary(&self.graph.about(path, facts));
            let head = match known {
                Some(_) => 0,
                None => path.len() + about.len() + 1,
            };
            let bytes = head + line(linked, node).len();
            if bytes > self.bytes_left {
                // A shorter one may still fit, but what is told is what matters most: it ends here.
                break;
            }
            self.bytes_left -= bytes;
            let shown = self.files.entry((group, file)).or_insert_with(|| Shown {
                about,
                ..Shown::default()
            });
            if self.focus.is_none() {
                shown.rank += rank;
            }
            shown.nodes.push(node);
        }
    }

    /// Tags of the files that are told, in their order, where room is left.
    fn take_tags(&mut self) {
        if self.focus.is_some() {
            return;
        }
        for at in self.order() {
            let (path, _) = &self.groups[at.0].files[at.1];
            let tags = tagged(self.graph.tags().of(path));
            if tags.len() > self.bytes_left {
                break;
            }
            self.bytes_left -= tags.len();
            if let Some(shown) = self.files.get_mut(&at) {
                shown.about.push_str(&tags);
            }
        }
    }

    fn text(mut self) -> String {
        let mut text = String::new();
        for at in self.order() {
            let Some(mut shown) = self.files.remove(&at) else {
                continue;
            };
            let linked = self.groups[at.0];
            shown.nodes.sort_unstable();
            text.push_str(&linked.files[at.1].0);
            text.push_str(&shown.about);
            text.push('\n');
            for node in shown.nodes {
                text.push_str(&line(linked, node));
            }
        }
        text
    }

    /// The files that are told, those that matter most first.
    fn order(&self) -> Vec<(usize, usize)> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by(|(a, x), (b, y)| y.rank.total_cmp(&x.rank).then(a.cmp(b)));
        files.into_iter().map(|(at, _)| *at).collect()
    }

    /// All symbols that are worth telling, what matters most first.
    fn ranked(&self) -> Vec<(f32, usize, Node)> {
        let mut ranked: Vec<(f32, usize, Node)> = Vec::new();
        for (group, linked) in self.groups.iter().enumerate() {
            let begins = self.begins(linked);
            let ranks = ranks(linked, &begins);
            for node in 0..linked.nodes() as Node {
                let (file, symbol) = linked.at(node);
                let (path, facts) = &linked.files[file];
                let Some(symbol) = symbol.map(|symbol| &facts.symbols[symbol as usize]) else {
                    continue;
                };
                let is_told = !matches!(symbol.kind, SymbolKind::Lambda | SymbolKind::Extension);
                let rank = ranks[node as usize];
                if is_told && !symbol.is_test && rank > 0.0 {
                    // Structure of data is worth telling where code leaves room.
                    let is_data = facts.language.family() == Family::Data;
                    let of_kind = if is_data { 0.01 } else { 1.0 };
                    let of_file = match self.focus {
                        Some(_) => OF_USED + self.share(path),
                        None => 1.0,
                    };
                    ranked.push((rank * of_kind * of_file, group, node));
                }
            }
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        ranked
    }

    /// Where uses are followed from: everywhere alike, or from the files that are about what is asked for.
    fn begins(&self, linked: &Linked) -> Vec<f32> {
        if self.focus.is_none() {
            return vec![1.0; linked.nodes()];
        }
        let mut begins = Vec::with_capacity(linked.nodes());
        for (path, facts) in &linked.files {
            let count = facts.symbols.len() + 1;
            let share = self.share(path) / count as f32;
            begins.extend(std::iter::repeat_n(share, count));
        }
        begins
    }

    fn share(&self, path: &str) -> f32 {
        let share = self.focus.and_then(|focus| focus.get(path));
        share.copied().unwrap_or(0.0)
    }
}

/// What a file is about, behind its path.
fn summary(summary: &str) -> String {
    match summary {
        "" => String::new(),
        summary => format!(" -- {summary}"),
    }
}

fn tagged(tags: &[String]) -> String {
    match tags {
        [] => String::new(),
        tags => format!(" [{}]", tags.join(", ")),
    }
}

/// A symbol's line: where it is, and what declares it, as far in as it stands.
fn line(linked: &Linked, node: Node) -> String {
    let (file, symbol) = linked.at(node);
    let facts = &linked.files[file].1;
    let Some(symbol) = symbol.map(|symbol| &facts.symbols[symbol as usize]) else {
        return String::new();
    };
    let mut depth = 1;
    let mut container = symbol.container;
    while let Some(around) = container {
        depth += 1;
        container = facts.symbols[around as usize].container;
    }
    let said = match symbol.signature.is_empty() {
        true => &symbol.name,
        false => &symbol.signature,
    };
    format!("{:>5}{}{said}\n", symbol.line, "  ".repeat(depth))
}

/// PageRank over uses, as sure as they are, that begins anew in some places more than in others (Haveliwala,
/// "Topic-sensitive PageRank", 2002). What is used by many counts; being named in an import alone does not.
fn ranks(linked: &Linked, begins: &[f32]) -> Vec<f32> {
    let nodes = linked.nodes();
    let weight = |kind: CodeUseKind, confidence: u8| {
        let of_kind = match kind {
            CodeUseKind::Imports => 0.0,
            CodeUseKind::Names => 0.5,
            _ => 1.0,
        };
        of_kind * f32::from(confidence) / 100.0
    };
    let sums: Vec<f32> = (0..nodes as Node)
        .map(|node| {
            let edges = linked.from(node).iter();
            edges.map(|edge| weight(edge.kind, edge.confidence)).sum()
        })
        .collect();
    let base: Vec<f32> = begins.iter().map(|begin| (1.0 - DAMPING) * begin).collect();
    let mut ranks = begins.to_vec();
    for _ in 0..ROUNDS {
        let mut next = base.clone();
        for edge in &linked.edges {
            let sum = sums[edge.from as usize];
            if sum > 0.0 {
                let share = weight(edge.kind, edge.confidence) / sum;
                next[edge.to as usize] += DAMPING * share * ranks[edge.from as usize];
            }
        }
        ranks = next;
    }
    ranks
}
