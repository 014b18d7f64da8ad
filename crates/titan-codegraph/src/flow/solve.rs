//! What every variable of all files may hold, and what each call therefore calls.
//!
//! Bodies are read again and again until nothing grows: a body is read anew when a variable that it read has grown.
//! The order is that of the files, so that the same files give the same answer, whatever happened before.

mod kept;
mod known;

pub(crate) use kept::{Kept, Origin};

use super::classes::{Ancestor, Order, linear};
use super::values::{
    Key, Name, Names, Object, ObjectId, Owner, Place, ScopeId, Site, Value, Values,
};
use super::{
    Argument, Binding, Container, Expression, ExpressionId, Flow, Gathers, Scope, ScopeKind,
    Statement, builtins,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How often one body is read at most.
const READS_MAX: u16 = 48;
/// Modules that hand on all names of one another, one after the other.
const STARS_MAX: u32 = 8;

/// Which module a name stands for.
pub(crate) trait Modules {
    /// What `module` is, said in this file with so many dots before it.
    fn resolve(&self, file: usize, module: &str, dots: u32) -> Module;
    /// What a name within a package without a file of its own, or beside a module's file, is.
    fn within(&self, module: &Module, name: &str) -> Module;
}

/// What the name of a module stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    /// A file, by its number.
    File(usize),
    /// A folder.
    Folder(Box<str>),
    /// None of these files.
    External,
}

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Solved {
    pub(crate) calls: Vec<FlowCall>,
    /// Calls of which nothing is known but the name: file, symbol, name and line.
    pub(crate) unknown: Vec<(usize, Option<u32>, Box<str>, u32)>,
    /// Classes and what they are made from.
    pub(crate) bases: Vec<(Point, Point)>,
}

/// A file's module, or a symbol of it.
pub(crate) type Point = (usize, Option<u32>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Callee {
    Point(Point),
    /// With dots, as it would be imported.
    External(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlowCall {
    pub(crate) from: Point,
    pub(crate) to: Callee,
    pub(crate) line: u32,
    pub(crate) how: How,
}

/// How something comes to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// It stands there.
    Called,
    /// A class is made an instance of.
    Made,
    /// It is handed to code that is not there.
    Handed,
}

/// Follows the values of these files; `None` for those that have no flow. Gives `None` when nobody wants it any more.
pub(crate) fn solve(
    files: &[Option<&Flow>],
    modules: &dyn Modules,
    is_unwanted: &AtomicBool,
) -> Option<(Solved, Kept)> {
    let mut solver = Solver::new(files, modules);
    solver.enqueue_all(0..solver.kept.file_of.len() as ScopeId);
    if !solver.run(is_unwanted) {
        return None;
    }
    let solved = solver.finish(0..solver.kept.file_of.len() as ScopeId);
    Some((solved, solver.keep()))
}

#[derive(Clone, Copy)]
enum Target {
    Scope(ScopeId),
    External(Name),
}

struct Variable {
    values: Values,
    readers: Vec<ScopeId>,
}

/// What a call is given.
#[derive(Clone, Default)]
struct Given {
    positional: Vec<Values>,
    keywords: Vec<(Name, Values)>,
    /// Elements of `*x`.
    rest: Option<Values>,
    /// What `**x` may be.
    spread: Values,
    /// That of the statement where it is 0.
    line: u32,
    /// The call's expression.
    site: u32,
}

impl Given {
    fn all(&self) -> impl Iterator<Item = &Values> {
        let keywords = self.keywords.iter().map(|(_, values)| values);
        self.positional.iter().chain(keywords).chain(&self.rest)
    }
}

struct Solver<'a> {
    files: &'a [Option<&'a Flow>],
    modules: &'a dyn Modules,
    /// What is known of them, and kept.
    kept: Kept,
    /// Who has read which variable, as [`pair`] puts them.
    read: FxHashSet<u64>,
    queue: VecDeque<ScopeId>,
    is_queued: Vec<bool>,
    reads: Vec<u16>,
    current: ScopeId,
    /// The line of the statement.
    line: u32,
    calls: BTreeMap<(ScopeId, u32, u32, How), u32>,
    known_calls: FxHashSet<u32>,
    attribute_calls: BTreeMap<u32, (ScopeId, Name, u32)>,
    orders: FxHashMap<ScopeId, Rc<Order>>,
    /// Who has asked for the order of which class.
    order_read: FxHashSet<u64>,
    order_readers: FxHashMap<ScopeId, Vec<ScopeId>>,
    /// The classes that are made from a class, as far as their order was asked for.
    derived: FxHashMap<ScopeId, BTreeSet<ScopeId>>,
    stars: FxHashMap<(ScopeId, u32), Option<ScopeId>>,
    words: builtins::Words,
}

