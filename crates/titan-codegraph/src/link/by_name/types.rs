//! Of what type a value is, as far as that is written: beside variables, fields and parameters, and at what functions give
//! back. Nothing is inferred of type arguments but what stands in containers of the language's own library.

use super::{Index, Node, type_of};
use crate::facts::{SymbolKind, Typed};
use crate::languages::Family;
use rustc_hash::FxHashSet;

/// Values that are followed from one to the next.
const DEPTH_MAX: u32 = 12;
/// Types that are read through: what belongs to their content belongs to them.
const TRANSPARENT: &[&str] = &[
    "Box",
    "Arc",
    "Rc",
    "Cow",
    "Pin",
    "Ref",
    "RefMut",
    "MutexGuard",
    "RwLockReadGuard",
    "RwLockWriteGuard",
    "Readonly",
    "Partial",
    "Required",
    "NonNullable",
];
/// Types of the languages' own libraries that many a package names a type of its own after.
const CONTAINERS: &[&str] = &["Result", "Option", "Promise"];
/// Methods of containers that give their content.
const PEELING: &[&str] = &[
    "unwrap",
    "expect",
    "unwrap_or",
    "unwrap_or_else",
    "unwrap_or_default",
    "lock",
    "read",
    "write",
    "borrow",
    "borrow_mut",
    "get_or_insert_with",
    "insert",
    "remove",
    "swap_remove",
];
/// Methods of containers that give a container of the same.
const KEEPING: &[&str] = &[
    "as_ref",
    "as_mut",
    "as_deref",
    "as_deref_mut",
    "cloned",
    "copied",
    "iter",
    "iter_mut",
    "into_iter",
    "values",
    "values_mut",
    "take",
    "ok",
    "ok_or",
    "ok_or_else",
    "map_err",
    "first",
    "last",
    "get",
    "get_mut",
    "pop",
    "shift",
    "next",
    "next_back",
    "peek",
    "filter",
    "find",
    "rev",
    "skip",
    "drain",
    "slice",
    "at",
    "or_else",
    "or",
    "context",
    "with_context",
    "catch",
    "finally",
    "first_mut",
    "last_mut",
    "pop_front",
    "pop_back",
    "by_ref",
    "peekable",
];
/// Methods of everything that give the same.
const COPYING: &[&str] = &[
    "clone",
    "to_owned",
    "as_ref",
    "as_mut",
    "borrow",
    "borrow_mut",
    "into",
    "bind",
];
/// Functions of types that make one, where the type does not write them itself.
const MAKING: &[&str] = &["default", "new", "from"];

/// A type as it is written, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Written<'a> {
    text: &'a str,
    place: Place,
}

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) file: usize,
    /// The symbol.
    pub(super) from: Option<u32>,
    pub(super) line: u32,
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// It is of one of these types of the folder.
    Types(Vec<Node>),
    /// It is of a type that is not of the folder, written so.
    Foreign(Written<'a>),
    Unknown,
}

