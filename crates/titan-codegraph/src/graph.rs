//! Files, what they say, and who uses whom among them.
//!
//! A file that changes replaces its own facts. Who uses whom is worked out again for its family of languages when
//! somebody next asks, from the facts alone: so the result is that of a graph made anew, whatever came before. Where that
//! takes long, what a few changed files do is told first.

use crate::described::Described;
use crate::extract::{self, Skipped};
use crate::facts::{FileFacts, SymbolKind};
use crate::group::Group;
use crate::languages::{Family, Language};
use crate::link::{Linked, Node};
use crate::outline;
use crate::search::Search;
use crate::tags::Tags;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use titan_protocol::{
    CodeDirection, CodeFile, CodeFound, CodeImpact, CodeReached, CodeSummary, CodeSymbol, CodeUse,
    CodeUseKind, CodeUser, CodeUses,
};

/// Symbols of one name that a question is about at most.
const MEANT_MAX: usize = 24;
/// How sure a use has to be for a change to be followed over it.
const IMPACT_CONFIDENCE_MIN: u8 = 40;
/// What one impact reaches at most.
const REACHED_MAX: usize = 5_000;

/// The graph. See the module.
#[derive(Default)]
pub struct Graph {
    families: BTreeMap<Family, Group>,
    skipped: BTreeMap<Arc<str>, Skipped>,
    /// What a model said of files, as they are now.
    described: HashMap<Arc<str>, Described>,
    /// Chosen when first asked for, and again when a file has changed.
    tags: OnceLock<Tags>,
}

impl Graph {
    /// Without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a file says now. Its path is from the folder, with `/` between.
    pub fn update(&mut self, path: &str, bytes: &[u8]) {
        self.set(path, extract::facts(path, bytes));
    }

    /// What was read from a file. It changes nothing that says the same as before.
    pub fn set(&mut self, path: &str, read: Result<FileFacts, Skipped>) {
        match read {
            Ok(facts) => {
                let family = facts.language.family();
                let same = self.families.get(&family).and_then(|it| it.facts(path));
                if same.is_some_and(|known| **known == facts) {
                    return;
                }
                self.skipped.remove(path);
                for (other, group) in &mut self.families {
                    if *other != family {
                        group.remove(path);
                    }
                }
                self.families.entry(family).or_default().insert(path, facts);
                self.families.retain(|_, group| !group.is_empty());
                self.tags = OnceLock::new();
            }
            Err(why) => {
                self.remove(path);
                self.skipped.insert(path.into(), why);
            }
        }
    }

    /// Forgets a file.
    pub fn remove(&mut self, path: &str) {
        self.skipped.remove(path);
        self.described.remove(path);
        self.tags = OnceLock::new();
        for group in self.families.values_mut() {
            group.remove(path);
        }
        self.families.retain(|_, group| !group.is_empty());
    }

    /// Makes answers ready for the files as they are now, in about so long. Where working out all that comes of a change
    /// takes longer, that is done in the background, and answers tell how many files are [`unsettled`](Self::unsettled);
    /// whoever never calls this is answered when all is worked out.
    pub fn settle(&mut self, patience: Duration) {
        for (family, group) in &mut self.families {
            group.settle(*family, patience);
        }
    }

    /// Changed files of which it is not worked out yet what others make of them. What they do themselves is known.
    pub fn unsettled(&self) -> usize {
        self.families.values().map(Group::unsettled).sum()
    }

    /// What one file says.
    pub fn facts(&self, path: &str) -> Option<&Arc<FileFacts>> {
        self.families.values().find_map(|group| group.facts(path))
    }