impl<'a> Solver<'a> {
    fn new(files: &'a [Option<&'a Flow>], modules: &'a dyn Modules) -> Self {
        let mut names = Names::default();
        let words = builtins::Words::new(&mut names);
        let (mut first_scope, mut expressions) = (Vec::new(), Vec::new());
        let (mut file_of, mut numbers) = (Vec::new(), Vec::new());
        let mut next = 0;
        for (file, flow) in files.iter().enumerate() {
            first_scope.push(file_of.len() as u32);
            let count = flow.map_or(0, |flow| flow.expressions.len()) as u32;
            expressions.push(next..next + count);
            next += count;
            let Some(flow) = flow else {
                numbers.push(Vec::new());
                continue;
            };
            file_of.extend(flow.scopes.iter().map(|_| file as u32));
            numbers.push(flow.names.iter().map(|name| names.number(name)).collect());
        }
        let scopes = file_of.len();
        let locals = locals(files, &numbers);
        Self {
            files,
            modules,
            kept: Kept {
                first_scope,
                expressions,
                file_of,
                names,
                numbers,
                locals,
                ..Kept::default()
            },
            read: FxHashSet::default(),
            queue: VecDeque::new(),
            is_queued: vec![false; scopes],
            reads: vec![0; scopes],
            current: 0,
            line: 0,
            calls: BTreeMap::new(),
            known_calls: FxHashSet::default(),
            attribute_calls: BTreeMap::new(),
            orders: FxHashMap::default(),
            order_read: FxHashSet::default(),
            order_readers: FxHashMap::default(),
            derived: FxHashMap::default(),
            stars: FxHashMap::default(),
            words,
        }
    }

    fn enqueue_all(&mut self, all: impl Iterator<Item = ScopeId> + Clone) {
        // Modules and classes first: what they define is what all others name.
        for is_function in [false, true] {
            for scope in all.clone() {
                let is_one = self.scope(scope).kind == ScopeKind::Function;
                if is_one == is_function {
                    self.enqueue(scope);
                }
            }
        }
    }

    /// Whether it was wanted until its end.
    fn run(&mut self, is_unwanted: &AtomicBool) -> bool {
        while let Some(scope) = self.queue.pop_front() {
            if is_unwanted.load(Ordering::Relaxed) {
                return false;
            }
            self.is_queued[scope as usize] = false;
            self.current = scope;
            self.reads[scope as usize] += 1;
            self.body(scope);
        }
        true
    }

    fn enqueue(&mut self, scope: ScopeId) {
        let at = scope as usize;
        if !self.is_queued[at] && self.reads[at] < READS_MAX {
            self.is_queued[at] = true;
            self.queue.push_back(scope);
        }
    }

    fn flow(&self, scope: ScopeId) -> &'a Flow {
        const NONE: &Flow = &Flow {
            names: Vec::new(),
            expressions: Vec::new(),
            scopes: Vec::new(),
        };
        self.files[self.kept.file_of[scope as usize] as usize].unwrap_or(NONE)
    }

    fn scope(&self, scope: ScopeId) -> &'a Scope {
        let file = self.kept.file_of[scope as usize] as usize;
        &self.flow(scope).scopes[(scope - self.kept.first_scope[file]) as usize]
    }

    fn module_of(&self, scope: ScopeId) -> ScopeId {
        self.kept.first_scope[self.kept.file_of[scope as usize] as usize]
    }

    fn parent(&self, scope: ScopeId) -> ScopeId {
        self.module_of(scope) + self.scope(scope).parent
    }

    fn number(&self, scope: ScopeId, name: super::NameId) -> Name {
        self.kept.numbers[self.kept.file_of[scope as usize] as usize][name as usize]
    }

    fn binds(&self, scope: ScopeId, name: Name) -> bool {
        self.kept.locals[scope as usize]
            .binary_search(&name)
            .is_ok()
    }

    fn variable(&mut self, place: Place) -> u32 {
        let next = self.kept.variables.len() as u32;
        let variable = *self.kept.places.entry(place).or_insert(next);
        if variable == next {
            self.kept.variables.push(Variable {
                values: Values::default(),
                readers: Vec::new(),
            });
        }
        variable
    }

    fn get(&mut self, place: Place) -> Values {
        let variable = self.variable(place);
        if self.read.insert(pair(variable, self.current)) {
            self.kept.variables[variable as usize]
                .readers
                .push(self.current);
        }
        self.kept.variables[variable as usize].values.clone()
    }

    fn put(&mut self, place: Place, values: &Values) {
        if values.is_empty() {
            return;
        }
        let at = self.variable(place);
        let variable = &mut self.kept.variables[at as usize];
        if !variable.values.join(values) {
            return;
        }
        let readers = std::mem::take(&mut variable.readers);
        for reader in &readers {
            self.enqueue(*reader);
        }
        self.kept.variables[at as usize].readers = readers;
        if let Place::Base(class, _) = place {
            self.reorder(class);
        }
    }

    /// The order of a class, and of all that are made from it, is another.
    fn reorder(&mut self, class: ScopeId) {
        let mut seen = BTreeSet::from([class]);
        let mut stack = vec![class];
        while let Some(class) = stack.pop() {
            self.orders.remove(&class);
            let readers = self.order_readers.remove(&class).unwrap_or_default();
            for reader in &readers {
                self.enqueue(*reader);
            }
            self.order_readers.insert(class, readers);
            for derived in self.derived.get(&class).into_iter().flatten() {
                if seen.insert(*derived) {
                    stack.push(*derived);
                }
            }
        }
    }

    fn body(&mut self, id: ScopeId) {
        let scope = self.scope(id);
        if scope.kind == ScopeKind::Function {
            self.receiver(id, scope);
        }
        for (statement, line) in &scope.statements {
            self.line = *line;
            self.statement(id, statement);
        }
    }

    /// A method that nobody is seen to call is called on its own class all the same.
    fn receiver(&mut self, id: ScopeId, scope: &Scope) {
        let class = self.parent(id);
        if self.scope(class).kind != ScopeKind::Class || scope.parameters.is_empty() {
            return;
        }
        let value = match scope.binding {
            Binding::Static => return,
            Binding::Class => Value::Class(class),
            Binding::Instance | Binding::Property => Value::Instance(class),
        };
        let name = self.number(id, scope.parameters[0].name);
        self.put(Place::Local(id, name), &Values::one(value));
    }

    fn statement(&mut self, id: ScopeId, statement: &'a Statement) {
        match statement {
            Statement::Assign(target, value) => {
                let values = self.value(id, *value);
                self.assign(id, *target, &values);
            }
            Statement::Evaluate(value) => {
                self.value(id, *value);
            }
            Statement::Return(value) => {
                let values = self.value(id, *value);
                // What a generator returns is the value of `yield from`, which is followed by nothing here.
                if !self.scope(id).is_generator {
                    self.put(Place::Result(id), &values);
                }
            }
            Statement::Raise(value) => {
                let values = self.value(id, *value);
                for value in values.iter() {
                    if let Value::Class(_) = value {
                        self.call(value, &Given::default());
                    }
                }
            }
            Statement::For(target, over) => {
                let over_values = self.value(id, *over);
                let elements = self.elements(&over_values);
                self.assign(id, *target, &elements);
            }
            Statement::With(target, entered) => {
                let entered = self.value(id, *entered);
                let mut values = self.call_method(&entered, "__enter__", &Given::default());
                self.call_method(&entered, "__exit__", &Given::default());
                if values.is_empty() {
                    values = entered;
                }
                if let Some(target) = target {
                    self.assign(id, *target, &values);
                }
            }
            Statement::Define(name, inner) => self.define(id, *name, self.module_of(id) + inner),
            Statement::ImportModule {
                module,
                bound,
                is_whole,
            } => {
                let first = module.split('.').next().unwrap_or(module);
                let wanted: &str = if *is_whole { module } else { first };
                let file = self.kept.file_of[id as usize] as usize;
                let resolved = self.modules.resolve(file, wanted, 0);
                let value = self.module_value(&resolved, wanted);
                let name = self.number(id, *bound);
                self.put(Place::Local(self.home(id, name), name), &Values::one(value));
            }
            Statement::ImportName {
                module,
                dots,
                name,
                bound,
            } => {
                let file = self.kept.file_of[id as usize] as usize;
                let resolved = self.modules.resolve(file, module, *dots);
                let name = self.number(id, *name);
                let values = self.imported(id, &resolved, module, name);
                let bound = self.number(id, *bound);
                self.put(Place::Local(self.home(id, bound), bound), &values);
            }
        }
    }

    fn module_value(&mut self, module: &Module, written: &str) -> Value {
        match module {
            Module::File(file) => Value::Module(self.kept.first_scope[*file]),
            Module::Folder(folder) => Value::Package(self.kept.names.number(folder)),
            Module::External => Value::External(self.kept.names.number(written)),
        }
    }

    fn imported(&mut self, id: ScopeId, module: &Module, written: &str, name: Name) -> Values {
        let mut values = Values::default();
        if let Module::File(file) = module {
            let scope = self.kept.first_scope[*file];
            if scope != self.module_of(id)
                && let Some(home) = self.exported(scope, name, 0)
            {
                return self.get(Place::Local(home, name));
            }
        }
        let wanted = self.kept.names.get(name).to_owned();
        match self.modules.within(module, &wanted) {
            Module::External if *module == Module::External => {
                let dotted = format!("{written}.{wanted}");
                values.add(Value::External(self.kept.names.number(&dotted)));
            }
            Module::External => {}
            found => {
                values.add(self.module_value(&found, &wanted));
            }
        }
        values
    }

    /// The module that binds a name which this one has, by itself or through `import *`.
    fn exported(&mut self, module: ScopeId, name: Name, depth: u32) -> Option<ScopeId> {
        if self.binds(module, name) {
            return Some(module);
        }
        if depth >= STARS_MAX {
            return None;
        }
        let stars = &self.scope(module).stars;
        for (at, (from, dots)) in stars.iter().enumerate() {
            let star = match self.stars.get(&(module, at as u32)) {
                Some(known) => *known,
                None => {
                    let file = self.kept.file_of[module as usize] as usize;
                    let found = match self.modules.resolve(file, from, *dots) {
                        Module::File(file) => Some(self.kept.first_scope[file]),
                        _ => None,
                    };
                    self.stars.insert((module, at as u32), found);
                    found
                }
            };
            if let Some(star) = star
                && star != module
                && let Some(home) = self.exported(star, name, depth + 1)
            {
                return Some(home);
            }
        }
        None
    }

    /// The scope whose variable is meant where a name is assigned to in this one.
    fn home(&self, id: ScopeId, name: Name) -> ScopeId {
        let mut scope = id;
        loop {
            let Scope { kind, parent, .. } = self.scope(scope);
            if *kind == ScopeKind::Module || self.binds(scope, name) {
                return scope;
            }
            if self.is_global(scope, name) {
                return self.module_of(id);
            }
            scope = self.module_of(id) + parent;
        }
    }

    fn is_global(&self, scope: ScopeId, name: Name) -> bool {
        let mut globals = self.scope(scope).globals.iter();
        globals.any(|global| self.number(scope, *global) == name)
    }

    fn define(&mut self, id: ScopeId, name: super::NameId, inner: ScopeId) {
        let scope = self.scope(inner);
        for (at, base) in scope.bases.iter().enumerate() {
            let values = self.value(id, *base);
            self.put(Place::Base(inner, at as u32), &values);
        }
        self.defaults(id, inner, scope);
        let mut values = Values::one(match scope.kind {
            ScopeKind::Class => Value::Class(inner),
            _ => Value::Function(inner),
        });
        for decorator in scope.decorators.iter().rev() {
            let decorators = self.value(id, *decorator);
            let given = Given {
                positional: vec![values.clone()],
                site: self.expression_number(id, *decorator),
                ..Given::default()
            };
            let mut decorated = Values::default();
            let mut is_followed = !decorators.is_empty();
            for decorator in decorators.iter() {
                is_followed &= self.gives_back(decorator);
                decorated.join(&self.call(decorator, &given));
            }
            if !is_followed {
                decorated.join(&values);
            }
            values = decorated;
        }
        let name = self.number(id, name);
        self.put(Place::Local(self.home(id, name), name), &values);
    }

    /// Whether it is known what calling something gives back.
    fn gives_back(&self, callee: Value) -> bool {
        match callee {
            Value::Function(scope) | Value::Bound(scope, _) => {
                let scope = self.scope(scope);
                let mut statements = scope.statements.iter().map(|(statement, _)| statement);
                !scope.passes.is_empty()
                    || statements.any(|statement| matches!(statement, Statement::Return(_)))
            }
            Value::Class(_) | Value::Instance(_) | Value::Identity => true,
            _ => false,
        }
    }

    fn defaults(&mut self, id: ScopeId, inner: ScopeId, scope: &Scope) {
        for parameter in &scope.parameters {
            let name = self.number(inner, parameter.name);
            if let Some(default) = parameter.default {
                let values = self.value(id, default);
                self.put(Place::Local(inner, name), &values);
            }
            if let Some(annotation) = parameter.annotation
                && parameter.gathers == Gathers::One
            {
                let values = self.instances(id, annotation);
                self.put(Place::Local(inner, name), &values);
            }
            let object = match parameter.gathers {
                Gathers::One => continue,
                Gathers::Rest => self
                    .kept
                    .objects
                    .at(Site::Rest(inner), Container::Tuple, None),
                Gathers::Keywords => {
                    let site = Site::Keywords(inner);
                    self.kept.objects.at(site, Container::Dictionary, None)
                }
            };
            self.put(
                Place::Local(inner, name),
                &Values::one(Value::Object(object)),
            );
        }
        if let Some(returns) = scope.returns {
            let values = self.instances(id, returns);
            self.put(Place::Result(inner), &values);
        }
    }

    /// Instances of the classes that an annotation names.
    fn instances(&mut self, id: ScopeId, annotation: ExpressionId) -> Values {
        let values = self.value(id, annotation);
        let instance = |value| match value {
            Value::Class(class) => Some(Value::Instance(class)),
            _ => None,
        };
        values.iter().filter_map(instance).collect()
    }

    fn expression_number(&self, id: ScopeId, expression: ExpressionId) -> u32 {
        self.kept.expressions[self.kept.file_of[id as usize] as usize].start + expression
    }

    fn value(&mut self, id: ScopeId, expression: ExpressionId) -> Values {
        let site = self.expression_number(id, expression);
        match &self.flow(id).expressions[expression as usize] {
            Expression::Name(name) => {
                let name = self.number(id, *name);
                self.named(id, name)
            }
            Expression::Attribute(object, name) => {
                let objects = self.value(id, *object);
                let name = self.number(id, *name);
                self.attribute(&objects, name)
            }
            Expression::Call {
                callee,
                arguments,
                line,
            } => {
                let callees = self.value(id, *callee);
                let given = self.given(id, arguments, *line, site);
                if let Expression::Attribute(_, name) = self.flow(id).expressions[*callee as usize]
                {
                    let name = self.number(id, name);
                    self.attribute_calls.insert(site, (id, name, *line));
                }
                let mut results = Values::default();
                for callee in callees.iter() {
                    self.known_calls.insert(site);
                    results.join(&self.call(callee, &given));
                }
                results
            }
            Expression::Subscript(object, key) => {
                let objects = self.value(id, *object);
                let keys = self.value(id, *key);
                self.items(&objects, &keys)
            }
            Expression::Slice(object, from, to) => {
                let objects = self.value(id, *object);
                self.slice(&objects, site, *from, *to)
            }
            Expression::Sequence(container, parts) => {
                let has_stars = parts.iter().any(|part| {
                    matches!(
                        self.flow(id).expressions[*part as usize],
                        Expression::Star(_)
                    )
                });
                let length = (!has_stars).then_some(parts.len() as u32);
                let object = self
                    .kept
                    .objects
                    .at(Site::Expression(site), *container, length);
                for (at, part) in parts.iter().enumerate() {
                    let key = match has_stars || *container == Container::Set {
                        true => Value::SomeNumber,
                        false => Value::Integer(at as i32),
                    };
                    let values = self.value(id, *part);
                    self.set_field(object, key, &values);
                }
                Values::one(Value::Object(object))
            }
            Expression::Dictionary(pairs) => {
                let site = Site::Expression(site);
                let object = self.kept.objects.at(site, Container::Dictionary, None);
                for (key, value) in pairs {
                    let values = self.value(id, *value);
                    match key {
                        Some(key) => {
                            let keys = self.value(id, *key);
                            self.set_fields(object, &keys, &values);
                        }
                        None => self.merge(object, &values),
                    }
                }
                Values::one(Value::Object(object))
            }
            Expression::Comprehension(it) => {
                let super::Comprehension {
                    container,
                    loops,
                    conditions,
                    key,
                    element,
                } = &**it;
                for (target, over) in loops {
                    let over = self.value(id, *over);
                    let elements = self.elements(&over);
                    self.assign(id, *target, &elements);
                }
                for condition in conditions {
                    self.value(id, *condition);
                }
                let object = self
                    .kept
                    .objects
                    .at(Site::Expression(site), *container, None);
                let keys = key.map(|key| self.value(id, key));
                let values = self.value(id, *element);
                self.set_fields(object, &keys.unwrap_or_default(), &values);
                Values::one(Value::Object(object))
            }
            Expression::Lambda(inner) => {
                let inner = self.module_of(id) + inner;
                self.defaults(id, inner, self.scope(inner));
                Values::one(Value::Function(inner))
            }
            Expression::Text(text) => Values::one(Value::Text(self.number(id, *text))),
            Expression::Integer(number) => Values::one(Value::Integer(*number)),
            Expression::SomeText => Values::one(Value::SomeText),
            Expression::SomeNumber => Values::one(Value::SomeNumber),
            Expression::Either(parts) => {
                let mut values = Values::default();
                for part in parts {
                    values.join(&self.value(id, *part));
                }
                values
            }
            Expression::Computed(parts) => {
                for part in parts {
                    self.value(id, *part);
                }
                Values::default()
            }
            Expression::Star(inner) => {
                let values = self.value(id, *inner);
                self.elements(&values)
            }
            Expression::Yield(value) => {
                if let Some(value) = value {
                    let values = self.value(id, *value);
                    self.put(Place::Result(id), &values);
                }
                Values::default()
            }
            Expression::YieldFrom(value) => {
                let values = self.value(id, *value);
                let elements = self.elements(&values);
                self.put(Place::Result(id), &elements);
                Values::default()
            }
            Expression::Named(name, value) => {
                let values = self.value(id, *value);
                let name = self.number(id, *name);
                self.put(Place::Local(self.home(id, name), name), &values);
                values
            }
            Expression::Nothing => Values::default(),
        }
    }

    /// What a name stands for where it is written.
    fn named(&mut self, id: ScopeId, name: Name) -> Values {
        let mut scope = id;
        while self.scope(scope).kind != ScopeKind::Module && !self.is_global(scope, name) {
            // Names of a class are seen in its own body alone.
            let is_seen = scope == id || self.scope(scope).kind != ScopeKind::Class;
            if is_seen && self.binds(scope, name) {
                return self.get(Place::Local(scope, name));
            }
            scope = self.parent(scope);
        }
        let module = self.module_of(id);
        match self.exported(module, name, 0) {
            Some(home) => self.get(Place::Local(home, name)),
            None if builtins::NAMES.contains(&self.kept.names.get(name)) => {
                Values::one(Value::Builtin(name))
            }
            None => Values::default(),
        }
    }

    fn attribute(&mut self, objects: &Values, name: Name) -> Values {
        let mut found = Values::default();
        for object in objects.iter() {
            let values = self.attribute_of(object, name);
            found.join(&values);
        }
        found
    }

    fn attribute_of(&mut self, object: Value, name: Name) -> Values {
        match object {
            Value::Module(module) => {
                if let Some(home) = self.exported(module, name, 0) {
                    return self.get(Place::Local(home, name));
                }
                let set = self.get(Place::Local(module, name));
                if !set.is_empty() {
                    return set;
                }
                let file = self.kept.file_of[module as usize] as usize;
                self.submodule(&Module::File(file), name)
            }
            Value::Package(folder) => {
                let folder = Module::Folder(self.kept.names.get(folder).into());
                self.submodule(&folder, name)
            }
            Value::External(of) => Values::one(Value::External(self.dotted(of, name))),
            Value::Instance(class) => {
                let mut values = self.get(Place::Attribute(object, name));
                values.join(&self.of_class(class, None, Owner::Instance(class), name));
                values
            }
            Value::Class(class) => self.of_class(class, None, Owner::Class(class), name),
            Value::Super(class, owner) => self.of_class(owner.class(), Some(class), owner, name),
            Value::Function(_) | Value::Bound(..) => self.get(Place::Attribute(object, name)),
            Value::Object(object) => Values::one(Value::ObjectMethod(object, name)),
            Value::Text(_) | Value::SomeText => Values::one(Value::TextMethod(name)),
            _ => Values::default(),
        }
    }

    fn submodule(&mut self, module: &Module, name: Name) -> Values {
        let wanted = self.kept.names.get(name).to_owned();
        match self.modules.within(module, &wanted) {
            Module::External => Values::default(),
            found => Values::one(self.module_value(&found, &wanted)),
        }
    }

    fn dotted(&mut self, of: Name, name: Name) -> Name {
        let dotted = format!("{}.{}", self.kept.names.get(of), self.kept.names.get(name));
        self.kept.names.number(&dotted)
    }

    fn order(&mut self, class: ScopeId) -> Rc<Order> {
        // Who has asked once is told when it is another.
        if self.order_read.insert(pair(class, self.current)) {
            let readers = self.order_readers.entry(class).or_default();
            readers.push(self.current);
        }
        if let Some(known) = self.orders.get(&class) {
            return Rc::clone(known);
        }
        let mut bases = FxHashMap::default();
        let mut stack = vec![class];
        while let Some(class) = stack.pop() {
            let is_known = self.orders.get(&class).is_some_and(|it| !it.is_circular);
            if is_known || bases.contains_key(&class) {
                continue;
            }
            let mut own = Vec::new();
            for at in 0..self.scope(class).bases.len() {
                let base = self.variable(Place::Base(class, at as u32));
                for value in self.kept.variables[base as usize].values.iter() {
                    match value {
                        Value::Class(base) if base != class => {
                            own.push(Ancestor::Class(base));
                            self.derived.entry(base).or_default().insert(class);
                            stack.push(base);
                        }
                        Value::External(name) => own.push(Ancestor::External(name)),
                        _ => {}
                    }
                }
            }
            bases.insert(class, own);
        }
        linear(class, &bases, &mut self.orders)
    }

    /// What a class or the next of its ancestors has by this name, as its owner sees it.
    fn of_class(
        &mut self,
        class: ScopeId,
        after: Option<ScopeId>,
        owner: Owner,
        name: Name,
    ) -> Values {
        let order = self.order(class);
        let mut is_reached = after.is_none();
        for ancestor in &order.ancestors {
            if !is_reached {
                is_reached = after.map(Ancestor::Class) == Some(*ancestor);
                continue;
            }
            match *ancestor {
                Ancestor::Class(ancestor) => {
                    let values = self.get(Place::Local(ancestor, name));
                    if self.binds(ancestor, name) || !values.is_empty() {
                        return self.bound(&values, owner);
                    }
                }
                Ancestor::External(base) => {
                    return Values::one(Value::External(self.dotted(base, name)));
                }
            }
        }
        Values::default()
    }

    /// Functions of a class as they are had from one of its instances, or from itself.
    fn bound(&mut self, values: &Values, owner: Owner) -> Values {
        let mut found = Values::default();
        for value in values.iter() {
            let Value::Function(function) = value else {
                found.add(value);
                continue;
            };
            let is_method = self.scope(self.parent(function)).kind == ScopeKind::Class;
            match (self.scope(function).binding, owner) {
                (Binding::Class, _) => {
                    found.add(Value::Bound(function, Owner::Class(owner.class())));
                }
                (Binding::Property, Owner::Instance(_)) => {
                    let given = Given::default();
                    found.join(&self.call(Value::Bound(function, owner), &given));
                }
                (Binding::Instance, Owner::Instance(_)) => {
                    found.add(Value::Bound(function, owner));
                }
                (Binding::Static, Owner::Instance(_)) if !is_method => {
                    // A function without a name that a class's body holds.
                    found.add(Value::Bound(function, owner));
                }
                _ => {
                    found.add(value);
                }
            }
        }
        found
    }

    fn given(&mut self, id: ScopeId, arguments: &[Argument], line: u32, site: u32) -> Given {
        let mut given = Given {
            line,
            site,
            ..Given::default()
        };
        for argument in arguments {
            match *argument {
                Argument::Positional(value) => given.positional.push(self.value(id, value)),
                Argument::Keyword(name, value) => {
                    let values = self.value(id, value);
                    given.keywords.push((self.number(id, name), values));
                }
                Argument::Rest(value) => {
                    let values = self.value(id, value);
                    let elements = self.elements(&values);
                    given.rest.get_or_insert_default().join(&elements);
                }
                Argument::Keywords(value) => {
                    let values = self.value(id, value);
                    given.spread.join(&values);
                }
            }
        }
        given
    }

    /// Calls a method by its name, if there is one.
    fn call_method(&mut self, objects: &Values, name: &str, given: &Given) -> Values {
        let name = self.kept.names.number(name);
        let mut results = Values::default();
        for object in objects.iter() {
            if let Value::Instance(_) = object {
                let methods = self.attribute_of(object, name);
                for method in methods.iter() {
                    if let Value::Function(_) | Value::Bound(..) = method {
                        results.join(&self.call(method, given));
                    }
                }
            }
        }
        results
    }

    fn call(&mut self, callee: Value, given: &Given) -> Values {
        match callee {
            Value::Function(function) => self.enter(function, None, given),
            Value::Bound(function, owner) => self.enter(function, Some(owner.value()), given),
            Value::Class(class) => {
                self.edge(Target::Scope(class), given.line, How::Made);
                let instance = Value::Instance(class);
                for name in [self.words.init, self.words.post_init] {
                    let methods = self.of_class(class, None, Owner::Instance(class), name);
                    for method in methods.iter() {
                        let is_outside = matches!(method, Value::External(_));
                        if matches!(method, Value::Bound(..) | Value::Function(_))
                            || (is_outside && name == self.words.init)
                        {
                            self.call(method, given);
                        }
                    }
                }
                Values::one(instance)
            }
            Value::Instance(class) => {
                let owner = Owner::Instance(class);
                let methods = self.of_class(class, None, owner, self.words.call);
                let mut results = Values::default();
                for method in methods.iter() {
                    results.join(&self.call(method, given));
                }
                results
            }
            Value::External(name) => {
                self.edge(Target::External(name), given.line, How::Called);
                self.external(name, given)
            }
            Value::Builtin(name) => {
                let dotted = format!("builtins.{}", self.kept.names.get(name));
                let target = self.kept.names.number(&dotted);
                self.edge(Target::External(target), given.line, How::Called);
                self.builtin(name, given)
            }
            Value::ObjectMethod(object, name) => {
                let container = self.kept.objects.get(object).container;
                self.type_edge(builtins::type_name(container), name, given.line);
                self.object_method(object, name, given)
            }
            Value::TextMethod(name) => {
                self.type_edge("str", name, given.line);
                Values::one(Value::SomeText)
            }
            Value::Identity => given.positional.first().cloned().unwrap_or_default(),
            _ => Values::default(),
        }
    }

    fn type_edge(&mut self, type_name: &str, name: Name, line: u32) {
        let dotted = format!("builtins.{type_name}.{}", self.kept.names.get(name));
        let target = self.kept.names.number(&dotted);
        self.edge(Target::External(target), line, How::Called);
    }

    fn edge(&mut self, to: Target, line: u32, how: How) {
        let (kind, number) = match to {
            Target::Scope(scope) => (0, scope),
            Target::External(name) => (1, name),
        };
        let line = if line == 0 { self.line } else { line };
        let known = self.calls.entry((self.current, kind, number, how));
        let first = known.or_insert(line);
        *first = (*first).min(line);
    }

    /// Hands the arguments to a function's parameters; gives what it gives back.
    fn enter(&mut self, function: ScopeId, receiver: Option<Value>, given: &Given) -> Values {
        self.edge(Target::Scope(function), given.line, How::Called);
        let scope = self.scope(function);
        let mut own: Vec<Option<Values>> = vec![None; scope.parameters.len()];
        let mut at = 0;
        let receiver = receiver.map(Values::one);
        for values in receiver.iter().chain(&given.positional) {
            self.hand(function, at, values, &mut own);
            at += 1;
        }
        if let Some(rest) = &given.rest {
            for more in at..scope.parameters.len().max(at + 1) {
                self.hand(function, more, rest, &mut own);
            }
        }
        for (name, values) in &given.keywords {
            self.hand_named(function, *name, values, &mut own);
        }
        for value in given.spread.iter() {
            let Value::Object(object) = value else {
                continue;
            };
            let keys = self.get(Place::Keys(object));
            for key in keys.iter() {
                if let Value::Text(name) = key {
                    let values = self.field(object, key);
                    self.hand_named(function, name, &values, &mut own);
                }
            }
        }
        let mut results = match scope.is_generator {
            true => {
                let site = Site::Generator(function);
                let object = self.kept.objects.at(site, Container::Generator, None);
                let yielded = self.get(Place::Result(function));
                self.put(Place::Field(object, Key::Any), &yielded);
                Values::one(Value::Object(object))
            }
            false => self.get(Place::Result(function)),
        };
        for passed in &scope.passes {
            match &own[*passed as usize] {
                Some(values) => results.join(values),
                None => {
                    let name = self.number(function, scope.parameters[*passed as usize].name);
                    let values = self.get(Place::Local(function, name));
                    results.join(&values)
                }
            };
        }
        results
    }

    /// The argument at this position.
    fn hand(&mut self, function: ScopeId, at: usize, values: &Values, own: &mut [Option<Values>]) {
        let parameters = &self.scope(function).parameters;
        let plain = parameters
            .iter()
            .take_while(|parameter| parameter.gathers == Gathers::One)
            .count();
        if at < plain {
            let name = self.number(function, parameters[at].name);
            self.put(Place::Local(function, name), values);
            own[at].get_or_insert_default().join(values);
            return;
        }
        let is_rest = |parameter: &&super::Parameter| parameter.gathers == Gathers::Rest;
        if parameters.get(plain).as_ref().is_some_and(is_rest) {
            let object = self
                .kept
                .objects
                .at(Site::Rest(function), Container::Tuple, None);
            self.set_field(object, Value::Integer((at - plain) as i32), values);
        }
    }

    fn hand_named(
        &mut self,
        function: ScopeId,
        name: Name,
        values: &Values,
        own: &mut [Option<Values>],
    ) {
        let parameters = &self.scope(function).parameters;
        for (at, parameter) in parameters.iter().enumerate() {
            if parameter.gathers == Gathers::One && self.number(function, parameter.name) == name {
                self.put(Place::Local(function, name), values);
                own[at].get_or_insert_default().join(values);
                return;
            }
        }
        if parameters.iter().any(|it| it.gathers == Gathers::Keywords) {
            let site = Site::Keywords(function);
            let object = self.kept.objects.at(site, Container::Dictionary, None);
            self.set_field(object, Value::Text(name), values);
        }
    }

    fn assign(&mut self, id: ScopeId, target: ExpressionId, values: &Values) {
        match &self.flow(id).expressions[target as usize] {
            Expression::Name(name) => {
                let name = self.number(id, *name);
                self.put(Place::Local(self.home(id, name), name), values);
            }
            Expression::Attribute(object, name) => {
                let objects = self.value(id, *object);
                let name = self.number(id, *name);
                for object in objects.iter() {
                    match object {
                        Value::Class(scope) | Value::Module(scope) => {
                            self.put(Place::Local(scope, name), values);
                        }
                        Value::Instance(_) | Value::Function(_) => {
                            self.put(Place::Attribute(object, name), values);
                        }
                        _ => {}
                    }
                }
            }
            Expression::Subscript(object, key) => {
                let objects = self.value(id, *object);
                let keys = self.value(id, *key);
                for object in objects.iter() {
                    if let Value::Object(object) = object {
                        self.set_fields(object, &keys, values);
                    }
                }
                let given = Given {
                    positional: vec![keys, values.clone()],
                    ..Given::default()
                };
                self.call_method(&objects, "__setitem__", &given);
            }
            Expression::Sequence(_, parts) => self.unpack(id, parts, values),
            Expression::Star(inner) => self.assign(id, *inner, values),
            _ => {}
        }
    }

    /// Each target takes what stands at its place.
    fn unpack(&mut self, id: ScopeId, targets: &[ExpressionId], values: &Values) {
        let is_star = |target: &ExpressionId| {
            matches!(
                self.flow(id).expressions[*target as usize],
                Expression::Star(_)
            )
        };
        let star = targets.iter().position(is_star);
        for (at, target) in targets.iter().enumerate() {
            let mut found = Values::default();
            for value in values.iter() {
                let Value::Object(object) = value else {
                    found.join(&self.elements(&Values::one(value)));
                    continue;
                };
                let Object { length, .. } = self.kept.objects.get(object);
                let behind = targets.len() - 1 - at;
                match (star, length) {
                    (Some(star), Some(length)) if at == star => {
                        let site = Site::Expression(self.expression_number(id, *target));
                        let to = (length as usize).saturating_sub(behind);
                        let taken = self.kept.objects.at(site, Container::List, None);
                        for from in at..to {
                            let values = self.field(object, Value::Integer(from as i32));
                            self.set_field(taken, Value::Integer((from - at) as i32), &values);
                        }
                        found.add(Value::Object(taken));
                    }
                    (Some(star), None) if at == star => {
                        let site = Site::Expression(self.expression_number(id, *target));
                        let taken = self.kept.objects.at(site, Container::List, None);
                        let all = self.all_fields(object);
                        self.set_field(taken, Value::SomeNumber, &all);
                        found.add(Value::Object(taken));
                    }
                    (Some(star), Some(length)) if at > star => {
                        let from = (length as usize).saturating_sub(behind + 1);
                        found.join(&self.field(object, Value::Integer(from as i32)));
                    }
                    (Some(star), None) if at > star => {
                        found.join(&self.all_fields(object));
                    }
                    _ => {
                        found.join(&self.field(object, Value::Integer(at as i32)));
                    }
                }
            }
            self.assign(id, *target, &found);
        }
    }

    fn set_fields(&mut self, object: ObjectId, keys: &Values, values: &Values) {
        if keys.is_empty() {
            self.set_field(object, Value::SomeText, values);
        }
        for key in keys.iter() {
            self.set_field(object, key, values);
        }
    }

    fn set_field(&mut self, object: ObjectId, key: Value, values: &Values) {
        let place = Key::of(key);
        if place != Key::Any {
            self.put(Place::Keys(object), &Values::one(key));
        }
        self.put(Place::Field(object, place), values);
    }

    fn field(&mut self, object: ObjectId, key: Value) -> Values {
        let length = self.kept.objects.get(object).length;
        let key = match (key, length) {
            (Value::Integer(at), Some(length)) if at < 0 => Value::Integer(at + length as i32),
            (Value::Integer(at), None) if at < 0 => Value::SomeNumber,
            _ => key,
        };
        match Key::of(key) {
            Key::Any => self.all_fields(object),
            key => {
                let mut values = self.get(Place::Field(object, key));
                values.join(&self.get(Place::Field(object, Key::Any)));
                values
            }
        }
    }

    fn all_fields(&mut self, object: ObjectId) -> Values {
        let mut values = self.get(Place::Field(object, Key::Any));
        let keys = self.get(Place::Keys(object));
        for key in keys.iter() {
            values.join(&self.get(Place::Field(object, Key::of(key))));
        }
        values
    }

    /// Everything that other objects hold is in this one too.
    fn merge(&mut self, object: ObjectId, from: &Values) {
        for value in from.iter() {
            let Value::Object(other) = value else {
                continue;
            };
            let keys = self.get(Place::Keys(other));
            for key in keys.iter() {
                let values = self.get(Place::Field(other, Key::of(key)));
                self.set_field(object, key, &values);
            }
            let values = self.get(Place::Field(other, Key::Any));
            self.put(Place::Field(object, Key::Any), &values);
        }
    }

    fn items(&mut self, objects: &Values, keys: &Values) -> Values {
        let mut found = Values::default();
        for object in objects.iter() {
            match object {
                Value::Object(object) => {
                    if keys.is_empty() {
                        found.join(&self.all_fields(object));
                    }
                    for key in keys.iter() {
                        found.join(&self.field(object, key));
                    }
                }
                Value::Class(_) => {
                    found.add(object);
                }
                Value::Text(_) | Value::SomeText => {
                    found.add(Value::SomeText);
                }
                _ => {}
            }
        }
        let given = Given {
            positional: vec![keys.clone()],
            ..Given::default()
        };
        let method = self.call_method(objects, "__getitem__", &given);
        found.join(&method);
        found
    }

    fn slice(&mut self, objects: &Values, site: u32, from: Option<i32>, to: Option<i32>) -> Values {
        let mut found = Values::default();
        for value in objects.iter() {
            let Value::Object(object) = value else {
                found.add(value);
                continue;
            };
            let Object { container, length } = self.kept.objects.get(object);
            let place = |bound: i32, length: u32| match bound {
                0.. => (bound as u32).min(length),
                _ => length.saturating_sub(bound.unsigned_abs()),
            };
            let taken = match length {
                Some(length) => {
                    let from = place(from.unwrap_or(0), length);
                    let to = to.map_or(length, |to| place(to, length)).max(from);
                    let made = Some(to - from);
                    let taken = self
                        .kept
                        .objects
                        .at(Site::Expression(site), container, made);
                    for at in from..to {
                        let values = self.field(object, Value::Integer(at as i32));
                        self.set_field(taken, Value::Integer((at - from) as i32), &values);
                    }
                    taken
                }
                None => {
                    let taken = self
                        .kept
                        .objects
                        .at(Site::Expression(site), container, None);
                    let all = self.all_fields(object);
                    self.set_field(taken, Value::SomeNumber, &all);
                    taken
                }
            };
            found.add(Value::Object(taken));
        }
        found
    }

    /// What going through values gives one after the other.
    fn elements(&mut self, values: &Values) -> Values {
        let mut found = Values::default();
        for value in values.iter() {
            match value {
                Value::Object(object) => {
                    found.join(&match self.kept.objects.get(object).container {
                        Container::Dictionary => self.get(Place::Keys(object)),
                        _ => self.all_fields(object),
                    });
                }
                Value::Instance(_) => {
                    let given = Given::default();
                    let value = Values::one(value);
                    let over = self.call_method(&value, "__iter__", &given);
                    if over.is_empty() {
                        // The older way to go through something.
                        found.join(&self.call_method(&value, "__getitem__", &given));
                    }
                    let next = self.call_method(&over, "__next__", &given);
                    found.join(&next);
                    for value in over.iter() {
                        if let Value::Object(object) = value {
                            found.join(&self.all_fields(object));
                        }
                    }
                }
                Value::Text(_) => {
                    found.add(Value::SomeText);
                }
                _ => {}
            }
        }
        found
    }

    /// What was found in bodies that were read, with the bases of the classes among these scopes.
    fn finish(&self, scopes: impl Iterator<Item = ScopeId>) -> Solved {
        let point = |scope: ScopeId| -> Point {
            let file = self.kept.file_of[scope as usize] as usize;
            (file, self.scope(scope).symbol)
        };
        let calls = self
            .calls
            .iter()
            .map(|((from, kind, to, how), line)| FlowCall {
                from: point(*from),
                to: match kind {
                    0 => Callee::Point(point(*to)),
                    _ => Callee::External(self.kept.names.get(*to).into()),
                },
                line: *line,
                how: *how,
            });
        let unknown = self
            .attribute_calls
            .iter()
            .filter(|(site, _)| !self.known_calls.contains(site))
            .map(|(_, (scope, name, line))| {
                let (file, symbol) = point(*scope);
                (file, symbol, self.kept.names.get(*name).into(), *line)
            });
        let mut bases = BTreeSet::new();
        for class in scopes {
            for at in 0..self.scope(class).bases.len() as u32 {
                let base = self.kept.places.get(&Place::Base(class, at));
                let values = base.map(|base| &self.kept.variables[*base as usize].values);
                for value in values.into_iter().flat_map(Values::iter) {
                    if let Value::Class(base) = value {
                        bases.insert((point(class), point(base)));
                    }
                }
            }
        }
        Solved {
            calls: calls.collect(),
            unknown: unknown.collect(),
            bases: bases.into_iter().collect(),
        }
    }
}

/// Two numbers as one, another for every other two, with its bits well mixed: the numbers themselves run in rows, which a
/// quick hash puts upon one another.
fn pair(a: u32, b: u32) -> u64 {
    let both = (u64::from(a) << 32 | u64::from(b)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    both ^ (both >> 32)
}

/// What each scope of all files binds, sorted. A module binds what its functions declare to be its own.
fn locals(files: &[Option<&Flow>], numbers: &[Vec<Name>]) -> Vec<Vec<Name>> {
    let mut all = Vec::new();
    for (flow, numbers) in files.iter().zip(numbers) {
        let module = all.len();
        for scope in flow.iter().flat_map(|flow| &flow.scopes) {
            let mut bound: Vec<Name> = scope
                .locals
                .iter()
                .map(|it| numbers[*it as usize])
                .collect();
            bound.sort_unstable();
            all.push(bound);
            let globals = scope.globals.iter().map(|it| numbers[*it as usize]);
            all[module].extend(globals);
        }
        if let Some(bound) = all.get_mut(module) {
            bound.sort_unstable();
            bound.dedup();
        }
    }
    all
}