impl<'a> Index<'a> {
    /// The value of a chain of names that stands in a symbol of a file.
    pub(super) fn value(&self, place: Place, chain: &str, depth: u32) -> Value<'a> {
        if depth > DEPTH_MAX {
            return Value::Unknown;
        }
        if let Some((called, which)) = chain.split_once('@') {
            return self.handed(place, called, which, depth + 1);
        }
        let names: Vec<&str> = chain.split("::").flat_map(|part| part.split('.')).collect();
        let (mut value, mut at) = self.head(place, &names, depth);
        while at < names.len() {
            value = self.step(&value, names[at], depth);
            if matches!(value, Value::Unknown) {
                break;
            }
            at += 1;
        }
        value
    }

    /// The value of the first names of a chain, and how many they are.
    fn head(&self, place: Place, names: &[&str], depth: u32) -> (Value<'a>, usize) {
        let Place { file, from, .. } = place;
        let facts = &self.files[file].1;
        let first = names[0];
        if matches!(first, "self" | "this" | "Self") {
            return match (type_of(facts, from, false), names.get(1)) {
                (Some(own), _) => (self.named_type(file, from, own), 1),
                // `self::a::B` of Rust.
                (None, Some(_)) if first == "self" => self.by_path(file, from, names, depth),
                _ => (Value::Unknown, 1),
            };
        }
        if let Some(name) = first.strip_suffix("()") {
            let (found, confidence) = self.plain(file, from, name);
            return match confidence {
                60.. => (self.given(&found, depth), 1),
                _ => (Value::Unknown, 1),
            };
        }
        if let Some(value) = self.variable(place, first, depth) {
            return (value, 1);
        }
        self.by_path(file, from, names, depth)
    }

    /// A type that names lead to.
    fn by_path(
        &self,
        file: usize,
        from: Option<u32>,
        names: &[&str],
        depth: u32,
    ) -> (Value<'a>, usize) {
        let are_names = names
            .iter()
            .take_while(|name| !name.ends_with(['?', ']', ')']));
        let count = are_names.count();
        for length in 1..=count {
            let path = names[..length].join("::");
            let value = self.named_type(file, from, &path);
            if matches!(value, Value::Types(_)) {
                return (value, length);
            }
        }
        if let Some(value) = self.constant(file, from, names[0], depth) {
            return (value, 1);
        }
        (Value::Unknown, names.len())
    }

    /// The value of a constant, of this file or taken from another. One that holds functions has them as a type does.
    fn constant(
        &self,
        file: usize,
        from: Option<u32>,
        name: &str,
        depth: u32,
    ) -> Option<Value<'a>> {
        let (found, confidence) = self.plain(file, from, name);
        let [node] = found[..] else { return None };
        if confidence < 60 || self.kind(node) != SymbolKind::Constant {
            return None;
        }
        let (other, symbol) = self.at(node);
        let facts = &self.files[other].1;
        let typed = self.typed[other].get(self.name(node)).into_iter().flatten();
        let told = typed
            .map(|at| &facts.typed[*at])
            .filter(|it| it.from == symbol);
        let values = told.map(|typed| self.of_typed(other, typed, depth + 1));
        let known = values
            .into_iter()
            .find(|value| !matches!(value, Value::Unknown));
        Some(known.unwrap_or(Value::Types(vec![node])))
    }

    /// What is written of a variable in the functions around, or in the file.
    fn variable(&self, place: Place, name: &str, depth: u32) -> Option<Value<'a>> {
        let Place { file, from, line } = place;
        let facts = &self.files[file].1;
        let typed = self.typed[file].get(name)?;
        let mut scope = from;
        loop {
            let symbol = scope.map(|scope| &facts.symbols[scope as usize]);
            let is_seen = symbol.is_none_or(|symbol| {
                // Fields are not seen by their name alone, names of types that stand for others are.
                !symbol.kind.is_type()
                    || symbol.kind == SymbolKind::Extension
                    || self.sees_members()
            });
            if is_seen {
                let all = || {
                    typed
                        .iter()
                        .map(|at| &facts.typed[*at])
                        .filter(|it| !is_of_itself(it))
                };
                let there = || all().filter(|it| self.scope_of(file, it) == scope);
                // The last that stands before it; of functions within, one that stands behind may be meant.
                let before = there().take_while(|it| it.line <= line).last();
                if let Some(nearest) = before.or_else(|| there().next()) {
                    let told = there().filter(|it| it.line == nearest.line);
                    let values = told.map(|typed| self.of_typed(file, typed, depth + 1));
                    let known = values.into_iter().find(|it| !matches!(it, Value::Unknown));
                    return Some(known.unwrap_or(Value::Unknown));
                }
            }
            scope = symbol?.container;
        }
    }

    /// What a function hands to a function that it is given.
    fn handed(&self, place: Place, called: &str, which: &str, depth: u32) -> Value<'a> {
        let found = match called.rsplit_once(['.', ':']) {
            None => self.plain(place.file, place.from, called).0,
            Some((before, name)) => match self.value(place, before.trim_end_matches(':'), depth) {
                Value::Types(types) => self.members_of(&types, name),
                _ => Vec::new(),
            },
        };
        for node in found {
            let makers = match self.kind(node).is_type() {
                true => self.members_of(&[node], "constructor"),
                false => vec![node],
            };
            for function in makers {
                let (file, symbol) = self.at(function);
                let facts = &self.files[file].1;
                let name = format!("@{which}");
                let typed = self.typed[file].get(&*name).into_iter().flatten();
                let told = typed
                    .map(|at| &facts.typed[*at])
                    .find(|it| it.from == symbol);
                if let Some(typed) = told {
                    return self.of_typed(file, typed, depth);
                }
            }
        }
        Value::Unknown
    }

    /// The symbol in which a variable is seen. One that is a symbol of its own is seen around that.
    fn scope_of(&self, file: usize, typed: &Typed) -> Option<u32> {
        let from = &self.files[file].1.symbols[typed.from? as usize];
        match from.kind == SymbolKind::Constant && from.name == typed.name {
            true => from.container,
            false => typed.from,
        }
    }

    fn of_typed(&self, file: usize, typed: &'a Typed, depth: u32) -> Value<'a> {
        if typed.is_value {
            let place = Place {
                file,
                from: typed.from,
                line: typed.line,
            };
            return self.value(place, &typed.type_name, depth);
        }
        let text = &*typed.type_name;
        let place = Place {
            file,
            from: typed.from,
            line: typed.line,
        };
        self.written(Written { text, place }, depth)
    }

    /// What is meant by a type that is written.
    fn written(&self, written: Written<'a>, depth: u32) -> Value<'a> {
        if depth > DEPTH_MAX {
            return Value::Unknown;
        }
        let Some(bare) = bare(written.text) else {
            return Value::Unknown;
        };
        let written = Written {
            text: bare,
            ..written
        };
        let head = head_of(bare);
        let Place { file, from, .. } = written.place;
        if matches!(head, "Self" | "this") {
            let own = type_of(&self.files[file].1, from, false);
            return own.map_or(Value::Unknown, |own| self.named_type(file, from, own));
        }
        if head.is_empty() || CONTAINERS.contains(&head) {
            return Value::Foreign(written);
        }
        // A name that stands for a type: what it has to be.
        if let Some(value @ Value::Types(_)) = self.variable(written.place, head, depth + 1) {
            return value;
        }
        let Value::Types(types) = self.named_type(file, from, head) else {
            return match self.of_variant(file, head, depth) {
                Value::Unknown => Value::Foreign(written),
                value => value,
            };
        };
        // Another name of a type.
        if let [only] = types[..]
            && self.kind(only) == SymbolKind::Type
        {
            return match self.given(&types, depth + 1) {
                Value::Types(types) => Value::Types(types),
                // What is written out there has its members itself.
                Value::Foreign(of) if !of.text.starts_with('{') => Value::Foreign(of),
                _ => Value::Types(types),
            };
        }
        Value::Types(types)
    }

    /// What a variant of an enum of the file holds.
    fn of_variant(&self, file: usize, name: &str, depth: u32) -> Value<'a> {
        let facts = &self.files[file].1;
        let typed = self.typed[file].get(name).into_iter().flatten();
        let mut held = typed.map(|at| &facts.typed[*at]).filter(|it| {
            let from = it.from.map(|from| facts.symbols[from as usize].kind);
            from == Some(SymbolKind::Class)
        });
        match (self.family, held.next(), held.next()) {
            (Family::Rust, Some(only), None) => self.of_typed(file, only, depth + 1),
            _ => Value::Unknown,
        }
    }

    /// The types that a name or a path means in a file.
    fn named_type(&self, file: usize, from: Option<u32>, path: &str) -> Value<'a> {
        let path = path.replace('.', "::");
        let (found, confidence) = match path.rsplit_once("::") {
            None => self.plain(file, from, &path),
            Some((module, name)) => (self.behind(file, module, name), 90),
        };
        let mut types = found;
        types.retain(|node| self.kind(*node).is_type());
        match (types.is_empty(), confidence) {
            (false, 60..) => Value::Types(types),
            _ => Value::Unknown,
        }
    }

    /// What a module has by a name, the module's first name being what the file calls it.
    fn behind(&self, file: usize, module: &str, name: &str) -> Vec<Node> {
        let first = module.split("::").next().unwrap_or(module);
        let facts = &self.files[file].1;
        let import = self.imports[file].get(first).and_then(|it| it.first());
        if let Some(import) = import.map(|import| &facts.imports[*import]) {
            let whole = match import.name.as_deref() {
                None => import.module.to_string(),
                Some(taken) => format!("{}::{taken}", import.module),
            };
            let behind = &module[first.len()..];
            return self.of_module(file, &format!("{whole}{behind}"), name);
        }
        match self.family {
            Family::Rust => self.of_module(file, module, name),
            _ => Vec::new(),
        }
    }

    /// What is behind a name of a value.
    fn step(&self, value: &Value<'a>, name: &str, depth: u32) -> Value<'a> {
        let types = match value {
            Value::Types(types) => types,
            Value::Foreign(written) => {
                let method = name.strip_suffix("()").unwrap_or_default();
                let extended = self.extended(value, method);
                return match extended.is_empty() {
                    true => self.peel(*written, name, depth),
                    false => self.given(&extended, depth),
                };
            }
            Value::Unknown => return Value::Unknown,
        };
        let Some(method) = name.strip_suffix("()") else {
            return match name {
                // What is awaited may be no promise, and what is asked may be its own result.
                "?" => value.clone(),
                _ => match self.field(types, name, depth) {
                    Value::Unknown if self.is_variant(name) => value.clone(),
                    found => found,
                },
            };
        };
        let found = self.members_of(types, method);
        if !found.is_empty() {
            return self.given(&found, depth);
        }
        let is_variant = self.is_variant(method);
        let is_same = [COPYING, MAKING, PEELING]
            .iter()
            .any(|names| names.contains(&method));
        match is_variant || is_same {
            true => value.clone(),
            false => Value::Unknown,
        }
    }

    /// Whether a name behind a type is one of its variants, by how it is written.
    fn is_variant(&self, name: &str) -> bool {
        self.family == Family::Rust && name.starts_with(char::is_uppercase)
    }

    /// What is in a container.
    fn peel(&self, written: Written<'a>, name: &str, depth: u32) -> Value<'a> {
        let method = name.strip_suffix("()");
        if method.is_some_and(|method| KEEPING.contains(&method) || COPYING.contains(&method)) {
            return Value::Foreign(written);
        }
        if written.text.starts_with('(')
            && let Ok(at) = name.parse::<usize>()
        {
            let parts = apart(
                written.text.trim_start_matches('(').trim_end_matches(')'),
                ',',
            );
            return match parts.get(at) {
                Some(text) => self.written(Written { text, ..written }, depth + 1),
                None => Value::Unknown,
            };
        }
        let is_peeled =
            matches!(name, "?" | "[]") || method.is_some_and(|it| PEELING.contains(&it));
        match content(written.text).filter(|_| is_peeled) {
            Some(text) => self.written(Written { text, ..written }, depth + 1),
            None => Value::Unknown,
        }
    }

    fn field(&self, types: &[Node], name: &str, depth: u32) -> Value<'a> {
        for of in types {
            let (file, _) = self.at(*of);
            if let Some(typed) = self.fields_of(*of, name).next() {
                return self.of_typed(file, typed, depth + 1);
            }
        }
        // What it is made from may have it.
        for of in types {
            for base in self.bases_of(*of) {
                if let value @ (Value::Types(_) | Value::Foreign(_)) =
                    self.field(&[base], name, depth + 1)
                    && depth < DEPTH_MAX
                {
                    return value;
                }
            }
        }
        Value::Unknown
    }

    /// What is written of a type's fields of a name, those that stand in the type itself first.
    fn fields_of(&self, of: Node, name: &str) -> impl Iterator<Item = &'a Typed> {
        let (file, symbol) = self.at(of);
        let facts = &self.files[file].1;
        let typed = self.typed[file].get(name).map_or(&[][..], Vec::as_slice);
        let own = symbol.map(|symbol| &*facts.symbols[symbol as usize].name);
        let all = move || typed.iter().map(|at| &facts.typed[*at]);
        let of_type = all().filter(move |it| it.from == symbol);
        let of_maker = all().filter(move |it| {
            let from = it.from.map(|from| &facts.symbols[from as usize]);
            let makes = from.is_some_and(|from| &*from.name == "constructor");
            makes && type_of(facts, it.from, false) == own
        });
        of_type.chain(of_maker)
    }

    /// What calling one of these gives.
    fn given(&self, found: &[Node], depth: u32) -> Value<'a> {
        for node in found {
            let (file, symbol) = self.at(*node);
            let is_made = self.kind(*node).is_type() && self.kind(*node) != SymbolKind::Type;
            if is_made {
                return Value::Types(vec![*node]);
            }
            let facts = &self.files[file].1;
            let typed = self.typed[file].get("").into_iter().flatten();
            let given = typed
                .map(|at| &facts.typed[*at])
                .find(|it| it.from == symbol);
            if let Some(typed) = given {
                return self.of_typed(file, typed, depth + 1);
            }
        }
        Value::Unknown
    }

    /// What is written here for a type of elsewhere, or for one that a macro makes.
    pub(super) fn extended(&self, of: &Value<'a>, name: &str) -> Vec<Node> {
        let Value::Foreign(written) = of else {
            return Vec::new();
        };
        let head = head_of(written.text);
        let mut namesakes = self.named.get(head).into_iter().flatten();
        if namesakes.any(|node| self.kind(*node).is_type()) {
            return Vec::new();
        }
        let found = self.members.get(&(head, name)).cloned().unwrap_or_default();
        match found.len() {
            0..=super::NAMESAKES_MAX => found,
            _ => Vec::new(),
        }
    }

    /// What types have by a name, or else what they are made from.
    pub(super) fn members_of(&self, types: &[Node], name: &str) -> Vec<Node> {
        let mut seen: FxHashSet<Node> = types.iter().copied().collect();
        let mut open = types.to_vec();
        while !open.is_empty() && seen.len() < super::CANDIDATES_MAX {
            let found: Vec<Node> = open
                .iter()
                .flat_map(|of| self.own_members(*of, name))
                .collect();
            if !found.is_empty() {
                return found;
            }
            let bases = open.iter().flat_map(|of| self.bases_of(*of));
            open = bases.filter(|base| seen.insert(*base)).collect();
        }
        Vec::new()
    }

    /// What is written for a type by a name. Of types of the same name each has its own.
    fn own_members(&self, of: Node, name: &str) -> Vec<Node> {
        let (file, _) = self.at(of);
        let type_name = self.name(of);
        let Some(members) = self.members.get(&(type_name, name)) else {
            return Vec::new();
        };
        let in_file = |node: &&Node| self.at(**node).0 == file;
        let own: Vec<Node> = members.iter().filter(in_file).copied().collect();
        if !own.is_empty() {
            return self.written_out(own);
        }
        let is_own = |node: &&Node| self.means(self.at(**node).0, type_name, of);
        self.written_out(members.iter().filter(is_own).copied().collect())
    }

    /// Whether a file means a type when it writes its name.
    fn means(&self, file: usize, name: &'a str, of: Node) -> bool {
        let is_only = self.named.get(name).is_some_and(|named| {
            let types = named.iter().filter(|node| self.kind(**node).is_type());
            types.count() == 1
        });
        is_only || self.plain(file, None, name).0.contains(&of)
    }

    /// The types that a type is made from.
    pub(super) fn bases_of(&self, of: Node) -> Vec<Node> {
        let name = self.name(of);
        let mut found = Vec::new();
        for (file, symbol, base) in self.bases.get(name).into_iter().flatten() {
            if self.at(of).0 != *file && !self.means(*file, name, of) {
                continue;
            }
            if let Value::Types(types) = self.named_type(*file, Some(*symbol), base) {
                found.extend(types.into_iter().filter(|base| *base != of));
            }
        }
        found
    }

    /// Of several declarations of the same function, the last, which is the one with a body.
    pub(super) fn written_out(&self, mut found: Vec<Node>) -> Vec<Node> {
        if self.family == Family::Script && found.len() > 1 {
            let around = |node: &Node| {
                let (file, symbol) = self.at(*node);
                symbol.map(|symbol| (file, self.files[file].1.symbols[symbol as usize].container))
            };
            if found.iter().all(|node| around(node) == around(&found[0])) {
                found.drain(..found.len() - 1);
            }
        }
        found
    }
}

