//! Expressions as chains of names: what is told of a value without its arguments.
//!
//! `self.made(a)?.parts[0]` is told as `self.made().?.parts.[]`, `a::B::new()` as `a::B::new()`. Whoever knows what the
//! names mean can say of what type the value is.

use tree_sitter::Node;

/// The longest chain that is told, in bytes.
const BYTES_MAX: usize = 160;
/// Expressions within one another that are looked into.
const DEPTH_MAX: usize = 24;

/// A name behind something: the node, what holds the two, and what stands between.
const STEPS: &[(&str, &str, &str, &str)] = &[
    ("field_expression", "value", "field", "."),
    ("field_expression", "argument", "field", "."),
    ("member_expression", "object", "property", "."),
    ("selector_expression", "operand", "field", "."),
    ("field_access", "object", "field", "."),
    ("scoped_identifier", "path", "name", "::"),
    ("scoped_type_identifier", "path", "name", "::"),
    ("qualified_identifier", "scope", "name", "::"),
    ("scope_resolution", "scope", "name", "::"),
];
/// What says no more than something in it.
const PEELED: &[(&str, &str)] = &[
    ("generic_function", "function"),
    ("generic_type", "type"),
    ("generic_type", "name"),
    ("generic_type_with_turbofish", "type"),
    ("reference_expression", "value"),
    ("new_expression", "constructor"),
    ("object_creation_expression", "type"),
    ("struct_expression", "name"),
    ("composite_literal", "type"),
    ("type_cast_expression", "type"),
    ("type_assertion_expression", "type"),
];
/// The same where what is in it is its first part, and what is told beside that.
const MARKED: &[(&str, &str)] = &[
    ("parenthesized_expression", ""),
    ("non_null_expression", ""),
    ("satisfies_expression", ""),
    ("unary_expression", ""),
    ("pointer_expression", ""),
    ("pointer_type", ""),
    ("try_expression", ".?"),
    ("await_expression", ".?"),
    ("index_expression", ".[]"),
    ("subscript_expression", ".[]"),
];

/// The chain of an expression, if it is one.
pub(crate) fn of(node: Node<'_>, text: &str) -> Option<String> {
    let mut chain = String::new();
    tell(node, text, 0, &mut chain)?;
    (chain.len() <= BYTES_MAX).then_some(chain)
}

fn tell(node: Node<'_>, text: &str, depth: usize, chain: &mut String) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    let kind = node.kind();
    let of_field = |name: &str| node.child_by_field_name(name);
    for (_, left, right, between) in STEPS.iter().filter(|step| step.0 == kind) {
        let Some(last) = of_field(right) else {
            continue;
        };
        if let Some(first) = of_field(left) {
            tell(first, text, depth + 1, chain)?;
            chain.push_str(between);
        }
        return tell(last, text, depth + 1, chain);
    }
    for (_, inner) in PEELED.iter().filter(|step| step.0 == kind) {
        if let Some(inner) = of_field(inner) {
            return tell(inner, text, depth + 1, chain);
        }
    }
    if let Some((_, mark)) = MARKED.iter().find(|step| step.0 == kind) {
        let first = of_field("argument").or_else(|| node.named_child(0))?;
        tell(first, text, depth + 1, chain)?;
        chain.push_str(mark);
        return Some(());
    }
    match kind {
        "call_expression" => tell(of_field("function")?, text, depth + 1, chain)?,
        // `value as Type`
        "as_expression" => return tell(node.named_child(1)?, text, depth + 1, chain),
        "method_invocation" | "call" => {
            let receiver = of_field("object").or_else(|| of_field("receiver"));
            if let Some(receiver) = receiver {
                tell(receiver, text, depth + 1, chain)?;
                chain.push('.');
            }
            let name = of_field("name").or_else(|| of_field("method"))?;
            tell(name, text, depth + 1, chain)?;
        }
        _ => {
            let name = text[node.byte_range()].trim_start_matches('@');
            let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '#');
            let is_nothing = matches!(name, "null" | "undefined" | "None");
            if name.is_empty() || is_nothing || !name.chars().all(is_name) {
                return None;
            }
            chain.push_str(name);
            return Some(());
        }
    }
    chain.push_str("()");
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;
    use expect_test::{Expect, expect};
    use tree_sitter::Parser;

    /// The chains of the statements of a text.
    fn check(language: Language, text: &str, expected: Expect) {
        let mut parser = Parser::new();
        parser.set_language(&language.grammar()).unwrap();
        let tree = parser.parse(text, None).unwrap();
        let mut told = String::new();
        let mut cursor = tree.walk();
        for statement in tree.root_node().named_children(&mut cursor) {
            let chain = statement.named_child(0).and_then(|it| of(it, text));
            told.push_str(chain.as_deref().unwrap_or("-"));
            told.push('\n');
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn an_expression_is_told_without_its_arguments() {
        check(
            Language::Rust,
            "self.made(a, (b))?.parts[0];\n(a::B::<C>::new(1)).x;\n(&mut x).y.await;\n(a + b).c();\nWalk { a: 1 }.build();",
            expect![[r#"
                self.made().?.parts.[]
                a::B::new().x
                x.y.?
                -
                Walk.build()
            "#]],
        );
        check(
            Language::TypeScript,
            "this.#client?.get<A>(b)!.c;\nnew a.B(1).c();\n(x as Foo).go;\nawait f();\n[1].x;",
            expect![[r#"
                this.#client.get().c
                a.B.c()
                Foo.go
                f().?
                -
            "#]],
        );
    }
}
