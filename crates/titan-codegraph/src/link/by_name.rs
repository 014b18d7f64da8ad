//! Uses by name: the scope that it stands in, what the file imports, the type of what stands before it, and where
//! nothing says more, the one symbol that is called so.

mod types;

use super::{Linked, NAMESAKES_MAX, Node};
use crate::facts::{FileFacts, Receiver, Reference, Symbol, SymbolKind};
use crate::languages::Family;
use crate::modules::{file_name, join, parent};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use titan_protocol::CodeUseKind;
use types::{Place, Value};

/// Symbols of one name that are looked at.
const CANDIDATES_MAX: usize = 64;
/// Types that are made from one another, one after the other.
const BASES_MAX: usize = 8;
/// Endings that an import of a script leaves away.
const SCRIPT_ENDINGS: &[&str] = &[
    ".ts",
    ".tsx",
    ".js",
    ".jsx",
    ".mjs",
    ".cjs",
    ".d.ts",
    "/index.ts",
    "/index.tsx",
    "/index.js",
    "/index.jsx",
];

/// What was found for a name, and how sure it is.
type Found = (Vec<Node>, u8);

/// What some of the files use of all of them.
pub(super) fn link(family: Family, linked: &mut Linked, of: &[usize]) {
    let files = linked.files.clone();
    let index = Index::new(family, linked, &files);
    let mut edges = Vec::new();
    for file in of.iter().copied() {
        let facts = &files[file].1;
        let mut imported = FxHashSet::default();
        for import in &facts.imports {
            let found = index.import(file, &import.module, import.name.as_deref());
            for node in found.files.iter().copied().chain(
                found
                    .nodes
                    .iter()
                    .map(|node| linked.node(linked.at(*node).0, None)),
            ) {
                if imported.insert(node) && node != linked.node(file, None) {
                    let from = linked.node(file, None);
                    edges.push((from, node, CodeUseKind::Imports, import.line, 90));
                }
            }
        }
        for (symbol, base) in &facts.bases {
            let from = linked.node(file, Some(*symbol));
            let (found, confidence) = index.plain(file, Some(*symbol), base);
            for to in found {
                if to != from && index.kind(to).is_type() {
                    let line = facts.symbols[*symbol as usize].line;
                    edges.push((from, to, CodeUseKind::Inherits, line, confidence));
                }
            }
        }
        for reference in &facts.references {
            let from = linked.node(file, reference.from);
            let (found, confidence) = index.resolve(file, reference);
            for to in found {
                // A module that is named like what is called is something else.
                if reference.is_call && index.kind(to) == SymbolKind::Module {
                    continue;
                }
                let kind = match reference.is_call {
                    true if index.kind(to).is_type() => CodeUseKind::Makes,
                    true => CodeUseKind::Calls,
                    false => CodeUseKind::Names,
                };
                // What a symbol says of itself is no use of it.
                if to != from || reference.is_call {
                    edges.push((from, to, kind, reference.line, confidence));
                }
            }
        }
    }
    for (from, to, kind, line, confidence) in edges {
        linked.push(from, to, kind, line, confidence);
    }
}

/// What a module's name stands for: files, and symbols in them.
#[derive(Default)]
struct Imported {
    files: Vec<Node>,
    nodes: Vec<Node>,
}

struct Index<'a> {
    family: Family,
    files: &'a [(Arc<str>, Arc<FileFacts>)],
    first: Vec<Node>,
    by_path: FxHashMap<&'a str, usize>,
    by_file_name: FxHashMap<&'a str, Vec<usize>>,
    /// All symbols by name.
    named: FxHashMap<&'a str, Vec<Node>>,
    /// Names of folders, files and modules, as a path of Rust writes them.
    places: FxHashSet<String>,
    /// By the name of a type or of a module within a file, and of what belongs to it.
    members: FxHashMap<(&'a str, &'a str), Vec<Node>>,
    /// What types are made from, by their name: the file and the symbol that say so, and what they say.
    bases: FxHashMap<&'a str, Vec<(usize, u32, &'a str)>>,
    /// Of each file: what it takes, by the name that it has there.
    imports: Vec<FxHashMap<&'a str, Vec<usize>>>,
    typed: Vec<FxHashMap<&'a str, Vec<usize>>>,
}