/// Whether a variable is set to something of the one that had its name before.
fn is_of_itself(typed: &Typed) -> bool {
    let first = typed.type_name.split(['.', ':']).next();
    typed.is_value && first == Some(&*typed.name)
}

/// A type without what is around it that says nothing of what belongs to it.
fn bare(text: &str) -> Option<&str> {
    let mut text = text.trim();
    loop {
        let before = text;
        text = text.trim_start_matches(['&', '*']).trim_start();
        // A tuple stays one.
        if let Some(inner) = text.strip_prefix('(').and_then(|it| it.strip_suffix(')')) {
            if apart(inner, ',').len() > 1 {
                return Some(text);
            }
            text = inner.trim();
        }
        for word in [
            "mut ",
            "dyn ",
            "impl ",
            "const ",
            "readonly ",
            "typeof ",
            "ref ",
        ] {
            text = text.strip_prefix(word).unwrap_or(text).trim_start();
        }
        if let Some(rest) = text.strip_prefix('\'') {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            text = rest[end..].trim_start_matches(' ');
        }
        if let Some(rest) = text.strip_prefix("for<") {
            text = rest.split_once('>')?.1.trim_start();
        }
        let mut others = apart(text, '|').into_iter().map(str::trim).filter(|part| {
            !part.is_empty() && !matches!(*part, "null" | "undefined" | "void" | "false")
        });
        text = others.next()?;
        if others.next().is_some() {
            return None;
        }
        text = apart(text, '+').first().copied().unwrap_or(text).trim();
        if !text.ends_with("[]") && TRANSPARENT.contains(&head_of(text)) {
            text = content(text)?;
        }
        if text == before {
            return (!text.is_empty()).then_some(text);
        }
    }
}

