//! From the tree of a Python file to what it does with values.

use super::{
    Argument, Binding, Comprehension, Container, Expression, ExpressionId, Flow, Gathers, NameId,
    Parameter, Scope, ScopeKind, Statement,
};
use crate::extract;
use crate::facts::{Symbol, SymbolKind};
use std::collections::HashMap;
use tree_sitter::Node;

/// What stands deeper within one another is left out: the stack has a bottom.
const DEPTH_MAX: u32 = 120;

/// What the module does. Functions without a name are added to its symbols.
pub(crate) fn lower(root: Node<'_>, text: &str, symbols: &mut Vec<Symbol>) -> Flow {
    let named = symbols
        .iter()
        .enumerate()
        .filter(|(_, symbol)| symbol.kind != SymbolKind::Constant)
        .map(|(at, symbol)| ((symbol.line, symbol.name.clone()), at as u32))
        .collect();
    let mut lowering = Lowering {
        text,
        symbols,
        named,
        flow: Flow::default(),
        known: HashMap::new(),
        renamed: Vec::new(),
        lambdas: HashMap::new(),
        line: 0,
        depth: 0,
    };
    lowering.flow.scopes.push(Scope::default());
    lowering.block(0, root);
    lowering.settle();
    lowering.flow
}

struct Lowering<'a> {
    text: &'a str,
    symbols: &'a mut Vec<Symbol>,
    named: HashMap<(u32, Box<str>), u32>,
    flow: Flow,
    known: HashMap<Box<str>, NameId>,
    /// What the variables of comprehensions around are called instead.
    renamed: Vec<(Box<str>, NameId)>,
    /// Functions without a name, counted by the scope that they stand in.
    lambdas: HashMap<u32, u32>,
    /// The line of the statement.
    line: u32,
    depth: u32,
}

impl<'a> Lowering<'a> {
    /// The statements of a block, and of all blocks in it that have no names of their own.
    fn block(&mut self, scope: u32, block: Node<'_>) {
        if self.depth >= DEPTH_MAX {
            return;
        }
        self.depth += 1;
        for statement in children(block) {
            self.statement(scope, statement);
        }
        self.depth -= 1;
    }

