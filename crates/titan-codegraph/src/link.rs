//! Who uses whom among the files of one family of languages. A function of their facts alone.

mod by_name;
mod revise;

pub(crate) use revise::differing;

use crate::facts::{FileFacts, SymbolKind};
use crate::flow::{self, Callee, Flow, How, Kept, Module, Modules, Solved, Statement};
use crate::languages::Family;
use crate::modules::PythonModules;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use titan_protocol::CodeUseKind;

/// Symbols of one name among which a use without more to go by is not decided.
pub(crate) const NAMESAKES_MAX: usize = 4;

/// A file, or a symbol of a file, by its number.
pub(crate) type Node = u32;

/// A use of one symbol by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: Node,
    pub(crate) to: Node,
    pub(crate) kind: CodeUseKind,
    pub(crate) line: u32,
    /// Of 100.
    pub(crate) confidence: u8,
}

/// Uses of what is not there: by whom, its name, and the line.
type Outside = Vec<(Node, Box<str>, u32)>;

/// The files and what they have to do with one another.
pub(crate) struct Linked {
    pub(crate) files: Files,
    /// The number of each file; its symbols follow.
    pub(crate) first: Vec<Node>,
    /// How many there are of files and symbols.
    nodes: Node,
    /// By where they begin.
    pub(crate) edges: Vec<Edge>,
    /// The first edge of each node.
    begins: Vec<u32>,
    /// Edges by where they end.
    backward: Vec<u32>,
    backward_begins: Vec<u32>,
    /// Uses of what is not in the folder: by whom, its name, and the line.
    pub(crate) outside: Outside,
}

/// Files by path, sorted by it.
pub(crate) type Files = Vec<(Arc<str>, Arc<FileFacts>)>;

/// Who uses whom, with what is needed to tell quickly what a few changed files do among the others.
pub(crate) struct Links {
    pub(crate) linked: Linked,
    /// What Python's variables hold.
    kept: Option<Kept>,
    /// How long it took to work out all of it.
    pub(crate) took: Duration,
}

impl Links {
    /// Works out all of these files. Python's are left as they are when nobody wants to know any more.
    pub(crate) fn new(family: Family, files: Files, is_unwanted: &AtomicBool) -> Self {
        let began = Instant::now();
        let mut linked = Linked::bare(files);
        let mut kept = None;
        match family {
            Family::Data => {}
            Family::Python => kept = linked.follow(is_unwanted),
            _ => {
                let all: Vec<usize> = (0..linked.files.len()).collect();
                by_name::link(family, &mut linked, &all);
            }
        }
        linked.settle();
        Self {
            linked,
            kept,
            took: began.elapsed(),
        }
    }
}

impl Linked {
    /// Files of which it is not said yet who uses whom.
    fn bare(files: Files) -> Self {
        let mut first = Vec::with_capacity(files.len());
        let mut nodes = 0;
        for (_, facts) in &files {
            first.push(nodes);
            nodes += 1 + facts.symbols.len() as Node;
        }
        Self {
            files,
            first,
            nodes,
            edges: Vec::new(),
            begins: Vec::new(),
            backward: Vec::new(),
            backward_begins: Vec::new(),
            outside: Vec::new(),
        }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes as usize
    }

    pub(crate) fn node(&self, file: usize, symbol: Option<u32>) -> Node {
        self.first[file] + symbol.map_or(0, |symbol| symbol + 1)
    }

    /// The file of a node, and its symbol.
    pub(crate) fn at(&self, node: Node) -> (usize, Option<u32>) {
        let file = self.first.partition_point(|first| *first <= node) - 1;
        let within = node - self.first[file];
        (file, within.checked_sub(1))
    }

    pub(crate) fn from(&self, node: Node) -> &[Edge] {
        let at = node as usize;
        &self.edges[self.begins[at] as usize..self.begins[at + 1] as usize]
    }

    pub(crate) fn to(&self, node: Node) -> impl Iterator<Item = &Edge> {
        let at = node as usize;
        let range = self.backward_begins[at] as usize..self.backward_begins[at + 1] as usize;
        self.backward[range]
            .iter()
            .map(|edge| &self.edges[*edge as usize])
    }

    /// The symbol with what it stands in, `.` between; a file's path.
    pub(crate) fn qualified(&self, node: Node) -> String {
        let (file, symbol) = self.at(node);
        let (path, facts) = &self.files[file];
        let Some(symbol) = symbol else {
            return path.to_string();
        };
        facts.qualified(symbol)
    }

    /// Python's files, by what their values may be.
    fn follow(&mut self, is_unwanted: &AtomicBool) -> Option<Kept> {
        let files = self.files.clone();
        let flows: Vec<Option<&Flow>> =
            files.iter().map(|(_, facts)| facts.flow.as_ref()).collect();
        let modules = PythonModules::new(files.iter().map(|(path, _)| &**path));
        let all: Vec<usize> = (0..files.len()).collect();
        self.imports(&all, &flows, &modules);
        let (solved, kept) = flow::solve(&flows, &modules, is_unwanted)?;
        self.take(solved);
        Some(kept)
    }