/// The name of a type without its arguments; nothing for lists and tuples.
fn head_of(text: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '.' | '$');
    let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    match text.ends_with("[]") {
        true => "",
        false => text[..end].trim_end_matches(':'),
    }
}

/// What a container has in it: of maps, what is found by their keys.
fn content(text: &str) -> Option<&str> {
    if let Some(of) = text.strip_suffix("[]") {
        return Some(of);
    }
    if let Some(of) = text.strip_prefix('[') {
        return apart(of.trim_end_matches(']'), ';').first().copied();
    }
    let open = text.find('<')?;
    let inner = text[open + 1..].trim_end_matches('>');
    let inner = match text.ends_with('>') {
        // As many were taken away as this type's own and those within it.
        true => &text[open + 1..text.len() - 1],
        false => inner,
    };
    let arguments = apart(inner, ',');
    let mut types = arguments
        .iter()
        .map(|it| it.trim())
        .filter(|it| !it.starts_with('\''));
    let found = match text[..open].contains("Map") {
        true => types.nth(1),
        false => types.next(),
    }?;
    Some(found.strip_prefix("Item = ").unwrap_or(found))
}

/// The parts between these that stand in no brackets.
fn apart(text: &str, between: char) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut last) = (Vec::new(), 0, 0_i32, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            // An arrow closes nothing.
            '>' if matches!(last, '-' | '=') => {}
            '>' | ')' | ']' | '}' => depth -= 1,
            _ if c == between && depth == 0 => {
                parts.push(&text[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
        last = c;
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_type_is_taken_away() {
        for (text, expected) in [
            ("&'a mut Tree<Item>", Some("Tree<Item>")),
            ("Box<dyn Visitor + 's>", Some("Visitor")),
            ("Arc<Mutex<A>>", Some("Mutex<A>")),
            ("Subscriber<T> | null", Some("Subscriber<T>")),
            ("A | B", None),
            ("Cow<'a, Path>", Some("Path")),
            (
                "impl Iterator<Item = &'a A>",
                Some("Iterator<Item = &'a A>"),
            ),
        ] {
            assert_eq!(bare(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_container_holds_is_its_argument() {
        for (text, expected) in [
            ("Option<Vec<A>>", Some("Vec<A>")),
            ("HashMap<K, Vec<V>>", Some("Vec<V>")),
            ("[Key]", Some("Key")),
            ("[u8; 4]", Some("u8")),
            ("A[]", Some("A")),
            ("Iterator<Item = &'a A>", Some("&'a A")),
            ("Result<A, Error>", Some("A")),
            ("A", None),
        ] {
            assert_eq!(content(text), expected, "{text}");
        }
    }
}
