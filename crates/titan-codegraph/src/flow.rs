//! How values move in a file of Python: assignments, calls and returns, without what computes numbers.
//!
//! [`lower`] makes it from a tree, once per change of a file; [`solve`] reads those of all files together.

mod builtins;
mod classes;
mod lower;
mod solve;
mod values;

pub(crate) use lower::lower;
pub(crate) use solve::{Callee, How, Kept, Module, Modules, Origin, Solved, solve};

use serde::{Deserialize, Serialize};

/// A name, by its number in [`Flow::names`].
pub(crate) type NameId = u32;
/// An expression, by its number in [`Flow::expressions`].
pub(crate) type ExpressionId = u32;

/// What a file does with values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) names: Vec<Box<str>>,
    pub(crate) expressions: Vec<Expression>,
    /// The module is the first; what contains comes before what is contained.
    pub(crate) scopes: Vec<Scope>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ScopeKind {
    #[default]
    Module,
    Class,
    Function,
}

/// A body with names of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) kind: ScopeKind,
    /// Its symbol in the file's facts; a module has none.
    pub(crate) symbol: Option<u32>,
    pub(crate) parent: u32,
    pub(crate) parameters: Vec<Parameter>,
    /// Names that are bound here, sorted.
    pub(crate) locals: Vec<NameId>,
    /// Names that are the module's, though they are bound here.
    pub(crate) globals: Vec<NameId>,
    /// Names that are those of a function around, though they are bound here.
    pub(crate) outer: Vec<NameId>,
    /// Modules whose every name is here.
    pub(crate) stars: Vec<(Box<str>, u32)>,
    /// Each with its line.
    pub(crate) statements: Vec<(Statement, u32)>,
    /// Parameters that are given back as they came.
    pub(crate) passes: Vec<u32>,
    pub(crate) is_generator: bool,
    pub(crate) binding: Binding,
    pub(crate) decorators: Vec<ExpressionId>,
    pub(crate) bases: Vec<ExpressionId>,
    /// The type that it says it gives back.
    pub(crate) returns: Option<ExpressionId>,
}

/// What a method is given first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Binding {
    #[default]
    Instance,
    Class,
    Static,
    /// It runs when it is named.
    Property,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Gathers {
    One,
    Rest,
    Keywords,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: NameId,
    pub(crate) gathers: Gathers,
    pub(crate) default: Option<ExpressionId>,
    pub(crate) annotation: Option<ExpressionId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Statement {
    Assign(ExpressionId, ExpressionId),
    Evaluate(ExpressionId),
    Return(ExpressionId),
    Raise(ExpressionId),
    /// The target takes each element.
    For(ExpressionId, ExpressionId),
    /// The target takes what is entered.
    With(Option<ExpressionId>, ExpressionId),
    /// A function or class, by its scope.
    Define(NameId, u32),
    /// `import module`: the name is bound to it, or to its first part.
    ImportModule {
        module: Box<str>,
        bound: NameId,
        is_whole: bool,
    },
    /// `from module import name as bound`, with the dots before it.
    ImportName {
        module: Box<str>,
        dots: u32,
        name: NameId,
        bound: NameId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Expression {
    Name(NameId),
    Attribute(ExpressionId, NameId),
    Call {
        callee: ExpressionId,
        arguments: Box<[Argument]>,
        line: u32,
    },
    Subscript(ExpressionId, ExpressionId),
    /// A part of a sequence, from here to there.
    Slice(ExpressionId, Option<i32>, Option<i32>),
    /// A tuple, list or set.
    Sequence(Container, Box<[ExpressionId]>),
    Dictionary(Box<[(Option<ExpressionId>, ExpressionId)]>),
    Comprehension(Box<Comprehension>),
    /// A function without a name, by its scope.
    Lambda(u32),
    Text(NameId),
    Integer(i32),
    /// Text that is made up.
    SomeText,
    SomeNumber,
    /// One of them.
    Either(Box<[ExpressionId]>),
    /// All are looked at, and a new value is made.
    Computed(Box<[ExpressionId]>),
    /// `*x`
    Star(ExpressionId),
    Yield(Option<ExpressionId>),
    YieldFrom(ExpressionId),
    /// `name := value`
    Named(NameId, ExpressionId),
    Nothing,
}

/// Its loops run, then its elements are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Comprehension {
    pub(crate) container: Container,
    pub(crate) loops: Vec<(ExpressionId, ExpressionId)>,
    pub(crate) conditions: Vec<ExpressionId>,
    pub(crate) key: Option<ExpressionId>,
    pub(crate) element: ExpressionId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Container {
    Tuple,
    List,
    Set,
    Dictionary,
    Generator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Argument {
    Positional(ExpressionId),
    Keyword(NameId, ExpressionId),
    /// `*x`
    Rest(ExpressionId),
    /// `**x`
    Keywords(ExpressionId),
}