impl<'a> Index<'a> {
    fn new(family: Family, linked: &Linked, files: &'a [(Arc<str>, Arc<FileFacts>)]) -> Self {
        let mut index = Self {
            family,
            files,
            first: linked.first.clone(),
            by_path: FxHashMap::default(),
            by_file_name: FxHashMap::default(),
            named: FxHashMap::default(),
            places: FxHashSet::default(),
            members: FxHashMap::default(),
            bases: FxHashMap::default(),
            imports: Vec::new(),
            typed: Vec::new(),
        };
        for (file, (path, facts)) in files.iter().enumerate() {
            index.by_path.insert(path, file);
            if family == Family::Rust {
                let modules = facts
                    .symbols
                    .iter()
                    .filter(|it| it.kind == SymbolKind::Module);
                let parts = path.trim_end_matches(".rs").split('/');
                let names = parts.chain(modules.map(|module| &*module.name));
                index
                    .places
                    .extend(names.map(|name| name.replace('-', "_")));
            }
            index
                .by_file_name
                .entry(file_name(path))
                .or_default()
                .push(file);
            for (at, symbol) in facts.symbols.iter().enumerate() {
                let node = linked.node(file, Some(at as u32));
                if symbol.kind != SymbolKind::Extension {
                    index.named.entry(&symbol.name).or_default().push(node);
                }
                let around = symbol.container.map(|it| &facts.symbols[it as usize]);
                let holds =
                    |it: &&Symbol| matches!(it.kind, SymbolKind::Module | SymbolKind::Constant);
                let module = around.filter(holds);
                let owner = type_of(facts, Some(at as u32), true);
                if let Some(owner) = owner.or(module.map(|it| &*it.name)) {
                    index
                        .members
                        .entry((owner, &symbol.name))
                        .or_default()
                        .push(node);
                }
            }
            for (symbol, base) in &facts.bases {
                let name = &*facts.symbols[*symbol as usize].name;
                if **base != *name {
                    let bases = index.bases.entry(name).or_default();
                    bases.push((file, *symbol, base));
                }
            }
            let mut imports: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
            for (at, import) in facts.imports.iter().enumerate() {
                imports.entry(&import.alias).or_default().push(at);
            }
            index.imports.push(imports);
            let mut typed: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
            for (at, variable) in facts.typed.iter().enumerate() {
                typed.entry(&variable.name).or_default().push(at);
            }
            index.typed.push(typed);
        }
        index
    }