    /// All files that were read, by family and path.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<FileFacts>)> {
        self.families.values().flat_map(Group::files)
    }

    /// What each file is tagged with.
    pub(crate) fn tags(&self) -> &Tags {
        self.tags
            .get_or_init(|| Tags::new(self.files(), &self.described))
    }

    /// Takes what a model said of a file as it is now, if it did.
    pub(crate) fn describe(&mut self, path: &str, described: Option<Described>) {
        let described = described.filter(|_| self.facts(path).is_some());
        if self.described.get(path) == described.as_ref() {
            return;
        }
        match described {
            Some(described) => self.described.insert(path.into(), described),
            None => self.described.remove(path),
        };
        self.tags = OnceLock::new();
    }

    /// What a model said of a file, if it did.
    pub(crate) fn described(&self, path: &str) -> Option<&Described> {
        self.described.get(path)
    }

    /// What a file is about: its own sentence, or else a model's, which is marked; empty where there is neither.
    pub(crate) fn about(&self, path: &str, facts: &FileFacts) -> String {
        if !facts.about.summary.is_empty() {
            return facts.about.summary.to_string();
        }
        match self.described(path).map(|it| &*it.summary) {
            None | Some("") => String::new(),
            Some(said) => format!("{said} (a model's words)"),
        }
    }

    /// What a file is about, or where nobody says that, what it defines.
    pub(crate) fn about_or_defined(&self, path: &str, facts: &FileFacts) -> String {
        match self.about(path, facts) {
            about if about.is_empty() => facts.summary(),
            about => about,
        }
    }

    /// Why a file was not read, if it was not.
    pub(crate) fn skipped(&self, path: &str) -> Option<Skipped> {
        self.skipped.get(path).copied()
    }

    /// What is known in all.
    pub fn summary(&self) -> CodeSummary {
        let mut summary = CodeSummary::default();
        let mut languages: BTreeMap<Language, usize> = BTreeMap::new();
        for (family, group) in &self.families {
            for facts in group.all() {
                summary.files += 1;
                summary.lines += facts.lines as usize;
                summary.symbols += facts.symbols.len();
                *languages.entry(facts.language).or_default() += 1;
            }
            summary.edges += group.linked(*family).edges.len();
        }
        let mut skipped: BTreeMap<Skipped, usize> = BTreeMap::new();
        for why in self.skipped.values() {
            *skipped.entry(*why).or_default() += 1;
        }
        let named = |(language, count): (&Language, &usize)| (language.name().to_owned(), *count);
        summary.languages = languages.iter().map(named).collect();
        summary
            .languages
            .sort_by_key(|(_, count)| usize::MAX - count);
        summary.skipped = skipped
            .iter()
            .map(|(why, count)| (why.name().to_owned(), *count))
            .collect();
        summary
    }

    /// The symbols that are meant by a name, by names with `.` or `::` between, or by `path:line`; the likeliest first.
    pub fn symbols(&self, name: &str, limit: usize) -> Vec<CodeSymbol> {
        let meant = self.meant(name, limit, false);
        meant
            .into_iter()
            .map(|(linked, node)| told(linked, node))
            .collect()
    }

    /// What uses the symbols that are meant, or what they use; the surest first.
    pub fn uses(&self, name: &str, direction: CodeDirection, limit: usize) -> CodeUses {
        let meant = self.meant_exactly(name);
        let mut uses = Vec::new();
        for (linked, node) in &meant {
            let asked = match direction {
                CodeDirection::Callers => with_inits(linked, *node),
                CodeDirection::Callees => vec![*node],
            };
            for node in asked {
                match direction {
                    CodeDirection::Callers => {
                        for edge in linked.to(node) {
                            uses.push(used(linked, edge.from, edge.from, edge));
                        }
                    }
                    CodeDirection::Callees => {
                        for edge in linked.from(node) {
                            uses.push(used(linked, edge.to, edge.from, edge));
                        }
                        uses.extend(outside(linked, node));
                    }
                }
            }
        }
        uses.sort_by(|a, b| {
            let order = |it: &CodeUse| (u8::MAX - it.confidence, it.kind);
            order(a)
                .cmp(&order(b))
                .then_with(|| (&a.path, a.line).cmp(&(&b.path, b.line)))
                .then_with(|| a.symbol.name.cmp(&b.symbol.name))
        });
        uses.dedup();
        let left_out = uses.len().saturating_sub(limit);
        uses.truncate(limit);
        CodeUses {
            of: meant.iter().map(|(it, node)| told(it, *node)).collect(),
            uses,
            left_out,
            unsettled: self.unsettled(),
        }
    }

    /// What may break when the symbols that are meant change.
    pub fn impact(&self, name: &str, depth: usize, limit: usize) -> CodeImpact {
        let meant = self.meant_exactly(name);
        let mut reached = Vec::new();
        for (linked, node) in &meant {
            reached.extend(spread(linked, *node, depth));
        }
        reached.sort_by(|a: &CodeReached, b| {
            let order = |it: &CodeReached| (it.distance, u8::MAX - it.confidence);
            let place = |it: &CodeReached| (it.symbol.path.clone(), it.symbol.line);
            order(a)
                .cmp(&order(b))
                .then_with(|| place(a).cmp(&place(b)))
        });
        let mut seen = BTreeSet::new();
        reached.retain(|it| seen.insert((it.symbol.path.clone(), it.symbol.name.clone())));
        let files: BTreeSet<&str> = reached.iter().map(|it| it.symbol.path.as_str()).collect();
        let files = files.len();
        let left_out = reached.len().saturating_sub(limit);
        reached.truncate(limit);
        CodeImpact {
            of: meant.iter().map(|(it, node)| told(it, *node)).collect(),
            reached,
            files,
            left_out,
            unsettled: self.unsettled(),
        }
    }

    /// What a file defines, and what uses that from other files, the surest first.
    pub fn file(&self, path: &str, limit: usize) -> CodeFile {
        let Some((linked, file)) = self.at_line(path, 0).map(|(it, node)| (it, it.at(node).0))
        else {
            return CodeFile::default();
        };
        let count = linked.files[file].1.symbols.len() as u32;
        let nodes = || (0..count).map(|at| linked.node(file, Some(at)));
        let mut users: Vec<CodeUser> = Vec::new();
        for node in nodes() {
            let of = told(linked, node).name;
            let others = linked
                .to(node)
                .filter(|edge| linked.at(edge.from).0 != file);
            users.extend(others.map(|edge| CodeUser {
                of: of.clone(),
                by: used(linked, edge.from, edge.from, edge),
            }));
        }
        users.sort_by(|a, b| {
            let order = |it: &CodeUser| (u8::MAX - it.by.confidence, it.by.kind);
            let place = |it: &CodeUser| (it.by.path.clone(), it.by.line);
            order(a)
                .cmp(&order(b))
                .then_with(|| place(a).cmp(&place(b)))
        });
        users.truncate(limit);
        CodeFile {
            summary: self.about(path, &linked.files[file].1),
            tags: self.tags().of(path).to_vec(),
            symbols: nodes().take(limit).map(|node| told(linked, node)).collect(),
            users,
            unsettled: self.unsettled(),
        }
    }

    /// The files that are about some words, those that are most so first.
    pub fn search(&self, words: &str, limit: usize) -> Vec<CodeFound> {
        Search::new(self, words).found(limit)
    }

    /// An outline of what matters most, of about so many tokens; with words, of what matters most for what they say.
    pub fn map(&self, about: Option<&str>, tokens: usize) -> String {
        let groups = self.families.iter();
        let linked: Vec<&Linked> = groups.map(|(family, it)| it.linked(*family)).collect();
        let focus = about.map(|words| Search::new(self, words).shares());
        let mut map = outline::outline(self, &linked, focus.as_ref(), tokens);
        if self.unsettled() > 0 {
            map.push_str(
                "[what a change brings is still being worked out; the order may change]\n",
            );
        }
        map
    }

    /// All uses, as lines of text, in an order that depends on nothing but the files.
    pub fn edges(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (family, group) in &self.families {
            let linked = group.linked(*family);
            for edge in &linked.edges {
                lines.push(format!(
                    "{} {:?} {} {} {}",
                    place(linked, edge.from),
                    edge.kind,
                    place(linked, edge.to),
                    edge.line,
                    edge.confidence
                ));
            }
        }
        lines
    }

    /// Who calls whom: path and symbol of both ends, the empty symbol being the file itself; what is outside has no
    /// path. Only what is at least so sure.
    pub fn calls(&self, confidence_min: u8) -> Vec<(CallEnd, CallEnd)> {
        let mut calls = Vec::new();
        for (family, group) in &self.families {
            let linked = group.linked(*family);
            let end = |node: Node| {
                let (file, symbol) = linked.at(node);
                let (path, facts) = &linked.files[file];
                CallEnd {
                    path: path.to_string(),
                    symbol: symbol.map_or_else(String::new, |symbol| facts.qualified(symbol)),
                }
            };
            for edge in &linked.edges {
                if edge.kind == CodeUseKind::Calls && edge.confidence >= confidence_min {
                    calls.push((end(edge.from), end(edge.to)));
                }
            }
            for (from, name, _) in &linked.outside {
                let to = CallEnd {
                    path: String::new(),
                    symbol: name.to_string(),
                };
                calls.push((end(*from), to));
            }
        }
        calls
    }

    /// As [`Graph::symbols`], but where some are called exactly so, those alone.
    fn meant_exactly(&self, name: &str) -> Vec<(&Linked, Node)> {
        self.meant(name, MEANT_MAX, true)
            .into_iter()
            .filter(|(linked, node)| {
                is_place(name) || fits(&linked.qualified(*node), name) || is_path(linked, *node)
            })
            .collect()
    }

    fn meant(&self, name: &str, limit: usize, is_exact: bool) -> Vec<(&Linked, Node)> {
        let name = name.trim();
        if let Some((path, line)) = place_of(name) {
            return self.at_line(path, line).into_iter().collect();
        }
        let wanted = name.replace("::", ".").replace(['#', '>'], ".");
        let lower = wanted.to_lowercase();
        let last = wanted.rsplit('.').next().unwrap_or(&wanted);
        let mut found: Vec<(u32, &Linked, Node)> = Vec::new();
        for (family, group) in &self.families {
            let linked = group.linked(*family);
            for (file, (path, facts)) in linked.files.iter().enumerate() {
                if **path == *name {
                    found.push((0, linked, linked.node(file, None)));
                }
                for (at, symbol) in facts.symbols.iter().enumerate() {
                    let rank = if *symbol.name == *last {
                        match fits(&facts.qualified(at as u32), &wanted) {
                            true => 1,
                            false => continue,
                        }
                    } else if match is_exact {
                        true => symbol.name.ends_with(last),
                        false => {
                            symbol.name.len() >= lower.len()
                                && symbol.name.to_lowercase().contains(&lower)
                        }
                    } {
                        3
                    } else {
                        continue;
                    };
                    // More of a type comes after the type itself, and data after code.
                    let is_less = symbol.kind == SymbolKind::Extension || *family == Family::Data;
                    let node = linked.node(file, Some(at as u32));
                    found.push((rank + u32::from(is_less), linked, node));
                }
            }
        }
        found.sort_by(|a, b| {
            let users = |it: &(u32, &Linked, Node)| usize::MAX - it.1.to(it.2).count();
            (a.0, users(a)).cmp(&(b.0, users(b)))
        });
        found.truncate(limit);
        found
            .into_iter()
            .map(|(_, linked, node)| (linked, node))
            .collect()
    }

    /// The innermost symbol that a line belongs to.
    fn at_line(&self, path: &str, line: u32) -> Option<(&Linked, Node)> {
        for (family, group) in &self.families {
            if group.facts(path).is_none() {
                continue;
            }
            let linked = group.linked(*family);
            let file = linked.files.iter().position(|(it, _)| **it == *path)?;
            let symbols = linked.files[file].1.symbols.iter().enumerate();
            let inner = symbols
                .filter(|(_, symbol)| (symbol.line..=symbol.end_line).contains(&line))
                .min_by_key(|(_, symbol)| symbol.end_line - symbol.line);
            return Some((linked, linked.node(file, inner.map(|(at, _)| at as u32))));
        }
        None
    }
}

