//! What functions hand to functions that they are given: `run((a, b) => …)` says nothing of `a`, but `run` may.

use crate::chain;
use crate::facts::Typed;
use tree_sitter::Node;

/// A parameter of a closure that is an argument of a call.
pub(crate) fn to_closure(parameter: Node<'_>, text: &str) -> Option<Typed> {
    let outer = up_to(parameter, &["formal_parameters"])?;
    let closure = outer.parent()?;
    let arguments = closure.parent().filter(|it| it.kind() == "arguments")?;
    let call = arguments.parent()?;
    let called = call
        .child_by_field_name("function")
        .or_else(|| call.child_by_field_name("constructor"))?;
    let (at, within) = (place(closure)?, place(child_of(outer, parameter)?)?);
    Some(Typed {
        from: None,
        name: text[parameter.byte_range()].into(),
        type_name: format!("{}@{at}.{within}", chain::of(called, text)?).into(),
        is_value: true,
        line: parameter.start_position().row as u32 + 1,
    })
}

/// The type of a parameter of a function that is itself a parameter.
pub(crate) fn by_function(type_name: Node<'_>, text: &str) -> Option<Typed> {
    let inner = up_to(type_name, &["formal_parameters"])?;
    let function = inner.parent()?;
    let outer = up_to(function, &["formal_parameters"])?;
    let at = place(child_of(outer, function)?)?;
    let within = place(child_of(inner, type_name)?)?;
    Some(Typed {
        from: None,
        name: format!("@{at}.{within}").into(),
        type_name: text[type_name.byte_range()].lines().next()?.into(),
        is_value: false,
        line: type_name.start_position().row as u32 + 1,
    })
}

fn up_to<'tree>(node: Node<'tree>, kinds: &[&str]) -> Option<Node<'tree>> {
    let mut at = node.parent()?;
    while !kinds.contains(&at.kind()) {
        at = at.parent()?;
    }
    Some(at)
}

/// The part of a node that holds another.
fn child_of<'tree>(outer: Node<'tree>, inner: Node<'tree>) -> Option<Node<'tree>> {
    let mut cursor = outer.walk();
    outer
        .named_children(&mut cursor)
        .find(|child| child.byte_range().contains(&inner.start_byte()))
}

/// The how manieth a node is among those beside it, from 0. A comment, and what `this` is, are not counted.
fn place(node: Node<'_>) -> Option<usize> {
    let around = node.parent()?;
    let mut cursor = around.walk();
    around
        .named_children(&mut cursor)
        .filter(|it| it.kind() != "comment" && !is_this(*it))
        .position(|it| it.id() == node.id())
}

/// A parameter that says what `this` is, and is none.
fn is_this(node: Node<'_>) -> bool {
    node.child_by_field_name("pattern")
        .is_some_and(|pattern| pattern.kind() == "this")
}
