//! What variables hold is kept, so that a few files that change are followed among the others at once: their bodies are
//! read anew, those of the others are not. What the others would make of it is left to the next time that all are solved.

use super::{Flow, Modules, READS_MAX, Solved, Solver, Variable, locals};
use crate::flow::Gathers;
use crate::flow::values::{Name, Names, ObjectId, Objects, Owner, Place, ScopeId, Site, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;
use std::sync::atomic::AtomicBool;

/// The file of a scope that is no more.
const NO_FILE: u32 = u32::MAX;

/// Where a file comes from when it is followed among others that are kept.
pub(crate) enum Origin<'a> {
    /// It is the one that had this number.
    Same(usize),
    /// It is another than the one that had this number and did this. For each symbol of that, the symbol of this file that
    /// it now is.
    Changed(usize, Option<&'a Flow>, Vec<Option<u32>>),
    /// There was none.
    New,
}

/// What is known of files while they are solved, and kept after that.
#[derive(Default)]
pub(crate) struct Kept {
    /// The number of each file's first scope.
    pub(super) first_scope: Vec<u32>,
    /// The numbers of each file's expressions.
    pub(super) expressions: Vec<Range<u32>>,
    pub(super) file_of: Vec<u32>,
    pub(super) names: Names,
    /// The number of each name of each file.
    pub(super) numbers: Vec<Vec<Name>>,
    /// What each scope binds, sorted.
    pub(super) locals: Vec<Vec<Name>>,
    pub(super) objects: Objects,
    pub(super) variables: Vec<Variable>,
    pub(super) places: FxHashMap<Place, u32>,
}

/// What became of scopes and objects.
struct Moved {
    /// Of each scope that was there.
    scopes: Vec<Option<ScopeId>>,
    gone: FxHashSet<ObjectId>,
}

impl Moved {
    fn scope(&self, scope: ScopeId) -> Option<ScopeId> {
        self.scopes.get(scope as usize).copied().flatten()
    }

    fn owner(&self, owner: Owner) -> Option<Owner> {
        Some(match owner {
            Owner::Instance(class) => Owner::Instance(self.scope(class)?),
            Owner::Class(class) => Owner::Class(self.scope(class)?),
        })
    }

    fn value(&self, value: Value) -> Option<Value> {
        Some(match value {
            Value::Function(scope) => Value::Function(self.scope(scope)?),
            Value::Bound(scope, owner) => Value::Bound(self.scope(scope)?, self.owner(owner)?),
            Value::Class(scope) => Value::Class(self.scope(scope)?),
            Value::Instance(scope) => Value::Instance(self.scope(scope)?),
            Value::Module(scope) => Value::Module(self.scope(scope)?),
            Value::Super(scope, owner) => Value::Super(self.scope(scope)?, self.owner(owner)?),
            Value::Object(object) | Value::ObjectMethod(object, _)
                if self.gone.contains(&object) =>
            {
                return None;
            }
            _ => value,
        })
    }

    /// Whether a variable is where it was.
    fn stays(&self, place: &Place) -> bool {
        match *place {
            Place::Local(scope, _) | Place::Result(scope) | Place::Base(scope, _) => {
                self.scope(scope) == Some(scope)
            }
            Place::Attribute(value, _) => self.value(value) == Some(value),
            Place::Field(object, _) | Place::Keys(object) => !self.gone.contains(&object),
        }
    }
}

impl Kept {
    /// What files do that are others than before, among these files. What is told is of those alone.
    pub(crate) fn follow(
        &mut self,
        files: &[Option<&Flow>],
        origins: &[Origin<'_>],
        modules: &dyn Modules,
    ) -> Solved {
        let old_numbers = std::mem::take(&mut self.numbers);
        let old_first_scope = std::mem::take(&mut self.first_scope);
        let changed = self.renumber(files, origins, &old_numbers, &old_first_scope);
        let moved = self.moved(origins, files, &old_first_scope);
        let parameters = self.parameters(origins, &old_numbers, &old_first_scope, &moved);
        for variable in &mut self.variables {
            let values = &mut variable.values;
            if values.iter().any(|value| moved.value(value) != Some(value)) {
                *values = values
                    .iter()
                    .filter_map(|value| moved.value(value))
                    .collect();
            }
        }
        self.places.retain(|place, _| moved.stays(place));
        self.places.extend(parameters);
        let mut solver = self.resume(files, modules);
        for scope in changed.iter().flat_map(Clone::clone) {
            solver.reads[scope as usize] = 0;
        }
        let scopes = changed.into_iter().flatten();
        solver.enqueue_all(scopes.clone());
        solver.run(&AtomicBool::new(false));
        let solved = solver.finish(scopes);
        *self = solver.keep();
        solved
    }

    /// Gives files that changed numbers behind all others; tells their scopes.
    fn renumber(
        &mut self,
        files: &[Option<&Flow>],
        origins: &[Origin<'_>],
        old_numbers: &[Vec<Name>],
        old_first_scope: &[u32],
    ) -> Vec<Range<ScopeId>> {
        let old_expressions = std::mem::take(&mut self.expressions);
        let mut next_expression = old_expressions.iter().map(|it| it.end).max().unwrap_or(0);
        let mut file_to = vec![NO_FILE; old_first_scope.len()];
        let mut changed = Vec::new();
        let mut added = Vec::new();
        let mut next_scope = self.file_of.len() as ScopeId;
        for (file, (origin, flow)) in origins.iter().zip(files).enumerate() {
            if let Origin::Same(before) = origin {
                file_to[*before] = file as u32;
                self.first_scope.push(old_first_scope[*before]);
                self.expressions.push(old_expressions[*before].clone());
                self.numbers.push(old_numbers[*before].clone());
                continue;
            }
            let names = flow.iter().flat_map(|flow| &flow.names);
            let numbers: Vec<Name> = names.map(|name| self.names.number(name)).collect();
            self.locals
                .extend(locals(&[*flow], std::slice::from_ref(&numbers)));
            self.numbers.push(numbers);
            let scopes = flow.map_or(0, |flow| flow.scopes.len()) as ScopeId;
            let expressions = flow.map_or(0, |flow| flow.expressions.len()) as u32;
            self.first_scope.push(next_scope);
            self.expressions
                .push(next_expression..next_expression + expressions);
            added.extend((0..scopes).map(|_| file as u32));
            changed.push(next_scope..next_scope + scopes);
            next_scope += scopes;
            next_expression += expressions;
        }
        for file in &mut self.file_of {
            *file = file_to.get(*file as usize).copied().unwrap_or(NO_FILE);
        }
        self.file_of.extend(added);
        // Of what is no more, the numbers are left out, so that nothing new is taken for it.
        changed.retain(|scopes| !scopes.is_empty());
        changed
    }

    fn moved(
        &mut self,
        origins: &[Origin<'_>],
        files: &[Option<&Flow>],
        old_first_scope: &[u32],
    ) -> Moved {
        let stays = |(scope, file): (usize, &u32)| (*file != NO_FILE).then_some(scope as ScopeId);
        let mut scopes: Vec<Option<ScopeId>> = self.file_of.iter().enumerate().map(stays).collect();
        for (file, origin) in origins.iter().enumerate() {
            let Origin::Changed(before, Some(old), symbols) = origin else {
                continue;
            };
            let Some(flow) = files[file] else { continue };
            let numbered = flow.scopes.iter().enumerate();
            let by_symbol: FxHashMap<Option<u32>, usize> =
                numbered.map(|(scope, it)| (it.symbol, scope)).collect();
            for (scope, it) in old.scopes.iter().enumerate() {
                let symbol = match it.symbol {
                    // The module itself, or what has no symbol.
                    None if scope == 0 => Some(0),
                    None => None,
                    Some(symbol) => symbols
                        .get(symbol as usize)
                        .copied()
                        .flatten()
                        .and_then(|symbol| by_symbol.get(&Some(symbol)).copied()),
                };
                let is_alike = |to: &usize| flow.scopes[*to].kind == it.kind;
                scopes[old_first_scope[*before] as usize + scope] = symbol
                    .filter(is_alike)
                    .map(|to| self.first_scope[file] + to as ScopeId);
            }
        }
        let live: Vec<Range<u32>> = ranges(&self.expressions);
        let stays = |scope: ScopeId| scopes[scope as usize] == Some(scope);
        let gone = self.objects.forget(|site| match *site {
            Site::Expression(site) | Site::Pair(site) => {
                let at = live.partition_point(|range| range.end <= site);
                !live.get(at).is_some_and(|range| range.contains(&site))
            }
            Site::Rest(scope) | Site::Keywords(scope) | Site::Generator(scope) => !stays(scope),
        });
        Moved { scopes, gone }
    }

    /// What functions that are still there were given by others.
    fn parameters(
        &self,
        origins: &[Origin<'_>],
        old_numbers: &[Vec<Name>],
        old_first_scope: &[u32],
        moved: &Moved,
    ) -> Vec<(Place, u32)> {
        let mut found = Vec::new();
        for origin in origins {
            let Origin::Changed(before, Some(old), _) = origin else {
                continue;
            };
            for (scope, it) in old.scopes.iter().enumerate() {
                let scope = old_first_scope[*before] + scope as ScopeId;
                let Some(to) = moved.scope(scope) else {
                    continue;
                };
                for parameter in &it.parameters {
                    let name = old_numbers[*before][parameter.name as usize];
                    let place = self.places.get(&Place::Local(scope, name));
                    if let (Gathers::One, Some(variable)) = (parameter.gathers, place) {
                        found.push((Place::Local(to, name), *variable));
                    }
                }
            }
        }
        found
    }

    fn resume<'a>(
        &mut self,
        files: &'a [Option<&'a Flow>],
        modules: &'a dyn Modules,
    ) -> Solver<'a> {
        let scopes = self.file_of.len();
        Solver {
            files,
            // The words that every solver numbers first have the same numbers in all.
            kept: std::mem::take(self),
            is_queued: vec![false; scopes],
            // What is not read anew has been read often enough.
            reads: vec![READS_MAX; scopes],
            ..Solver::new(&[], modules)
        }
    }
}

impl Solver<'_> {
    pub(super) fn keep(mut self) -> Kept {
        for variable in &mut self.kept.variables {
            variable.readers = Vec::new();
        }
        self.kept
    }
}

/// The ranges that hold something, by where they begin; those that follow one another are one.
fn ranges(of: &[Range<u32>]) -> Vec<Range<u32>> {
    let mut sorted: Vec<Range<u32>> = of.iter().filter(|it| !it.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u32>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}