/// One end of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallEnd {
    /// The file; empty for what is not in the folder.
    pub path: String,
    /// The symbol with what it stands in; empty for the file itself.
    pub symbol: String,
}

/// `path:line`
fn place_of(name: &str) -> Option<(&str, u32)> {
    let (path, line) = name.rsplit_once(':')?;
    let line = line.parse().ok()?;
    (!path.ends_with(':')).then_some((path, line))
}

fn is_place(name: &str) -> bool {
    place_of(name).is_some()
}

fn is_path(linked: &Linked, node: Node) -> bool {
    linked.at(node).1.is_none()
}

/// Whether a qualified name ends with these names.
fn fits(qualified: &str, wanted: &str) -> bool {
    let wanted = wanted.replace("::", ".").replace(['#', '>'], ".");
    qualified
        .strip_suffix(&wanted)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn place(linked: &Linked, node: Node) -> String {
    let (file, symbol) = linked.at(node);
    let (path, facts) = &linked.files[file];
    match symbol {
        Some(symbol) => format!("{path}:{}", facts.qualified(symbol)),
        None => path.to_string(),
    }
}

pub(crate) fn told(linked: &Linked, node: Node) -> CodeSymbol {
    let (file, symbol) = linked.at(node);
    let (path, facts) = &linked.files[file];
    match symbol {
        Some(at) => of_file(path, facts, at),
        None => CodeSymbol {
            name: path.to_string(),
            kind: "file".to_owned(),
            path: path.to_string(),
            line: 1,
            end_line: facts.lines.max(1),
            signature: String::new(),
            doc: String::new(),
            is_test: false,
        },
    }
}

/// A symbol of a file, by its number.
pub(crate) fn of_file(path: &str, facts: &FileFacts, at: u32) -> CodeSymbol {
    let symbol = &facts.symbols[at as usize];
    CodeSymbol {
        name: facts.qualified(at),
        kind: symbol.kind.name().to_owned(),
        path: path.to_owned(),
        line: symbol.line,
        end_line: symbol.end_line,
        signature: symbol.signature.to_string(),
        doc: symbol.doc.to_string(),
        is_test: symbol.is_test,
    }
}

fn used(linked: &Linked, other: Node, user: Node, edge: &crate::link::Edge) -> CodeUse {
    let (file, _) = linked.at(user);
    CodeUse {
        kind: edge.kind,
        symbol: told(linked, other),
        path: linked.files[file].0.to_string(),
        line: edge.line,
        confidence: edge.confidence,
    }
}

fn outside(linked: &Linked, node: Node) -> impl Iterator<Item = CodeUse> {
    let from = linked.outside.partition_point(|(from, ..)| *from < node);
    let of_node = linked.outside[from..].iter();
    let (file, _) = linked.at(node);
    of_node
        .take_while(move |(from, ..)| *from == node)
        .map(move |(_, name, line)| CodeUse {
            kind: CodeUseKind::Calls,
            symbol: CodeSymbol {
                name: name.to_string(),
                kind: "outside".to_owned(),
                path: String::new(),
                line: 0,
                end_line: 0,
                signature: String::new(),
                doc: String::new(),
                is_test: false,
            },
            path: linked.files[file].0.to_string(),
            line: *line,
            confidence: 95,
        })
}

/// A symbol and the function that makes its instances: whoever calls that uses the class.
fn with_inits(linked: &Linked, node: Node) -> Vec<Node> {
    let (file, symbol) = linked.at(node);
    let mut nodes = vec![node];
    let Some(class) = symbol else { return nodes };
    let symbols = &linked.files[file].1.symbols;
    if !symbols[class as usize].kind.is_type() {
        return nodes;
    }
    for (at, symbol) in symbols.iter().enumerate() {
        let makes = ["__init__", "constructor", "initialize"].contains(&&*symbol.name);
        if symbol.container == Some(class) && makes {
            nodes.push(linked.node(file, Some(at as u32)));
        }
    }
    nodes
}

/// All that uses a symbol or what it holds, over at most so many uses.
fn spread(linked: &Linked, node: Node, depth: usize) -> Vec<CodeReached> {
    let mut sure: HashMap<Node, u8> = HashMap::new();
    let mut queue = VecDeque::new();
    for own in with_members(linked, node) {
        sure.insert(own, 100);
        queue.push_back((own, 0));
    }
    let mut reached = Vec::new();
    while let Some((at, distance)) = queue.pop_front() {
        if distance >= depth || reached.len() >= REACHED_MAX {
            continue;
        }
        let mut users: Vec<_> = linked.to(at).collect();
        users.sort_by_key(|edge| (u8::MAX - edge.confidence, edge.from));
        for edge in users {
            let confidence = edge.confidence.min(sure[&at]);
            if confidence < IMPACT_CONFIDENCE_MIN || sure.contains_key(&edge.from) {
                continue;
            }
            sure.insert(edge.from, confidence);
            queue.push_back((edge.from, distance + 1));
            reached.push(CodeReached {
                symbol: told(linked, edge.from),
                distance: distance + 1,
                over: linked.qualified(at),
                confidence,
            });
        }
    }
    reached
}

/// A symbol, and all that stands in it; all that a file holds.
fn with_members(linked: &Linked, node: Node) -> Vec<Node> {
    let (file, symbol) = linked.at(node);
    let symbols = &linked.files[file].1.symbols;
    let mut is_own = vec![false; symbols.len()];
    let mut nodes = vec![node];
    for (at, it) in symbols.iter().enumerate() {
        is_own[at] = match symbol {
            None => true,
            Some(symbol) => {
                let holds = it.container.is_some_and(|around| is_own[around as usize]);
                symbol as usize == at || holds
            }
        };
        if is_own[at] && symbol != Some(at as u32) {
            nodes.push(linked.node(file, Some(at as u32)));
        }
    }
    nodes
}
