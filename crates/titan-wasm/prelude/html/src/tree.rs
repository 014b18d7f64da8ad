//! What the parser builds: nodes in one list, each with the places of its children.

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::{Attribute, ExpandedName, ParseOpts, QualName, parse_document};
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

/// The place of the document itself.
pub(crate) const ROOT: usize = 0;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) parent: Option<usize>,
    pub(crate) children: Vec<usize>,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Element {
        name: String,
        attributes: Vec<(String, String)>,
    },
    Text(String),
    /// The document, comments and what else is not seen.
    Other,
}

#[inline(never)]
pub(crate) fn parse(text: &str) -> Vec<Node> {
    let sink = Sink {
        nodes: RefCell::new(vec![Node::new(Kind::Other)]),
    };
    let parser = parse_document(sink, ParseOpts::default());
    parser.one(StrTendril::from(text))
}

impl Node {
    fn new(kind: Kind) -> Self {
        Self {
            parent: None,
            children: Vec::new(),
            kind,
        }
    }
}

struct Sink {
    nodes: RefCell<Vec<Node>>,
}

/// A node's place, and its name for the parser.
#[derive(Clone)]
struct Handle {
    at: usize,
    name: Option<Rc<QualName>>,
}

impl Sink {
    fn add(&self, kind: Kind) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node::new(kind));
        nodes.len() - 1
    }

    fn other(&self) -> Handle {
        Handle {
            at: self.add(Kind::Other),
            name: None,
        }
    }

    /// Puts something into a node, before the child at a place.
    fn put(&self, parent: usize, index: usize, child: NodeOrText<Handle>) {
        let at = match child {
            NodeOrText::AppendNode(node) => {
                self.detach(node.at);
                // The place is one less where the node stood before it in the same one.
                node.at
            }
            NodeOrText::AppendText(text) => {
                if self.joined(parent, index, &text) {
                    return;
                }
                self.add(Kind::Text(text.to_string()))
            }
        };
        let mut nodes = self.nodes.borrow_mut();
        nodes[at].parent = Some(parent);
        let children = &mut nodes[parent].children;
        let index = index.min(children.len());
        children.insert(index, at);
    }

    /// Whether a text could be added to the one before it.
    fn joined(&self, parent: usize, index: usize, text: &str) -> bool {
        let mut nodes = self.nodes.borrow_mut();
        let before = index
            .checked_sub(1)
            .and_then(|index| nodes[parent].children.get(index).copied());
        match before.map(|at| &mut nodes[at].kind) {
            Some(Kind::Text(own)) => {
                own.push_str(text);
                true
            }
            _ => false,
        }
    }

    fn detach(&self, at: usize) {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(parent) = nodes[at].parent.take() {
            nodes[parent].children.retain(|child| *child != at);
        }
    }

    fn n_children(&self, at: usize) -> usize {
        self.nodes.borrow()[at].children.len()
    }

    fn parent(&self, at: usize) -> Option<usize> {
        self.nodes.borrow()[at].parent
    }
}

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = Vec<Node>;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Vec<Node> {
        self.nodes.into_inner()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle {
            at: ROOT,
            name: None,
        }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        match &target.name {
            Some(name) => name.expanded(),
            None => unreachable!("the parser asks for names of elements alone"),
        }
    }

    fn create_element(
        &self,
        name: QualName,
        attributes: Vec<Attribute>,
        _: ElementFlags,
    ) -> Handle {
        let kind = Kind::Element {
            name: name.local.to_string(),
            attributes: attributes.into_iter().map(pair).collect(),
        };
        Handle {
            at: self.add(kind),
            name: Some(Rc::new(name)),
        }
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        self.other()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        self.other()
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.put(parent.at, self.n_children(parent.at), child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Handle,
        previous: &Handle,
        child: NodeOrText<Handle>,
    ) {
        match self.parent(element.at) {
            Some(_) => self.append_before_sibling(element, child),
            None => self.append(previous, child),
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Handle) -> Handle {
        target.clone()
    }

    fn same_node(&self, a: &Handle, b: &Handle) -> bool {
        a.at == b.at
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, node: NodeOrText<Handle>) {
        if let NodeOrText::AppendNode(node) = &node {
            self.detach(node.at);
        }
        let Some(parent) = self.parent(sibling.at) else {
            return;
        };
        let index = self.nodes.borrow()[parent]
            .children
            .iter()
            .position(|child| *child == sibling.at);
        self.put(parent, index.unwrap_or_default(), node);
    }

    fn add_attrs_if_missing(&self, target: &Handle, more: Vec<Attribute>) {
        if let Kind::Element { attributes, .. } = &mut self.nodes.borrow_mut()[target.at].kind {
            for (name, value) in more.into_iter().map(pair) {
                if attributes.iter().all(|(one, _)| *one != name) {
                    attributes.push((name, value));
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.detach(target.at);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut nodes = self.nodes.borrow_mut();
        let children = std::mem::take(&mut nodes[node.at].children);
        for child in &children {
            nodes[*child].parent = Some(new_parent.at);
        }
        nodes[new_parent.at].children.extend(children);
    }
}

fn pair(attribute: Attribute) -> (String, String) {
    (
        attribute.name.local.to_string(),
        attribute.value.to_string(),
    )
}