    /// What some of Python's files take from others.
    fn imports(&mut self, of: &[usize], flows: &[Option<&Flow>], modules: &PythonModules<'_>) {
        for file in of {
            let mut imports: Vec<Module> = Vec::new();
            for scope in flows[*file].iter().flat_map(|flow| &flow.scopes) {
                let stars = scope.stars.iter();
                imports.extend(stars.map(|(module, dots)| modules.resolve(*file, module, *dots)));
                for (statement, _) in &scope.statements {
                    match statement {
                        Statement::ImportModule { module, .. } => {
                            imports.push(modules.resolve(*file, module, 0));
                        }
                        Statement::ImportName { module, dots, .. } => {
                            imports.push(modules.resolve(*file, module, *dots));
                        }
                        _ => {}
                    }
                }
            }
            let from = self.node(*file, None);
            for module in imports {
                if let Module::File(other) = module
                    && other != *file
                {
                    self.push(from, self.node(other, None), CodeUseKind::Imports, 1, 100);
                }
            }
        }
    }

    fn take(&mut self, solved: Solved) {
        for call in &solved.calls {
            let from = self.node(call.from.0, call.from.1);
            let (kind, confidence) = match call.how {
                How::Called => (CodeUseKind::Calls, 95),
                How::Made => (CodeUseKind::Makes, 95),
                How::Handed => (CodeUseKind::Names, 70),
            };
            match &call.to {
                Callee::Point((file, symbol)) => {
                    let to = self.node(*file, *symbol);
                    self.push(from, to, kind, call.line, confidence);
                }
                Callee::External(name) => self.outside.push((from, name.clone(), call.line)),
            }
        }
        for ((file, symbol), (base_file, base)) in &solved.bases {
            let line = symbol.map_or(1, |symbol| {
                self.files[*file].1.symbols[symbol as usize].line
            });
            let (from, to) = (self.node(*file, *symbol), self.node(*base_file, *base));
            self.push(from, to, CodeUseKind::Inherits, line, 100);
        }
        let unknown = solved.unknown.iter();
        let mut methods: FxHashMap<&str, Vec<Node>> = unknown
            .map(|(_, _, name, _)| (&**name, Vec::new()))
            .collect();
        let files = match methods.is_empty() {
            true => Files::new(),
            false => self.files.clone(),
        };
        for (file, (_, facts)) in files.iter().enumerate() {
            for (at, symbol) in facts.symbols.iter().enumerate() {
                if symbol.kind == SymbolKind::Method
                    && let Some(methods) = methods.get_mut(&*symbol.name)
                {
                    methods.push(self.node(file, Some(at as u32)));
                }
            }
        }
        for (file, symbol, name, line) in &solved.unknown {
            let from = self.node(*file, *symbol);
            let namesakes = methods.get(&**name).map_or(&[][..], Vec::as_slice);
            self.guess(from, namesakes, *line);
        }
    }

    /// A use of which only the name is known.
    pub(crate) fn guess(&mut self, from: Node, namesakes: &[Node], line: u32) {
        if namesakes.len() > NAMESAKES_MAX {
            return;
        }
        let confidence = if namesakes.len() == 1 { 40 } else { 20 };
        for to in namesakes {
            self.push(from, *to, CodeUseKind::Calls, line, confidence);
        }
    }

    pub(crate) fn push(
        &mut self,
        from: Node,
        to: Node,
        kind: CodeUseKind,
        line: u32,
        confidence: u8,
    ) {
        self.edges.push(Edge {
            from,
            to,
            kind,
            line,
            confidence,
        });
    }

    /// Sorts the edges, and counts those of one kind between two symbols once: at their first line, as sure as the surest.
    fn settle(&mut self) {
        let nodes = self.nodes;
        // What is kept is sorted already.
        self.edges.sort_by_key(|edge| {
            (
                edge.from,
                edge.to,
                edge.kind,
                u8::MAX - edge.confidence,
                edge.line,
            )
        });
        self.edges
            .dedup_by_key(|edge| (edge.from, edge.to, edge.kind));
        self.outside.sort();
        self.outside.dedup_by(|b, a| (a.0, &a.1) == (b.0, &b.1));
        self.begins = begins(nodes, self.edges.iter().map(|edge| edge.from));
        // Edges by where they end, in their own order: counted first, then put in their places.
        let mut counts = vec![0_u32; nodes as usize + 1];
        for edge in &self.edges {
            counts[edge.to as usize + 1] += 1;
        }
        for node in 0..nodes as usize {
            counts[node + 1] += counts[node];
        }
        self.backward_begins = counts.clone();
        self.backward = vec![0; self.edges.len()];
        for (at, edge) in self.edges.iter().enumerate() {
            let place = &mut counts[edge.to as usize];
            self.backward[*place as usize] = at as u32;
            *place += 1;
        }
    }
}

/// The first place of each node in a list that is sorted by node.
fn begins(nodes: Node, sorted: impl Iterator<Item = Node>) -> Vec<u32> {
    let mut begins = Vec::with_capacity(nodes as usize + 1);
    let mut count = 0;
    for node in sorted {
        while begins.len() <= node as usize {
            begins.push(count);
        }
        count += 1;
    }
    while begins.len() <= nodes as usize {
        begins.push(count);
    }
    begins
}