    fn statement(&mut self, scope: u32, node: Node<'_>) {
        self.line = node.start_position().row as u32 + 1;
        match node.kind() {
            "expression_statement" => {
                for child in children(node) {
                    self.simple(scope, child);
                }
            }
            "return_statement" => {
                if let Some(value) = node.named_child(0) {
                    let value = self.expression(scope, value);
                    self.push(scope, Statement::Return(value));
                }
            }
            "raise_statement" => {
                if let Some(raised) = node.named_child(0) {
                    let raised = self.expression(scope, raised);
                    self.push(scope, Statement::Raise(raised));
                }
            }
            "for_statement" => {
                if let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) {
                    let over = self.expression(scope, right);
                    let target = self.target(scope, left);
                    self.push(scope, Statement::For(target, over));
                }
                self.parts(scope, node, &["left", "right"]);
            }
            "with_statement" => self.with(scope, node),
            "function_definition" => self.function(scope, node, Vec::new()),
            "class_definition" => self.class(scope, node, Vec::new()),
            "decorated_definition" => self.decorated(scope, node),
            "import_statement" => self.import(scope, node),
            "import_from_statement" => self.import_from(scope, node),
            "global_statement" => {
                for name in children(node) {
                    let name = self.name(name);
                    self.scope(scope).globals.push(name);
                }
            }
            "nonlocal_statement" => {
                for name in children(node) {
                    let name = self.name(name);
                    self.scope(scope).outer.push(name);
                }
            }
            "comment"
            | "pass_statement"
            | "break_statement"
            | "continue_statement"
            | "import_prefix"
            | "future_import_statement" => {}
            "except_clause" => self.except(scope, node),
            "block" => self.block(scope, node),
            _ => self.parts(scope, node, &[]),
        }
    }

    /// What stands in a compound statement: blocks and clauses are gone into, all else is looked at.
    fn parts(&mut self, scope: u32, node: Node<'_>, done: &[&str]) {
        if self.depth >= DEPTH_MAX {
            return;
        }
        self.depth += 1;
        let mut cursor = node.walk();
        let mut more = cursor.goto_first_child();
        while more {
            let child = cursor.node();
            let is_done = cursor
                .field_name()
                .is_some_and(|field| done.contains(&field));
            if child.is_named() && !is_done {
                let kind = child.kind();
                let is_statement = ["_clause", "_statement", "_definition"]
                    .iter()
                    .any(|ending| kind.ends_with(ending));
                if kind == "block" || is_statement {
                    self.statement(scope, child);
                } else {
                    let value = self.expression(scope, child);
                    self.push(scope, Statement::Evaluate(value));
                }
            }
            more = cursor.goto_next_sibling();
        }
        self.depth -= 1;
    }

    fn simple(&mut self, scope: u32, node: Node<'_>) {
        match node.kind() {
            "assignment" => {
                self.assignment(scope, node);
            }
            "augmented_assignment" => {
                if let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) {
                    let value = self.expression(scope, right);
                    let target = self.target(scope, left);
                    self.push(scope, Statement::Assign(target, value));
                }
            }
            _ => {
                let value = self.expression(scope, node);
                self.push(scope, Statement::Evaluate(value));
            }
        }
    }

    /// An assignment, or several in a row: `a = b = c`. Gives the value.
    fn assignment(&mut self, scope: u32, node: Node<'_>) {
        let mut targets = Vec::new();
        let mut node = node;
        let value = loop {
            targets.extend(field(node, "left"));
            match field(node, "right") {
                Some(right) if right.kind() == "assignment" => node = right,
                Some(right) => break self.expression(scope, right),
                None => return,
            }
        };
        for target in targets {
            let target = self.target(scope, target);
            self.push(scope, Statement::Assign(target, value));
        }
    }

    fn with(&mut self, scope: u32, node: Node<'_>) {
        for clause in children(node).filter(|child| child.kind() == "with_clause") {
            for item in children(clause) {
                let Some(value) = field(item, "value") else {
                    continue;
                };
                let (entered, target) = match value.kind() {
                    "as_pattern" => (value.named_child(0), field(value, "alias")),
                    _ => (Some(value), None),
                };
                let Some(entered) = entered else { continue };
                let entered = self.expression(scope, entered);
                let target = target
                    .and_then(|target| target.named_child(0))
                    .map(|target| self.target(scope, target));
                self.push(scope, Statement::With(target, entered));
            }
        }
        if let Some(body) = field(node, "body") {
            self.block(scope, body);
        }
    }

    fn except(&mut self, scope: u32, node: Node<'_>) {
        for child in children(node) {
            match child.kind() {
                "block" => self.block(scope, child),
                "as_pattern" => {
                    if let Some(caught) = child.named_child(0) {
                        let value = self.expression(scope, caught);
                        self.push(scope, Statement::Evaluate(value));
                    }
                    let alias = field(child, "alias").and_then(|alias| alias.named_child(0));
                    if let Some(alias) = alias {
                        let target = self.target(scope, alias);
                        let nothing = self.make(Expression::Nothing);
                        self.push(scope, Statement::Assign(target, nothing));
                    }
                }
                _ => {
                    let value = self.expression(scope, child);
                    self.push(scope, Statement::Evaluate(value));
                }
            }
        }
    }

    fn decorated(&mut self, scope: u32, node: Node<'_>) {
        let decorators: Vec<Node<'_>> = children(node)
            .filter(|child| child.kind() == "decorator")
            .filter_map(|decorator| decorator.named_child(0))
            .collect();
        match field(node, "definition") {
            Some(definition) if definition.kind() == "class_definition" => {
                self.class(scope, definition, decorators);
            }
            Some(definition) => self.function(scope, definition, decorators),
            None => {}
        }
    }

    fn function(&mut self, scope: u32, node: Node<'_>, decorators: Vec<Node<'_>>) {
        let Some(name) = field(node, "name") else {
            return;
        };
        let mut binding = Binding::Instance;
        let mut applied = Vec::new();
        for decorator in decorators {
            let text = self.text_of(decorator);
            match text.rsplit('.').next().unwrap_or(text) {
                "staticmethod" => binding = Binding::Static,
                "classmethod" => binding = Binding::Class,
                "property" | "cached_property" | "setter" | "getter" | "deleter" => {
                    binding = Binding::Property;
                }
                _ => applied.push(self.expression(scope, decorator)),
            }
        }
        let symbol = self.symbol(node, name);
        let inner = self.open(scope, ScopeKind::Function, symbol);
        if let Some(parameters) = field(node, "parameters") {
            self.parameters(scope, inner, parameters);
        }
        let opened = self.scope(inner);
        opened.binding = binding;
        opened.decorators = applied;
        if let Some(returns) = field(node, "return_type").and_then(|it| it.named_child(0)) {
            let returns = self.expression(scope, returns);
            self.scope(inner).returns = Some(returns);
        }
        let name = self.name(name);
        self.bind(scope, name);
        self.push(scope, Statement::Define(name, inner));
        if let Some(body) = field(node, "body") {
            self.block(inner, body);
        }
    }

    fn class(&mut self, scope: u32, node: Node<'_>, decorators: Vec<Node<'_>>) {
        let Some(name) = field(node, "name") else {
            return;
        };
        let decorators = decorators
            .into_iter()
            .map(|decorator| self.expression(scope, decorator))
            .collect();
        let bases = field(node, "superclasses").map_or_else(Vec::new, |bases| {
            children(bases)
                .filter(|base| !matches!(base.kind(), "keyword_argument" | "comment"))
                .map(|base| self.expression(scope, base))
                .collect()
        });
        let symbol = self.symbol(node, name);
        let inner = self.open(scope, ScopeKind::Class, symbol);
        let opened = self.scope(inner);
        opened.decorators = decorators;
        opened.bases = bases;
        let name = self.name(name);
        self.bind(scope, name);
        self.push(scope, Statement::Define(name, inner));
        if let Some(body) = field(node, "body") {
            self.block(inner, body);
        }
    }

    fn parameters(&mut self, outer: u32, inner: u32, node: Node<'_>) {
        for parameter in children(node) {
            let (named, gathers) = match parameter.kind() {
                "identifier" => (Some(parameter), Gathers::One),
                "default_parameter" | "typed_default_parameter" => {
                    (field(parameter, "name"), Gathers::One)
                }
                "typed_parameter" => match parameter.named_child(0) {
                    Some(first) if first.kind() == "list_splat_pattern" => {
                        (first.named_child(0), Gathers::Rest)
                    }
                    Some(first) if first.kind() == "dictionary_splat_pattern" => {
                        (first.named_child(0), Gathers::Keywords)
                    }
                    first => (first, Gathers::One),
                },
                "list_splat_pattern" => (parameter.named_child(0), Gathers::Rest),
                "dictionary_splat_pattern" => (parameter.named_child(0), Gathers::Keywords),
                _ => continue,
            };
            let Some(named) = named else { continue };
            let default = field(parameter, "value").map(|default| self.expression(outer, default));
            let annotation = field(parameter, "type")
                .and_then(|annotation| annotation.named_child(0))
                .map(|annotation| self.expression(outer, annotation));
            let name = self.intern(self.text_of(named));
            self.bind(inner, name);
            self.scope(inner).parameters.push(Parameter {
                name,
                gathers,
                default,
                annotation,
            });
        }
    }

    fn import(&mut self, scope: u32, node: Node<'_>) {
        for child in children(node) {
            let (module, alias) = match child.kind() {
                "aliased_import" => (field(child, "name"), field(child, "alias")),
                _ => (Some(child), None),
            };
            let Some(module) = module else { continue };
            let module = self.text_of(module);
            let bound = match alias {
                Some(alias) => self.text_of(alias),
                None => module.split('.').next().unwrap_or(module),
            };
            let bound = self.intern(bound);
            self.bind(scope, bound);
            let statement = Statement::ImportModule {
                module: module.into(),
                bound,
                is_whole: alias.is_some(),
            };
            self.push(scope, statement);
        }
    }

    fn import_from(&mut self, scope: u32, node: Node<'_>) {
        let Some(from) = field(node, "module_name") else {
            return;
        };
        let written = self.text_of(from);
        let module = written.trim_start_matches(['.', ' ']);
        let dots = (written.len() - module.len()) as u32;
        if children(node).any(|child| child.kind() == "wildcard_import") {
            self.scope(scope).stars.push((module.into(), dots));
            return;
        }
        let mut cursor = node.walk();
        let names: Vec<Node<'_>> = node.children_by_field_name("name", &mut cursor).collect();
        for child in names {
            let (name, alias) = match child.kind() {
                "aliased_import" => (field(child, "name"), field(child, "alias")),
                _ => (Some(child), None),
            };
            let Some(name) = name else { continue };
            let bound = self.intern(self.text_of(alias.unwrap_or(name)));
            let name = self.intern(self.text_of(name));
            self.bind(scope, bound);
            let statement = Statement::ImportName {
                module: module.into(),
                dots,
                name,
                bound,
            };
            self.push(scope, statement);
        }
    }

    /// What is assigned to; its names are bound in the scope.
    fn target(&mut self, scope: u32, node: Node<'_>) -> ExpressionId {
        match node.kind() {
            "identifier" => {
                let name = self.name(node);
                self.bind(scope, name);
                self.make(Expression::Name(name))
            }
            "pattern_list" | "tuple_pattern" | "list_pattern" | "expression_list" | "tuple"
            | "list"
                if self.depth < DEPTH_MAX =>
            {
                self.depth += 1;
                let parts = children(node)
                    .map(|part| self.target(scope, part))
                    .collect();
                self.depth -= 1;
                self.make(Expression::Sequence(Container::Tuple, parts))
            }
            "list_splat_pattern" | "list_splat" => match node.named_child(0) {
                Some(inner) => {
                    let inner = self.target(scope, inner);
                    self.make(Expression::Star(inner))
                }
                None => self.make(Expression::Nothing),
            },
            _ => self.expression(scope, node),
        }
    }

    fn expression(&mut self, scope: u32, node: Node<'_>) -> ExpressionId {
        if self.depth >= DEPTH_MAX {
            return self.make(Expression::Nothing);
        }
        self.depth += 1;
        let expression = self.expression_of(scope, node);
        self.depth -= 1;
        self.make(expression)
    }

    fn expression_of(&mut self, scope: u32, node: Node<'_>) -> Expression {
        match node.kind() {
            "identifier" => Expression::Name(self.name(node)),
            "attribute" => match (field(node, "object"), field(node, "attribute")) {
                (Some(object), Some(attribute)) => {
                    let object = self.expression(scope, object);
                    let attribute = self.intern(self.text_of(attribute));
                    Expression::Attribute(object, attribute)
                }
                _ => Expression::Nothing,
            },
            "call" => self.call(scope, node),
            "subscript" => self.subscript(scope, node),
            "string" => match plain_text(node) {
                Some(content) => {
                    let content = content.map_or("", |content| self.text_of(content));
                    Expression::Text(self.intern(content))
                }
                None => {
                    for part in self.interpolated(scope, node) {
                        self.push(scope, Statement::Evaluate(part));
                    }
                    Expression::SomeText
                }
            },
            "concatenated_string" => Expression::SomeText,
            "integer" => self
                .text_of(node)
                .parse()
                .map_or(Expression::SomeNumber, Expression::Integer),
            "float" => Expression::SomeNumber,
            "unary_operator" => self.negative(scope, node),
            "parenthesized_expression" | "await" => match node.named_child(0) {
                Some(inner) => Expression::Either([self.expression(scope, inner)].into()),
                None => Expression::Nothing,
            },
            "tuple" | "expression_list" => self.sequence(scope, node, Container::Tuple),
            "list" => self.sequence(scope, node, Container::List),
            "set" => self.sequence(scope, node, Container::Set),
            "dictionary" => self.dictionary(scope, node),
            "list_comprehension" => self.comprehension(scope, node, Container::List),
            "set_comprehension" => self.comprehension(scope, node, Container::Set),
            "dictionary_comprehension" => self.comprehension(scope, node, Container::Dictionary),
            "generator_expression" => self.comprehension(scope, node, Container::Generator),
            "list_splat" | "list_splat_pattern" => match node.named_child(0) {
                Some(inner) => Expression::Star(self.expression(scope, inner)),
                None => Expression::Nothing,
            },
            "lambda" => self.lambda(scope, node),
            "yield" => self.yielded(scope, node),
            "named_expression" => match (field(node, "name"), field(node, "value")) {
                (Some(name), Some(value)) => {
                    let value = self.expression(scope, value);
                    let name = self.name(name);
                    self.bind(scope, name);
                    Expression::Named(name, value)
                }
                _ => Expression::Nothing,
            },
            "conditional_expression" => {
                let parts: Vec<ExpressionId> = children(node)
                    .map(|part| self.expression(scope, part))
                    .collect();
                if let [then, condition, otherwise] = parts[..] {
                    self.push(scope, Statement::Evaluate(condition));
                    Expression::Either([then, otherwise].into())
                } else {
                    Expression::Computed(parts.into())
                }
            }
            "boolean_operator" => Expression::Either(self.all(scope, node)),
            "comment" | "none" | "true" | "false" | "ellipsis" => Expression::Nothing,
            _ => Expression::Computed(self.all(scope, node)),
        }
    }

    fn all(&mut self, scope: u32, node: Node<'_>) -> Box<[ExpressionId]> {
        children(node)
            .map(|part| self.expression(scope, part))
            .collect()
    }

    fn sequence(&mut self, scope: u32, node: Node<'_>, container: Container) -> Expression {
        let parts = children(node)
            .filter(|part| part.kind() != "comment")
            .map(|part| self.expression(scope, part))
            .collect();
        Expression::Sequence(container, parts)
    }

    fn negative(&mut self, scope: u32, node: Node<'_>) -> Expression {
        let written = self.text_of(node);
        match written.parse() {
            Ok(number) => Expression::Integer(number),
            Err(_) => Expression::Computed(self.all(scope, node)),
        }
    }

    fn call(&mut self, scope: u32, node: Node<'_>) -> Expression {
        let Some(function) = field(node, "function") else {
            return Expression::Nothing;
        };
        let callee = self.expression(scope, function);
        let given = field(node, "arguments");
        let mut arguments = Vec::new();
        match given {
            Some(given) if given.kind() == "generator_expression" => {
                arguments.push(Argument::Positional(self.expression(scope, given)));
            }
            Some(given) => {
                for argument in children(given) {
                    arguments.extend(self.argument(scope, argument));
                }
            }
            None => {}
        }
        Expression::Call {
            callee,
            arguments: arguments.into(),
            line: node.start_position().row as u32 + 1,
        }
    }

    fn argument(&mut self, scope: u32, node: Node<'_>) -> Option<Argument> {
        match node.kind() {
            "comment" => None,
            "keyword_argument" => {
                let value = self.expression(scope, field(node, "value")?);
                let name = self.intern(self.text_of(field(node, "name")?));
                Some(Argument::Keyword(name, value))
            }
            "list_splat" => Some(Argument::Rest(self.expression(scope, node.named_child(0)?))),
            "dictionary_splat" => Some(Argument::Keywords(
                self.expression(scope, node.named_child(0)?),
            )),
            _ => Some(Argument::Positional(self.expression(scope, node))),
        }
    }

    fn subscript(&mut self, scope: u32, node: Node<'_>) -> Expression {
        let Some(value) = field(node, "value") else {
            return Expression::Nothing;
        };
        let value = self.expression(scope, value);
        let Some(key) = field(node, "subscript") else {
            return Expression::Nothing;
        };
        if key.kind() != "slice" {
            return Expression::Subscript(value, self.expression(scope, key));
        }
        let mut bounds = [None, None];
        let mut at = 0;
        let mut cursor = key.walk();
        for part in key.children(&mut cursor) {
            match part.kind() {
                ":" => at += 1,
                _ if at < bounds.len() => bounds[at] = self.text_of(part).parse().ok(),
                _ => {}
            }
        }
        Expression::Slice(value, bounds[0], bounds[1])
    }

    fn dictionary(&mut self, scope: u32, node: Node<'_>) -> Expression {
        let mut pairs = Vec::new();
        for pair in children(node) {
            match (field(pair, "key"), field(pair, "value")) {
                (Some(key), Some(value)) => {
                    let key = self.expression(scope, key);
                    pairs.push((Some(key), self.expression(scope, value)));
                }
                _ if pair.kind() == "dictionary_splat" => {
                    if let Some(spread) = pair.named_child(0) {
                        pairs.push((None, self.expression(scope, spread)));
                    }
                }
                _ => {}
            }
        }
        Expression::Dictionary(pairs.into())
    }

    fn comprehension(&mut self, scope: u32, node: Node<'_>, container: Container) -> Expression {
        let before = self.renamed.len();
        let mut loops = Vec::new();
        let mut conditions = Vec::new();
        for clause in children(node) {
            match clause.kind() {
                "for_in_clause" => {
                    let (Some(left), Some(right)) = (field(clause, "left"), field(clause, "right"))
                    else {
                        continue;
                    };
                    let over = self.expression(scope, right);
                    self.rename(left);
                    loops.push((self.target(scope, left), over));
                }
                "if_clause" => {
                    for condition in children(clause) {
                        conditions.push(self.expression(scope, condition));
                    }
                }
                _ => {}
            }
        }
        let (key, element) = match field(node, "body") {
            Some(pair) if pair.kind() == "pair" => {
                let key = field(pair, "key").map(|key| self.expression(scope, key));
                (key, field(pair, "value"))
            }
            body => (None, body),
        };
        let element = match element {
            Some(element) => self.expression(scope, element),
            None => self.make(Expression::Nothing),
        };
        self.renamed.truncate(before);
        Expression::Comprehension(Box::new(Comprehension {
            container,
            loops,
            conditions,
            key,
            element,
        }))
    }

    /// The variables of a comprehension are its own.
    fn rename(&mut self, target: Node<'_>) {
        let mut stack = vec![target];
        while let Some(node) = stack.pop() {
            if node.kind() == "identifier" {
                let written = self.text_of(node);
                let own = format!("{written}@{}", node.start_byte());
                let own = self.intern(&own);
                self.renamed.push((written.into(), own));
            }
            stack.extend(children(node));
        }
    }

    fn lambda(&mut self, scope: u32, node: Node<'_>) -> Expression {
        let count = self.lambdas.entry(scope).or_default();
        *count += 1;
        let line = node.start_position().row as u32 + 1;
        let symbol = self.symbols.len() as u32;
        let container = self.flow.scopes[scope as usize].symbol;
        self.symbols.push(Symbol {
            name: format!("<lambda{count}>").into(),
            kind: SymbolKind::Lambda,
            container,
            owner: None,
            line,
            end_line: node.end_position().row as u32 + 1,
            signature: extract::signature(self.text_of(node)),
            doc: "".into(),
            is_test: false,
        });
        let inner = self.open(scope, ScopeKind::Function, Some(symbol));
        self.scope(inner).binding = Binding::Static;
        if let Some(parameters) = field(node, "parameters") {
            self.parameters(scope, inner, parameters);
        }
        let own: Vec<NameId> = self.scope(inner).locals.clone();
        let hidden: Vec<(Box<str>, NameId)> = own
            .into_iter()
            .map(|name| (self.flow.names[name as usize].clone(), name))
            .collect();
        let before = self.renamed.len();
        self.renamed.extend(hidden);
        if let Some(body) = field(node, "body") {
            let value = self.expression(inner, body);
            self.push(inner, Statement::Return(value));
        }
        self.renamed.truncate(before);
        Expression::Lambda(inner)
    }

    fn yielded(&mut self, scope: u32, node: Node<'_>) -> Expression {
        self.scope(scope).is_generator = true;
        let mut cursor = node.walk();
        let is_from = node.children(&mut cursor).any(|part| part.kind() == "from");
        match node.named_child(0) {
            Some(value) if is_from => Expression::YieldFrom(self.expression(scope, value)),
            Some(value) => Expression::Yield(Some(self.expression(scope, value))),
            None => Expression::Yield(None),
        }
    }

    fn interpolated(&mut self, scope: u32, node: Node<'_>) -> Vec<ExpressionId> {
        children(node)
            .filter(|part| part.kind() == "interpolation")
            .filter_map(|part| part.named_child(0))
            .map(|part| self.expression(scope, part))
            .collect()
    }

    fn open(&mut self, parent: u32, kind: ScopeKind, symbol: Option<u32>) -> u32 {
        self.flow.scopes.push(Scope {
            kind,
            symbol,
            parent,
            ..Scope::default()
        });
        self.flow.scopes.len() as u32 - 1
    }

    fn symbol(&self, node: Node<'_>, name: Node<'_>) -> Option<u32> {
        let line = node.start_position().row as u32 + 1;
        self.named.get(&(line, self.text_of(name).into())).copied()
    }

    fn scope(&mut self, scope: u32) -> &mut Scope {
        &mut self.flow.scopes[scope as usize]
    }

    fn push(&mut self, scope: u32, statement: Statement) {
        let line = self.line;
        self.scope(scope).statements.push((statement, line));
    }

    fn bind(&mut self, scope: u32, name: NameId) {
        self.scope(scope).locals.push(name);
    }

    fn make(&mut self, expression: Expression) -> ExpressionId {
        self.flow.expressions.push(expression);
        self.flow.expressions.len() as u32 - 1
    }

    /// The name that an identifier stands for.
    fn name(&mut self, node: Node<'_>) -> NameId {
        let written = self.text_of(node);
        let own = self
            .renamed
            .iter()
            .rev()
            .find(|(from, _)| **from == *written);
        match own {
            Some((_, own)) => *own,
            None => self.intern(written),
        }
    }

    fn intern(&mut self, name: &str) -> NameId {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let id = self.flow.names.len() as u32;
        self.flow.names.push(name.into());
        self.known.insert(name.into(), id);
        id
    }

    /// Sorts what is looked up, and finds parameters that a function gives back untouched.
    fn settle(&mut self) {
        self.flow.names.shrink_to_fit();
        self.flow.expressions.shrink_to_fit();
        self.flow.scopes.shrink_to_fit();
        for scope in &mut self.flow.scopes {
            scope.statements.shrink_to_fit();
            let bound = scope.locals.clone();
            let is_untouched = |name: NameId| bound.iter().filter(|it| **it == name).count() == 1;
            let expressions = &self.flow.expressions;
            let parameters = &scope.parameters;
            let passed = |value: ExpressionId| match expressions[value as usize] {
                Expression::Name(name) if is_untouched(name) => {
                    parameters.iter().position(|parameter| {
                        parameter.name == name && parameter.gathers == Gathers::One
                    })
                }
                _ => None,
            };
            let mut passes = Vec::new();
            if scope.kind == ScopeKind::Function && !scope.is_generator {
                scope.statements.retain(|(statement, _)| match statement {
                    Statement::Return(value) => match passed(*value) {
                        Some(parameter) => {
                            passes.push(parameter as u32);
                            false
                        }
                        None => true,
                    },
                    _ => true,
                });
            }
            scope.passes = passes;
            scope.locals.sort_unstable();
            scope.locals.dedup();
            let (globals, outer) = (&scope.globals, &scope.outer);
            scope
                .locals
                .retain(|name| !globals.contains(name) && !outer.contains(name));
        }
    }

    fn text_of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }
}

fn children<'a>(node: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let mut cursor = node.walk();
    let mut more = cursor.goto_first_child();
    std::iter::from_fn(move || {
        while more {
            let child = cursor.node();
            more = cursor.goto_next_sibling();
            if child.is_named() {
                return Some(child);
            }
        }
        None
    })
}

fn field<'a>(node: Node<'a>, name: &str) -> Option<Node<'a>> {
    node.child_by_field_name(name)
}

/// The content of a text that is written out; `None` where parts of it are computed.
fn plain_text(node: Node<'_>) -> Option<Option<Node<'_>>> {
    let mut content = None;
    for part in children(node) {
        match part.kind() {
            "string_content" if content.is_none() => content = Some(part),
            "string_start" | "string_end" => {}
            _ => return None,
        }
    }
    Some(content)
}