    /// The name of a symbol; nothing for a file.
    fn name(&self, node: Node) -> &'a str {
        let (file, symbol) = self.at(node);
        let facts = &self.files[file].1;
        symbol.map_or("", |symbol| &facts.symbols[symbol as usize].name)
    }

    fn kind(&self, node: Node) -> SymbolKind {
        let (file, symbol) = self.at(node);
        let symbols = &self.files[file].1.symbols;
        symbol.map_or(SymbolKind::Module, |symbol| symbols[symbol as usize].kind)
    }

    fn at(&self, node: Node) -> (usize, Option<u32>) {
        let file = self.first.partition_point(|first| *first <= node) - 1;
        (file, (node - self.first[file]).checked_sub(1))
    }

    fn resolve(&self, file: usize, reference: &Reference) -> Found {
        let facts = &self.files[file].1;
        let name = &*reference.name;
        match &reference.receiver {
            Receiver::None => self.plain(file, reference.from, name),
            Receiver::Own => {
                let own = type_of(facts, reference.from, false);
                let found = own.map_or_else(Vec::new, |own| self.member(own, name, file));
                if found.is_empty() {
                    return self.method(name);
                }
                (found, 95)
            }
            Receiver::Named(receiver) => self.through(file, reference, receiver),
            Receiver::Unknown => self.method(name),
        }
    }

    /// A name that stands by itself.
    fn plain(&self, file: usize, from: Option<u32>, name: &str) -> Found {
        let facts = &self.files[file].1;
        let named = self.named.get(name).map_or(&[][..], Vec::as_slice);
        let of_file = || named.iter().filter(|node| self.at(**node).0 == file);
        // The innermost scope that has it.
        let mut scope = from;
        loop {
            let stands_there = |node: &&Node| {
                let (_, symbol) = self.at(**node);
                let symbol = symbol.map(|symbol| &facts.symbols[symbol as usize]);
                symbol.is_some_and(|symbol| {
                    let is_named_alone =
                        self.family != Family::Script || symbol.kind != SymbolKind::Method;
                    symbol.container == scope && symbol.owner.is_none() && is_named_alone
                })
            };
            let is_seen = scope.is_none_or(|scope| {
                let is_class = facts.symbols[scope as usize].kind.is_type();
                !is_class || self.sees_members()
            });
            let here: Vec<Node> = of_file().filter(stands_there).copied().collect();
            if is_seen && !here.is_empty() {
                return (self.written_out(here), 100);
            }
            match scope {
                Some(inner) => scope = facts.symbols[inner as usize].container,
                None => break,
            }
        }
        if self.sees_members()
            && let Some(own) = type_of(facts, from, false)
        {
            let found = self.member(own, name, file);
            if !found.is_empty() {
                return (found, 95);
            }
        }
        if let Some(imports) = self.imports[file].get(name) {
            for import in imports {
                let import = &facts.imports[*import];
                let found = self.import(file, &import.module, import.name.as_deref());
                if !found.nodes.is_empty() {
                    let confidence = if found.nodes.len() == 1 { 95 } else { 60 };
                    return (found.nodes, confidence);
                }
            }
            // It comes from somewhere else.
            return (Vec::new(), 0);
        }
        for star in self.imports[file].get("*").into_iter().flatten() {
            let module = &facts.imports[*star].module;
            let found = self.of_module(file, module, name);
            if found.len() == 1 {
                return (found, 90);
            }
        }
        let folder = parent(&self.files[file].0);
        let beside: Vec<Node> = named
            .iter()
            .filter(|node| {
                let (other, symbol) = self.at(**node);
                let symbols = &self.files[other].1.symbols;
                let is_top = symbol.is_some_and(|symbol| {
                    let symbol = &symbols[symbol as usize];
                    symbol.container.is_none() && symbol.owner.is_none()
                });
                is_top && parent(&self.files[other].0) == folder
            })
            .copied()
            .collect();
        let sees_folder = matches!(self.family, Family::Go | Family::Java);
        if sees_folder && !beside.is_empty() {
            return (beside, 95);
        }
        let confidence = match self.family {
            Family::C | Family::Ruby | Family::Bash => 75,
            _ => 40,
        };
        let free: Vec<Node> = named
            .iter()
            .filter(|node| self.kind(**node) != SymbolKind::Method)
            .copied()
            .collect();
        few(free, confidence)
    }

    /// Whether members of the type around are named without anything before them.
    fn sees_members(&self) -> bool {
        matches!(self.family, Family::Java | Family::C | Family::Ruby)
    }

    /// A name behind a value, or behind other names.
    fn through(&self, file: usize, reference: &Reference, receiver: &str) -> Found {
        let name = &*reference.name;
        let (path, is_path) = match receiver.strip_suffix("::") {
            Some(path) => (path, true),
            None => (receiver, false),
        };
        if matches!(path, "super" | "parent") && !is_path {
            let own = type_of(&self.files[file].1, reference.from, false);
            let found = own.map_or_else(Vec::new, |own| self.inherited(own, name, file));
            if !found.is_empty() {
                return (found, 90);
            }
        }
        let place = Place {
            file,
            from: reference.from,
            line: reference.line,
        };
        match self.value(place, path, 0) {
            Value::Types(types) => {
                let found = self.members_of(&types, name);
                if !found.is_empty() {
                    return (found, 90);
                }
                // Of some languages, not all that belongs to a type is known.
                if matches!(self.family, Family::Rust | Family::Script) {
                    return (Vec::new(), 0);
                }
            }
            value @ Value::Foreign(_) => return (self.extended(&value, name), 85),
            Value::Unknown => {}
        }
        if path.contains(['(', '[', '?']) {
            return self.method(name);
        }
        self.named_before(file, reference, path, is_path)
    }

    /// A name behind names of which it is not known that they are a value's.
    fn named_before(&self, file: usize, reference: &Reference, path: &str, is_path: bool) -> Found {
        let facts = &self.files[file].1;
        let name = &*reference.name;
        let dotted = path.replace("::", ".");
        let plain = dotted
            .trim_start_matches("self.")
            .trim_start_matches("this.");
        let knows_types = matches!(self.family, Family::Rust | Family::Script);
        if !knows_types {
            let last = plain.rsplit('.').next().unwrap_or(plain);
            if let Some(type_name) = self.type_of_variable(file, reference.from, last) {
                let found = self.member(type_name, name, file);
                if !found.is_empty() {
                    return (found, 90);
                }
            }
            let found = self.member(last, name, file);
            if !found.is_empty() {
                return (found, 95);
            }
        }
        let first = plain.split('.').next().unwrap_or(plain);
        for import in self.imports[file].get(first).into_iter().flatten() {
            let import = &facts.imports[*import];
            let (module, is_whole) = match import.name.as_deref() {
                None => (import.module.to_string(), true),
                Some(taken) => (format!("{}::{taken}", import.module), false),
            };
            let behind = plain[first.len()..].replace('.', "::");
            let found = self.of_module(file, &format!("{module}{behind}"), name);
            if !found.is_empty() {
                let confidence = if found.len() == 1 { 95 } else { 60 };
                return (found, confidence);
            }
            if is_whole {
                return (Vec::new(), 0);
            }
        }
        if self.family == Family::Rust && is_path {
            // A type of the language's own library needs no import.
            let is_type = plain
                .rsplit('.')
                .next()
                .is_some_and(|it| it.starts_with(char::is_uppercase));
            if is_type {
                return (Vec::new(), 0);
            }
            let found = self.of_module(file, &plain.replace('.', "::"), name);
            return match found.len() {
                1 => (found, 90),
                _ => (Vec::new(), 0),
            };
        }
        self.method(name)
    }

    /// What the types that a type is made from have by a name.
    fn inherited(&self, own: &'a str, name: &str, file: usize) -> Vec<Node> {
        let types = self.named.get(own).map_or(&[][..], Vec::as_slice);
        let here = types
            .iter()
            .filter(|node| self.at(**node).0 == file && self.kind(**node).is_type());
        let bases: Vec<Node> = here.flat_map(|of| self.bases_of(*of)).collect();
        self.members_of(&bases, name)
    }

    /// The type that is written beside a variable: in the same function, then in the same type, then in the file.
    fn type_of_variable(&self, file: usize, from: Option<u32>, name: &str) -> Option<&'a str> {
        let facts = &self.files[file].1;
        let typed = self.typed[file].get(name)?;
        let of = |at: &usize| &*facts.typed[*at].type_name;
        let in_function = typed.iter().rfind(|at| facts.typed[**at].from == from);
        let own = type_of(facts, from, false);
        let in_type = || {
            typed
                .iter()
                .find(|at| own.is_some() && type_of(facts, facts.typed[**at].from, false) == own)
        };
        in_function
            .or_else(in_type)
            .or_else(|| typed.first())
            .map(of)
    }

    /// What a type has by this name, or the types that it is made from. Of types with the same name, that of the file.
    fn member(&self, type_name: &str, name: &str, file: usize) -> Vec<Node> {
        let mut types = vec![type_name];
        let mut at = 0;
        while let Some(type_name) = types.get(at).copied() {
            if let Some(members) = self.members.get(&(type_name, name)) {
                let own: Vec<Node> = members
                    .iter()
                    .filter(|node| self.at(**node).0 == file)
                    .copied()
                    .collect();
                let found = if own.is_empty() { members.clone() } else { own };
                return match found.len() {
                    0..=NAMESAKES_MAX => found,
                    _ => Vec::new(),
                };
            }
            for (.., base) in self.bases.get(type_name).into_iter().flatten() {
                if !types.contains(base) && types.len() < BASES_MAX {
                    types.push(base);
                }
            }
            at += 1;
        }
        Vec::new()
    }

    /// A method of which nothing is known but its name.
    fn method(&self, name: &str) -> Found {
        let named = self.named.get(name).map_or(&[][..], Vec::as_slice);
        let methods: Vec<Node> = named
            .iter()
            .take(CANDIDATES_MAX)
            .filter(|node| self.kind(**node) == SymbolKind::Method)
            .copied()
            .collect();
        few(methods, 40)
    }

    /// What an import stands for.
    fn import(&self, file: usize, module: &str, name: Option<&str>) -> Imported {
        let mut found = Imported::default();
        match self.family {
            Family::Script => {
                let Some(other) = self.script(file, module) else {
                    return found;
                };
                found.files.push(self.first[other]);
                match name {
                    Some("default") => found.nodes.extend(self.default_of(other)),
                    Some("*") | None => {}
                    Some(name) => found.nodes = self.exported(other, name, 0),
                }
            }
            Family::C | Family::Bash | Family::Ruby => {
                found.files.extend(self.file_like(file, module));
            }
            Family::Go => {
                for (at, (path, _)) in self.files.iter().enumerate() {
                    let folder = parent(path);
                    if !folder.is_empty() && ends_with_path(module, folder) {
                        found.files.push(self.first[at]);
                    }
                }
            }
            _ => {
                if let Some(name) = name.filter(|name| *name != "*") {
                    found.nodes = self.of_module(file, module, name);
                }
            }
        }
        found
    }

    /// What a module's file has by this name, or hands on.
    fn exported(&self, file: usize, name: &str, depth: usize) -> Vec<Node> {
        let own = self.top(file, name);
        if !own.is_empty() || depth >= BASES_MAX {
            return own;
        }
        let facts = &self.files[file].1;
        let by_name = self.imports[file].get(name).into_iter().flatten();
        let stars = self.imports[file].get("*").into_iter().flatten();
        for import in by_name.chain(stars) {
            let import = &facts.imports[*import];
            if let Some(other) = self.script(file, &import.module) {
                let wanted = match import.name.as_deref() {
                    Some("*") | None => name,
                    Some(taken) => taken,
                };
                let found = self.exported(other, wanted, depth + 1);
                if !found.is_empty() {
                    return found;
                }
            }
        }
        Vec::new()
    }

    /// Symbols of a file that stand in nothing.
    fn top(&self, file: usize, name: &str) -> Vec<Node> {
        let named = self.named.get(name).map_or(&[][..], Vec::as_slice);
        let is_top = |node: &&Node| {
            let (other, symbol) = self.at(**node);
            other == file
                && symbol.is_some_and(|symbol| {
                    self.files[file].1.symbols[symbol as usize]
                        .container
                        .is_none()
                })
        };
        self.written_out(named.iter().filter(is_top).copied().collect())
    }

    /// What `export default` gives is the one class or function of a file, where it has one.
    fn default_of(&self, file: usize) -> Option<Node> {
        let symbols = &self.files[file].1.symbols;
        let mut tops = symbols.iter().enumerate().filter(|(_, symbol)| {
            symbol.container.is_none()
                && (symbol.kind.is_type() || symbol.kind == SymbolKind::Function)
        });
        match (tops.next(), tops.next()) {
            (Some((at, _)), None) => Some(self.first[file] + 1 + at as Node),
            _ => None,
        }
    }

    /// What a module has by this name.
    fn of_module(&self, file: usize, module: &str, name: &str) -> Vec<Node> {
        match self.family {
            Family::Script => {
                let other = self.script(file, module.split("::").next().unwrap_or(module));
                other.map_or_else(Vec::new, |other| self.exported(other, name, 0))
            }
            Family::C | Family::Bash | Family::Ruby => self
                .file_like(file, module)
                .into_iter()
                .flat_map(|node| self.top(self.at(node).0, name))
                .collect(),
            _ => self.likest(file, module, name),
        }
    }

    /// The file that a script names.
    fn script(&self, file: usize, module: &str) -> Option<usize> {
        let path = if module.starts_with('.') {
            join(parent(&self.files[file].0), module)
        } else {
            join("", module.trim_start_matches("@/").trim_start_matches("~/"))
        };
        let stem = path
            .trim_end_matches(".js")
            .trim_end_matches(".mjs")
            .to_owned();
        let roots: &[&str] = if module.starts_with('.') {
            &[""]
        } else {
            &["", "src/"]
        };
        roots.iter().find_map(|root| {
            let full = format!("{root}{path}");
            self.by_path.get(&*full).copied().or_else(|| {
                SCRIPT_ENDINGS
                    .iter()
                    .find_map(|ending| self.by_path.get(&*format!("{root}{stem}{ending}")).copied())
            })
        })
    }

    /// Files that a path names, beside this one or anywhere.
    fn file_like(&self, file: usize, path: &str) -> Vec<Node> {
        let endings: &[&str] = match self.family {
            Family::Ruby => &["", ".rb"],
            _ => &[""],
        };
        for ending in endings {
            let wanted = format!("{path}{ending}");
            let beside = join(parent(&self.files[file].0), &wanted);
            if let Some(found) = self.by_path.get(&*beside) {
                return vec![self.first[*found]];
            }
            let wanted = join("", &wanted);
            let namesakes = self.by_file_name.get(file_name(&wanted));
            let found: Vec<Node> = namesakes
                .into_iter()
                .flatten()
                .filter(|other| ends_with_path(&self.files[**other].0, &wanted))
                .map(|other| self.first[*other])
                .collect();
            if found.len() == 1 {
                return found;
            }
        }
        Vec::new()
    }

    /// Of all that are called so, those whose place has most of the module's words in it.
    fn likest(&self, file: usize, module: &str, name: &str) -> Vec<Node> {
        let words: Vec<&str> = module
            .split([':', '/', '.'])
            .filter(|word| !word.is_empty())
            .collect();
        let is_near = words
            .first()
            .is_none_or(|word| matches!(*word, "crate" | "self" | "super" | "Self"));
        // What begins with nothing that is here is of another package.
        let is_known = |word: &&str| self.places.contains(*word) || self.named.contains_key(*word);
        if self.family == Family::Rust && !is_near && !words.first().is_some_and(is_known) {
            return Vec::new();
        }
        let own = crate_of(&self.files[file].0);
        let named = self.named.get(name).map_or(&[][..], Vec::as_slice);
        let mut best = (0, Vec::new());
        for node in named.iter().take(CANDIDATES_MAX) {
            let (other, symbol) = self.at(*node);
            let (path, facts) = &self.files[other];
            if is_near && crate_of(path) != own {
                continue;
            }
            let place = path.replace('-', "_");
            let around = symbol.map_or_else(String::new, |symbol| facts.qualified(symbol));
            let has = |word: &&&str| {
                let mut parts = place.split(['/', '.']).chain(around.split('.'));
                parts.any(|part| part == **word)
            };
            let known = words.iter().filter(has).count();
            let likeness = known * 2 + usize::from(is_near) + usize::from(other == file);
            // What shares no word with its module is something else of that name.
            if likeness == 0 {
                continue;
            }
            if likeness > best.0 {
                best = (likeness, vec![*node]);
            } else if likeness == best.0 {
                best.1.push(*node);
            }
        }
        match best.1.len() {
            0..=NAMESAKES_MAX => best.1,
            _ => Vec::new(),
        }
    }
}

/// The folder that a crate's sources lie in.
fn crate_of(path: &str) -> &str {
    path.split_once("/src/").map_or("", |(root, _)| root)
}

/// Whether one path is the end of another, by whole parts.
fn ends_with_path(path: &str, end: &str) -> bool {
    path.strip_suffix(end)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// One is likely meant, a few may be, more say nothing.
fn few(found: Vec<Node>, confidence: u8) -> Found {
    match found.len() {
        0 | 1 => (found, confidence),
        2..=NAMESAKES_MAX => (found, confidence / 2),
        _ => (Vec::new(), 0),
    }
}

/// The name of the type that a symbol belongs to, or that it is where `is_within` does not ask for what is around it.
fn type_of(facts: &FileFacts, symbol: Option<u32>, is_within: bool) -> Option<&str> {
    let mut at = symbol?;
    let mut is_self = true;
    loop {
        let symbol = &facts.symbols[at as usize];
        if let Some(owner) = &symbol.owner {
            return Some(owner);
        }
        if symbol.kind.is_type() && !(is_self && is_within) {
            return Some(&symbol.name);
        }
        // What a function holds belongs to no type around it.
        if is_within && !is_self {
            return None;
        }
        is_self = false;
        at = symbol.container?;
    }
}
